// Which lessons a plan follows, and which a report cites.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/lessons.h"
#include "ir/graph.h"
#include "passes/context.h"
#include "target/target.h"

namespace npuport::app {

struct AnalysisEntry;

// One lesson and what in this model calls for it.
struct Citation {
  const Lesson* lesson = nullptr;
  std::string because;
};

// What the plan of a part follows: by its operators, by the changes in the ledger, by its inputs and its target. In the
// order of the table, each at most once.
std::vector<Citation> plan_lessons(const Graph& imported, const std::vector<AnalysisEntry>& entries,
                                   const Ledger& ledger, const Target& target);

// id, title, situation, cause, do, source.
Json lesson_json(const Lesson& l);

// The cited ones of several parts or steps, in the order of the table: each with all its reasons.
struct CitedLessons {
  // `who`: the part or step it is about; equal reasons of several stand once.
  void add(const Lesson& l, const std::string& who, const std::string& because);
  Json json() const;             // [{id, title, …, "because": ["encoder, decoder: …"]}]
  std::string markdown() const;  // a table; empty when nothing is cited

 private:
  struct Reason {
    std::vector<std::string> who;
    std::string because;
    std::string text() const;
  };
  std::vector<std::pair<const Lesson*, std::vector<Reason>>> list_;
};

}  // namespace npuport::app
