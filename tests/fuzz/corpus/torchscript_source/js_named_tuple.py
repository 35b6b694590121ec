class NT(Module):
  __parameters__ = []
  __buffers__ = []
  training : bool
  _is_full_backward_hook : Optional[bool]
  def forward(self: __torch__.zoo_script.NT,
    x: Tensor) -> Tuple[Tensor, int]:
    _0 = uninitialized(Tensor)
    p = __torch__.zoo_script.Pt(x, 0, None)
    p0 = p
    for _1 in range(3):
      p0 = (self).step(p0, )
    w = (p0)[2]
    if torch.__isnot__(w, None):
      w0 = unchecked_cast(Tensor, w)
    else:
      ops.prim.RaiseException("AssertionError: ")
      w0 = _0
    return (torch.add((p0)[0], w0), (p0)[1])
  def step(self: __torch__.zoo_script.NT,
    p: __torch__.zoo_script.Pt) -> __torch__.zoo_script.Pt:
    _2 = torch.mul((p)[0], 2)
    _3 = torch.add((p)[1], 1)
    if torch.__is__((p)[2], None):
      _4 : Optional[Tensor] = (p)[0]
    else:
      _4 = (p)[2]
    return __torch__.zoo_script.Pt(_2, _3, _4)
class Pt(NamedTuple):
  x : Tensor
  n : int
  w : Optional[Tensor]
