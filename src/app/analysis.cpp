#include "app/analysis.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/diag_codes.h"
#include "base/text.h"
#include "ir/cost.h"

namespace npuport::app {
namespace {

constexpr size_t kPlacesShown = 5;

int rank_of(const std::string& status) {
  return status == "impossible" ? 0 : status == "host" ? 1 : status == "rewrite" ? 2 : 3;
}

std::string place_text(const Origin& o) {
  std::string s = o.source;
  if (!o.scope.empty()) s += (s.empty() ? "" : " in ") + o.scope;
  return s.empty() ? o.foreign : s;
}

std::string places_text(const std::vector<Origin>& places) {
  std::vector<std::string> parts;
  for (const Origin& o : places) {
    if (parts.size() == kPlacesShown) {
      parts.push_back("…");
      break;
    }
    parts.push_back(place_text(o));
  }
  return join(parts, "; ");
}

// Which ledger entries speak of a node: those that carry one of its origins.
class LedgerIndex {
 public:
  explicit LedgerIndex(const Ledger& ledger) {
    for (const LedgerEntry& e : ledger.entries())
      for (const Origin& o : e.origins) by_origin_[key(o)].push_back(&e);
  }
  std::vector<const LedgerEntry*> about(const Node& n) const {
    std::vector<const LedgerEntry*> out;
    for (const Origin& o : n.origins)
      if (const auto it = by_origin_.find(key(o)); it != by_origin_.end())
        out.insert(out.end(), it->second.begin(), it->second.end());
    return out;
  }

 private:
  static std::string key(const Origin& o) { return o.scope + "\n" + o.source + "\n" + o.foreign; }
  std::map<std::string, std::vector<const LedgerEntry*>> by_origin_;
};

bool shares_origin(const Node& a, const Node& b) {
  return std::any_of(a.origins.begin(), a.origins.end(), [&](const Origin& o) {
    return std::find(b.origins.begin(), b.origins.end(), o) != b.origins.end();
  });
}

// Passes that make a refused operator legal, as opposed to those that only tidy up.
bool changes_legality(const LedgerEntry& e) {
  return e.pass == "lower_illegal" || e.pass == "split_to_host" || e.pass == "fuse" || e.pass == "fold" ||
         e.pass == "normalise_dtypes" || e.pass == "channels_last" || e.pass == "user_rewrites";
}

struct Fate {
  std::string status, reason, source, format;
  std::vector<std::string> rewrites;
  Numerics worst = Numerics::exact;
};

Fate fate_of(const Graph& g, NodeId id, const Target& target, const FormatMapper& format, const LedgerIndex& ledger,
             const Graph& prepared, const std::vector<Finding>& left) {
  Fate f;
  const FormatView view = format(g, id);
  f.format = join(view.operators, " + ");
  const std::vector<npuport::Finding> findings = check_node(g, id, target, format);
  if (findings.empty()) {
    f.status = "ok";
    return f;
  }
  const auto because = [&](const npuport::Finding& finding) {
    f.reason = finding.why + (finding.actual.empty() ? "" : " (" + finding.actual + ")");
    f.source = finding.evidence.source + " (" + std::string(name(finding.evidence.confidence)) + ")";
  };
  because(findings.front());
  const Node& n = g.node(id);
  for (const npuport::Finding& l : left)
    if (shares_origin(prepared.node(l.node), n)) {
      f.status = "impossible";
      because(l);
      return f;
    }
  f.status = "rewrite";
  for (const LedgerEntry* e : ledger.about(n)) {
    if (!changes_legality(*e)) continue;
    if (e->pass == "split_to_host") f.status = "host";
    const std::string id_text = e->rewrite.empty() ? e->pass : e->rewrite;
    if (std::find(f.rewrites.begin(), f.rewrites.end(), id_text) == f.rewrites.end()) f.rewrites.push_back(id_text);
    f.worst = std::max(f.worst, e->numerics);
  }
  // Nothing in the ledger names it: the layout or a merge with its neighbours made it legal.
  if (f.rewrites.empty()) f.rewrites.push_back("cleanup");
  return f;
}

std::string risk_of(const Fate& f) {
  if (f.status == "ok") return "low";
  if (f.status == "impossible" || f.worst == Numerics::approximate) return "high";
  return f.worst == Numerics::exact_on_domain || f.status == "host" ? "middle" : "low";
}

void table(std::string& out, const std::vector<AnalysisEntry>& entries, bool illegal) {
  out += illegal ? "| operator | written as | count | place | why not | status | replacement | risk | decision | "
                   "source |\n|---|---|---|---|---|---|---|---|---|---|\n"
                 : "| operator | written as | count | MACs | place |\n|---|---|---|---|---|\n";
  for (const AnalysisEntry& e : entries) {
    if ((e.status != "ok") != illegal) continue;
    if (illegal) {
      out += fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n", markdown_cell(e.op),
                         markdown_cell(e.format_operators.empty() ? "none" : e.format_operators), e.count,
                         markdown_cell(places_text(e.places)), markdown_cell(e.reason), e.status,
                         markdown_cell(e.rewrites.empty() ? "none" : join(e.rewrites, ", ")), e.risk, e.decision,
                         markdown_cell(e.source));
    } else {
      out += fmt::format("| {} | {} | {} | {} | {} |\n", markdown_cell(e.op), markdown_cell(e.format_operators),
                         e.count, format_count(e.macs), markdown_cell(places_text(e.places)));
    }
  }
  out += "\n";
}

void before_after(std::string& out, const Ledger& ledger) {
  std::set<std::string> shown;
  for (const LedgerEntry& e : ledger.entries()) {
    const std::string id = e.rewrite.empty() ? e.pass : e.rewrite;
    if (!changes_legality(e) || e.before.empty() || !shown.insert(id).second) continue;
    out += fmt::format("#### {} ({})\n\n{}\n\n", markdown_cell(id), name(e.numerics),
                       e.argument.empty() ? e.reason : e.argument);
    const auto indent = [](const std::string& text) {
      std::string s;
      for (const std::string_view line : split(text, '\n'))
        if (!line.empty()) s += "    " + std::string(line) + "\n";
      return s;
    };
    out += "before:\n\n" + indent(valid_utf8(e.before)) + "\nafter:\n\n" +
           (e.after.empty() ? "    (nothing: moved out of the graph)\n" : indent(valid_utf8(e.after))) + "\n";
  }
}

// One row as read: what was decided for an operator at these places.
struct DecisionRow {
  std::string key;                  // "part/op"
  std::vector<std::string> places;  // as place_text writes them
  bool more = false;                // it speaks of places it does not name
  std::string decision;
};

// Rows of one operator that agree are one decision. A row that was edited counts more than one that was not.
Decisions merge(const std::vector<DecisionRow>& rows) {
  Decisions out;
  const auto enter = [&](const std::string& key, const std::string& decision) {
    if (const auto [it, fresh] = out.try_emplace(key, decision); !fresh && decision != "auto") it->second = decision;
  };
  for (const DecisionRow& row : rows) {
    const bool agreed = std::all_of(rows.begin(), rows.end(), [&](const DecisionRow& other) {
      return other.key != row.key || other.decision == row.decision;
    });
    if (agreed || row.more || row.places.empty()) enter(row.key, row.decision);
    if (agreed) continue;
    for (const std::string& place : row.places) enter(row.key + "@" + place, row.decision);
  }
  return out;
}

std::vector<std::string> cells_of(std::string_view line) {
  std::vector<std::string> cells;
  std::string cell;
  for (size_t i = 1; i < line.size(); ++i) {
    if (line[i] == '\\' && i + 1 < line.size()) {
      cell += line[++i];
    } else if (line[i] == '|') {
      cells.emplace_back(trim(cell));
      cell.clear();
    } else {
      cell += line[i];
    }
  }
  return cells;
}

// From the tables of operator_analysis.md.
Decisions decisions_from_markdown(const std::string& text) {
  std::vector<DecisionRow> rows;
  std::string part;
  std::vector<std::string> header;
  for (const std::string_view raw : split(text, '\n')) {
    const std::string_view line = trim(raw);
    if (line.starts_with("## Part ")) part = std::string(trim(line.substr(8)));
    if (!line.starts_with('|')) {
      header.clear();
      continue;
    }
    const std::vector<std::string> cells = cells_of(line);
    if (header.empty()) {
      header = cells;
      continue;
    }
    const auto column = [&](std::string_view name) -> const std::string* {
      const auto at = static_cast<size_t>(std::find(header.begin(), header.end(), name) - header.begin());
      return at < header.size() && at < cells.size() ? &cells[at] : nullptr;
    };
    const std::string *decision = column("decision"), *places = column("place");
    if (!decision || cells.front().starts_with("---")) continue;
    DecisionRow row{part + "/" + cells.front(), {}, false, *decision};
    if (places)
      for (const std::string_view piece : split(*places, ';')) {
        const std::string_view place = trim(piece);
        if (place == "…") row.more = true;
        if (place != "…" && !place.empty()) row.places.emplace_back(place);
      }
    rows.push_back(std::move(row));
  }
  return merge(rows);
}

Result<Decisions> decisions_from_json(const std::string& text) {
  NPU_ASSIGN(const Json j, parse_json(text, "operator_analysis.json"));
  std::vector<DecisionRow> rows;
  try {
    for (const Json& part : j.at("parts"))
      for (const Json& e : part.at("operators")) {
        if (e.at("status").get<std::string>() == "ok") continue;
        const Json& places = e.at("places");
        const std::string key = part.at("part").get<std::string>() + "/" + e.at("op").get<std::string>();
        DecisionRow row{key, {}, e.at("count").get<size_t>() > places.size(), e.at("decision").get<std::string>()};
        for (const Json& p : places) {
          std::string place = place_text({p.at("scope").get<std::string>(), p.at("source").get<std::string>(),
                                          p.at("foreign").get<std::string>()});
          if (p.contains("decision"))
            rows.push_back({key, {place}, false, p.at("decision").get<std::string>()});
          else
            row.places.push_back(std::move(place));
        }
        // A row whose every place decides for itself says nothing more.
        if (!row.places.empty() || row.more || places.empty()) rows.push_back(std::move(row));
      }
  } catch (const nlohmann::json::exception& e) {
    return Diag(diag::syntax, std::string("not the analysis npuport writes: ") + e.what())
        .in_file("operator_analysis.json");
  }
  return merge(rows);
}

// Entries that change nothing.
void drop_automatic(Decisions& d) {
  std::erase_if(d, [&](const auto& entry) {
    if (entry.second != "auto" && !entry.second.empty()) return false;
    const size_t at = entry.first.find('@');
    if (at == std::string::npos) return true;
    const auto wide = d.find(entry.first.substr(0, at));
    return wide == d.end() || wide->second == "auto" || wide->second.empty();
  });
}

}  // namespace

bool Analysis::feasible() const {
  return std::none_of(entries.begin(), entries.end(),
                      [](const AnalysisEntry& e) { return e.status == "impossible" && e.decision != "keep"; });
}

const Decisions::value_type* find_decision(const Decisions& decisions, const std::string& part, std::string_view op,
                                           const Origin* place) {
  const std::string key = part + "/" + std::string(op);
  if (place)
    for (const std::string& p : {place_text(*place), place->source, place->scope})
      if (const auto it = decisions.find(key + "@" + p); !p.empty() && it != decisions.end()) return &*it;
  const auto it = decisions.find(key);
  return it == decisions.end() ? nullptr : &*it;
}

Analysis analyse(const std::string& part, const Graph& g, const Target& target, const FormatMapper& format,
                 const Ledger& ledger, const Graph& prepared, const std::vector<Finding>& left,
                 const Decisions& decisions) {
  Analysis a;
  a.part = part;
  a.target = target.name;
  const LedgerIndex index(ledger);
  std::map<std::string, AnalysisEntry> groups;
  std::set<const Tensor*> weights;
  for (const NodeId id : g.topological()) {
    const Node& n = g.node(id);
    const Fate f = fate_of(g, id, target, format, index, prepared, left);
    const auto* decided = find_decision(decisions, part, n.op->name, n.origins.empty() ? nullptr : &n.origins.front());
    const std::string decision = decided ? decided->second : "auto";
    AnalysisEntry& e = groups[std::string(n.op->name) + "\n" + f.status + "\n" + join(f.rewrites, ",") + "\n" +
                              f.reason + "\n" + decision];
    if (e.count++ == 0) {
      e.decision = decision;
      e.op = n.op->name;
      e.format_operators = f.format;
      e.status = f.status;
      e.rewrites = f.rewrites;
      e.reason = f.reason;
      e.source = f.source;
      e.risk = risk_of(f);
    }
    if (!n.origins.empty()) e.places.push_back(n.origins.front());
    const int64_t macs = node_macs(g, id);
    e.macs += macs;
    a.macs += macs;
    for (const ValueId v : n.outputs) {
      const int64_t bytes = byte_size(g.type(v).dtype, element_count(g.shape(v)));
      e.bytes += bytes;
      a.activation_bytes += bytes;
      a.largest_activation = std::max(a.largest_activation, bytes);
    }
    for (const ValueId v : n.inputs)
      if (g.is_constant(v) && weights.insert(g.value(v).constant.get()).second)
        a.weight_bytes += g.value(v).constant->bytes();
  }
  for (auto& [key, e] : groups) a.entries.push_back(std::move(e));
  std::stable_sort(a.entries.begin(), a.entries.end(), [](const AnalysisEntry& x, const AnalysisEntry& y) {
    return std::pair(rank_of(x.status), x.op) < std::pair(rank_of(y.status), y.op);
  });
  a.lessons = plan_lessons(g, a.entries, ledger, target);
  return a;
}

Analysis opaque_analysis(const std::string& part, const ImportedModel& model, const Target& target) {
  Analysis a;
  a.part = part;
  a.target = target.name;
  for (const OpaqueOperator& o : model.opaque) {
    AnalysisEntry e;
    e.op = o.foreign;
    e.count = static_cast<int64_t>(o.places.size());
    e.places = o.places;
    e.status = "impossible";
    e.reason = "npuport has no mapping for this operator";
    e.source = "importer";
    e.risk = "high";
    a.entries.push_back(std::move(e));
  }
  return a;
}

std::string analysis_markdown(const std::vector<Analysis>& parts, const Target& target,
                              const std::vector<const Ledger*>& ledgers) {
  std::string out = fmt::format(
      "# Operator analysis for {}\n\nThe column `decision` may be edited (auto, a rewrite id, host, keep); `npuport "
      "port` reads it back. It holds for the places of its row: copy a row and leave one place to decide for that "
      "one.\n\n",
      markdown_cell(target.title));
  for (size_t i = 0; i < parts.size(); ++i) {
    const Analysis& a = parts[i];
    out += fmt::format("## Part {}\n\n{} MACs, weights {}, activations {} written, largest {}", a.part,
                       format_count(a.macs), format_bytes(static_cast<uint64_t>(a.weight_bytes)),
                       format_bytes(static_cast<uint64_t>(a.activation_bytes)),
                       format_bytes(static_cast<uint64_t>(a.largest_activation)));
    if (const auto l1 = target.identity.find("l1_kb"); l1 != target.identity.end()) {
      const int64_t limit = std::atoll(l1->second.c_str()) * 1024;
      out += fmt::format(", {} the {} KB of L1", a.largest_activation <= limit ? "fits" : "does not fit", l1->second);
    }
    out += ".\n\n### Unsupported operators and their replacement\n\n";
    table(out, a.entries, /*illegal=*/true);
    out += "### Supported operators\n\n";
    table(out, a.entries, /*illegal=*/false);
    out += "### Plan, before and after\n\n";
    before_after(out, *ledgers[i]);
  }
  CitedLessons cited;
  for (const Analysis& a : parts)
    for (const Citation& l : a.lessons) cited.add(*l.lesson, a.part, l.because);
  if (const std::string lessons = cited.markdown(); !lessons.empty())
    out += "## Lessons this plan follows\n\n" + lessons + "\n`npuport lessons ID` tells cause and cure.\n\n";
  out +=
      "## Risk\n\nlow: exact replacement; middle: exact for the declared domain, or moved to the host; high: "
      "approximate, or none found.\n\n## Reference projects\n\nThe bundled demos (whisper-nano, edsr-nano) show a "
      "finished port each.\n";
  return out;
}

Json analysis_json(const std::vector<Analysis>& parts, const Target& target) {
  Json j{{"version", 1}, {"target", target.name}, {"parts", Json::array()}};
  for (const Analysis& a : parts) {
    Json p{{"part", a.part},
           {"feasible", a.feasible()},
           {"macs", a.macs},
           {"weight_bytes", a.weight_bytes},
           {"activation_bytes", a.activation_bytes},
           {"largest_activation", a.largest_activation},
           {"lessons", Json::array()},
           {"operators", Json::array()}};
    for (const Citation& l : a.lessons)
      p["lessons"].push_back(Json{{"id", std::string(l.lesson->id)}, {"because", l.because}});
    for (const AnalysisEntry& e : a.entries) {
      Json places = Json::array();
      for (const Origin& o : e.places)
        places.push_back(Json{{"scope", o.scope}, {"source", o.source}, {"foreign", o.foreign}});
      p["operators"].push_back(Json{{"op", e.op},
                                    {"written_as", e.format_operators},
                                    {"count", e.count},
                                    {"status", e.status},
                                    {"rewrites", e.rewrites},
                                    {"feasible", e.status != "impossible"},
                                    {"reason", e.reason},
                                    {"source", e.source},
                                    {"risk", e.risk},
                                    {"decision", e.decision},
                                    {"macs", e.macs},
                                    {"bytes", e.bytes},
                                    {"places", places}});
    }
    j["parts"].push_back(std::move(p));
  }
  return j;
}

Result<Decisions> read_decisions(const std::string& markdown, const std::string& generated_markdown,
                                 const std::string& json, const std::string& generated_json) {
  Decisions md, js;
  if (!markdown.empty()) md = decisions_from_markdown(markdown);
  if (!json.empty()) {
    NPU_ASSIGN(js, decisions_from_json(json));
  }
  const bool md_edited = !markdown.empty() && md != decisions_from_markdown(generated_markdown);
  bool js_edited = false;
  if (!json.empty()) {
    Decisions before;
    if (!generated_json.empty()) {
      NPU_ASSIGN(before, decisions_from_json(generated_json));
    }
    js_edited = js != before;
  }
  if (md_edited && js_edited && md != js)
    return Diag(diag::bad_input_data, "operator_analysis.md and operator_analysis.json were both edited, differently",
                "make their `decision` entries equal, or delete one of the files");
  // Unedited files hold what was decided before the last run.
  Decisions out = md_edited || (!js_edited && !markdown.empty()) ? md : js;
  drop_automatic(out);
  return out;
}

}  // namespace npuport::app
