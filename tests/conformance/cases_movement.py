"""Shapes, views, indexing, creation."""

import torch
from make_cases import INTS

DTYPES = (torch.float32, torch.int64, torch.bool, torch.float16, torch.uint8, torch.float64)


def fill(c):
    views(c)
    distinct(c)
    permutations(c)
    cutting(c)
    joining(c)
    padding(c)
    repeating(c)
    rearranging(c)
    indexing(c)
    index_writing(c)
    scattering(c)
    creation(c)


def distinct(c):
    for dtype in DTYPES:
        for flags in ((), (True, True), (True, True, True)):
            c.add("_unique2", c.integers((3, 4), 0, 4).to(dtype), *flags)
        c.add("unique_dim", c.integers((4, 2), 0, 2).to(dtype), 0, True, True, True)
        c.add("unique_consecutive", c.integers((12,), 0, 2).to(dtype), True, True)
    for dim in (0, 1, -1):
        c.add("unique_dim", c.integers((3, 2, 4), 0, 2), dim, True, True, True)
        c.add("unique_consecutive", c.integers((3, 2, 4), 0, 1), True, True, dim)
    for shape in ((), (0,), (1,), (2, 0)):
        c.add("_unique2", c.integers(shape, 0, 3), True, True, True)


def views(c):
    for dtype in DTYPES:
        c.add("view", c.tensor((2, 6), dtype), [3, 4])
    for shape, size in (((2, 3, 4), [6, -1]), ((2, 3, 4), [-1]), ((), [1]), ((1,), []), ((0, 3), [3, 0]), ((2, 3), [2, 1, 3]),
                        ((4, 1, 6), [2, 2, 2, 3])):
        c.add("view", c.tensor(shape), size)
        c.add("reshape", c.tensor(shape), size)
    for shape, args in (((2, 3, 4), ()), ((2, 3, 4), (1,)), ((2, 3, 4), (0, 1)), ((2, 3, 4), (-2, -1)), ((), ()), ((5,), ()),
                        ((2, 0, 3), (1, 2))):
        c.add("flatten.using_ints", c.tensor(shape), *args)
    c.add("ravel", c.tensor((2, 3)))
    for dim, sizes in ((1, [2, 3]), (-1, [-1, 2]), (0, [1, 2])):
        c.add("unflatten.int", c.tensor((2, 6)), dim, sizes)
    c.add("view_as", c.tensor((2, 6)), c.tensor((3, 4)))
    c.add("reshape_as", c.tensor((2, 6)), c.tensor((4, 3)))
    for shape in ((), (3,), (2, 3)):
        for dim in range(-len(shape) - 1, len(shape) + 1):
            c.add("unsqueeze", c.tensor(shape), dim)
    for shape in ((), (1,), (1, 3, 1), (2, 1, 3), (2, 3)):
        c.add("squeeze", c.tensor(shape))
        for dim in range(-max(len(shape), 1), max(len(shape), 1)):
            c.add("squeeze.dim", c.tensor(shape), dim)
    for shape, size in (((1, 3), [2, 3]), ((1, 3), [2, -1]), ((3,), [2, 4, 3]), ((), [2, 2]), ((2, 1, 1), [2, 3, 4]), ((1,), [0]),
                        ((2, 3), [-1, -1])):
        c.add("expand", c.tensor(shape), size)
    c.add("expand_as", c.tensor((3, 1)), c.tensor((2, 3, 4)))
    c.add("broadcast_to", c.tensor((3, 1)), [2, 3, 4])
    c.add("broadcast_tensors", [c.tensor((3, 1)), c.tensor((4,)), c.tensor((2, 1, 1), torch.int64)])
    for rank in (1, 2, 3):
        for shape in ((), (3,), (2, 3), (2, 3, 4), (1, 2, 3, 4)):
            c.add(f"atleast_{rank}d", c.tensor(shape))


    c.add("_unsafe_view", c.tensor((2, 6)), [3, -1])
    c.add("_reshape_alias", c.tensor((2, 6)), [3, 4], [4, 1])
    c.add("_shape_as_tensor", c.tensor((2, 6)))
    c.add("adjoint", c.tensor((2, 6)))
    c.add("mH", c.tensor((2, 6)))
    c.add("swapdims", c.tensor((2, 3, 4)), 0, -1)
    c.add("moveaxis.int", c.tensor((2, 3, 4)), 0, -1)
    c.add("moveaxis.intlist", c.tensor((2, 3, 4)), [0, 1], [1, 2])


def permutations(c):
    for dtype in DTYPES:
        c.add("permute", c.tensor((2, 3, 4), dtype), [2, 0, 1])
    for shape, dims in (((2, 3, 4), [0, 2, 1]), ((2, 3, 4, 5), [0, 2, 3, 1]), ((2, 3, 4, 5), [3, 2, 1, 0]), ((2, 3), [-1, 0]),
                        ((), []), ((5,), [0]), ((2, 3, 4, 2, 3), [4, 0, 3, 1, 2]), ((0, 3), [1, 0]),
                        ((1, 33, 1, 47), [0, 3, 1, 2]), ((40, 35), [1, 0])):
        c.add("permute", c.tensor(shape), dims)
    for a, b in ((0, 1), (1, 2), (-1, -2), (0, -1), (1, 1)):
        c.add("transpose.int", c.tensor((2, 3, 4)), a, b)
        c.add("swapaxes", c.tensor((2, 3, 4)), a, b)
    for shape in ((), (3,), (3, 4)):
        c.add("t", c.tensor(shape))
        c.add("numpy_T", c.tensor(shape))
    c.add("mT", c.tensor((2, 3, 4)))
    for s, d in (([0], [2]), ([0, 1], [2, 0]), ([-1], [0]), ([2, 0], [0, 1])):
        c.add("movedim.intlist", c.tensor((2, 3, 4)), s, d)
    c.add("movedim.int", c.tensor((2, 3, 4)), 0, -1)


def cutting(c):
    big = 2**63 - 1
    for args in ((0,), (1, 1), (1, None, 2), (1, -2), (1, -9, big), (2, 0, big, 2), (-1, 1, 4, 2), (1, 2, 1), (0, 5, 9), (2, 0, 4, 7),
                 (0, None, None, 1)):
        c.add("slice.Tensor", c.tensor((3, 4, 5)), *args)
    for dtype in DTYPES:
        c.add("slice.Tensor", c.tensor((3, 4), dtype), 1, 1, 3)
    for dim in (0, 1, -1):
        for index in (0, 1, -1):
            c.add("select.int", c.tensor((2, 3, 4)), dim, index)
            c.add("select_scatter", c.tensor((2, 3, 4)), c.tensor((2, 3, 4)).select(dim, 0), dim, index)
    for dim in (0, 1, -1):
        c.add("unbind.int", c.tensor((2, 3, 4)), dim)
        c.add("narrow", c.tensor((3, 3, 4)), dim, 1, 2)
    c.add("narrow", c.tensor((5,)), 0, -3, 2)
    for size in (1, 2, 3, 5, 7):
        c.add("split.Tensor", c.tensor((5, 3)), size)
        c.add("split.Tensor", c.tensor((2, 5)), size, -1)
        c.add("chunk", c.tensor((5, 3)), size)
        c.add("chunk", c.tensor((2, 6)), size, 1)
        c.add("tensor_split.sections", c.tensor((5, 3)), size)
    c.add("split_with_sizes", c.tensor((5, 3)), [2, 0, 3])
    c.add("split_with_sizes", c.tensor((2, 5)), [1, 4], -1)
    c.add("unsafe_chunk", c.tensor((5, 3)), 2)
    c.add("unsafe_split.Tensor", c.tensor((5, 3)), 2)
    c.add("unsafe_split_with_sizes", c.tensor((5, 3)), [2, 3])
    c.add("narrow_copy", c.tensor((5, 3)), 0, 1, 2)
    for indices in ([1, 3], [2], [0, 5, 9], [-1], [3, 1]):
        c.add("tensor_split.indices", c.tensor((5, 2)), indices)
    for args in ((0, 1, 3), (0, None, 2), (0, 2, None), (1, 0, 4, 2), (1, 1, None, 3), (0, 0, 9)):
        x = c.tensor((4, 5))
        part = torch.ops.aten.slice.Tensor(x, *args)
        c.add("slice_scatter", x, c.tensor(part.shape), *args)


def joining(c):
    for dim in (0, 1, -1):
        c.add("cat", [c.tensor((2, 3)), c.tensor((2, 3))], dim)
        c.add("stack", [c.tensor((2, 3)), c.tensor((2, 3)), c.tensor((2, 3))], dim)
    c.add("stack", [c.tensor(()), c.tensor(())], 0)
    c.add("stack", [c.tensor((2,)), c.tensor((2,))], 1)
    c.add("cat", [c.tensor((0,)), c.tensor((2, 3))], 0)
    c.add("cat", [c.tensor((2, 3)), c.tensor((1, 3), torch.int64), c.tensor((4, 3), torch.float64)], 0)
    c.add("cat", [c.tensor((2, 3), torch.bool), c.tensor((1, 3), torch.int64)], 0)
    c.add("cat", [c.tensor((2, 0)), c.tensor((2, 3))], 1)
    c.add("concat", [c.tensor((2, 3)), c.tensor((2, 4))], 1)
    for shape in ((), (3,), (2, 3), (2, 3, 4)):
        for name in ("hstack", "vstack", "dstack", "column_stack"):
            c.add(name, [c.tensor(shape), c.tensor(shape)])
    c.add("block_diag", [c.tensor((2, 3)), c.tensor((1,)), c.tensor(()), c.tensor((3, 1))])
    for n in (1, 2, 3):
        lists = [c.tensor((k + 2,)) for k in range(n)]
        c.add("meshgrid", lists)
        c.add("cartesian_prod", lists)
        for indexing in ("ij", "xy"):
            c.add("meshgrid.indexing", lists, indexing=indexing)
    for r, again in ((2, False), (3, False), (2, True), (1, False)):
        c.add("combinations", c.tensor((4,)), r, again)


def padding(c):
    for pads in ([1, 2], [1, 0, 2, 1], [0, 0, 1, 1, 2, 2], [-1, 2], [1, -2, -1, 1], [0, 0]):
        c.add("constant_pad_nd", c.tensor((2, 4, 5)), pads, 1.5)
        c.add("pad", c.tensor((2, 4, 5)), pads)
    for dtype in (torch.int64, torch.bool, torch.float16):
        c.add("constant_pad_nd", c.tensor((4, 5), dtype), [1, 1], 1)
    for mode in ("reflect", "replicate", "circular"):
        c.add("pad", c.tensor((1, 2, 6)), [2, 1], mode)
        c.add("pad", c.tensor((1, 2, 4, 5)), [2, 1, 0, 3], mode)
        c.add("pad", c.tensor((1, 2, 4, 4, 3)), [2, 1, 0, 3, 1, 1], mode)
    c.add("reflection_pad1d", c.tensor((2, 3, 7)), [3, 6])
    c.add("reflection_pad2d", c.tensor((1, 2, 4, 5)), [1, 2, 3, 0])
    c.add("replication_pad1d", c.tensor((2, 3)), [4, 5])
    c.add("replication_pad2d", c.tensor((1, 2, 3, 3)), [5, 0, 1, 4])
    c.add("replication_pad3d", c.tensor((1, 2, 2, 3, 3)), [1, 0, 1, 2, 2, 1])
    c.add("pad", c.tensor((3, 4)), [1, 1], "constant", 7.0)
    c.add("reflection_pad3d", c.tensor((1, 2, 3, 3, 3)), [1, 2, 2, 1, 0, 1])
    c.add("_pad_circular", c.tensor((1, 2, 5)), [2, 5])


def repeating(c):
    for repeats in ([2], [2, 1], [1, 3], [2, 2, 2], [0, 1], [1, 1]):
        c.add("repeat", c.tensor((3,) if len(repeats) == 1 else (2, 3)), repeats)
        c.add("tile", c.tensor((2, 3)), repeats)
    c.add("repeat", c.tensor(()), [3])
    c.add("repeat", c.tensor((1, 3), torch.int64), [4, 1])
    for dim in (None, 0, 1, -1):
        c.add("repeat_interleave.self_int", c.tensor((2, 3)), 3, dim)
        c.add("repeat_interleave.self_Tensor", c.tensor((3, 3)), torch.tensor([1, 0, 3] * (3 if dim is None else 1)), dim)
    c.add("repeat_interleave.self_Tensor", c.tensor((3, 2)), torch.tensor([2]), 0)
    c.add("repeat_interleave.Tensor", torch.tensor([2, 0, 3]))


def rearranging(c):
    for dims in ([0], [1], [0, 1], [-1], []):
        c.add("flip", c.tensor((3, 4)), dims)
    c.add("flip", c.tensor((2, 3, 4), torch.int64), [0, 2])
    c.add("fliplr", c.tensor((2, 3)))
    c.add("flipud", c.tensor((2, 3)))
    for k in (0, 1, 2, 3, -1, 5):
        c.add("rot90", c.tensor((2, 3, 4)), k, [0, 1])
        c.add("rot90", c.tensor((2, 3, 4)), k, [2, 1])
    for shifts, dims in (([1], [0]), ([-1], [1]), ([2, 1], [0, 1]), ([5], []), ([7], [1]), ([0], [0]), ([1, 2], [1, 1])):
        c.add("roll", c.tensor((3, 4)), shifts, dims)
    for groups in (1, 2, 3, 6):
        c.add("channel_shuffle", c.tensor((2, 6, 2, 3)), groups)
    for factor in (1, 2, 3):
        c.add("pixel_shuffle", c.tensor((2, 2 * factor * factor, 3, 4)), factor)
        c.add("pixel_unshuffle", c.tensor((2, 2, 3 * factor, 4 * factor)), factor)
    c.add("pixel_shuffle", c.tensor((8, 3, 4)), 2)
    c.add("pixel_shuffle", c.tensor((2, 3, 8, 1, 2)), 2)
    for args in ((0, 3, 1), (1, 2, 2), (-1, 4, 1), (1, 5, 1), (0, 1, 1), (1, 3, 3), (2, 2, 2)):
        c.add("unfold", c.tensor((4, 6, 4)), *args)
    for size, stride, offset in (([2, 3], [1, 2], 0), ([3], [4], 1), ([2, 2, 2], [6, 2, 1], None), ([4, 3], [3, 1], 0),
                                 ([5], [0], 3)):
        c.add("as_strided", c.tensor((3, 4)), size, stride, offset)
    for shape in ((3, 4), (4, 4), (2, 3, 4)):
        for offset in (0, 1, -1, 2, -5):
            c.add("diagonal", c.tensor(shape), offset)
            c.add("diagonal", c.tensor(shape), offset, -1, 0)
            c.add("triu", c.tensor(shape), offset)
            c.add("tril", c.tensor(shape), offset)
    for offset in (0, 1, -2):
        c.add("diag", c.tensor((3,)), offset)
        c.add("diag", c.tensor((3, 4)), offset)
        c.add("diag_embed", c.tensor((2, 3)), offset)
        c.add("diag_embed", c.tensor((2, 3)), offset, 0, 2)
        c.add("diagflat", c.tensor((2, 2)), offset)
        x = c.tensor((3, 4))
        c.add("diagonal_scatter", x, c.tensor(x.diagonal(offset).shape), offset)
    c.add("triu", c.tensor((3, 4), torch.int64), 0)
    c.add("tril", c.tensor((3, 4), torch.bool), 1)
    c.add("trace", c.tensor((3, 4)))
    c.add("trace", c.tensor((3, 3), torch.int32))
    for axis in (0, 1):
        c.add("linalg_cross", c.tensor((3, 3)), c.tensor((3, 3)), dim=axis)
    c.add("cross", c.tensor((2, 3)), c.tensor((2, 3)))
    for n, dim in ((1, -1), (2, 0), (0, 1), (3, -1), (9, 0)):
        c.add("diff", c.tensor((4, 5)), n, dim)
    c.add("diff", c.tensor((4, 5)), 1, 1, c.tensor((4, 2)), c.tensor((4, 1)))
    c.add("diff", c.tensor((6,), torch.bool))


def indexing(c):
    x = c.tensor((4, 5, 6))
    i4, i5 = c.integers((3,), -4, 4), c.integers((3,), -5, 5)
    column = c.integers((2, 1), 0, 5)
    for indices in ([i4], [None, i5], [i4, i5], [i4, None, i5], [None, i5, i5], [i4, column], [column.clamp(max=3), None, i5],
                    [None, column], [None, None, c.integers((2, 2, 2), -6, 6)], [torch.tensor(2)], [torch.tensor(-1), i5],
                    [torch.tensor([0, 2])], [None, torch.tensor([1, 2, 3])], [i4, i5, i4], [c.integers((0,), 0, 4)],
                    [i4.int(), None]):
        c.add("index.Tensor", x, indices)
    for mask in (c.tensor((4,), torch.bool), c.tensor((4, 5), torch.bool), c.tensor((4, 5, 6), torch.bool),
                 torch.zeros(4, dtype=torch.bool)):
        c.add("index.Tensor", x, [mask])
    c.add("index.Tensor", x, [None, c.tensor((5,), torch.bool)])
    c.add("index.Tensor", x, [None, c.tensor((5, 6), torch.bool)])
    for dtype in DTYPES:
        c.add("index.Tensor", c.tensor((4, 5), dtype), [i4])
    for shape in ((3,), (2, 3), (), (0,)):
        c.add("embedding", c.tensor((7, 4)), c.integers(shape, 0, 7))
    c.add("embedding", c.tensor((7, 4)), c.integers((3,), 0, 7, torch.int32), 1)
    for dim in (0, 1, -1):
        c.add("index_select", c.tensor((3, 4, 5)), dim, c.integers((4,), 0, 3))
        c.add("gather", c.tensor((3, 4, 5)), dim, c.integers((3, 4, 5), 0, 3))
        c.add("gather", c.tensor((3, 4, 5)), dim, c.integers((2, 3, 4), 0, 3))
    c.add("index_select", c.tensor((5,)), 0, torch.tensor(2))
    c.add("index_select", c.tensor(()), 0, torch.tensor([0]))
    c.add("gather", c.tensor((5,)), 0, torch.tensor(2))
    c.add("gather", c.tensor(()), 0, torch.tensor(0))
    c.add("gather", c.tensor((3, 4)), 1, c.integers((0, 2), 0, 2))
    c.add("take", c.tensor((3, 4)), c.integers((2, 2), -12, 12))
    c.add("take_along_dim", c.tensor((3, 4)), c.integers((3, 2), 0, 4), 1)
    c.add("take_along_dim", c.tensor((3, 4)), c.integers((1, 4), 0, 3), 0)
    c.add("take_along_dim", c.tensor((3, 4)), c.integers((5,), 0, 12))
    for classes in (5, -1):
        c.add("one_hot", c.integers((2, 3), 0, 5), classes)
    for name in ("nonzero", "argwhere", "nonzero_numpy", "where"):
        for shape in ((5,), (3, 4), (2, 1, 3)):
            c.add(name, c.tensor(shape, torch.bool))
    c.add("nonzero", c.tensor((3, 4), torch.int64, -1, 1))
    c.add("masked_select", c.tensor((3, 4)), c.tensor((3, 4), torch.bool))
    c.add("masked_select", c.tensor((3, 1)), c.tensor((4,), torch.bool))


def index_writing(c):
    x = c.tensor((4, 5, 6))
    unique, i5 = torch.tensor([2, 0, -1]), torch.tensor([1, 4, 3])
    cases = (([unique], (3, 5, 6)), ([unique], ()), ([None, i5], (4, 3, 6)), ([None, i5], (3, 6)), ([unique, i5], (3, 6)),
             ([unique, None, i5], (3, 5)), ([torch.tensor([[0], [1]]), i5], (2, 3, 6)), ([unique, i5, i5], (3,)),
             ([unique, i5, i5], (1,)), ([None, None, i5], (4, 5, 3)))
    for indices, shape in cases:
        for accumulate in (False, True):
            c.add("index_put", x, indices, c.tensor(shape), accumulate)
    repeated = torch.tensor([1, 1, 3])
    c.add("index_put", x, [repeated], c.tensor((3, 5, 6)), True)
    for mask in (c.tensor((4,), torch.bool), c.tensor((4, 5), torch.bool), c.tensor((4, 5, 6), torch.bool)):
        c.add("index_put", x, [mask], torch.tensor(9.0))
        c.add("index_put", x, [mask], c.tensor((1,)))
        count = int(mask.sum())
        c.add("index_put", x, [mask], c.tensor((count,) + tuple(x.shape[mask.dim():])))
    c.add("index_put", c.tensor((6,), torch.int64), [torch.tensor([1, 2])], torch.tensor([7, 8]))
    c.add("masked_scatter", c.tensor((3, 4)), c.tensor((3, 4), torch.bool), c.tensor((12,)))
    c.add("masked_scatter", c.tensor((3, 4)), c.tensor((4,), torch.bool), c.tensor((3, 4)))


def scattering(c):
    for dim in (0, 1, -1):
        index = torch.argsort(torch.rand((3, 4), generator=c.generator), dim)[:2, :3] % 3
        for dtype in (torch.float32, torch.int64):
            x, src = c.tensor((3, 4), dtype), c.tensor((3, 4), dtype)
            c.add("scatter.value", x, dim, index, 7)
            c.add("scatter_add", x, dim, index, src)
            for reduce in ("add", "multiply"):
                c.add("scatter.reduce", x, dim, index, src, reduce=reduce)
                c.add("scatter.value_reduce", x, dim, index, 2, reduce=reduce)
            for reduce in ("sum", "prod", "amax", "amin", "mean"):
                for include in (True, False):
                    c.add("scatter_reduce.two", x, dim, index, src, reduce, include_self=include)
    c.add("scatter.src", c.tensor((3, 4)), 1, torch.tensor([[0, 2], [3, 1]]), c.tensor((2, 2)))
    c.add("scatter.src", c.tensor((3, 4)), 0, torch.tensor([[2, 0, 1, 0]]), c.tensor((3, 4)))
    c.add("scatter.src", c.tensor((5,)), 0, torch.tensor([3]), c.tensor((1,)))
    for dim in (0, 1, -1):
        size = 2
        source = c.tensor([size if k == dim % 3 else n for k, n in enumerate((3, 4, 5))])
        index = torch.tensor([2, 0])
        c.add("index_add", c.tensor((3, 4, 5)), dim, index, source)
        c.add("index_add", c.tensor((3, 4, 5)), dim, torch.tensor([1, 1]), source, alpha=2)
        c.add("index_copy", c.tensor((3, 4, 5)), dim, index, source)
        c.add("index_fill.int_Scalar", c.tensor((3, 4, 5)), dim, index, 2.5)
        c.add("index_fill.int_Tensor", c.tensor((3, 4, 5)), dim, index, torch.tensor(1.5))


def creation(c):
    types = (None, torch.float32, torch.int64, torch.float64, torch.bool, torch.int32)
    for args in ((5,), (2, 7), (7, 2), (0.5, 3), (3,), (-2, 2.5), (0,), (5.5,)):
        for dtype in (None, torch.float32, torch.int64, torch.int32, torch.float64):
            c.add("arange.start" if len(args) == 2 else "arange", *args, dtype=dtype)
    for args in ((0, 10, 3), (10, 0, -3), (0.0, 1.0, 0.1), (1, 2, 0.3), (5, 5, 1)):
        c.add("arange.start_step", *args)
    for dtype in types:
        for size in ([2, 3], [], [0, 2]):
            c.add("zeros", size, dtype=dtype)
            c.add("ones", size, dtype=dtype)
            c.add("full", size, 2.5, dtype=dtype)
            c.add("full", size, 3, dtype=dtype)
        for source in (torch.float32, torch.int64, torch.float16):
            x = c.tensor((2, 3), source)
            c.add("zeros_like", x, dtype=dtype)
            c.add("ones_like", x, dtype=dtype)
            c.add("full_like", x, 4, dtype=dtype)
            c.add("new_zeros", x, [3], dtype=dtype)
            c.add("new_ones", x, [3, 1], dtype=dtype)
            c.add("new_full", x, [3], 1.5, dtype=dtype)
        c.add("scalar_tensor", 2.5, dtype=dtype)
    for start, end, steps in ((0, 1, 5), (-1.5, 2.5, 8), (3, -3, 7), (0, 10, 1), (1, 1, 3), (0, 1, 0)):
        c.add("linspace", start, end, steps)
        c.add("linspace", start, end, steps, dtype=torch.float64)
        c.add("logspace", start, end if abs(end) < 5 else 2, steps, 2.0)
    for n in (1, 3, 0):
        c.add("eye", n)
        c.add("eye.m", n, 4, dtype=torch.int64)
    for args in ((3, 4), (4, 3, 1), (3, 3, -1), (2, 5, -4)):
        c.add("tril_indices", *args)
        c.add("triu_indices", *args)
    for name in ("hann_window", "hamming_window", "blackman_window", "bartlett_window", "kaiser_window"):
        for n in (1, 2, 7, 16):
            c.add(name, n, atol=1e-6)
            for periodic in (True, False):
                c.add(name + ".periodic", n, periodic, atol=1e-6)
    c.add("kaiser_window.beta", 9, False, 5.0)
    c.add("hamming_window.periodic_alpha_beta", 9, False, 0.6, 0.4)
    c.add("vander", c.tensor((4,)))
    c.add("vander", c.tensor((4,)), 3, True)
    for dtype in INTS:
        c.add("fill.Scalar", c.tensor((3,), dtype), 2)
    c.add("fill.Tensor", c.tensor((3, 2)), torch.tensor(2))
    c.add("zero", c.tensor((3, 2)))
    c.add("copy", c.tensor((3, 2)), c.tensor((2,), torch.int64))
