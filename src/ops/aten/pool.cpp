// ATen pooling.
#include <fmt/format.h>

#include "base/diag_codes.h"
#include "ops/aten.h"
#include "ops/support/aten_nn.h"

namespace npuport {
namespace {

using aten_nn::Batched;
using aten_nn::repeat_to;

// Attributes shared by all pools; an empty stride means the kernel's size.
std::vector<Attr> window_attrs(AtenCall& c, size_t rank) {
  const Ints kernel = repeat_to(c.ints("kernel_size"), rank, 1), stride = c.ints("stride");
  const Ints pad = repeat_to(c.ints("padding"), rank, 0);
  return {{"kernel", kernel},
          {"stride", stride.empty() ? kernel : repeat_to(stride, rank, 1)},
          {"pad_begin", pad},
          {"pad_end", pad},
          {"ceil_mode", c.flag("ceil_mode")}};
}

template <size_t rank>
void max_pool(AtenCall& c) {
  std::vector<Attr> attrs = window_attrs(c, rank);
  attrs.emplace_back("dilation", repeat_to(c.ints("dilation"), rank, 1));
  const Batched x(c.b, c.tensor("self"), rank);
  c.ret(x.restore(c.b, c.b.op(fmt::format("max_pool{}d", rank), {x.value}, std::move(attrs))));
}

// The maximum and the indices are separate nodes: models that ignore the indices keep the plain pool only.
template <size_t rank>
void max_pool_with_indices(AtenCall& c) {
  std::vector<Attr> attrs = window_attrs(c, rank);
  attrs.emplace_back("dilation", repeat_to(c.ints("dilation"), rank, 1));
  const Batched x(c.b, c.tensor("self"), rank);
  const ValueId y = c.b.op(fmt::format("max_pool{}d", rank), {x.value}, attrs);
  const std::vector<ValueId> both = c.b.ops(fmt::format("max_pool{}d_with_indices", rank), {x.value}, std::move(attrs));
  c.ret(x.restore(c.b, y));
  c.ret(both.size() < 2 ? ValueId{} : x.restore(c.b, both[1]));
}

template <size_t rank>
void avg_pool(AtenCall& c) {
  std::vector<Attr> attrs = window_attrs(c, rank);
  attrs.emplace_back("count_include_pad", c.flag("count_include_pad"));
  if (rank > 1 && !c.is_none("divisor_override")) attrs.emplace_back("divisor_override", c.i("divisor_override"));
  const Batched x(c.b, c.tensor("self"), rank);
  c.ret(x.restore(c.b, c.b.op(fmt::format("avg_pool{}d", rank), {x.value}, std::move(attrs))));
}

// Kernel sizes that make an adaptive pool a plain one; empty when the sizes do not divide.
Ints exact_kernel(std::span<const int64_t> in, const Ints& out) {
  Ints kernel(out.size());
  for (size_t i = 0; i < out.size(); ++i) {
    if (out[i] < 1 || in[i] % out[i] != 0) return {};
    kernel[i] = in[i] / out[i];
  }
  return kernel;
}

struct Adaptive {
  Batched x;
  Shape in;     // spatial sizes
  Ints out;     // wanted spatial sizes
  Ints kernel;  // of the equivalent plain pool, or empty

  Adaptive(AtenCall& c, size_t rank) : x(c.b, c.tensor("self"), rank), out(repeat_to(c.ints("output_size"), rank, 1)) {
    const Shape& s = c.b.shape(x.value);
    if (c.b.failed() || s.size() != rank + 2 || out.size() != rank) return;
    in.assign(s.begin() + 2, s.end());
    kernel = exact_kernel(in, out);
  }
};

template <size_t rank>
void adaptive_avg(AtenCall& c) {
  const Adaptive a(c, rank);
  ValueId y = a.x.value;
  if (!a.kernel.empty() && a.out == a.in) {
    // Every window is one element.
  } else if (!a.kernel.empty() && a.out == Ints(rank, 1)) {
    Ints axes(rank);
    for (size_t i = 0; i < rank; ++i) axes[i] = static_cast<int64_t>(i) + 2;
    y = aten_nn::reduce(c.b, "reduce_mean", y, std::move(axes), true);
  } else if (!a.kernel.empty()) {
    y = c.b.op(fmt::format("avg_pool{}d", rank), {y}, {{"kernel", a.kernel}, {"stride", a.kernel}});
  } else {
    y = c.b.op(fmt::format("adaptive_avg_pool{}d", rank), {y}, {{"output_size", a.out}});
  }
  c.ret(a.x.restore(c.b, y));
}

template <size_t rank>
void adaptive_max(AtenCall& c) {
  const Adaptive a(c, rank);
  ValueId y;
  std::vector<ValueId> both;
  if (!a.kernel.empty()) {
    const std::vector<Attr> attrs = {{"kernel", a.kernel}, {"stride", a.kernel}};
    y = c.b.op(fmt::format("max_pool{}d", rank), {a.x.value}, attrs);
    both = c.b.ops(fmt::format("max_pool{}d_with_indices", rank), {a.x.value}, attrs);
  } else {
    both = c.b.ops(fmt::format("adaptive_max_pool{}d", rank), {a.x.value}, {{"output_size", a.out}});
    if (!both.empty()) y = both[0];
  }
  c.ret(a.x.restore(c.b, y));
  c.ret(both.size() < 2 ? ValueId{} : a.x.restore(c.b, both[1]));
}

constexpr AtenRow kRows[] = {
    {.schema =
         "max_pool1d(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=0, int[1] dilation=1, bool "
         "ceil_mode=False) -> Tensor",
     .fn = max_pool<1>},
    {.schema =
         "max_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, bool "
         "ceil_mode=False) -> Tensor",
     .fn = max_pool<2>},
    {.schema =
         "max_pool3d(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, int[3] dilation=1, bool "
         "ceil_mode=False) -> Tensor",
     .fn = max_pool<3>},
    {.schema = "max_pool1d_with_indices(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=0, int[1] "
               "dilation=1, bool ceil_mode=False) -> (Tensor, Tensor)",
     .fn = max_pool_with_indices<1>},
    {.schema = "max_pool2d_with_indices(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] "
               "dilation=1, bool ceil_mode=False) -> (Tensor, Tensor)",
     .fn = max_pool_with_indices<2>},
    {.schema = "max_pool3d_with_indices(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, int[3] "
               "dilation=1, bool ceil_mode=False) -> (Tensor, Tensor)",
     .fn = max_pool_with_indices<3>},
    {.schema = "avg_pool1d(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=0, bool ceil_mode=False, "
               "bool count_include_pad=True) -> Tensor",
     .fn = avg_pool<1>},
    {.schema = "avg_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, bool ceil_mode=False, "
               "bool count_include_pad=True, int? divisor_override=None) -> Tensor",
     .fn = avg_pool<2>},
    {.schema = "avg_pool3d(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, bool ceil_mode=False, "
               "bool count_include_pad=True, int? divisor_override=None) -> Tensor",
     .fn = avg_pool<3>},
    {.schema = "adaptive_avg_pool1d(Tensor self, int[1] output_size) -> Tensor", .fn = adaptive_avg<1>},
    {.schema = "adaptive_avg_pool2d(Tensor self, int[2] output_size) -> Tensor", .fn = adaptive_avg<2>},
    {.schema = "_adaptive_avg_pool2d(Tensor self, int[2] output_size) -> Tensor", .fn = adaptive_avg<2>},
    {.schema = "adaptive_avg_pool3d(Tensor self, int[3] output_size) -> Tensor", .fn = adaptive_avg<3>},
    {.schema = "_adaptive_avg_pool3d(Tensor self, int[3] output_size) -> Tensor", .fn = adaptive_avg<3>},
    {.schema = "adaptive_max_pool1d(Tensor self, int[1] output_size) -> (Tensor, Tensor)", .fn = adaptive_max<1>},
    {.schema = "adaptive_max_pool2d(Tensor self, int[2] output_size) -> (Tensor, Tensor)", .fn = adaptive_max<2>},
    {.schema = "adaptive_max_pool3d(Tensor self, int[3] output_size) -> (Tensor, Tensor)", .fn = adaptive_max<3>},
};

}  // namespace

std::span<const AtenRow> aten_pool() { return kRows; }

}  // namespace npuport
