#include "app/port_steps.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "app/decision_names.h"
#include "app/port_diagnose.h"
#include "app/port_keys.h"
#include "app/port_proof.h"
#include "app/prepare_part.h"
#include "app/task_gate.h"
#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "base/hash.h"
#include "base/lessons.h"
#include "base/text.h"
#include "drivers/diagnose/lint.h"
#include "target/legality.h"

namespace npuport::app {
namespace {

using Diagnosis = Status (*)(PortContext&, PartRun&, const BoundSample&, PortStep&);

// The first failing sample of each part is looked into.
Status diagnose_failures(PortContext& c, PortStep& s, Diagnosis diagnose) {
  for (PartRun& p : c.run.parts)
    for (const BoundSample& sample : p.samples) {
      const auto failed = [&](const Proof& proof) {
        return proof.part == p.spec->name && proof.sample == sample.name && proof.result.verdict == Verdict::fail;
      };
      if (std::none_of(s.proofs.begin(), s.proofs.end(), failed)) continue;
      NPU_TRY(diagnose(c, p, sample, s));
      break;
    }
  return {};
}

namespace fs = std::filesystem;
constexpr const char* kAnalysisMd = "operator_analysis.md";
constexpr const char* kAnalysisJson = "operator_analysis.json";

std::string shape_tag(const PartRun& p) {
  if (!p.spec->shape_tag.empty()) return safe_file_name(p.spec->shape_tag);
  if (p.inputs.empty() || p.inputs.front().type.shape.empty()) return "scalar";
  const Shape& s = p.inputs.front().type.shape;
  const size_t skip = s.size() > 1 && s.front() == 1 ? 1 : 0;  // the batch of one says nothing
  return to_string(std::span(s).subspan(skip));
}

Status import_part(PortContext& c, PartRun& p) {
  NPU_ASSIGN(const Frontend* frontend, frontend_for(p.spec->model));
  if (!frontend->import)
    return Diag(diag::unknown_format, "a file of type " + std::string(frontend->format) + " cannot be ported as it is",
                "trace it first: `npuport trace`")
        .in_file(p.spec->model);
  NPU_ASSIGN(const std::vector<SampleFile> samples, read_samples(p.spec->samples));
  ImportOptions options;
  options.inputs = p.spec->inputs;
  if (options.inputs.empty() && !samples.empty()) {
    NPU_ASSIGN(const FileFacts facts, frontend->inspect(p.spec->model));
    NPU_ASSIGN(options.inputs, input_specs(facts, &samples.front(), {}));
  }
  Progress progress("importing " + p.spec->name, c.run.app.quiet);
  options.progress = [&](double f) { progress.update(f); };
  Result<ImportedModel> model = frontend->import(p.spec->model, options);
  if (!model) {
    Diag d = std::move(model).error().in_file(p.spec->model);
    return samples.empty() ? d : with_sample(std::move(d), samples.front());
  }
  p.imported = std::move(*model);
  p.imported.graph.name = c.run.project.name + "_" + p.spec->name;
  p.operators_imported = p.imported.graph.node_count();
  p.inputs.clear();
  for (const ValueId v : p.imported.graph.inputs())
    p.inputs.push_back({p.imported.graph.value(v).name, p.imported.graph.type(v)});
  p.shape_tag = shape_tag(p);
  for (const SampleFile& s : samples) {
    BoundSample b;
    b.name = fs::path(s.path).stem().string();
    NPU_ASSIGN(b.inputs, bind_inputs(s, p.inputs));
    NPU_ASSIGN(b.baseline, s.baseline());
    p.samples.push_back(std::move(b));
  }
  return {};
}

// Fills every sample's `imported` outputs, once.
Status run_imported(PortContext& c, PartRun& p) {
  if (p.samples.empty() || !p.samples.front().imported.empty()) return {};
  ExecOptions exec;
  exec.threads = c.run.app.threads;
  NPU_ASSIGN(Executor executor, Executor::create(p.imported.graph, exec));
  for (BoundSample& sample : p.samples) {
    NPU_ASSIGN(sample.imported, executor.run(sample.inputs));
  }
  return {};
}

// Compares the imported graph's outputs with PyTorch's.
Status prove_import(PortContext& c, PartRun& p, PortStep& s) {
  NPU_TRY(run_imported(c, p));
  for (BoundSample& sample : p.samples) {
    Proof proof{p.spec->name, "imported = PyTorch", sample.name, "general", {}, false};
    if (sample.baseline.empty()) {
      proof.result.verdict = Verdict::unverified;
      proof.result.reason = "the sample holds no baseline outputs (out.0, …)";
    } else {
      proof.result = compare_all(sample.imported, sample.baseline, general_gate(*p.spec));
    }
    s.proofs.push_back(std::move(proof));
  }
  if (p.samples.empty()) {
    Proof proof{p.spec->name, "imported = PyTorch", "", "general", {}, false};
    proof.result.verdict = Verdict::unverified;
    proof.result.reason = "no samples were given";
    s.proofs.push_back(std::move(proof));
  }
  return {};
}

std::vector<const Ledger*> ledgers(const PortRun& run) {
  std::vector<const Ledger*> out;
  for (const PartRun& p : run.parts) out.push_back(&p.ledger);
  return out;
}

std::string file_or_empty(const std::string& path) {
  const Result<std::string> text = read_file(path, uint64_t{64} << 20);
  return text ? *text : std::string();
}

}  // namespace

Status load_decisions(PortContext& c) {
  const std::string generated = ".npuport/generated/";
  NPU_ASSIGN(
      c.decisions,
      read_decisions(file_or_empty(c.run.path(kAnalysisMd)), file_or_empty(c.run.path(generated + kAnalysisMd)),
                     file_or_empty(c.run.path(kAnalysisJson)), file_or_empty(c.run.path(generated + kAnalysisJson))));
  return check_decisions(c.decisions, file_or_empty(c.run.path(generated + kAnalysisJson)),
                         c.run.options.rewrites.get());
}

namespace {

Status write_analysis(PortContext& c, PortStep& s) {
  std::vector<Analysis> parts;
  for (PartRun& p : c.run.parts) {
    if (!p.imported.opaque.empty())  // its rows are no nodes of a graph
      for (AnalysisEntry& e : p.analysis.entries)
        if (const auto* d = find_decision(c.decisions, p.spec->name, e.op, nullptr)) e.decision = d->second;
    parts.push_back(p.analysis);
  }
  const std::string md = analysis_markdown(parts, c.run.target, ledgers(c.run));
  const std::string json = dump_json(analysis_json(parts, c.run.target));
  NPU_TRY(make_folders(c.run.path(".npuport/generated")));
  for (const std::string& folder : {std::string(), std::string(".npuport/generated/")}) {
    NPU_TRY(write_file(c.run.path(folder + kAnalysisMd), md));
    NPU_TRY(write_file(c.run.path(folder + kAnalysisJson), json));
  }
  s.files = {kAnalysisMd, kAnalysisJson};
  return {};
}

std::string impossible_list(const PortRun& run) {
  std::vector<std::string> list;
  for (const PartRun& p : run.parts)
    for (const AnalysisEntry& e : p.analysis.entries)
      if (e.status == "impossible" && e.decision != "keep")
        list.push_back(fmt::format("{} {} ×{}: {}", p.spec->name, e.op, e.count, e.reason));
  return join(list, "; ");
}

Status make_executor(PortContext& c, PartRun& p) {
  ExecOptions exec;
  exec.threads = c.run.app.threads;
  NPU_ASSIGN(Executor executor, Executor::create(p.rewritten, exec));
  p.rewritten_executor = std::make_shared<Executor>(std::move(executor));
  for (BoundSample& sample : p.samples) sample.rewritten.clear();
  return {};
}

Status prove_rewrite(PortContext& c, PartRun& p, PortStep& s) {
  NPU_TRY(run_imported(c, p));
  for (BoundSample& sample : p.samples) {
    NPU_ASSIGN(const std::vector<Tensor> got, run_sample(p, sample));
    Proof proof{p.spec->name,
                "rewritten + host steps = imported",
                sample.name,
                "general",
                compare_all(got, sample.imported, general_gate(*p.spec)),
                false};
    s.proofs.push_back(std::move(proof));
  }
  return {};
}

// ONNX on the way to TFLite works, and is the longer way (S1-26).
void note_detour(const PortContext& c, const PartRun& p, PortStep& s) {
  if (c.run.target.format != "tflite" || !p.spec->model.ends_with(".onnx")) return;
  Diag d(diag::unverified,
         "part " + p.spec->name + " comes as ONNX, and " + c.run.target.name +
             " takes TFLite: what the exporter made of the model is ported, not the model",
         "straight from PyTorch: `npuport trace` or torch.jit.trace, then port the .pt (lesson NPU-T02)");
  d.severity = Severity::warning;
  c.run.app.warn(d.in_file(p.spec->model));
  s.problems.push_back(std::move(d));
}

}  // namespace

Result<PortStep> step_import(PortContext& c) {
  PortStep s = make_step(1, "import", "import");
  for (PartRun& p : c.run.parts) {
    NPU_TRY(import_part(c, p));
    for (const Diag& w : p.imported.warnings) s.problems.push_back(w);
    note_detour(c, p, s);
  }
  for (const PartRun& p : c.run.parts)
    if (!p.imported.opaque.empty()) {
      s.verdict = Verdict::skip;
      s.reason = "part " + p.spec->name + " holds operators npuport cannot import";
      s.problems.push_back(opaque_diag(p.imported.opaque));
    }
  if (!s.reason.empty()) return s;
  if (reuse(c, import_key(c.run), s)) return s;
  for (PartRun& p : c.run.parts) NPU_TRY(prove_import(c, p, s));
  NPU_TRY(diagnose_failures(c, s, diagnose_import));
  for (const PartRun& p : c.run.parts)
    s.details[p.spec->name] = Json{{"operators", p.operators_imported}, {"sha256", p.model_hash}};
  conclude(s);
  NPU_TRY(remember(c, import_key(c.run), s));
  return s;
}

namespace {

// Where only approximate rewrites would make every part legal: which, and how to have them. Empty otherwise.
std::string approximate_way(PortContext& c) {
  if (c.run.options.allow_approximate) return {};
  std::set<std::string> rows;
  bool helps = true;
  c.run.options.allow_approximate = true;
  for (const PartRun& p : c.run.parts) {
    if (p.analysis.feasible()) continue;
    helps = helps && p.imported.opaque.empty();
    if (!helps) break;
    PartRun trial = p;
    const Result<std::vector<Finding>> left = prepare_part(c, trial);
    helps = left && left->empty();
    for (const LedgerEntry& e : trial.ledger.entries())
      if (e.numerics == Numerics::approximate) rows.insert(e.rewrite);
  }
  c.run.options.allow_approximate = false;
  if (!helps || rows.empty()) return {};
  return fmt::format("; --allow-approximate would rewrite it ({})", fmt::join(rows, ", "));
}

// What is known to trouble vendor compilers, said before any of them runs (S3-40, S3-41): a warning per kind with its
// first places in the user's code and the cure.
void add_lint(const PartRun& p, PortStep& s) {
  for (const diagnose::Lint& l : diagnose::lint(p.imported.graph)) {
    Diag d(diag::illegal_for_target,
           fmt::format("part {}: {} ({} {})", p.spec->name, l.what, l.count, l.count == 1 ? "place" : "places"),
           l.cure);
    d.severity = Severity::warning;
    std::string first;
    for (const Origin& o : l.places) {
      if (o.source.empty()) continue;
      if (first.empty()) {
        first = o.source;
        d.at_source(o.source);
      } else if (o.source != first) {
        Diag also(diag::illegal_for_target, "also here");
        also.severity = Severity::note;
        d.with_note(std::move(also.at_source(o.source)));
      }
    }
    s.problems.push_back(std::move(d));
  }
}

// A decision that could not be followed is said, not passed over: the automatic choice stands instead.
void add_unheeded(const PortContext& c, const PartRun& p, PortStep& s) {
  for (const AnalysisEntry& e : p.analysis.entries) {
    if (e.decision == "auto" || e.decision == "keep" || e.status == "ok") continue;
    const bool heeded = e.decision == "host"
                            ? e.status == "host"
                            : std::any_of(e.rewrites.begin(), e.rewrites.end(), [&](const std::string& r) {
                                return r == e.decision || (e.decision == "body" && r == e.op + "_body");
                              });
    if (heeded) continue;
    Diag d(diag::illegal_for_target,
           fmt::format("the decision '{}' for {} cannot be followed; done instead: {}", e.decision, e.op,
                       e.rewrites.empty() ? "nothing" : join(e.rewrites, ", ")),
           "choose another in operator_analysis.md, or auto");
    d.severity = Severity::warning;
    if (!e.places.empty()) d.at_source(e.places.front().source);
    c.run.app.warn(d);
    s.problems.push_back(std::move(d));
  }
}

}  // namespace

Result<PortStep> step_analyze(PortContext& c) {
  PortStep s = make_step(2, "analyze", "analyze");
  for (PartRun& p : c.run.parts) {
    if (!p.imported.opaque.empty()) {
      p.analysis = opaque_analysis(p.spec->name, p.imported, c.run.target);
      continue;
    }
    add_lint(p, s);
    NPU_ASSIGN(const std::vector<Finding> left, prepare_part(c, p));
    const Target target = at_opset(c.run.target, p.opset);
    p.analysis = analyse(p.spec->name, p.imported.graph, target, format_mapper(target), p.ledger, p.rewritten, left,
                         c.decisions);
    add_unheeded(c, p, s);
    p.weight_bytes = p.analysis.weight_bytes;
    for (const Finding& f : left) s.problems.push_back(f.to_diag(p.rewritten));
  }
  NPU_TRY(write_analysis(c, s));
  const std::string impossible = impossible_list(c.run);
  s.verdict = impossible.empty() ? Verdict::pass : Verdict::fail;
  if (!impossible.empty()) s.reason = "no rewrite for: " + impossible + approximate_way(c);
  for (const PartRun& p : c.run.parts)
    s.details[p.spec->name] = Json{{"feasible", p.analysis.feasible()}, {"macs", p.analysis.macs}};
  NPU_TRY(remember(c, rewrite_key(c), s));
  return s;
}

Result<PortStep> step_rewrite(PortContext& c) {
  PortStep s = make_step(3, "rewrite", "rewrite");
  for (PartRun& p : c.run.parts) NPU_TRY(make_executor(c, p));
  if (reuse(c, rewrite_key(c), s)) return s;
  for (PartRun& p : c.run.parts) NPU_TRY(prove_rewrite(c, p, s));
  NPU_TRY(diagnose_failures(c, s, diagnose_rewrite));
  conclude(s);
  for (const PartRun& p : c.run.parts)
    s.details[p.spec->name] = Json{{"operators_before", p.operators_imported},
                                   {"operators_after", p.rewritten.node_count()},
                                   {"changes", p.ledger.size()}};
  NPU_TRY(remember(c, rewrite_key(c), s));
  return s;
}

namespace {

// Without a task each part is held to PyTorch's outputs under its own gate.
Result<PortStep> gate_parts(PortContext& c, PortStep s) {
  if (reuse(c, rewrite_key(c), s)) return s;
  for (PartRun& p : c.run.parts)
    for (BoundSample& sample : p.samples) {
      if (sample.baseline.empty()) continue;
      NPU_ASSIGN(const std::vector<Tensor> got, run_sample(p, sample));
      s.proofs.push_back({p.spec->name, "ported = PyTorch", sample.name, std::string(name(p.spec->gate.kind)),
                          compare_all(got, sample.baseline, p.spec->gate), false});
    }
  conclude(s);
  if (s.proofs.empty()) {
    s.verdict = Verdict::unverified;
    s.reason = "no sample holds a baseline";
  }
  NPU_TRY(remember(c, rewrite_key(c), s));
  return s;
}

}  // namespace

namespace {

// What the task found about its failures, each once.
void add_task_problems(const PortContext& c, PortStep& s) {
  std::set<std::string> said;
  for (const Json& r : c.run.task_results) {
    if (!r.contains("diagnosis")) continue;
    const std::string sentence = r["diagnosis"]["sentence"].get<std::string>();
    const Lesson* l = find_lesson(r["diagnosis"]["lesson"].get<std::string>());
    if (said.insert(sentence).second && l)
      s.problems.emplace_back(diag::gate_failed, "task: " + sentence, fmt::format("{} (lesson {})", l->cure, l->id));
  }
}

}  // namespace

Result<PortStep> step_model_gate(PortContext& c) {
  PortStep s = make_step(4, "model_gate", "model gate");
  if (c.run.project.task.kind.empty()) return gate_parts(c, std::move(s));
  const std::string key = task_key(c);
  if (reuse(c, key, s)) {
    c.run.task_results = s.details.is_object() && s.details.contains("results") ? s.details["results"] : Json::array();
    return s;
  }
  const PartRunner runner = [&](const std::string& part,
                                std::span<const Tensor> inputs) -> Result<std::vector<Tensor>> {
    for (PartRun& p : c.run.parts)
      if (p.spec->name == part) return run_part(p, inputs);
    return Diag(diag::internal, "no part " + part);
  };
  NPU_ASSIGN(s.proofs, run_task(c.run.app, c.run.project, runner, c.run.task_results));
  conclude(s);
  if (s.proofs.empty()) {
    s.verdict = Verdict::unverified;
    s.reason = "the task has no samples";
  }
  add_task_problems(c, s);
  s.details["results"] = c.run.task_results;
  NPU_TRY(remember(c, key, s));
  return s;
}

Result<PortStep> step_quantise(PortContext& c) {
  PortStep s = make_step(6, "quantise", "quantise");
  s.verdict = Verdict::skip;
  s.reason = "not asked for";
  NPU_TRY(remember(c, "none", s));
  return s;
}

}  // namespace npuport::app
