#include "passes/receptive_field.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>

namespace npuport {
namespace {

constexpr size_t kSpatial = 2;

// Position o along an axis of a value depends on input positions in [ratio·o + low, ratio·o + high].
struct Reach {
  double ratio = 1, low = 0, high = 0;
};

// Where a value's rows and columns are, and what they see.
struct Field {
  std::array<size_t, kSpatial> axis{};
  std::array<Reach, kSpatial> reach;
  int64_t step = 1;
};

std::array<size_t, kSpatial> axes_of(AttrView attrs) {
  return attrs.has("layout") && attrs.s("layout") == "nhwc" ? std::array<size_t, 2>{1, 2} : std::array<size_t, 2>{2, 3};
}

// Operators with a sliding window of stride s: o depends on o·s - pad … o·s - pad + reach.
void slide(Reach& r, int64_t stride, int64_t pad, int64_t reach) {
  r.low -= r.ratio * static_cast<double>(pad);
  r.high += r.ratio * static_cast<double>(reach - pad);
  r.ratio *= static_cast<double>(stride);
}

class Walk {
 public:
  explicit Walk(const Graph& g) : g_(g) {}

  std::optional<ReceptiveField> run() {
    if (g_.inputs().size() != 1 || g_.outputs().size() != 1) return std::nullopt;
    const ValueId in = g_.inputs()[0], out = g_.outputs()[0];
    if (g_.shape(in).size() != 4 || g_.shape(out).size() != 4) return std::nullopt;
    // The layout shows in the first operator that has one; a graph without is local in both.
    std::array<size_t, kSpatial> axis{2, 3};
    const std::vector<NodeId> order = g_.topological();
    for (const NodeId id : order)
      if (g_.node(id).attr().has("layout")) {
        axis = axes_of(g_.node(id).attr());
        break;
      }
    fields_[in] = Field{axis, {}, 1};
    for (const NodeId id : order)
      if (!node(g_.node(id))) return std::nullopt;
    const auto found = fields_.find(out);
    if (found == fields_.end() || found->second.axis != axis) return std::nullopt;
    return result(found->second, g_.shape(in), g_.shape(out));
  }

 private:
  static std::optional<ReceptiveField> result(const Field& f, const Shape& in, const Shape& out) {
    ReceptiveField r{0, f.step};
    for (size_t i = 0; i < kSpatial; ++i) {
      const int64_t small = in[f.axis[i]], large = out[f.axis[i]];
      if (small <= 0 || large % small != 0) return std::nullopt;
      const int64_t times = large / small;
      const auto factor = static_cast<double>(times);
      if (std::abs(f.reach[i].ratio * factor - 1) > 1e-9) return std::nullopt;
      // Output factor·i + j, j < factor, sees [i + low, i + (factor - 1)/factor + high].
      const double left = -f.reach[i].low, right = f.reach[i].high + (factor - 1) / factor;
      r.radius = std::max(r.radius, static_cast<int64_t>(std::ceil(std::max(left, right) - 1e-9)));
    }
    return r;
  }

  // False when the node may look further than this analysis can tell.
  bool node(const Node& n) {
    std::optional<Field> f;
    for (const ValueId v : n.inputs) {
      const auto found = v.valid() ? fields_.find(v) : fields_.end();
      if (found == fields_.end()) continue;
      if (!f) {
        f = found->second;
      } else if (!join(*f, found->second)) {
        return false;
      }
    }
    if (!f) return true;  // of constants only
    const bool local = windowed(n, *f) || resized(n, *f) || moved(n, *f) || elementwise(n, *f);
    if (!local) return false;
    for (const ValueId v : n.outputs) fields_[v] = *f;
    return true;
  }

  static bool join(Field& a, const Field& b) {
    if (a.axis != b.axis) return false;
    for (size_t i = 0; i < kSpatial; ++i) {
      if (std::abs(a.reach[i].ratio - b.reach[i].ratio) > 1e-9) return false;
      a.reach[i].low = std::min(a.reach[i].low, b.reach[i].low);
      a.reach[i].high = std::max(a.reach[i].high, b.reach[i].high);
    }
    a.step = std::lcm(a.step, b.step);
    return true;
  }

  // Convolutions, pools and their transpose.
  bool windowed(const Node& n, Field& f) {
    const std::string_view op = n.op->name;
    const bool conv = op == "conv2d", back = op == "conv_transpose2d";
    if (!conv && !back && op != "max_pool2d" && op != "avg_pool2d") return false;
    const AttrView a = n.attr();
    if (f.axis != axes_of(a) || (conv && fields_.contains(n.inputs[1]))) return false;
    const Shape& weight = g_.shape(n.inputs.size() > 1 ? n.inputs[1] : n.inputs[0]);
    for (size_t i = 0; i < kSpatial; ++i) {
      const int64_t kernel = conv || back ? weight[2 + i] : a.ints("kernel")[i];
      const int64_t dilation = a.has("dilation") ? a.ints("dilation")[i] : 1, reach = dilation * (kernel - 1);
      const int64_t stride = a.ints("stride")[i], pad = a.ints("pad_begin")[i];
      Reach& r = f.reach[i];
      if (back) {  // o = i·stride - pad + k·dilation
        const double per = r.ratio / static_cast<double>(stride);
        r.low += per * static_cast<double>(pad - reach);
        r.high += per * static_cast<double>(pad);
        r.ratio = per;
      } else {
        slide(r, stride, pad, reach);
      }
      if (r.ratio > 1) f.step = std::lcm(f.step, static_cast<int64_t>(std::llround(r.ratio)));
    }
    return true;
  }

  bool resized(const Node& n, Field& f) {
    const std::string_view op = n.op->name;
    const AttrView a = n.attr();
    if (op == "depth_to_space" || op == "space_to_depth") {
      if (f.axis != axes_of(a)) return false;
      const auto block = static_cast<double>(a.i("block"));
      for (Reach& r : f.reach) {
        if (op == "depth_to_space") {
          r.ratio /= block;
          r.low -= r.ratio * (block - 1);
        } else {
          r.high += r.ratio * (block - 1);
          r.ratio *= block;
          if (r.ratio > 1) f.step = std::lcm(f.step, static_cast<int64_t>(std::llround(r.ratio)));
        }
      }
      return true;
    }
    if (op != "resize2d" || f.axis != axes_of(a) || a.b("align_corners") || a.b("antialias")) return false;
    const double taps = a.s("mode") == "cubic" ? 2 : 1;
    for (size_t i = 0; i < kSpatial; ++i) {
      const int64_t in = g_.shape(n.inputs[0])[f.axis[i]], out = a.ints("size")[i];
      if (in <= 0 || out % in != 0) return false;  // only whole enlargements move along with their input
      const int64_t times = out / in;
      const auto factor = static_cast<double>(times);
      const double shift = 0.5 / factor - 0.5;  // source = (o + 0.5)/factor - 0.5
      Reach& r = f.reach[i];
      r.low += r.ratio * (std::min(shift, 0.0) - taps);
      r.high += r.ratio * (std::max(shift, 0.0) + taps);
      r.ratio /= factor;
    }
    return true;
  }

  // What moves elements without mixing pixels: transpose, concat and slice along channels, padding.
  bool moved(const Node& n, Field& f) {
    const std::string_view op = n.op->name;
    const Shape &in = g_.shape(n.inputs[0]), &out = g_.shape(n.outputs[0]);
    if (op == "transpose") {
      const Ints& perm = n.attr().ints("perm");
      for (size_t& axis : f.axis)
        axis = static_cast<size_t>(std::find(perm.begin(), perm.end(), static_cast<int64_t>(axis)) - perm.begin());
      return true;
    }
    if (op == "pad") {
      const Ints& pads = n.attr().ints("pads");
      if (n.attr().s("mode") == "circular") return false;
      for (size_t i = 0; i < kSpatial; ++i) slide(f.reach[i], 1, pads[f.axis[i]], 0);
      return true;
    }
    if (op != "concat" && op != "slice" && op != "split") return false;
    return in.size() == 4 && out.size() == 4 &&
           std::all_of(f.axis.begin(), f.axis.end(), [&](size_t axis) { return in[axis] == out[axis]; });
  }

  // One value per pixel; other operands must not depend on the position.
  bool elementwise(const Node& n, const Field& f) {
    const std::string_view op = n.op->name;
    const bool per_channel = op == "batch_norm" || op == "prelu";
    if (n.op->axes.kind != AxisRule::elementwise && !per_channel) return false;
    const Shape& out = g_.shape(n.outputs[0]);
    if (out.size() != 4) return false;
    for (const ValueId v : n.inputs) {
      if (!v.valid() || fields_.contains(v)) continue;
      const Shape& s = g_.shape(v);
      if (per_channel && s.size() == 1) continue;
      for (const size_t axis : f.axis) {
        const size_t missing = out.size() - s.size();
        if (axis >= missing && s[axis - missing] != 1) return false;
      }
    }
    return true;
  }

  const Graph& g_;
  std::map<ValueId, Field> fields_;
};

}  // namespace

std::optional<ReceptiveField> receptive_field(const Graph& g) { return Walk(g).run(); }

}  // namespace npuport
