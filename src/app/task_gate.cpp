#include "app/task_gate.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/diag_codes.h"

namespace npuport::app {
namespace {

Result<std::vector<int64_t>> id_list(const Json& j, const char* key, const std::string& path) {
  std::vector<int64_t> out;
  if (!j.contains(key) || !j[key].is_array())
    return Diag(diag::corrupt, std::string("no list '") + key + "'").in_file(path);
  for (const Json& v : j[key]) {
    if (!v.is_number_integer())
      return Diag(diag::corrupt, std::string("'") + key + "' holds something else than ids").in_file(path);
    out.push_back(v.get<int64_t>());
  }
  return out;
}

Result<int64_t> integer(const Json& j, const char* key, const std::string& path) {
  if (!j.contains(key) || !j[key].is_number_integer())
    return Diag(diag::corrupt, std::string("no integer '") + key + "'").in_file(path);
  return j[key].get<int64_t>();
}

// The best allowed id in one row of logits.
Result<int64_t> choose(std::span<const float> row, const std::vector<bool>& forbidden) {
  int64_t best = -1;
  for (size_t i = 0; i < row.size(); ++i) {
    if (std::isnan(row[i])) return Diag(diag::gate_failed, "the decoder's logits hold NaN at id " + std::to_string(i));
    if (!forbidden[i] && (best < 0 || row[i] > row[static_cast<size_t>(best)])) best = static_cast<int64_t>(i);
  }
  if (best < 0) return Diag(diag::gate_failed, "every id is suppressed");
  return best;
}

std::vector<bool> forbidden_ids(size_t vocabulary, const std::vector<int64_t>& a, const std::vector<int64_t>& b) {
  std::vector<bool> out(vocabulary, false);
  for (const std::vector<int64_t>* list : {&a, &b})
    for (const int64_t id : *list)
      if (id >= 0 && static_cast<size_t>(id) < vocabulary) out[static_cast<size_t>(id)] = true;
  return out;
}

constexpr float kMasked = -60000.0F;  // exp() of it is 0, and float16 holds it

Result<const ProjectLink*> decoder_link(const Project& project, const DecodeRules& rules) {
  if (project.links.size() == 1) return &project.links.front();
  for (const ProjectLink& l : project.links)
    if (l.to_part == rules.roles.at("decoder")) return &l;
  return Diag(diag::unsupported, "an ASR task needs a link from the encoder to part '" + rules.roles.at("decoder") +
                                     "'; none of the project's " + std::to_string(project.links.size()) +
                                     " links is one");
}

Result<Tensor> encode(const ProjectLink& link, const Tensor& features, const PartRunner& run) {
  const Tensor in[] = {features};
  NPU_ASSIGN(const std::vector<Tensor> out, run(link.from_part, in));
  if (link.from_output >= out.size())
    return Diag(diag::bad_input_data,
                "part '" + link.from_part + "' has no output " + std::to_string(link.from_output));
  return out[link.from_output];
}

// Logits behind the last of `tokens`; valid until the next call.
using NextLogits = std::function<Result<std::span<const float>>(std::span<const int64_t> tokens)>;

Result<std::vector<int64_t>> greedy_loop(const DecodeRules& rules, const NextLogits& next_logits) {
  std::vector<int64_t> tokens = rules.initial_tokens;
  const size_t prompt = tokens.size();
  std::vector<bool> later, first;
  while (static_cast<int64_t>(tokens.size()) < rules.max_tokens &&
         static_cast<int64_t>(tokens.size() - prompt) < rules.max_new_tokens) {
    NPU_ASSIGN(const std::span<const float> row, next_logits(tokens));
    if (later.empty()) {
      later = forbidden_ids(row.size(), rules.suppress_tokens, {});
      first = forbidden_ids(row.size(), rules.suppress_tokens, rules.suppress_first);
    }
    NPU_ASSIGN(const int64_t next, choose(row, tokens.size() == prompt ? first : later));
    if (next == rules.eot) break;
    tokens.push_back(next);
  }
  tokens.erase(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(prompt));
  return tokens;
}

Json ids_json(std::span<const int64_t> ids) { return Json(std::vector<int64_t>(ids.begin(), ids.end())); }

std::string first_difference(std::span<const int64_t> expected, std::span<const int64_t> got) {
  const size_t n = std::min(expected.size(), got.size());
  size_t i = 0;
  while (i < n && expected[i] == got[i]) ++i;
  const auto at = [&](std::span<const int64_t> ids) {
    return i < ids.size() ? std::to_string(ids[i]) : std::string("the end");
  };
  return "token ids differ at position " + std::to_string(i) + ": expected " + at(expected) + ", got " + at(got);
}

bool has_cached_loop(const Project& project, const DecodeRules& rules) {
  return project.part(rules.roles.at("cross_kv")) && project.part(rules.roles.at("decoder_kv"));
}

Result<std::vector<Proof>> run_asr(const App& app, const Project& project, const std::vector<SampleFile>& samples,
                                   const PartRunner& run, Json& results) {
  NPU_ASSIGN(const DecodeRules rules, read_decode_rules(project.task.decode));
  std::vector<Proof> proofs;
  Progress progress("decoding clips", app.quiet);
  for (const SampleFile& s : samples) {
    progress.update(static_cast<double>(proofs.size()) / static_cast<double>(samples.size()), s.path);
    const Tensor* mel = s.find("mel") ? s.find("mel") : s.find("in.0");
    const Tensor* ids = s.find("ids") ? s.find("ids") : s.find("out.0");
    if (!mel || !ids) return Diag(diag::bad_input_data, "an ASR sample needs 'mel' and 'ids'").in_file(s.path);
    std::vector<int64_t> expected;
    for (int64_t i = 0; i < ids->count(); ++i) expected.push_back(get_int(*ids, i));
    for (const bool cached : {false, true}) {
      if (cached && !has_cached_loop(project, rules)) continue;
      NPU_ASSIGN(const std::vector<int64_t> got,
                 (cached ? greedy_decode_cached : greedy_decode)(project, rules, *mel, run));
      Proof p{"",
              cached ? "ported parts chained, cached decoder = PyTorch's greedy ids"
                     : "ported parts chained = PyTorch's greedy ids",
              std::filesystem::path(s.path).stem().string(),
              "text",
              {},
              false};
      p.result.verdict = expected == got ? Verdict::pass : Verdict::fail;
      if (expected != got) p.result.reason = first_difference(expected, got);
      results.push_back(Json{{"sample", p.sample},
                             {"loop", cached ? "kv" : "full"},
                             {"expected", ids_json(expected)},
                             {"got", ids_json(got)},
                             {"verdict", std::string(name(p.result.verdict))}});
      proofs.push_back(std::move(p));
    }
  }
  return proofs;
}

// One part, one input: sr and general tasks compare the part's outputs with the baseline under the task's gate.
Result<std::vector<Proof>> run_single(const Project& project, const std::vector<SampleFile>& samples,
                                      const PartRunner& run, Json& results) {
  if (project.parts.size() != 1)
    return Diag(diag::unsupported, "a task of kind '" + project.task.kind +
                                       "' needs a project of one part, this one has " +
                                       std::to_string(project.parts.size()));
  const ProjectPart& part = project.parts.front();
  std::vector<Proof> proofs;
  for (const SampleFile& s : samples) {
    NPU_ASSIGN(const std::vector<Tensor> inputs, bind_inputs(s, part.inputs));
    NPU_ASSIGN(const std::vector<Tensor> got, run(part.name, inputs));
    Proof p{part.name,
            "ported part = PyTorch's result",
            std::filesystem::path(s.path).stem().string(),
            std::string(name(project.task.gate.kind)),
            {},
            false};
    NPU_ASSIGN(const std::vector<Baseline> baseline, s.baseline());
    if (baseline.empty()) {
      p.result.verdict = Verdict::unverified;
      p.result.reason = "the sample holds no baseline (out.0)";
    } else {
      p.result = compare_all(got, baseline, project.task.gate);
    }
    results.push_back(Json{{"sample", p.sample},
                           {"psnr", p.result.psnr},
                           {"mse", p.result.mse},
                           {"max_diff", p.result.max_diff},
                           {"verdict", std::string(name(p.result.verdict))}});
    proofs.push_back(std::move(p));
  }
  return proofs;
}

}  // namespace

Result<DecodeRules> read_decode_rules(const std::string& path) {
  NPU_ASSIGN(const std::string text, read_file(path, uint64_t{16} << 20));
  NPU_ASSIGN(const Json j, parse_json(text, path));
  if (!j.is_object()) return Diag(diag::corrupt, "decoding rules must be a JSON object").in_file(path);
  DecodeRules r;
  NPU_ASSIGN(r.initial_tokens, id_list(j, "initial_tokens", path));
  NPU_ASSIGN(r.suppress_tokens, id_list(j, "suppress_tokens", path));
  NPU_ASSIGN(r.suppress_first, id_list(j, "suppress_first", path));
  NPU_ASSIGN(r.eot, integer(j, "eot", path));
  NPU_ASSIGN(r.pad_token, integer(j, "pad_token", path));
  NPU_ASSIGN(r.max_tokens, integer(j, "max_tokens", path));
  NPU_ASSIGN(r.max_new_tokens, integer(j, "max_new_tokens", path));
  if (j.contains("parts") && j["parts"].is_object())
    for (const auto& [role, part] : j["parts"].items())
      if (part.is_string()) r.roles[role] = part.get<std::string>();
  if (r.max_tokens <= 0 || r.max_tokens > 65536 || r.initial_tokens.empty() ||
      static_cast<int64_t>(r.initial_tokens.size()) > r.max_tokens)
    return Diag(diag::corrupt, "impossible token counts").in_file(path);
  return r;
}

Result<std::vector<int64_t>> greedy_decode(const Project& project, const DecodeRules& rules, const Tensor& features,
                                           const PartRunner& run) {
  NPU_ASSIGN(const ProjectLink* const link, decoder_link(project, rules));
  NPU_ASSIGN(const Tensor encoded, encode(*link, features, run));
  const ProjectPart& decoder = *project.part(link->to_part);
  std::vector<Tensor> inputs(2);
  size_t audio = 1;
  for (size_t i = 0; i < decoder.inputs.size(); ++i)
    if (decoder.inputs[i].name == link->to_input) audio = i;
  if (audio > 1) return Diag(diag::unsupported, "an ASR decoder takes tokens and the encoder's output");
  inputs[audio] = encoded;
  std::vector<Tensor> out;  // keeps the logits alive
  return greedy_loop(rules, [&](std::span<const int64_t> tokens) -> Result<std::span<const float>> {
    std::vector<int64_t> padded(static_cast<size_t>(rules.max_tokens), rules.pad_token);
    std::copy(tokens.begin(), tokens.end(), padded.begin());
    inputs[1 - audio] = Tensor::of<int64_t>({1, rules.max_tokens}, std::span<const int64_t>(padded));
    NPU_ASSIGN(out, run(link->to_part, inputs));
    if (out.empty() || out[0].dtype != DType::f32 || out[0].shape.size() != 3 || out[0].shape[1] != rules.max_tokens)
      return Diag(diag::shape_mismatch,
                  "the decoder's first output is no float32 [1," + std::to_string(rules.max_tokens) + ",vocabulary]");
    const auto vocabulary = static_cast<size_t>(out[0].shape[2]);
    return out[0].as<float>().subspan((tokens.size() - 1) * vocabulary, vocabulary);
  });
}

Result<std::vector<int64_t>> greedy_decode_cached(const Project& project, const DecodeRules& rules,
                                                  const Tensor& features, const PartRunner& run) {
  NPU_ASSIGN(const ProjectLink* const link, decoder_link(project, rules));
  NPU_ASSIGN(const Tensor encoded, encode(*link, features, run));
  const Tensor audio[] = {encoded};
  NPU_ASSIGN(const std::vector<Tensor> cross, run(rules.roles.at("cross_kv"), audio));
  const std::string& part = rules.roles.at("decoder_kv");
  const std::vector<InputSpec>& specs = project.part(part)->inputs;
  if (cross.empty() || cross.size() % 2 != 0 || specs.size() != 3 + 2 * cross.size())
    return Diag(diag::shape_mismatch,
                "part '" + part + "' does not take what part '" + rules.roles.at("cross_kv") +
                    "' gives: tokens, position, mask, and per layer self and cross keys and values");
  std::vector<Tensor> inputs(specs.size());
  for (size_t i = 2; i < specs.size(); ++i) inputs[i] = Tensor::zeros(DType::f32, specs[i].type.shape);
  for (size_t i = 0; i < cross.size(); ++i) inputs[3 + 4 * (i / 2) + 2 + i % 2] = cross[i];
  const auto context = static_cast<size_t>(rules.max_tokens);
  for (float& m : inputs[2].mut<float>().first(context)) m = kMasked;
  std::vector<Tensor> out;
  size_t position = 0;
  return greedy_loop(rules, [&](std::span<const int64_t> tokens) -> Result<std::span<const float>> {
    for (; position < tokens.size(); ++position) {
      inputs[0] = Tensor::of<int64_t>({1, 1}, {tokens[position]});
      inputs[1] = Tensor::of<int64_t>({1, 1}, {static_cast<int64_t>(position)});
      NPU_ASSIGN(out, run(part, inputs));
      if (out.size() != 1 + cross.size() || out[0].dtype != DType::f32)
        return Diag(diag::shape_mismatch, "part '" + part + "' must give logits and a key and a value per layer");
      for (size_t i = 0; i < cross.size(); ++i) {
        Tensor& cache = inputs[3 + 4 * (i / 2) + i % 2];
        const std::span<const float> row = out[1 + i].as<float>();
        if (row.size() * context != static_cast<size_t>(cache.count()))
          return Diag(diag::shape_mismatch,
                      "part '" + part + "': output " + std::to_string(1 + i) + " is no cache row");
        std::copy(row.begin(), row.end(),
                  cache.mut<float>().begin() + static_cast<std::ptrdiff_t>(position * row.size()));
      }
      inputs[2].mut<float>()[position] = 0;
    }
    return out[0].as<float>();
  });
}

Result<std::vector<Proof>> run_task(const App& app, const Project& project, const PartRunner& run, Json& results) {
  results = Json::array();
  NPU_ASSIGN(const std::vector<SampleFile> samples, read_samples(project.task.samples));
  if (project.task.kind == "asr") return run_asr(app, project, samples, run, results);
  return run_single(project, samples, run, results);
}

}  // namespace npuport::app
