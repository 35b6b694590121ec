"""Element-wise, comparison, activation and type operators."""

import torch
from make_cases import FLOATS, INTS

SHAPES = [(), (1,), (7,), (3, 5), (2, 3, 4), (0, 4), (1, 2, 3, 1, 5)]
PAIRS = [((), ()), ((3,), (3,)), ((5, 7), (5, 7)), ((2, 3), (3,)), ((2, 1, 4), (3, 1)), ((0, 3), (3,)), ((1,), (5,)),
         ((2, 3, 5), ()), ((), (4, 2)), ((1, 3, 1, 7), (2, 1, 5, 1))]
ALL = FLOATS + INTS + (torch.bool,)
MAIN = (torch.float32, torch.int64, torch.bool)

# name: (low, high) of the inputs, chosen where the function is defined and smooth.
UNARY_FLOAT = {
    "exp": (-5, 5), "exp2": (-5, 5), "expm1": (-3, 3), "log": (0.1, 9), "log1p": (-0.9, 5), "log2": (0.1, 9),
    "log10": (0.1, 9), "sqrt": (0, 9), "rsqrt": (0.1, 9), "reciprocal": (0.2, 5), "sin": (-6, 6), "cos": (-6, 6),
    "tan": (-1.4, 1.4), "asin": (-1, 1), "acos": (-1, 1), "atan": (-5, 5), "sinh": (-3, 3), "cosh": (-3, 3),
    "asinh": (-5, 5), "acosh": (1.1, 5), "atanh": (-0.95, 0.95), "erf": (-3, 3), "erfc": (-2, 2),
    "erfinv": (-0.95, 0.95), "lgamma": (0.2, 6), "sigmoid": (-6, 6), "tanh": (-4, 4), "deg2rad": (-180, 180),
    "rad2deg": (-3, 3), "sinc": (-2, 2), "special_expit": (-4, 4),
}
UNARY_ANY = ["abs", "neg", "floor", "ceil", "round", "trunc", "sign", "square", "relu", "isnan", "isinf", "isfinite",
             "isposinf", "isneginf", "logical_not", "nan_to_num", "signbit", "positive", "sgn"]
ACTIVATIONS = ["gelu", "silu", "mish", "hardsigmoid", "hardswish", "log_sigmoid", "selu", "relu6", "hardtanh", "elu",
               "celu", "leaky_relu", "softplus", "hardshrink", "softshrink"]
BINARY = ["add.Tensor", "sub.Tensor", "mul.Tensor", "rsub.Tensor", "maximum", "minimum", "max.other", "min.other",
          "fmax", "fmin"]
DIVIDING = ["div.Tensor", "floor_divide", "remainder.Tensor", "fmod.Tensor", "true_divide.Tensor"]
COMPARE = ["eq", "ne", "lt", "le", "gt", "ge"]


def fill(c):
    unary(c)
    activations(c)
    binary(c)
    with_numbers(c)
    compare_and_logic(c)
    selection(c)
    ternary(c)
    types(c)
    aliases(c)


def unary(c):
    for name, (low, high) in UNARY_FLOAT.items():
        for shape in SHAPES:
            c.add(name, c.tensor(shape, torch.float32, low, high))
        for dtype in (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool):
            c.add(name, c.tensor((3, 4), dtype, max(low, 1) if dtype == torch.int64 else low, high))
        c.add(name, c.tensor((3, 4), torch.float32, low, high, special=True))
    for name in UNARY_ANY:
        for shape in SHAPES:
            c.add(name, c.tensor(shape))
        for dtype in ALL:
            c.add(name, c.tensor((4, 5), dtype, -4, 4))
        c.add(name, c.tensor((4, 5), special=True))
    half_way = torch.tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5, 1e10])
    c.add("round", half_way)
    for decimals in (0, 1, 2, -1):
        c.add("round.decimals", c.tensor((20,), low=-30, high=30), decimals=decimals, atol=1e-4)
    c.add("frac", c.tensor((9,)))
    c.add("logit", c.tensor((9,), low=0.1, high=0.9), None)
    c.add("logit", c.tensor((9,), low=-0.1, high=1.1), 0.01)
    c.add("nan_to_num", c.tensor((9,), special=True), 1.5, 7.0, -7.0)
    for dtype in INTS + (torch.bool,):
        c.add("bitwise_not", c.tensor((5,), dtype, -9, 9))


def activations(c):
    for name in ACTIVATIONS:
        for shape in SHAPES:
            c.add(name, c.tensor(shape, low=-8, high=8))
        for dtype in (torch.float64, torch.float16, torch.bfloat16):
            c.add(name, c.tensor((3, 4), dtype, -5, 5))
    x = c.tensor((3, 7), low=-8, high=8)
    c.add("gelu", x, approximate="tanh")
    c.add("gelu", x.double(), approximate="tanh")
    for slope in (0, 0.2, 1, -0.5):
        c.add("leaky_relu", x, slope)
    for args in ((0.5,), (2, 1.5), (1.0, 1.0, 0.5), (1.5, 2.0, 0.25)):
        c.add("elu", x, *args)
    c.add("celu", x, 2.0)
    for args in ((2.0, 5.0), (0.5, 20), (1, 2)):
        c.add("softplus", x, *args)
    for lambd in (0.0, 1, 2.5):
        c.add("hardshrink", x, lambd)
        c.add("softshrink", x, lambd)
    for args in ((-2.0, 2.0), (0, 6)):
        c.add("hardtanh", x, *args)
    for args in ((0.5, 9.0), (-1, 0)):
        c.add("threshold", x, *args)
    for shape in ((2, 4, 3, 5), (3, 4), (5, 4, 2)):
        for size in (1, 4):
            c.add("prelu", c.tensor(shape), c.tensor((size,), low=0.1, high=0.9))
    c.add("prelu", c.tensor((6,)), c.tensor((1,)))
    for shape, dims in (((3, 5), (0, 1, -1, -2)), ((2, 3, 4, 2), (0, 1, 2, 3, -3)), ((4,), (0,)), ((), (0,)), ((0, 3), (1,)),
                        ((2, 1), (1,))):
        for dim in dims:
            c.add("softmax.int", c.tensor(shape, low=-9, high=9), dim)
            c.add("log_softmax.int", c.tensor(shape, low=-9, high=9), dim)
            c.add("_softmax", c.tensor(shape, low=-9, high=9), dim, False)
    for dtype in (torch.float64, torch.bfloat16):
        c.add("softmax.int", c.tensor((3, 9), dtype), 1)
        c.add("softmax.int", c.tensor((3, 9)), 1, dtype)
    masked = c.tensor((3, 6))
    masked[0, 2:] = float("-inf")
    masked[1, :] = float("-inf")
    c.add("softmax.int", masked, 1)
    c.add("log_softmax.int", masked, -1)
    for dim in (0, 1, -1, 2):
        c.add("glu", c.tensor((2, 4, 6)), dim)
    for p in (0.0, 0.5):
        c.add("dropout", c.tensor((3, 4)), p, False)
    bounds = [(None, 1.0), (-1.0, None), (-1.0, 1.0), (0, 6), (2.0, -2.0), (-1, 2.5)]
    for low, high in bounds:
        for dtype in (torch.float32, torch.int64, torch.int32, torch.uint8, torch.float64):
            c.add("clamp", c.tensor((4, 5), dtype, -4, 4), low, high)
        c.add("clamp", c.tensor((4, 5), special=True), low, high)
    for dtype in (torch.float32, torch.int64):
        a, b = c.tensor((5,), dtype, -2, 0), c.tensor((5,), dtype, 1, 2)
        c.add("clamp.Tensor", c.tensor((4, 5), dtype), a, b)
        c.add("clamp.Tensor", c.tensor((4, 5), dtype), None, b)
        c.add("clamp.Tensor", c.tensor((4, 5), dtype), a, None)
        c.add("clamp_min", c.tensor((4, 5), dtype), 1)
        c.add("clamp_max", c.tensor((4, 5), dtype), 0.5)
        c.add("clamp_min.Tensor", c.tensor((4, 5), dtype), a)
        c.add("clamp_max.Tensor", c.tensor((4, 5), dtype), a)


def binary(c):
    for name in BINARY + DIVIDING + ["pow.Tensor_Tensor", "atan2"]:
        low = 1 if name in DIVIDING or name.startswith("pow") else -4
        for a, b in PAIRS:
            c.add(name, c.tensor(a, low=0.2 if name.startswith("pow") else -4), c.tensor(b, low=low))
        for da in ALL:
            for db in (torch.float32, torch.int64, torch.bool, da):
                first = c.tensor((3, 4), da, 0 if name.startswith("pow") else -5, 5)
                c.add(name, first, c.tensor((4,), db, low, 4))
        # Rank-0 operands only decide the type when they are of a higher kind.
        for da, db in ((torch.float16, torch.float64), (torch.int32, torch.int64), (torch.int8, torch.float64),
                       (torch.uint8, torch.int64), (torch.bool, torch.int32)):
            c.add(name, c.tensor((3,), da, low, 4), c.tensor((), db, 1, 3))
            c.add(name, c.tensor((), db, 1, 3), c.tensor((3,), da, low, 4))
        c.add(name, c.tensor((4, 4), special=True), c.tensor((4, 4), special=True))
    for name in DIVIDING:
        for dtype in (torch.float32, torch.int64, torch.int32, torch.int8):
            a = torch.tensor([7, -7, 7, -7, 6, -6, 0, 1], dtype=dtype)
            b = torch.tensor([2, 2, -2, -2, 3, 3, 5, -1], dtype=dtype)
            c.add(name, a, b)
        c.add(name, torch.tensor([5.5, -5.5, 1.0, 0.0, 1e20]), torch.tensor([0.0, 0.0, float("inf"), 3.0, 0.1]))
    for mode in (None, "floor", "trunc"):
        for dtype in (torch.float32, torch.int64, torch.int32):
            c.add("div.Tensor_mode", c.tensor((9,), dtype, -9, 9), c.tensor((9,), dtype, 1, 4), rounding_mode=mode)
            c.add("div.Scalar_mode", c.tensor((9,), dtype, -9, 9), 2, rounding_mode=mode)
            c.add("div.Scalar_mode", c.tensor((9,), dtype, -9, 9), -2.5, rounding_mode=mode)
    for name in ("hypot", "logaddexp", "logaddexp2", "copysign.Tensor", "xlogy.Tensor"):
        for a, b in PAIRS:
            c.add(name, c.tensor(a), c.tensor(b, low=0.5 if name.startswith("xlogy") else -3))
        c.add(name, c.tensor((3, 4), torch.float64), c.tensor((4,), torch.float64, low=0.5))
    c.add("copysign.Tensor", c.tensor((6,)), torch.tensor([0.0, -0.0, 1.0, -1.0, float("inf"), float("-inf")]))
    c.add("heaviside", torch.tensor([-1.0, 0.0, 2.0]), torch.tensor([0.5]))
    for name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
        for dtype in INTS + (torch.bool,):
            c.add(name + ".Tensor", c.tensor((3, 4), dtype, -9, 9), c.tensor((4,), dtype, -9, 9))
        c.add(name + ".Tensor", c.tensor((3, 4), torch.int32, -9, 9), c.tensor((4,), torch.int64, -9, 9))
        c.add(name + ".Scalar", c.tensor((3, 4), torch.int32, -9, 9), 6)
    for name in ("__and__", "__or__", "__xor__"):
        c.add(name + ".Tensor", c.tensor((5,), torch.bool), c.tensor((5,), torch.bool))
        c.add(name + ".Scalar", c.tensor((5,), torch.int64, -9, 9), 3)
    for dtype in (torch.int64, torch.int32, torch.uint8):
        shift = c.tensor((7,), dtype, 0, 4)
        for name in ("bitwise_left_shift.Tensor", "bitwise_right_shift.Tensor", "__lshift__.Tensor", "__rshift__.Tensor"):
            c.add(name, c.tensor((7,), dtype, -40, 40), shift)


def with_numbers(c):
    numbers = (2, -1, 0.5, -2.5)  # torch.ops turns True into 1, unlike x + True
    for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.uint8, torch.bool):
        for number in numbers:
            x = c.tensor((3, 4), dtype, -5, 5)
            for name in ("add.Scalar", "sub.Scalar", "rsub.Scalar", "mul.Scalar", "div.Scalar"):
                c.add(name, x, number)
            for name in ("floor_divide.Scalar", "remainder.Scalar", "fmod.Scalar"):
                c.add(name, x, number)
            for name in COMPARE:
                c.add(name + ".Scalar", x, number)
    for alpha in (2, 0.5, -1):
        c.add("add.Tensor", c.tensor((3, 4)), c.tensor((4,)), alpha=alpha)
        c.add("sub.Tensor", c.tensor((3, 4)), c.tensor((4,)), alpha=alpha)
        c.add("rsub.Scalar", c.tensor((3, 4)), 3, alpha)
    c.add("add.Tensor", c.tensor((3,), torch.int64), c.tensor((3,), torch.int64), alpha=3)
    for exponent in (0, 1, 2, 3, 4, 0.5, -0.5, -1, -2, 2.5, -3):
        c.add("pow.Tensor_Scalar", c.tensor((9,), low=0.3), exponent)
        c.add("pow.Tensor_Scalar", c.tensor((9,), torch.int64, 1, 4), exponent)
        c.add("pow.Tensor_Scalar", c.tensor((9,), torch.int32, 1, 4), exponent)
    c.add("pow.Tensor_Scalar", c.tensor((9,), special=True), 2)
    c.add("pow.Scalar", 2, c.tensor((9,)))
    c.add("pow.Scalar", 2.5, c.tensor((9,), torch.int64, 0, 3))
    c.add("pow.Scalar", 2, c.tensor((9,), torch.int64, 0, 5))
    c.add("remainder.Scalar_Tensor", 7, c.tensor((5,), torch.int64, 1, 4))
    c.add("xlogy.Scalar_Other", c.tensor((5,)), 2.0)


def compare_and_logic(c):
    for name in COMPARE:
        for a, b in PAIRS:
            c.add(name + ".Tensor", c.tensor(a, low=-1, high=1), c.tensor(b, low=-1, high=1))
        for da in ALL:
            for db in MAIN:
                c.add(name + ".Tensor", c.tensor((3, 4), da, -2, 2), c.tensor((4,), db, -2, 2))
        c.add(name + ".Tensor", c.tensor((4, 4), special=True), c.tensor((4, 4), special=True))
    for name in ("logical_and", "logical_or", "logical_xor"):
        for da in MAIN:
            for db in MAIN:
                c.add(name, c.tensor((3, 4), da, -1, 1), c.tensor((4,), db, -1, 1))
    for equal_nan in (False, True):
        a = c.tensor((8,), special=True)
        c.add("isclose", a, a.clone(), 1e-5, 1e-8, equal_nan)
        c.add("isclose", c.tensor((8,), torch.int64), c.tensor((8,), torch.int64), 0.0, 1.0, equal_nan)
    for invert in (False, True):
        c.add("isin.Tensor_Tensor", c.tensor((3, 4), torch.int64), c.tensor((3,), torch.int64), invert=invert)


def selection(c):
    for a, b in PAIRS:
        shape = torch.broadcast_shapes(a, b)
        c.add("where.self", c.tensor(shape, torch.bool), c.tensor(a), c.tensor(b))
    for da in (torch.float32, torch.int64, torch.bool, torch.float16, torch.int32):
        for db in (torch.float32, torch.int64, torch.bool, torch.float64):
            c.add("where.self", c.tensor((3, 4), torch.bool), c.tensor((3, 1), da), c.tensor((4,), db))
            c.add("where.self", c.tensor((3, 4), torch.bool), c.tensor((3, 1), da), c.tensor((), db))
    for number in (1, 2.5):
        for dtype in (torch.float32, torch.int64, torch.float16):
            c.add("where.ScalarOther", c.tensor((3, 4), torch.bool), c.tensor((4,), dtype), number)
            c.add("where.ScalarSelf", c.tensor((3, 4), torch.bool), number, c.tensor((4,), dtype))
    c.add("where.Scalar", c.tensor((3, 4), torch.bool), 1.5, 0.5)
    c.add("where.Scalar", c.tensor((3, 4), torch.bool), 1, 0)
    for dtype in (torch.float32, torch.int64, torch.bool, torch.float16):
        for value in (float("-inf"), 0, 1.5, True):
            c.add("masked_fill.Scalar", c.tensor((2, 3, 4), dtype), c.tensor((3, 4), torch.bool), value)
        c.add("masked_fill.Tensor", c.tensor((2, 3, 4), dtype), c.tensor((4,), torch.bool), c.tensor((), dtype))
    c.add("masked_fill.Scalar", c.tensor((2, 3)), c.tensor((), torch.bool), 9)


def ternary(c):
    for name in ("addcmul", "addcdiv"):
        for value in (1, 0.5, -2):
            c.add(name, c.tensor((3, 4)), c.tensor((4,)), c.tensor((3, 1), low=0.5), value=value)
    c.add("addcmul", c.tensor((5,), torch.int64), c.tensor((5,), torch.int64), c.tensor((5,), torch.int64), value=2)
    for weight in (0, 0.3, 0.5, 0.7, 1, -1.0, 2.0):
        c.add("lerp.Scalar", c.tensor((3, 4)), c.tensor((4,)), weight)
    c.add("lerp.Tensor", c.tensor((3, 4)), c.tensor((4,)), c.tensor((3, 1), low=-1, high=2))


def aliases(c):
    """Second names of the same rows."""
    x = c.tensor((3, 4), low=0.1, high=0.9)
    for name in ("absolute", "negative", "arccos", "arcsin", "arcsinh", "arctan", "arctanh", "fix", "special_erf",
                 "special_erfinv", "special_exp2", "special_expm1", "special_gammaln", "special_log1p", "real",
                 "conj", "conj_physical", "resolve_conj", "resolve_neg", "lift", "lift_fresh", "lift_fresh_copy"):
        c.add(name, x)
    c.add("arccosh", x + 1)
    for name in ("greater", "greater_equal", "less", "less_equal", "not_equal", "subtract", "multiply", "divide"):
        c.add(name + ".Tensor", c.tensor((3, 4)), c.tensor((4,), low=0.5))
        c.add(name + ".Scalar", c.tensor((3, 4)), 2)
    for name in ("divide.Tensor_mode", "div.Tensor_mode"):
        c.add(name, c.tensor((9,)), c.tensor((9,), low=0.5), rounding_mode="floor")
    c.add("divide.Scalar_mode", c.tensor((9,)), 2, rounding_mode="trunc")
    c.add("true_divide.Scalar", c.tensor((9,), torch.int64), 2)
    c.add("arctan2", c.tensor((9,)), c.tensor((9,)))
    for name in ("clip", "clamp"):
        c.add(name, c.tensor((9,)), -1, 1)
    c.add("clip.Tensor", c.tensor((9,)), c.tensor((9,)), None)
    c.add("copysign.Scalar", c.tensor((9,)), -2.0)
    c.add("ldexp.Tensor", c.tensor((9,)), c.tensor((9,), torch.int64))
    for name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
        c.add(name + ".Scalar_Tensor", 6, c.tensor((5,), torch.int64))
    for name in ("__lshift__", "__rshift__"):
        c.add(name + ".Scalar", c.tensor((5,), torch.int64, 0, 40), 2)
    for name in ("bitwise_left_shift", "bitwise_right_shift"):
        c.add(name + ".Tensor_Scalar", c.tensor((5,), torch.int64, 0, 40), 2)
    for name in ("special_softmax", "special_log_softmax"):
        c.add(name, x, 1)
    c.add("_log_softmax", x, 1, False)
    c.add("special_logit", x, None)
    c.add("rrelu", c.tensor((9,)), 0.1, 0.3, False)
    for name in ("feature_dropout", "alpha_dropout", "feature_alpha_dropout"):
        c.add(name, c.tensor((2, 3, 4)), 0.5, False)
    c.add("type_as", x, c.tensor((2,), torch.int64))
    c.add("to.dtype_layout", x, dtype=torch.float64)


def types(c):
    extreme = torch.tensor([0.0, -0.5, 0.99, -0.99, 1.5, -1.5, 100.7, -100.7])
    for source in ALL:
        for target in ALL:
            x = extreme.to(source) if source != torch.uint8 else extreme.abs().to(source)
            c.add("to.dtype", x, target)
    for target in (torch.float32, torch.int64, None):
        c.add("_to_copy", c.tensor((3, 4)), dtype=target)
    c.add("to.other", c.tensor((3,)), c.tensor((2,), torch.int32))
    c.add("clone", c.tensor((3, 4)))
    c.add("alias", c.tensor((3, 4)))
    c.add("contiguous", c.tensor((3, 4)))
    c.add("detach", c.tensor((3, 4)))
