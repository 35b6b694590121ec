#include "passes/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <ranges>

#include "base/diag_codes.h"
#include "base/permute.h"
#include "ir/builder.h"
#include "passes/io_contract.h"

namespace npuport {
namespace {

Ints identity_perm(size_t rank) {
  Ints p(rank);
  std::iota(p.begin(), p.end(), 0);
  return p;
}

// 0, 2, 3, …, 1
Ints channels_last_order(size_t rank) {
  Ints p = identity_perm(rank);
  std::rotate(p.begin() + 1, p.begin() + 2, p.end());
  return p;
}

bool is_identity(const Ints& p) {
  for (size_t i = 0; i < p.size(); ++i)
    if (p[i] != static_cast<int64_t>(i)) return false;
  return true;
}

// The order in which dims larger than one lie in memory: permutations that agree in it differ by a reshape only.
Ints memory_order(const Ints& perm, const Shape& canonical) {
  Ints out;
  for (const int64_t d : perm)
    if (canonical[static_cast<size_t>(d)] != 1) out.push_back(d);
  return out;
}

// A value's bytes as they lie in memory: dim i of `id` = canonical dim perm[i].
struct Physical {
  ValueId id;
  Ints perm;
};

// Which old dims of a reshape turn into which new ones: groups of neighbours with equal products, in canonical order.
struct ReshapeGroups {
  std::vector<size_t> of_old;  // group of each old dim
  std::vector<Ints> new_dims;  // per group
};

std::optional<ReshapeGroups> reshape_groups(const Shape& from, const Shape& to) {
  ReshapeGroups r;
  r.of_old.resize(from.size());
  size_t i = 0, j = 0;
  while (i < from.size() || j < to.size()) {
    int64_t a = 1, b = 1;
    Ints news;
    const size_t group = r.new_dims.size();
    const auto take_old = [&] { a *= from[i], r.of_old[i++] = group; };
    const auto take_new = [&] { b *= to[j], news.push_back(static_cast<int64_t>(j++)); };
    if (i < from.size()) take_old();
    if (j < to.size()) take_new();
    while (a != b) {
      if (a < b && i < from.size()) {
        take_old();
      } else if (b < a && j < to.size()) {
        take_new();
      } else {
        return std::nullopt;
      }
    }
    // Trailing ones belong to the last group.
    if (j == to.size())
      while (i < from.size() && from[i] == 1) take_old();
    if (i == from.size())
      while (j < to.size() && to[j] == 1) take_new();
    r.new_dims.push_back(std::move(news));
  }
  return r;
}

// How a reshape acts on data whose dims lie in order `perm`: the order of the new dims, or nullopt when dims that merge
// do not lie together in ascending order.
std::optional<Ints> carry_through_reshape(const Shape& from, const Shape& to, const Ints& perm) {
  const std::optional<ReshapeGroups> groups = reshape_groups(from, to);
  if (!groups) return std::nullopt;
  Ints out;
  std::vector<bool> done(groups->new_dims.size(), false);
  size_t current = SIZE_MAX;
  int64_t last = -1;
  for (const int64_t d : perm) {
    if (from[static_cast<size_t>(d)] == 1) continue;
    const size_t group = groups->of_old[static_cast<size_t>(d)];
    if (group == current) {
      if (d < last) return std::nullopt;
    } else {
      if (done[group]) return std::nullopt;
      done[group] = true;
      current = group;
      out.insert(out.end(), groups->new_dims[group].begin(), groups->new_dims[group].end());
    }
    last = d;
  }
  Ints all;  // groups of ones go to the front
  for (size_t k = 0; k < done.size(); ++k)
    if (!done[k]) all.insert(all.end(), groups->new_dims[k].begin(), groups->new_dims[k].end());
  all.insert(all.end(), out.begin(), out.end());
  return all;
}

// `perm` with the dims of every group brought together where the group's first one lies.
std::optional<Ints> nearest_mergeable(const Shape& from, const Shape& to, const Ints& perm) {
  const std::optional<ReshapeGroups> groups = reshape_groups(from, to);
  if (!groups) return std::nullopt;
  Ints out;
  std::vector<bool> done(groups->new_dims.size(), false);
  for (const int64_t d : perm) {
    const size_t group = groups->of_old[static_cast<size_t>(d)];
    if (done[group]) continue;
    done[group] = true;
    for (size_t k = 0; k < from.size(); ++k)
      if (groups->of_old[k] == group) out.push_back(static_cast<int64_t>(k));
  }
  return out;
}

// Which way image operators turn.
struct Turn {
  std::string_view from, to;  // values of attribute layout
  const Ints& order;          // of the image's dims
};
const Turn kLast{"nchw", "nhwc", kToNhwc};
const Turn kFirst{"nhwc", "nchw", kToNchw};

class LayoutRun {
 public:
  // `lazy`: the model's own transposes are carried along, too, instead of being done where they stand.
  LayoutRun(Graph& g, const PassOptions& options, IoContract& io, bool lazy, const Turn& turn = kLast)
      : g_(g), b_(g, /*fold=*/true, int64_t{1} << 40), options_(options), io_(io), lazy_(lazy), turn_(turn) {}

  Result<size_t> run() {
    const std::vector<NodeId> order = g_.topological();
    if (options_.io_layout == IoLayout::channels_last) turn_inputs(order);
    for (const NodeId id : order) {
      b_.set_origins(g_.node(id).origins);
      visit(id);
      if (b_.failed()) break;
    }
    NPU_TRY(b_.take_status());
    finish_outputs();
    NPU_TRY(b_.take_status());
    g_.erase_dead();
    return changed_;
  }

 private:
  Physical& state(ValueId v) {
    const auto it = states_.find(v.v);
    if (it != states_.end()) return it->second;
    return states_.emplace(v.v, Physical{v, identity_perm(g_.shape(v).size())}).first->second;
  }
  bool moved(ValueId v) { return state(v).id != v || !is_identity(state(v).perm); }
  const Shape& canonical_shape(ValueId v) {
    const auto it = shapes_.find(v.v);
    return it != shapes_.end() ? it->second : g_.shape(v);
  }

  // The value in the wanted order; conversions are made once.
  ValueId in_order(ValueId v, const Ints& want) {
    const Physical s = state(v);
    if (s.perm == want) return s.id;
    const auto key = std::make_pair(v.v, want);
    if (const auto it = converted_.find(key); it != converted_.end()) return it->second;
    const Shape& shape = canonical_shape(v);
    ValueId out;
    if (memory_order(s.perm, shape) == memory_order(want, shape)) {
      out = b_.reshape(s.id, permuted_shape(shape, want));
    } else {
      Ints relative;
      for (const int64_t d : want) relative.push_back(std::find(s.perm.begin(), s.perm.end(), d) - s.perm.begin());
      out = b_.transpose(s.id, relative);
    }
    converted_[key] = out;
    return out;
  }
  ValueId canonical(ValueId v) { return in_order(v, identity_perm(canonical_shape(v).size())); }

  // The value at `rank` dims (ones in front) in order `perm`.
  ValueId aligned(ValueId v, size_t rank, const Ints& perm) {
    const Shape& shape = canonical_shape(v);
    if (element_count(shape) == 1) return canonical(v);
    if (shape.size() == rank) return in_order(v, perm);
    const auto key = std::make_pair(v.v, perm);
    if (const auto it = converted_.find(key); it != converted_.end()) return it->second;
    const auto extra = static_cast<int64_t>(rank - shape.size());
    Ints own;  // the target order restricted to the value's own dims
    for (const int64_t d : perm)
      if (d >= extra) own.push_back(d - extra);
    Shape wide(static_cast<size_t>(extra), 1);
    wide.insert(wide.end(), shape.begin(), shape.end());
    const ValueId out = b_.reshape(in_order(v, own), permuted_shape(wide, perm));
    converted_[key] = out;
    return out;
  }

  Ints extended(ValueId v, size_t rank) {
    const auto extra = static_cast<int64_t>(rank - canonical_shape(v).size());
    Ints p = identity_perm(static_cast<size_t>(extra));
    for (const int64_t d : state(v).perm) p.push_back(d + extra);
    return p;
  }

  void turn_inputs(const std::vector<NodeId>& order) {
    std::vector<bool> wants(g_.value_slots(), false);
    for (const NodeId id : std::views::reverse(order)) {
      const Node& n = g_.node(id);
      bool image = turns(n);
      if (n.op->axes.kind == AxisRule::elementwise || n.op->axes.kind == AxisRule::remap)
        for (const ValueId out : n.outputs) image = image || wants[out.v];
      if (!image) continue;
      const bool only_first = n.op->axes.kind != AxisRule::elementwise;
      for (size_t i = 0; i < n.inputs.size(); ++i) {
        const bool data = !only_first || i == 0 || n.op->in.front().kind == Port::variadic;
        if (n.inputs[i].valid() && data) wants[n.inputs[i].v] = true;
      }
    }
    std::vector<ValueId> inputs = g_.inputs();
    const size_t count = inputs.size();
    for (size_t k = 0; k < count; ++k) {
      const ValueId old = inputs[k];
      const TensorType type = g_.type(old);
      if (type.shape.size() != 4 || !wants[old.v]) continue;
      const std::string known = g_.value(old).name;
      g_.rename(old, "");
      const ValueId fresh = g_.add_input(known, {type.dtype, permuted_shape(type.shape, kToNhwc), type.quant});
      states_[old.v] = {fresh, kToNhwc};
      inputs[k] = fresh;
      io_.file_inputs[k].permutation = kToNhwc;
      ++changed_;
    }
    g_.set_inputs(inputs);
  }

  void finish_outputs() {
    std::vector<ValueId> outputs = g_.outputs();
    for (size_t k = 0; k < outputs.size(); ++k) {
      const ValueId old = outputs[k];
      if (!moved(old)) continue;
      const bool stay = options_.io_layout == IoLayout::channels_last && state(old).perm == kToNhwc;
      const ValueId out = stay ? state(old).id : canonical(old);
      if (stay) io_.file_outputs[k].permutation = kToNhwc;
      if (!out.valid()) return;
      const std::string known = g_.value(old).name;
      outputs[k] = out;
      const auto is_input = [&](ValueId v) { return std::count(g_.inputs().begin(), g_.inputs().end(), v) > 0; };
      if (g_.is_constant(out) || is_input(out) || is_input(old)) continue;
      const std::string wanted = names_.contains(old.v) ? names_[old.v] : known;
      if (g_.value(out).name == wanted) continue;
      for (const ValueId holder : {old, state(old).id})
        if (g_.value(holder).name == wanted) g_.rename(holder, "");
      g_.rename(out, wanted);
    }
    g_.set_outputs(outputs);
  }

  bool turns(const Node& n) const {
    if (n.op->axes.kind != AxisRule::spatial) return false;
    for (const Attr& a : n.attrs)
      if (a.name == "layout") return std::get<std::string>(a.value) == turn_.from;
    return false;
  }

  void visit(NodeId id) {
    const Node& n = g_.node(id);
    const bool any_moved =
        std::any_of(n.inputs.begin(), n.inputs.end(), [&](ValueId v) { return v.valid() && moved(v); });
    if (turns(n) && canonical_shape(n.inputs[0]).size() == 4) return visit_spatial(id);
    if (n.op->name == "transpose" && (any_moved || lazy_)) return visit_transpose(id);
    if (!any_moved) return;
    if (n.op->name == "reshape" && visit_reshape(id)) return;
    if (n.op->name == "matmul") return visit_matmul(id);
    if (n.op->axes.kind == AxisRule::elementwise && visit_elementwise(id)) return;
    if (n.op->axes.kind == AxisRule::remap && visit_remap(id)) return;
    for (uint32_t slot = 0; slot < g_.node(id).inputs.size(); ++slot) {
      const ValueId in = g_.node(id).inputs[slot];
      if (!in.valid() || !moved(in)) continue;
      const ValueId plain = canonical(in);
      if (!plain.valid()) return;
      g_.set_input(id, slot, plain);
    }
  }

  // Records that `made` are the results of `id` in order `perm`, and hands on the names.
  void settle(NodeId id, const std::vector<ValueId>& made, const std::vector<Ints>& perms) {
    const std::vector<ValueId> outs = g_.node(id).outputs;
    for (size_t i = 0; i < outs.size(); ++i) {
      shapes_[outs[i].v] = g_.shape(outs[i]);
      states_[outs[i].v] = {made[i], perms[i]};
      const std::string known = g_.value(outs[i]).name;
      names_[outs[i].v] = known;
      if (g_.is_constant(made[i])) continue;
      g_.rename(outs[i], "");
      g_.rename(made[i], known);
    }
    ++changed_;
  }

  void visit_spatial(NodeId id) {
    std::vector<ValueId> in = g_.node(id).inputs;
    for (size_t i = 0; i < in.size(); ++i)
      if (in[i].valid()) in[i] = i == 0 ? in_order(in[i], turn_.order) : canonical(in[i]);
    std::vector<Attr> attrs = g_.node(id).attrs;
    for (Attr& a : attrs)
      if (a.name == "layout") a.value = std::string(turn_.to);
    const std::vector<ValueId> made = b_.ops(g_.node(id).op->name, std::move(in), std::move(attrs));
    if (b_.failed()) return;
    settle(id, made, std::vector<Ints>(made.size(), turn_.order));
  }

  void visit_transpose(NodeId id) {
    const Node& n = g_.node(id);
    const Physical s = state(n.inputs[0]);
    const Ints& q = n.attr().ints("perm");
    Ints perm;
    for (const int64_t d : s.perm) perm.push_back(std::find(q.begin(), q.end(), d) - q.begin());
    const ValueId out = n.outputs[0];
    states_[out.v] = {s.id, perm};
    shapes_[out.v] = g_.shape(out);
    names_[out.v] = g_.value(out).name;
    ++changed_;
  }

  bool visit_reshape(NodeId id) {
    const Node& n = g_.node(id);
    const ValueId in = n.inputs[0], out = n.outputs[0];
    const Physical s = state(in);
    const Shape to = g_.shape(out);
    if (is_identity(memory_rank(s.perm, canonical_shape(in)))) return false;
    std::optional<Ints> perm = carry_through_reshape(canonical_shape(in), to, s.perm);
    ValueId source = s.id;
    if (!perm) {
      // Worth it only when channels stay last afterwards; anything else is better served in canonical order.
      const std::optional<Ints> near = nearest_mergeable(canonical_shape(in), to, s.perm);
      if (near) perm = carry_through_reshape(canonical_shape(in), to, *near);
      if (!perm || to.size() < 3 || memory_order(*perm, to) != memory_order(channels_last_order(to.size()), to))
        return false;
      source = in_order(in, *near);
    }
    const ValueId made = b_.reshape(source, permuted_shape(to, *perm));
    if (b_.failed()) return true;
    shapes_[out.v] = to;
    states_[out.v] = {made, *perm};
    names_[out.v] = g_.value(out).name;
    ++changed_;
    return true;
  }
  // memory_order as ranks: identity when the bytes lie as in the canonical order.
  static Ints memory_rank(const Ints& perm, const Shape& shape) {
    const Ints order = memory_order(perm, shape);
    Ints sorted = order;
    std::sort(sorted.begin(), sorted.end());
    Ints out;
    for (const int64_t d : order) out.push_back(std::find(sorted.begin(), sorted.end(), d) - sorted.begin());
    return out;
  }

  // An operand whose last two dims lie swapped costs a flag, not a transpose.
  void visit_matmul(NodeId id) {
    std::vector<Attr> attrs = g_.node(id).attrs;
    std::vector<ValueId> in = g_.node(id).inputs;
    for (size_t i = 0; i < 2; ++i) {
      const size_t rank = canonical_shape(in[i]).size();
      Ints swapped = identity_perm(rank);
      std::swap(swapped[rank - 1], swapped[rank - 2]);
      if (moved(in[i]) && state(in[i]).perm == swapped) {
        for (Attr& a : attrs)
          if (a.name == (i == 0 ? "transpose_a" : "transpose_b")) a.value = !std::get<bool>(a.value);
        in[i] = state(in[i]).id;
      } else {
        in[i] = canonical(in[i]);
      }
    }
    const std::vector<ValueId> made = b_.ops("matmul", std::move(in), std::move(attrs));
    if (b_.failed()) return;
    settle(id, made, {identity_perm(g_.shape(made[0]).size())});
  }

  int64_t bytes_of(ValueId v) { return byte_size(g_.type(v).dtype, element_count(canonical_shape(v))); }

  // Cost in bytes of bringing the inputs into an order.
  int64_t conversion_cost(std::span<const ValueId> inputs, size_t rank, const Ints& perm) {
    int64_t cost = 0;
    for (const ValueId v : inputs) {
      if (!v.valid() || g_.is_constant(v)) continue;
      const Shape& shape = canonical_shape(v);
      Shape wide(rank - shape.size(), 1);
      wide.insert(wide.end(), shape.begin(), shape.end());
      if (memory_order(extended(v, rank), wide) == memory_order(perm, wide)) continue;
      if (shape.size() == rank && converted_.contains({v.v, perm})) continue;
      cost += bytes_of(v);
    }
    return cost;
  }

  // The cheapest of the orders the inputs are in; the first wins a tie.
  Ints cheapest_order(std::span<const ValueId> inputs, size_t rank) {
    Ints best;
    int64_t best_cost = 0;
    for (const ValueId v : inputs) {
      if (!v.valid() || g_.is_constant(v)) continue;
      const Ints perm = extended(v, rank);
      const int64_t cost = conversion_cost(inputs, rank, perm);
      if (best.empty() || cost < best_cost || (cost == best_cost && is_identity(best) && !is_identity(perm))) {
        best = perm;
        best_cost = cost;
      }
    }
    return best.empty() ? identity_perm(rank) : best;
  }

  bool fits(ValueId made, const Shape& canonical_out, const Ints& perm) const {
    return made.valid() && perm.size() == canonical_out.size() && g_.shape(made) == permuted_shape(canonical_out, perm);
  }

  bool visit_elementwise(NodeId id) {
    const Node n = g_.node(id);
    const size_t rank = g_.shape(n.outputs[0]).size();
    const Ints perm = cheapest_order(n.inputs, rank);
    if (is_identity(perm)) return false;
    std::vector<ValueId> in = n.inputs;
    for (ValueId& v : in)
      if (v.valid()) v = aligned(v, rank, perm);
    const std::vector<ValueId> made = b_.ops(n.op->name, std::move(in), n.attrs);
    if (b_.failed()) return true;
    if (!fits(made[0], g_.shape(n.outputs[0]), perm)) {
      b_.fail(Diag(diag::internal, "operator " + std::string(n.op->name) + " does not behave element by element"));
      return true;
    }
    settle(id, made, {perm});
    return true;
  }

  bool visit_remap(NodeId id) {
    const Node n = g_.node(id);
    const bool list = n.op->in.front().kind == Port::variadic;
    const size_t data_inputs = list ? n.inputs.size() : 1;
    const size_t rank = canonical_shape(n.inputs[0]).size();
    const Ints perm = cheapest_order(std::span(n.inputs).first(data_inputs), rank);
    if (is_identity(perm) || perm.size() != rank) return false;
    std::vector<TensorType> types(n.inputs.size());
    std::vector<const TensorType*> pointers;
    std::vector<const Tensor*> constants;
    for (size_t i = 0; i < n.inputs.size(); ++i) {
      const ValueId v = n.inputs[i];
      if (v.valid()) types[i] = {g_.type(v).dtype, canonical_shape(v), nullptr};
      pointers.push_back(v.valid() ? &types[i] : nullptr);
      constants.push_back(v.valid() ? g_.value(v).constant.get() : nullptr);
    }
    std::vector<Attr> attrs = n.attrs;
    if (!n.op->axes.remap_fn) return false;
    const std::optional<Ints> out = n.op->axes.remap_fn(attrs, perm, {*n.op, pointers, constants, AttrView(n.attrs)});
    if (!out) return false;
    std::vector<ValueId> in = n.inputs;
    for (size_t i = 0; i < in.size(); ++i)
      if (in[i].valid()) in[i] = i < data_inputs ? in_order(in[i], perm) : canonical(in[i]);
    const std::vector<ValueId> made = b_.ops(n.op->name, std::move(in), std::move(attrs));
    if (b_.failed()) return true;
    for (size_t i = 0; i < made.size(); ++i)
      if (!fits(made[i], g_.shape(n.outputs[i]), *out)) {
        b_.fail(Diag(diag::internal, "operator " + std::string(n.op->name) + " does not follow its axis rule"));
        return true;
      }
    settle(id, made, std::vector<Ints>(made.size(), *out));
    return true;
  }

  Graph& g_;
  Builder b_;
  const PassOptions& options_;
  IoContract& io_;
  bool lazy_;
  const Turn& turn_;
  size_t changed_ = 0;
  std::map<uint32_t, Physical> states_;                     // by old value
  std::map<uint32_t, Shape> shapes_;                        // canonical shapes of replaced values
  std::map<uint32_t, std::string> names_;                   // names the user knows, of replaced values
  std::map<std::pair<uint32_t, Ints>, ValueId> converted_;  // old value, order → value
};

// Transposes and the bytes they move.
std::pair<size_t, int64_t> transpose_cost(const Graph& g) {
  std::pair<size_t, int64_t> cost{0, 0};
  for (const NodeId id : g.topological()) {
    const Node& n = g.node(id);
    if (n.op->name != "transpose") continue;
    ++cost.first;
    cost.second += element_count(g.shape(n.outputs[0]));
  }
  return cost;
}

Result<size_t> run_channels_last(Graph& g, PassContext& c) {
  Graph lazy = g, eager = g;
  IoContract lazy_io = *c.io, eager_io = *c.io;
  NPU_ASSIGN(const size_t lazy_changed, LayoutRun(lazy, c.options, lazy_io, true).run());
  NPU_ASSIGN(const size_t eager_changed, LayoutRun(eager, c.options, eager_io, false).run());
  const auto lazy_cost = transpose_cost(lazy), eager_cost = transpose_cost(eager), before = transpose_cost(g);
  const bool use_lazy = lazy_cost < eager_cost;
  g = use_lazy ? std::move(lazy) : std::move(eager);
  *c.io = use_lazy ? std::move(lazy_io) : std::move(eager_io);
  const size_t changed = use_lazy ? lazy_changed : eager_changed;
  const size_t left = use_lazy ? lazy_cost.first : eager_cost.first;
  if (changed == 0) return changed;
  c.ledger.add({c.pass,
                "nhwc",
                Numerics::exact,
                "the target computes images channels-last",
                "Each operator gets the same elements in another memory order; the axes in its attributes move along.",
                fmt::format("{} transposes", before.first),
                fmt::format("{} nodes changed, {} transposes", changed, left),
                {},
                std::nullopt});
  return changed;
}

}  // namespace

Result<Graph> channels_first(const Graph& g) {
  const auto image = [&](NodeId id) {
    const Node& n = g.node(id);
    return std::any_of(n.attrs.begin(), n.attrs.end(),
                       [](const Attr& a) { return a.name == "layout" && a.value == AttrValue(std::string("nhwc")); });
  };
  const std::vector<NodeId> nodes = g.topological();
  if (std::none_of(nodes.begin(), nodes.end(), image)) return g;
  const PassOptions options;
  IoContract io;  // only written when borders may change
  Graph lazy = g, eager = g;
  NPU_TRY(LayoutRun(lazy, options, io, true, kFirst).run());
  NPU_TRY(LayoutRun(eager, options, io, false, kFirst).run());
  return transpose_cost(lazy) < transpose_cost(eager) ? std::move(lazy) : std::move(eager);
}

const PassDef channels_last_pass{"channels_last", "Turns image operators to NHWC and cancels transposes.",
                                 Stage::canonical, run_channels_last};

}  // namespace npuport
