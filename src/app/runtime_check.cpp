#include "app/runtime_check.h"

#include <cmath>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "app/helper.h"
#include "app/port_proof.h"
#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "base/text.h"
#include "ir/npy.h"

namespace npuport::app {
namespace {

constexpr const char* kDeviceRunner = "device-runner";

struct Runtime {
  std::string tool, verb, title;  // verb: of the Python helper
};

Runtime runtime_of(const Target& target) {
  if (target.format == "onnx") return {"onnxruntime-python", "onnxruntime", "ONNX Runtime"};
  return {"litert-python", "litert", "LiteRT"};
}

// Runs something on a model file's inputs through two .npz files in a folder of its own.
using FileRunner = std::function<Result<ProcessResult>(const std::string& in, const std::string& out)>;

std::string last_words(const ProcessResult& r) {
  return describe(r) +
         "): " + std::string(trim(std::string_view(r.err).substr(r.err.size() > 400 ? r.err.size() - 400 : 0)));
}

// The arrays it made; `failed` gets its last words when it did not end well.
Result<std::vector<Tensor>> run_files(const std::string& work, const FileRunner& run, std::span<const Tensor> inputs,
                                      std::string& failed) {
  NPU_TRY(make_folders(work));
  const std::string in = work + "/in.npz", out = work + "/out.npz";
  std::error_code ec;
  std::filesystem::remove(out, ec);  // what the sample before left must not pass for this one's
  std::vector<std::pair<std::string, Tensor>> arrays;
  for (size_t i = 0; i < inputs.size(); ++i) arrays.emplace_back("in." + std::to_string(i), inputs[i]);
  NPU_TRY(write_npz(in, arrays));
  NPU_ASSIGN(const ProcessResult r, run(in, out));
  if (!r.ok()) {
    failed = last_words(r);
    return std::vector<Tensor>();
  }
  NPU_ASSIGN(const auto made, read_npz(out));
  std::vector<Tensor> got;
  for (const auto& [name, t] : made) got.push_back(t);
  return got;
}

// One output as people compare it: largest and mean difference, close or not.
Json output_row(const std::string& sample, const std::string& output, const Tensor& got, const Baseline& baseline,
                const Gate& gate) {
  const Comparison c = compare(got, baseline, gate);
  Json j{{"sample", sample}, {"output", output}, {"max_diff", c.max_diff}, {"close", c.verdict == Verdict::pass}};
  const Tensor& expected = baseline.values;
  if (!baseline.index && expected.shape == got.shape && got.count() > 0) {
    double sum = 0;
    for (int64_t i = 0; i < got.count(); ++i) sum += std::abs(get_double(got, i) - get_double(expected, i));
    j["mean_diff"] = sum / static_cast<double>(got.count());
  }
  if (!c.reason.empty()) j["reason"] = c.reason;
  return j;
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
  const HostRunner host = host_runner({}, c.run.path("models"));
  const FileRunner run = [&](const std::string& in, const std::string& out) {
    return run_helper(c.run.app, runtime.tool, {runtime.verb, path, "--inputs", in, "-o", out},
                      std::chrono::seconds(600), false);
  };
  for (const BoundSample& sample : p.samples) {
    NPU_ASSIGN(const std::vector<Tensor> inputs, to_file_inputs(p.contract, sample.inputs, host));
    NPU_ASSIGN(std::vector<Tensor> expected, p.rewritten_executor->run(inputs));
    std::string failed;
    NPU_ASSIGN(std::vector<Tensor> got, run_files(work, run, inputs, failed));
    Proof proof{p.spec->name, runtime.title + " = rewritten", sample.name, "general", {}, false};
    if (!failed.empty()) {
      proof.result.verdict = Verdict::unverified;
      proof.result.reason = runtime.title + " did not run the file (" + failed;
    } else {
      proof.result = compare_borders(std::move(got), std::move(expected), *p.spec);
    }
    s.proofs.push_back(std::move(proof));
  }
  std::error_code ec;
  std::filesystem::remove_all(work, ec);
  return {};
}

Status check_on_device(PortContext& c, PartRun& p, const std::string& path, const std::string& kind, PortStep& s) {
  const std::string tool = tool_path(c.run.app, kDeviceRunner);
  if (tool.empty()) {
    s.details["device"][p.spec->name] = "not run: no --tool " + std::string(kDeviceRunner) + "=PATH";
    return {};
  }
  const std::string work = c.run.path(".npuport/device");
  const FileRunner runner = [&](const std::string& in, const std::string& out) {
    ProcessOptions o;
    o.argv = {tool, path, in, out};
    o.timeout = std::chrono::seconds(600);
    return run_process(o);
  };
  for (const BoundSample& sample : p.samples) {
    if (sample.baseline.empty()) continue;
    Proof proof{p.spec->name, kind + " = PyTorch", sample.name, std::string(name(p.spec->gate.kind)), {}, false};
    std::string failed;
    const HostRunner host = host_runner([&](std::span<const Tensor> in) -> Result<std::vector<Tensor>> {
      NPU_ASSIGN(std::vector<Tensor> got, run_files(work, runner, in, failed));
      if (!failed.empty()) return Diag(diag::tool_failed, "the runner did not run the file (" + failed);
      return got;
    });
    const Result<std::vector<Tensor>> got = run_original_interface(p.contract, sample.inputs, host);
    if (!got) {
      proof.result.verdict = Verdict::unverified;
      proof.result.reason = got.error().message;
    } else {
      proof.result = compare_all(*got, sample.baseline, p.spec->gate);
      for (size_t k = 0; k < got->size() && k < sample.baseline.size(); ++k)
        s.details["device"][p.spec->name].push_back(
            output_row(sample.name, p.contract.outputs[k].name, (*got)[k], sample.baseline[k], p.spec->gate));
    }
    s.verdict = worst(s.verdict, proof.result.verdict);
    if (proof.result.verdict != Verdict::pass && s.reason.empty())
      s.reason = p.spec->name + " " + sample.name + " (" + proof.what + "): " + proof.result.reason;
    s.proofs.push_back(std::move(proof));
  }
  std::error_code ec;
  std::filesystem::remove_all(work, ec);
  return {};
}

}  // namespace npuport::app
