#include "pipelines/whisper/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/diag_codes.h"
#include "base/hash.h"
#include "pipelines/runtime_error.h"

namespace npuport::whisper {
namespace {

namespace fs = std::filesystem;
using Dims = std::vector<int64_t>;

constexpr float kMasked = -60000.0f;  // exp() of it is 0, and float16 holds it

Status checked(const rt::Status& s) {
  if (s) return {};
  return diag_of(s.error());
}

Status run_timed(rt::Session& session, std::vector<double>& times) {
  const auto start = std::chrono::steady_clock::now();
  NPU_TRY(checked(session.run()));
  times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  return {};
}

std::string shape_text(const Dims& shape) { return fmt::format("[{}]", fmt::join(shape, ",")); }

Status expect(const rt::TensorInfo& got, npuport_dtype dtype, const Dims& shape, const std::string& what) {
  if (got.shape != shape)
    return Diag(diag::shape_mismatch,
                fmt::format("{} is {}, this model's {}", what, shape_text(got.shape), shape_text(shape)),
                "was the port made by `npuport trace --template whisper`?");
  if (got.dtype != dtype)
    return Diag(diag::dtype_mismatch,
                fmt::format("{} is {}, not {}", what, npuport_dtype_name(got.dtype), npuport_dtype_name(dtype)));
  return {};
}

Result<rt::Session> open_role(const Model& model, const std::string& role) {
  const std::string& part = model.rules.parts.at(role);
  if (!model.has(role))
    return Diag(diag::missing_entry,
                fmt::format("{} has no part '{}' (the {} of a Whisper model)", model.name, part, role),
                fmt::format("its parts: {}", fmt::join(model.parts, ", ")));
  return model.open(part);
}

Status expect_counts(const rt::Session& s, size_t inputs, size_t outputs, const std::string& part) {
  if (s.input_count() == inputs && s.output_count() == outputs) return {};
  return Diag(diag::shape_mismatch, fmt::format("part '{}' has {} inputs and {} outputs, expected {} and {}", part,
                                                s.input_count(), s.output_count(), inputs, outputs));
}

std::span<std::byte> bytes_of(float* p, size_t count) { return std::as_writable_bytes(std::span<float>(p, count)); }

}  // namespace

bool Model::has(const std::string& role) const {
  return std::find(parts.begin(), parts.end(), rules.parts.at(role)) != parts.end();
}

Result<Model> open_port(const std::string& path, const std::string& backend, const rt::Options& options,
                        const std::string& vocabulary) {
  auto opened = rt::Port::open(path);
  if (!opened) return diag_of(opened.error());
  const auto port = std::make_shared<rt::Port>(std::move(*opened));
  Model m;
  m.name = port->metadata("/name").value_or(path);
  const std::string kind = port->metadata("/task/kind").value_or("");
  const std::optional<std::string> decode = port->metadata("/task/decode");
  if (kind != "asr" || !decode) {
    const std::string is = kind.empty() ? "has no task" : "is for the task '" + kind + "'";
    return Diag(diag::bad_input_data, fmt::format("{} {}: it recognises no speech", m.name, is),
                kind == "sr" ? "`npuport upscale` takes it"
                             : "transcribe takes ports of Whisper models (template whisper)")
        .in_file(path);
  }
  NPU_ASSIGN(m.rules, read_rules(*decode, path));
  m.parts = port->parts();
  m.vocabulary = vocabulary;
  if (vocabulary.empty()) {
    const std::string file = port->metadata("/task/vocab/file").value_or("");
    if (file.empty())
      return Diag(diag::file_not_found, m.name + " carries no vocabulary",
                  "name a tiktoken rank file with --vocab FILE, or trace the model again where the Python package "
                  "openai-whisper is installed")
          .in_file(path);
    m.vocabulary = (fs::path(port->folder()) / fs::path(file).filename()).string();
    if (const auto wanted = port->metadata("/task/vocab/sha256")) {
      NPU_ASSIGN(const std::string sha256, sha256_file(m.vocabulary));
      if (sha256 != *wanted)
        return Diag(diag::corrupt, "the vocabulary is not the one the port carried (SHA-256 differs)",
                    "port the model again, or restore the file")
            .in_file(m.vocabulary);
    }
  }
  m.open = [port, backend, options](const std::string& part) -> Result<rt::Session> {
    auto session = port->open_part(part, backend, options);
    if (!session) return diag_of(session.error());
    return std::move(*session);
  };
  return m;
}

PartNetwork::Floats PartNetwork::allocate(size_t count) {
  const size_t bytes = (count * sizeof(float) + 63) / 64 * 64;
  Floats out(static_cast<float*>(std::aligned_alloc(64, bytes)));
  if (!out) std::abort();
  std::memset(out.get(), 0, bytes);
  return out;
}

Result<std::unique_ptr<PartNetwork>> PartNetwork::open(const Model& model, Loop loop) {
  const Rules& r = model.rules;
  std::unique_ptr<PartNetwork> n(new PartNetwork(r));
  const bool cached = model.has("decoder_kv") && model.has("cross_kv");
  n->loop_ = loop == Loop::automatic ? (cached || !model.has("decoder") ? Loop::kv : Loop::full) : loop;
  NPU_ASSIGN(n->encoder_, open_role(model, "encoder"));
  NPU_TRY(expect_counts(*n->encoder_, 1, 1, r.parts.at("encoder")));
  NPU_TRY(
      expect(n->encoder_->input(0), NPUPORT_F32, {1, r.n_mels, static_cast<int64_t>(kFrames)}, "the encoder's input"));
  NPU_TRY(expect(n->encoder_->output(0), NPUPORT_F32, {1, r.n_audio_ctx, r.n_audio_state}, "the encoder's output"));
  n->feature_count_ = static_cast<size_t>(r.n_audio_ctx * r.n_audio_state);
  n->features_ = allocate(n->feature_count_);
  NPU_TRY(checked(n->encoder_->bind_output(0, bytes_of(n->features_.get(), n->feature_count_))));
  NPU_TRY(n->loop_ == Loop::kv ? n->open_kv(model) : n->open_full(model));
  return n;
}

Status PartNetwork::open_full(const Model& model) {
  const Rules& r = rules_;
  NPU_ASSIGN(decoder_, open_role(model, "decoder"));
  NPU_TRY(expect_counts(*decoder_, 2, 1, r.parts.at("decoder")));
  NPU_TRY(expect(decoder_->input(0), NPUPORT_I64, {1, r.n_text_ctx}, "the decoder's first input"));
  NPU_TRY(expect(decoder_->input(1), NPUPORT_F32, {1, r.n_audio_ctx, r.n_audio_state}, "the decoder's second input"));
  NPU_TRY(expect(decoder_->output(0), NPUPORT_F32, {1, r.n_text_ctx, r.special.count}, "the decoder's output"));
  return checked(decoder_->bind_input(1, bytes_of(features_.get(), feature_count_)));
}

Status PartNetwork::open_kv(const Model& model) {
  const Rules& r = rules_;
  const auto layers = static_cast<size_t>(r.n_text_layer);
  const auto width = static_cast<size_t>(r.n_text_state);
  const std::string &cross = r.parts.at("cross_kv"), &part = r.parts.at("decoder_kv");
  NPU_ASSIGN(cross_, open_role(model, "cross_kv"));
  NPU_ASSIGN(decoder_, open_role(model, "decoder_kv"));
  NPU_TRY(expect_counts(*cross_, 1, 2 * layers, cross));
  NPU_TRY(expect_counts(*decoder_, 3 + 4 * layers, 1 + 2 * layers, part));
  NPU_TRY(expect(cross_->input(0), NPUPORT_F32, {1, r.n_audio_ctx, r.n_audio_state}, "the input of " + cross));
  NPU_TRY(checked(cross_->bind_input(0, bytes_of(features_.get(), feature_count_))));
  NPU_TRY(expect(decoder_->input(0), NPUPORT_I64, {1, 1}, part + "'s tokens"));
  NPU_TRY(expect(decoder_->input(1), NPUPORT_I64, {1, 1}, part + "'s position"));
  NPU_TRY(expect(decoder_->input(2), NPUPORT_F32, {1, 1, 1, r.n_text_ctx + 1}, part + "'s mask"));
  NPU_TRY(expect(decoder_->output(0), NPUPORT_F32, {1, 1, r.special.count}, part + "'s logits"));
  const auto context = static_cast<size_t>(r.n_text_ctx), audio = static_cast<size_t>(r.n_audio_ctx);
  for (size_t i = 0; i < 2 * layers; ++i) {
    const size_t input = 3 + 4 * (i / 2) + i % 2;
    const std::string what = fmt::format("{}: {} of layer {}", part, i % 2 ? "value" : "key", i / 2);
    NPU_TRY(expect(decoder_->input(input), NPUPORT_F32, {1, r.n_text_ctx, r.n_text_state}, what));
    NPU_TRY(expect(decoder_->input(input + 2), NPUPORT_F32, {1, r.n_audio_ctx, r.n_text_state}, what + " (cross)"));
    NPU_TRY(expect(decoder_->output(1 + i), NPUPORT_F32, {1, 1, r.n_text_state}, what + " (new)"));
    NPU_TRY(expect(cross_->output(i), NPUPORT_F32, {1, r.n_audio_ctx, r.n_text_state}, cross + "'s output"));
    self_.push_back(allocate(context * width));
    crossed_.push_back(allocate(audio * width));
    rows_.push_back(allocate(width));
    NPU_TRY(checked(decoder_->bind_input(input, bytes_of(self_[i].get(), context * width))));
    NPU_TRY(checked(decoder_->bind_input(input + 2, bytes_of(crossed_[i].get(), audio * width))));
    NPU_TRY(checked(cross_->bind_output(i, bytes_of(crossed_[i].get(), audio * width))));
    NPU_TRY(checked(decoder_->bind_output(1 + i, bytes_of(rows_[i].get(), width))));
  }
  mask_.assign(context + 1, kMasked);
  mask_[context] = 0;
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
  for (size_t i = 0; i + 1 < mask_.size(); ++i) mask_[i] = i < position ? 0.0f : kMasked;
  NPU_TRY(checked(decoder_->set_input(0, std::span<const int64_t>(&id, 1))));
  NPU_TRY(checked(decoder_->set_input(1, std::span<const int64_t>(&at, 1))));
  NPU_TRY(checked(decoder_->set_input(2, std::span<const float>(mask_))));
  NPU_TRY(run_timed(*decoder_, times_.decoder_ms));
  const auto width = static_cast<size_t>(rules_.n_text_state);
  for (size_t i = 0; i < self_.size(); ++i)
    std::memcpy(self_[i].get() + position * width, rows_[i].get(), width * sizeof(float));
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
