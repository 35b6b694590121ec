"""float16 storage: parameters stored as half, cast to float32 where they are used.

An archive of half the size whose arithmetic is float32 throughout: `weight.to(float32)` appears in the graph in front
of every use and a reader folds it.
"""

import torch
import torch.nn.functional as F
from torch import nn


def _f(t):
    return None if t is None else t.to(torch.float32)


class HalfLinear(nn.Linear):
    def forward(self, x):
        return F.linear(x, _f(self.weight), _f(self.bias))


class HalfConv1d(nn.Conv1d):
    def forward(self, x):
        return self._conv_forward(x, _f(self.weight), _f(self.bias))


class HalfConv2d(nn.Conv2d):
    def forward(self, x):
        return self._conv_forward(x, _f(self.weight), _f(self.bias))


class HalfLayerNorm(nn.LayerNorm):
    def forward(self, x):
        return F.layer_norm(x, self.normalized_shape, _f(self.weight), _f(self.bias), self.eps)


class HalfEmbedding(nn.Embedding):
    def forward(self, x):
        return F.embedding(x, _f(self.weight))


_HALF = {nn.Linear: HalfLinear, nn.Conv1d: HalfConv1d, nn.Conv2d: HalfConv2d, nn.LayerNorm: HalfLayerNorm,
         nn.Embedding: HalfEmbedding}


def to_half_storage(model):
    """Turns `model` in place. Modules of other types keep float32, except parameters and buffers that a module lists in
    `half_storage`: it promises to cast these itself."""
    for m in model.modules():
        base = next((b for b in _HALF if isinstance(m, b)), None)
        own = getattr(m, "half_storage", ())
        if base is not None:
            # Subclasses with a forward of their own (a frozen mean shift, say) are fine as long as it is the base's.
            if type(m).forward is not base.forward:
                continue
            m.__class__ = _HALF[base]
            own = ("weight", "bias")
        for name in own:
            t = getattr(m, name, None)
            if t is not None:
                t.data = t.data.half()
    return model
