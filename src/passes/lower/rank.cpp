// Tensors of rank 5 and more as tensors of rank 4 and less: neighbouring dims that an operator treats alike merge.
#include <algorithm>
#include <deque>
#include <limits>
#include <numeric>

#include "ir/registry.h"
#include "passes/lower.h"
#include "passes/lower/common.h"
#include "passes/lower/transpose_steps.h"

namespace npuport {
namespace {

constexpr size_t kMostDims = 4;

// Skips reshapes: the value whose bytes `v` shows.
ValueId bytes_of(const Graph& g, ValueId v) {
  while (const Node* n = g.producer(v)) {
    if (n->op->name != "reshape") break;
    v = n->inputs[0];
  }
  return v;
}
ValueId viewed(Builder& b, ValueId v, Shape shape) { return b.reshape(bytes_of(b.graph(), v), std::move(shape)); }

Shape aligned(const Shape& s, size_t rank) {
  Shape out(rank - std::min(rank, s.size()), 1);
  out.insert(out.end(), s.begin(), s.end());
  return out;
}

// joint[i]: dims i and i + 1 may merge.
Shape merged(const Shape& s, const std::vector<bool>& joint) {
  Shape out{s.empty() ? 1 : s[0]};
  for (size_t i = 1; i < s.size(); ++i) {
    if (joint[i - 1]) {
      out.back() *= s[i];
    } else {
      out.push_back(s[i]);
    }
  }
  return out;
}
int64_t merged_axis(int64_t axis, const std::vector<bool>& joint) {
  int64_t out = 0;
  for (int64_t i = 0; i < axis; ++i) out += joint[static_cast<size_t>(i)] ? 0 : 1;
  return out;
}
size_t merged_rank(const std::vector<bool>& joint) {
  return joint.size() + 1 - static_cast<size_t>(std::count(joint.begin(), joint.end(), true));
}

// Of the joints that may merge those that do: at most `most` dims are left, the largest of them as small as can be (an
// NPU limits the extent of a dim as well as their number), and no more dims merge than that takes.
std::vector<bool> evenly(const Shape& s, const std::vector<bool>& may, size_t most = kMostDims) {
  // least[k][i]: the largest of k dims that the first i merge to, and where the last of them begins.
  constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
  const size_t rank = s.size();
  std::vector<std::vector<std::pair<int64_t, size_t>>> least(most + 1, {rank + 1, {kNever, 0}});
  least[0][0].first = 0;
  for (size_t k = 1; k <= most; ++k)
    for (size_t end = 1; end <= rank; ++end) {
      int64_t extent = 1;
      for (size_t begin = end; begin-- > 0;) {
        extent *= s[begin];
        const int64_t before = least[k - 1][begin].first;
        if (before != kNever) least[k][end] = std::min(least[k][end], {std::max(before, extent), begin});
        if (begin > 0 && !may[begin - 1]) break;
      }
    }
  size_t dims = most;
  for (size_t k = most; k > 0; --k)
    if (least[k][rank].first < least[dims][rank].first) dims = k;
  if (least[dims][rank].first == kNever) return may;
  std::vector<bool> joint(rank - 1, true);
  for (size_t end = rank; dims > 0; --dims) {
    end = least[dims][end].second;
    if (end > 0) joint[end - 1] = false;
  }
  return joint;
}

// ---- element by element

// Dims may merge where every operand either has both or broadcasts over both.
std::vector<bool> broadcast_joints(const Graph& g, std::span<const ValueId> operands, const Shape& out) {
  const size_t rank = out.size();
  std::vector<bool> joint(rank - 1, true);
  for (const ValueId v : operands) {
    if (!v.valid()) continue;
    const Shape s = aligned(g.shape(v), rank);
    for (size_t i = 0; i + 1 < rank; ++i) {
      const bool first_spread = s[i] != out[i], second_spread = s[i + 1] != out[i + 1];
      const bool first_free = out[i] == 1, second_free = out[i + 1] == 1;
      if (!first_free && !second_free && first_spread != second_spread) joint[i] = false;
    }
  }
  return evenly(out, joint);
}

Reason elementwise_fits(const Graph& g, const Match& m) {
  const Node& n = root_node(g, m);
  const Shape& out = g.shape(m.roots()[0]);
  if (out.size() <= kMostDims) return "the rank is no problem";
  for (const ValueId v : n.inputs)
    if (v.valid() && g.shape(v).size() > out.size()) return "an operand has a higher rank than the result";
  const auto joint = broadcast_joints(g, n.inputs, out);
  return merged_rank(joint) <= kMostDims ? Reason() : Reason("its dims do not merge to four");
}

std::vector<ValueId> build_elementwise(Builder& b, const Match& m) {
  const Node n = root_node(b.graph(), m);
  const Shape out = b.shape(m.roots()[0]);
  const auto joint = broadcast_joints(b.graph(), n.inputs, out);
  std::vector<ValueId> in = n.inputs;
  for (ValueId& v : in)
    if (v.valid() && element_count(b.shape(v)) != 1)
      v = viewed(b, v, merged(aligned(b.shape(v), out.size()), joint));
    else if (v.valid() && b.shape(v).size() > kMostDims)
      v = viewed(b, v, {1});
  std::vector<Attr> attrs = n.attrs;
  for (Attr& a : attrs)
    if (n.op->name == "expand" && a.name == "shape") a.value = merged(out, joint);
  return {b.reshape(b.op(n.op->name, std::move(in), std::move(attrs)), out)};
}

// ---- along axes

// The axes a node names, normalised; empty optional for operators not listed.
std::optional<Ints> axes_of(const Graph& g, const Node& n) {
  const auto rank = static_cast<int64_t>(g.shape(n.inputs[0]).size());
  Ints axes;
  for (const Attr& a : n.attrs) {
    if (a.name == "axis") axes = {std::get<int64_t>(a.value)};
    if (a.name == "axes") axes = std::get<Ints>(a.value);
    if (a.name == "pads") {
      const Ints& pads = std::get<Ints>(a.value);
      for (int64_t d = 0; d < rank; ++d)
        if (pads[static_cast<size_t>(d)] != 0 || pads[static_cast<size_t>(d + rank)] != 0) axes.push_back(d);
    }
    if (a.name == "repeats") {
      const Ints& repeats = std::get<Ints>(a.value);
      for (int64_t d = 0; d < rank; ++d)
        if (repeats[static_cast<size_t>(d)] != 1) axes.push_back(d);
    }
  }
  for (int64_t& a : axes) a = a < 0 ? a + rank : a;
  return axes;
}

std::vector<bool> axis_joints(const Graph& g, const Node& n) {
  const size_t rank = g.shape(n.inputs[0]).size();
  const Ints axes = *axes_of(g, n);
  const bool reduces = n.op->name.starts_with("reduce_");
  std::vector<bool> joint(rank - 1);
  for (size_t i = 0; i + 1 < rank; ++i) {
    const bool a = std::count(axes.begin(), axes.end(), static_cast<int64_t>(i)) > 0;
    const bool c = std::count(axes.begin(), axes.end(), static_cast<int64_t>(i + 1)) > 0;
    joint[i] = reduces ? a == c : !a && !c;
  }
  Shape largest = g.shape(n.inputs[0]);
  for (const ValueId v : n.outputs)
    for (size_t i = 0; i < rank && g.shape(v).size() == rank; ++i) largest[i] = std::max(largest[i], g.shape(v)[i]);
  return evenly(largest, joint);
}

Reason along_axes_fits(const Graph& g, const Match& m) {
  const Node& n = root_node(g, m);
  size_t rank = g.shape(n.inputs[0]).size();
  for (const ValueId v : n.outputs) rank = std::max(rank, g.shape(v).size());
  if (rank <= kMostDims) return "the rank is no problem";
  if (g.shape(n.inputs[0]).size() < 2) return "";
  return merged_rank(axis_joints(g, n)) <= kMostDims ? Reason() : Reason("its dims do not merge to four");
}

std::vector<ValueId> build_along_axes(Builder& b, const Match& m) {
  const Node n = root_node(b.graph(), m);
  const auto joint = axis_joints(b.graph(), n);
  const bool list = n.op->in.front().kind == Port::variadic;
  std::vector<ValueId> in = n.inputs;
  for (size_t i = 0; i < in.size(); ++i)
    if (in[i].valid() && (i == 0 || list)) in[i] = viewed(b, in[i], merged(b.shape(in[i]), joint));
  std::vector<Attr> attrs = n.attrs;
  const Ints axes = *axes_of(b.graph(), n);
  const auto rank = static_cast<int64_t>(joint.size()) + 1;
  for (Attr& a : attrs) {
    if (a.name == "axis") a.value = merged_axis(axes[0], joint);
    if (a.name == "axes") {
      Ints moved;
      for (const int64_t axis : axes) {
        const int64_t k = merged_axis(axis, joint);
        if (moved.empty() || !n.op->name.starts_with("reduce_") || moved.back() != k) moved.push_back(k);
      }
      a.value = std::move(moved);
    }
    if (a.name == "pads" || a.name == "repeats") {
      const Ints old = std::get<Ints>(a.value);
      const size_t small = merged_rank(joint);
      const bool pads = a.name == "pads";
      Ints fresh(pads ? 2 * small : small, pads ? 0 : 1);
      for (const int64_t axis : axes) {
        const auto k = static_cast<size_t>(merged_axis(axis, joint));
        fresh[k] = old[static_cast<size_t>(axis)];
        if (pads) fresh[k + small] = old[static_cast<size_t>(axis + rank)];
      }
      a.value = std::move(fresh);
    }
  }
  std::vector<Shape> shapes;
  for (const ValueId v : n.outputs) shapes.push_back(b.shape(v));
  std::vector<ValueId> out = b.ops(n.op->name, std::move(in), std::move(attrs));
  for (size_t i = 0; i < out.size(); ++i) out[i] = b.reshape(out[i], shapes[i]);
  return out;
}

// Padding one axis after the other leaves fewer dims that cannot merge.
Reason pads_apart(const Graph& g, const Match& m) {
  const Node& n = root_node(g, m);
  if (g.shape(n.outputs[0]).size() <= kMostDims) return "the rank is no problem";
  return axes_of(g, n)->size() > 1 ? Reason() : Reason("it pads one axis only");
}
std::vector<ValueId> build_pads_apart(Builder& b, const Match& m) {
  const Node n = root_node(b.graph(), m);
  const Ints all = n.attr().ints("pads");
  const size_t rank = all.size() / 2;
  std::vector<ValueId> in = n.inputs;
  const Ints axes = *axes_of(b.graph(), n);
  for (const int64_t axis : axes) {
    const auto d = static_cast<size_t>(axis);
    Ints pads(2 * rank, 0);
    pads[d] = all[d];
    pads[d + rank] = all[d + rank];
    std::vector<Attr> attrs = n.attrs;
    for (Attr& a : attrs)
      if (a.name == "pads") a.value = pads;
    in[0] = b.op("pad", in, std::move(attrs));
  }
  return {in[0]};
}

// ---- products: the dims before the last two (matmul), before the last (linear, norms)

std::vector<bool> batch_joints(const Graph& g, const Node& n, const Shape& out) {
  std::vector<bool> joint(out.size() - 3, true);
  for (const ValueId v : n.inputs) {
    const Shape s = aligned(g.shape(v), out.size());
    for (size_t i = 0; i < joint.size(); ++i)
      if (out[i] != 1 && out[i + 1] != 1 && (s[i] != out[i]) != (s[i + 1] != out[i + 1])) joint[i] = false;
  }
  return evenly(Shape(out.begin(), out.end() - 2), joint, kMostDims - 2);
}

Reason matmul_fits(const Graph& g, const Match& m) {
  const Shape& out = g.shape(m.roots()[0]);
  if (out.size() <= kMostDims) return "the rank is no problem";
  const size_t left = merged_rank(batch_joints(g, root_node(g, m), out));
  return left <= kMostDims - 2 ? Reason() : Reason("its batch dims do not merge to two");
}

std::vector<ValueId> build_matmul(Builder& b, const Match& m) {
  const Node n = root_node(b.graph(), m);
  const Shape out = b.shape(m.roots()[0]);
  const auto joint = batch_joints(b.graph(), n, out);
  std::vector<ValueId> in = n.inputs;
  for (ValueId& v : in) {
    const Shape s = aligned(b.shape(v), out.size());
    Shape flat = merged(Shape(s.begin(), s.end() - 2), joint);
    flat.insert(flat.end(), s.end() - 2, s.end());
    v = viewed(b, v, std::move(flat));
  }
  return {b.reshape(b.op("matmul", std::move(in), n.attrs), out)};
}

Reason last_dims_fit(const Graph& g, const Match& m) {
  return g.shape(m.roots()[0]).size() > kMostDims ? Reason() : Reason("the rank is no problem");
}
std::vector<ValueId> build_last_dims(Builder& b, const Match& m) {
  const Node n = root_node(b.graph(), m);
  const Shape out = b.shape(m.roots()[0]), x = b.shape(n.inputs[0]);
  size_t kept = 1;
  for (const Attr& a : n.attrs)
    if (a.name == "normalized_rank") kept = static_cast<size_t>(std::get<int64_t>(a.value));
  std::vector<bool> joint(x.size() - 1, true);
  std::fill(joint.end() - static_cast<std::ptrdiff_t>(kept), joint.end(), false);
  Shape flat = merged(x, evenly(x, joint));
  std::vector<ValueId> in = n.inputs;
  in[0] = viewed(b, in[0], std::move(flat));
  return {b.reshape(b.op(n.op->name, std::move(in), n.attrs), out)};
}

// ---- one element along a dim

// The only axis a slice works on, its dim of the input and where the part begins; nullopt for other slices.
struct Part {
  size_t axis;
  int64_t start, length;
};
std::optional<Part> one_part(const Graph& g, const Node& slice) {
  const Ints &starts = slice.attr().ints("starts"), &axes = slice.attr().ints("axes"),
             &steps = slice.attr().ints("steps");
  if (axes.size() != 1 || steps[0] != 1) return std::nullopt;
  const Shape &x = g.shape(slice.inputs[0]), &y = g.shape(slice.outputs[0]);
  const auto axis = static_cast<size_t>(axes[0] < 0 ? axes[0] + static_cast<int64_t>(x.size()) : axes[0]);
  const int64_t from = starts[0] < 0 ? starts[0] + x[axis] : starts[0];
  return Part{axis, std::clamp<int64_t>(from, 0, x[axis]), y[axis]};
}

Reason selects_after_transpose(const Graph& g, const Match& m) {
  if (g.shape(m.value("y")).size() <= kMostDims) return "the rank is no problem";
  // All users take one element along the same dim: then the permutation of all of them is needed by nobody.
  std::optional<size_t> axis;
  for (const Use& u : g.value(g.producer(m.value("y"))->inputs[0]).uses) {
    const Node& n = g.node(u.node);
    const auto part = n.op->name == "slice" ? one_part(g, n) : std::nullopt;
    if (!part || part->length != 1 || part->axis != axis.value_or(part->axis)) return "other nodes need all of it";
    axis = part->axis;
  }
  const auto steps = transpose_steps(g.shape(m.value("x")), std::get<Ints>(m.attr("p")), kMostDims);
  if (steps && steps->size() < 2) return "one transpose does for all of them";
  return g.is_output(g.producer(m.value("y"))->inputs[0]) ? Reason("the whole is an output") : Reason();
}
std::vector<ValueId> build_selection_first(Builder& b, const Match& m) {
  const Ints perm = std::get<Ints>(m.attr("p"));
  const Part part = *one_part(b.graph(), root_node(b.graph(), m));
  const ValueId taken =
      slice(b, m.value("x"), static_cast<size_t>(perm[part.axis]), part.start, part.start + part.length);
  return {b.transpose(taken, perm)};
}

// The dim of x that a reshape splits so that `part` of the result is a range of it, and that range.
std::optional<Part> part_before_reshape(const Shape& x, const Shape& split, const Part& part) {
  int64_t outer = 1, inner = 1;
  for (size_t i = 0; i < part.axis; ++i) outer *= split[i];
  for (size_t i = part.axis + 1; i < split.size(); ++i) inner *= split[i];
  int64_t before = 1;
  for (size_t d = 0; d < x.size(); before *= x[d++]) {
    const int64_t extent = split[part.axis];
    if (before != outer || extent == 0 || x[d] % extent != 0) continue;
    const int64_t unit = x[d] / extent;
    int64_t after = 1;
    for (size_t i = d + 1; i < x.size(); ++i) after *= x[i];
    if (unit * after == inner) return Part{d, part.start * unit, part.length * unit};
  }
  return std::nullopt;
}

Reason splits_a_dim(const Graph& g, const Match& m) {
  if (g.shape(m.value("y")).size() <= kMostDims) return "the rank is no problem";
  const Node& n = root_node(g, m);
  const auto part = one_part(g, n);
  if (!part) return "it slices more than one dim, or with a step";
  return part_before_reshape(g.shape(m.value("x")), g.shape(n.inputs[0]), *part)
             ? Reason()
             : Reason("what it takes is no range of a dim before the reshape");
}
std::vector<ValueId> build_slice_first(Builder& b, const Match& m) {
  const Node n = root_node(b.graph(), m);
  const ValueId x = m.value("x");
  const Part part = *part_before_reshape(b.shape(x), b.shape(n.inputs[0]), *one_part(b.graph(), n));
  return {b.reshape(slice(b, x, part.axis, part.start, part.start + part.length), b.shape(m.value("y")))};
}

// ---- transpose

Reason transpose_fits(const Graph& g, const Match& m) {
  if (g.shape(m.value("x")).size() <= kMostDims) return "the rank is no problem";
  return transpose_steps(g.shape(m.value("x")), std::get<Ints>(m.attr("p")), kMostDims)
             ? Reason()
             : Reason("no sequence of rank-4 transposes was found");
}
std::vector<ValueId> build_transpose(Builder& b, const Match& m) {
  const Shape out = b.shape(m.value("y"));
  ValueId v = m.value("x");
  const auto steps = transpose_steps(b.shape(v), std::get<Ints>(m.attr("p")), kMostDims);
  for (const TransposeStep& s : *steps) v = b.transpose(viewed(b, v, s.shape), s.perm);
  return {viewed(b, v, out)};
}

struct Rows {
  std::deque<std::string> texts;
  std::vector<Rewrite> rows;
  std::string_view keep(std::string s) { return texts.emplace_back(std::move(s)); }
  void add(std::string_view op, std::string_view doc, decltype(Rewrite::check) check, decltype(Rewrite::build) build) {
    Rewrite r;
    r.name = keep("rank_of_" + std::string(op));
    r.doc = doc;
    r.match = keep("%y.all = " + std::string(op) + "(%in.all, rest=$r)");
    r.check = check;
    r.build = build;
    rows.push_back(r);
  }
};

Rows make_rows() {
  Rows r;
  r.rows.push_back({.name = "selection_before_transpose",
                    .doc = "Permuting dims and taking one element along a dim do not mind each other's order.",
                    .match = "%y = slice(transpose(%x, perm=$p), rest=$r)",
                    .check = selects_after_transpose,
                    .build = build_selection_first,
                    .shared = true});
  r.rows.push_back({.name = "slice_before_split_dim",
                    .doc = "Elements [s, e) of the outer part of a dim split in two are elements [s*n, e*n) of the "
                           "dim, n the inner part.",
                    .match = "%y = slice(reshape(%x, shape=$s), rest=$r)",
                    .check = splits_a_dim,
                    .build = build_slice_first,
                    .shared = true});
  r.rows.push_back(
      {.name = "transpose_in_steps",
       .doc = "Dims that stay neighbours move as one; the rest is a product of permutations of at most four blocks.",
       .match = "%y = transpose(%x, perm=$p)",
       .check = transpose_fits,
       .build = build_transpose});
  r.rows.push_back({.name = "pad_axis_by_axis",
                    .doc = "Every padding mode works on each axis by itself.",
                    .match = "%y = pad(%in.all, rest=$r)",
                    .check = pads_apart,
                    .build = build_pads_apart});
  for (const OpDef* row : Registry::global().all())
    if (row->axes.kind == AxisRule::elementwise && row->out.size() == 1)
      r.add(row->name, "The operator works element by element: dims that all operands share merge.", elementwise_fits,
            build_elementwise);
  r.add("expand", "Dims that are kept, or repeated, together merge.", elementwise_fits, build_elementwise);
  for (const std::string_view op : {"softmax", "log_softmax", "slice", "split", "concat", "pad", "tile", "cumsum",
                                    "flip", "reduce_mean", "reduce_sum", "reduce_max", "reduce_min", "reduce_prod"})
    r.add(op, "The operator treats each line along its axes alike: the other dims merge.", along_axes_fits,
          build_along_axes);
  r.add("matmul", "Every matrix of the batch is multiplied alike: the batch dims merge.", matmul_fits, build_matmul);
  for (const std::string_view op : {"linear", "layer_norm", "rms_norm"})
    r.add(op, "Every row is treated alike: the dims before merge.", last_dims_fit, build_last_dims);
  return r;
}

}  // namespace

std::span<const Rewrite> lower_rank_rows() {
  static const Rows made = make_rows();
  return made.rows;
}

}  // namespace npuport
