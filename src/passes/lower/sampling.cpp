// Sampling pictures and volumes: grid_sample as gathers, resizing as matrices, pools over three dims as two pools.
#include <limits>

#include "passes/lower.h"

namespace npuport {
namespace {

using Reason = std::optional<std::string>;

const Node& root_of(const Graph& g, const Match& m) { return *g.producer(m.roots()[0]); }

// ---- grid_sample

// Elements along one dim: positions (i32, inside) and weights, all [N*P].
struct Taps {
  std::vector<ValueId> index, weight;
};

class GridSample {
 public:
  GridSample(Builder& b, const Node& n)
      : b_(b),
        mode_(n.attr().s("mode")),
        padding_(n.attr().s("padding_mode")),
        align_(n.attr().b("align_corners")),
        x_(n.inputs[0]),
        grid_(n.inputs[1]),
        in_(b.shape(x_)),
        out_(b.shape(grid_)) {
    out_.pop_back();
    points_ = element_count(out_);
  }

  ValueId build() {
    const size_t dims = in_.size() - 2;
    std::vector<Taps> taps;
    for (size_t d = 0; d < dims; ++d) taps.push_back(taps_of(coordinate(dims - 1 - d), in_[d + 2]));
    const int64_t channels = in_[1];
    rows_ = b_.reshape(channels_last(), {element_count(in_) / channels, channels});
    ValueId sum;
    add_corners(taps, 0, batch_base(), ValueId{}, sum);
    Shape back = out_;
    back.push_back(channels);
    Ints perm{0, static_cast<int64_t>(out_.size())};
    for (size_t d = 1; d < out_.size(); ++d) perm.push_back(static_cast<int64_t>(d));
    return b_.transpose(b_.reshape(sum, std::move(back)), std::move(perm));
  }

 private:
  ValueId number(double v) { return b_.scalar(v); }
  ValueId clip(ValueId v, int64_t size) {
    return b_.op("clamp", {v}, {{"min", 0.0}, {"max", static_cast<double>(size - 1)}});
  }
  ValueId channels_last() {
    Ints perm{0};
    for (size_t d = 2; d < in_.size(); ++d) perm.push_back(static_cast<int64_t>(d));
    perm.push_back(1);
    return b_.transpose(x_, std::move(perm));
  }
  ValueId coordinate(size_t k) {
    const auto at = static_cast<int64_t>(k);
    const ValueId v = b_.op("slice", {grid_},
                            {{"starts", Ints{at}},
                             {"ends", Ints{at + 1}},
                             {"axes", Ints{static_cast<int64_t>(out_.size())}},
                             {"steps", Ints{1}}});
    return b_.reshape(v, {points_});
  }
  // Row of the first element of each point's picture; absent for a single picture.
  ValueId batch_base() {
    if (in_[0] == 1) return {};
    Tensor t = Tensor::zeros(DType::i32, {points_});
    const int64_t each = points_ / in_[0], volume = element_count(in_) / in_[0] / in_[1];
    for (int64_t i = 0; i < points_; ++i)
      t.mut<int32_t>()[static_cast<size_t>(i)] = static_cast<int32_t>(i / each * volume);
    return b_.constant(std::move(t));
  }

  // [-1, 1] to element positions.
  ValueId position(ValueId v, int64_t size) {
    const auto n = static_cast<double>(size);
    const ValueId up = b_.add(v, number(1));
    if (align_) return b_.mul(up, number((n - 1) / 2));
    return b_.mul(b_.sub(b_.mul(up, number(n)), number(1)), number(0.5));
  }
  // Reflection at the borders is a triangle wave: span - | (|v - least| mod 2 span) - span | + least.
  ValueId padded(ValueId v, int64_t size) {
    if (padding_ == "zeros") return v;
    const double least = align_ ? 0 : -0.5, span = static_cast<double>(align_ ? size - 1 : size);
    if (padding_ == "reflection" && span > 0) {
      const ValueId away = b_.op("abs", {b_.sub(v, number(least))});
      const ValueId turns = b_.op("floor", {b_.mul(away, number(1 / (2 * span)))});
      const ValueId rest = b_.sub(away, b_.mul(turns, number(2 * span)));
      v = b_.sub(number(span + least), b_.op("abs", {b_.sub(rest, number(span))}));
    }
    return clip(v, size);
  }
  // at: whole numbers. Outside, the weight becomes 0: |at - clip(at)| is 0 inside and at least 1 outside.
  void add_tap(Taps& taps, ValueId at, ValueId weight, int64_t size) {
    const ValueId inside = clip(at, size);
    if (padding_ == "zeros") {
      const ValueId off = b_.op("abs", {b_.sub(at, inside)});
      const ValueId hit = b_.op("relu", {b_.sub(number(1), off)});
      weight = weight.valid() ? b_.mul(weight, hit) : hit;
    }
    taps.index.push_back(b_.cast(inside, DType::i32));
    taps.weight.push_back(weight);
  }
  // Keys' cubic kernel with a = -0.75 at distance d in [0, 1] (inner) or [1, 2].
  ValueId cubic(ValueId d, bool inner) {
    constexpr double a = -0.75;
    if (inner) {
      const ValueId p = b_.sub(b_.mul(d, number(a + 2)), number(a + 3));
      return b_.add(b_.mul(b_.mul(p, d), d), number(1));
    }
    const ValueId p = b_.add(b_.mul(b_.sub(b_.mul(d, number(a)), number(5 * a)), d), number(8 * a));
    return b_.sub(b_.mul(p, d), number(4 * a));
  }

  Taps taps_of(ValueId coordinate, int64_t size) {
    Taps taps;
    const ValueId raw = position(coordinate, size);
    if (mode_ == "cubic") {
      const ValueId low = b_.op("floor", {raw}), part = b_.sub(raw, low);
      const ValueId rest = b_.sub(number(1), part);
      const ValueId weights[4] = {cubic(b_.add(part, number(1)), false), cubic(part, true), cubic(rest, true),
                                  cubic(b_.add(rest, number(1)), false)};
      for (int k = 0; k < 4; ++k) add_tap(taps, padded(b_.add(low, number(k - 1)), size), weights[k], size);
      return taps;
    }
    const ValueId v = padded(raw, size);
    if (mode_ == "nearest") {
      add_tap(taps, b_.op("round", {v}), {}, size);
      return taps;
    }
    const ValueId low = b_.op("floor", {v}), high = b_.add(low, number(1));
    add_tap(taps, low, b_.sub(high, v), size);
    add_tap(taps, high, b_.sub(v, low), size);
    return taps;
  }

  // Every combination of taps: rows at `at` times `weight`, added to `sum`.
  void add_corners(const std::vector<Taps>& taps, size_t d, ValueId at, ValueId weight, ValueId& sum) {
    if (d == taps.size()) {
      ValueId v = b_.op("gather", {rows_, at}, {{"axis", 0}});
      if (weight.valid()) v = b_.mul(v, b_.reshape(weight, {points_, 1}));
      sum = sum.valid() ? b_.add(sum, v) : v;
      return;
    }
    int64_t stride = 1;
    for (size_t k = d + 3; k < in_.size(); ++k) stride *= in_[k];
    for (size_t k = 0; k < taps[d].index.size(); ++k) {
      ValueId here = taps[d].index[k];
      if (stride != 1) here = b_.mul(here, b_.scalar(static_cast<double>(stride), DType::i32));
      const ValueId w = taps[d].weight[k];
      const ValueId both = w.valid() && weight.valid() ? b_.mul(weight, w) : w.valid() ? w : weight;
      add_corners(taps, d + 1, at.valid() ? b_.add(at, here) : here, both, sum);
    }
  }

  Builder& b_;
  std::string mode_, padding_;
  bool align_;
  ValueId x_, grid_, rows_;
  Shape in_, out_;
  int64_t points_ = 0;
};

Reason sampling_fits(const Graph& g, const Match& m) {
  if (g.type(m.value("x")).dtype != DType::f32) return "it holds no float32 values";
  if (element_count(g.shape(m.value("y"))) == 0) return "it is empty";
  return element_count(g.shape(m.value("x"))) < std::numeric_limits<int32_t>::max()
             ? Reason()
             : Reason("positions do not fit i32");
}
std::vector<ValueId> build_grid_sample(Builder& b, const Match& m) {
  const Node n = root_of(b.graph(), m);
  return {GridSample(b, n).build()};
}

// ---- resizing: along every dim a matrix, whatever the mode

constexpr int64_t kMostWeights = 1 << 22;  // elements of one dim's matrix

constexpr size_t kFirstSpatial = 2;

Reason resizing_fits(const Graph& g, const Match& m) {
  const Node& n = root_of(g, m);
  const Shape &x = g.shape(n.inputs[0]), &y = g.shape(n.outputs[0]);
  if (g.type(n.inputs[0]).dtype != DType::f32) return "it holds no float32 values";
  for (size_t d = 0; d < n.attr().ints("size").size(); ++d)
    if (x[d + kFirstSpatial] * y[d + kFirstSpatial] > kMostWeights) return "a dim is too long";
  return element_count(y) > 0 ? Reason() : Reason("it is empty");
}

// [out, in]: what the operator makes of unit vectors.
ValueId resizing_matrix(Builder& b, const Node& n, size_t d, int64_t in, int64_t out) {
  const AttrView a = n.attr();
  Tensor units = Tensor::zeros(DType::f32, {1, in, in, 1});
  for (int64_t i = 0; i < in; ++i) units.mut<float>()[static_cast<size_t>(i * in + i)] = 1;
  const Reals scales = a.reals("scales").empty() ? Reals{} : Reals{a.reals("scales")[d], 1.0};
  Builder fold(b.graph(), /*fold=*/true, kMostWeights);
  const ValueId y = fold.op("resize2d", {fold.constant(std::move(units))},
                            {{"size", Ints{out, 1}},
                             {"mode", a.s("mode")},
                             {"align_corners", a.b("align_corners")},
                             {"scales", scales},
                             {"antialias", a.b("antialias")}});
  const ValueId w = fold.transpose(fold.reshape(y, {in, out}), {1, 0});
  if (const Status s = fold.take_status(); !s) b.fail(s.error());
  return w;
}

std::vector<ValueId> build_resize(Builder& b, const Match& m) {
  const Node n = root_of(b.graph(), m);
  ValueId v = n.inputs[0];
  const Ints size = n.attr().ints("size");
  for (size_t d = 0; d < size.size(); ++d) {
    const size_t axis = kFirstSpatial + d;
    const Shape s = b.shape(v);
    if (s[axis] == size[d] && n.attr().reals("scales").empty()) continue;
    const ValueId w = resizing_matrix(b, n, d, s[axis], size[d]);
    Ints perm;
    for (size_t k = 0; k < s.size(); ++k) perm.push_back(static_cast<int64_t>(k));
    std::swap(perm[axis], perm.back());
    v = b.transpose(b.op("linear", {b.transpose(v, perm), w}), perm);
  }
  if (v == n.inputs[0]) v = b.mul(v, b.scalar(1));
  return {v};
}

// ---- pools over three dims: rows and columns first, then depth

Reason pool_fits(const Graph& g, const Match& m) {
  const Node& n = root_of(g, m);
  if (n.op->name == "avg_pool3d" && n.attr().i("divisor_override") != 0) return "its divisor is no product of counts";
  return element_count(g.shape(n.outputs[0])) > 0 ? Reason() : Reason("it is empty");
}

std::vector<Attr> flat_pool(const Node& n, size_t first, size_t count) {
  std::vector<Attr> out;
  for (const Attr& a : n.attrs) {
    const Ints* list = std::get_if<Ints>(&a.value);
    if (list == nullptr) {
      if (a.name != "divisor_override") out.push_back(a);
      continue;
    }
    Ints part(list->begin() + static_cast<std::ptrdiff_t>(first),
              list->begin() + static_cast<std::ptrdiff_t>(first + count));
    // Depth is pooled along the rows of a picture whose columns are left alone.
    if (count == 1) part.push_back(a.name.starts_with("pad_") ? 0 : 1);
    out.push_back({a.name, std::move(part)});
  }
  out.push_back({"layout", "nhwc"});
  return out;
}

std::vector<ValueId> build_pool(Builder& b, const Match& m) {
  const Node n = root_of(b.graph(), m);
  const Shape x = b.shape(n.inputs[0]), y = b.shape(n.outputs[0]);
  const std::string flat = n.op->name == "avg_pool3d" ? "avg_pool2d" : "max_pool2d";
  ValueId v = b.reshape(b.transpose(n.inputs[0], {0, 2, 3, 4, 1}), {x[0] * x[2], x[3], x[4], x[1]});
  v = b.op(flat, {v}, flat_pool(n, 1, 2));
  v = b.op(flat, {b.reshape(v, {x[0], x[2], y[3] * y[4], x[1]})}, flat_pool(n, 0, 1));
  return {b.transpose(b.reshape(v, {x[0], y[2], y[3], y[4], x[1]}), {0, 4, 1, 2, 3})};
}

constexpr std::string_view kMatrix = "Resizing is linear in x and separable: along each dim a constant matrix.";
constexpr std::string_view kPools =
    "A window is a product of intervals: its maximum, sum and count are taken dim by dim.";

constexpr Rewrite kRows[] = {
    {.name = "grid_sample_as_gathers",
     .doc = "Each result is a weighted sum of neighbours; those outside get weight 0.",
     .match = "%y = grid_sample(%x, %g, rest=$r)",
     .numerics = Numerics::exact_on_domain,  // finite grids and pictures
     .check = sampling_fits,
     .build = build_grid_sample},
    {.name = "resize1d_as_linear",
     .doc = kMatrix,
     .match = "%y = resize1d(%x, rest=$r)",
     .numerics = Numerics::exact_on_domain,  // finite values
     .check = resizing_fits,
     .build = build_resize},
    {.name = "resize3d_as_linear",
     .doc = kMatrix,
     .match = "%y = resize3d(%x, rest=$r)",
     .numerics = Numerics::exact_on_domain,
     .check = resizing_fits,
     .build = build_resize},
    {.name = "max_pool3d_in_two",
     .doc = kPools,
     .match = "%y = max_pool3d(%x, rest=$r)",
     .check = pool_fits,
     .build = build_pool},
    {.name = "avg_pool3d_in_two",
     .doc = kPools,
     .match = "%y = avg_pool3d(%x, rest=$r)",
     .check = pool_fits,
     .build = build_pool},
};

}  // namespace

std::span<const Rewrite> lower_sampling_rows() { return kRows; }

}  // namespace npuport
