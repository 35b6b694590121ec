// Constants, ranges and tables that follow from numbers.
#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "ops/support/onnx_help.h"

namespace npuport {
namespace {

constexpr int64_t kMost = int64_t{1} << 24;  // elements of a table

void read_constant(OnnxRead& c) {
  Builder& b = c.b;
  if (c.has_attr("value")) {
    const Tensor* t = c.tensor("value");
    if (t != nullptr) c.ret(b.constant(*t));
  } else if (c.has_attr("sparse_value")) {
    const Tensor* t = c.tensor("sparse_value");
    if (t != nullptr) c.ret(b.constant(*t));
  } else if (c.has_attr("value_int")) {
    c.ret(b.constant(Tensor::scalar<int64_t>(c.i("value_int", 0))));
  } else if (c.has_attr("value_float")) {
    c.ret(b.constant(Tensor::scalar(static_cast<float>(c.f("value_float", 0)))));
  } else if (c.has_attr("value_ints")) {
    c.ret(b.ints(c.ints("value_ints")));
  } else if (c.has_attr("value_floats")) {
    const Reals v = c.reals("value_floats");
    Tensor t = Tensor::zeros(DType::f32, {static_cast<int64_t>(v.size())});
    for (size_t i = 0; i < v.size(); ++i) t.mut<float>()[i] = static_cast<float>(v[i]);
    c.ret(b.constant(std::move(t)));
  } else if (c.has_attr("value_string") || c.has_attr("value_strings")) {
    c.refuse("of strings");
  } else {
    c.fail(Diag(diag::corrupt, "Constant without a value"));
  }
}

void read_constant_of_shape(OnnxRead& c) {
  const Ints shape = c.const_ints(0);
  const Tensor* value = c.tensor("value");
  if (c.stopped()) return;
  if (value != nullptr && value->count() != 1) {
    return c.fail(Diag(diag::bad_attribute, "the value of ConstantOfShape is no single number"));
  }
  const DType dtype = value == nullptr ? DType::f32 : value->dtype;
  const bool whole = value != nullptr && !is_float(dtype);
  const AtenScalar fill = value == nullptr ? ox::integer(0)
                          : whole          ? ox::integer(get_int(*value, 0))
                                           : ox::real(get_double(*value, 0));
  c.ret(ox::full(c.b, shape, fill, dtype));
}

void read_range(OnnxRead& c) {
  const Tensor *start = c.constant(0), *limit = c.constant(1), *delta = c.constant(2);
  if (c.stopped()) return;
  if (start->count() != 1 || limit->count() != 1 || delta->count() != 1) {
    return c.fail(Diag(diag::shape_mismatch, "Range takes single numbers"));
  }
  const DType dtype = start->dtype;
  const double from = get_double(*start, 0), to = get_double(*limit, 0), by = get_double(*delta, 0);
  const double count = std::max(std::ceil((to - from) / by), 0.0);
  if (by == 0 || !(count <= static_cast<double>(kMost))) {
    return c.fail(Diag(diag::too_large, fmt::format("Range from {} to {} by {}", from, to, by)));
  }
  const auto n = static_cast<int64_t>(count);
  if (is_float(dtype)) {
    Tensor t = Tensor::zeros(DType::f64, {n});
    for (int64_t i = 0; i < n; ++i) t.mut<double>()[static_cast<size_t>(i)] = from + static_cast<double>(i) * by;
    return c.ret(c.b.constant(cast_tensor(t, dtype)));
  }
  Tensor t = Tensor::zeros(DType::i64, {n});
  for (int64_t i = 0; i < n; ++i) {
    t.mut<int64_t>()[static_cast<size_t>(i)] = get_int(*start, 0) + i * get_int(*delta, 0);
  }
  c.ret(c.b.constant(cast_tensor(t, dtype)));
}

void read_eye_like(OnnxRead& c) {
  const Shape shape = c.shape(0);
  if (c.stopped()) return;
  const DType dtype = c.dtype_attr("dtype", c.dtype(0));
  const int64_t k = c.i("k", 0);
  if (c.stopped()) return;
  if (shape.size() != 2 || element_count(shape) > kMost) {
    return c.fail(Diag(diag::shape_mismatch, "EyeLike of shape " + to_string(shape)));
  }
  Tensor t = Tensor::zeros(DType::i64, shape);
  for (int64_t i = 0; i < shape[0]; ++i) {
    const int64_t j = i + k;
    if (j >= 0 && j < shape[1]) t.mut<int64_t>()[static_cast<size_t>(i * shape[1] + j)] = 1;
  }
  c.ret(c.b.constant(cast_tensor(t, dtype)));
}

// values[1] at the index along a new axis, values[0] elsewhere and everywhere for an index out of range.
void read_one_hot(OnnxRead& c) {
  Builder& b = c.b;
  ValueId indices = c.in(0);
  const int64_t depth = c.const_int(1);
  const ValueId values = c.in(2);
  if (c.stopped()) return;
  if (depth < 1 || b.shape(values) != Shape{2}) return c.fail(Diag(diag::corrupt, "depth or values of OneHot"));
  const int64_t rank = static_cast<int64_t>(b.shape(indices).size());
  const int64_t axis = c.axis(c.i("axis", -1), static_cast<size_t>(rank) + 1);
  indices = b.cast(indices, DType::i64);
  const ValueId zero = b.constant(Tensor::scalar<int64_t>(0)), size = b.constant(Tensor::scalar<int64_t>(depth));
  indices = b.op("where", {b.op("less", {indices, zero}), b.add(indices, size), indices});
  const ValueId hot = b.op("one_hot", {indices}, {{"depth", depth}, {"dtype", DType::boolean}});
  const ValueId off = b.reshape(ox::slice(b, values, 0, 0, 1), {}), on = b.reshape(ox::slice(b, values, 0, 1, 2), {});
  c.ret(b.op("where", {ox::move_axis(b, hot, rank, axis), on, off}));
}

// Σ a[k]·cos(2πk·n / N), N = size (periodic) or size - 1.
void read_window(OnnxRead& c, std::initializer_list<double> terms) {
  const int64_t size = c.const_int(0);
  const DType dtype = c.dtype_attr("output_datatype", DType::f32);
  const bool periodic = c.i("periodic", 1) != 0;
  if (c.stopped()) return;
  if (size < 0 || size > kMost) return c.fail(Diag(diag::too_large, fmt::format("a window of {}", size)));
  Tensor t = Tensor::zeros(DType::f64, {size});
  const double length = static_cast<double>(periodic ? size : size - 1);
  for (int64_t n = 0; n < size; ++n) {
    double sum = 0;
    int k = 0;
    for (const double a : terms) sum += a * std::cos(2 * std::numbers::pi * (k++) * static_cast<double>(n) / length);
    t.mut<double>()[static_cast<size_t>(n)] = size == 1 ? 1.0 : sum;
  }
  c.ret(c.b.constant(cast_tensor(t, dtype)));
}
void read_hann(OnnxRead& c) { read_window(c, {0.5, -0.5}); }
void read_hamming(OnnxRead& c) { read_window(c, {25.0 / 46, -21.0 / 46}); }
void read_blackman(OnnxRead& c) { read_window(c, {0.42, -0.5, 0.08}); }

// Triangles equally wide on the mel scale 2595·log10(1 + f / 700).
void read_mel(OnnxRead& c) {
  const int64_t bins = c.const_int(0), dft = c.const_int(1), rate = c.const_int(2);
  const double low = c.const_real(3), high = c.const_real(4);
  const DType dtype = c.dtype_attr("output_datatype", DType::f32);
  if (c.stopped()) return;
  const int64_t rows = dft / 2 + 1;
  if (bins < 1 || dft < 1 || rate < 1 || bins > kMost || rows > kMost || bins * rows > kMost) {
    return c.fail(Diag(diag::too_large, "the sizes of MelWeightMatrix"));
  }
  const auto mel = [](double f) { return 2595 * std::log10(1 + f / 700); };
  const double step = (mel(high) - mel(low)) / static_cast<double>(bins + 2);
  Ints at;
  for (int64_t i = 0; i < bins + 2; ++i) {
    const double f = 700 * (std::pow(10.0, (mel(low) + static_cast<double>(i) * step) / 2595) - 1);
    at.push_back(static_cast<int64_t>(std::floor(static_cast<double>(dft + 1) * f / static_cast<double>(rate))));
  }
  Tensor t = Tensor::zeros(DType::f64, {rows, bins});
  const auto set = [&](int64_t row, int64_t column, double v) {
    if (row >= 0 && row < rows) t.mut<double>()[static_cast<size_t>(row * bins + column)] = v;
  };
  for (int64_t i = 0; i < bins; ++i) {
    const int64_t begin = at[static_cast<size_t>(i)], middle = at[static_cast<size_t>(i + 1)],
                  end = at[static_cast<size_t>(i + 2)];
    if (middle == begin) {
      set(middle, i, 1);
    } else {
      for (int64_t j = begin; j <= std::min(middle, rows); ++j)
        set(j, i, static_cast<double>(j - begin) / static_cast<double>(middle - begin));
    }
    for (int64_t j = middle; end > middle && j < std::min(end, rows); ++j)
      set(j, i, static_cast<double>(end - j) / static_cast<double>(end - middle));
  }
  c.ret(c.b.constant(cast_tensor(t, dtype)));
}

constexpr OnnxRow rows[] = {
    {.name = "Constant", .read = read_constant},
    {.name = "ConstantOfShape", .since = 9, .read = read_constant_of_shape},
    {.name = "Range", .since = 11, .read = read_range},
    {.name = "EyeLike", .since = 9, .read = read_eye_like},
    {.name = "OneHot", .since = 9, .read = read_one_hot},
    {.name = "HannWindow", .since = 17, .read = read_hann},
    {.name = "HammingWindow", .since = 17, .read = read_hamming},
    {.name = "BlackmanWindow", .since = 17, .read = read_blackman},
    {.name = "MelWeightMatrix", .since = 17, .read = read_mel},
};

}  // namespace

std::span<const OnnxRow> onnx_creation() { return rows; }

}  // namespace npuport
