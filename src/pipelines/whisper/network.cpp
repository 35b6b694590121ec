#include "pipelines/whisper/network.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/diag_codes.h"
#include "pipelines/runtime_error.h"

namespace npuport::whisper {
namespace {

constexpr float kMasked = -60000.0f;  // exp() of it is 0, and float16 holds it

}  // namespace

Result<Model> open_port(const std::string& path, const std::string& backend, const rt::Options& options,
                        const std::string& vocabulary) {
  auto opened = rt::Port::open(path);
  if (!opened) return diag_of(opened.error());
  const rt::Port& port = *opened;
  Model m;
  m.name = port.metadata("/name").value_or(path);
  const std::string kind = port.metadata("/task/kind").value_or("");
  const std::optional<std::string> decode = port.metadata("/task/decode");
  const bool translates = port.metadata("/task/decode/kind").value_or("").starts_with("marian");
  if (kind != "asr" || !decode || translates) {
    const std::string is = kind.empty() ? "has no task" : "is for the task '" + kind + "'";
    return Diag(diag::bad_input_data, fmt::format("{} {}: it recognises no speech", m.name, is),
                kind == "sr" ? "`npuport upscale` takes it"
                : translates ? "`npuport translate` takes it"
                             : "transcribe takes ports of Whisper models (template whisper)")
        .in_file(path);
  }
  NPU_ASSIGN(m.rules, read_rules(*decode, path));
  m.vocabulary = vocabulary;
  if (vocabulary.empty()) {
    NPU_ASSIGN(m.vocabulary, carried_file(port, "/task/vocab"));
    if (m.vocabulary.empty())
      return Diag(diag::file_not_found, m.name + " carries no vocabulary",
                  "name a tiktoken rank file with --vocab FILE, or trace the model again where the Python package "
                  "openai-whisper is installed")
          .in_file(path);
  }
  static_cast<PartSource&>(m) = parts_of(std::move(*opened), "Whisper", backend, options);
  return m;
}

Result<std::unique_ptr<PartNetwork>> PartNetwork::open(const Model& model, Loop loop) {
  const Rules& r = model.rules;
  std::unique_ptr<PartNetwork> n(new PartNetwork(r));
  const bool cached = model.has("decoder_kv") && model.has("cross_kv");
  n->loop_ = loop == Loop::automatic ? (cached || !model.has("decoder") ? Loop::kv : Loop::full) : loop;
  NPU_ASSIGN(n->encoder_, model.open_role("encoder"));
  NPU_TRY(expect_counts(*n->encoder_, 1, 1, r.parts.at("encoder")));
  NPU_TRY(model.expect(n->encoder_->input(0), NPUPORT_F32, {1, r.n_mels, static_cast<int64_t>(kFrames)},
                       "the encoder's input"));
  NPU_TRY(
      model.expect(n->encoder_->output(0), NPUPORT_F32, {1, r.n_audio_ctx, r.n_audio_state}, "the encoder's output"));
  n->features_ = FloatBuffer(static_cast<size_t>(r.n_audio_ctx * r.n_audio_state));
  NPU_TRY(checked(n->encoder_->bind_output(0, n->features_.bytes())));
  NPU_TRY(n->loop_ == Loop::kv ? n->open_kv(model) : n->open_full(model));
  return n;
}

Status PartNetwork::open_full(const Model& model) {
  const Rules& r = rules_;
  NPU_ASSIGN(decoder_, model.open_role("decoder"));
  NPU_TRY(expect_counts(*decoder_, 2, 1, r.parts.at("decoder")));
  NPU_TRY(model.expect(decoder_->input(0), NPUPORT_I64, {1, r.n_text_ctx}, "the decoder's first input"));
  NPU_TRY(
      model.expect(decoder_->input(1), NPUPORT_F32, {1, r.n_audio_ctx, r.n_audio_state}, "the decoder's second input"));
  NPU_TRY(model.expect(decoder_->output(0), NPUPORT_F32, {1, r.n_text_ctx, r.special.count}, "the decoder's output"));
  return checked(decoder_->bind_input(1, features_.bytes()));
}

Status PartNetwork::open_kv(const Model& model) {
  const Rules& r = rules_;
  const auto layers = static_cast<size_t>(r.n_text_layer);
  const auto width = static_cast<size_t>(r.n_text_state);
  const std::string &cross = r.parts.at("cross_kv"), &part = r.parts.at("decoder_kv");
  NPU_ASSIGN(cross_, model.open_role("cross_kv"));
  NPU_ASSIGN(decoder_, model.open_role("decoder_kv"));
  NPU_TRY(expect_counts(*cross_, 1, 2 * layers, cross));
  NPU_TRY(expect_counts(*decoder_, 3 + 4 * layers, 1 + 2 * layers, part));
  NPU_TRY(model.expect(cross_->input(0), NPUPORT_F32, {1, r.n_audio_ctx, r.n_audio_state}, "the input of " + cross));
  NPU_TRY(checked(cross_->bind_input(0, features_.bytes())));
  NPU_TRY(model.expect(decoder_->input(0), NPUPORT_I64, {1, 1}, part + "'s tokens"));
  NPU_TRY(model.expect(decoder_->input(1), NPUPORT_I64, {1, 1}, part + "'s position"));
  NPU_TRY(model.expect(decoder_->input(2), NPUPORT_F32, {1, 1, 1, r.n_text_ctx + 1}, part + "'s mask"));
  NPU_TRY(model.expect(decoder_->output(0), NPUPORT_F32, {1, 1, r.special.count}, part + "'s logits"));
  const auto context = static_cast<size_t>(r.n_text_ctx), audio = static_cast<size_t>(r.n_audio_ctx);
  cache_ = {1, context, width};
  for (size_t i = 0; i < 2 * layers; ++i) {
    const size_t input = 3 + 4 * (i / 2) + i % 2;
    const std::string what = fmt::format("{}: {} of layer {}", part, i % 2 ? "value" : "key", i / 2);
    NPU_TRY(model.expect(decoder_->input(input), NPUPORT_F32, {1, r.n_text_ctx, r.n_text_state}, what));
    NPU_TRY(
        model.expect(decoder_->input(input + 2), NPUPORT_F32, {1, r.n_audio_ctx, r.n_text_state}, what + " (cross)"));
    NPU_TRY(model.expect(decoder_->output(1 + i), NPUPORT_F32, {1, 1, r.n_text_state}, what + " (new)"));
    NPU_TRY(model.expect(cross_->output(i), NPUPORT_F32, {1, r.n_audio_ctx, r.n_text_state}, cross + "'s output"));
    self_.emplace_back(cache_.count());
    crossed_.emplace_back(audio * width);
    rows_.emplace_back(width);
    NPU_TRY(checked(decoder_->bind_input(input, self_[i].bytes())));
    NPU_TRY(checked(decoder_->bind_input(input + 2, crossed_[i].bytes())));
    NPU_TRY(checked(cross_->bind_output(i, crossed_[i].bytes())));
    NPU_TRY(checked(decoder_->bind_output(1 + i, rows_[i].bytes())));
  }
  mask_.assign(context + 1, kMasked);
  return {};
}

Status PartNetwork::set_audio(std::span<const float> mel) {
  done_.clear();
  NPU_TRY(checked(encoder_->set_input(0, mel)));
  NPU_TRY(run_timed(*encoder_, times_.encoder_ms));
  if (loop_ == Loop::kv) return checked(cross_->run());
  return {};
}

Status PartNetwork::feed(int32_t token, size_t position) {
  const int64_t id = token, at = static_cast<int64_t>(position);
  set_step_mask(mask_, position, kMasked);
  NPU_TRY(checked(decoder_->set_input(0, std::span<const int64_t>(&id, 1))));
  NPU_TRY(checked(decoder_->set_input(1, std::span<const int64_t>(&at, 1))));
  NPU_TRY(checked(decoder_->set_input(2, std::span<const float>(mask_))));
  NPU_TRY(run_timed(*decoder_, times_.decoder_ms));
  for (size_t i = 0; i < self_.size(); ++i) write_row(self_[i], cache_, position, rows_[i].values());
  return {};
}

Result<std::span<const float>> PartNetwork::logits(std::span<const int32_t> tokens, size_t row) {
  const auto context = static_cast<size_t>(rules_.n_text_ctx);
  const auto vocabulary = static_cast<size_t>(rules_.special.count);
  if (tokens.size() > context || row >= tokens.size())
    return Diag(diag::bad_input_data, fmt::format("{} tokens do not fit the decoder's {}", tokens.size(), context));
  if (loop_ == Loop::full) {
    if (!std::equal(tokens.begin(), tokens.end(), done_.begin(), done_.end())) {
      tokens_.assign(context, rules_.special.eot);
      std::copy(tokens.begin(), tokens.end(), tokens_.begin());
      done_.clear();
      NPU_TRY(checked(decoder_->set_input(0, std::span<const int64_t>(tokens_))));
      NPU_TRY(run_timed(*decoder_, times_.decoder_ms));
      done_.assign(tokens.begin(), tokens.end());
    }
    auto out = decoder_->output_values<float>(0);
    if (!out) return diag_of(out.error());
    return out->subspan(row * vocabulary, vocabulary);
  }
  // What the caches hold of these tokens; the position asked for is run again unless it was the last one.
  const auto same = std::mismatch(done_.begin(), done_.end(), tokens.begin(), tokens.end()).first - done_.begin();
  size_t position = std::min(static_cast<size_t>(same), row + 1);
  if (position == row + 1 && done_.size() > position) position = row;
  done_.resize(position);
  for (; position <= row; ++position) {
    NPU_TRY(feed(tokens[position], position));
    done_.push_back(tokens[position]);
  }
  auto out = decoder_->output_values<float>(0);
  if (!out) return diag_of(out.error());
  return *out;
}

}  // namespace npuport::whisper
