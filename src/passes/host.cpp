#include "passes/host.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/diag_codes.h"
#include "ir/builder.h"
#include "ir/cost.h"
#include "passes/lower.h"
#include "passes/pipeline.h"

namespace npuport {
namespace {

// What the host may compute per side: a projection of a few coordinates, not the network. A tenth of a small network's
// work is too much, unless it is next to nothing.
constexpr int64_t kHostMacs = int64_t{1} << 20;
constexpr int64_t kAnyMacs = int64_t{1} << 14;
constexpr int64_t kMacsShare = 10;
// More operators than this may not be half of the graph.
constexpr size_t kAnyNodes = 32;

// Letters, digits, '_', '-' and '.' only: names of files and inputs.
std::string plain(std::string_view s) {
  std::string out;
  for (const char c : s)
    out += std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.' ? c : '_';
  return out;
}

Ints inverse(const Ints& p) {
  Ints out(p.size());
  for (size_t i = 0; i < p.size(); ++i) out[static_cast<size_t>(p[i])] = static_cast<int64_t>(i);
  return out;
}

class Splitter {
 public:
  Splitter(Graph& g, PassContext& c) : g_(g), c_(c) {}

  Result<size_t> run() {
    for (const IllegalNode& n : illegal_nodes(g_, *c_.legality)) wanted_.push_back(n.node);
    for (const NodeId id : g_.topological())
      if (!g_.node(id).outputs.empty()) {
        const auto it = c_.options.decisions.find(g_.value(g_.node(id).outputs[0]).name);
        if (it != c_.options.decisions.end() && it->second == "host") wanted_.push_back(id);
      }
    most_macs_ = host_macs_limit(g_);
    for (const NodeId id : wanted_) {
      if (prefix_.contains(id) || suffix_.contains(id)) continue;
      NPU_TRY(take(id));
    }
    drop_overlap();
    keep_the_most();
    if (prefix_.empty() && suffix_.empty()) return size_t{0};
    const size_t moved = prefix_.size() + suffix_.size();
    if (!prefix_.empty()) NPU_TRY(split_prefix());
    if (!suffix_.empty()) NPU_TRY(split_suffix());
    g_.erase_dead();
    drop_unused_inputs();
    return moved;
  }

 private:
  using Set = std::set<NodeId>;

  Set ancestors(NodeId id) const {
    Set out{id};
    std::vector<NodeId> work{id};
    while (!work.empty()) {
      const NodeId n = work.back();
      work.pop_back();
      for (const ValueId v : g_.node(n).inputs)
        if (v.valid() && g_.value(v).producer.valid() && out.insert(g_.value(v).producer).second)
          work.push_back(g_.value(v).producer);
    }
    return out;
  }
  Set descendants(NodeId id) const {
    Set out{id};
    std::vector<NodeId> work{id};
    while (!work.empty()) {
      const NodeId n = work.back();
      work.pop_back();
      for (const ValueId v : g_.node(n).outputs)
        for (const Use& u : g_.value(v).uses)
          if (out.insert(u.node).second) work.push_back(u.node);
    }
    return out;
  }

  int64_t macs_of(const Set& nodes) const {
    int64_t macs = 0;
    for (const NodeId n : nodes) macs += node_macs(g_, n);
    return macs;
  }

  // The side that takes less work, when that is little enough and the host's file format can hold it; the prefix when
  // both take the same.
  Status take(NodeId id) {
    struct Side {
      Set nodes;
      Set* goes_to;
      int64_t macs;
    };
    Side sides[] = {{ancestors(id), &prefix_, 0}, {descendants(id), &suffix_, 0}};
    for (Side& s : sides) s.macs = macs_of(s.nodes);
    const auto work = [](const Side& s) { return std::pair(s.macs, s.nodes.size()); };
    if (work(sides[1]) < work(sides[0])) std::swap(sides[0], sides[1]);
    for (const Side& s : sides) {
      if (s.macs > most_macs_) break;
      NPU_ASSIGN(const bool fits, host_can_run(s.nodes));
      if (!fits) continue;
      s.goes_to->insert(s.nodes.begin(), s.nodes.end());
      break;
    }
    return {};
  }

  // Lookups become tables; the other nodes must lower to what the host's format holds.
  Result<bool> host_can_run(const Set& nodes) {
    if (!c_.host_legality) return true;
    Graph host;
    std::map<ValueId, ValueId> map;
    std::vector<ValueId> results;
    for (const NodeId id : g_.topological()) {
      if (!nodes.contains(id) || lookup(id)) continue;
      for (const ValueId v : g_.node(id).inputs)
        if (v.valid() && !map.contains(v) && !g_.is_constant(v)) map[v] = host.add_input(g_.value(v).name, g_.type(v));
      HostStep unused;
      NPU_TRY(clone(id, host, map, unused));
      for (const ValueId v : g_.node(id).outputs) results.push_back(map.at(v));
    }
    host.set_outputs(results);
    const size_t mark = c_.ledger.size();
    Result<bool> legal = lower_for_host(host, c_);
    c_.ledger.truncate(mark);
    return legal;
  }

  // The graph of a host step as its file holds it.
  Result<std::shared_ptr<const Graph>> finished(Graph host) {
    NPU_ASSIGN([[maybe_unused]] const bool legal, lower_for_host(host, c_));
    return std::make_shared<const Graph>(host.compacted());
  }

  // A model most of which the target refuses is no model for the target: only lookups leave it then.
  void keep_the_most() {
    const size_t moved = prefix_.size() + suffix_.size();
    if (moved <= kAnyNodes || moved * 2 <= g_.node_count()) return;
    c_.say(0, fmt::format("{}: nothing moved: the host would run {} of {} operators", c_.pass, moved, g_.node_count()));
    suffix_.clear();
    Set lookups;
    for (const NodeId id : prefix_)
      if (lookup(id)) lookups.insert(id);
    prefix_ = std::move(lookups);
  }

  // A node cannot be on both sides: what the suffix shares with the prefix stays in the prefix, and a suffix that loses
  // a node this way would not be closed, so it is given up.
  void drop_overlap() {
    const bool overlap = std::any_of(suffix_.begin(), suffix_.end(), [&](NodeId n) { return prefix_.contains(n); });
    if (overlap) suffix_.clear();
  }

  // ---- prefix

  struct Lookup {
    NodeId node;
    size_t input;  // which graph input holds the ids
    std::shared_ptr<const Tensor> table;
  };

  // embedding(table, ids) or gather(table, ids) along dim 0 with a constant matrix and a graph input.
  std::optional<Lookup> lookup(NodeId id) const {
    const Node& n = g_.node(id);
    const bool gather = n.op->name == "gather" && n.attr().i("axis") == 0;
    if (n.op->name != "embedding" && !gather) return std::nullopt;
    const auto& table = g_.value(n.inputs[0]).constant;
    if (!table || table->shape.size() != 2) return std::nullopt;
    const auto at = std::find(g_.inputs().begin(), g_.inputs().end(), n.inputs[1]);
    if (at == g_.inputs().end()) return std::nullopt;
    return Lookup{id, static_cast<size_t>(at - g_.inputs().begin()), table};
  }

  // "decoder.token_embedding" → "token_embedding"; the table's own name without ".weight" when there is no scope.
  // The lookup's module; else its table's name; else, where the table is a computed value of no name ("v17"), what the
  // ids are: "position_embedding".
  std::string module_of(NodeId id, const std::string& ids) const {
    const Node& n = g_.node(id);
    if (!n.origins.empty() && !n.origins.front().scope.empty()) return n.origins.front().scope;
    std::string s = g_.value(n.inputs[0]).name;
    if (s[0] == 'v' && s.find_first_not_of("0123456789", 1) == std::string::npos) return ids + "_embedding";
    if (s.ends_with(".weight")) s.resize(s.size() - 7);
    return s;
  }
  static std::string last_part(const std::string& module) {
    const size_t dot = module.rfind('.');
    return plain(dot == std::string::npos ? module : module.substr(dot + 1));
  }

  // Adds a graph input in the place of a value made on the host.
  ValueId as_input(ValueId old, const std::string& wanted) {
    const TensorType type = g_.type(old);
    if (g_.value(old).name == wanted) g_.rename(old, "");
    const ValueId fresh = g_.add_input(wanted, type);
    g_.replace_uses(old, fresh);
    c_.io->file_inputs.push_back({g_.value(fresh).name, {}, DType::unknown});
    return fresh;
  }

  void record(const std::string& rewrite, const std::string& argument, const Set& nodes, const std::string& after) {
    std::vector<NodeId> list;
    for (const NodeId id : g_.topological())
      if (nodes.contains(id)) list.push_back(id);
    c_.ledger.add({c_.pass, rewrite, Numerics::exact, "the target refuses these operators", argument,
                   node_text(g_, list), after, merged_origins(g_, list), std::nullopt});
  }

  Status split_prefix() {
    std::vector<Lookup> lookups;
    Set rest;
    for (const NodeId id : prefix_) {
      if (const auto k = lookup(id)) {
        lookups.push_back(*k);
      } else {
        rest.insert(id);
      }
    }
    // What only the lookups needed is not there (their ids are inputs), so `rest` may still read lookup results.
    for (const Lookup& k : lookups) {
      const ValueId out = g_.node(k.node).outputs[0];
      const bool read_by_rest = std::any_of(g_.value(out).uses.begin(), g_.value(out).uses.end(),
                                            [&](const Use& u) { return rest.contains(u.node); });
      HostStep step;
      step.kind = "embedding_lookup";
      step.inputs = {c_.io->file_inputs[k.input].name};
      step.module = module_of(k.node, step.inputs[0]);
      step.table = k.table;
      step.file = unique_file(last_part(step.module), ".npy");
      record("embedding_lookup", "The same rows of the same table, copied on the host.", {k.node},
             "host: " + step.file + " by " + step.inputs[0] + "\n");
      // Steps of kind graph take lookups' results by name, so the name is fixed before.
      const ValueId fresh = as_input(out, last_part(step.module) + "s");
      step.outputs = {g_.value(fresh).name};
      if (read_by_rest) host_values_.insert(fresh);
      c_.io->host_steps.push_back(std::move(step));
    }
    return rest.empty() ? Status{} : graph_step(rest);
  }

  Status graph_step(const Set& nodes) {
    HostStep step;
    step.kind = "graph";
    Graph host;
    host.name = g_.name + "_host";
    std::map<ValueId, ValueId> map;
    std::vector<ValueId> frontier;
    for (const NodeId id : g_.topological()) {
      if (!nodes.contains(id)) continue;
      NPU_TRY(clone(id, host, map, step));
      for (const ValueId v : g_.node(id).outputs) {
        const auto& uses = g_.value(v).uses;
        if (g_.is_output(v) ||
            std::any_of(uses.begin(), uses.end(), [&](const Use& u) { return !nodes.contains(u.node); }))
          frontier.push_back(v);
      }
    }
    step.file = unique_file(plain(g_.name.empty() ? "host" : g_.name) + "_host_prefix", ".tflite");
    record("host_prefix", "The same operators, run on the host before the graph.", nodes, "host: " + step.file + "\n");
    std::vector<ValueId> outputs;
    for (const ValueId v : frontier) {
      const std::string known = g_.value(v).name;
      outputs.push_back(map.at(v));
      const ValueId fresh = as_input(v, known);
      step.outputs.push_back(g_.value(fresh).name);
    }
    host.set_outputs(outputs);
    NPU_ASSIGN(step.graph, finished(std::move(host)));
    c_.io->host_steps.push_back(std::move(step));
    return {};
  }

  // Copies a node; operands from outside become inputs of the host graph (in the contract's own layout and type).
  Status clone(NodeId id, Graph& host, std::map<ValueId, ValueId>& map, HostStep& step) {
    const Node& n = g_.node(id);
    std::vector<ValueId> in;
    for (const ValueId v : n.inputs) {
      if (!v.valid()) {
        in.push_back({});
        continue;
      }
      if (!map.contains(v)) {
        if (g_.is_constant(v)) {
          map[v] = host.add_constant(g_.value(v).name, g_.value(v).constant);
        } else {
          NPU_ASSIGN(map[v], host_operand(v, host, step));
        }
      }
      in.push_back(map[v]);
    }
    NPU_ASSIGN(const NodeId made, host.add(*n.op, std::move(in), n.attrs, n.origins));
    for (size_t k = 0; k < n.outputs.size(); ++k) map[n.outputs[k]] = host.node(made).outputs[k];
    return {};
  }

  Result<ValueId> host_operand(ValueId v, Graph& host, HostStep& step) {
    const auto at = std::find(g_.inputs().begin(), g_.inputs().end(), v);
    if (at == g_.inputs().end()) {
      step.inputs.push_back(g_.value(v).name);
      return host.add_input(g_.value(v).name, g_.type(v));
    }
    const IoBinding& binding = c_.io->file_inputs[static_cast<size_t>(at - g_.inputs().begin())];
    TensorType type = g_.type(v);
    const auto original = std::find_if(c_.io->inputs.begin(), c_.io->inputs.end(),
                                       [&](const IoPort& p) { return p.name == binding.name; });
    if (original != c_.io->inputs.end()) type = original->type;
    step.inputs.push_back(binding.name);
    Builder b(host);
    ValueId x = host.add_input(binding.name, type);
    if (!binding.permutation.empty()) x = b.transpose(x, binding.permutation);
    if (!binding.shape.empty()) x = b.reshape(x, binding.shape);
    x = b.cast(x, g_.type(v).dtype);
    NPU_TRY(b.take_status());
    return x;
  }

  // ---- suffix

  Status split_suffix() {
    HostStep step;
    step.kind = "graph";
    step.suffix = true;
    Graph host;
    host.name = g_.name + "_host";
    std::map<ValueId, ValueId> map;
    std::vector<ValueId> frontier;  // values the graph has to give beyond its own outputs
    for (const NodeId id : g_.topological()) {
      if (!suffix_.contains(id)) continue;
      for (const ValueId v : g_.node(id).inputs) {
        if (!v.valid() || map.contains(v) || !g_.value(v).producer.valid()) continue;
        if (suffix_.contains(g_.value(v).producer)) continue;
        NPU_ASSIGN(map[v], frontier_operand(v, host, step, frontier));
      }
      NPU_TRY(clone(id, host, map, step));
    }
    step.file = unique_file(plain(g_.name.empty() ? "host" : g_.name) + "_host_suffix", ".tflite");
    record("host_suffix", "The same operators, run on the host after the graph.", suffix_, "host: " + step.file + "\n");
    // Outputs made on the host leave the graph; what they are made from takes their place.
    std::vector<ValueId> kept, host_outputs;
    std::vector<IoBinding> kept_bindings;
    Builder b(host);
    for (size_t k = 0; k < g_.outputs().size(); ++k) {
      const ValueId v = g_.outputs()[k];
      const IoBinding& binding = c_.io->file_outputs[k];
      const NodeId p = g_.value(v).producer;
      if (!p.valid() || !suffix_.contains(p)) {
        kept.push_back(v);
        kept_bindings.push_back(binding);
        continue;
      }
      ValueId y = map.at(v);
      if (!binding.shape.empty()) y = b.reshape(y, permuted_shape(port_of(binding).type.shape, binding.permutation));
      if (!binding.permutation.empty()) y = b.transpose(y, inverse(binding.permutation));
      const auto original = std::find_if(c_.io->outputs.begin(), c_.io->outputs.end(),
                                         [&](const IoPort& o) { return o.name == binding.name; });
      if (original != c_.io->outputs.end()) y = b.cast(y, original->type.dtype);
      NPU_TRY(b.take_status());
      host_outputs.push_back(y);
      step.outputs.push_back(binding.name);
    }
    for (const ValueId v : frontier) {
      kept.push_back(v);
      kept_bindings.push_back({g_.value(v).name, {}, DType::unknown});
    }
    host.set_outputs(host_outputs);
    g_.set_outputs(kept);
    c_.io->file_outputs = kept_bindings;
    NPU_ASSIGN(step.graph, finished(std::move(host)));
    c_.io->host_steps.push_back(std::move(step));
    return {};
  }

  // A value the suffix reads: an output that stays (in the contract's layout and type), or a new output.
  Result<ValueId> frontier_operand(ValueId v, Graph& host, HostStep& step, std::vector<ValueId>& frontier) {
    const auto at = std::find(g_.outputs().begin(), g_.outputs().end(), v);
    if (at == g_.outputs().end()) {
      frontier.push_back(v);
      step.inputs.push_back(g_.value(v).name);
      return host.add_input(g_.value(v).name, g_.type(v));
    }
    const IoBinding& binding = c_.io->file_outputs[static_cast<size_t>(at - g_.outputs().begin())];
    step.inputs.push_back(binding.name);
    TensorType type = g_.type(v);
    if (!binding.shape.empty()) {
      type.shape = port_of(binding).type.shape;
    } else if (!binding.permutation.empty()) {
      const Ints back = inverse(binding.permutation);
      for (size_t i = 0; i < back.size(); ++i) type.shape[i] = g_.shape(v)[static_cast<size_t>(back[i])];
    }
    Builder b(host);
    ValueId x = host.add_input(binding.name, type);
    if (!binding.permutation.empty()) x = b.transpose(x, binding.permutation);
    if (!binding.shape.empty()) x = b.reshape(x, binding.shape);
    NPU_TRY(b.take_status());
    return x;
  }

  // The model's output behind a binding that has a shape of its own.
  const IoPort& port_of(const IoBinding& binding) const {
    return *std::find_if(c_.io->outputs.begin(), c_.io->outputs.end(),
                         [&](const IoPort& o) { return o.name == binding.name; });
  }

  // ---- both

  std::string unique_file(const std::string& stem, const std::string& ending) const {
    const auto taken = [&](const std::string& f) {
      return std::any_of(c_.io->host_steps.begin(), c_.io->host_steps.end(),
                         [&](const HostStep& s) { return s.file == f; });
    };
    std::string file = stem + ending;
    for (int i = 1; taken(file); ++i) file = fmt::format("{}_{}{}", stem, i, ending);
    return file;
  }

  // Inputs that only the host reads now.
  void drop_unused_inputs() {
    std::vector<ValueId> kept;
    std::vector<IoBinding> bindings;
    for (size_t k = 0; k < g_.inputs().size(); ++k) {
      const ValueId v = g_.inputs()[k];
      const std::string& bound = c_.io->file_inputs[k].name;
      const bool read_by_host = std::any_of(c_.io->host_steps.begin(), c_.io->host_steps.end(), [&](const HostStep& s) {
        return std::count(s.inputs.begin(), s.inputs.end(), bound) > 0;
      });
      if (g_.value(v).uses.empty() && !g_.is_output(v) && read_by_host) continue;
      kept.push_back(v);
      bindings.push_back(c_.io->file_inputs[k]);
    }
    g_.set_inputs(kept);
    c_.io->file_inputs = bindings;
  }

  Graph& g_;
  PassContext& c_;
  std::vector<NodeId> wanted_;
  Set prefix_, suffix_;
  int64_t most_macs_ = 0;
  std::set<ValueId> host_values_;
};

Result<size_t> run_split(Graph& g, PassContext& c) {
  if (!c.legality) return size_t{0};
  return Splitter(g, c).run();
}

}  // namespace

int64_t host_macs_limit(const Graph& g) { return std::min(kHostMacs, std::max(kAnyMacs, total_macs(g) / kMacsShare)); }

const PassDef split_to_host_pass{"split_to_host", "Moves what the target refuses to the host.", Stage::canonical,
                                 run_split};

}  // namespace npuport
