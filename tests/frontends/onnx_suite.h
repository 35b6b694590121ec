// The ONNX backend cases that tests/support/onnx_cases.py writes: import, run, compare.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <string>
#include <vector>

#include "base/diag_codes.h"
#include "base/text.h"
#include "exec/executor.h"
#include "frontends/onnx.h"

namespace npuport::testing {

struct OnnxCase {
  std::string name, op, problem;
  double rtol = 1e-3, atol = 1e-7;
  int sets = 0;
};

struct OnnxVerdict {
  enum Kind { passed, refused, wrong } kind = wrong;
  std::string why;
};

inline std::vector<OnnxCase> read_onnx_cases(const std::string& folder) {
  std::vector<OnnxCase> cases;
  std::ifstream in(folder + "/cases.tsv");
  for (std::string line; std::getline(in, line);) {
    const auto f = split(line, '\t');
    if (f.size() != 6) continue;
    cases.push_back({std::string(f[0]), std::string(f[1]), std::string(f[5]), std::stod(std::string(f[2])),
                     std::stod(std::string(f[3])), std::stoi(std::string(f[4]))});
  }
  return cases;
}

// Where `got` deviates from `want`, by numpy.testing.assert_allclose's rule; types of 16 bits get one unit in the last
// place of their own. Empty when it does not.
inline std::string onnx_deviation(const Tensor& got, const Tensor& want, double rtol, double atol) {
  if (got.dtype != want.dtype || got.shape != want.shape) {
    return fmt::format("{} {} instead of {} {}", name(got.dtype), to_string(got.shape), name(want.dtype),
                       to_string(want.shape));
  }
  if (want.dtype == DType::f16) rtol = std::max(rtol, 2e-3), atol = std::max(atol, 1e-4);
  if (want.dtype == DType::bf16) rtol = std::max(rtol, 1.6e-2), atol = std::max(atol, 1e-3);
  // Sums of terms that cancel, as in Fourier transforms, are exact in neither: one unit of the largest element.
  double noise = 0;
  if (want.dtype == DType::f32) {
    for (int64_t i = 0; i < want.count(); ++i)
      if (const double b = std::fabs(get_double(want, i)); std::isfinite(b)) noise = std::max(noise, b);
    noise *= 1.2e-7;
  }
  for (int64_t i = 0; i < want.count(); ++i) {
    if (is_integer(want.dtype) || want.dtype == DType::boolean) {
      if (get_int(got, i) == get_int(want, i)) continue;
    } else {
      const double a = get_double(got, i), b = get_double(want, i);
      if (std::isnan(a) && std::isnan(b)) continue;
      if (a == b || std::fabs(a - b) <= atol + rtol * std::fabs(b)) continue;
      if (std::fabs(a - b) <= noise) continue;
    }
    return fmt::format("element {}: {} instead of {}", i, get_double(got, i), get_double(want, i));
  }
  return {};
}

// What a data file holds: constants in.0 …, out.0 ….
inline Result<std::pair<std::vector<Tensor>, std::vector<Tensor>>> read_onnx_data(const std::string& path) {
  NPU_ASSIGN(const ImportedModel data, import_onnx(path, {}));
  std::pair<std::vector<Tensor>, std::vector<Tensor>> both;
  for (const ValueId v : data.graph.outputs()) {
    const Value& value = data.graph.value(v);
    if (value.constant == nullptr) return Diag(diag::unsupported, data.opaque.front().foreign);
    (value.name.starts_with("in.") ? both.first : both.second).push_back(*value.constant);
  }
  return both;
}

// Shapes, axes, counts, scales that a case feeds at run time; models have them as constants. `level` 1: integers and
// booleans up to rank 1 and single numbers; 2: every vector; 3: everything, which tests the evaluation of constants.
inline bool is_parameter(const Tensor& t, int level) {
  const bool integral = is_integer(t.dtype) || t.dtype == DType::boolean || t.shape.empty();
  return level == 3 || (t.shape.size() <= 1 && (level == 2 || integral));
}

inline bool understood(const Result<ImportedModel>& m) { return m && m->opaque.empty(); }

inline OnnxVerdict run_onnx_set(const std::string& model_path, const std::string& data_path, const OnnxCase& c) {
  const auto data = read_onnx_data(data_path);
  if (!data) return {OnnxVerdict::refused, "data: " + data.error().message};
  ImportOptions options;
  for (const Tensor& t : data->first) options.inputs.push_back({"", {t.dtype, t.shape, nullptr}});
  Result<ImportedModel> model = import_onnx(model_path, options);
  for (int level = 1; level <= 3 && !understood(model); ++level) {
    for (size_t k = 0; k < data->first.size(); ++k) {
      if (is_parameter(data->first[k], level)) options.inputs[k].value = std::make_shared<const Tensor>(data->first[k]);
    }
    Result<ImportedModel> again = import_onnx(model_path, options);
    if (understood(again)) model = std::move(again);
  }
  if (!model) {
    const int code = model.error().code->exit_code;
    const auto kind = code == 1 ? OnnxVerdict::refused : OnnxVerdict::wrong;
    return {kind, fmt::format("{}: {}", model.error().code->slug, model.error().message)};
  }
  if (!model->opaque.empty()) return {OnnxVerdict::refused, model->opaque.front().foreign};
  auto executor = Executor::create(model->graph, {});
  if (!executor) return {OnnxVerdict::wrong, "executor: " + executor.error().message};
  const auto out = executor->run(data->first);
  if (!out) return {OnnxVerdict::wrong, "run: " + out.error().message};
  if (out->size() != data->second.size()) return {OnnxVerdict::wrong, "another number of outputs"};
  for (size_t k = 0; k < out->size(); ++k) {
    const std::string off = onnx_deviation((*out)[k], data->second[k], c.rtol, c.atol);
    if (!off.empty()) return {OnnxVerdict::wrong, fmt::format("output {}: {}", k, off)};
  }
  return {OnnxVerdict::passed, ""};
}

inline OnnxVerdict run_onnx_case(const std::string& folder, const OnnxCase& c) {
  const std::string model = folder + "/" + c.name + ".onnx";
  if (!c.problem.empty()) {
    // Sequences, strings and optionals at the border: the import must refuse, not invent something.
    const auto made = import_onnx(model, {});
    if (made && made->opaque.empty()) return {OnnxVerdict::wrong, "imported although its data are no tensors"};
    return {OnnxVerdict::refused, made ? made->opaque.front().foreign : made.error().message};
  }
  OnnxVerdict verdict{OnnxVerdict::wrong, "no data"};
  for (int k = 0; k < c.sets; ++k) {
    verdict = run_onnx_set(model, fmt::format("{}/{}.{}.data.onnx", folder, c.name, k), c);
    if (verdict.kind != OnnxVerdict::passed) return verdict;
  }
  return verdict;
}

}  // namespace npuport::testing
