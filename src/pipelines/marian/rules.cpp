#include "pipelines/marian/rules.h"

#include <algorithm>

#include "base/diag_codes.h"
#include "pipelines/rule_reader.h"

namespace npuport::marian {
namespace {

constexpr int64_t kMostTokens = 1 << 16, kMostWords = 1 << 20;

Status read_dims(const Json& object, const std::string& file, Rules& r) {
  const auto it = object.find("dims");
  if (it == object.end() || !it->is_object()) return Diag(diag::corrupt, "no object 'dims'").in_file(file);
  RuleReader dims(*it, file);
  r.d_model = dims.integer("d_model", 1, 1 << 16, {});
  r.decoder_layers = dims.integer("decoder_layers", 1, 256, {});
  r.source_vocabulary = static_cast<int32_t>(dims.integer("vocab_size", 1, kMostWords, {}));
  r.target_vocabulary =
      static_cast<int32_t>(dims.integer("decoder_vocab_size", 1, kMostWords, int64_t{r.source_vocabulary}));
  return dims.status();
}

}  // namespace

Result<Rules> read_rules(const std::string& text, const std::string& file) {
  NPU_ASSIGN(const Json j, parse_rules(text, file));
  RuleReader in(j, file);
  if (in.text("kind", "") != "marian_greedy") in.fail("'kind' must be \"marian_greedy\"");
  Rules r;
  NPU_TRY(in.status());
  NPU_TRY(read_dims(j, file, r));
  r.source_tokens = in.integer("source_tokens", 2, kMostTokens, {});
  r.max_tokens = in.integer("max_tokens", 1, kMostTokens, {});
  r.max_new_tokens = in.integer("max_new_tokens", 1, r.max_tokens, r.max_tokens);
  const auto id = [&](const char* key, int32_t count) {
    return static_cast<int32_t>(in.integer(key, 0, count - 1, {}));
  };
  r.decoder_start = id("decoder_start_token", r.target_vocabulary);
  r.eos = id("eos", std::min(r.source_vocabulary, r.target_vocabulary));
  r.pad = id("pad_token", r.source_vocabulary);
  r.suppress = in.ids("suppress_tokens", r.target_vocabulary, false);
  r.masked = static_cast<float>(in.number("masked", -1e9).value_or(-1e9));
  if (!(r.masked <= -1e4f)) in.fail("'masked' must be -10000 or less");
  r.source_spm = in.file_name("source_spm", "source.spm");
  r.target_spm = in.file_name("target_spm", "target.spm");
  r.vocab = in.file_name("vocab", "vocab.json");
  for (const char* role : {"encoder", "cross_kv", "decoder_kv"}) r.parts[role] = role;
  if (const Json* parts = in.find("parts"); parts && parts->is_object())
    for (const auto& [role, part] : parts->items())
      if (part.is_string()) r.parts[role] = part.get<std::string>();
  NPU_TRY(in.status());
  return r;
}

}  // namespace npuport::marian
