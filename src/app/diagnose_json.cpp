#include "app/diagnose_json.h"

#include <algorithm>

namespace npuport::app {

using namespace diagnose;

Json origins_json(const std::vector<Origin>& origins) {
  Json out = Json::array();
  for (const Origin& o : origins) {
    const std::string place = o.source + (o.scope.empty() ? "" : (o.source.empty() ? "" : " in ") + o.scope) +
                              (o.foreign.empty() ? "" : " (" + o.foreign + ")");
    if (std::find(out.begin(), out.end(), Json(place)) == out.end()) out.push_back(place);
  }
  return out;
}

Json row_json(const PartRow& r) {
  Json kinds = Json::object();
  for (const auto& [k, n] : r.kinds) kinds[k] = n;
  return Json{{"module", r.name},
              {"verdict", r.refused ? "FAIL" : "PASS"},
              {"nodes", r.nodes.size()},
              {"kinds", kinds},
              {"reason", r.reason}};
}

namespace {

Json alternative_json(const Alternative& a) {
  return Json{{"name", a.name},
              {"class", std::string(name(a.numerics))},
              {"chosen", a.chosen},
              {"verdict", a.verdict},
              {"argument", a.argument},
              {"operators", json_strings(a.kinds)},
              {"new_to_compiler", json_strings(a.unseen)},
              {"nodes", a.nodes}};
}

}  // namespace

Json cure_json(const CureRecord& r) {
  Json j{{"culprit", r.culprit},
         {"operators", json_strings(r.kinds)},
         {"places", origins_json(r.origins)},
         {"chosen", r.chosen},
         {"outcome", r.outcome},
         {"alternatives", Json::array()}};
  for (const Alternative& a : r.alternatives) j["alternatives"].push_back(alternative_json(a));
  if (r.max_diff) j["max_diff"] = *r.max_diff;
  return j;
}

Json ledger_json(const Ledger& l) {
  Json out = Json::array();
  for (const LedgerEntry& e : l.entries()) {
    Json j{{"pass", e.pass},
           {"rewrite", e.rewrite},
           {"class", std::string(name(e.numerics))},
           {"reason", e.reason},
           {"argument", e.argument},
           {"before", e.before},
           {"after", e.after},
           {"places", origins_json(e.origins)}};
    if (e.max_diff) j["max_diff"] = *e.max_diff;
    out.push_back(std::move(j));
  }
  return out;
}

}  // namespace npuport::app
