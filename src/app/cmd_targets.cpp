#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "base/text.h"
#include "drivers/driver.h"
#include "target/target.h"

namespace npuport::app {
namespace {

Json target_json(const Target& t) {
  Json j{{"name", t.name}, {"title", t.title}, {"vendor", t.vendor}, {"format", t.format}, {"file", t.file}};
  if (t.format == "onnx") j["opset"] = t.opset;
  j["identity"] = Json::object();
  for (const auto& [key, value] : t.identity) j["identity"][key] = value;
  j["dtypes"] = t.dtypes;
  j["unlisted"] = t.unlisted_is_ok ? "ok" : "refuse";
  j["operators"] = Json::object();
  for (const auto& [op, s] : t.operators)
    j["operators"][op] = Json{{"support", std::string(name(s.support))},
                              {"source", s.evidence.source},
                              {"confidence", std::string(name(s.evidence.confidence))}};
  j["rules"] = Json::array();
  for (const Rule& r : t.rules)
    j["rules"].push_back(Json{{"id", r.id},
                              {"op", r.op},
                              {"require", r.require.text()},
                              {"why", r.why},
                              {"source", r.evidence.source},
                              {"confidence", std::string(name(r.evidence.confidence))}});
  j["compiler"] = Json{{"driver", t.compiler.driver}, {"options", t.compiler.options}};
  if (const Driver* d = find_driver(t.compiler.driver)) {
    for (const FlagProfile& p : d->flag_profiles())
      j["compiler"]["profiles"].push_back(
          Json{{"name", std::string(p.name)}, {"flags", p.flags}, {"why", std::string(p.why)}});
    for (const FlagNote& n : d->flag_notes()) j["compiler"]["flags"][std::string(n.flag)] = std::string(n.why);
  }
  return j;
}

std::string line(const Target& t) {
  const auto id = [&](const char* key) {
    const auto it = t.identity.find(key);
    return it == t.identity.end() ? std::string() : it->second;
  };
  std::string hardware;
  if (!id("arch").empty()) hardware = fmt::format("arch {}, L1 {} KB, {} MDLA", id("arch"), id("l1_kb"), id("mdla"));
  return fmt::format("{:<16} {:<32} {}\n", t.name, t.title, hardware);
}

std::string details(const Target& t) {
  std::string out = line(t);
  out += fmt::format("  file {}\n", t.file);
  if (t.format == "onnx") out += fmt::format("  ONNX opset {} or lower\n", t.opset);
  std::string supported, refused;
  for (const auto& [op, s] : t.operators) (s.support == Support::supported ? supported : refused) += " " + op;
  if (!supported.empty()) out += "  supported:" + supported + "\n";
  if (!refused.empty()) out += "  refused:  " + refused + "\n";
  out += t.unlisted_is_ok ? "  any other operator: accepted\n"
                          : "  any other operator: not on the list, needs a rewrite\n";
  if (const Driver* d = find_driver(t.compiler.driver)) {
    out += fmt::format("  compiler {}, arguments: {}\n", d->name, join(t.compiler.options, " "));
    for (const FlagProfile& p : d->flag_profiles())
      out += fmt::format("  --profile {:<12} {}: {}\n", p.name, p.why, join(p.flags, " "));
  }
  for (const Rule& r : t.rules)
    out += fmt::format("  rule {} ({}): {}\n      {}  [{}; {}]\n", r.id, r.op, r.why, r.require.text(),
                       r.evidence.source, name(r.evidence.confidence));
  return out;
}

}  // namespace

CommandResult targets(const App&, const TargetsArgs& args) {
  Outcome o;
  if (!args.name.empty()) {
    NPU_ASSIGN(const Target t, load_target(args.name));
    o.json = target_json(t);
    o.text = details(t);
    return o;
  }
  o.json = Json::array();
  for (const std::string& name : builtin_targets()) {
    NPU_ASSIGN(const Target t, load_target(name));
    o.json.push_back(target_json(t));
    o.text += line(t);
  }
  return o;
}

}  // namespace npuport::app
