// ATen: element types, devices, copies. npuport has one device and one memory format, so most are identities.
#include "ops/support/aten_help.h"

namespace npuport {
namespace {

using namespace aten;

void to_dtype(AtenCall& c) {
  const ValueId x = c.tensor("self");
  c.ret(c.b.cast(x, c.dtype("dtype").value_or(c.b.dtype(x))));
}
void to_other(AtenCall& c) { c.ret(c.b.cast(c.tensor("self"), c.b.dtype(c.tensor("other")))); }

template <DType t>
void to_fixed(AtenCall& c) {
  c.ret(c.b.cast(c.tensor("self"), t));
}

// Checks of torch.export: they hold for the example inputs the shapes were taken from.
void nothing(AtenCall&) {}

constexpr Promote N = Promote::none;

constexpr AtenRow rows[] = {
    {"to.dtype(Tensor(a) self, ScalarType dtype, bool non_blocking=False, bool copy=False, MemoryFormat? "
     "memory_format=None) -> Tensor(a)",
     {},
     N,
     to_dtype},
    {"to.device(Tensor(a) self, Device device, ScalarType dtype, bool non_blocking=False, bool copy=False, "
     "MemoryFormat? memory_format=None) -> Tensor(a)",
     {},
     N,
     to_dtype},
    {"to.other(Tensor(a) self, Tensor other, bool non_blocking=False, bool copy=False, MemoryFormat? "
     "memory_format=None) -> Tensor(a)",
     {},
     N,
     to_other},
    {"to.dtype_layout(Tensor(a) self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? "
     "pin_memory=None, bool non_blocking=False, bool copy=False, MemoryFormat? memory_format=None) -> Tensor(a)",
     {},
     N,
     to_dtype},
    {"to.prim_Device(Tensor(a) self, Device? device, ScalarType? dtype=None, bool non_blocking=False, bool copy=False) "
     "-> Tensor(a)",
     {},
     N,
     to_dtype},
    {"to.prim_dtype(Tensor(a) self, ScalarType? dtype=None, bool non_blocking=False, bool copy=False) -> Tensor(a)",
     {},
     N,
     to_dtype},
    {"to.prim_other(Tensor(a) self, bool non_blocking=False, bool copy=False) -> Tensor(a)", {}, N, identity},
    {"_to_copy(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? "
     "pin_memory=None, bool non_blocking=False, MemoryFormat? memory_format=None) -> Tensor",
     {},
     N,
     to_dtype},
    {"_autocast_to_full_precision(Tensor(a) self, bool cuda_enabled, bool cpu_enabled) -> Tensor(a)", {}, N, identity},
    {"type_as(Tensor self, Tensor other) -> Tensor", {}, N, to_other},
    {"_cast_Float(Tensor self, bool non_blocking=False) -> Tensor", {}, N, to_fixed<DType::f32>},
    {"_cast_Double(Tensor self, bool non_blocking=False) -> Tensor", {}, N, to_fixed<DType::f64>},
    {"_cast_Half(Tensor self, bool non_blocking=False) -> Tensor", {}, N, to_fixed<DType::f16>},
    {"_cast_Long(Tensor self, bool non_blocking=False) -> Tensor", {}, N, to_fixed<DType::i64>},
    {"_cast_Int(Tensor self, bool non_blocking=False) -> Tensor", {}, N, to_fixed<DType::i32>},
    {"contiguous(Tensor(a) self, *, MemoryFormat memory_format=contiguous_format) -> Tensor(a)", {}, N, identity},
    {"clone(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor", {}, N, identity},
    {"alias(Tensor(a) self) -> Tensor(a)", {}, N, identity},
    {"detach(Tensor(a) self) -> Tensor(a)", {}, N, identity},
    {"lift(Tensor self) -> Tensor", {}, N, identity},
    {"lift_fresh(Tensor(a) self) -> Tensor(a)", {}, N, identity},
    {"lift_fresh_copy(Tensor self) -> Tensor", {}, N, identity},
    {"cpu(Tensor(a) self) -> Tensor(a)", {}, N, identity},
    {"cuda(Tensor(a) self) -> Tensor(a)", {}, N, identity},
    {"data(Tensor(a) self) -> Tensor(a)", {}, N, identity},
    // Only complex tensors are changed by these, and there are none.
    {"real(Tensor(a) self) -> Tensor(a)", {}, N, identity},
    {"conj(Tensor(a) self) -> Tensor(a)", {}, N, identity},
    {"_conj(Tensor(a) self) -> Tensor(a)", {}, N, identity},
    {"conj_physical(Tensor self) -> Tensor", {}, N, identity},
    {"resolve_conj(Tensor(a) self) -> Tensor(a)", {}, N, identity},
    {"resolve_neg(Tensor(a) self) -> Tensor(a)", {}, N, identity},
    {"_assert_tensor_metadata(Tensor a, int[]? size=None, int[]? stride=None, ScalarType? dtype=None, *, Device? "
     "device=None, Layout? layout=None) -> ()",
     {},
     N,
     nothing},
};

}  // namespace

std::span<const AtenRow> aten_type() { return rows; }

}  // namespace npuport
