#include "app/runtime_check.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "app/helper.h"
#include "base/atomic_file.h"
#include "base/text.h"
#include "ir/npy.h"

namespace npuport::app {
namespace {

struct Runtime {
  std::string tool, verb, title;  // verb: of the Python helper
};

Runtime runtime_of(const Target& target) {
  if (target.format == "onnx") return {"onnxruntime-python", "onnxruntime", "ONNX Runtime"};
  return {"litert-python", "litert", "LiteRT"};
}

}  // namespace

std::string runtime_tool(const Target& target) { return runtime_of(target).tool; }

Status check_with_runtime(PortContext& c, PartRun& p, const std::string& path, PortStep& s) {
  const Runtime runtime = runtime_of(c.run.target);
  if (tool_path(c.run.app, runtime.tool).empty()) {
    s.details[p.spec->name][runtime.verb] = "not checked: no --tool " + runtime.tool + "=PATH";
    return {};
  }
  const std::string work = c.run.path(".npuport/" + runtime.verb);
  NPU_TRY(make_folders(work));
  const HostRunner host = host_runner({}, c.run.path("models"));
  for (const BoundSample& sample : p.samples) {
    NPU_ASSIGN(const std::vector<Tensor> inputs, to_file_inputs(p.contract, sample.inputs, host));
    NPU_ASSIGN(const std::vector<Tensor> expected, p.rewritten_executor->run(inputs));
    std::vector<std::pair<std::string, Tensor>> arrays;
    for (size_t i = 0; i < inputs.size(); ++i) arrays.emplace_back("in." + std::to_string(i), inputs[i]);
    NPU_TRY(write_npz(work + "/in.npz", arrays));
    NPU_ASSIGN(
        const ProcessResult r,
        run_helper(c.run.app, runtime.tool, {runtime.verb, path, "--inputs", work + "/in.npz", "-o", work + "/out.npz"},
                   std::chrono::seconds(600), false));
    Proof proof{p.spec->name, runtime.title + " = rewritten", sample.name, "general", {}, false};
    if (!r.ok()) {
      proof.result.verdict = Verdict::unverified;
      proof.result.reason =
          runtime.title + " did not run the file (" + describe(r) +
          "): " + std::string(trim(std::string_view(r.err).substr(r.err.size() > 400 ? r.err.size() - 400 : 0)));
    } else {
      NPU_ASSIGN(const auto out, read_npz(work + "/out.npz"));
      std::vector<Tensor> got;
      for (const auto& [name, t] : out) got.push_back(t);
      proof.result = compare_all(got, expected, general_gate(*p.spec));
    }
    s.proofs.push_back(std::move(proof));
  }
  std::error_code ec;
  std::filesystem::remove_all(work, ec);
  return {};
}

}  // namespace npuport::app
