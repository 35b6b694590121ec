// Indexing, sorting, searching, triangles.
#include <fmt/format.h>

#include <numeric>

#include "ops/support/onnx_write.h"

namespace npuport {
namespace {

using namespace onnx_write;

void write_gather(OnnxEmit& c) {
  const int64_t axis = c.node().op->name == "embedding" ? 0 : axis_of(c, c.rank(0));
  c.give(c.op("Gather", {c.in(0), c.in(1)}, c.out_dtype(), c.out_shape(), {{"axis", axis}}));
}

void write_gather_elements(OnnxEmit& c) {
  c.give(c.op("GatherElements", {c.in(0), c.in(1)}, c.out_dtype(), c.out_shape(), {{"axis", axis_of(c, c.rank(0))}}));
}

// Tuples of indices are i64 by the standard.
void write_gather_nd(OnnxEmit& c) {
  c.give(c.op("GatherND", {c.in(0), c.cast(c.in(1), DType::i64)}, c.out_dtype(), c.out_shape()));
}

// "none" at every opset, "add" and "mul" from 16 on, "max" and "min" from 18 on.
bool reduction(OnnxEmit& c, std::vector<OnnxAttr>& attrs) {
  const std::string& kind = c.attr().s("reduction");
  if (kind == "none") return true;
  const bool early = kind == "add" || kind == "mul";
  if (!early || c.opset() < 16) {
    c.refuse(fmt::format("{} with reduction {} begins with opset {}", c.node().op->name, kind, early ? 16 : 18));
    return false;
  }
  attrs.emplace_back("reduction", kind);
  return true;
}

void write_scatter_elements(OnnxEmit& c) {
  std::vector<OnnxAttr> attrs{{"axis", axis_of(c, c.rank(0))}};
  if (!reduction(c, attrs)) return;
  c.give(c.op("ScatterElements", {c.in(0), c.in(1), c.in(2)}, c.out_dtype(), c.out_shape(), std::move(attrs)));
}

void write_scatter_nd(OnnxEmit& c) {
  std::vector<OnnxAttr> attrs;
  if (!reduction(c, attrs)) return;
  c.give(c.op("ScatterND", {c.in(0), c.cast(c.in(1), DType::i64), c.in(2)}, c.out_dtype(), c.out_shape(),
              std::move(attrs)));
}

// OneHot counts negative indices from the end; ours gives zeros for them.
void write_one_hot(OnnxEmit& c) {
  Shape column = c.shape(0);
  column.push_back(1);
  std::vector<double> classes(static_cast<size_t>(c.attr().i("depth")));
  std::iota(classes.begin(), classes.end(), 0.0);
  const int32_t range = numbers(c, c.dtype(0), {c.attr().i("depth")}, classes);
  c.give(c.cast(c.compare("Equal", c.reshape(c.in(0), column), range), c.out_dtype()));
}

// Trilu begins with opset 14; a constant mask says the same.
void write_trilu(OnnxEmit& c) {
  const bool upper = c.attr().b("upper");
  const int64_t diagonal = c.attr().i("diagonal");
  if (c.opset() >= 14) {
    const int32_t k = c.constant(Tensor::scalar<int64_t>(diagonal));
    return c.give(c.op("Trilu", {c.in(0), k}, c.out_dtype(), c.out_shape(), {{"upper", upper}}));
  }
  const int64_t rows = c.shape(0)[c.rank(0) - 2], columns = c.shape(0).back();
  Tensor keep = Tensor::zeros(DType::boolean, {rows, columns});
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t k = 0; k < columns; ++k) {
      keep.mut<bool>()[static_cast<size_t>(r * columns + k)] = upper ? k - r >= diagonal : k - r <= diagonal;
    }
  }
  c.give(c.where(c.constant(std::move(keep)), c.in(0), c.like(c.in(0), 0)));
}

// The k best along an axis; both results where they are asked for.
void top(OnnxEmit& c, int64_t k, bool largest) {
  const size_t rank = std::max<size_t>(c.rank(0), 1);
  const int32_t x = c.rank(0) == 0 ? c.reshape(c.in(0), {1}) : c.in(0);
  Shape shape = c.tensor(x).shape;
  shape[static_cast<size_t>(axis_of(c, rank))] = k;
  const std::vector<int32_t> y =
      c.ops("TopK", {x, c.ints(k)}, {{c.dtype(0), shape, nullptr}, {DType::i64, shape, nullptr}},
            {{"axis", axis_of(c, rank)}, {"largest", largest}, {"sorted", 1}});
  c.give(y[0], 0);
  c.give(y[1], 1);
}

void write_topk(OnnxEmit& c) { top(c, c.attr().i("k"), c.attr().b("largest")); }

void write_sort(OnnxEmit& c) {
  top(c, c.rank(0) == 0 ? 1 : c.shape(0)[static_cast<size_t>(axis_of(c, c.rank(0)))], c.attr().b("descending"));
}

// The number of elements below (or not above) each value.
void write_searchsorted(OnnxEmit& c) {
  Shape sorted = c.shape(0), values = c.shape(1);
  if (sorted.size() == 1) {
    values.push_back(1);
  } else {
    sorted.insert(sorted.end() - 1, 1);
    values.push_back(1);
  }
  const int32_t a = c.reshape(c.in(0), sorted), b = c.reshape(c.in(1), values);
  const int32_t below = c.compare(c.attr().b("right") ? "LessOrEqual" : "Less", a, b);
  c.give(c.reduce("ReduceSum", c.cast(below, DType::i64), {static_cast<int64_t>(values.size()) - 1}, false));
}

constexpr OnnxWriter rows[] = {
    {"gather", write_gather},
    {"embedding", write_gather},
    {"gather_elements", write_gather_elements},
    {"gather_nd", write_gather_nd},
    {"scatter_elements", write_scatter_elements},
    {"scatter_nd", write_scatter_nd},
    {"one_hot", write_one_hot},
    {"trilu", write_trilu},
    {"topk", write_topk},
    {"sort", write_sort},
    {"searchsorted", write_searchsorted},
};

}  // namespace

std::span<const OnnxWriter> onnx_write_index() { return rows; }

}  // namespace npuport
