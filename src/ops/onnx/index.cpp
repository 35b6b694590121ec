// Reading from and writing to positions, sorting.
#include <algorithm>
#include <map>

#include "ops/support/aten_index.h"
#include "ops/support/onnx_help.h"

namespace npuport {
namespace {

using aten::as_index;

// Whether positions are computed in the model and may be below 0. Those an input holds are its caller's business: token
// ids stay as they are, so that their lookup is seen. So do constants, and positions that were wrapped already.
bool may_count_from_the_end(Builder& b, ValueId at) {
  for (;;) {
    const Node* n = b.graph().producer(at);
    if (n == nullptr) return false;
    const std::string_view op = n->op->name;
    if (op == "where") {
      const Node* below = b.graph().producer(n->inputs[0]);
      const Tensor* zero = below != nullptr && below->op->name == "less" ? b.constant_of(below->inputs[1]) : nullptr;
      return zero == nullptr || zero->count() != 1 || get_double(*zero, 0) != 0;
    }
    if (op != "cast" && op != "reshape" && op != "expand" && op != "slice" && op != "transpose") return true;
    at = n->inputs[0];
  }
}

// Positions counted from the start of a dimension: ONNX lets them count from the end, TFLite and most NPUs do not.
ValueId from_the_start(Builder& b, ValueId at, int64_t size) {
  const ValueId index = as_index(b, at);
  return b.failed() || !may_count_from_the_end(b, index) ? index : aten::wrap_negative(b, index, size);
}

// Operand 1 as positions along `axis` of operand 0.
ValueId positions(OnnxRead& c, int64_t axis) {
  const ValueId x = c.in(0), at = c.in(1);
  if (c.stopped()) return {};
  const Shape s = c.b.shape(x);
  const int64_t along = c.axis(axis, s.size());
  return c.stopped() ? ValueId{} : from_the_start(c.b, at, s[static_cast<size_t>(along)]);
}

void read_gather(OnnxRead& c) {
  const int64_t axis = c.i("axis", 0);
  const ValueId at = positions(c, axis);
  if (!c.stopped()) c.ret(c.b.op("gather", {c.in(0), at}, {{"axis", axis}}));
}

void read_gather_elements(OnnxRead& c) {
  const int64_t axis = c.i("axis", 0);
  const ValueId at = positions(c, axis);
  if (!c.stopped()) c.ret(c.b.op("gather_elements", {c.in(0), at}, {{"axis", axis}}));
}

void read_gather_nd(OnnxRead& c) {
  Builder& b = c.b;
  const ValueId x = c.in(0);
  ValueId at = c.in(1);
  const int64_t batch = c.opset() < 12 ? 0 : c.i("batch_dims", 0);
  if (c.stopped()) return;
  at = as_index(b, at);
  const Shape xs = b.shape(x), is = b.shape(at);
  const auto n = static_cast<size_t>(std::max<int64_t>(batch, 0));
  if (batch < 0 || n >= is.size() || n >= xs.size() || !std::equal(is.begin(), is.begin() + batch, xs.begin())) {
    return c.fail(Diag(diag::shape_mismatch, "batch_dims of GatherND"));
  }
  // The leading dims join the index tuples.
  std::vector<ValueId> parts;
  for (size_t d = 0; d < n; ++d) {
    Ints iota(static_cast<size_t>(is[d]));
    for (size_t i = 0; i < iota.size(); ++i) iota[i] = static_cast<int64_t>(i);
    Shape line(is.size(), 1), full = is;
    line[d] = is[d];
    full.back() = 1;
    parts.push_back(b.expand(b.cast(ox::constant_ints(b, line, iota), b.dtype(at)), full));
  }
  parts.push_back(at);
  c.ret(b.op("gather_nd", {x, ox::concat(b, std::move(parts), static_cast<int64_t>(is.size()) - 1)}));
}

std::string reduction(OnnxRead& c, int since) { return c.opset() < since ? "none" : c.s("reduction", "none"); }

void read_scatter_elements(OnnxRead& c) {
  const int64_t axis = c.i("axis", 0);
  const std::string how = reduction(c, 16);
  const ValueId at = positions(c, axis), updates = c.in(2);
  if (c.stopped()) return;
  c.ret(c.b.op("scatter_elements", {c.in(0), at, updates}, {{"axis", axis}, {"reduction", how}}));
}

void read_scatter_nd(OnnxRead& c) {
  const ValueId x = c.in(0), at = c.in(1), updates = c.in(2);
  const std::string how = reduction(c, 16);
  if (!c.stopped()) c.ret(c.b.op("scatter_nd", {x, as_index(c.b, at), updates}, {{"reduction", how}}));
}

// A copy of the cache with `update` written at write_indices[batch] along an axis; circular positions wrap around.
void read_tensor_scatter(OnnxRead& c) {
  Builder& b = c.b;
  const ValueId cache = c.in(0), update = c.in(1);
  if (c.stopped()) return;
  const Shape cs = b.shape(cache), us = b.shape(update);
  const int64_t axis = c.axis(c.i("axis", -2), cs.size());
  const std::string mode = c.s("mode", "linear");
  if (c.stopped()) return;
  if (us.size() != cs.size() || axis == 0) return c.fail(Diag(diag::shape_mismatch, "TensorScatter"));
  Ints iota(static_cast<size_t>(us[static_cast<size_t>(axis)]));
  for (size_t i = 0; i < iota.size(); ++i) iota[i] = static_cast<int64_t>(i);
  Shape line(us.size(), 1), batch(us.size(), 1);
  line[static_cast<size_t>(axis)] = us[static_cast<size_t>(axis)];
  batch[0] = us[0];
  ValueId at = ox::constant_ints(b, line, iota);
  if (c.has(2)) at = b.add(at, b.reshape(b.cast(c.in(2), DType::i64), batch));
  if (mode == "circular") at = b.op("mod", {at, b.constant(Tensor::scalar<int64_t>(cs[static_cast<size_t>(axis)]))});
  c.ret(b.op("scatter_elements", {cache, b.expand(at, us), update}, {{"axis", axis}, {"reduction", "none"}}));
}

// Slices whose condition holds; the condition must be known, it decides the shape.
void read_compress(OnnxRead& c) {
  ValueId x = c.in(0);
  const Tensor* keep = c.constant(1);
  if (c.stopped()) return;
  int64_t axis = 0;
  if (c.has_attr("axis")) {
    axis = c.axis_attr("axis", 0);
  } else {
    x = ox::flat(c.b, x);
  }
  const Shape shape = c.b.shape(x);
  if (c.stopped() || shape.empty()) return c.fail(Diag(diag::shape_mismatch, "Compress of a single number"));
  Ints at;
  for (int64_t i = 0; i < std::min(keep->count(), shape[static_cast<size_t>(axis)]); ++i) {
    if (get_int(*keep, i) != 0) at.push_back(i);
  }
  c.ret(aten::take_constant(c.b, x, at, axis));
}

// Index tuples as columns.
void read_nonzero(OnnxRead& c) {
  const Tensor* x = c.constant(0);
  if (x == nullptr) return;
  const size_t rank = std::max<size_t>(x->shape.size(), 1);
  const Shape shape = x->shape.empty() ? Shape{1} : x->shape;
  const auto strides = strides_of(shape);
  std::vector<Ints> columns(rank);
  for (int64_t i = 0; i < x->count(); ++i) {
    if (get_double(*x, i) == 0) continue;
    for (size_t d = 0; d < rank; ++d) columns[d].push_back(i / strides[d] % shape[d]);
  }
  Ints all;
  for (const Ints& column : columns) all.insert(all.end(), column.begin(), column.end());
  const auto found = static_cast<int64_t>(columns[0].size());
  c.ret(ox::constant_ints(c.b, {static_cast<int64_t>(x->shape.size()), found}, x->shape.empty() ? Ints{} : all));
}

// Distinct numbers of a constant, in order of value or of appearance.
void read_unique(OnnxRead& c) {
  Builder& b = c.b;
  const Tensor* t = c.constant(0);
  const bool sorted = c.i("sorted", 1) != 0;
  if (c.stopped()) return;
  const Tensor x = *t;
  const bool whole = !c.has_attr("axis");
  const Shape shape = whole ? Shape{x.count()} : x.shape;
  const int64_t axis = whole ? 0 : c.axis_attr("axis", 0);
  if (c.stopped() || shape.empty()) return c.refuse("of a single number");
  // Compared are the slices along the axis, element by element.
  const auto a = static_cast<size_t>(axis);
  const int64_t size = shape[a], inner = element_count(std::span(shape).subspan(a + 1)),
                outer = element_count(std::span(shape).first(a));
  std::vector<Reals> slices(static_cast<size_t>(size));
  for (int64_t i = 0; i < size; ++i) {
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t k = 0; k < inner; ++k)
        slices[static_cast<size_t>(i)].push_back(get_double(x, (o * size + i) * inner + k));
    const Reals& made = slices[static_cast<size_t>(i)];
    if (std::any_of(made.begin(), made.end(), [](double v) { return v != v; })) return c.refuse("of NaN");
  }
  std::map<Reals, int64_t> first;
  std::vector<const Reals*> order;
  for (int64_t i = 0; i < size; ++i) {
    const auto [it, fresh] = first.emplace(slices[static_cast<size_t>(i)], i);
    if (fresh) order.push_back(&it->first);
  }
  if (sorted) {
    order.clear();
    for (const auto& [slice, at] : first) order.push_back(&slice);
  }
  Ints positions, inverse, counts(order.size(), 0);
  std::map<Reals, int64_t> rank;
  for (size_t i = 0; i < order.size(); ++i) {
    positions.push_back(first.at(*order[i]));
    rank[*order[i]] = static_cast<int64_t>(i);
  }
  for (const Reals& s : slices) {
    inverse.push_back(rank.at(s));
    ++counts[static_cast<size_t>(inverse.back())];
  }
  const ValueId data = whole ? ox::flat(b, c.in(0)) : c.in(0);
  c.ret(0, b.op("gather", {data, b.ints(positions)}, {{"axis", axis}}));
  c.ret(1, b.ints(positions));
  c.ret(2, b.ints(inverse));
  c.ret(3, b.ints(counts));
}

void read_topk(OnnxRead& c) {
  const ValueId x = c.in(0);
  const int64_t k = c.opset() < 10 ? c.i("k", 0) : c.const_int(1);
  const bool largest = c.opset() < 11 || c.i("largest", 1) != 0;
  if (c.stopped()) return;
  const auto out = c.b.ops("topk", {x}, {{"k", k}, {"axis", c.i("axis", -1)}, {"largest", largest}, {"sorted", true}});
  for (size_t i = 0; i < out.size(); ++i) c.ret(i, out[i]);
}

// The values an axis of constants holds at `at`: labels of ai.onnx.ml.
void read_array_feature(OnnxRead& c) {
  Builder& b = c.b;
  const ValueId x = c.in(0), at = c.in(1);
  if (c.stopped()) return;
  const Shape shape = b.shape(x);
  if (shape.empty()) return c.fail(Diag(diag::shape_mismatch, "ArrayFeatureExtractor of a single number"));
  const ValueId y = b.op("gather", {x, ox::flat(b, as_index(b, at))}, {{"axis", -1}});
  c.ret(shape.size() == 1 ? ox::unsqueeze(b, y, 0) : y);
}

void read_binarizer(OnnxRead& c) {
  const ValueId x = c.in(0);
  const double threshold = c.f("threshold", 0);
  if (c.stopped()) return;
  c.ret(c.b.cast(c.b.op("greater", {x, ox::like(c.b, x, threshold)}), c.b.dtype(x)));
}

constexpr OnnxRow rows[] = {
    {.name = "Gather", .read = read_gather},
    {.name = "GatherElements", .since = 11, .read = read_gather_elements},
    {.name = "GatherND", .since = 11, .read = read_gather_nd},
    {.name = "ScatterElements", .since = 11, .read = read_scatter_elements},
    {.name = "Scatter", .since = 9, .until = 10, .read = read_scatter_elements},
    {.name = "ScatterND", .since = 11, .read = read_scatter_nd},
    {.name = "TensorScatter", .since = 24, .read = read_tensor_scatter},
    {.name = "Compress", .since = 9, .read = read_compress},
    {.name = "NonZero", .since = 9, .read = read_nonzero},
    {.name = "Unique", .since = 11, .read = read_unique},
    {.name = "TopK", .read = read_topk},
    {.name = "ArrayFeatureExtractor", .domain = "ai.onnx.ml", .until = 99, .read = read_array_feature},
    {.name = "Binarizer", .domain = "ai.onnx.ml", .until = 99, .read = read_binarizer},
};

}  // namespace

std::span<const OnnxRow> onnx_index() { return rows; }

}  // namespace npuport
