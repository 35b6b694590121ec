"""Reductions, running reductions, order statistics."""

import torch
from make_cases import FLOATS, INTS

SHAPES_DIMS = [((4,), [0]), ((3, 5), [0]), ((3, 5), [1]), ((3, 5), [0, 1]), ((2, 3, 4), [1]), ((2, 3, 4), [0, 2]), ((2, 3, 4), [-1]),
               ((2, 3, 4, 5), [2, 3]), ((2, 3, 4, 5), [1]), ((2, 3, 4, 5), [0, 2]), ((1, 1), [0]), ((), []), ((2, 3), [])]
ALL = FLOATS + INTS + (torch.bool,)


def fill(c):
    sums(c)
    extrema(c)
    truth(c)
    spread(c)
    norms(c)
    running(c)
    order(c)


def sums(c):
    for shape, dims in SHAPES_DIMS:
        for keep in (False, True):
            for name in ("sum.dim_IntList", "mean.dim", "amax", "amin", "logsumexp", "nansum", "nanmean"):
                c.add(name, c.tensor(shape), dims, keep)
        c.add("sum", c.tensor(shape))
        c.add("mean", c.tensor(shape))
        c.add("prod", c.tensor(shape))
    for dtype in ALL:
        x = c.tensor((3, 4), dtype, -3, 3)
        c.add("sum", x)
        c.add("prod", x)
        c.add("mean", x)
        c.add("mean", x, dtype=torch.float32)
        c.add("sum.dim_IntList", x, [1])
        c.add("sum.dim_IntList", x, [1], dtype=torch.float64)
        c.add("sum", x, dtype=torch.int32)
        c.add("prod.dim_int", x, 0, True)
        c.add("cumsum", x, 1)
        c.add("cumprod", x, 0)
    c.add("sum.dim_IntList", c.tensor((3, 4)), None, True)
    c.add("mean.dim", c.tensor((3, 4)), None)
    c.add("sum", c.tensor((0, 3)))
    c.add("sum.dim_IntList", c.tensor((0, 3)), [0])
    c.add("prod", c.tensor((0,)))
    c.add("mean", c.tensor((0,)))
    c.add("sum", c.tensor((100, 100), torch.float16))
    c.add("sum", c.tensor((1000, 40), low=0.1, high=0.2))
    for special in ("nansum", "nanmean"):
        c.add(special, c.tensor((3, 5), special=True).nan_to_num(posinf=1.0, neginf=2.0), [1])
        x = c.tensor((3, 5))
        x[1, 2] = float("nan")
        c.add(special, x, [1])


def extrema(c):
    for dtype in ALL:
        x = c.tensor((3, 4), dtype, -3, 3)
        for name in ("max", "min"):
            c.add(name, x)
            for keep in (False, True):
                c.add(name + ".dim", x, 1, keep)
        for name in ("argmax", "argmin"):
            c.add(name, x)
        for name in ("amax", "amin"):
            c.add(name, x, [0])
    for shape in ((2, 3, 4), (5,), ()):
        for dim in range(-len(shape), len(shape)):
            x = c.tensor(shape)
            c.add("max.dim", x, dim)
            c.add("min.dim", x, dim, True)
            c.add("argmax", x, dim)
            c.add("argmin", x, dim, True)
            c.add("aminmax", x, dim=dim)
        c.add("argmax", c.tensor(shape), None, True)
    nan = c.tensor((3, 5), special=True)
    for name in ("max", "min", "argmax", "argmin"):
        c.add(name, nan)
    for name in ("max.dim", "min.dim", "argmax", "argmin"):
        c.add(name, nan, 1)
    c.add("amax", nan, [0])
    c.add("aminmax", c.tensor((3, 4)))
    ties = torch.tensor([[1.0, 3.0, 3.0, 1.0], [2.0, 2.0, 2.0, 2.0]])
    c.add("argmax", ties, 1)
    c.add("argmin", ties, 1)


def truth(c):
    for dtype in ALL:
        for name in ("any", "all"):
            x = c.tensor((3, 4), dtype, 0, 1)
            c.add(name, x)
            c.add(name + ".dim", x, 1)
            c.add(name + ".dim", x, 0, True)
    c.add("any", c.tensor((0,), torch.bool))
    c.add("all", c.tensor((0,), torch.bool))
    for dim in (None, 0, 1):
        c.add("count_nonzero", c.tensor((3, 4), torch.int64, -1, 1), dim)
    c.add("count_nonzero.dim_IntList", c.tensor((3, 4, 2), torch.int64, -1, 1), [0, 2])


def spread(c):
    for name in ("var", "std", "var_mean", "std_mean"):
        for shape, dims in SHAPES_DIMS:
            if shape == ():
                continue
            for unbiased in (True, False):
                c.add(name + ".dim", c.tensor(shape), dims or [0], unbiased, True)
                c.add(name, c.tensor(shape), unbiased)
            for correction in (None, 0, 1, 2):
                c.add(name + ".correction", c.tensor(shape), dims or None, correction=correction)
        for dtype in (torch.float64, torch.float16, torch.bfloat16):
            c.add(name, c.tensor((6, 5), dtype), True)
        c.add(name, c.tensor((1,)), True)
        c.add(name, c.tensor((6, 5), low=1000, high=1001), True, rtol=1e-4)


def norms(c):
    orders = (2, 1, 0, 3, 0.5, float("inf"), float("-inf"))
    for p in orders:
        c.add("linalg_vector_norm", c.tensor((3, 4)), p)
        c.add("linalg_vector_norm", c.tensor((3, 4, 2)), p, [1], True)
        c.add("linalg_vector_norm", c.tensor((3, 4, 2)), p, [0, 2])
        c.add("norm.ScalarOpt_dim", c.tensor((3, 4)), p, [1])
        c.add("norm.Scalar", c.tensor((3, 4)), p)
        c.add("dist", c.tensor((3, 4)), c.tensor((4,)), p)
    c.add("norm.ScalarOpt_dim", c.tensor((3, 4)), None, [1], True)
    c.add("linalg_vector_norm", c.tensor((3, 4), torch.float64))
    c.add("linalg_norm", c.tensor((3, 4)))


    c.add("norm.ScalarOpt_dim_dtype", c.tensor((3, 4)), 2, [1], False, dtype=torch.float64)
    c.add("norm.ScalarOpt_dtype", c.tensor((3, 4)), 2, dtype=torch.float64)
    c.add("special_logsumexp", c.tensor((3, 4)), [1])
    c.add("searchsorted.Scalar", torch.tensor([1.0, 3.0]), 2)


    for a, b in (((3,), (3,)), ((2, 3), (3,)), ((2, 3), (4, 3)), ((), (3,)), ((2, 2, 3), (4, 3))):
        c.add("inner", c.tensor(a), c.tensor(b))
    for a, b in (((2, 3), (2, 2)), ((3,), (2, 2)), ((2, 2, 2), (3,)), ((), (2,))):
        c.add("kron", c.tensor(a), c.tensor(b))


def running(c):
    for shape in ((5,), (3, 4), (2, 3, 4), (), (0,), (1, 1)):
        for dim in range(-max(1, len(shape)), max(1, len(shape))):
            for name in ("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp"):
                c.add(name, c.tensor(shape), dim)
    c.add("cumsum", c.tensor((4,), torch.int32), 0)
    c.add("cumsum", c.tensor((4,)), 0, dtype=torch.float64)
    c.add("cummax", torch.tensor([1.0, 3.0, 3.0, 2.0, float("nan"), 5.0]), 0)
    c.add("cummin", torch.tensor([3, 1, 1, 2, 0, 0]), 0)
    c.add("logcumsumexp", torch.tensor([float("-inf"), 0.0, 500.0, 1.0]), 0)


def distinct(c, shape, dtype=torch.float32):
    count = 1
    for n in shape:
        count *= n
    return torch.randperm(count, generator=c.generator).reshape(shape).to(dtype)


def order(c):
    for shape in ((6,), (3, 5), (2, 3, 4), (1,), ()):
        for dim in range(-max(1, len(shape)), max(1, len(shape))):
            for descending in (False, True):
                c.add("sort", distinct(c, shape), dim, descending)
                c.add("argsort", distinct(c, shape), dim, descending)
                c.add("sort.stable", c.tensor(shape, torch.int64, 0, 2), stable=True, dim=dim, descending=descending)
            size = shape[dim] if shape else 1
            for k in {0 if shape else 1, 1, size}:
                for largest in (True, False):
                    c.add("topk", distinct(c, shape), k, dim, largest)
            c.add("kthvalue", distinct(c, shape), 1, dim)
            c.add("kthvalue", distinct(c, shape), size, dim, True)
            c.add("median.dim", distinct(c, shape), dim)
    for dtype in (torch.int64, torch.float64, torch.int32, torch.uint8):
        c.add("sort", distinct(c, (3, 5), dtype), 1)
        c.add("topk", distinct(c, (3, 5), dtype), 2, 1)
    c.add("sort", torch.tensor([2.0, float("nan"), 1.0, float("inf"), float("-inf")]), 0)
    c.add("sort", torch.tensor([2.0, float("nan"), 1.0]), 0, True)
    c.add("topk", torch.tensor([2.0, float("nan"), 1.0]), 2)
    c.add("median", distinct(c, (3, 4)))
    c.add("median", torch.tensor([1.0, float("nan"), 3.0]))
    c.add("median.dim", torch.tensor([[1.0, float("nan"), 3.0], [3.0, 1.0, 2.0]]), 1)
    c.add("msort", distinct(c, (4, 3)))
    for mode in ("linear", "lower", "higher", "nearest", "midpoint"):
        for q in (0.0, 0.3, 0.5, 1.0):
            c.add("quantile.scalar", c.tensor((4, 5)), q, 1, interpolation=mode)
        c.add("quantile", c.tensor((4, 5)), torch.tensor([0.1, 0.6]), 0, True, interpolation=mode)
    c.add("quantile.scalar", c.tensor((4, 5)), 0.4)
    edges = torch.tensor([1.0, 3.0, 5.0, 7.0])
    for right in (False, True):
        c.add("searchsorted.Tensor", edges, torch.tensor([[0.0, 1.0, 2.0], [3.0, 7.0, 9.0]]), right=right)
        c.add("searchsorted.Tensor", torch.stack([edges, edges + 1]), c.tensor((2, 3), low=0, high=9), right=right)
        c.add("bucketize.Tensor", c.tensor((3, 4), low=0, high=9), edges, right=right)
        c.add("bucketize.Tensor", c.tensor((3,), torch.int64, 0, 9), torch.tensor([1, 3, 5]), right=right, out_int32=True)
    for bins in (4, 7):
        c.add("histc", c.tensor((50,), low=-1, high=4), bins, 0, 3)
    c.add("histc", torch.tensor([0.0, 1.0, 2.0, 3.0]), 3, 0, 3)
