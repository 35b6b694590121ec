#include "pipelines/marian/translate.h"

#include <fmt/format.h>

#include "base/diag_codes.h"

namespace npuport::marian {

Result<Translation> translate(Network& network, const Tokenizer& tokenizer, const Rules& rules,
                              std::string_view sentence, size_t beams) {
  Translation out;
  NPU_ASSIGN(out.source_tokens, tokenizer.encode(sentence));
  if (out.source_tokens.size() == 1) return out;
  if (out.source_tokens.size() > static_cast<size_t>(rules.source_tokens))
    return Diag(diag::bad_input_data,
                fmt::format("the sentence has {} tokens with its end, this port takes {}", out.source_tokens.size(),
                            rules.source_tokens),
                "break it into shorter lines, or trace the model with a larger --set source_tokens=N");
  NPU_TRY(network.encode(out.source_tokens));
  if (beams == 1) {
    NPU_ASSIGN(out.best, greedy(network, rules));
  } else {
    NPU_ASSIGN(out.best, beam_search(network, rules, beams));
  }
  NPU_ASSIGN(out.text, tokenizer.decode(out.best.tokens));
  return out;
}

}  // namespace npuport::marian
