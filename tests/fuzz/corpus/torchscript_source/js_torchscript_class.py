class ClassUse(Module):
  __parameters__ = []
  __buffers__ = []
  training : bool
  _is_full_backward_hook : Optional[bool]
  def forward(self: __torch__.zoo_script.ClassUse,
    x: Tensor) -> Tuple[Tensor, float]:
    _0 = torch.size(x, 1)
    a = __torch__.zoo_script.Acc.__new__(__torch__.zoo_script.Acc)
    _1 = (a).__init__(_0, )
    for i in range(torch.size(x, 0)):
      _2 = (a).add(torch.select(x, 0, i), )
    t = a.t
    return (t, (a).mean())
class Acc:
  n : int
  v : List[float]
  t : Tensor
  def __init__(self: __torch__.zoo_script.Acc,
    n: int) -> NoneType:
    self.n = n
    self.v = annotate(List[float], [])
    self.t = torch.zeros([n])
    return None
  def add(self: __torch__.zoo_script.Acc,
    x: Tensor) -> NoneType:
    v = self.v
    _3 = torch.append(v, float(torch.sum(x)))
    t = self.t
    self.t = torch.add(t, x)
    return None
  def mean(self: __torch__.zoo_script.Acc) -> float:
    v = self.v
    _4 = torch.sum(v)
    v0 = self.v
    return torch.div(_4, float(torch.len(v0)))
