// Gathering and scattering single elements, as positions in the flattened tensor.
#include <limits>
#include <map>
#include <set>

#include "passes/lower/common.h"

namespace npuport {
namespace {

Ints strides_of(const Shape& s) {
  Ints out(s.size(), 1);
  for (size_t d = s.size(); d-- > 1;) out[d - 1] = out[d] * s[d];
  return out;
}

int64_t normal_axis(const Match& m, size_t rank) {
  const int64_t axis = std::get<int64_t>(m.attr("a"));
  return axis < 0 ? axis + static_cast<int64_t>(rank) : axis;
}

// i32 positions in the flattened tensor of shape `x` of the elements whose coordinates are those of `indices`' own
// elements, but `indices` along `axis`.
ValueId flat_positions(Builder& b, ValueId indices, const Shape& x, int64_t axis) {
  const Shape s = b.shape(indices);
  const Ints strides = strides_of(x), own = strides_of(s);
  const Tensor* known = b.constant_of(indices);
  const auto along = static_cast<size_t>(axis);
  Tensor base = Tensor::zeros(DType::i32, s);
  bool flat = true;
  for (int64_t i = 0; i < base.count(); ++i) {
    int64_t at = 0;
    for (size_t d = 0; d < s.size(); ++d)
      if (d != along) at += i / own[d] % s[d] * strides[d];
    if (known) {
      const int64_t v = get_int(*known, i);
      at += (v < 0 ? v + x[along] : v) * strides[along];
    }
    flat &= at == 0;
    base.mut<int32_t>()[static_cast<size_t>(i)] = static_cast<int32_t>(at);
  }
  if (known) return b.constant(std::move(base));
  ValueId at = b.cast(indices, DType::i32);
  if (strides[along] != 1) at = b.mul(at, b.scalar(static_cast<double>(strides[along]), DType::i32));
  return flat ? at : b.add(at, b.constant(std::move(base)));
}

constexpr int64_t kMostElements = std::numeric_limits<int32_t>::max();

Reason positions_fit(const Graph& g, const Match& m) {
  const Shape &x = g.shape(m.value("x")), &i = g.shape(m.value("i"));
  if (x.empty() || element_count(x) == 0 || element_count(i) == 0) return "it is a single number or empty";
  return element_count(x) < kMostElements ? Reason() : Reason("positions do not fit i32");
}

std::vector<ValueId> build_gather_elements(Builder& b, const Match& m) {
  const ValueId x = m.value("x");
  const Shape s = b.shape(x);
  const ValueId at = flat_positions(b, m.value("i"), s, normal_axis(m, s.size()));
  return {b.op("gather", {b.reshape(x, {element_count(s)}), at}, {{"axis", 0}})};
}

std::vector<ValueId> build_scatter_elements(Builder& b, const Match& m) {
  const ValueId x = m.value("x");
  const Shape s = b.shape(x);
  const ValueId at = flat_positions(b, m.value("i"), s, normal_axis(m, s.size()));
  const int64_t n = element_count(b.shape(at));
  const ValueId y =
      b.op("scatter_nd", {b.reshape(x, {element_count(s)}), b.reshape(at, {n, 1}), b.reshape(m.value("u"), {n})},
           {{"reduction", m.attr("r")}});
  return {b.reshape(y, s)};
}

// ---- scatter_nd: adding into zeros is the one form formats have

bool zeros(const Graph& g, ValueId v) {
  const std::optional<double> u = uniform_value(g, v);
  return u && *u == 0;
}
ValueId zeros_like(Builder& b, ValueId v) { return b.constant(Tensor::zeros(b.dtype(v), b.shape(v))); }

Reason wide_indices(const Graph& g, const Match& m) {
  const bool wide = g.type(m.value("i")).dtype == DType::i64 && !g.is_constant(m.value("i"));
  return wide && element_count(g.shape(m.value("x"))) < kMostElements ? Reason() : Reason("the indices are i32");
}
std::vector<ValueId> build_narrow_indices(Builder& b, const Match& m) {
  return {
      b.op("scatter_nd", {m.value("x"), b.cast(m.value("i"), DType::i32), m.value("u")}, {{"reduction", m.attr("r")}})};
}

Reason adds(const Graph& g, const Match& m) {
  if (zeros(g, m.value("x"))) return "it adds into zeros already";
  return std::get<std::string>(m.attr("r")) == "add" ? Reason() : Reason("it does not add");
}
std::vector<ValueId> build_sum_apart(Builder& b, const Match& m) {
  const ValueId x = m.value("x");
  return {b.add(x, b.op("scatter_nd", {zeros_like(b, x), m.value("i"), m.value("u")}, {{"reduction", "add"}}))};
}

// Constant index tuples that name each block once.
bool all_different(const Graph& g, ValueId indices) {
  const Tensor& t = *g.value(indices).constant;
  if (t.shape.empty()) return false;
  const int64_t width = t.shape.back();
  std::set<Ints> seen;
  for (int64_t i = 0; i < t.count(); i += width) {
    Ints tuple;
    for (int64_t k = 0; k < width; ++k) {
      tuple.push_back(get_int(t, i + k));
      if (tuple.back() < 0) return false;
    }
    if (!seen.insert(std::move(tuple)).second) return false;
  }
  return true;
}
Reason overwrites_once(const Graph& g, const Match& m) {
  if (std::get<std::string>(m.attr("r")) != "none") return "it does not replace";
  if (g.type(m.value("x")).dtype != DType::f32) return "it holds no float32 values";
  return all_different(g, m.value("I")) ? Reason() : Reason("an index tuple occurs twice, or is negative");
}
std::vector<ValueId> build_overwrite(Builder& b, const Match& m) {
  const ValueId x = m.value("x"), at = m.value("I");
  const ValueId placed = b.op("scatter_nd", {zeros_like(b, x), at, m.value("u")}, {{"reduction", "add"}});
  if (zeros(b.graph(), x)) return {placed};
  Builder fold(b.graph(), /*fold=*/true);
  const ValueId ones = fold.constant(cast_tensor(Tensor::zeros(DType::f32, b.shape(m.value("u"))), DType::f32));
  const ValueId marks =
      fold.op("scatter_nd", {fold.constant(Tensor::zeros(DType::f32, b.shape(x))), at, fold.add(ones, fold.scalar(1))},
              {{"reduction", "add"}});
  const ValueId taken = fold.op("greater", {marks, fold.scalar(0)});
  if (const Status s = fold.take_status(); !s) b.fail(s.error());
  return {b.op("where", {taken, placed, x})};
}

// Rows [start, start + count) of the old tensor or of the updates.
struct Piece {
  bool update;
  int64_t start, count;
};
constexpr size_t kMostPieces = 32;

// What a scatter along dim 0 with constant rows puts together, top to bottom; empty: not that, or too many pieces.
std::vector<Piece> pieces_of(const Graph& g, const Match& m) {
  const Tensor& at = *g.value(m.value("I")).constant;
  const Shape& x = g.shape(m.value("x"));
  if (at.shape.size() != 2 || at.shape[1] != 1 || x.empty() || element_count(x) == 0) return {};
  std::map<int64_t, int64_t> update_of;  // row → row of the updates
  for (int64_t i = 0; i < at.count(); ++i) {
    const int64_t row = get_int(at, i);
    if (row < 0 || row >= x[0] || !update_of.emplace(row, i).second) return {};
  }
  std::vector<Piece> out;
  const auto add = [&](bool update, int64_t start, int64_t count) {
    if (count == 0) return;
    if (!out.empty() && out.back().update == update && out.back().start + out.back().count == start) {
      out.back().count += count;
    } else {
      out.push_back({update, start, count});
    }
  };
  int64_t next = 0;
  for (const auto& [row, update] : update_of) {
    add(false, next, row - next);
    add(true, update, 1);
    next = row + 1;
    if (out.size() > kMostPieces) return {};
  }
  add(false, next, x[0] - next);
  return out;
}
Reason rows_replaced(const Graph& g, const Match& m) {
  if (std::get<std::string>(m.attr("r")) != "none") return "it does not replace";
  return pieces_of(g, m).empty() ? Reason("its rows are not a few different ones of the first dim") : Reason();
}
std::vector<ValueId> build_rows(Builder& b, const Match& m) {
  std::vector<ValueId> parts;
  for (const Piece& p : pieces_of(b.graph(), m)) {
    const ValueId from = m.value(p.update ? "u" : "x");
    const bool whole = p.start == 0 && p.count == b.shape(from)[0];
    parts.push_back(whole ? from : slice(b, from, 0, p.start, p.start + p.count));
  }
  return {parts.size() == 1 ? parts[0] : b.op("concat", std::move(parts), {{"axis", int64_t{0}}})};
}

// The same number everywhere: how often it is written does not matter, only whether.
Reason writes_one_number(const Graph& g, const Match& m) {
  if (std::get<std::string>(m.attr("r")) != "none") return "it does not replace";
  if (g.type(m.value("x")).dtype != DType::f32) return "it holds no float32 values";
  return uniform_value(g, m.value("U")) ? Reason() : Reason("different numbers are written");
}
std::vector<ValueId> build_mark_and_select(Builder& b, const Match& m) {
  const ValueId x = m.value("x");
  const double number = *uniform_value(b.graph(), m.value("U"));
  Tensor ones = Tensor::zeros(DType::f32, b.shape(m.value("U")));
  for (float& v : ones.mut<float>()) v = 1;
  const ValueId marks =
      b.op("scatter_nd", {zeros_like(b, x), m.value("i"), b.constant(std::move(ones))}, {{"reduction", "add"}});
  return {b.op("where", {b.op("greater", {marks, b.scalar(0)}), b.scalar(number), x})};
}

constexpr std::string_view kFlat = "Element (i, j, ...) lies at i * stride_0 + j * stride_1 + ... of the flat tensor.";

constexpr Rewrite kRows[] = {
    {.name = "gather_elements_flat",
     .doc = kFlat,
     .match = "%y = gather_elements(%x, %i, axis=$a)",
     .numerics = Numerics::exact_on_domain,  // computed indices are not negative, as PyTorch asks for
     .check = positions_fit,
     .build = build_gather_elements},
    {.name = "scatter_elements_flat",
     .doc = kFlat,
     .match = "%y = scatter_elements(%x, %i, %u, axis=$a, reduction=$r)",
     .numerics = Numerics::exact_on_domain,
     .check = positions_fit,
     .build = build_scatter_elements},
    {.name = "scatter_by_int32",
     .doc = "Positions inside a tensor of fewer than 2^31 elements fit i32.",
     .match = "%y = scatter_nd(%x, %i, %u, reduction=$r)",
     .check = wide_indices,
     .build = build_narrow_indices},
    {.name = "scatter_sum_apart",
     .doc = "Addition is associative: the updates are summed into zeros, and the sum is added.",
     .match = "%y = scatter_nd(%x, %i, %u, reduction=$r)",
     .check = adds,
     .build = build_sum_apart},
    {.name = "scatter_blocks_once",
     .doc = "Every block is written at most once: 0 + u = u there, and the old value stays elsewhere.",
     .match = "%y = scatter_nd(%x, %I, %u, reduction=$r)",
     .check = overwrites_once,
     .build = build_overwrite},
    {.name = "scatter_rows_as_pieces",
     .doc = "Rows that are replaced come from the updates, the others from the old tensor, each once and in order.",
     .match = "%y = scatter_nd(%x, %I, %u, reduction=$r)",
     .check = rows_replaced,
     .build = build_rows},
    {.name = "scatter_one_number",
     .doc = "Elements that were hit at least once hold the number, the others their old value.",
     .match = "%y = scatter_nd(%x, %i, %U, reduction=$r)",
     .check = writes_one_number,
     .build = build_mark_and_select},
};

}  // namespace

std::span<const Rewrite> lower_element_rows() { return kRows; }

}  // namespace npuport
