#include <algorithm>
#include <map>
#include <unordered_map>

#include "base/diag_codes.h"
#include "frontends/torch/pickle_build.h"

namespace npuport {

using Kind = PickleValue::Kind;

const PickleValue* PickleValue::find(std::string_view key) const {
  const auto& list = is(Kind::object) && state ? state->entries : entries;
  for (const auto& [k, v] : list)
    if (k->is(Kind::string) && k->text == key) return v;
  return nullptr;
}

// clang-format off
std::string describe(const PickleValue& v) {
  switch (v.kind) {
    case Kind::none: return "None";
    case Kind::boolean: return "bool";
    case Kind::integer: case Kind::big_integer: return "int";
    case Kind::real: return "float";
    case Kind::string: return "str";
    case Kind::bytes: return "bytes";
    case Kind::tuple: return "tuple";
    case Kind::list: return v.text.empty() ? "list" : v.text;
    case Kind::set: return "set";
    case Kind::dict: return v.text.empty() ? "dict" : v.text;
    case Kind::object: return "object of class " + v.text;
    case Kind::global: return v.text;
    case Kind::device: return "torch.device " + v.text;
    case Kind::tensor: return "Tensor";
    case Kind::storage: return v.tensor->storage.type_name;
  }
  return "?";
}
// clang-format on

namespace pickle_detail {
namespace {

// Children of a value in a fixed order; false behind the last.
const PickleValue* child_of(const PickleValue& v, size_t i) {
  if (i < v.items.size()) return v.items[i];
  i -= v.items.size();
  if (i < 2 * v.entries.size()) return i % 2 == 0 ? v.entries[i / 2].first : v.entries[i / 2].second;
  return i == 2 * v.entries.size() ? v.state : nullptr;
}

}  // namespace

void drop_duplicate_keys(PickleValue& dict) {
  std::unordered_map<std::string_view, size_t> texts;
  std::map<int64_t, size_t> numbers;
  size_t kept = 0;
  for (const auto& [key, value] : dict.entries) {
    size_t at = kept;
    if (key->is(Kind::string)) at = texts.emplace(key->text, kept).first->second;
    if (key->is(Kind::integer) || key->is(Kind::boolean)) at = numbers.emplace(key->integer, kept).first->second;
    if (at < kept) {
      dict.entries[at].second = value;
    } else {
      dict.entries[kept++] = {key, value};
    }
  }
  dict.entries.resize(kept);
}

Status check_nesting(const PickleValue* root, const PickleOptions& options) {
  struct Frame {
    const PickleValue* value;
    size_t next;
    size_t height;
  };
  std::unordered_map<const PickleValue*, size_t> height;  // 0 while open
  std::vector<Frame> path{{root, 0, 0}};
  height[root] = 0;
  while (!path.empty()) {
    Frame& f = path.back();
    const PickleValue* child = child_of(*f.value, f.next++);
    if (!child) {
      const size_t done = f.height + 1;
      height[f.value] = done;
      path.pop_back();
      if (!path.empty()) path.back().height = std::max(path.back().height, done);
      continue;
    }
    if (child->items.empty() && child->entries.empty() && !child->state) continue;
    const auto [seen, fresh] = height.try_emplace(child, 0);
    if (fresh) {
      path.push_back({child, 0, 0});
    } else if (seen->second == 0 && !options.record_unknown) {
      return Diag(diag::unsupported, "an object of the pickle contains itself", "break the cycle before saving");
    } else {
      f.height = std::max(f.height, seen->second);
    }
    if (path.size() > options.max_depth || path.back().height > options.max_depth)
      return Diag(diag::too_large, "the pickle is nested too deeply", "is this really a model?");
  }
  return {};
}

}  // namespace pickle_detail
}  // namespace npuport
