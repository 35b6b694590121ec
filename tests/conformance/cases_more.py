"""Second names, losses, products and small rearrangements: every ATen name has several shapes and types here."""

import torch
from make_cases import INTS

UNARY = ("absolute", "alias", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctanh", "clone", "conj", "conj_physical",
         "contiguous", "detach", "fix", "frac", "lift", "lift_fresh", "lift_fresh_copy", "negative", "ravel", "real",
         "resolve_conj", "resolve_neg", "special_erf", "special_erfinv", "special_exp2", "special_expm1",
         "special_gammaln", "special_log1p", "special_logit", "zero", "nonzero", "argwhere")
SHAPES = ((3, 4), (5,), (), (1, 2, 3), (0, 2))


def fill(c):
    unary(c)
    binary(c)
    softmax(c)
    products(c)
    rearranged(c)
    padded(c)
    losses(c)
    cells(c)
    chosen(c)


def unary(c):
    for op in UNARY:
        low = 1.0 if op in ("arccosh", "special_gammaln") else 0.05 if op in ("special_logit", "special_log1p") else -0.95
        high = 3.0 if low == 1.0 else 0.95
        for shape in SHAPES:
            c.add(op, c.tensor(shape, low=low, high=high))
        for dtype in (torch.float64, torch.float16, torch.int64, torch.bool):
            c.add(op, c.tensor((2, 3), dtype, low=int(low), high=2) if dtype in INTS else c.tensor((2, 3), dtype, low=low, high=high))
    for op in ("fliplr", "flipud", "mT", "mH", "adjoint", "t", "numpy_T", "trace", "_shape_as_tensor"):
        for shape, dtype in (((2, 3), torch.float32), ((4, 1), torch.int64), ((3, 3), torch.float64), ((1, 5), torch.bool)):
            c.add(op, c.tensor(shape, dtype))
    for op in ("mT", "mH", "adjoint", "fliplr", "flipud"):
        c.add(op, c.tensor((2, 3, 4)))
    for shape in ((3, 4), (1,), (2, 3, 2)):
        c.add("msort", c.tensor(shape))
        for other in (torch.int64, torch.float16, torch.bool):
            c.add("type_as", c.tensor(shape), c.tensor((1,), other))
            c.add("to.dtype", c.tensor(shape), other)


def binary(c):
    pairs = (((3, 4), (3, 4)), ((3, 1), (1, 4)), ((), (2, 3)), ((0, 2), (2,)))
    for op in ("multiply.Tensor", "subtract.Tensor", "divide.Tensor", "arctan2", "heaviside", "ldexp.Tensor", "less.Tensor",
               "less_equal.Tensor", "greater.Tensor", "greater_equal.Tensor", "not_equal.Tensor", "isclose"):
        for a, b in pairs:
            c.add(op, c.tensor(a), c.tensor(b))
        for dtype in (torch.int64, torch.int32, torch.float64, torch.uint8):
            c.add(op, c.tensor((2, 3), dtype, low=1, high=4), c.tensor((3,), dtype, low=1, high=4))
        c.add(op, c.tensor((2, 3), torch.int64, low=1, high=3), c.tensor((3,)))
    for op in ("__and__", "__or__", "__xor__"):
        for dtype in (torch.int64, torch.int32, torch.uint8, torch.bool):
            c.add(op + ".Tensor", c.tensor((2, 3), dtype), c.tensor((3,), dtype))
        c.add(op + ".Scalar", c.tensor((4,), torch.int64), 5)
    for op in ("__lshift__", "__rshift__", "bitwise_left_shift", "bitwise_right_shift"):
        for dtype in (torch.int64, torch.int32, torch.uint8):
            overload = ".Tensor"
            c.add(op + overload, c.tensor((2, 3), dtype, low=0, high=20), c.integers((3,), 0, 4, dtype))
    for op in ("clamp_max", "clamp_min"):
        for dtype in (torch.float32, torch.int64, torch.float16):
            c.add(op, c.tensor((2, 3), dtype), 1)
            c.add(op + ".Tensor", c.tensor((2, 3), dtype), c.tensor((3,), dtype))
    for low, high in ((0, 1), (None, 1), (-1, None), (-0.5, 0.5)):
        c.add("clip", c.tensor((2, 3)), low, high)
    for low, high in ((0.2, -1), (-1.0, 3.5), (1, 0)):
        for shape in ((2, 3), (), (0,)):
            c.add("threshold", c.tensor(shape), low, high)
    for dims in ((2, 3), (4, 3), (1, 3)):
        c.add("cross", c.tensor(dims), c.tensor(dims), 1)
        c.add("linalg_cross", c.tensor(dims), c.tensor(dims))
        c.add("linalg_cross", c.tensor(dims), c.tensor((1, 3)))


def softmax(c):
    for shape, dim in (((3, 4), 1), ((3, 4), 0), ((2, 3, 4), -2), ((5,), 0), ((1, 1), -1), ((2, 0), 0)):
        c.add("_log_softmax", c.tensor(shape), dim, False)
        c.add("_softmax", c.tensor(shape), dim, False)
        for op in ("special_softmax", "special_log_softmax"):
            c.add(op, c.tensor(shape), dim)
        c.add("special_logsumexp", c.tensor(shape), [dim], True)
    for value in (None, 1e-3, 0.25):
        c.add("logit", c.tensor((2, 3), low=0.1, high=0.9), value)
    for dim in (0, 1, -1):
        c.add("glu", c.tensor((4, 6)), dim)


def products(c):
    for m, k, n in ((2, 3, 4), (1, 5, 1), (3, 1, 2), (2, 0, 3)):
        a, b = c.tensor((m, k)), c.tensor((k, n))
        c.add("mm", a, b)
        c.add("linalg_matmul", a, b)
        c.add("mv", a, c.tensor((k,)))
        c.add("bmm", c.tensor((2, m, k)), c.tensor((2, k, n)))
        c.add("baddbmm", c.tensor((n,)), c.tensor((2, m, k)), c.tensor((2, k, n)), beta=0.5, alpha=2)
        c.add("addbmm", c.tensor((m, n)), c.tensor((2, m, k)), c.tensor((2, k, n)), beta=2, alpha=0.5)
        c.add("addmv", c.tensor((m,)), a, c.tensor((k,)), beta=0.5, alpha=3)
        for op in ("outer", "ger"):
            c.add(op, c.tensor((m,)), c.tensor((n,)))
        c.add("addr", c.tensor((m, n)), c.tensor((m,)), c.tensor((n,)), beta=2, alpha=0.5)
        for op in ("dot", "vdot"):
            c.add(op, c.tensor((k,)), c.tensor((k,)))
        c.add("tensordot", c.tensor((2, m, k)), c.tensor((k, n)), [2], [0])
        c.add("kron", c.tensor((m, 2)), c.tensor((2, n)))
        c.add("linalg_multi_dot", [a, b, c.tensor((n, 2))])
        c.add("bilinear", c.tensor((m, 3)), c.tensor((m, 2)), c.tensor((n, 3, 2)), c.tensor((n,)))
        for op in ("addcmul", "addcdiv"):
            c.add(op, c.tensor((m, n)), c.tensor((n,)), c.tensor((m, 1), low=1.0), value=0.5)
    for shape in ((3,), (2, 3), (2, 0)):
        c.add("linalg_norm", c.tensor(shape))
    for increasing in (False, True):
        for n in (None, 2, 5):
            c.add("vander", c.tensor((3,)), n, increasing)
    for shape in ((3,), (4, 1), (1, 3), (2, 4, 3)):
        c.add("cosine_similarity", c.tensor((4, 3)), c.tensor(shape), 1)
        c.add("cosine_similarity", c.tensor(shape), c.tensor((4, 3)), -1)
    for dtype in (torch.float32, torch.int64):
        c.add("block_diag", [c.tensor((2, 2), dtype), c.tensor((1, 3), dtype), c.tensor((2,), dtype)])
        c.add("block_diag", [c.tensor((1, 1), dtype)])
        c.add("cartesian_prod", [c.tensor((2,), dtype), c.tensor((3,), dtype)])
        c.add("combinations", c.tensor((4,), dtype), 2, True)


def rearranged(c):
    for dtype in (torch.float32, torch.int64, torch.bool):
        x = c.tensor((2, 3, 4), dtype)
        c.add("swapdims", x, 0, -1)
        c.add("moveaxis.int", x, 0, 2)
        c.add("moveaxis.intlist", x, [0, 1], [2, 0])
        c.add("narrow", x, 1, 1, 2)
        c.add("narrow_copy", x, 2, 0, 3)
        c.add("unflatten.int", x, 2, [2, -1])
        c.add("unbind.int", x, 1)
        c.add("split_with_sizes", x, [1, 3], 2)
        c.add("unsafe_split_with_sizes", x, [2, 1], 1)
        c.add("unsafe_split.Tensor", x, 2, -1)
        c.add("unsafe_chunk", x, 2, 2)
        c.add("view_as", x, c.tensor((4, 6)))
        c.add("reshape_as", x, c.tensor((6, 4)))
        c.add("_unsafe_view", x, [6, -1])
        c.add("_reshape_alias", x, [4, 6], [6, 1])
        c.add("expand_as", c.tensor((3, 1), dtype), x)
        c.add("broadcast_to", c.tensor((1, 4), dtype), [2, 3, 4])
        c.add("broadcast_tensors", [c.tensor((3, 1), dtype), c.tensor((4,), dtype)])
        c.add("copy", x, c.tensor((3, 4), torch.float32))
        c.add("take", x, c.integers((2, 2), -24, 24))
        c.add("take_along_dim", x, c.integers((2, 3, 2), 0, 4), 2)
        c.add("one_hot", c.integers((2, 3), 0, 4), 5)
        for op in ("hstack", "vstack", "dstack", "column_stack"):
            c.add(op, [c.tensor((2, 3), dtype), c.tensor((2, 3), dtype)])
            c.add(op, [c.tensor((3,), dtype), c.tensor((3,), dtype)])
        for op in ("concat", "cat", "concatenate"):
            c.add(op, [x, c.tensor((2, 1, 4), dtype)], 1)
            c.add(op, [x, c.tensor((0,), dtype)], 0)
        c.add("diagflat", c.tensor((2, 2), dtype), 1)
        c.add("diagonal_scatter", c.tensor((3, 4), dtype), c.tensor((3,), dtype))
        c.add("index_copy", x, 1, torch.tensor([2, 0]), c.tensor((2, 2, 4), dtype))
        c.add("masked_select", x, c.tensor((3, 4), torch.bool))
        c.add("masked_scatter", x, c.tensor((3, 4), torch.bool), c.tensor((24,), dtype))
        c.add("nonzero_numpy", x)
    for factor in (2, 3):
        c.add("pixel_unshuffle", c.tensor((1, 2, 2 * factor, factor)), factor)
        c.add("channel_shuffle", c.tensor((1, 6, 2, 3)), factor)
    for rows, columns, offset in ((3, 4, 0), (4, 2, 1), (2, 5, -1)):
        c.add("tril_indices", rows, columns, offset)
        c.add("triu_indices", rows, columns, offset)


def padded(c):
    for rank in (1, 2, 3):
        for mode in ("reflection", "replication"):
            for width in (1, 2):
                for batch in ((2,), (1, 2)):
                    sides = [(k + width) % 3 for k in range(2 * rank)]
                    c.add(f"{mode}_pad{rank}d", c.tensor(batch + (3, 4, 5)[:rank]), sides)
    for sides in ([1, 1], [2, 0], [0, 3]):
        c.add("_pad_circular", c.tensor((1, 2, 4)), sides)


def losses(c):
    x, y = c.tensor((3, 4)), c.tensor((3, 4))
    for reduction in (0, 1, 2):
        c.add("l1_loss", x, y, reduction)
        c.add("mse_loss", x, y, reduction)
        c.add("huber_loss", x, y, reduction, 0.5)
        c.add("cosine_embedding_loss", x, y, torch.tensor([1, -1, 1]), 0.1, reduction)


def cells(c):
    for batch, inputs, hidden in ((1, 3, 2), (2, 2, 4), (3, 1, 1)):
        x, h = c.tensor((batch, inputs)), c.tensor((batch, hidden))
        for op, gates in (("rnn_relu_cell", 1), ("rnn_tanh_cell", 1), ("gru_cell", 3)):
            weights = (c.tensor((gates * hidden, inputs)), c.tensor((gates * hidden, hidden)))
            c.add(op, x, h, *weights, c.tensor((gates * hidden,)), c.tensor((gates * hidden,)))
            c.add(op, x, h, *weights)
        weights = (c.tensor((4 * hidden, inputs)), c.tensor((4 * hidden, hidden)))
        c.add("lstm_cell", x, [h, c.tensor((batch, hidden))], *weights, c.tensor((4 * hidden,)), c.tensor((4 * hidden,)))
        c.add("lstm_cell", x, [h, c.tensor((batch, hidden))], *weights)


def chosen(c):
    for dtype in (torch.float32, torch.int64):
        edges = torch.tensor([-1.0, 0.0, 1.5]).to(dtype)
        for right in (False, True):
            c.add("bucketize.Tensor", c.tensor((2, 3), dtype), edges, right=right)
        c.add("isin.Tensor_Tensor", c.tensor((3, 4), dtype), c.tensor((3,), dtype))
        c.add("isin.Tensor_Tensor", c.tensor((3, 4), dtype), c.tensor((3,), dtype), invert=True)
        c.add("isin.Scalar_Tensor", 1, c.tensor((3,), dtype))
        c.add("isin.Tensor_Scalar", c.tensor((5,), dtype), 2)
    for bins in (3, 5):
        c.add("histc", c.tensor((12,)), bins, -3, 3)
    for dims in ([0], [1], [0, 1]):
        c.add("count_nonzero.dim_IntList", c.integers((3, 4), 0, 2), dims)
    for groups in (1, 2, 4):
        c.add("native_group_norm", c.tensor((2, 4, 3)), c.tensor((4,)), c.tensor((4,)), 2, 4, 3, groups, 1e-5)
    for shape in ([4], [3, 4]):
        c.add("native_layer_norm", c.tensor((2, 3, 4)), shape, c.tensor(shape), c.tensor(shape), 1e-5)
        c.add("native_layer_norm", c.tensor((2, 3, 4)), shape, None, None, 1e-3)
    for dim in (0, 1):
        c.add("_weight_norm", c.tensor((3, 4)), c.tensor((3, 1) if dim == 0 else (1, 4)), dim)
    for kernel, stride in ((2, 2), (3, 1)):
        c.add("max_pool1d_with_indices", c.tensor((1, 2, 7)), [kernel], [stride], [kernel // 2], [1], False)
