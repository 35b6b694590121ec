"""Neural operators: convolutions, matrix products, norms, pools, resizing, attention, recurrence, sampling, losses."""

import itertools
import math

import torch
import torch.nn.functional as F

LOOSE = {"rtol": 1e-4, "atol": 1e-5}


def fill(c):
    convolutions(c)
    transposed(c)
    products(c)
    contractions(c)
    norms(c)
    max_pools(c)
    average_pools(c)
    adaptive_pools(c)
    resizing(c)
    antialias(c)
    attention(c)
    encoder_fast_paths(c)
    recurrence(c)
    packed(c)
    cells(c)
    sampling(c)
    unfolding(c)
    distances(c)
    bags(c)
    class_losses(c)
    losses(c)
    quantisation(c)


def spatial(rank, sizes):
    return list(sizes[:rank])


# Convolutions ---------------------------------------------------------------------------------------------------------


def convolutions(c):
    settings = [  # stride, padding, dilation, groups
        (1, 0, 1, 1), (2, 1, 1, 1), (1, 2, 2, 1), (3, 1, 1, 2), (1, 1, 1, 6), (2, 0, 3, 3),
    ]
    for rank in (1, 2, 3):
        for (stride, pad, dilation, groups), bias in itertools.product(settings, (False, True)):
            x = c.tensor([2, 6] + spatial(rank, (9, 8, 10)))
            w = c.tensor([6, 6 // groups] + spatial(rank, (3, 2, 3)))
            b = c.tensor([6]) if bias else None
            s, p, d = [stride] * rank, [pad] * rank, [dilation] * rank
            c.add(f"conv{rank}d", x, w, b, s, p, d, groups, **LOOSE)
            c.add("_convolution", x, w, b, s, p, d, False, [0] * rank, groups, False, False, True, True, **LOOSE)
            c.add("_convolution.deprecated", x, w, b, s, p, d, False, [0] * rank, groups, False, False, True, **LOOSE)
            c.add("convolution", x, w, b, s, p, d, False, [0] * rank, groups, **LOOSE)
        for mode, dilation, kernel in itertools.product(("same", "valid"), (1, 2), (2, 3, 4)):
            x, w = c.tensor([1, 2] + spatial(rank, (9, 10, 11))), c.tensor([3, 2] + [kernel] * rank)
            c.add(f"conv{rank}d.padding", x, w, None, [1] * rank, mode, [dilation] * rank, 1, **LOOSE)
            c.add("_convolution_mode", x, w, None, [1] * rank, mode, [dilation] * rank, 1, **LOOSE)
        x = c.tensor([2] + spatial(rank, (7, 6, 5)))  # no batch dim
        c.add(f"conv{rank}d", x, c.tensor([3, 2] + [3] * rank), None, **LOOSE)
    # Strides, paddings and dilations that differ by dim; a kernel as large as its input; one element.
    c.add("conv2d", c.tensor([1, 3, 9, 12]), c.tensor([4, 3, 3, 2]), None, [1, 3], [2, 0], [2, 1], 1, **LOOSE)
    c.add("conv3d", c.tensor([1, 2, 5, 6, 7]), c.tensor([3, 2, 1, 2, 3]), None, [1, 2, 1], [0, 1, 2], [3, 1, 2], 1, **LOOSE)
    c.add("conv2d", c.tensor([1, 3, 4, 5]), c.tensor([2, 3, 4, 5]), None, **LOOSE)
    c.add("conv2d", c.tensor([1, 1, 1, 1]), c.tensor([1, 1, 3, 3]), None, [1, 1], [1, 1], **LOOSE)
    c.add("conv2d", c.tensor([0, 2, 5, 5]), c.tensor([3, 2, 3, 3]), None)
    c.add("conv2d", c.tensor([2, 3, 5, 5], torch.float64), c.tensor([4, 3, 3, 3], torch.float64), None)
    c.add("conv2d", c.tensor([2, 3, 5, 5], torch.bfloat16), c.tensor([4, 3, 3, 3], torch.bfloat16), None, atol=0.2)
    c.add("conv2d", c.tensor([1, 300, 5, 5]), c.tensor([2, 300, 3, 3]), None, atol=1e-3, rtol=1e-4)
    c.add("conv_tbc", c.tensor([7, 2, 4]), c.tensor([3, 4, 5]), c.tensor([5]), 1, **LOOSE)
    for dim in (0, 1, 2):
        shape = [1, 1, 1]
        shape[dim] = (4, 3, 5)[dim]
        c.add("_weight_norm", c.tensor([4, 3, 5]), c.tensor(shape), dim)
    c.add("_weight_norm", c.tensor([4, 3]), c.tensor([]), -1)


def transposed(c):
    settings = [  # stride, padding, output padding, groups, dilation
        (1, 0, 0, 1, 1), (2, 1, 1, 1, 1), (2, 0, 0, 2, 1), (3, 2, 1, 3, 2), (1, 1, 0, 6, 1), (2, 0, 1, 1, 3),
    ]
    names = ("conv_transpose1d", "conv_transpose2d.input", "conv_transpose3d.input")
    for rank in (1, 2, 3):
        for (stride, pad, extra, groups, dilation), bias in itertools.product(settings, (False, True)):
            x = c.tensor([2, 6] + spatial(rank, (5, 4, 3)))
            w = c.tensor([6, 6 // groups] + spatial(rank, (3, 4, 2)))
            b = c.tensor([6 // groups * groups]) if bias else None
            s, p, e, d = [stride] * rank, [pad] * rank, [extra] * rank, [dilation] * rank
            c.add(names[rank - 1], x, w, b, s, p, e, groups, d, **LOOSE)
            c.add("_convolution", x, w, b, s, p, d, True, e, groups, False, False, True, True, **LOOSE)
    c.add("conv_transpose2d.input", c.tensor([6, 4, 5]), c.tensor([6, 2, 3, 3]), None, [2, 1], [0, 1], [1, 0], **LOOSE)


# Products -------------------------------------------------------------------------------------------------------------

MATMULS = [
    ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((4, 2, 3), (3,)), ((3,), (4, 3, 2)), ((2, 3), (3, 4)),
    ((5, 2, 3), (3, 4)), ((2, 3), (5, 3, 4)), ((2, 1, 4, 3), (5, 3, 2)), ((1, 3), (3, 1)), ((65, 300), (300, 9)),
    ((0, 3), (3, 4)), ((2, 0), (0, 3)), ((6, 1, 2, 3), (1, 5, 3, 2)),
]


def products(c):
    for a, b in MATMULS:
        for dtype in (torch.float32, torch.float64, torch.int64, torch.int32):
            c.add("matmul", c.tensor(a, dtype), c.tensor(b, dtype), atol=2e-4)
    for dtype in (torch.float32, torch.int64, torch.bfloat16):
        loose = {"atol": 0.3} if dtype == torch.bfloat16 else LOOSE
        c.add("mm", c.tensor([4, 5], dtype), c.tensor([5, 3], dtype), **loose)
        c.add("bmm", c.tensor([2, 4, 5], dtype), c.tensor([2, 5, 3], dtype), **loose)
        c.add("mv", c.tensor([4, 5], dtype), c.tensor([5], dtype), **loose)
        c.add("dot", c.tensor([5], dtype), c.tensor([5], dtype), **loose)
        c.add("vdot", c.tensor([5], dtype), c.tensor([5], dtype), **loose)
        c.add("outer", c.tensor([4], dtype), c.tensor([3], dtype), **loose)
        c.add("ger", c.tensor([4], dtype), c.tensor([3], dtype), **loose)
    for beta, alpha in ((1, 1), (0.5, 2), (0, 3)):
        k = {"beta": beta, "alpha": alpha, **LOOSE}
        c.add("addmm", c.tensor([3]), c.tensor([4, 5]), c.tensor([5, 3]), **k)
        c.add("addmm", c.tensor([4, 3]), c.tensor([4, 5]), c.tensor([5, 3]), **k)
        c.add("addmm", c.tensor([4, 1]), c.tensor([4, 5]), c.tensor([5, 3]), **k)
        c.add("addmv", c.tensor([4]), c.tensor([4, 5]), c.tensor([5]), **k)
        c.add("addr", c.tensor([4, 3]), c.tensor([4]), c.tensor([3]), **k)
        if beta != 0:  # PyTorch 1.13 multiplies uninitialised memory by 0 here
            c.add("baddbmm", c.tensor([2, 4, 3]), c.tensor([2, 4, 5]), c.tensor([2, 5, 3]), **k)
            c.add("baddbmm", c.tensor([1, 3]), c.tensor([2, 4, 5]), c.tensor([2, 5, 3]), **k)
        c.add("addbmm", c.tensor([4, 3]), c.tensor([2, 4, 5]), c.tensor([2, 5, 3]), **k)
    for shape in ((3,), (2, 3), (2, 5, 3), (2, 2, 5, 3), (0, 3)):
        for bias in (None, c.tensor([4])):
            c.add("linear", c.tensor(shape), c.tensor([4, 3]), bias, **LOOSE)
    c.add("linear", c.tensor([2, 3]), c.tensor([3]), None, **LOOSE)
    c.add("linalg_multi_dot", [c.tensor([2, 3]), c.tensor([3, 4]), c.tensor([4, 2])], atol=1e-4)
    c.add("linalg_matmul", c.tensor([2, 3]), c.tensor([3, 4]), **LOOSE)
    c.add("bilinear", c.tensor([2, 3]), c.tensor([2, 4]), c.tensor([5, 3, 4]), c.tensor([5]), **LOOSE)
    c.add("bilinear", c.tensor([2, 6, 3]), c.tensor([2, 6, 4]), c.tensor([5, 3, 4]), None, **LOOSE)


EINSUMS = [
    ("ij,jk->ik", (2, 3), (3, 4)), ("ij,jk", (2, 3), (3, 4)), ("ba", (2, 3)), ("bhid,bhjd->bhij", (2, 3, 4, 5), (2, 3, 6, 5)),
    ("bhij,bhjd->bhid", (2, 3, 4, 6), (2, 3, 6, 5)), ("ii->i", (4, 4)), ("ii", (4, 4)), ("ijk->kji", (2, 3, 4)),
    ("i,j->ij", (3,), (4,)), ("bn,anm,bm->ba", (2, 5), (3, 5, 4), (2, 4)), ("...ij,...jk->...ik", (2, 3, 4, 5), (3, 5, 6)),
    ("...d,d->...", (2, 3, 4), (4,)), ("bqhd,bkhd->bhqk", (2, 5, 3, 4), (2, 6, 3, 4)), ("ij->", (3, 4)),
    ("ij,ij->i", (3, 4), (3, 4)), ("aij,bjk->aik", (2, 3, 4), (5, 4, 6)), ("b i j , b j -> b i", (2, 3, 4), (2, 4)),
    ("abc,cd", (2, 3, 4), (4, 5)), ("bhwc,hkc->bhwk", (2, 3, 4, 5), (3, 6, 5)), ("iji->j", (3, 4, 3)),
    ("bchw,bkhw->bck", (2, 3, 4, 4), (2, 5, 4, 4)), ("i,i->", (5,), (5,)), ("bijd,i->bjd", (2, 3, 4, 5), (3,)),
    ("ab,bc,cd->ad", (2, 3), (3, 4), (4, 5)), ("ab...,b->a...", (2, 3, 4, 5), (3,)), ("bij,bjk->bik", (1, 2, 3), (4, 3, 2)),
    ("iiij->ij", (2, 2, 2, 3)), ("aabb->ab", (2, 2, 3, 3)), ("...,...->...", (2, 3), (3,)), ("aB,Bc->Bac", (2, 3), (3, 4)),
    ("bij,ij->b", (2, 3, 4), (1, 4)), ("nctkv,kvw->nctw", (2, 3, 4, 2, 5), (2, 5, 5)),
]


def contractions(c):
    for equation, *shapes in EINSUMS:
        c.add("einsum", equation, [c.tensor(s) for s in shapes], atol=1e-4, rtol=1e-4)
    c.add("tensordot", c.tensor([3, 4, 5]), c.tensor([4, 2, 3]), [1, 0], [0, 2], **LOOSE)
    c.add("tensordot", c.tensor([5, 3, 4]), c.tensor([3, 4, 2]), [-2, 2], [0, 1], **LOOSE)
    c.add("tensordot", c.tensor([2, 3]), c.tensor([4, 5]), [], [], **LOOSE)


# Norms ----------------------------------------------------------------------------------------------------------------


def norms(c):
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        loose = {"atol": 0.05} if dtype == torch.bfloat16 else LOOSE
        for shape, n in (((2, 5), 1), ((2, 3, 4), 1), ((2, 3, 4), 2), ((1, 7), 1)):
            last = list(shape[-n:])
            for affine in (False, True):
                w = c.tensor(last, dtype) if affine else None
                b = c.tensor(last, dtype) if affine else None
                c.add("layer_norm", c.tensor(shape, dtype), last, w, b, 1e-5, **loose)
        c.add("batch_norm", c.tensor([2, 3, 4], dtype), c.tensor([3], dtype), c.tensor([3], dtype), c.tensor([3], dtype),
              c.tensor([3], dtype, 0.1, 2), False, 0.1, 1e-5, True, **loose)
    for shape in ((4, 3), (2, 3, 5), (2, 3, 4, 5), (1, 3, 4, 5), (2, 3, 4, 3, 2)):
        for affine, training, stored in itertools.product((False, True), (False, True), (False, True)):
            w, b = (c.tensor([3]), c.tensor([3])) if affine else (None, None)
            mean, var = (c.tensor([3]), c.tensor([3], low=0.1)) if stored else (None, None)
            c.add("batch_norm", c.tensor(shape), w, b, mean, var, training or not stored, 0.1, 1e-3, True, **LOOSE)
            if len(shape) > 2:
                c.add("instance_norm", c.tensor(shape), w, b, mean, var, training or not stored, 0.1, 1e-3, True, **LOOSE)
        c.add("native_batch_norm", c.tensor(shape), None, None, None, None, True, 0.1, 1e-3, **LOOSE)
    for groups, shape in itertools.product((1, 2, 6), ((2, 6), (2, 6, 5), (2, 6, 3, 4), (1, 6, 2, 3, 4))):
        for affine in (False, True):
            w, b = (c.tensor([6]), c.tensor([6])) if affine else (None, None)
            # A group of one element has variance 0: PyTorch's float scale 1/sqrt(eps) costs it four digits.
            loose = {"atol": 2e-3} if shape == (2, groups) else LOOSE
            c.add("group_norm", c.tensor(shape), groups, w, b, 1e-5, **loose)
    c.add("native_layer_norm", c.tensor([2, 3, 4]), [3, 4], c.tensor([3, 4]), None, 1e-5, **LOOSE)
    c.add("native_group_norm", c.tensor([2, 6, 5]), None, c.tensor([6]), 2, 6, 5, 3, 1e-5, **LOOSE)

    def rms(x, shape, weight=None, eps=None):
        axes = list(range(-len(shape), 0))
        y = x / (x.pow(2).mean(axes, keepdim=True) + (torch.finfo(x.dtype).eps if eps is None else eps)).sqrt()
        return y if weight is None else y * weight

    for shape, eps, affine in itertools.product(([4], [3, 4]), (None, 1e-3), (False, True)):
        c.add("rms_norm", c.tensor([2, 3, 4]), shape, c.tensor(shape) if affine else None, eps, oracle=rms, **LOOSE)


# Pools ----------------------------------------------------------------------------------------------------------------

WINDOWS = [  # kernel, stride, padding, dilation, ceil
    (2, None, 0, 1, False), (3, 2, 1, 1, False), (3, 2, 1, 1, True), (3, 3, 0, 2, True), (2, 3, 1, 1, True), (4, 1, 2, 1, False),
    (1, 2, 0, 1, True), (3, 2, 0, 1, True),
]


def max_pools(c):
    for rank in (1, 2, 3):
        for kernel, stride, pad, dilation, ceil in WINDOWS:
            sizes = [[kernel] * rank, [stride] * rank if stride else [], [pad] * rank, [dilation] * rank]
            for shape in ([2, 3] + spatial(rank, (9, 8, 7)), [3] + spatial(rank, (7, 8, 9))):
                c.add(f"max_pool{rank}d", c.tensor(shape), *sizes, ceil)
            if rank > 1:
                c.add(f"max_pool{rank}d_with_indices", c.tensor([2, 3] + spatial(rank, (9, 8, 7))), *sizes, ceil)
    c.add("max_pool1d_with_indices", c.tensor([2, 3, 9]), [3], [2], [1], [1], False)
    c.add("max_pool2d", c.tensor([1, 2, 6, 6], special=True), [2, 2])
    c.add("max_pool2d", c.tensor([1, 2, 7, 9]), [3, 2], [2, 1], [1, 0], [1, 3])
    c.add("max_pool2d", c.tensor([1, 2, 6, 6], torch.float64), [2, 2])


def average_pools(c):
    for rank in (1, 2, 3):
        for (kernel, stride, pad, dilation, ceil), include in itertools.product(WINDOWS, (False, True)):
            if dilation > 1:
                continue
            x = c.tensor([2, 3] + spatial(rank, (9, 8, 7)))
            args = [[kernel] * rank, [stride] * rank if stride else [], [pad] * rank, ceil, include]
            c.add(f"avg_pool{rank}d", x, *args)
            if rank > 1:
                c.add(f"avg_pool{rank}d", x, *args, 5)
    c.add("avg_pool2d", c.tensor([3, 7, 9]), [3, 2], [2, 1], [1, 0])


def adaptive_pools(c):
    for rank in (1, 2, 3):
        for size in (1, 2, 3, 4, 5, 7, 11):
            for shape in ([2, 3] + spatial(rank, (8, 6, 9)), [3] + spatial(rank, (6, 6, 6))):
                c.add(f"adaptive_avg_pool{rank}d", c.tensor(shape), [size] * rank)
                c.add(f"adaptive_max_pool{rank}d", c.tensor(shape), [size] * rank)
    c.add("adaptive_avg_pool2d", c.tensor([1, 2, 5, 7]), [5, 3])
    c.add("adaptive_avg_pool2d", c.tensor([1, 2, 12, 7]), [4, 1])


# Resizing -------------------------------------------------------------------------------------------------------------


def resizing(c):
    modes = [("upsample_nearest", None), ("_upsample_nearest_exact", None), ("linear", False), ("linear", True),
             ("upsample_bicubic", False), ("upsample_bicubic", True)]
    linear = ("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d")
    for rank, (mode, align) in itertools.product((1, 2, 3), modes):
        if mode == "upsample_bicubic" and rank != 2:
            continue
        name = linear[rank - 1] if mode == "linear" else f"{mode}{rank}d"
        corners = [] if align is None else [align]
        x = c.tensor([2, 3] + spatial(rank, (5, 7, 6)))
        for size in ((8, 9, 11), (3, 7, 4), (1, 1, 1), (10, 14, 12), (5, 7, 6), (13, 2, 5)):
            c.add(name, x, spatial(rank, size), *corners, atol=5e-6)
            c.add(f"{name}.vec", x, spatial(rank, size), *corners, None, atol=5e-6)
            c.add(name, x, spatial(rank, size), *corners, *[None] * rank, atol=5e-6)
        for scale in ((2.0, 2.0, 2.0), (1.7, 0.6, 2.3), (0.5, 3.0, 1.0), (1.3, 1.9, 0.9)):
            c.add(f"{name}.vec", x, None, *corners, spatial(rank, scale), atol=5e-6)
        size = [int(s * 1.7) for s in spatial(rank, (5, 7, 6))]
        c.add(name, x, size, *corners, *[1.7] * rank, atol=5e-6)
    # Nearest neighbours for many pairs of sizes: positions must be rounded as PyTorch rounds them.
    for i in range(40):
        a, b = (int(v) for v in c.integers([2], 1, 300))
        x = torch.arange(float(a)).reshape(1, 1, a)
        c.add("upsample_nearest1d", x, [b])
        c.add("_upsample_nearest_exact1d", x, [b])
    c.add("upsample_nearest2d", c.tensor([1, 2, 4, 4], torch.uint8, 0, 255), [7, 5])
    c.add("upsample_bilinear2d", c.tensor([1, 2, 4, 4], torch.float64), [7, 5], False)


def antialias(c):
    for mode, align in itertools.product(("bilinear", "bicubic"), (False, True)):
        for shape, size in (((11, 9), (8, 9)), ((11, 9), (3, 4)), ((11, 9), (1, 13)), ((30, 31), (7, 5)), ((4, 5), (9, 11))):
            c.add(f"_upsample_{mode}2d_aa", c.tensor((2, 3) + shape), list(size), align, **LOOSE)
        for scale in ((0.37, 0.6), (0.5, 0.5), (1.5, 0.3)):
            c.add(f"_upsample_{mode}2d_aa.vec", c.tensor([1, 2, 11, 9]), None, align, list(scale), **LOOSE)


# Attention ------------------------------------------------------------------------------------------------------------


def dot_product_attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
        value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
    scores = query @ key.transpose(-1, -2) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    if attn_mask is not None:
        term = attn_mask
        if attn_mask.dtype == torch.bool:
            term = torch.zeros(attn_mask.shape, dtype=scores.dtype).masked_fill(~attn_mask, float("-inf"))
        scores = scores + term
    return scores.softmax(-1).nan_to_num(0.0) @ value  # a row that may look nowhere gives zeros


def attention(c):
    for shape, keys in (((2, 5, 8), 7), ((2, 3, 5, 8), 5), ((5, 8), 4), ((1, 2, 2, 3, 4), 6)):
        q, k, v = c.tensor(shape), c.tensor(shape[:-2] + (keys, shape[-1])), c.tensor(shape[:-2] + (keys, 6))
        args = {"oracle": dot_product_attention, **LOOSE}
        name = "scaled_dot_product_attention"
        keep = c.tensor((shape[-2], keys), torch.bool)
        keep[:, 0] = True
        c.add(name, q, k, v, **args)
        c.add(name, q, k, v, c.tensor((shape[-2], keys)), **args)
        c.add(name, q, k, v, keep, **args)
        c.add(name, q, k, v, None, 0.0, True, **args)
        c.add(name, q, k, v, scale=0.3, **args)
        nothing = keep.clone()
        nothing[-1] = False
        c.add(name, q, k, v, nothing, **args)
        c.add(name, q, k, v, torch.zeros(shape[-2], keys).masked_fill(~keep, float("-inf")), **args)
    c.add("scaled_dot_product_attention", c.tensor([2, 6, 5, 4]), c.tensor([2, 2, 7, 4]), c.tensor([2, 2, 7, 4]),
          enable_gqa=True, oracle=dot_product_attention, **LOOSE)


def projection(c, width):
    return [c.tensor([3 * width, width], low=-0.5, high=0.5), c.tensor([3 * width]), c.tensor([width, width]), c.tensor([width])]


def masks(c, batch, heads, length):
    causal = torch.ones(length, length, dtype=torch.bool).triu(1)
    padding = torch.arange(length)[None, :] >= torch.tensor([length, length - 2])[:batch, None]
    return [(None, None), (causal, 0), (padding, 1), (causal.expand(batch, heads, length, length).contiguous(), 2)]


def encoder_fast_paths(c):
    width, heads = 8, 2
    for mask, kind in masks(c, 2, heads, 5):
        x = c.tensor([2, 5, width])
        for average in (True, False):
            c.add("_native_multi_head_attention", x, x, x, width, heads, *projection(c, width), mask, True, average, kind,
                  **LOOSE)
        for gelu, first in itertools.product((False, True), (False, True)):
            norms_ = [c.tensor([width]) for _ in range(4)]
            feed = [c.tensor([12, width]), c.tensor([12]), c.tensor([width, 12]), c.tensor([width])]
            c.add("_transformer_encoder_layer_fwd", x, width, heads, *projection(c, width), gelu, first, 1e-5, *norms_, *feed,
                  mask, kind, rtol=1e-4, atol=1e-4)


# Recurrence -----------------------------------------------------------------------------------------------------------


def parameters(c, gates, inputs, hidden, layers, directions, biases, projected=0):
    out, params = projected or hidden, []
    for layer in range(layers):
        width = inputs if layer == 0 else out * directions
        for _ in range(directions):
            shapes = [(gates * hidden, width), (gates * hidden, out)]
            shapes += [(gates * hidden,)] * 2 if biases else []
            shapes += [(projected, hidden)] if projected else []
            params += [c.tensor(s, low=-0.6, high=0.6) for s in shapes]
    return params


RNNS = [("lstm", 4), ("gru", 3), ("rnn_tanh", 1), ("rnn_relu", 1)]


def states(c, name, layers, directions, batch, hidden, projected=0, zero=False):
    shape = (layers * directions, batch, projected or hidden)
    h = torch.zeros(shape) if zero else c.tensor(shape)
    return [h, c.tensor((layers * directions, batch, hidden))] if name == "lstm" else h


def recurrence(c):
    for (name, gates), layers, directions, biases, first in itertools.product(RNNS, (1, 2), (1, 2), (True, False), (True, False)):
        x = c.tensor([2, 4, 3] if first else [4, 2, 3])
        c.add(f"{name}.input", x, states(c, name, layers, directions, 2, 5, zero=first),
              parameters(c, gates, 3, 5, layers, directions, biases), biases, layers, 0.0, False, directions == 2, first, **LOOSE)
    for layers, directions in ((1, 1), (2, 2)):
        c.add("lstm.input", c.tensor([4, 2, 3]), states(c, "lstm", layers, directions, 2, 5, 2),
              parameters(c, 4, 3, 5, layers, directions, True, 2), True, layers, 0.0, False, directions == 2, False, **LOOSE)


def packed(c):
    for sizes in ([3, 3, 2, 1], [2, 2], [4, 1, 1]):
        for (name, gates), directions in itertools.product(RNNS, (1, 2)):
            c.add(f"{name}.data", c.tensor([sum(sizes), 3]), torch.tensor(sizes), states(c, name, 2, directions, sizes[0], 5),
                  parameters(c, gates, 3, 5, 2, directions, True), True, 2, 0.0, False, directions == 2, **LOOSE)
        for first, total in itertools.product((True, False), (-1, len(sizes), 6)):
            c.add("_pad_packed_sequence", c.tensor([sum(sizes), 3]), torch.tensor(sizes), first, 0.5, total)
    for lengths in ([4, 4], [4, 2, 1], [3, 1]):
        for first in (True, False):
            x = c.tensor([len(lengths), 5, 3] if first else [5, len(lengths), 3])
            c.add("_pack_padded_sequence", x, torch.tensor(lengths), first)


def cells(c):
    for biases, name in itertools.product((True, False), ("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell")):
        gates = {"lstm_cell": 4, "gru_cell": 3}.get(name, 1)
        h = [c.tensor([2, 5]), c.tensor([2, 5])] if name == "lstm_cell" else c.tensor([2, 5])
        b = [c.tensor([gates * 5]), c.tensor([gates * 5])] if biases else [None, None]
        c.add(name, c.tensor([2, 3]), h, c.tensor([gates * 5, 3]), c.tensor([gates * 5, 5]), *b, **LOOSE)


# Sampling, windows, distances -----------------------------------------------------------------------------------------


def sampling(c):
    for mode, padding, align in itertools.product((0, 1, 2), (0, 1, 2), (False, True)):
        c.add("grid_sampler", c.tensor([2, 3, 5, 6]), c.tensor([2, 4, 7, 2], low=-1.7, high=1.7), mode, padding, align, **LOOSE)
        c.add("grid_sampler", c.tensor([1, 2, 1, 1]), c.tensor([1, 3, 3, 2], low=-1.7, high=1.7), mode, padding, align, **LOOSE)
        if mode < 2:
            c.add("grid_sampler", c.tensor([2, 3, 4, 5, 6]), c.tensor([2, 3, 4, 2, 3], low=-1.7, high=1.7), mode, padding, align,
                  **LOOSE)
    edges = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0])
    grid = torch.stack(torch.meshgrid(edges, edges, indexing="ij"), -1)[None]
    for mode, padding, align in itertools.product((0, 1, 2), (0, 1, 2), (False, True)):
        c.add("grid_sampler", c.tensor([1, 2, 4, 4]), grid, mode, padding, align, **LOOSE)
    for align in (False, True):
        c.add("affine_grid_generator", c.tensor([2, 2, 3]), [2, 3, 4, 5], align)
        c.add("affine_grid_generator", c.tensor([2, 2, 3]), [2, 3, 1, 5], align)
        c.add("affine_grid_generator", c.tensor([2, 3, 4]), [2, 3, 4, 5, 2], align)


def unfolding(c):
    settings = [((3, 3), (1, 1), (0, 0), (1, 1)), ((2, 3), (2, 2), (1, 1), (2, 2)), ((2, 2), (1, 1), (0, 0), (2, 2)),
                ((4, 2), (1, 1), (0, 0), (4, 2)), ((3, 2), (1, 2), (1, 0), (1, 3))]
    for kernel, dilation, pad, stride in settings:
        for shape in ((2, 3, 8, 8), (3, 8, 8)):
            x = c.tensor(shape)
            args = [list(v) for v in (kernel, dilation, pad, stride)]
            c.add("im2col", x, *args)
            windows = F.unfold(x, kernel, dilation, pad, stride)
            c.add("col2im", c.tensor(windows.shape), [8, 8], *args, **LOOSE)
    c.add("col2im", c.tensor([2, 27, 12]), [9, 8], [3, 3], [1, 1], [0, 0], [2, 2], **LOOSE)


def distances(c):
    for p in (0.0, 1.0, 2.0, 3.0, 0.5, float("inf")):
        c.add("cdist", c.tensor([2, 5, 4]), c.tensor([2, 6, 4]), p, **LOOSE)
        c.add("cdist", c.tensor([5, 4]), c.tensor([3, 5, 4]), p, **LOOSE)
        c.add("pairwise_distance", c.tensor([3, 4]), c.tensor([3, 4]), p, 1e-6, True, **LOOSE)
    c.add("cdist", c.tensor([30, 4]), c.tensor([40, 4]), rtol=1e-3, atol=1e-3)
    c.add("cdist", c.tensor([5, 4]), c.tensor([3, 4]), 2.0, 1, **LOOSE)
    for dim in (0, 1, -1):
        c.add("cosine_similarity", c.tensor([3, 4]), c.tensor([3, 4]), dim)


def bags(c):
    def first_only(*args):
        # The other results (bag numbers and sizes) only serve training; we return them empty.
        return (torch.ops.aten.embedding_bag(*args)[0],) + (torch.zeros(0, dtype=torch.int64),) * 3

    def add(*args):
        c.add("embedding_bag", *args, oracle=first_only, **LOOSE)

    weight = c.tensor([10, 4])
    for mode, offsets in itertools.product((0, 1), ([0, 2, 4, 6], [0], list(range(8)), [0, 3, 3, 5], [0, 1, 7])):
        add(weight, c.integers([8], 0, 10), torch.tensor(offsets), False, mode)
    for offsets in ([0, 2, 4, 6], [0], list(range(8))):
        add(weight, c.integers([8], 0, 10), torch.tensor(offsets), False, 2)
    add(weight, c.integers([8], 0, 10), torch.tensor([0, 3, 5]), False, 0, False, c.tensor([8]))
    add(weight, c.integers([8], 0, 10), torch.tensor([0, 3, 8]), False, 0, False, None, True)


# Losses ---------------------------------------------------------------------------------------------------------------


def class_losses(c):
    targets = torch.tensor([0, 4, -100, 2])
    weight = c.tensor([5], low=0.1)
    for reduction, w in itertools.product((0, 1, 2), (None, weight)):
        x = c.tensor([4, 5])
        for smoothing in (0.0, 0.1):
            c.add("cross_entropy_loss", x, targets, w, reduction, -100, smoothing, **LOOSE)
            c.add("cross_entropy_loss", x, c.tensor([4, 5]).softmax(-1), w, reduction, -100, smoothing, **LOOSE)
            c.add("cross_entropy_loss", c.tensor([2, 5, 3, 3]), c.integers([2, 3, 3], 0, 5), w, reduction, 1, smoothing, **LOOSE)
        c.add("nll_loss_nd", x, targets, w, reduction, -100, **LOOSE)
        c.add("nll_loss_nd", c.tensor([2, 5, 3]), c.integers([2, 3], 0, 5), w, reduction, 1, **LOOSE)
        c.add("nll_loss2d", c.tensor([2, 5, 3, 3]), c.integers([2, 3, 3], 0, 5), w, reduction, -100, **LOOSE)
        c.add("nll_loss", x, targets, w, reduction, -100, **LOOSE)
    c.add("cross_entropy_loss", c.tensor([5]), torch.tensor(3), **LOOSE)


def losses(c):
    for reduction in (0, 1, 2):
        a, b = c.tensor([3, 4]), c.tensor([3, 4])
        c.add("mse_loss", a, b, reduction)
        c.add("l1_loss", a, b, reduction)
        for beta in (0.0, 0.7, 1.0):
            c.add("smooth_l1_loss", a, b, reduction, beta)
        c.add("huber_loss", a, b, reduction, 0.7)
        p, t = c.tensor([3, 4], low=0, high=1), c.tensor([3, 4], low=0, high=1)
        for w in (None, c.tensor([3, 4], low=0)):
            c.add("binary_cross_entropy", p, t, w, reduction, **LOOSE)
            c.add("binary_cross_entropy_with_logits", c.tensor([3, 4], low=-30, high=30), t, w, None, reduction, **LOOSE)
            c.add("binary_cross_entropy_with_logits", a, t, w, c.tensor([4], low=0), reduction, **LOOSE)
        for log_target in (False, True):
            target = a.log_softmax(-1) if log_target else a.softmax(-1)
            c.add("kl_div", b.log_softmax(-1), target, reduction, log_target=log_target, **LOOSE)
        c.add("kl_div", b.log_softmax(-1), torch.eye(3, 4), reduction, **LOOSE)
        c.add("cosine_embedding_loss", a, b, torch.tensor([1, -1, 1]), 0.1, reduction, **LOOSE)
    zero_one = torch.tensor([0.0, 1.0, 1.0, 0.0])
    c.add("binary_cross_entropy", zero_one, torch.tensor([0.0, 1.0, 0.0, 1.0]), None, 0)


def quantisation(c):
    x = c.tensor([2, 3, 4], low=-20, high=20)
    for scale, zero, low, high in ((0.1, 3, 0, 255), (0.05, 0, -128, 127), (1.0, 0, 0, 15)):
        c.add("fake_quantize_per_tensor_affine", x, scale, zero, low, high)
        c.add("fake_quantize_per_tensor_affine.tensor_qparams", x, torch.tensor(scale), torch.tensor(zero), low, high)
    for axis in (0, 1, 2):
        n = x.shape[axis]
        c.add("fake_quantize_per_channel_affine", x, c.tensor([n], low=0.05, high=0.5), torch.arange(n, dtype=torch.int32), axis,
              -8, 7)
