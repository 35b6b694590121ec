"""Modules for torch.jit.script: control flow over shapes and Python values, containers, in-place writes, early returns."""

from typing import Dict, List, NamedTuple, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import nn


class Pair(NamedTuple):
    left: torch.Tensor
    right: torch.Tensor


class Loops(nn.Module):
    """for over ranges, modules and lists; while; break and continue; integer arithmetic on shapes."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(6, 6) for _ in range(3)])
        self.steps = 4

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = torch.relu(layer(x)) + x
        total = torch.zeros_like(x)
        for k in range(self.steps):
            if k == 1:
                continue
            if k > x.size(0):
                break
            total += x * float(k)
        n = x.size(1)
        while n > 1:
            total = total - 0.5 * float(n // 2)
            n = n // 2
        return total


class Branches(nn.Module):
    """if on shapes, Optional arguments and attributes; early return; nested functions' results in tuples."""

    scale: Optional[float]

    def __init__(self, scale: Optional[float]):
        super().__init__()
        self.scale = scale
        self.conv = nn.Conv2d(3, 4, 3)

    def halves(self, x: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        n = x.size(1) // 2
        return x[:, :n], x[:, n:]

    def forward(self, x: torch.Tensor, extra: Optional[torch.Tensor] = None) -> torch.Tensor:
        if x.dim() == 3:
            x = x.unsqueeze(0)
        y = self.conv(x)
        if extra is not None:
            y = y + extra
        scale = self.scale
        if scale is None:
            return y
        a, b = self.halves(y)
        return torch.cat([a * scale, b], dim=1) if y.size(-1) > 2 else y


class Containers(nn.Module):
    """List, Dict, Tuple and NamedTuple values; comprehension; string keys; sorting of ints."""

    def forward(self, x: torch.Tensor) -> Dict[str, torch.Tensor]:
        pieces: List[torch.Tensor] = []
        for k in range(x.size(1)):
            pieces.append(x[:, k] * (k + 1))
        names = ["a", "b", "c"]
        out: Dict[str, torch.Tensor] = {}
        for name, p in zip(names, pieces):
            if name not in out:
                out[name] = p.cumsum(-1)
        pair = Pair(torch.stack(pieces, 1), x.mean(-1))
        sizes = [int(p.size(0)) for p in pieces]
        sizes.sort()
        out["sum"] = pair.left.sum(1) + pair.right.sum(1, keepdim=True) + float(len(sizes) + sizes[0])
        return out


class Writes(nn.Module):
    """Views that are written to; index_put; copies; fill."""

    def forward(self, x: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        y = x.clone()
        row = y[:, 1]
        row.mul_(2.0)
        y[:, :, 0] = 5.0
        y[0, 0, 1:3] += x[0, 1, 1:3]
        z = torch.zeros(x.size(0), x.size(1), x.size(2) + 2)
        z[:, :, 1:-1].copy_(y)
        z.transpose(1, 2)[:, 0].fill_(-1.0)
        index = torch.tensor([0, 2])
        z[:, index] = z[:, index] * 3.0
        return y, z


class Parallel(nn.Module):
    """fork and wait."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(5, 5), nn.Linear(5, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        future = torch.jit.fork(self.a, x)
        y = self.b(x)
        return torch.jit.wait(future) * torch.sigmoid(y)


class Pyramid(nn.Module):
    """A scripted detection neck: lists of feature maps, interpolate to the size of another, sizes computed."""

    def __init__(self):
        super().__init__()
        self.inner = nn.ModuleList([nn.Conv2d(c, 8, 1) for c in (4, 6, 8)])
        self.outer = nn.ModuleList([nn.Conv2d(8, 8, 3, padding=1) for _ in range(3)])
        self.down = nn.ModuleList([nn.Conv2d(i, o, 3, 2, 1) for i, o in ((3, 4), (4, 6), (6, 8))])

    def forward(self, x: torch.Tensor) -> List[torch.Tensor]:
        maps: List[torch.Tensor] = []
        for conv in self.down:
            x = F.relu(conv(x), inplace=True)
            maps.append(x)
        laterals: List[torch.Tensor] = []
        for k, conv in enumerate(self.inner):
            laterals.append(conv(maps[k]))
        for k in range(len(laterals) - 1, 0, -1):
            laterals[k - 1] += F.interpolate(laterals[k], size=laterals[k - 1].shape[-2:], mode="nearest")
        out: List[torch.Tensor] = []
        for k, conv in enumerate(self.outer):
            out.append(conv(laterals[k]))
        return out
