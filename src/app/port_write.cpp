// Steps 5 and 8 of `port`: the files.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "app/model_file.h"
#include "app/port_files.h"
#include "app/port_keys.h"
#include "app/port_proof.h"
#include "app/port_steps.h"
#include "app/port_torch.h"
#include "app/prepare_part.h"
#include "app/runtime_check.h"
#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "ir/npy.h"

namespace npuport::app {
namespace {

namespace fs = std::filesystem;

Status prove_written(PortContext& c, PartRun& p, const std::string& path, PortStep& s) {
  NPU_TRY(prove_read_back(c, p, path, "file read back = rewritten", s));
  return check_with_runtime(c, p, path, s);
}

std::string model_name(const PortRun& run, const PartRun& p) {
  return fmt::format("models/{}_{}_{}{}", p.spec->name, run.project.name, p.shape_tag, model_ending(run.target));
}

Status write_part(PortContext& c, PartRun& p, PortStep& s) {
  p.file_name = model_name(c.run, p);
  NPU_TRY(write_host_files(c, p, s));
  set_io_contract(p.rewritten, p.contract);
  const ModelFileOptions options{c.run.options.float16, p.opset, true};
  NPU_ASSIGN(const ModelFile file, write_model_file(c.run.app, p.rewritten, c.run.path(p.file_name), options));
  for (const std::string& path : file.files) s.files.push_back("models/" + fs::path(path).filename().string());
  p.operators_written = file.operators;
  for (const auto& [op, count] : file.counts) s.details[p.spec->name]["operators"][op] = count;
  if (file.opset != 0) {
    p.opset = file.opset;
    s.details[p.spec->name]["opset"] = file.opset;
    if (!p.opset_tries.empty()) s.details[p.spec->name]["opset_tries"] = p.opset_tries;
  }
  return prove_written(c, p, c.run.path(p.file_name), s);
}

Status save(PortContext& c, PortStep& s, const std::string& relative, const Tensor& t) {
  NPU_TRY(write_npy(c.run.path(relative), t));
  NPU_ASSIGN(const Tensor back, read_npy(c.run.path(relative)));
  s.proofs.push_back({"", relative + " reloaded", "", "general", {}, false});
  if (!identical(back, t)) {
    s.proofs.back().result.verdict = Verdict::fail;
    s.proofs.back().result.reason = "the file does not hold what was written";
  }
  s.files.push_back(relative);
  return {};
}

// Names a Whisper engineer looks for; other projects get part and port names.
std::string debug_name(const PortRun& run, const PartRun& p, bool input, size_t index) {
  if (run.project.task.kind == "asr" && !run.project.links.empty() && index == 0) {
    const ProjectLink& l = run.project.links.front();  // encoder to decoder
    if (p.spec->name == l.from_part) return input ? "preprocessed_mel" : "encoder_output";
    if (p.spec->name == l.to_part && !input) return "decoder_logits";
  }
  const std::string port = input ? p.inputs[index].name : p.contract.outputs[index].name;
  return safe_file_name(p.spec->name + (input ? "_input_" : "_output_") + port);
}

}  // namespace

Result<PortStep> step_write(PortContext& c) {
  PortStep s = make_step(5, "write", "write");
  const std::string key = write_key(c);
  if (reuse(c, key, s)) {
    for (PartRun& p : c.run.parts) {
      p.file_name = model_name(c.run, p);
      p.operators_written = 0;
      if (s.details.is_object() && s.details.contains(p.spec->name))
        for (const auto& [op, count] : s.details[p.spec->name]["operators"].items())
          p.operators_written += count.get<size_t>();
    }
    return s;
  }
  NPU_TRY(c.folder.drop_from(5));
  NPU_TRY(make_folders(c.run.path("models")));  // after dropping, which removes folders it emptied
  for (PartRun& p : c.run.parts) NPU_TRY(write_part(c, p, s));
  NPU_TRY(write_torch_files(c, s));
  conclude(s);
  NPU_TRY(write_metadata(c, s));
  NPU_TRY(remember(c, key, s));
  return s;
}

Result<PortStep> step_debug(PortContext& c) {
  PortStep s = make_step(8, "debug", "debug outputs");
  const std::string key = rewrite_key(c);
  if (reuse(c, key, s)) return s;
  NPU_TRY(make_folders(c.run.path("test/outputs/debug")));
  NPU_TRY(make_folders(c.run.path("test/outputs/baseline")));
  for (PartRun& p : c.run.parts) {
    if (p.samples.empty()) continue;
    BoundSample& sample = p.samples.front();
    NPU_ASSIGN(const std::vector<Tensor> outputs, run_sample(p, sample));
    for (size_t i = 0; i < sample.inputs.size(); ++i)
      NPU_TRY(save(c, s, "test/outputs/debug/" + debug_name(c.run, p, true, i) + ".npy", sample.inputs[i]));
    for (size_t i = 0; i < outputs.size(); ++i)
      NPU_TRY(save(c, s, "test/outputs/debug/" + debug_name(c.run, p, false, i) + ".npy", outputs[i]));
    for (size_t i = 0; i < sample.baseline.size(); ++i) {
      const Baseline& b = sample.baseline[i];
      const std::string stem = "test/outputs/baseline/" + debug_name(c.run, p, false, i);
      NPU_TRY(save(c, s, stem + ".npy", b.values));
      if (b.index) NPU_TRY(save(c, s, stem + "_index.npy", *b.index));
    }
  }
  s.verdict = s.proofs.empty() ? Verdict::skip : Verdict::pass;
  if (s.proofs.empty()) s.reason = "no samples were given";
  for (const Proof& p : s.proofs)
    if (p.result.verdict == Verdict::fail) {
      s.verdict = Verdict::fail;
      s.reason = p.what + ": " + p.result.reason;
    }
  NPU_TRY(remember(c, key, s));
  return s;
}

}  // namespace npuport::app
