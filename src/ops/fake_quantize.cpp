// Simulated quantisation: rounding to a grid of integers and back.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/diag_codes.h"
#include "ir/op_def.h"
#include "ops/support/compute.h"

namespace npuport {
namespace {

constexpr PortDef kIn[] = {{"x"}, {"scale"}, {"zero_point"}};
constexpr PortDef kOut[] = {{"y"}};
constexpr AttrDef kAttrs[] = {
    {"quant_min", AttrKind::integer, "", "least integer"},
    {"quant_max", AttrKind::integer, "", "greatest integer"},
    {"axis", AttrKind::integer, "-1", "dim that scale and zero_point run along; -1 = one scale for all"},
};

Result<std::vector<TensorType>> infer(const InferCall& c) {
  const TensorType& x = *c.in[0];
  const int64_t axis = c.attrs.i("axis");
  if (!is_float(x.dtype) || !is_float(c.in[1]->dtype)) {
    return Diag(diag::dtype_mismatch,
                fmt::format("fake_quantize: x {} and scale {} must be floats", to_string(x), to_string(*c.in[1])));
  }
  if (axis < -1 || axis >= static_cast<int64_t>(x.shape.size()) || c.attrs.i("quant_min") > c.attrs.i("quant_max")) {
    return Diag(diag::bad_attribute, fmt::format("fake_quantize: axis {} or range [{}, {}] does not fit x {}", axis,
                                                 c.attrs.i("quant_min"), c.attrs.i("quant_max"), to_string(x)));
  }
  const int64_t wanted = axis < 0 ? 1 : x.shape[static_cast<size_t>(axis)];
  for (size_t i = 1; i < 3; ++i) {
    if (element_count(c.in[i]->shape) == wanted) continue;
    return Diag(diag::shape_mismatch, fmt::format("fake_quantize: {} is {}, {} values are needed", c.op.in[i].name,
                                                  to_string(*c.in[i]), wanted));
  }
  return std::vector<TensorType>{{x.dtype, x.shape, nullptr}};
}

template <class T>
void quantize(const EvalCall& c) {
  const Operand<T> x(c.in[0]), scale(c.in[1]), zero(c.in[2]);
  Target<T> y(c.out[0]);
  const int64_t axis = c.attrs.i("axis"), channels = axis < 0 ? 1 : c.in[0].shape[static_cast<size_t>(axis)];
  const int64_t inner =
      axis < 0 ? c.out[0].count() : element_count(c.in[0].shape.subspan(static_cast<size_t>(axis) + 1));
  const T low = static_cast<T>(c.attrs.i("quant_min")), high = static_cast<T>(c.attrs.i("quant_max"));
  for (int64_t i = 0; i < c.out[0].count(); ++i) {
    const int64_t ch = axis < 0 ? 0 : i / inner % channels;
    const T inverse = T(1) / scale[ch];
    const T q = std::clamp(std::nearbyint(zero[ch] + x[i] * inverse), low, high);
    y.data()[i] = (q - zero[ch]) * scale[ch];
  }
  y.store();
}

Status eval(const EvalCall& c) {
  with_float_compute(c.out[0].dtype, [&]<class T>() { quantize<T>(c); });
  return {};
}

std::optional<Ints> remap(std::vector<Attr>& attrs, std::span<const int64_t> perm, const InferCall&) {
  for (Attr& a : attrs) {
    if (a.name != "axis" || std::get<int64_t>(a.value) < 0) continue;
    a.value = static_cast<int64_t>(std::find(perm.begin(), perm.end(), std::get<int64_t>(a.value)) - perm.begin());
  }
  return Ints(perm.begin(), perm.end());
}

constexpr OpDef kRows[] = {
    {.name = "fake_quantize",
     .doc = "(clamp(round(x / scale + zero_point), quant_min, quant_max) - zero_point) * scale, halves to even.",
     .in = kIn,
     .out = kOut,
     .attrs = kAttrs,
     .infer = infer,
     .eval = eval,
     .exact = Exactness::rounding,
     .axes = {AxisRule::remap, remap},
     .quant = QuantRule::free_output},
};

}  // namespace

std::span<const OpDef> ops_fake_quantize() { return kRows; }

}  // namespace npuport
