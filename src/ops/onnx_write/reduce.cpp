// Reductions and running sums.
#include "ops/support/onnx_write.h"

namespace npuport {
namespace {

using namespace onnx_write;

// What a reduction of no elements gives depends on nothing: a constant.
bool reduced_nothing(OnnxEmit& c) {
  if (!is_empty(c.shape(0))) return false;
  const Tensor none = Tensor::zeros(c.dtype(0), c.shape(0));
  const Tensor* in[] = {&none};
  Result<std::vector<Tensor>> out = evaluate(*c.node().op, in, c.node().attrs);
  if (!out) {
    c.refuse(out.error().message);
  } else {
    c.give(c.constant(std::move((*out)[0])));
  }
  return true;
}

template <Name name>
void write_reduce(OnnxEmit& c) {
  if (reduced_nothing(c)) return;
  c.give(c.reduce(name, c.in(0), axes_of(c, c.rank(0)), c.attr().b("keepdims")));
}

// Bools: the maximum or minimum of 0 and 1.
template <Name name>
void write_truth(OnnxEmit& c) {
  if (reduced_nothing(c)) return;
  const int32_t x = c.cast(c.in(0), DType::i32);
  c.give(c.reduce(name, x, axes_of(c, c.rank(0)), c.attr().b("keepdims")));
}

// ArgMax of i64 has no kernel in ONNX Runtime; the first of one sorted element has.
template <bool largest>
void write_arg(OnnxEmit& c) {
  const size_t rank = std::max<size_t>(c.rank(0), 1);
  const int64_t axis = axis_of(c, rank);
  const int32_t x = c.rank(0) == 0 ? c.reshape(c.in(0), {1}) : c.in(0);
  Shape shape = c.tensor(x).shape;
  shape[static_cast<size_t>(axis)] = 1;
  if (c.dtype(0) == DType::i64) {
    const auto y = c.ops("TopK", {x, c.ints(1)}, {{DType::i64, shape, nullptr}, {DType::i64, shape, nullptr}},
                         {{"axis", axis}, {"largest", largest}, {"sorted", 1}});
    return c.give(y[1]);
  }
  const bool keep = c.attr().b("keepdims") || c.rank(0) == 0;
  const Shape out = keep ? shape : c.out_shape();
  c.give(c.op(largest ? "ArgMax" : "ArgMin", {x}, DType::i64, out, {{"axis", axis}, {"keepdims", keep}}));
}

void write_cumsum(OnnxEmit& c) {
  const size_t rank = std::max<size_t>(c.rank(0), 1);
  const int32_t x = c.rank(0) == 0 ? c.reshape(c.in(0), {1}) : c.in(0);
  const int32_t axis = c.constant(Tensor::scalar<int64_t>(axis_of(c, rank)));
  c.give(c.op("CumSum", {x, axis}, c.dtype(0), Shape(c.tensor(x).shape), {{"exclusive", 0}, {"reverse", 0}}));
}

constexpr OnnxWriter rows[] = {
    {"reduce_sum", write_reduce<"ReduceSum">},
    {"reduce_mean", write_reduce<"ReduceMean">},
    {"reduce_prod", write_reduce<"ReduceProd">},
    {"reduce_max", write_reduce<"ReduceMax">},
    {"reduce_min", write_reduce<"ReduceMin">},
    {"reduce_any", write_truth<"ReduceMax">},
    {"reduce_all", write_truth<"ReduceMin">},
    {"arg_max", write_arg<true>},
    {"arg_min", write_arg<false>},
    {"cumsum", write_cumsum},
};

}  // namespace

std::span<const OnnxWriter> onnx_write_reduce() { return rows; }

}  // namespace npuport
