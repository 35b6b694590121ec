#include "exec/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/diag_codes.h"
#include "base/mapped_file.h"
#include "exec/memory_plan.h"
#include "ir/builder.h"

namespace npuport {

namespace {

// One or more nodes that run as one step.
struct Unit {
  std::vector<NodeId> nodes;
  const Override* row = nullptr;  // nullptr: reference
};

std::string list_opaque(const Graph& g, std::span<const NodeId> nodes) {
  std::map<std::string, int> counts;
  for (const NodeId id : nodes) {
    const Node& n = g.node(id);
    ++counts[n.op->name == "opaque" ? n.attr().s("foreign") : std::string(n.op->name)];
  }
  std::string text;
  for (const auto& [name, count] : counts) {
    text += fmt::format("{}{}", text.empty() ? "" : ", ", name);
    if (count > 1) text += fmt::format(" ({}×)", count);
  }
  return text;
}

// Runs a row that only has a body as a whole: for operators that an override accepted but could not prepare.
class BodyKernel : public Kernel {
 public:
  explicit BodyKernel(const Node& node) : node_(node) {}

  Status run(const RunCall& call) override {
    std::vector<Tensor> in(call.in.size());
    std::vector<const Tensor*> pointers;
    for (size_t i = 0; i < in.size(); ++i) {
      const View& v = call.in[i];
      in[i] = {v.dtype, Shape(v.shape.begin(), v.shape.end()), nullptr, static_cast<const std::byte*>(v.data)};
      pointers.push_back(v.present() ? &in[i] : nullptr);
    }
    NPU_ASSIGN(const std::vector<Tensor> out, evaluate(*node_.op, pointers, node_.attrs));
    for (size_t i = 0; i < out.size(); ++i) std::memcpy(call.out[i].data, out[i].data, out[i].bytes());
    return {};
  }

 private:
  const Node& node_;
};

class Planner {
 public:
  Planner(const Graph& g, const ExecOptions& options, int threads)
      : options_(options), threads_(threads), plan_(std::make_unique<Plan>()) {
    plan_->graph = g;
  }

  Result<std::unique_ptr<Plan>> make() {
    NPU_TRY(check_runnable());
    const std::vector<NodeId> original = options_.observer ? graph().topological() : std::vector<NodeId>{};
    NPU_TRY(expand_bodies());
    if (!options_.observer) graph().erase_dead();
    NPU_TRY(fold_constants());
    order_ = graph().topological();
    forms_.resize(graph().value_slots());
    add_sources();
    form_units();
    for (const Unit& unit : units_) emit(unit);
    bind_outputs();
    bind_observations(original);
    measure_lives();
    share_buffers();
    place_buffers();
    return std::move(plan_);
  }

 private:
  Graph& graph() { return plan_->graph; }
  const Graph& graph() const { return plan_->graph; }

  Status check_runnable() const {
    std::vector<NodeId> bad;
    for (const NodeId id : graph().topological()) {
      const Node& n = graph().node(id);
      const bool untyped = std::any_of(n.outputs.begin(), n.outputs.end(),
                                       [&](ValueId v) { return v.valid() && !graph().type(v).known(); });
      if (!n.op->infer || (untyped && bad.empty())) bad.push_back(id);
    }
    if (bad.empty()) return {};
    return Diag(diag::unsupported_op, fmt::format("cannot run: no kernel for {}", list_opaque(graph(), bad)),
                "`npuport analyze` lists each with its place in the source");
  }

  // Operators defined by a body run as its nodes, again and again until every node has a kernel (or an override takes
  // the whole operator).
  Status expand_bodies() {
    for (uint32_t i = 0; i < graph().node_slots(); ++i) {
      const NodeId id{i};
      const Node& n = graph().node(id);
      if (!n.alive || n.op->eval || taken(id)) continue;
      Builder b(graph(), /*fold=*/true);
      b.set_origins(n.origins);
      const std::vector<ValueId> made = expand_body(b, *n.op, n.inputs, n.attrs);
      NPU_TRY(b.take_status());
      const std::vector<ValueId> outputs = graph().node(id).outputs;
      for (size_t k = 0; k < outputs.size(); ++k) {
        if (graph().type(outputs[k]) != graph().type(made[k])) {
          return Diag(diag::internal,
                      fmt::format("the body of {} gives {}, its row says {}", graph().node(id).op->name,
                                  to_string(graph().type(made[k])), to_string(graph().type(outputs[k]))));
        }
        replaced_[outputs[k].v] = made[k];
        graph().replace_uses(outputs[k], made[k]);
      }
      graph().erase(id);
    }
    return {};
  }

  bool taken(NodeId id) const {
    if (!options_.overrides) return false;
    const auto rows = overrides();
    return std::any_of(rows.begin(), rows.end(),
                       [&](const Override& o) { return o.op == graph().node(id).op->name && o.accepts(graph(), id); });
  }

  // Small results of constants only: computed once here instead of in every run. Views of constants cost nothing.
  Status fold_constants() {
    if (options_.observer) return {};
    for (const NodeId id : graph().topological()) {
      const Node& n = graph().node(id);
      const bool constant = n.op->pure && n.op->eval && !is_view(graph(), id) &&
                            std::all_of(n.inputs.begin(), n.inputs.end(),
                                        [&](ValueId v) { return !v.valid() || graph().is_constant(v); });
      if (!constant) continue;
      std::vector<const Tensor*> in;
      for (const ValueId v : n.inputs) in.push_back(v.valid() ? graph().value(v).constant.get() : nullptr);
      NPU_ASSIGN(std::vector<Tensor> out, evaluate(*n.op, in, n.attrs));
      const std::vector<ValueId> outputs = n.outputs;
      for (size_t k = 0; k < outputs.size(); ++k) {
        graph().replace_uses(outputs[k], graph().add_constant("", std::move(out[k])));
      }
      graph().erase(id);
    }
    return {};
  }

  // ---- buffers and forms -------------------------------------------------------------------------------------------

  int new_buffer(Buffer b) {
    plan_->buffers.push_back(b);
    return static_cast<int>(plan_->buffers.size()) - 1;
  }

  void add_sources() {
    for (uint32_t v = 0; v < graph().value_slots(); ++v) {
      const Value& value = graph().value(ValueId{v});
      if (!value.alive || !value.constant) continue;
      Buffer b{.kind = Buffer::constant, .bytes = value.constant->bytes()};
      b.data = value.constant->data;
      forms_[v].push_back({nullptr, {new_buffer(b), 0}});
    }
    for (size_t i = 0; i < graph().inputs().size(); ++i) {
      const ValueId v = graph().inputs()[i];
      const TensorType& type = graph().type(v);
      Buffer b{.kind = Buffer::input, .bytes = byte_size(type.dtype, element_count(type.shape))};
      b.index = i;
      forms_[v.v].push_back({nullptr, {new_buffer(b), 0}});
    }
  }

  const LayoutPtr& native(ValueId v) const { return forms_[v.v].front().first; }

  // Of a constant or a view of one; nullptr otherwise.
  const std::byte* constant_data(ValueId v) const {
    const Place& p = forms_[v.v].front().second;
    const Buffer& b = plan_->buffers[static_cast<size_t>(p.buffer)];
    return b.kind == Buffer::constant ? b.data + p.offset : nullptr;
  }

  // A kernel has its own copy of this constant: the file's pages need not stay in memory beside it.
  void release_weights(ValueId v) const {
    const Buffer& b = plan_->buffers[static_cast<size_t>(forms_[v.v].front().second.buffer)];
    if (b.kind == Buffer::constant) release_pages({b.data, static_cast<size_t>(b.bytes)});
  }

  Place allocate(ValueId v, const LayoutPtr& layout) {
    const TensorType& type = graph().type(v);
    const int64_t padded = layout ? layout->padded_bytes() : -1;
    const int64_t bytes = padded >= 0 ? padded : byte_size(type.dtype, element_count(type.shape));
    const Place place{new_buffer({.kind = Buffer::arena, .bytes = bytes}), 0};
    forms_[v.v].emplace_back(layout, place);
    return place;
  }

  // Where `v` lies in `layout`; adds a conversion when nobody needed that form before.
  Place place_of(ValueId v, const LayoutPtr& layout, NodeId user) {
    for (const auto& [have, place] : forms_[v.v]) {
      if (same_layout(have, layout)) return place;
    }
    const auto [from, source] = forms_[v.v].front();
    const TensorType& type = graph().type(v);
    Step step;
    step.node = user;
    step.op = "reorder";
    step.kernel = prepare_reorder(type, from, layout);
    step.kernel_name = step.kernel->name;
    step.in = {source};
    step.out = {allocate(v, layout)};
    step.in_views = {{type.dtype, type.shape, nullptr}};
    step.out_views = {{type.dtype, type.shape, nullptr}};
    plan_->scratch_bytes = std::max(plan_->scratch_bytes, step.kernel->scratch_bytes);
    plan_->steps.push_back(std::move(step));
    return plan_->steps.back().out[0];
  }

  // ---- units -------------------------------------------------------------------------------------------------------

  void form_units() {
    std::vector<bool> taken(graph().node_slots(), false);
    std::vector<int> position(graph().node_slots(), 0);
    for (size_t i = 0; i < order_.size(); ++i) position[order_[i].v] = static_cast<int>(i);
    for (const NodeId id : order_) {
      if (taken[id.v]) continue;
      Unit unit{.nodes = {id}};
      if (options_.overrides && !is_view(graph(), id)) choose(unit, taken);
      for (const NodeId n : unit.nodes) taken[n.v] = true;
      units_.push_back(std::move(unit));
    }
    // A unit runs where its last node stands: all operands of its followers are ready there, and nothing else uses
    // what its earlier nodes make.
    std::stable_sort(units_.begin(), units_.end(), [&](const Unit& a, const Unit& b) {
      return position[a.nodes.back().v] < position[b.nodes.back().v];
    });
  }

  void choose(Unit& unit, const std::vector<bool>& taken) const {
    const NodeId id = unit.nodes[0];
    for (const Override& row : overrides()) {
      if (row.op != graph().node(id).op->name || !row.accepts(graph(), id)) continue;
      unit.row = &row;
      if (!row.absorbs || options_.observer) return;
      for (;;) {
        const Node& last = graph().node(unit.nodes.back());
        if (last.outputs.size() != 1 || graph().use_count(last.outputs[0]) != 1) return;
        if (graph().is_output(last.outputs[0])) return;
        const NodeId next = graph().value(last.outputs[0]).uses[0].node;
        if (taken[next.v] || !row.absorbs(graph(), unit.nodes, next)) return;
        unit.nodes.push_back(next);
      }
    }
  }

  std::vector<ValueId> operands(std::span<const NodeId> nodes) const {
    std::vector<ValueId> in = graph().node(nodes[0]).inputs;
    for (size_t k = 1; k < nodes.size(); ++k) {
      const ValueId chain = graph().node(nodes[k - 1]).outputs[0];
      for (const ValueId v : graph().node(nodes[k]).inputs) {
        if (v != chain) in.push_back(v);
      }
    }
    return in;
  }

  void emit(const Unit& unit) {
    if (emit_view(unit.nodes[0])) return;
    if (!unit.row) return emit_reference(unit.nodes[0]);
    // The library may refuse a combination that the row accepts: try with fewer followers, then other rows.
    for (size_t n = unit.nodes.size(); n > 0; --n) {
      if (!emit_override(*unit.row, std::span(unit.nodes).first(n))) continue;
      for (size_t k = n; k < unit.nodes.size(); ++k) emit_single(unit.nodes[k], nullptr);
      return;
    }
    emit_single(unit.nodes[0], unit.row);
    for (size_t k = 1; k < unit.nodes.size(); ++k) emit_single(unit.nodes[k], nullptr);
  }

  void emit_single(NodeId id, const Override* refused) {
    if (emit_view(id)) return;
    for (const Override& row : overrides()) {
      if (row.op != graph().node(id).op->name || &row == refused || !row.accepts(graph(), id)) continue;
      if (emit_override(row, std::span(&id, 1))) return;
    }
    emit_reference(id);
  }

  bool emit_view(NodeId id) {
    if (!is_view(graph(), id)) return false;
    const Node& n = graph().node(id);
    const ValueId in = n.inputs[0];
    const int64_t element = bits(graph().type(in).dtype) / 8;
    for (size_t slot = 0; slot < n.outputs.size(); ++slot) {
      LayoutPtr layout = native(in);
      std::optional<ViewOf> view = view_of(graph(), id, slot, layout);
      if (!view) {
        layout = nullptr;
        view = view_of(graph(), id, slot, layout);
      }
      const Place base = place_of(in, layout, id);
      forms_[n.outputs[slot].v].push_back({view->layout, {base.buffer, base.offset + view->offset * element}});
    }
    return true;
  }

  bool emit_override(const Override& row, std::span<const NodeId> nodes) {
    const std::vector<ValueId> in = operands(nodes);
    std::vector<LayoutPtr> layouts;
    std::vector<const std::byte*> data;
    for (const ValueId v : in) {
      layouts.push_back(v.valid() ? native(v) : nullptr);
      data.push_back(v.valid() ? constant_data(v) : nullptr);
    }
    const std::vector<ValueId>& out = graph().node(nodes.back()).outputs;
    std::unique_ptr<Kernel> kernel = row.prepare({graph(), nodes, in, layouts, data, out, threads_});
    if (!kernel) return false;
    kernel->in_layouts.resize(in.size());
    kernel->out_layouts.resize(out.size());
    kernel->in_unused.resize(in.size(), false);
    for (size_t i = 0; i < in.size(); ++i) {
      if (in[i].valid() && kernel->in_unused[i]) release_weights(in[i]);
    }
    Step step;
    step.node = nodes.back();
    step.op = graph().node(nodes[0]).op->name;
    step.kernel_name = kernel->name.empty() ? std::string(row.name) : kernel->name;
    for (size_t i = 0; i < in.size(); ++i) {
      const bool used = in[i].valid() && !kernel->in_unused[i];
      step.in.push_back(used ? place_of(in[i], kernel->in_layouts[i], nodes.back()) : Place{});
      step.in_views.push_back(in[i].valid() ? View{graph().type(in[i]).dtype, graph().shape(in[i]), nullptr} : View{});
    }
    for (size_t i = 0; i < out.size(); ++i) {
      step.out.push_back(allocate(out[i], kernel->out_layouts[i]));
      step.out_views.push_back({graph().type(out[i]).dtype, graph().shape(out[i]), nullptr});
    }
    plan_->scratch_bytes = std::max(plan_->scratch_bytes, kernel->scratch_bytes);
    step.kernel = std::move(kernel);
    plan_->steps.push_back(std::move(step));
    return true;
  }

  void emit_reference(NodeId id) {
    const Node& n = graph().node(id);
    Step step;
    step.node = id;
    step.op = n.op->name;
    step.kernel_name = "reference";
    if (!n.op->eval) step.kernel = std::make_unique<BodyKernel>(n);
    for (const ValueId v : n.inputs) {
      step.in.push_back(v.valid() ? place_of(v, nullptr, id) : Place{});
      step.in_views.push_back(v.valid() ? View{graph().type(v).dtype, graph().shape(v), nullptr} : View{});
    }
    for (const ValueId v : n.outputs) {
      step.out.push_back(allocate(v, nullptr));
      step.out_views.push_back({graph().type(v).dtype, graph().shape(v), nullptr});
    }
    plan_->steps.push_back(std::move(step));
  }

  // ---- outputs and lifetimes ---------------------------------------------------------------------------------------

  // An arena buffer that holds just a graph output becomes that output's own memory; anything else is copied out.
  void bind_outputs() {
    for (size_t i = 0; i < graph().outputs().size(); ++i) {
      const ValueId v = graph().outputs()[i];
      const NodeId producer = graph().value(v).producer;
      Place place = place_of(v, nullptr, producer);
      const TensorType& type = graph().type(v);
      const int64_t bytes = byte_size(type.dtype, element_count(type.shape));
      Buffer& own = plan_->buffers[static_cast<size_t>(place.buffer)];
      if (own.kind == Buffer::arena && place.offset == 0 && own.bytes == bytes) {
        own.kind = Buffer::output;
        own.index = i;
        plan_->outputs.push_back(place);
        continue;
      }
      Step step;
      step.node = producer;
      step.op = "copy";
      step.kernel_name = "copy";
      step.copy_bytes = bytes;
      step.in = {place};
      step.in_views = {{type.dtype, type.shape, nullptr}};
      step.out_views = {{type.dtype, type.shape, nullptr}};
      Buffer b{.kind = Buffer::output, .bytes = bytes};
      b.index = i;
      place = {new_buffer(b), 0};
      step.out = {place};
      plan_->steps.push_back(std::move(step));
      plan_->outputs.push_back(place);
    }
  }

  ValueId current(ValueId v) const {
    for (auto it = replaced_.find(v.v); it != replaced_.end(); it = replaced_.find(v.v)) v = it->second;
    return v;
  }

  void bind_observations(std::span<const NodeId> original) {
    for (const NodeId id : original) {
      Observation o;
      o.node = id;
      for (const ValueId out : graph().node(id).outputs) {
        const ValueId v = current(out);
        o.places.push_back(place_of(v, nullptr, id));
        o.types.push_back(graph().type(v));
      }
      for (const Place& p : o.places) {
        for (size_t s = 0; s < plan_->steps.size(); ++s) {
          for (const Place& made : plan_->steps[s].out) {
            if (made.buffer == p.buffer) o.after_step = std::max(o.after_step, static_cast<int>(s));
          }
        }
      }
      plan_->observations.push_back(std::move(o));
    }
    std::stable_sort(plan_->observations.begin(), plan_->observations.end(),
                     [](const Observation& a, const Observation& b) { return a.after_step < b.after_step; });
  }

  void touch(const Place& place, int step) {
    if (place.buffer < 0) return;
    Buffer& b = plan_->buffers[static_cast<size_t>(place.buffer)];
    b.first = b.last < 0 ? step : std::min(b.first, step);
    b.last = std::max(b.last, step);
  }

  void measure_lives() {
    for (size_t s = 0; s < plan_->steps.size(); ++s) {
      for (const Place& p : plan_->steps[s].in) touch(p, static_cast<int>(s));
      for (const Place& p : plan_->steps[s].out) touch(p, static_cast<int>(s));
    }
    for (const Observation& o : plan_->observations) {
      for (const Place& p : o.places) touch(p, o.after_step);
    }
    const int end = static_cast<int>(plan_->steps.size());
    for (const Place& p : plan_->outputs) touch(p, end);
  }

  // A kernel that may work in place takes over its input's buffer when nobody needs it any more; one that accumulates
  // gets a copy in front when it cannot.
  void share_buffers() {
    std::vector<Step> steps;
    std::vector<int> moved_to;
    std::vector<size_t> early;  // buffers that a copy writes one step before their kernel
    for (size_t s = 0; s < plan_->steps.size(); ++s) {
      Step& step = plan_->steps[s];
      const int share = step.kernel ? step.kernel->share_input : -1;
      if (share >= 0 && !try_share(step, step.in[static_cast<size_t>(share)], static_cast<int>(s)) &&
          step.kernel->accumulates) {
        Step copy;
        copy.node = step.node;
        copy.op = "copy";
        copy.kernel_name = "copy";
        copy.in = {step.in[static_cast<size_t>(share)]};
        copy.out = {step.out[0]};
        copy.in_views = {step.in_views[static_cast<size_t>(share)]};
        copy.out_views = {step.out_views[0]};
        copy.copy_bytes = plan_->buffers[static_cast<size_t>(step.out[0].buffer)].bytes;
        early.push_back(static_cast<size_t>(copy.out[0].buffer));
        steps.push_back(std::move(copy));
      }
      steps.push_back(std::move(step));
      moved_to.push_back(static_cast<int>(steps.size()) - 1);
    }
    const int end = static_cast<int>(steps.size());
    plan_->steps = std::move(steps);
    const auto renumber = [&](int s) {
      return s < 0 ? s : s >= static_cast<int>(moved_to.size()) ? end : moved_to[static_cast<size_t>(s)];
    };
    for (Observation& o : plan_->observations) o.after_step = renumber(o.after_step);
    for (Buffer& b : plan_->buffers) {
      b.first = renumber(b.first);
      b.last = renumber(b.last);
    }
    for (const size_t b : early) --plan_->buffers[b].first;
  }

  bool try_share(Step& step, const Place& from, int at) {
    const Place& to = step.out[0];
    if (from.buffer < 0 || from.offset != 0) return false;
    const int source = root_buffer(*plan_, from.buffer);
    Buffer& in = plan_->buffers[static_cast<size_t>(source)];
    Buffer& out = plan_->buffers[static_cast<size_t>(to.buffer)];
    if (in.kind != Buffer::arena || in.bytes != out.bytes || in.last != at) return false;
    if (std::count_if(step.in.begin(), step.in.end(),
                      [&](const Place& p) { return p.buffer >= 0 && root_buffer(*plan_, p.buffer) == source; }) != 1) {
      return false;
    }
    // The result's buffer lives on and takes the input's place backwards in time.
    in.merged = to.buffer;
    out.first = std::min(out.first, in.first);
    return true;
  }

  void place_buffers() {
    std::vector<BufferLife> lives;
    std::vector<size_t> owners;
    for (size_t i = 0; i < plan_->buffers.size(); ++i) {
      const Buffer& b = plan_->buffers[i];
      if (b.kind != Buffer::arena || b.merged >= 0 || b.last < 0) continue;
      lives.push_back({b.bytes, b.first, b.last});
      owners.push_back(i);
    }
    const MemoryPlan placed = plan_memory(lives);
    for (size_t i = 0; i < owners.size(); ++i) plan_->buffers[owners[i]].offset = placed.offsets[i];
    plan_->arena_bytes = placed.bytes;
  }

  const ExecOptions& options_;
  int threads_;
  std::unique_ptr<Plan> plan_;
  std::vector<NodeId> order_;
  std::vector<Unit> units_;
  std::vector<std::vector<std::pair<LayoutPtr, Place>>> forms_;  // per value; the first is how it is produced
  std::map<uint32_t, ValueId> replaced_;                         // outputs of expanded operators
};

}  // namespace

int root_buffer(const Plan& plan, int b) {
  while (plan.buffers[static_cast<size_t>(b)].merged >= 0) b = plan.buffers[static_cast<size_t>(b)].merged;
  return b;
}

Result<std::unique_ptr<Plan>> make_plan(const Graph& g, const ExecOptions& options, int threads) {
  return Planner(g, options, threads).make();
}

}  // namespace npuport
