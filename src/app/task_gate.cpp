#include "app/task_gate.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <initializer_list>
#include <nlohmann/json.hpp>

#include "app/task_explain.h"
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

// The link from the encoder to the part of the first of these roles that has one.
Result<const ProjectLink*> link_to(const Project& project, const DecodeRules& rules,
                                   std::initializer_list<const char*> roles) {
  if (project.links.size() == 1) return &project.links.front();
  for (const char* const role : roles)
    for (const ProjectLink& l : project.links)
      if (l.to_part == rules.roles.at(role)) return &l;
  return Diag(diag::unsupported, "this task needs a link from the encoder to part '" + rules.roles.at(*roles.begin()) +
                                     "'; none of the project's " + std::to_string(project.links.size()) +
                                     " links is one");
}

Result<Tensor> encode(const ProjectLink& link, std::span<const Tensor> in, const PartRunner& run) {
  NPU_ASSIGN(const std::vector<Tensor> out, run(link.from_part, in));
  if (link.from_output >= out.size())
    return Diag(diag::bad_input_data,
                "part '" + link.from_part + "' has no output " + std::to_string(link.from_output));
  return out[link.from_output];
}

// The inputs of decoder_kv: token, position, mask (of a translation: the sentence's mask, too), then self key, self
// value, cross key, cross value of each group of caches – one layer, or all of them stacked.
struct CachedInputs {
  std::vector<Tensor> inputs;
  size_t first = 3;  // where the caches begin
  // Place of the cache that takes output 1 + i of a step; what cross_kv gives as output i lies two behind it.
  size_t cache(size_t i) const { return first + 4 * (i / 2) + i % 2; }
};

Result<CachedInputs> cached_inputs(const Project& project, const DecodeRules& rules,
                                   std::span<const Tensor> encoder_inputs, const std::vector<Tensor>& cross) {
  const std::string& part = rules.roles.at("decoder_kv");
  const std::vector<InputSpec>& specs = project.part(part)->inputs;
  CachedInputs s;
  s.first = 2 + encoder_inputs.size();  // an encoder's mask is the decoder's mask over the sentence
  if (cross.empty() || cross.size() % 2 != 0 || specs.size() != s.first + 2 * cross.size())
    return Diag(diag::shape_mismatch, "part '" + part + "' does not take what part '" + rules.roles.at("cross_kv") +
                                          "' gives: tokens, position, masks, and self and cross keys and values");
  s.inputs.resize(specs.size());
  for (size_t i = 2; i < specs.size(); ++i) s.inputs[i] = Tensor::zeros(DType::f32, specs[i].type.shape);
  if (s.inputs[2].count() != rules.max_tokens + 1)
    return Diag(diag::shape_mismatch, "part '" + part + "': the mask must have " +
                                          std::to_string(rules.max_tokens + 1) + " elements, max_tokens and one");
  for (size_t i = 1; i < encoder_inputs.size(); ++i) s.inputs[2 + i] = encoder_inputs[i];
  for (size_t i = 0; i < cross.size(); ++i) s.inputs[s.cache(i) + 2] = cross[i];
  for (float& m : s.inputs[2].mut<float>().first(static_cast<size_t>(rules.max_tokens))) m = rules.masked;
  return s;
}

// Writes `row` [blocks..., 1, width] into row `position` of `cache` [blocks..., rows, width]; false when they do not
// fit.
bool append_row(Tensor& cache, const Tensor& row, size_t rows, size_t position) {
  if (row.dtype != DType::f32 || row.shape.empty() || row.shape.back() <= 0) return false;
  const auto width = static_cast<size_t>(row.shape.back()), total = static_cast<size_t>(row.count());
  if (total * rows != static_cast<size_t>(cache.count())) return false;
  const std::span<const float> from = row.as<float>();
  const std::span<float> to = cache.mut<float>();
  for (size_t at = 0; at < total; at += width)
    std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(at), width,
                to.begin() + static_cast<std::ptrdiff_t>(at * rows + position * width));
  return true;
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

std::vector<int64_t> ids_of(const Tensor& t) {
  std::vector<int64_t> out;
  for (int64_t i = 0; i < t.count(); ++i) out.push_back(get_int(t, i));
  return out;
}

Proof ids_proof(const std::string& sample, bool cached, std::span<const int64_t> expected, std::span<const int64_t> got,
                Json& results) {
  Proof p{"",
          cached ? "ported parts chained, cached decoder = PyTorch's greedy ids"
                 : "ported parts chained = PyTorch's greedy ids",
          sample,
          "text",
          {},
          false};
  const bool same = std::equal(expected.begin(), expected.end(), got.begin(), got.end());
  p.result.verdict = same ? Verdict::pass : Verdict::fail;
  if (!same) p.result.reason = first_difference(expected, got);
  results.push_back(Json{{"sample", sample},
                         {"loop", cached ? "kv" : "full"},
                         {"expected", ids_json(expected)},
                         {"got", ids_json(got)},
                         {"verdict", std::string(name(p.result.verdict))}});
  return p;
}

// Speech (`mel` to `ids`) and translation (`source` to `ids`).
Result<std::vector<Proof>> run_text(const App& app, const Project& project, const std::vector<SampleFile>& samples,
                                    const PartRunner& run, Json& results) {
  NPU_ASSIGN(const DecodeRules rules, read_decode_rules(project.task.decode));
  const bool translation = project.task.kind == "nmt";
  if (translation && (rules.source_tokens <= 0 || !has_cached_loop(project, rules)))
    return Diag(diag::unsupported, "a translation task needs 'source_tokens' and the parts cross_kv and decoder_kv")
        .in_file(project.task.decode);
  const char* const from = translation ? "source" : "mel";
  std::vector<Proof> proofs;
  Progress progress(translation ? "translating sentences" : "decoding clips", app.quiet);
  for (const SampleFile& s : samples) {
    progress.update(static_cast<double>(proofs.size()) / static_cast<double>(samples.size()), s.path);
    const Tensor* source = s.find(from) ? s.find(from) : s.find("in.0");
    const Tensor* ids = s.find("ids") ? s.find("ids") : s.find("out.0");
    if (!source || !ids)
      return Diag(diag::bad_input_data, std::string("a sample of this task needs '") + from + "' and 'ids'")
          .in_file(s.path);
    std::vector<Tensor> inputs{*source};
    if (translation) {
      auto made = source_inputs(rules, ids_of(*source));
      if (!made) return std::move(made).error().in_file(s.path);
      inputs = std::move(*made);
    }
    const std::string sample = std::filesystem::path(s.path).stem().string();
    const std::vector<int64_t> expected = ids_of(*ids);
    bool full = false;
    if (!translation) {
      NPU_ASSIGN(const std::vector<int64_t> got, greedy_decode(project, rules, *source, run));
      proofs.push_back(ids_proof(sample, false, expected, got, results));
      full = expected == got;
    }
    if (has_cached_loop(project, rules)) {
      NPU_ASSIGN(const std::vector<int64_t> got, greedy_decode_cached(project, rules, inputs, run));
      proofs.push_back(ids_proof(sample, true, expected, got, results));
      if (translation || expected == got) continue;
      NPU_ASSIGN(const Explanation why, explain_cached(project, rules, inputs, run, full));
      proofs.back().result.reason += "; " + why.sentence;
      results.back()["diagnosis"] = Json{{"sentence", why.sentence}, {"lesson", std::string(why.lesson->id)}};
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
  if (j.value("kind", Json()) == "marian_greedy") {
    NPU_ASSIGN(const int64_t start, integer(j, "decoder_start_token", path));
    r.initial_tokens = {start};
    NPU_ASSIGN(r.eot, integer(j, "eos", path));
    NPU_ASSIGN(r.source_tokens, integer(j, "source_tokens", path));
    const Json masked = j.value("masked", Json(-1e9));
    if (!masked.is_number() || !(masked.get<double>() <= -1e4) || masked.get<double>() < -1e38)
      return Diag(diag::corrupt, "'masked' must be a number from -1e38 to -10000").in_file(path);
    r.masked = static_cast<float>(masked.get<double>());
  } else {
    NPU_ASSIGN(r.initial_tokens, id_list(j, "initial_tokens", path));
    NPU_ASSIGN(r.suppress_first, id_list(j, "suppress_first", path));
    NPU_ASSIGN(r.eot, integer(j, "eot", path));
  }
  NPU_ASSIGN(r.suppress_tokens, id_list(j, "suppress_tokens", path));
  NPU_ASSIGN(r.pad_token, integer(j, "pad_token", path));
  NPU_ASSIGN(r.max_tokens, integer(j, "max_tokens", path));
  NPU_ASSIGN(r.max_new_tokens, integer(j, "max_new_tokens", path));
  if (j.contains("parts") && j["parts"].is_object())
    for (const auto& [role, part] : j["parts"].items())
      if (part.is_string()) r.roles[role] = part.get<std::string>();
  if (r.max_tokens <= 0 || r.max_tokens > 65536 || r.source_tokens < 0 || r.source_tokens > 65536 ||
      r.initial_tokens.empty() || static_cast<int64_t>(r.initial_tokens.size()) > r.max_tokens)
    return Diag(diag::corrupt, "impossible token counts").in_file(path);
  return r;
}

Result<std::vector<int64_t>> greedy_decode(const Project& project, const DecodeRules& rules, const Tensor& features,
                                           const PartRunner& run) {
  NPU_ASSIGN(const ProjectLink* const link, link_to(project, rules, {"decoder"}));
  NPU_ASSIGN(const Tensor encoded, encode(*link, {&features, 1}, run));
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

Result<std::vector<Tensor>> source_inputs(const DecodeRules& rules, std::span<const int64_t> ids) {
  const auto length = static_cast<size_t>(rules.source_tokens);
  if (ids.empty() || ids.size() > length)
    return Diag(diag::bad_input_data, "a sentence of " + std::to_string(ids.size()) +
                                          " tokens; the encoder takes 1 to " + std::to_string(length));
  std::vector<int64_t> tokens(length, rules.pad_token);
  std::copy(ids.begin(), ids.end(), tokens.begin());
  Tensor mask = Tensor::zeros(DType::f32, {1, 1, 1, rules.source_tokens});
  for (float& m : mask.mut<float>().subspan(ids.size())) m = rules.masked;
  return std::vector<Tensor>{Tensor::of<int64_t>({1, rules.source_tokens}, std::span<const int64_t>(tokens)), mask};
}

Result<std::vector<int64_t>> greedy_decode_cached(const Project& project, const DecodeRules& rules,
                                                  std::span<const Tensor> encoder_inputs, const PartRunner& run) {
  NPU_ASSIGN(const ProjectLink* const link, link_to(project, rules, {"cross_kv", "decoder"}));
  NPU_ASSIGN(const Tensor encoded, encode(*link, encoder_inputs, run));
  NPU_ASSIGN(const std::vector<Tensor> cross, run(rules.roles.at("cross_kv"), {&encoded, 1}));
  NPU_ASSIGN(CachedInputs step, cached_inputs(project, rules, encoder_inputs, cross));
  const std::string& part = rules.roles.at("decoder_kv");
  std::vector<Tensor> out;
  size_t position = 0;
  return greedy_loop(rules, [&](std::span<const int64_t> tokens) -> Result<std::span<const float>> {
    for (; position < tokens.size(); ++position) {
      step.inputs[0] = Tensor::of<int64_t>({1, 1}, {tokens[position]});
      step.inputs[1] = Tensor::of<int64_t>({1, 1}, {static_cast<int64_t>(position)});
      NPU_ASSIGN(out, run(part, step.inputs));
      if (out.size() != 1 + cross.size() || out[0].dtype != DType::f32)
        return Diag(diag::shape_mismatch, "part '" + part + "' must give logits and a new row for each of its caches");
      for (size_t i = 0; i < cross.size(); ++i)
        if (!append_row(step.inputs[step.cache(i)], out[1 + i], static_cast<size_t>(rules.max_tokens), position))
          return Diag(diag::shape_mismatch,
                      "part '" + part + "': output " + std::to_string(1 + i) + " is no cache row");
      step.inputs[2].mut<float>()[position] = 0;
    }
    return out[0].as<float>();
  });
}

Result<std::vector<Proof>> run_task(const App& app, const Project& project, const PartRunner& run, Json& results) {
  results = Json::array();
  NPU_ASSIGN(const std::vector<SampleFile> samples, read_samples(project.task.samples));
  if (project.task.kind == "asr" || project.task.kind == "nmt") return run_text(app, project, samples, run, results);
  return run_single(project, samples, run, results);
}

}  // namespace npuport::app
