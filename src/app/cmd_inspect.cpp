#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "base/text.h"

namespace npuport::app {
namespace {

Json facts_json(const std::string& file, const FileFacts& f) {
  Json j{{"file", file},          {"format", f.format},         {"detail", f.detail},
         {"bytes", f.file_bytes}, {"parameters", f.parameters}, {"parameter_bytes", f.parameter_bytes}};
  j["inputs"] = Json::array();
  for (const InputSpec& i : f.inputs) {
    Json in{{"name", i.name}};
    if (i.type.known()) in["dtype"] = std::string(long_name(i.type.dtype)), in["shape"] = i.type.shape;
    j["inputs"].push_back(std::move(in));
  }
  j["operators"] = Json::object();
  for (const auto& [name, count] : f.operators) j["operators"][name] = count;
  j["properties"] = Json::object();
  for (const auto& [key, value] : f.properties) j["properties"][key] = value;
  j["warnings"] = Json::array();
  for (const Diag& w : f.warnings) j["warnings"].push_back(diag_json(w));
  return j;
}

std::string facts_text(const std::string& file, const FileFacts& f) {
  std::string out = fmt::format("{}\n  format      {}\n", file, f.detail.empty() ? f.format : f.detail);
  out += fmt::format("  size        {} ({} bytes)\n", format_bytes(f.file_bytes), f.file_bytes);
  if (f.parameters > 0)
    out += fmt::format("  parameters  {:.2f}M ({}), stored in {}\n", static_cast<double>(f.parameters) / 1e6,
                       format_count(f.parameters), format_bytes(static_cast<uint64_t>(f.parameter_bytes)));
  for (const auto& [key, value] : f.properties) out += fmt::format("  {:<11} {}\n", key, value);
  for (const InputSpec& i : f.inputs)
    out +=
        fmt::format("  input       {}{}\n", i.name,
                    i.type.known() ? ": " + std::string(long_name(i.type.dtype)) + " " + to_string(i.type.shape) : "");
  if (!f.operators.empty()) out += "  operators\n";
  for (const auto& [name, count] : f.operators) out += fmt::format("    {:>6}  {}\n", count, name);
  return out;
}

}  // namespace

CommandResult inspect(const App& app, const InspectArgs& args) {
  Outcome o;
  o.json = Json::array();
  for (const std::string& file : args.files) {
    NPU_ASSIGN(const Frontend* frontend, frontend_for(file));
    Result<FileFacts> facts = frontend->inspect(file);
    if (!facts) return std::move(facts).error().in_file(file);
    for (const Diag& w : facts->warnings) app.warn(w);
    o.json.push_back(facts_json(file, *facts));
    o.text += facts_text(file, *facts);
  }
  if (o.json.size() == 1) o.json = Json(o.json.front());
  return o;
}

}  // namespace npuport::app
