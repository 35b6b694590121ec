#include "app/decision_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "base/diag_codes.h"
#include "passes/lower.h"

namespace npuport::app {
namespace {

// Letters to change, add or drop.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t changed = diagonal + (a[i - 1] != b[j - 1] ? 1 : 0);
      diagonal = row[j];
      row[j] = std::min({changed, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

void add_reported(const std::string& generated_json, std::set<std::string>& names) {
  if (generated_json.empty()) return;
  const Result<Json> j = parse_json(generated_json, "operator_analysis.json");
  if (!j || !j->is_object() || !j->contains("parts")) return;
  for (const Json& part : (*j)["parts"])
    if (part.is_object() && part.contains("operators"))
      for (const Json& e : part["operators"])
        if (e.is_object() && e.contains("rewrites"))
          for (const Json& r : e["rewrites"])
            if (r.is_string()) names.insert(r.get<std::string>());
}

}  // namespace

Status check_decisions(const Decisions& decisions, const std::string& generated_json, const UserRewrites* own) {
  std::set<std::string> names{"auto", "keep", "host", "body"};
  for (const Rewrite& r : lower_rewrites()) names.emplace(r.name);
  if (own)
    for (const Rewrite& r : own->rows().rows()) names.emplace(r.name);
  add_reported(generated_json, names);
  for (const auto& [key, decision] : decisions) {
    if (names.contains(decision)) continue;
    const std::string shown = decision.substr(0, 80);
    const auto nearest = std::min_element(names.begin(), names.end(), [&](const auto& a, const auto& b) {
      return distance(a, shown) < distance(b, shown);
    });
    return Diag(diag::usage, fmt::format("{}: there is no decision or rewrite '{}'", key, shown),
                fmt::format("did you mean '{}'? auto, keep, host or a rewrite's name", *nearest))
        .in_file("operator_analysis.md");
  }
  return {};
}

}  // namespace npuport::app
