// Element-wise operators of two inputs, comparisons, selection.
#include "ops/torch.h"

namespace npuport {
namespace {

// f(a, b) where the number, if one of them is one, comes second: PyTorch wants a tensor first.
void swapped(TorchEmit& c, std::string_view straight, std::string_view turned) {
  c.ret(c.expand(c.is_number(0) ? turned : straight));
}
void write_add(TorchEmit& c) { swapped(c, "torch.add(%a, #b)", "torch.add(%b, #a)"); }
void write_sub(TorchEmit& c) { swapped(c, "torch.sub(%a, #b)", "torch.rsub(%b, #a)"); }
void write_mul(TorchEmit& c) { swapped(c, "torch.mul(%a, #b)", "torch.mul(%b, #a)"); }
void write_equal(TorchEmit& c) { swapped(c, "torch.eq(%a, #b)", "torch.eq(%b, #a)"); }
void write_not_equal(TorchEmit& c) { swapped(c, "torch.ne(%a, #b)", "torch.ne(%b, #a)"); }
void write_less(TorchEmit& c) { swapped(c, "torch.lt(%a, #b)", "torch.gt(%b, #a)"); }
void write_less_equal(TorchEmit& c) { swapped(c, "torch.le(%a, #b)", "torch.ge(%b, #a)"); }
void write_greater(TorchEmit& c) { swapped(c, "torch.gt(%a, #b)", "torch.lt(%b, #a)"); }
void write_greater_equal(TorchEmit& c) { swapped(c, "torch.ge(%a, #b)", "torch.le(%b, #a)"); }

// Integer powers: PyTorch refuses a negative number as exponent, but not a tensor of them.
void write_pow(TorchEmit& c) { c.ret(c.expand(is_float(c.dtype(0)) ? "torch.pow(%a, #b)" : "torch.pow(%a, %b)")); }

constexpr TorchRow kRows[] = {
    {"add", {}, write_add},
    {"sub", {}, write_sub},
    {"mul", {}, write_mul},
    {"div", "torch.div(%a, #b)", nullptr, 4},
    {"pow", {}, write_pow},
    {"maximum", "torch.maximum(%a, %b)"},
    {"minimum", "torch.minimum(%a, %b)"},
    {"mod", "torch.remainder(%a, #b)"},
    {"fmod", "torch.fmod(%a, #b)"},
    {"floor_div", "torch.div(%a, %b, rounding_mode=\"floor\")", nullptr, 4},
    {"trunc_div", "torch.div(%a, %b, rounding_mode=\"trunc\")", nullptr, 4},
    {"atan2", "torch.atan2(%a, %b)"},
    {"squared_difference", "torch.square(torch.sub(%a, %b))"},
    {"bitwise_and", "torch.bitwise_and(%a, %b)"},
    {"bitwise_or", "torch.bitwise_or(%a, %b)"},
    {"bitwise_xor", "torch.bitwise_xor(%a, %b)"},
    {"shift_left", "aten.__lshift__(%a, %b)"},
    {"shift_right", "aten.__rshift__(%a, %b)"},
    {"equal", {}, write_equal},
    {"not_equal", {}, write_not_equal},
    {"less", {}, write_less},
    {"less_equal", {}, write_less_equal},
    {"greater", {}, write_greater},
    {"greater_equal", {}, write_greater_equal},
    {"logical_and", "torch.logical_and(%a, %b)"},
    {"logical_or", "torch.logical_or(%a, %b)"},
    {"logical_xor", "torch.logical_xor(%a, %b)"},
    {"where", "torch.where(%cond, %a, %b)"},
};

}  // namespace

std::span<const TorchRow> torch_binary() { return kRows; }

}  // namespace npuport
