// The records of a diagnosis as JSON, which the report and the terminal are made from.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "base/json.h"
#include "drivers/diagnose/cure.h"
#include "drivers/diagnose/hunt.h"
#include "passes/context.h"

namespace npuport::app {

Json json_strings(const auto& range) {
  Json out = Json::array();
  for (const auto& s : range) out.push_back(s);
  return out;
}

// "net.py(12) in decoder.layer (aten::gather)", each place once.
Json origins_json(const std::vector<Origin>& origins);
// A line of the table module | verdict | operator kinds.
Json row_json(const diagnose::PartRow& r);
// A culprit, what was chosen for it, and every alternative with the reason why it was not.
Json cure_json(const diagnose::CureRecord& r);
// The changes that the merged model carries.
Json ledger_json(const Ledger& l);

}  // namespace npuport::app
