class ForBreak(Module):
  __parameters__ = []
  __buffers__ = []
  training : bool
  _is_full_backward_hook : Optional[bool]
  def forward(self: __torch__.zoo_script.ForBreak,
    x: Tensor,
    k: int=3) -> Tensor:
    _0 = uninitialized(bool)
    out = annotate(List[Tensor], [])
    _1 = torch.__range_length(1, torch.size(x, 0), 2)
    _2 = 0
    _3 = torch.gt(_1, 0)
    while _3:
      i = torch.__derive_index(_2, 1, 2)
      if torch.eq(i, 3):
        _4, _5, _6 = True, True, _0
      else:
        if torch.gt(i, k):
          _7, _8, _9 = True, False, _0
        else:
          _10 = torch.mul(torch.select(x, 0, i), i)
          _11 = torch.append(out, _10)
          _7, _8, _9 = False, _0, True
        _4, _5, _6 = _7, _8, _9
      if _4:
        _12 = _5
      else:
        _12 = _6
      _13 = torch.add(_2, 1)
      _14 = torch.__and__(torch.lt(_13, _1), _12)
      _3, _2 = _14, _13
    if torch.gt(torch.len(out), 0):
      _15 = torch.stack(out)
    else:
      _16 = torch.zeros([0, torch.size(x, 1)])
      _15 = _16
    return _15
