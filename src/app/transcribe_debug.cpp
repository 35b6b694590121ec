#include "app/transcribe_debug.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "base/lessons.h"
#include "base/npy.h"

namespace npuport::app {
namespace {

// What it means when an output is the first to differ. Limits: differences allowed, times the larger of 1 and the
// largest value.
struct OutputRow {
  std::string_view name;
  double limit;
  const Lesson* lesson;
  std::string_view meaning;
};
constexpr OutputRow kOutputs[] = {
    {"preprocessed_mel", 1e-4, &lesson("NPU-H05"),
     "what goes into the model differs: sound, resampling, window or padding, not the model"},
    {"encoder_output", 1e-3, &lesson("NPU-H03"),
     "the encoder's input is equal, its output is not: the encoder's file, its precision, or padding it should not "
     "see"},
    {"decoder_logits", 1e-3, &lesson("NPU-H01"),
     "the encoder is equal, the decoder's first answer is not: embedding, position, cross keys and values, or the "
     "prompt's rows in the cache"},
};
constexpr std::string_view kLater =
    "the encoder and {} of the decoder's answers are equal, the next one is not: the cache is joined at another row "
    "than the mask opens, or in another order";

double difference(std::span<const float> a, std::span<const float> b, double& magnitude) {
  double d = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double one = std::abs(static_cast<double>(a[i]) - b[i]);
    if (!(one <= d)) d = std::isfinite(one) ? one : INFINITY;
    magnitude = std::max(magnitude, std::abs(static_cast<double>(b[i])));
  }
  return d;
}

struct Steps {
  size_t compared = 0, equal = 0;
  double max_diff = 0;
};

// Row k of ours against its counterpart: row k, or, where theirs holds every position, the row of its position.
Result<Steps> compare_steps(const Tensor& ours, const Tensor& theirs, const std::vector<size_t>& positions,
                            double limit, int64_t context) {
  if (theirs.shape.size() != 3 || theirs.shape[2] != ours.shape[2])
    return Diag(diag::shape_mismatch,
                fmt::format("decoder_logits.npy is {}, this model's are {}", to_string(std::span(theirs.shape)),
                            to_string(std::span(ours.shape))),
                "give debug outputs of the same model");
  const bool all = theirs.shape[1] == context;
  const auto width = static_cast<size_t>(ours.shape[2]), rows = static_cast<size_t>(theirs.shape[1]);
  Steps s;
  bool before = true;
  for (size_t k = 0; k < positions.size(); ++k) {
    const size_t at = all ? positions[k] : k;
    if (at >= rows) break;
    double magnitude = 1;
    const double d = difference(ours.as<float>().subspan(k * width, width),
                                theirs.as<float>().subspan(at * width, width), magnitude);
    ++s.compared;
    s.max_diff = std::max(s.max_diff, d);
    before = before && d <= limit * magnitude;
    if (before) ++s.equal;
    if (!before) break;  // other tokens from here on
  }
  return s;
}

}  // namespace

Status Recorder::set_audio(std::span<const float> mel) {
  NPU_TRY(network_.set_audio(mel));
  if (windows_++ > 0) return {};
  mel_.assign(mel.begin(), mel.end());
  features_.assign(network_.features().begin(), network_.features().end());
  return {};
}

Result<std::span<const float>> Recorder::logits(std::span<const int32_t> tokens, size_t row) {
  NPU_ASSIGN(const std::span<const float> out, network_.logits(tokens, row));
  if (windows_ == 1 && row + 1 == tokens.size() && !closed_) {
    if (!positions_.empty() && row <= positions_.back()) {
      closed_ = true;  // a second pass over the window, warmer
    } else {
      positions_.push_back(row);
      rows_.insert(rows_.end(), out.begin(), out.end());
    }
  }
  return out;
}

Result<std::vector<std::pair<std::string, Tensor>>> Recorder::tensors(const whisper::Rules& rules) const {
  const std::vector<float>* const values[] = {&mel_, &features_, &rows_};
  const int64_t middle[] = {rules.n_mels, rules.n_audio_ctx, static_cast<int64_t>(positions_.size())};
  std::vector<std::pair<std::string, Tensor>> out;
  for (size_t k = 0; k < std::size(kOutputs); ++k) {
    if (values[k]->empty())
      return Diag(diag::bad_input_data, "the sound is too short for any window: no debug outputs");
    const Shape shape = {1, middle[k], static_cast<int64_t>(values[k]->size()) / middle[k]};
    out.emplace_back(kOutputs[k].name, Tensor::of<float>(shape, std::span<const float>(*values[k])));
  }
  return out;
}

Status Recorder::write(const std::string& folder, const whisper::Rules& rules) const {
  NPU_ASSIGN(const auto outputs, tensors(rules));
  NPU_TRY(make_folders(folder));
  for (const auto& [name, t] : outputs) NPU_TRY(write_npy(folder + "/" + name + ".npy", t));
  return {};
}

Result<Json> Recorder::compare(const std::string& folder, const whisper::Rules& rules) const {
  NPU_ASSIGN(const auto outputs, tensors(rules));
  Json j{{"verdict", "PASS"}, {"sentence", "all debug outputs agree"}, {"outputs", Json::array()}};
  for (size_t k = 0; k < outputs.size(); ++k) {
    const OutputRow& row = kOutputs[k];
    const Tensor& ours = outputs[k].second;
    NPU_ASSIGN(const Tensor theirs, read_npy(folder + "/" + std::string(row.name) + ".npy"));
    if (theirs.dtype != DType::f32)
      return Diag(diag::dtype_mismatch, std::string(row.name) + ".npy must hold float32").in_file(folder);
    Json one{{"name", std::string(row.name)}, {"limit", row.limit}};
    std::string meaning(row.meaning);
    const Lesson* l = row.lesson;
    bool equal;
    if (row.name == "decoder_logits") {
      NPU_ASSIGN(const Steps s, compare_steps(ours, theirs, positions_, row.limit, rules.n_text_ctx));
      one["max_diff"] = s.max_diff;
      one["steps"] = s.compared;
      one["equal_steps"] = s.equal;
      equal = s.equal == s.compared;
      if (s.equal > 0) meaning = fmt::format(fmt::runtime(kLater), s.equal), l = &lesson("NPU-H04");
    } else {
      if (theirs.shape != ours.shape)
        return Diag(diag::shape_mismatch,
                    fmt::format("{}.npy is {}, this model's is {}", row.name, to_string(std::span(theirs.shape)),
                                to_string(std::span(ours.shape))),
                    "give debug outputs of the same model");
      double magnitude = 1;
      const double d = difference(ours.as<float>(), theirs.as<float>(), magnitude);
      one["max_diff"] = d;
      equal = d <= row.limit * magnitude;
    }
    one["equal"] = equal;
    j["outputs"].push_back(std::move(one));
    if (equal || j["verdict"] == "FAIL") continue;
    j["verdict"] = "FAIL";
    j["sentence"] = meaning;
    j["lesson"] = std::string(l->id);
  }
  return j;
}

std::string debug_text(const Json& c) {
  std::string out;
  for (const Json& o : c["outputs"]) {
    out += fmt::format("{:<18} {:<8} max diff {:.3g}", o["name"].get<std::string>(),
                       o["equal"].get<bool>() ? "equal" : "differs", o["max_diff"].get<double>());
    if (o.contains("steps"))
      out += fmt::format(", {} of {} answers equal", o["equal_steps"].get<size_t>(), o["steps"].get<size_t>());
    out += "\n";
  }
  out += c["sentence"].get<std::string>();
  if (c.contains("lesson")) out += " (lesson " + c["lesson"].get<std::string>() + ")";
  return out + "\n";
}

}  // namespace npuport::app
