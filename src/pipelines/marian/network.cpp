#include "pipelines/marian/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/diag_codes.h"
#include "pipelines/runtime_error.h"

namespace npuport::marian {
namespace {

// Places of decoder_kv's inputs and outputs.
enum Input : size_t { kTokens, kPosition, kMask, kCrossMask, kSelfK, kSelfV, kCrossK, kCrossV, kInputs };
enum Output : size_t { kLogits, kNewK, kNewV, kOutputs };

Diag no_translator(const rt::Port& port, const std::string& path) {
  const std::string kind = port.metadata("/task/kind").value_or("");
  const std::string name = port.metadata("/name").value_or(path);
  const std::string is = kind.empty() ? "has no task" : "is for the task '" + kind + "'";
  const char* hint = kind == "sr"    ? "`npuport upscale` takes it"
                     : kind == "asr" ? "`npuport transcribe` takes it"
                                     : "translate takes ports of Marian models (template marian) traced with sentences";
  return std::move(Diag(diag::bad_input_data, name + " " + is + ": it translates no text", hint).in_file(path));
}

}  // namespace

Result<Model> open_port(const std::string& path, const std::string& backend, const rt::Options& options) {
  auto opened = rt::Port::open(path);
  if (!opened) return diag_of(opened.error());
  const rt::Port& port = *opened;
  const std::optional<std::string> decode = port.metadata("/task/decode");
  if (!decode || !port.metadata("/task/decode/kind").value_or("").starts_with("marian"))
    return no_translator(port, path);
  Model m;
  NPU_ASSIGN(m.rules, read_rules(*decode, path));
  NPU_ASSIGN(m.source_spm, carried_file(port, "/task/source_spm", m.rules.source_spm));
  NPU_ASSIGN(m.target_spm, carried_file(port, "/task/target_spm", m.rules.target_spm));
  NPU_ASSIGN(m.vocab, carried_file(port, "/task/vocab", m.rules.vocab));
  static_cast<PartSource&>(m) = parts_of(std::move(*opened), "Marian", backend, options);
  return m;
}

Result<std::unique_ptr<PartNetwork>> PartNetwork::open(const Model& model, size_t slots) {
  std::unique_ptr<PartNetwork> n(new PartNetwork(model.rules));
  NPU_TRY(n->open_encoder(model));
  NPU_TRY(n->open_decoder(model, slots));
  return n;
}

Status PartNetwork::open_encoder(const Model& model) {
  const Rules& r = rules_;
  const std::string &part = r.parts.at("encoder"), &cross = r.parts.at("cross_kv");
  NPU_ASSIGN(encoder_, model.open_part(part, "encoder"));
  NPU_TRY(expect_counts(*encoder_, 2, 1, part));
  NPU_TRY(model.expect(encoder_->input(0), NPUPORT_I64, {1, r.source_tokens}, part + "'s tokens"));
  NPU_TRY(model.expect(encoder_->input(1), NPUPORT_F32, {1, 1, 1, r.source_tokens}, part + "'s mask"));
  NPU_TRY(model.expect(encoder_->output(0), NPUPORT_F32, {1, r.source_tokens, r.d_model}, part + "'s output"));
  NPU_ASSIGN(cross_, model.open_part(cross, "cross_kv"));
  NPU_TRY(expect_counts(*cross_, 1, 2, cross));
  NPU_TRY(model.expect(cross_->input(0), NPUPORT_F32, {1, r.source_tokens, r.d_model}, cross + "'s input"));
  for (size_t i = 0; i < 2; ++i)
    NPU_TRY(model.expect(cross_->output(i), NPUPORT_F32, {r.decoder_layers, 1, r.source_tokens, r.d_model},
                         cross + (i ? "'s values" : "'s keys")));
  const auto length = static_cast<size_t>(r.source_tokens), width = static_cast<size_t>(r.d_model);
  hidden_ = FloatBuffer(length * width);
  source_mask_ = FloatBuffer(length);
  cross_k_ = FloatBuffer(static_cast<size_t>(r.decoder_layers) * length * width);
  cross_v_ = FloatBuffer(cross_k_.size());
  NPU_TRY(checked(encoder_->bind_input(1, source_mask_.bytes())));
  NPU_TRY(checked(encoder_->bind_output(0, hidden_.bytes())));
  NPU_TRY(checked(cross_->bind_input(0, hidden_.bytes())));
  NPU_TRY(checked(cross_->bind_output(0, cross_k_.bytes())));
  return checked(cross_->bind_output(1, cross_v_.bytes()));
}

Status PartNetwork::open_decoder(const Model& model, size_t slots) {
  const Rules& r = rules_;
  const std::string& part = r.parts.at("decoder_kv");
  NPU_ASSIGN(decoder_, model.open_part(part, "decoder_kv"));
  NPU_TRY(expect_counts(*decoder_, kInputs, kOutputs, part));
  const std::vector<int64_t> self{r.decoder_layers, 1, r.max_tokens, r.d_model};
  const std::vector<int64_t> cross{r.decoder_layers, 1, r.source_tokens, r.d_model};
  NPU_TRY(model.expect(decoder_->input(kTokens), NPUPORT_I64, {1, 1}, part + "'s tokens"));
  NPU_TRY(model.expect(decoder_->input(kPosition), NPUPORT_I64, {1, 1}, part + "'s position"));
  NPU_TRY(model.expect(decoder_->input(kMask), NPUPORT_F32, {1, 1, 1, r.max_tokens + 1}, part + "'s mask"));
  NPU_TRY(model.expect(decoder_->input(kCrossMask), NPUPORT_F32, {1, 1, 1, r.source_tokens}, part + "'s cross_mask"));
  for (const Input i : {kSelfK, kSelfV})
    NPU_TRY(model.expect(decoder_->input(i), NPUPORT_F32, self, part + (i == kSelfK ? "'s self_k" : "'s self_v")));
  for (const Input i : {kCrossK, kCrossV})
    NPU_TRY(model.expect(decoder_->input(i), NPUPORT_F32, cross, part + (i == kCrossK ? "'s cross_k" : "'s cross_v")));
  NPU_TRY(model.expect(decoder_->output(kLogits), NPUPORT_F32, {1, 1, r.target_vocabulary}, part + "'s logits"));
  for (const Output o : {kNewK, kNewV})
    NPU_TRY(model.expect(decoder_->output(o), NPUPORT_F32, {r.decoder_layers, 1, 1, r.d_model},
                         part + (o == kNewK ? "'s new_k" : "'s new_v")));
  cache_ = {static_cast<size_t>(r.decoder_layers), static_cast<size_t>(r.max_tokens), static_cast<size_t>(r.d_model)};
  for (size_t i = 0; i < slots; ++i) slots_.push_back({FloatBuffer(cache_.count()), FloatBuffer(cache_.count())});
  new_k_ = FloatBuffer(cache_.layers * cache_.width);
  new_v_ = FloatBuffer(cache_.layers * cache_.width);
  mask_.assign(cache_.rows + 1, 0.0f);
  NPU_TRY(checked(decoder_->bind_input(kCrossMask, source_mask_.bytes())));
  NPU_TRY(checked(decoder_->bind_input(kCrossK, cross_k_.bytes())));
  NPU_TRY(checked(decoder_->bind_input(kCrossV, cross_v_.bytes())));
  NPU_TRY(checked(decoder_->bind_output(kNewK, new_k_.bytes())));
  NPU_TRY(checked(decoder_->bind_output(kNewV, new_v_.bytes())));
  bound_ = slots;
  return use(0);
}

Status PartNetwork::use(size_t slot) {
  if (slot == bound_) return {};
  NPU_TRY(checked(decoder_->bind_input(kSelfK, slots_[slot].k.bytes())));
  NPU_TRY(checked(decoder_->bind_input(kSelfV, slots_[slot].v.bytes())));
  bound_ = slot;
  return {};
}

Status PartNetwork::encode(std::span<const int32_t> ids) {
  const auto length = static_cast<size_t>(rules_.source_tokens);
  if (ids.empty() || ids.size() > length)
    return Diag(diag::bad_input_data, fmt::format("{} tokens do not fit the encoder's {}", ids.size(), length));
  tokens_.assign(length, rules_.pad);
  std::copy(ids.begin(), ids.end(), tokens_.begin());
  std::fill_n(source_mask_.data(), length, rules_.masked);
  std::fill_n(source_mask_.data(), ids.size(), 0.0f);
  const auto start = std::chrono::steady_clock::now();
  NPU_TRY(checked(encoder_->set_input(0, std::span<const int64_t>(tokens_))));
  NPU_TRY(checked(encoder_->run()));
  NPU_TRY(checked(cross_->run()));
  times_.encoder_ms.push_back(
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  // Rows behind the mask count with weight 0, but 0 · NaN of a sentence that failed would not be 0.
  for (Slot& s : slots_) {
    std::fill_n(s.k.data(), s.k.size(), 0.0f);
    std::fill_n(s.v.data(), s.v.size(), 0.0f);
  }
  return {};
}

Result<std::span<const float>> PartNetwork::step(size_t slot, int32_t token, size_t position) {
  if (slot >= slots_.size() || position >= cache_.rows)
    return Diag(diag::bad_input_data, fmt::format("step {} of slot {}: the decoder takes {} of {}", position, slot,
                                                  cache_.rows, slots_.size()));
  const int64_t id = token, at = static_cast<int64_t>(position);
  set_step_mask(mask_, position, rules_.masked);
  NPU_TRY(use(slot));
  NPU_TRY(checked(decoder_->set_input(kTokens, std::span<const int64_t>(&id, 1))));
  NPU_TRY(checked(decoder_->set_input(kPosition, std::span<const int64_t>(&at, 1))));
  NPU_TRY(checked(decoder_->set_input(kMask, std::span<const float>(mask_))));
  NPU_TRY(run_timed(*decoder_, times_.decoder_ms));
  write_row(slots_[slot].k, cache_, position, new_k_.values());
  write_row(slots_[slot].v, cache_, position, new_v_.values());
  auto out = decoder_->output_values<float>(kLogits);
  if (!out) return diag_of(out.error());
  return *out;
}

Status PartNetwork::fork(size_t from, size_t to, size_t rows) {
  if (from >= slots_.size() || to >= slots_.size() || rows > cache_.rows)
    return Diag(diag::bad_input_data, fmt::format("no slots {} and {} of {} rows", from, to, rows));
  copy_rows(slots_[from].k, slots_[to].k, cache_, rows);
  copy_rows(slots_[from].v, slots_[to].v, cache_, rows);
  return {};
}

}  // namespace npuport::marian
