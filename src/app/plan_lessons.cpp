#include "app/plan_lessons.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/analysis.h"
#include "base/text.h"

namespace npuport::app {
namespace {

// A change in the ledger that follows a lesson: by the start of the rewrite's name.
struct ChangeRow {
  std::string_view rewrite;
  const Lesson* lesson;
};
constexpr ChangeRow kChanges[] = {
    {"kv_cache_4d", &lesson("NPU-S02")},         {"rank_of_", &lesson("NPU-S02")},
    {"masked_fill_as_term", &lesson("NPU-S03")}, {"inverse_masked_fill_as_term", &lesson("NPU-S03")},
    {"finite_mask_term", &lesson("NPU-S03")},
};

std::string embeddings(const std::vector<AnalysisEntry>& entries) {
  std::string out;
  for (const AnalysisEntry& e : entries)
    if (e.op == "embedding" && e.status == "host") {
      std::string place;
      if (!e.places.empty()) place = e.places.front().scope.empty() ? e.places.front().source : e.places.front().scope;
      out += fmt::format("{}{} ×{}{}", out.empty() ? "" : ", ", e.op, e.count, place.empty() ? "" : " in " + place);
    }
  return out.empty() ? out : out + " goes to the host";
}

std::string fixed_inputs(const Graph& g) {
  std::vector<std::string> inputs;
  for (const ValueId v : g.inputs()) inputs.push_back(g.value(v).name + " " + to_string(std::span(g.shape(v))));
  return inputs.empty() ? "" : "inputs of one shape: " + join(inputs, ", ");
}

std::string changes(const Ledger& ledger, const Lesson& l) {
  std::vector<std::pair<std::string, size_t>> counts;
  for (const LedgerEntry& e : ledger.entries())
    for (const ChangeRow& row : kChanges) {
      if (row.lesson != &l || !e.rewrite.starts_with(row.rewrite)) continue;
      const auto it = std::find_if(counts.begin(), counts.end(), [&](const auto& c) { return c.first == e.rewrite; });
      if (it == counts.end())
        counts.emplace_back(e.rewrite, 1);
      else
        ++it->second;
      break;
    }
  std::string out;
  for (const auto& [name, n] : counts) out += fmt::format("{}{} ×{}", out.empty() ? "" : ", ", name, n);
  return out;
}

}  // namespace

std::vector<Citation> plan_lessons(const Graph& imported, const std::vector<AnalysisEntry>& entries,
                                   const Ledger& ledger, const Target& target) {
  std::vector<Citation> out;
  const auto cite = [&](const Lesson& l, std::string because) {
    if (!because.empty()) out.push_back({&l, std::move(because)});
  };
  cite(lesson("NPU-E01"), embeddings(entries));
  cite(lesson("NPU-V01"), "import, rewrite, model and written file are compared with PyTorch, each before the next");
  cite(lesson("NPU-T01"),
       target.compiler.driver.empty() ? "" : "step 7 needs the compiler of " + target.compiler.driver);
  cite(lesson("NPU-S01"), fixed_inputs(imported));
  cite(lesson("NPU-S02"), changes(ledger, lesson("NPU-S02")));
  cite(lesson("NPU-S03"), changes(ledger, lesson("NPU-S03")));
  return out;
}

Json lesson_json(const Lesson& l) {
  return Json{{"id", std::string(l.id)},       {"title", std::string(l.title)}, {"situation", std::string(l.situation)},
              {"cause", std::string(l.cause)}, {"do", std::string(l.cure)},     {"source", std::string(l.source)}};
}

std::string CitedLessons::Reason::text() const { return join(who, ", ") + ": " + because; }

void CitedLessons::add(const Lesson& l, const std::string& who, const std::string& because) {
  auto it = std::find_if(list_.begin(), list_.end(), [&](const auto& c) { return c.first >= &l; });
  if (it == list_.end() || it->first != &l) it = list_.insert(it, {&l, {}});
  std::vector<Reason>& reasons = it->second;
  const auto same = std::find_if(reasons.begin(), reasons.end(), [&](const Reason& r) { return r.because == because; });
  if (same == reasons.end())
    reasons.push_back({{who}, because});
  else if (std::find(same->who.begin(), same->who.end(), who) == same->who.end())
    same->who.push_back(who);
}

Json CitedLessons::json() const {
  Json out = Json::array();
  for (const auto& [l, reasons] : list_) {
    Json j = lesson_json(*l);
    j["because"] = Json::array();
    for (const Reason& r : reasons) j["because"].push_back(r.text());
    out.push_back(std::move(j));
  }
  return out;
}

std::string CitedLessons::markdown() const {
  if (list_.empty()) return {};
  std::string out = "| lesson | what it says | why here |\n|---|---|---|\n";
  for (const auto& [l, reasons] : list_) {
    std::vector<std::string> texts;
    for (const Reason& r : reasons) texts.push_back(r.text());
    out += fmt::format("| {} | {} | {} |\n", l->id, markdown_cell(std::string(l->title)),
                       markdown_cell(join(texts, "; ")));
  }
  return out;
}

}  // namespace npuport::app
