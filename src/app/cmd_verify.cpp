#include <fmt/format.h>

#include <filesystem>

#include "app/commands.h"
#include "base/diag_codes.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "exec/bisect.h"
#include "exec/traps.h"
#include "ir/npy.h"

namespace npuport::app {
namespace {

// The other side of the comparison, per sample.
class Reference {
 public:
  static Result<Reference> open(const App& app, const VerifyArgs& args) {
    Reference r;
    if (args.b.empty()) return r;
    if (args.b.ends_with(".npz")) {
      SampleFile saved;
      saved.path = args.b;
      NPU_ASSIGN(saved.arrays, read_npz(args.b));
      r.saved_ = std::move(saved);
      return r;
    }
    NPU_ASSIGN(Runnable model, Runnable::open(app, args.b, args.options));
    r.model_ = std::move(model);
    return r;
  }

  Result<std::vector<Baseline>> outputs(const SampleFile& sample, const ExecOptions& exec) {
    if (saved_) return saved_->baseline();
    if (!model_) return sample.baseline();
    NPU_ASSIGN(const std::vector<Tensor> inputs, bind_inputs(sample, model_->inputs()));
    NPU_ASSIGN(std::vector<Tensor> out, model_->run(inputs, exec));
    std::vector<Baseline> whole;
    for (Tensor& t : out) {
      Shape shape = t.shape;
      whole.push_back({std::move(t), std::nullopt, std::move(shape)});
    }
    return whole;
  }
  Runnable* model() { return model_ ? &*model_ : nullptr; }

 private:
  std::optional<Runnable> model_;
  std::optional<SampleFile> saved_;
};

Json comparison_json(const std::string& sample, const Comparison& c, const Gate& gate) {
  Json j{{"sample", sample},
         {"gate", std::string(name(gate.kind))},
         {"verdict", std::string(name(c.verdict))},
         {"max_diff", c.max_diff},
         {"relative", c.relative}};
  if (gate.kind == GateKind::image) j["psnr"] = c.psnr, j["mse"] = c.mse;
  if (gate.kind == GateKind::mask) j["iou"] = c.iou;
  if (!c.reason.empty()) j["reason"] = c.reason;
  return j;
}

// The inputs a model's own graph sees for samples of the original interface.
Result<std::vector<Tensor>> graph_inputs(const Runnable& r, std::span<const Tensor> inputs) {
  const auto load = [](const std::string& path) -> Result<Graph> {
    NPU_ASSIGN(ImportedModel m, import_model(path, {}));
    return std::move(m.graph);
  };
  const HostRunner host = host_runner({}, std::filesystem::path(r.path()).parent_path().string(), load);
  return to_file_inputs(r.contract(), inputs, host);
}

Result<Bisection> bisect_failure(const App& app, const VerifyArgs& args, const Runnable& candidate,
                                 const Runnable* reference, std::span<const Tensor> inputs) {
  BisectOptions options;
  options.threads = app.threads;
  NPU_ASSIGN(const std::vector<Tensor> candidate_inputs, graph_inputs(candidate, inputs));
  if (!args.layers.empty()) {
    NPU_ASSIGN(const auto arrays, read_npz(args.layers));
    const std::map<std::string, Tensor> layers(arrays.begin(), arrays.end());
    return bisect(layers, inputs, candidate.model().graph, candidate_inputs, options);
  }
  if (!reference)
    return Diag(diag::usage, "--bisect needs a reference for the inside of the model",
                "give a reference model as B, or --layers FILE.npz from `npuport trace --layers`");
  NPU_ASSIGN(const std::vector<Tensor> reference_inputs, graph_inputs(*reference, inputs));
  return bisect(reference->model().graph, reference_inputs, candidate.model().graph, candidate_inputs, options);
}

// One sample as compared, in the interface of the original.
struct Compared {
  std::vector<Tensor> inputs;
  std::vector<Baseline> expected;
};

// Known wrong ports. Only where the file's own outputs are the original's: merged or turned ones compare as none.
Result<std::optional<TrapFinding>> trap_of(const App& app, const VerifyArgs& args, const Runnable& candidate,
                                           const Runnable* reference, const std::vector<Compared>& samples) {
  if (args.gate.kind == GateKind::text) return std::optional<TrapFinding>();
  std::vector<std::vector<Tensor>> inputs;
  for (const Compared& s : samples) {
    NPU_ASSIGN(std::vector<Tensor> in, graph_inputs(candidate, s.inputs));
    inputs.push_back(std::move(in));
  }
  TrapQuestion q{candidate.model().graph, {}, args.gate, reference ? &reference->model().graph : nullptr, app.threads};
  for (size_t k = 0; k < samples.size(); ++k) q.samples.push_back({inputs[k], samples[k].expected});
  return find_trap(q);
}

Json trap_json(const TrapFinding& f) {
  return Json{{"trap", std::string(f.trap)},
              {"tensor", f.tensor},
              {"lesson", std::string(f.lesson->id)},
              {"sentence", f.sentence}};
}

Json bisection_json(const Bisection& b) {
  return Json{{"found", b.found},
              {"class", std::string(name(b.repair))},
              {"node", b.node},
              {"op", b.op},
              {"scope", b.scope},
              {"source", b.source},
              {"weights", b.weights},
              {"suspects", b.suspects},
              {"relative", b.relative},
              {"points", b.points},
              {"evaluations", b.evaluations},
              {"tolerance", BisectOptions().tolerance},
              {"lesson", b.lesson ? Json(std::string(b.lesson->id)) : Json()},
              {"sentence", b.sentence}};
}

std::string bisection_text(const Bisection& b) {
  std::string out = fmt::format("bisection: {}\n", b.sentence);
  if (b.found)
    out += fmt::format("  node     {} ({})\n  scope    {}\n  source   {}\n  weights  {}\n  class    {}\n", b.node, b.op,
                       b.scope, b.source, join(b.weights, ", "), name(b.repair));
  if (b.lesson) out += fmt::format("  lesson   {} {}\n", b.lesson->id, b.lesson->title);
  return out + fmt::format("  {} evaluations over {} values, each held to {:.0e} of its spread (NPU-V02)\n",
                           b.evaluations, b.points, BisectOptions().tolerance);
}

// After a failure the trap and the first node that deviates; saved layers are compared whatever the outputs say: what
// deviates inside may be squashed by what follows.
Status look_inside(const App& app, const VerifyArgs& args, const Runnable& a, const Runnable* reference,
                   const std::vector<Compared>& compared, std::optional<size_t> failing, Verdict& overall, Outcome& o) {
  bool named = false;
  if (failing && args.bisect) {
    NPU_ASSIGN(const std::optional<TrapFinding> trap, trap_of(app, args, a, reference, compared));
    if (trap) {
      named = true;
      o.json["trap"] = trap_json(*trap);
      o.text += fmt::format("trap: {}\n  lesson   {} {}\n", trap->sentence, trap->lesson->id, trap->lesson->title);
    }
  }
  const bool inner = !args.layers.empty() || (reference && args.bisect && failing);
  if (!inner && (!failing || !args.bisect || named)) return {};
  NPU_ASSIGN(const Bisection b, bisect_failure(app, args, a, reference, compared[failing.value_or(0)].inputs));
  o.json["bisect"] = bisection_json(b);
  o.text += bisection_text(b);
  if (b.found) overall = Verdict::fail;
  return {};
}

}  // namespace

CommandResult verify_models(const App& app, const VerifyArgs& args) {
  // Only a failure needs them; a wrong name shall not wait for one.
  if (!args.layers.empty())
    if (auto layers = MappedFile::open(args.layers); !layers) return std::move(layers).error();
  NPU_ASSIGN(Runnable a, Runnable::open(app, args.a, args.options));
  NPU_ASSIGN(Reference reference, Reference::open(app, args));
  NPU_ASSIGN(const std::vector<SampleFile> samples, read_samples(args.options.samples));
  if (samples.empty())
    return Diag(diag::usage, "nothing to compare on", "give --samples FILE.npz; a proof takes several");
  ExecOptions exec;
  exec.threads = app.threads;
  Outcome o;
  Verdict overall = Verdict::pass;
  o.json["samples"] = Json::array();
  std::optional<size_t> failing;  // the first of `compared`
  std::vector<Compared> compared;
  for (const SampleFile& s : samples) {
    NPU_ASSIGN(std::vector<Tensor> inputs, bind_inputs(s, a.inputs()));
    NPU_ASSIGN(const std::vector<Tensor> got, a.run(inputs, exec));
    NPU_ASSIGN(std::vector<Baseline> expected, reference.outputs(s, exec));
    Comparison c;
    if (expected.empty()) {
      c.verdict = Verdict::unverified;
      c.reason = "the sample holds no baseline (out.0, …) and no reference was given";
    } else {
      c = compare_all(got, expected, args.gate);
    }
    if (c.verdict == Verdict::fail && !failing) failing = compared.size();
    overall = worst(overall, c.verdict);
    o.json["samples"].push_back(comparison_json(s.path, c, args.gate));
    o.text += fmt::format("{:<10} {}  max diff {:.3g}, relative {:.3g}{}\n", name(c.verdict), s.path, c.max_diff,
                          c.relative, c.reason.empty() ? "" : "  " + c.reason);
    if (args.bisect || !args.layers.empty()) compared.push_back({std::move(inputs), std::move(expected)});
  }
  NPU_TRY(look_inside(app, args, a, reference.model(), compared, failing, overall, o));
  o.json["verdict"] = std::string(name(overall));
  o.exit_code = overall == Verdict::pass ? 0 : 1;
  return o;
}

}  // namespace npuport::app
