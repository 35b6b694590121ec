// Tensors of rank 5 and more as tensors of rank 4 and less: neighbouring dims that an operator treats alike merge.
#include <algorithm>
#include <deque>
#include <numeric>

#include "ir/registry.h"
#include "passes/lower.h"
#include "passes/lower/transpose_steps.h"

namespace npuport {
namespace {

using Reason = std::optional<std::string>;
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

const Node& root_of(const Graph& g, const Match& m) { return *g.producer(m.roots()[0]); }

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

// ---- element by element

// Dims merge where every operand either has both or broadcasts over both.
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
  return joint;
}

Reason elementwise_fits(const Graph& g, const Match& m) {
  const Node& n = root_of(g, m);
  const Shape& out = g.shape(m.roots()[0]);
  if (out.size() <= kMostDims) return "the rank is no problem";
  for (const ValueId v : n.inputs)
    if (v.valid() && g.shape(v).size() > out.size()) return "an operand has a higher rank than the result";
  const auto joint = broadcast_joints(g, n.inputs, out);
  return merged_rank(joint) <= kMostDims ? Reason() : Reason("its dims do not merge to four");
}

std::vector<ValueId> build_elementwise(Builder& b, const Match& m) {
  const Node n = root_of(b.graph(), m);
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
  return joint;
}

Reason along_axes_fits(const Graph& g, const Match& m) {
  const Node& n = root_of(g, m);
  size_t rank = g.shape(n.inputs[0]).size();
  for (const ValueId v : n.outputs) rank = std::max(rank, g.shape(v).size());
  if (rank <= kMostDims) return "the rank is no problem";
  if (g.shape(n.inputs[0]).size() < 2) return "";
  return merged_rank(axis_joints(g, n)) <= kMostDims ? Reason() : Reason("its dims do not merge to four");
}

std::vector<ValueId> build_along_axes(Builder& b, const Match& m) {
  const Node n = root_of(b.graph(), m);
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
  const Node& n = root_of(g, m);
  if (g.shape(n.outputs[0]).size() <= kMostDims) return "the rank is no problem";
  return axes_of(g, n)->size() > 1 ? Reason() : Reason("it pads one axis only");
}
std::vector<ValueId> build_pads_apart(Builder& b, const Match& m) {
  const Node n = root_of(b.graph(), m);
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

Reason matmul_fits(const Graph& g, const Match& m) {
  const Shape& out = g.shape(m.roots()[0]);
  if (out.size() <= kMostDims) return "the rank is no problem";
  const Node& n = root_of(g, m);
  const Shape batch(out.begin(), out.end() - 2);
  size_t left = 1;
  std::vector<bool> joint(batch.size() - 1, true);
  for (const ValueId v : n.inputs) {
    const Shape s = aligned(g.shape(v), out.size());
    for (size_t i = 0; i + 1 < batch.size(); ++i)
      if (batch[i] != 1 && batch[i + 1] != 1 && (s[i] != batch[i]) != (s[i + 1] != batch[i + 1])) joint[i] = false;
  }
  left = merged_rank(joint);
  return left <= kMostDims - 2 ? Reason() : Reason("its batch dims do not merge to two");
}

std::vector<ValueId> build_matmul(Builder& b, const Match& m) {
  const Node n = root_of(b.graph(), m);
  const Shape out = b.shape(m.roots()[0]);
  const Shape batch(out.begin(), out.end() - 2);
  std::vector<bool> joint(batch.size() - 1, true);
  for (const ValueId v : n.inputs) {
    const Shape s = aligned(b.shape(v), out.size());
    for (size_t i = 0; i + 1 < batch.size(); ++i)
      if (batch[i] != 1 && batch[i + 1] != 1 && (s[i] != batch[i]) != (s[i + 1] != batch[i + 1])) joint[i] = false;
  }
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
  const Node n = root_of(b.graph(), m);
  const Shape out = b.shape(m.roots()[0]), x = b.shape(n.inputs[0]);
  size_t kept = 1;
  for (const Attr& a : n.attrs)
    if (a.name == "normalized_rank") kept = static_cast<size_t>(std::get<int64_t>(a.value));
  const auto tail = static_cast<std::ptrdiff_t>(x.size() - kept);
  Shape flat{element_count(std::span(x).first(x.size() - kept))};
  flat.insert(flat.end(), x.begin() + tail, x.end());
  std::vector<ValueId> in = n.inputs;
  in[0] = viewed(b, in[0], std::move(flat));
  return {b.reshape(b.op(n.op->name, std::move(in), n.attrs), out)};
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
  Rewrite t;
  t.name = "transpose_in_steps";
  t.doc = "Dims that stay neighbours move as one; the rest is a product of permutations of at most four blocks.";
  t.match = "%y = transpose(%x, perm=$p)";
  t.check = transpose_fits;
  t.build = build_transpose;
  r.rows.push_back(t);
  Rewrite pads;
  pads.name = "pad_axis_by_axis";
  pads.doc = "Every padding mode works on each axis by itself.";
  pads.match = "%y = pad(%in.all, rest=$r)";
  pads.check = pads_apart;
  pads.build = build_pads_apart;
  r.rows.push_back(pads);
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
