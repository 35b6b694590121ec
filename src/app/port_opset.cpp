#include "app/port_opset.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "app/model_file.h"
#include "app/port_keys.h"
#include "app/prepare_part.h"
#include "base/atomic_file.h"
#include "writers/onnx_writer.h"

namespace npuport::app {
namespace {

namespace fs = std::filesystem;
constexpr const char* kRecord = "opset";

// The key of a run without any limit: what the search for them depends on.
std::string opset_key(PortContext& c) {
  std::vector<int> limits;
  for (PartRun& p : c.run.parts) limits.push_back(std::exchange(p.opset_limit, 0));
  std::string key = compile_key(c);
  for (size_t i = 0; i < limits.size(); ++i) c.run.parts[i].opset_limit = limits[i];
  return key;
}

Status remember_opsets(PortContext& c) {
  Json j = Json::object();
  for (const PartRun& p : c.run.parts)
    if (p.opset_limit != 0) j[p.spec->name] = Json{{"opset", p.opset_limit}, {"refused", p.refused_opsets}};
  // With the number of the analysis: what is done again from there leaves it in place.
  return c.folder.record(kRecord, 2, opset_key(c), std::move(j), {});
}

// The part as it is at `opset` or below, written to `file`; no opset when the target's rules refuse that.
Result<int> write_trial(PortContext& c, const PartRun& p, int opset, const std::string& file) {
  PartRun trial = p;
  trial.opset_limit = opset;
  NPU_ASSIGN(const std::vector<Finding> left, prepare_part(c, trial));
  if (!left.empty()) return 0;
  set_io_contract(trial.rewritten, trial.contract);
  NPU_ASSIGN(const ModelFile written,
             write_model_file(c.run.app, trial.rewritten, file, {c.run.options.float16, trial.opset, false}));
  return written.opset;
}

CompileRequest trial_request(const PortContext& c, const std::string& folder, const std::string& model) {
  CompileRequest r;
  r.timeout = std::chrono::milliseconds(static_cast<int64_t>(c.run.options.compile_timeout * 1000));
  r.model = model;
  r.output = folder + "/out.bin";
  r.log = folder + "/compile.log";
  r.work_folder = folder + "/work";
  return r;
}

std::string said(const Compiler& compiler, int opset, const CompileOutcome& o) {
  return fmt::format("ONNX opset {}: {} {}: {}", opset, compiler.tool, name(o.verdict), o.reason);
}

}  // namespace

Result<bool> lower_opset(PortContext& c, const Compiler& compiler, PartRun& p, const CompileOutcome& refusal,
                         PortStep& s) {
  if (p.opset <= kOnnxLowestTried) return false;
  std::vector<std::string> tries = p.refused_opsets;
  const auto enter = [&](std::string sentence) {
    c.run.app.log(0, "   " + sentence);
    tries.push_back(std::move(sentence));
  };
  enter(said(compiler, p.opset, refusal));
  const std::string folder = c.run.path(".npuport/opset");
  std::error_code ec;
  for (int opset = p.opset - 1; opset >= kOnnxLowestTried; --opset) {
    fs::remove_all(folder, ec);
    NPU_TRY(make_folders(folder));
    const std::string model = folder + "/" + fs::path(p.file_name).filename().string();
    NPU_ASSIGN(const int written, write_trial(c, p, opset, model));
    if (written != opset) {
      enter(fmt::format("ONNX opset {}: the model cannot be written for the target", opset));
      continue;
    }
    NPU_ASSIGN(const CompileOutcome o, compile(*compiler.driver, compiler.facts, c.run.target,
                                               trial_request(c, folder, model), c.run.path(".npuport/cache")));
    if (o.verdict != CompileVerdict::accepted) {
      enter(said(compiler, opset, o));
      continue;
    }
    fs::remove_all(folder, ec);
    c.run.app.log(
        0, fmt::format("   ONNX opset {}: {} takes it; analysed, written and proven again", opset, compiler.tool));
    p.opset_limit = opset;
    p.refused_opsets = std::move(tries);
    NPU_TRY(remember_opsets(c));
    return true;
  }
  fs::remove_all(folder, ec);
  s.details["opset_tries"][p.spec->name] = tries;
  return false;
}

void recall_opsets(PortContext& c) {
  const Json* recorded = c.folder.reusable(kRecord, opset_key(c));
  if (!recorded) return;
  for (PartRun& p : c.run.parts) {
    const auto it = recorded->find(p.spec->name);
    if (it == recorded->end() || !it->is_object()) continue;
    const int limit = it->value("opset", 0);
    if (limit < kOnnxLowestTried || limit > kOnnxNewestWritten || !it->value("refused", Json()).is_array()) continue;
    p.opset_limit = limit;
    for (const Json& sentence : (*it)["refused"])
      if (sentence.is_string()) p.refused_opsets.push_back(sentence.get<std::string>());
  }
}

}  // namespace npuport::app
