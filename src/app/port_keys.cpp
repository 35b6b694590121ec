#include "app/port_keys.h"

#include <fmt/format.h>

#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "app/port_files.h"
#include "app/runtime_check.h"
#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "base/hash.h"
#include "drivers/tool_run.h"

namespace npuport::app {
namespace {

std::string gate_text(const Gate& g) {
  return fmt::format("{} {} {} {} {} {} {} {}", static_cast<int>(g.kind), g.max_diff, g.relative, g.psnr, g.mse,
                     g.peak.value_or(-1), g.iou, g.threshold);
}

void add_samples(StepKey& key, const std::vector<std::string>& patterns) {
  const Result<std::vector<std::string>> files = sample_paths(patterns);
  if (!files) return;
  for (const std::string& f : *files) key.add(f).add_file(f);
}

Verdict parse_verdict(const std::string& text) {
  for (const Verdict v : {Verdict::pass, Verdict::skip, Verdict::unverified})
    if (text == name(v)) return v;
  return Verdict::fail;
}

// The decoding rules and the files that they name beside them.
void add_decoding(StepKey& key, const std::string& decode) {
  key.add_file(decode);
  const Result<std::string> text = read_file(decode, uint64_t{16} << 20);
  if (!text) return;
  const Result<Json> j = parse_json(*text, decode);
  if (!j || !j->is_object()) return;
  for (const char* const name : kTextFiles)
    if (j->contains(name) && (*j)[name].is_string())
      key.add_file((std::filesystem::path(decode).parent_path() / (*j)[name].get<std::string>()).string());
}

}  // namespace

StepKey& StepKey::add(std::string_view text) {
  text_ += std::to_string(text.size());
  text_ += ':';
  text_ += text;
  return *this;
}

StepKey& StepKey::add_file(const std::string& path) {
  const Result<std::string> hash = sha256_file(path);
  return add(hash ? *hash : "missing");
}

std::string StepKey::hex() const { return sha256_hex(std::string_view(text_)); }

std::string import_key(const PortRun& run) {
  StepKey key;
  // The binary itself: a newer build may rewrite or prove differently.
  key.add(version()).add_file("/proc/self/exe").add(run.project.name);
  for (const PartRun& p : run.parts) {
    key.add(p.spec->name).add(p.model_hash).add(gate_text(p.spec->gate));
    for (const InputSpec& i : p.spec->inputs) key.add(i.name).add(to_string(i.type));
    for (const auto& [name, r] : p.spec->ranges) key.add(name).add(fmt::format("{} {} {}", r.low, r.high, r.integers));
    add_samples(key, p.spec->samples);
  }
  return key.hex();
}

std::string rewrite_key(const PortContext& c) {
  StepKey key;
  const PortOptions& o = c.run.options;
  key.add(import_key(c.run)).add(target_fingerprint(c.run.target));
  key.add(fmt::format("{} {} {} {}", o.allow_approximate, o.assume_int32, o.float16, o.nhwc));
  if (o.rewrites) key.add_file(o.rewrites_file);
  for (const auto& [op, decision] : c.decisions) key.add(op).add(decision);
  for (const PartRun& p : c.run.parts)
    if (p.opset_limit != 0) key.add(p.spec->name).add(fmt::format("opset {}", p.opset_limit));
  return key.hex();
}

std::string task_key(const PortContext& c) {
  StepKey key;
  const ProjectTask& t = c.run.project.task;
  key.add(rewrite_key(c)).add(t.kind).add(gate_text(t.gate));
  if (!t.decode.empty()) add_decoding(key, t.decode);
  for (const double v : t.mean) key.add(fmt::format("mean {}", v));
  for (const double v : t.scale) key.add(fmt::format("scale {}", v));
  for (const ProjectLink& l : c.run.project.links)
    key.add(fmt::format("{} {} {} {}", l.from_part, l.from_output, l.to_part, l.to_input));
  add_samples(key, t.samples);
  return key.hex();
}

// The metadata file carries the task's settings.
std::string write_key(const PortContext& c) {
  return (c.run.project.task.kind.empty() ? rewrite_key(c) : task_key(c)) +
         (tool_path(c.run.app, runtime_tool(c.run.target)).empty() ? "" : "+runtime");
}

std::string compile_key(const PortContext& c) {
  // Where the target's driver takes its program from, and that program's contents: a new compiler may judge otherwise.
  const Driver* driver = find_driver(c.run.target.compiler.driver);
  if (!driver) return rewrite_key(c);
  const std::string tool = tool_path(c.run.app, driver_tool(*driver, c.run.target));
  return rewrite_key(c) + "+" + tool + "+" + (tool.empty() ? "" : tool_digest(tool)) + "+" +
         tool_path(c.run.app, "device-runner") +
         (c.run.options.bundle.empty() ? "" : "+bundle " + c.run.options.bundle);
}

bool nothing_to_do(PortContext& c, std::vector<PortStep>& steps) {
  struct Wanted {
    int number;
    const char* id;
    const char* title;
    std::string key;
  };
  const std::string rewrite = rewrite_key(c);
  const bool task = !c.run.project.task.kind.empty();
  const Wanted wanted[] = {
      {1, "import", "import", import_key(c.run)}, {2, "analyze", "analyze", rewrite},
      {3, "rewrite", "rewrite", rewrite},         {4, "model_gate", "model gate", task ? task_key(c) : rewrite},
      {5, "write", "write", write_key(c)},        {6, "quantise", "quantise", "none"},
      {7, "compile", "compile", compile_key(c)},  {8, "debug", "debug outputs", rewrite}};
  for (const Wanted& w : wanted) {
    PortStep s;
    s.number = w.number;
    s.id = w.id;
    s.title = w.title;
    if (!reuse(c, w.key, s)) return false;
    steps.push_back(std::move(s));
  }
  for (const char* file : {"report.json", "report.html", "README.md"})
    if (!read_file(c.run.path(file))) return false;
  return true;
}

Json step_to_json(const PortStep& s) {
  Json j{{"verdict", std::string(name(s.verdict))},
         {"reason", s.reason},
         {"details", s.details},
         {"files", s.files},
         {"proofs", Json::array()}};
  for (const Proof& p : s.proofs)
    j["proofs"].push_back(Json{{"part", p.part},
                               {"what", p.what},
                               {"sample", p.sample},
                               {"gate", p.gate},
                               {"verdict", std::string(name(p.result.verdict))},
                               {"reason", p.result.reason},
                               {"max_diff", p.result.max_diff},
                               {"relative", p.result.relative},
                               {"psnr", p.result.psnr},
                               {"mse", p.result.mse},
                               {"iou", p.result.iou}});
  return j;
}

Status step_from_json(const Json& j, PortStep& s) {
  try {
    // JSON has no infinity: a PSNR of equal pictures comes back as null.
    const auto real = [](const Json& v) {
      return v.is_number() ? v.get<double>() : std::numeric_limits<double>::infinity();
    };
    s.verdict = parse_verdict(j.at("verdict").get<std::string>());
    s.reason = j.at("reason").get<std::string>();
    s.details = j.at("details");
    s.files = j.at("files").get<std::vector<std::string>>();
    for (const Json& p : j.at("proofs")) {
      Proof proof{p.at("part").get<std::string>(),
                  p.at("what").get<std::string>(),
                  p.at("sample").get<std::string>(),
                  p.at("gate").get<std::string>(),
                  {},
                  true};
      proof.result.verdict = parse_verdict(p.at("verdict").get<std::string>());
      proof.result.reason = p.at("reason").get<std::string>();
      proof.result.max_diff = real(p.at("max_diff"));
      proof.result.relative = real(p.at("relative"));
      proof.result.psnr = real(p.at("psnr"));
      proof.result.mse = real(p.at("mse"));
      proof.result.iou = real(p.at("iou"));
      s.proofs.push_back(std::move(proof));
    }
  } catch (const nlohmann::json::exception& e) {
    return Diag(diag::corrupt, std::string("the recorded step is damaged: ") + e.what());
  }
  return {};
}

bool reuse(PortContext& c, const std::string& key, PortStep& s) {
  const Json* recorded = c.folder.reusable(s.id, key);
  if (!recorded) return false;
  PortStep copy = s;
  if (!step_from_json(*recorded, copy)) return false;
  s = std::move(copy);
  s.reused = true;
  return true;
}

Status remember(PortContext& c, const std::string& key, const PortStep& s) {
  if (s.verdict == Verdict::fail) return {};
  return c.folder.record(s.id, s.number, key, step_to_json(s), s.files);
}

}  // namespace npuport::app
