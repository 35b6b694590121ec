class NoGrad(Module):
  __parameters__ = []
  __buffers__ = []
  training : bool
  _is_full_backward_hook : Optional[bool]
  def forward(self: __torch__.zoo_script.NoGrad,
    x: Tensor) -> Tensor:
    _0 = __torch__.torch.jit._trace.is_tracing
    _1 = __torch__.torch.autograd.grad_mode.no_grad.__new__(__torch__.torch.autograd.grad_mode.no_grad)
    _2 = (_1).__init__()
    with _1:
      y = torch.mul(x, 2)
    _3 = __torch__.torch.autograd.profiler.record_function.__new__(__torch__.torch.autograd.profiler.record_function)
    _4 = (_3).__init__("blk", None, )
    with _3:
      z = torch.add(y, 1)
    z0 = torch.mul(z, 3)
    if torch.__not__(_0()):
      z1 = torch.sub(z0, 1)
    else:
      z1 = z0
    return z1
