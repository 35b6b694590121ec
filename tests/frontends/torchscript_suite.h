// Runs one archive of a model suite: import, execute, compare with PyTorch's saved outputs.
#pragma once

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>

#include "base/diag_codes.h"
#include "exec/compare.h"
#include "exec/executor.h"
#include "frontends/torchscript.h"
#include "ir/npy.h"

namespace npuport::test {

struct SuiteResult {
  enum Outcome { equal, differs, refused, failed } outcome = failed;
  std::string detail;  // figures or the refusal
  std::string code;    // slug of the refusal
  size_t nodes = 0;
  double import_ms = 0, run_ms = 0;
};

// "in.0", "in.1", … in numerical order.
inline Result<std::vector<Tensor>> numbered(const NpzReader& npz, const std::string& prefix) {
  std::vector<Tensor> out;
  for (size_t i = 0; npz.has(prefix + std::to_string(i)); ++i) {
    NPU_ASSIGN(Tensor t, npz.read(prefix + std::to_string(i)));
    out.push_back(std::move(t));
  }
  return out;
}

inline ImportOptions options_for(std::span<const Tensor> inputs) {
  ImportOptions options;
  for (const Tensor& t : inputs) {
    InputSpec spec;
    spec.type = {t.dtype, t.shape, nullptr};
    options.inputs.push_back(std::move(spec));
  }
  return options;
}

// Numbers (int, float, bool arguments) get their sample value: a first import tells which inputs want one.
inline Result<ImportedModel> import_with_sample(const std::string& path, std::span<const Tensor> inputs) {
  ImportOptions options = options_for(inputs);
  Result<ImportedModel> model = import_torchscript(path, options);
  bool has_scalar = false;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].shape.empty()) continue;
    options.inputs[i].value = std::make_shared<const Tensor>(inputs[i]);
    has_scalar = true;
  }
  if (model || !has_scalar) return model;
  return import_torchscript(path, options);
}

inline const char* outcome_name(SuiteResult::Outcome o) {
  return o == SuiteResult::equal     ? "EQUAL"
         : o == SuiteResult::differs ? "DIFFERS"
         : o == SuiteResult::refused ? "REFUSED"
                                     : "FAILED";
}

// ARCHIVE.pt with ARCHIVE.npz beside it. refused: the importer said no; failed: something broke after the import.
inline SuiteResult run_archive(const std::string& archive) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point t) {
    return std::chrono::duration<double, std::milli>(Clock::now() - t).count();
  };
  SuiteResult r;
  const auto stop = [&](SuiteResult::Outcome outcome, const Diag& d) {
    r.outcome = outcome;
    r.code = d.code ? std::string(d.code->slug) : "";
    r.detail = d.message + (d.where.source.empty() ? "" : " (" + d.where.source + ")");
    return r;
  };
  const Result<NpzReader> npz = NpzReader::open(archive.substr(0, archive.size() - 3) + ".npz");
  if (!npz) return stop(SuiteResult::failed, npz.error());
  const Result<std::vector<Tensor>> in = numbered(*npz, "in."), want = numbered(*npz, "out.");
  if (!in) return stop(SuiteResult::failed, in.error());
  if (!want) return stop(SuiteResult::failed, want.error());
  Clock::time_point start = Clock::now();
  const Result<ImportedModel> model = import_with_sample(archive, *in);
  r.import_ms = since(start);
  if (!model) return stop(SuiteResult::refused, model.error());
  if (!model->opaque.empty())
    return stop(SuiteResult::refused, Diag(diag::unsupported_op, "no mapping for " + model->opaque[0].foreign));
  r.nodes = model->graph.node_count();
  if (const Status s = verify(model->graph, Stage::imported); !s) return stop(SuiteResult::failed, s.error());
  start = Clock::now();
  const Result<std::vector<Tensor>> got = execute(model->graph, *in);
  r.run_ms = since(start);
  if (!got) return stop(SuiteResult::failed, got.error());
  const Comparison c = compare_all(*got, *want, Gate{});
  r.outcome = c.verdict == Verdict::pass ? SuiteResult::equal : SuiteResult::differs;
  r.detail = "max " + std::to_string(c.max_diff) + " relative " + std::to_string(c.relative) + " " + c.reason;
  return r;
}

}  // namespace npuport::test
