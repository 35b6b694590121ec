#include "app/port_refusal.h"

#include <fmt/format.h>

#include "app/diagnose_run.h"
#include "base/diag_codes.h"
#include "base/text.h"

namespace npuport::app {
namespace {

// The cure of a culprit as the report of the diagnosis has it.
std::string cure_of(const Json& round, const std::string& node) {
  if (round.contains("cures"))
    for (const Json& c : round["cures"])
      if (c["culprit"] == node && !c["chosen"].get<std::string>().empty()) return c["outcome"].get<std::string>();
  return {};
}

void add_problems(const Json& report, const std::string& folder, PortStep& s) {
  for (const Json& round : report["rounds"])
    for (const Json& c : round["culprits"]) {
      const std::string node = c["nodes"][0].get<std::string>();
      std::vector<std::string> kinds;
      for (const Json& k : c["operators"]) kinds.push_back(k.get<std::string>());
      const std::string cure = cure_of(round, node);
      Diag d(diag::illegal_for_target,
             fmt::format("the compiler refuses {}: {}", join(kinds, "+"), c["reason"].get<std::string>()),
             cure.empty() ? "no cure was found; the reproducer is in " + folder : "cured in " + folder + ": " + cure);
      d.at_node(node);
      if (!c["places"].empty()) d.at_source(c["places"][0].get<std::string>());
      s.problems.push_back(std::move(d));
    }
}

}  // namespace

Status diagnose_refusal(PortContext& c, const Driver& driver, const ToolFacts& tool, PartRun& p, PortStep& s) {
  const std::string folder = "diagnose/" + safe_file_name(p.spec->name);
  DiagnoseRequest r;
  r.name = p.spec->name;
  r.imported = p.imported.graph;
  r.graph = p.rewritten;
  r.io = p.contract;
  r.ledger = p.ledger;
  for (const BoundSample& b : p.samples) r.samples.push_back({b.name, b.inputs, b.baseline});
  r.target = &c.run.target;
  r.driver = &driver;
  r.tool = tool;
  r.folder = c.run.path(folder);
  r.passes.ranges = p.spec->ranges;
  r.passes.preferred = c.run.target.prefer;
  r.passes.allow_approximate = c.run.options.allow_approximate;
  r.passes.approximate = c.run.target.allow_approximate;
  NPU_ASSIGN(const DiagnoseResult result, run_diagnosis(c.run.app, std::move(r)));
  Json j{{"sentence", result.sentence},
         {"cured", result.cured},
         {"compiles", result.report["compiles"]},
         {"report", folder + "/report.html"}};
  if (result.report.contains("merged")) j["model"] = folder + "/" + result.report["merged"]["file"].get<std::string>();
  s.details["diagnosis"][p.spec->name] = std::move(j);
  add_problems(result.report, folder, s);
  s.reason += fmt::format("; diagnosis of {}: {}", p.spec->name, result.sentence);
  return {};
}

}  // namespace npuport::app
