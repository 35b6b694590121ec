#include "frontends/torch/weights.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <unordered_set>

#include "frontends/torch/storage.h"

namespace npuport {
namespace {

using Kind = PickleValue::Kind;

bool is_buffer_name(std::string_view name) {
  for (const std::string_view suffix : {"running_mean", "running_var", "num_batches_tracked"})
    if (name.ends_with(suffix)) return true;
  return false;
}

class Collector {
 public:
  void visit(const PickleValue& v, const std::string& name, bool buffer) {
    if (v.is(Kind::tensor)) {
      weights.push_back({name, &v, buffer || is_buffer_name(name)});
      return;
    }
    if (!v.is(Kind::dict) && !v.is(Kind::object) && !v.is(Kind::list) && !v.is(Kind::tuple)) return;
    if (!seen_.insert(&v).second) return;
    for (const auto& [key, value] : v.entries) visit_entry(*key, *value, name, buffer);
    for (size_t i = 0; i < v.items.size(); ++i) visit(*v.items[i], join(name, std::to_string(i)), buffer);
    if (v.is(Kind::object) && v.state) visit(*v.state, name, buffer);
  }

  std::vector<WeightEntry> weights;

 private:
  static std::string join(const std::string& name, std::string_view leaf) {
    return name.empty() ? std::string(leaf) : name + "." + std::string(leaf);
  }

  void visit_entry(const PickleValue& key, const PickleValue& value, const std::string& name, bool buffer) {
    // A module keeps its members in three dicts that are no part of the names.
    const bool inner = key.text == "_parameters" || key.text == "_buffers" || key.text == "_modules";
    if (key.is(Kind::string) && inner) return visit(value, name, buffer || key.text == "_buffers");
    if (key.is(Kind::string)) return visit(value, join(name, key.text), buffer);
    if (key.is(Kind::integer)) visit(value, join(name, std::to_string(key.integer)), buffer);
  }

  std::unordered_set<const PickleValue*> seen_;
};

size_t tensors_in(const PickleValue& dict) {
  return static_cast<size_t>(
      std::ranges::count_if(dict.entries, [](const auto& e) { return e.second->is(Kind::tensor); }));
}

// Most values are tensors.
bool is_state_dict(const PickleValue& v) {
  return v.is(Kind::dict) && !v.entries.empty() && 2 * tensors_in(v) >= v.entries.size();
}

bool is_training_state(std::string_view key) {
  return key.find("optim") != std::string_view::npos || key.find("sched") != std::string_view::npos;
}

CheckpointModel find_below(const PickleValue& v, const std::string& path, int depth) {
  if (is_full_module(v)) return {&v, path, true};
  if (is_state_dict(v)) return {&v, path, false};
  if (!v.is(Kind::dict) || depth >= 3) return {};
  const auto child = [&](const std::string& key, const PickleValue& value) {
    return find_below(value, path.empty() ? key : path + "." + key, depth + 1);
  };
  // The trained weights come before their moving averages.
  constexpr std::string_view usual[] = {"model_state_dict", "state_dict", "model",  "net",        "network",
                                        "generator",        "module",     "params", "params_ema", "weights",
                                        "ema_state_dict",   "model_ema",  "ema"};
  for (const std::string_view key : usual)
    if (const PickleValue* value = v.find(key))
      if (CheckpointModel found = child(std::string(key), *value); found.value) return found;
  for (const auto& [key, value] : v.entries)
    if (key->is(Kind::string) && !is_training_state(key->text))
      if (CheckpointModel found = child(key->text, *value); found.value) return found;
  return {};
}

}  // namespace

std::vector<WeightEntry> collect_weights(const PickleValue& root) {
  Collector collector;
  collector.visit(root, "", false);
  return std::move(collector.weights);
}

bool is_full_module(const PickleValue& v) {
  return v.is(Kind::object) && v.state && v.state->is(Kind::dict) && v.find("_modules") && v.find("_parameters");
}

CheckpointModel find_model(const PickleValue& root) { return find_below(root, "", 0); }

WeightCount count_weights(const std::vector<WeightEntry>& weights, bool buffers) {
  struct Storage {
    int64_t used = 0;
    int64_t count = 0;
    int64_t item_bytes = 0;
  };
  std::map<std::pair<std::string_view, std::string_view>, Storage> storages;
  std::set<std::string> seen;
  for (const WeightEntry& w : weights) {
    const TensorRecord& t = *w.value->tensor;
    if (w.buffer != buffers || !seen.insert(tensor_identity(t)).second) continue;
    Storage& s = storages[{t.storage.pool, t.storage.key}];
    s.used += std::min(element_count(t.sizes), t.storage.count);
    s.count = t.storage.count;
    s.item_bytes = t.storage.item_bytes;
  }
  WeightCount total;
  for (const auto& [key, s] : storages) {
    // Overlapping views of one storage cannot hold more than it does.
    const int64_t elements = std::min(s.used, s.count);
    total.elements += elements;
    total.bytes += elements * s.item_bytes;
  }
  return total;
}

int64_t guess_input_channels(const std::vector<WeightEntry>& weights) {
  // 2-D convolutions first, then 3-D, then 1-D: rank 3 is also what tables and position encodings have.
  for (const size_t rank : {size_t{4}, size_t{5}, size_t{3}})
    for (const WeightEntry& w : weights)
      if (w.value->tensor->sizes.size() == rank && w.name.ends_with("weight")) return w.value->tensor->sizes[1];
  return 0;
}

}  // namespace npuport
