#include "passes/cache_borders.h"

#include <algorithm>
#include <optional>

#include "ir/builder.h"

namespace npuport {
namespace {

// Dims of a cache in the model's order, and the order the file has them in.
enum CacheDim : size_t { kLayers, kBatch, kHeads, kRows, kWidth };
const Ints kFileOrder{kLayers, kBatch, kRows, kHeads, kWidth};
const Ints kHeadsAndRows{0, 2, 1, 3};  // [batch, heads, rows, width] and back
constexpr int kReach = 6;              // how far from the border a product may be

Shape in_file_order(const Shape& s) { return {s[kLayers], s[kBatch], s[kRows], s[kHeads], s[kWidth]}; }
Shape merged(const Shape& s) { return {s[kLayers], s[kBatch], s[kRows], s[kHeads] * s[kWidth]}; }
Shape layer_shape(const Shape& s) { return {s.begin() + 1, s.end()}; }

// The layer that a slice along dim 0 takes; nullopt for other nodes.
std::optional<int64_t> layer_taken(const Graph& g, const Node& n) {
  if (n.op->name != "slice") return std::nullopt;
  const Shape& cache = g.shape(n.inputs[0]);
  const Ints &axes = n.attr().ints("axes"), &starts = n.attr().ints("starts");
  const bool first = axes.size() == 1 && (axes[0] == 0 || axes[0] == -static_cast<int64_t>(cache.size()));
  if (!first || g.shape(n.outputs[0])[kLayers] != 1) return std::nullopt;
  return starts[0] < 0 ? starts[0] + cache[kLayers] : starts[0];
}

ValueId behind_reshapes(const Graph& g, ValueId v) {
  while (const Node* n = g.producer(v)) {
    if (n->op->name != "reshape") break;
    v = n->inputs[0];
  }
  return v;
}

// Keys and values end in products; between lie moves, the new rows, a scale.
bool reaches_product(const Graph& g, ValueId v, int reach = kReach) {
  if (reach == 0) return false;
  return std::any_of(g.value(v).uses.begin(), g.value(v).uses.end(), [&](const Use& u) {
    const Node& n = g.node(u.node);
    if (n.op->name == "matmul") return true;
    for (const std::string_view passes : {"slice", "reshape", "concat", "transpose", "mul", "cast"})
      if (n.op->name == passes) return reaches_product(g, n.outputs[0], reach - 1);
    return false;
  });
}

class CacheBorders {
 public:
  CacheBorders(Graph& g, PassContext& c) : g_(g), c_(c), b_(g) {}

  Result<size_t> run() {
    for (size_t k = 0; k < g_.inputs().size(); ++k)
      if (is_cache_input(k)) turn_input(k);
    for (size_t k = 0; k < g_.outputs().size(); ++k)
      if (is_cache_output(k)) turn_output(k);
    NPU_TRY(b_.take_status());
    g_.erase_dead();
    return turned_;
  }

 private:
  // A border of the model itself, in the model's own order so far.
  template <class Ports>
  bool untouched(const Ports& ports, const IoBinding& b, ValueId v) const {
    return b.permutation.empty() && b.shape.empty() && std::any_of(ports.begin(), ports.end(), [&](const IoPort& p) {
             return p.name == b.name && p.type.shape == g_.shape(v);
           });
  }

  bool refused(NodeId n) const { return !c_.legality->check(g_, n).empty(); }

  bool is_cache_input(size_t k) const {
    const ValueId v = g_.inputs()[k];
    if (g_.shape(v).size() != kWidth + 1 || !is_float(g_.type(v).dtype) || g_.is_output(v)) return false;
    if (!untouched(c_.io->inputs, c_.io->file_inputs[k], v)) return false;
    const auto& uses = g_.value(v).uses;
    if (uses.empty() || element_count(g_.shape(v)) == 0) return false;
    return std::all_of(uses.begin(), uses.end(), [&](const Use& u) {
      const Node& n = g_.node(u.node);
      return layer_taken(g_, n) && refused(u.node) && reaches_product(g_, n.outputs[0]);
    });
  }

  // What a stack of layers joins, in order; empty when it is none.
  std::vector<ValueId> stacked_layers(ValueId v) const {
    const Node* n = g_.producer(v);
    if (!n || g_.shape(v).size() != kWidth + 1) return {};
    if (n->op->name == "reshape" && g_.shape(v)[kLayers] == 1) return {v};  // a stack of one
    if (n->op->name != "concat") return {};
    const int64_t axis = n->attr().i("axis");
    if (axis != 0 && axis != -static_cast<int64_t>(kWidth) - 1) return {};
    for (const ValueId part : n->inputs)
      if (g_.shape(part)[kLayers] != 1) return {};
    return n->inputs;
  }

  bool is_cache_output(size_t k) const {
    const ValueId v = g_.outputs()[k];
    if (std::count(g_.outputs().begin(), g_.outputs().end(), v) != 1 || !is_float(g_.type(v).dtype)) return false;
    if (!untouched(c_.io->outputs, c_.io->file_outputs[k], v) || element_count(g_.shape(v)) == 0) return false;
    const std::vector<ValueId> layers = stacked_layers(v);
    return !layers.empty() && refused(g_.value(v).producer) &&
           std::all_of(layers.begin(), layers.end(),
                       [&](ValueId layer) { return reaches_product(g_, behind_reshapes(g_, layer)); });
  }

  void turn_input(size_t k) {
    const ValueId old = g_.inputs()[k];
    const TensorType type = g_.type(old);
    const std::string known = g_.value(old).name;
    std::vector<ValueId> inputs = g_.inputs();
    g_.rename(old, "");
    const ValueId fresh = g_.add_input(known, {type.dtype, merged(type.shape), nullptr});
    const ValueId own =
        b_.transpose(b_.reshape(fresh, in_file_order(type.shape)), kFileOrder);  // its own inverse: it swaps two dims
    if (b_.failed()) return;
    g_.replace_uses(old, own);
    caches_[own] = fresh;
    inputs[k] = fresh;
    g_.set_inputs(inputs);
    bind(c_.io->file_inputs[k], type.shape, known);
  }

  void turn_output(size_t k) {
    const ValueId old = g_.outputs()[k];
    const Shape shape = g_.shape(old);
    const std::string known = g_.value(old).name;
    ValueId fresh = appended(old);
    if (!fresh.valid()) fresh = b_.reshape(b_.transpose(old, kFileOrder), merged(shape));
    if (b_.failed()) return;
    std::vector<ValueId> outputs = g_.outputs();
    outputs[k] = fresh;
    g_.set_outputs(outputs);
    g_.rename(old, "");
    g_.rename(fresh, known);
    bind(c_.io->file_outputs[k], shape, known);
  }

  void bind(IoBinding& binding, const Shape& model, const std::string& name) {
    binding.permutation = kFileOrder;
    binding.shape = merged(model);
    ++turned_;
    c_.ledger.add({c_.pass,
                   "kv_cache_4d",
                   Numerics::exact,
                   "the target takes four dims at most",
                   "The same numbers at the border in another order: the heads of one row lie side by side.",
                   "%" + name + ": " + to_string(model) + "\n",
                   "%" + name + ": " + to_string(binding.shape) + "\n",
                   {},
                   std::nullopt});
  }

  // The rows every layer puts behind one and the same cache; empty when the output is made in another way.
  struct Appended {
    ValueId cache;
    std::vector<ValueId> rows;
  };
  Appended rows_behind(ValueId output) const {
    Appended out;
    const std::vector<ValueId> layers = stacked_layers(output);
    for (size_t i = 0; i < layers.size(); ++i) {
      const Node* join = g_.producer(behind_reshapes(g_, layers[i]));
      if (!join || join->op->name != "concat" || join->inputs.size() != 2) return {};
      const Shape& joined = g_.shape(join->outputs[0]);
      const auto rank = static_cast<int64_t>(joined.size());
      const int64_t axis = join->attr().i("axis"), rows = rank - 2;  // both as [heads, rows, width] and with batch
      if (joined != layer_shape(g_.shape(output)) || (axis != rows && axis != -2)) return {};
      const Node* taken = g_.producer(behind_reshapes(g_, join->inputs[0]));
      if (!taken || !caches_.contains(taken->inputs[0]) || layer_taken(g_, *taken) != static_cast<int64_t>(i))
        return {};
      if (i > 0 && taken->inputs[0] != out.cache) return {};
      if (g_.shape(join->inputs[0]) != layer_shape(g_.shape(taken->inputs[0]))) return {};
      out.cache = taken->inputs[0];
      out.rows.push_back(join->inputs[1]);
    }
    const bool all = out.cache.valid() && g_.shape(out.cache)[kLayers] == static_cast<int64_t>(out.rows.size());
    return all ? out : Appended{};
  }

  // The file's cache with the new rows behind; no id where the output is made in another way.
  ValueId appended(ValueId output) {
    const Appended a = rows_behind(output);
    if (a.rows.empty()) return {};
    std::vector<ValueId> layers;
    for (const ValueId rows : a.rows) {
      const Shape s = b_.shape(rows);  // [batch, heads, rows, width]
      layers.push_back(b_.reshape(b_.transpose(rows, kHeadsAndRows), {1, s[0], s[2], s[1] * s[3]}));
    }
    const ValueId fresh = layers.size() == 1 ? layers[0] : b_.op("concat", std::move(layers), {{"axis", 0}});
    return b_.op("concat", {caches_.at(a.cache), fresh}, {{"axis", 2}});
  }

  Graph& g_;
  PassContext& c_;
  Builder b_;
  std::map<ValueId, ValueId> caches_;  // a cache in the model's order → the input it comes from
  size_t turned_ = 0;
};

Result<size_t> run_cache_borders(Graph& g, PassContext& c) {
  if (!c.legality || !c.io || !c.options.split_host) return size_t{0};
  return CacheBorders(g, c).run();
}

}  // namespace

const PassDef cache_borders_pass{"cache_borders", "Gives caches of keys and values four dims at the borders.",
                                 Stage::canonical, run_cache_borders};

}  // namespace npuport
