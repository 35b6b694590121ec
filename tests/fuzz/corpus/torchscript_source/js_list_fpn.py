class ListState(Module):
  __parameters__ = []
  __buffers__ = []
  training : bool
  _is_full_backward_hook : Optional[bool]
  ls : __torch__.torch.nn.modules.container.___torch_mangle_37.ModuleList
  lat : __torch__.torch.nn.modules.container.___torch_mangle_39.ModuleList
  def forward(self: __torch__.zoo_script.ListState,
    x: Tensor) -> List[Tensor]:
    _0 = __torch__.torch.nn.functional.___torch_mangle_40.interpolate
    f = annotate(List[Tensor], [])
    ls = self.ls
    _00 = getattr(ls, "0")
    _1 = getattr(ls, "1")
    _2 = getattr(ls, "2")
    x0 = __torch__.torch.nn.functional.relu((_00).forward(x, ), False, )
    _3 = torch.append(f, x0)
    x1 = __torch__.torch.nn.functional.relu((_1).forward(x0, ), False, )
    _4 = torch.append(f, x1)
    x2 = __torch__.torch.nn.functional.relu((_2).forward(x1, ), False, )
    _5 = torch.append(f, x2)
    _6 = annotate(List[Tensor], [])
    lat = self.lat
    _06 = getattr(lat, "0")
    _17 = getattr(lat, "1")
    _26 = getattr(lat, "2")
    _7 = torch.append(_6, (_06).forward(f[0], ))
    _8 = torch.append(_6, (_17).forward(f[1], ))
    _9 = torch.append(_6, (_26).forward(f[2], ))
    last = _6[-1]
    n = torch.len(_6)
    _10 = torch.sub(n, 2)
    last0 = last
    for _11 in range(torch.__range_length(_10, -1, -1)):
      i = torch.__derive_index(_11, _10, -1)
      _12 = _6[i]
      _13 = torch.slice(torch.size(_6[i]), -2)
      _14 = _0(last0, _13, None, "nearest", None, None, False, )
      last1 = torch.add(_12, _14)
      _15 = torch._set_item(_6, i, last1)
      last0 = last1
    torch.reverse(_6)
    torch.insert(_6, 0, torch.mean(last0, [2, 3]))
    torch.extend(_6, [x2])
    y = torch.pop(_6)
    return torch.add(_6, torch.mul([y], 2))
