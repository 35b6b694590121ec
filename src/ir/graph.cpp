#include "ir/graph.h"

#include <algorithm>
#include <queue>

#include "base/diag_codes.h"
#include "ir/registry.h"

namespace npuport {
namespace {

struct PortRange {
  size_t min, max;
};

PortRange port_range(std::span<const PortDef> ports) {
  PortRange r{0, ports.size()};
  for (const PortDef& p : ports) {
    if (p.kind == Port::required) ++r.min;
    if (p.kind == Port::variadic) r.max = SIZE_MAX;
  }
  return r;
}

Port port_kind(std::span<const PortDef> ports, size_t i) { return i < ports.size() ? ports[i].kind : Port::variadic; }

Result<std::vector<Attr>> complete_attrs(const OpDef& op, std::vector<Attr> given) {
  std::vector<Attr> out;
  out.reserve(op.attrs.size());
  size_t used = 0;
  for (const AttrDef& def : op.attrs) {
    const auto it = std::find_if(given.begin(), given.end(), [&](const Attr& a) { return a.name == def.name; });
    if (it == given.end()) {
      if (def.default_text.empty())
        return Diag(diag::bad_attribute,
                    "operator " + std::string(op.name) + " needs attribute " + std::string(def.name));
      NPU_ASSIGN(AttrValue v, parse_attr(def.default_text, def.kind));
      out.emplace_back(std::string(def.name), std::move(v));
      continue;
    }
    ++used;
    // An integer is welcome where a real is wanted.
    if (def.kind == AttrKind::real && std::holds_alternative<int64_t>(it->value))
      it->value = static_cast<double>(std::get<int64_t>(it->value));
    if (def.kind == AttrKind::reals && std::holds_alternative<Ints>(it->value)) {
      const Ints& v = std::get<Ints>(it->value);
      it->value = Reals(v.begin(), v.end());
    }
    if (it->value.index() != static_cast<size_t>(def.kind))
      return Diag(diag::bad_attribute, "attribute " + std::string(def.name) + " of " + std::string(op.name) +
                                           " has the wrong kind: " + to_text(it->value));
    out.push_back(std::move(*it));
  }
  if (used != given.size())
    for (const Attr& a : given)
      if (std::none_of(op.attrs.begin(), op.attrs.end(), [&](const AttrDef& d) { return d.name == a.name; }))
        return Diag(diag::bad_attribute, "operator " + std::string(op.name) + " has no attribute " + a.name);
  return out;
}

struct Operands {
  std::vector<const TensorType*> types;
  std::vector<const Tensor*> constants;
  bool known = true;
};

Operands operands(const Graph& g, std::span<const ValueId> inputs) {
  Operands o;
  for (const ValueId id : inputs) {
    o.types.push_back(id.valid() ? &g.type(id) : nullptr);
    o.constants.push_back(id.valid() ? g.value(id).constant.get() : nullptr);
    if (id.valid() && !g.type(id).known()) o.known = false;
  }
  return o;
}

std::string describe_call(const Graph& g, const OpDef& op, std::span<const ValueId> inputs) {
  std::string s(op.name);
  s += "(";
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (i) s += ", ";
    s += inputs[i].valid() ? g.value(inputs[i]).name + ": " + to_string(g.type(inputs[i])) : "_";
  }
  return s + ")";
}

Result<std::vector<TensorType>> infer_types(const Graph& g, const OpDef& op, std::span<const ValueId> inputs,
                                            std::span<const Attr> attrs, const std::vector<Origin>& origins) {
  const Operands o = operands(g, inputs);
  Result<std::vector<TensorType>> types = op.infer({op, o.types, o.constants, AttrView(attrs)});
  if (types) {
    for (const TensorType& t : *types)
      if (Status s = check_shape(t.shape); !s) return std::move(s).error().at_node(op.name);
    return types;
  }
  Diag d = std::move(types).error();
  d.at_node(describe_call(g, op, inputs));
  if (!origins.empty()) d.at_source(origins.front().source);
  return d;
}

void remove_use(Value& v, Use use) {
  const auto it = std::find(v.uses.begin(), v.uses.end(), use);
  if (it != v.uses.end()) v.uses.erase(it);
}

}  // namespace

std::string Graph::unique_name(std::string_view wanted) {
  if (!wanted.empty() && !names_.contains(wanted)) return std::string(wanted);
  if (wanted.empty()) {
    for (;;) {
      std::string n = "v" + std::to_string(next_name_++);
      if (!names_.contains(n)) return n;
    }
  }
  for (uint32_t i = 1;; ++i) {
    std::string n = std::string(wanted) + "_" + std::to_string(i);
    if (!names_.contains(n)) return n;
  }
}

ValueId Graph::new_value(std::string wanted, TensorType type) {
  const ValueId id{static_cast<uint32_t>(values_.size())};
  Value v;
  v.name = !wanted.empty() && !names_.contains(wanted) ? std::move(wanted) : unique_name(wanted);
  v.type = std::move(type);
  names_.emplace(v.name, id.v);
  values_.push_back(std::move(v));
  return id;
}

ValueId Graph::add_input(std::string wanted, TensorType type) {
  const ValueId id = new_value(std::move(wanted), std::move(type));
  inputs_.push_back(id);
  return id;
}

ValueId Graph::add_constant(std::string wanted, std::shared_ptr<const Tensor> t) {
  const ValueId id = new_value(std::move(wanted), {t->dtype, t->shape, nullptr});
  value(id).constant = std::move(t);
  return id;
}

Result<NodeId> Graph::add(const OpDef& op, std::vector<ValueId> inputs, std::vector<Attr> attrs,
                          std::vector<Origin> origins, size_t opaque_outputs) {
  while (!inputs.empty() && !inputs.back().valid()) inputs.pop_back();
  const PortRange range = port_range(op.in);
  if (inputs.size() < range.min || inputs.size() > range.max)
    return Diag(diag::internal,
                "operator " + std::string(op.name) + " got " + std::to_string(inputs.size()) + " inputs")
        .at_node(describe_call(*this, op, inputs));
  for (size_t i = 0; i < inputs.size(); ++i)
    if (!inputs[i].valid() && port_kind(op.in, i) == Port::required)
      return Diag(diag::internal,
                  "operator " + std::string(op.name) + " lacks required input " + std::string(op.in[i].name));
  NPU_ASSIGN(attrs, complete_attrs(op, std::move(attrs)));

  std::vector<TensorType> types;
  if (!op.infer) {
    types.resize(opaque_outputs);
  } else if (!operands(*this, inputs).known) {
    const bool variadic = !op.out.empty() && op.out.back().kind == Port::variadic;
    types.resize(variadic ? opaque_outputs : op.out.size());
  } else {
    NPU_ASSIGN(types, infer_types(*this, op, inputs, attrs, origins));
  }

  const NodeId id{static_cast<uint32_t>(nodes_.size())};
  Node n;
  n.op = &op;
  n.attrs = std::move(attrs);
  n.origins = std::move(origins);
  for (uint32_t slot = 0; slot < inputs.size(); ++slot)
    if (inputs[slot].valid()) value(inputs[slot]).uses.push_back({id, slot});
  n.inputs = std::move(inputs);
  for (uint32_t slot = 0; slot < types.size(); ++slot) {
    const ValueId out = new_value({}, std::move(types[slot]));
    value(out).producer = id;
    value(out).slot = slot;
    n.outputs.push_back(out);
  }
  nodes_.push_back(std::move(n));
  return id;
}

Result<NodeId> Graph::add(std::string_view op_name, std::vector<ValueId> inputs, std::vector<Attr> attrs,
                          std::vector<Origin> origins, size_t opaque_outputs) {
  const OpDef* row = Registry::global().find(op_name);
  if (!row) return Diag(diag::unsupported_op, "there is no operator " + std::string(op_name));
  return add(*row, std::move(inputs), std::move(attrs), std::move(origins), opaque_outputs);
}

bool Graph::is_output(ValueId id) const { return std::find(outputs_.begin(), outputs_.end(), id) != outputs_.end(); }

const Node* Graph::producer(ValueId id) const {
  const NodeId p = value(id).producer;
  return p.valid() ? &node(p) : nullptr;
}

size_t Graph::use_count(ValueId id) const {
  return value(id).uses.size() + static_cast<size_t>(std::count(outputs_.begin(), outputs_.end(), id));
}

void Graph::replace_uses(ValueId from, ValueId to) {
  if (from == to) return;
  const std::vector<Use> uses = std::move(value(from).uses);
  value(from).uses.clear();
  for (const Use& u : uses) {
    node(u.node).inputs[u.slot] = to;
    value(to).uses.push_back(u);
  }
  const bool was_output = is_output(from);
  std::replace(outputs_.begin(), outputs_.end(), from, to);
  if (!was_output) return;
  // Output names belong to the interface: hand them to the value that now plays the role.
  Value& a = value(from);
  Value& b = value(to);
  const bool to_is_interface = std::find(inputs_.begin(), inputs_.end(), to) != inputs_.end() || b.constant;
  if (to_is_interface || std::count(outputs_.begin(), outputs_.end(), to) > 1) return;
  std::swap(a.name, b.name);
  names_[a.name] = from.v;
  names_[b.name] = to.v;
}

void Graph::set_input(NodeId id, size_t slot, ValueId v) {
  Node& n = node(id);
  const Use use{id, static_cast<uint32_t>(slot)};
  if (n.inputs[slot].valid()) remove_use(value(n.inputs[slot]), use);
  n.inputs[slot] = v;
  if (v.valid()) value(v).uses.push_back(use);
}

void Graph::erase(NodeId id) {
  Node& n = node(id);
  for (uint32_t slot = 0; slot < n.inputs.size(); ++slot)
    if (n.inputs[slot].valid()) remove_use(value(n.inputs[slot]), {id, slot});
  for (const ValueId out : n.outputs) value(out).alive = false;
  n.alive = false;
}

size_t Graph::erase_dead() {
  std::vector<bool> needed(nodes_.size(), false);
  std::vector<NodeId> work;
  const auto need = [&](ValueId v) {
    if (!v.valid()) return;
    const NodeId p = value(v).producer;
    if (p.valid() && !needed[p.v]) {
      needed[p.v] = true;
      work.push_back(p);
    }
  };
  for (const ValueId out : outputs_) need(out);
  for (uint32_t i = 0; i < nodes_.size(); ++i)
    if (nodes_[i].alive && !nodes_[i].op->pure && !needed[i]) {
      needed[i] = true;
      work.push_back(NodeId{i});
    }
  while (!work.empty()) {
    const NodeId id = work.back();
    work.pop_back();
    for (const ValueId in : node(id).inputs) need(in);
  }
  size_t gone = 0;
  for (uint32_t i = static_cast<uint32_t>(nodes_.size()); i-- > 0;)
    if (nodes_[i].alive && !needed[i]) {
      erase(NodeId{i});
      ++gone;
    }
  for (uint32_t i = 0; i < values_.size(); ++i) {
    Value& v = values_[i];
    if (v.alive && v.constant && v.uses.empty() && !is_output(ValueId{i})) {
      v.alive = false;
      v.constant.reset();
    }
  }
  return gone;
}

std::string Graph::rename(ValueId id, std::string_view wanted) {
  Value& v = value(id);
  if (v.name == wanted) return v.name;
  names_.erase(v.name);
  v.name = unique_name(wanted);
  names_.emplace(v.name, id.v);
  return v.name;
}

std::vector<NodeId> Graph::topological() const {
  std::vector<uint32_t> pending(nodes_.size(), 0);
  std::priority_queue<uint32_t, std::vector<uint32_t>, std::greater<>> ready;
  for (uint32_t i = 0; i < nodes_.size(); ++i) {
    if (!nodes_[i].alive) continue;
    for (const ValueId in : nodes_[i].inputs)
      if (in.valid() && value(in).producer.valid()) ++pending[i];
    if (pending[i] == 0) ready.push(i);
  }
  std::vector<NodeId> order;
  while (!ready.empty()) {
    const uint32_t i = ready.top();
    ready.pop();
    order.push_back(NodeId{i});
    for (const ValueId out : nodes_[i].outputs)
      for (const Use& u : value(out).uses)
        if (--pending[u.node.v] == 0) ready.push(u.node.v);
  }
  return order;
}

size_t Graph::node_count() const {
  return static_cast<size_t>(std::count_if(nodes_.begin(), nodes_.end(), [](const Node& n) { return n.alive; }));
}

Graph Graph::compacted() const {
  Graph out;
  out.name = name;
  out.metadata = metadata;
  out.next_name_ = next_name_;
  std::vector<ValueId> map(values_.size());
  const auto copy_value = [&](ValueId id) {
    const Value& v = value(id);
    const ValueId fresh = out.new_value(v.name, v.type);
    out.value(fresh).constant = v.constant;
    map[id.v] = fresh;
  };
  for (const ValueId in : inputs_) copy_value(in);
  out.inputs_.reserve(inputs_.size());
  for (const ValueId in : inputs_) out.inputs_.push_back(map[in.v]);
  for (const NodeId nid : topological()) {
    const Node& n = node(nid);
    const NodeId fresh_id{static_cast<uint32_t>(out.nodes_.size())};
    Node fresh;
    fresh.op = n.op;
    fresh.attrs = n.attrs;
    fresh.origins = n.origins;
    for (uint32_t slot = 0; slot < n.inputs.size(); ++slot) {
      const ValueId in = n.inputs[slot];
      if (!in.valid()) {
        fresh.inputs.push_back({});
        continue;
      }
      if (!map[in.v].valid()) copy_value(in);  // a constant on first use
      fresh.inputs.push_back(map[in.v]);
      out.value(map[in.v]).uses.push_back({fresh_id, slot});
    }
    for (const ValueId o : n.outputs) {
      copy_value(o);
      out.value(map[o.v]).producer = fresh_id;
      out.value(map[o.v]).slot = value(o).slot;
      fresh.outputs.push_back(map[o.v]);
    }
    out.nodes_.push_back(std::move(fresh));
  }
  for (const ValueId o : outputs_) {
    if (!map[o.v].valid()) copy_value(o);
    out.outputs_.push_back(map[o.v]);
  }
  return out;
}

Status reinfer(Graph& g, NodeId id) {
  const Node& n = g.node(id);
  if (!n.op->infer || !operands(g, n.inputs).known) return {};
  NPU_ASSIGN(std::vector<TensorType> types, infer_types(g, *n.op, n.inputs, n.attrs, n.origins));
  if (types.size() != n.outputs.size())
    return Diag(diag::internal, "operator " + std::string(n.op->name) + " changed its number of outputs");
  for (size_t i = 0; i < types.size(); ++i) g.value(n.outputs[i]).type = std::move(types[i]);
  return {};
}

}  // namespace npuport
