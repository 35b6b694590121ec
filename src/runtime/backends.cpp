#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/diag_codes.h"
#include "runtime/backend.h"

namespace npuport::runtime {
namespace {

std::mutex mutex;

std::vector<const Backend*>& table() {
  static std::vector<const Backend*> rows = {&litert_backend(), &neuron_backend(), &ascend_backend()};
  return rows;
}

}  // namespace

std::vector<const Backend*> backends() {
  const std::lock_guard lock(mutex);
  return table();
}

const Backend* find_backend(std::string_view name) {
  const std::vector<const Backend*> rows = backends();
  const auto it = std::find_if(rows.begin(), rows.end(), [&](const Backend* b) { return b->name == name; });
  return it == rows.end() ? nullptr : *it;
}

void add_backend(const Backend& backend) {
  const std::lock_guard lock(mutex);
  std::vector<const Backend*>& rows = table();
  if (std::find(rows.begin(), rows.end(), &backend) == rows.end()) rows.push_back(&backend);
}

Json Model::details() const { return Json::object(); }

std::string Options::get(std::string_view key, const char* variable) const {
  const auto it = values_.find(key);
  if (it != values_.end()) return it->second;
  const char* value = variable ? std::getenv(variable) : nullptr;
  return value ? value : "";
}

Result<int64_t> Options::integer(std::string_view key, int64_t otherwise, int64_t low, int64_t high) const {
  const std::string text = get(key);
  if (text.empty()) return otherwise;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < low || value > high)
    return Diag(diag::usage, "option " + std::string(key) + "=" + text + " is no number from " + std::to_string(low) +
                                 " to " + std::to_string(high));
  return value;
}

Result<std::string> Options::choice(std::string_view key, std::span<const std::string_view> choices) const {
  const std::string text = get(key);
  if (text.empty()) return std::string(choices.front());
  if (std::find(choices.begin(), choices.end(), text) != choices.end()) return text;
  std::string list;
  for (const std::string_view c : choices) list += (list.empty() ? "" : ", ") + std::string(c);
  return Diag(diag::usage, "option " + std::string(key) + "=" + text + " is none of " + list);
}

}  // namespace npuport::runtime
