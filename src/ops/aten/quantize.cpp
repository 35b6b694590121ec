// ATen fake quantisation, and quantised tensors carried as floats on their grid.
#include <fmt/format.h>

#include "base/diag_codes.h"
#include "ops/aten.h"
#include "ops/support/aten_nn.h"

namespace npuport {
namespace {

std::vector<Attr> range_of(AtenCall& c, int64_t axis) {
  return {{"quant_min", c.i("quant_min")}, {"quant_max", c.i("quant_max")}, {"axis", axis}};
}

ValueId per_tensor(AtenCall& c, std::vector<Attr> attrs) {
  const ValueId scale = c.b.scalar(c.f("scale")), zero = c.b.scalar(static_cast<double>(c.i("zero_point")));
  return c.b.op("fake_quantize", {c.tensor("self"), scale, zero}, std::move(attrs));
}

void fake_per_tensor(AtenCall& c) { c.ret(per_tensor(c, range_of(c, -1))); }

void fake_per_tensor_qparams(AtenCall& c) {
  c.ret(c.b.op("fake_quantize", {c.tensor("self"), c.tensor("scale"), c.tensor("zero_point")}, range_of(c, -1)));
}

// Only with fake_quant_enabled; the enabling flag must be known.
void fake_per_tensor_switched(AtenCall& c) {
  const Tensor* enabled = c.b.constant_of(c.tensor("fake_quant_enabled"));
  if (!enabled || enabled->count() != 1) {
    return c.fail(Diag(diag::data_dependent, "whether fake quantisation is on depends on input values"));
  }
  if (get_int(*enabled, 0) == 0) {
    c.ret(c.tensor("self"));
  } else {
    fake_per_tensor_qparams(c);
  }
  c.ret(c.b.constant(Tensor::scalar(true)));
}

void fake_per_channel(AtenCall& c) {
  const int64_t axis = c.axis("axis", c.shape("self").size());
  c.ret(c.b.op("fake_quantize", {c.tensor("self"), c.tensor("scale"), c.tensor("zero_point")}, range_of(c, axis)));
}

// A quantised tensor is carried as the floats it stands for; dequantize is then the identity.
void quantize_per_tensor(AtenCall& c) {
  const DType t = c.dtype("dtype").value_or(DType::u8);
  if (t != DType::u8 && t != DType::i8) {
    return c.fail(Diag(diag::unsupported, fmt::format("quantize_per_tensor to {}", name(t)), "Use quint8 or qint8."));
  }
  const bool is_u8 = t == DType::u8;
  c.ret(per_tensor(c, {{"quant_min", is_u8 ? 0 : -128}, {"quant_max", is_u8 ? 255 : 127}}));
}

void dequantize(AtenCall& c) { c.ret(c.tensor("self")); }

constexpr AtenRow kRows[] = {
    {.schema =
         "fake_quantize_per_tensor_affine(Tensor self, float scale, int zero_point, int quant_min, int quant_max) "
         "-> Tensor",
     .fn = fake_per_tensor},
    {.schema = "fake_quantize_per_tensor_affine.tensor_qparams(Tensor self, Tensor scale, Tensor zero_point, int "
               "quant_min, int quant_max) -> Tensor",
     .fn = fake_per_tensor_qparams},
    {.schema =
         "_fake_quantize_per_tensor_affine_cachemask_tensor_qparams(Tensor self, Tensor scale, Tensor zero_point, "
         "Tensor fake_quant_enabled, int quant_min, int quant_max) -> (Tensor, Tensor)",
     .fn = fake_per_tensor_switched},
    {.schema =
         "fake_quantize_per_channel_affine(Tensor self, Tensor scale, Tensor zero_point, int axis, int quant_min, "
         "int quant_max) -> Tensor",
     .fn = fake_per_channel},
    {.schema = "quantize_per_tensor(Tensor self, float scale, int zero_point, ScalarType dtype) -> Tensor",
     .fn = quantize_per_tensor},
    {.schema = "dequantize.self(Tensor self) -> Tensor", .fn = dequantize},
};

}  // namespace

std::span<const AtenRow> aten_quantize() { return kRows; }

}  // namespace npuport
