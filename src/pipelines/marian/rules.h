// How a Marian model is driven: marian_decode.json, which a port carries in its metadata (task.decode, written by
// `npuport trace --template marian`).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace npuport::marian {

struct Rules {
  int64_t d_model = 0, decoder_layers = 0;
  int32_t source_vocabulary = 0, target_vocabulary = 0;  // tokens; one number for models that share theirs
  int64_t source_tokens = 0;                             // S: a sentence's tokens with its end, at most
  int64_t max_tokens = 0;                                // T: rows of the decoder's caches
  int64_t max_new_tokens = 0;                            // ≤ T; the end token counts
  int32_t decoder_start = 0, eos = 0, pad = 0;
  std::vector<int32_t> suppress;              // never chosen: the padding
  float masked = -1e9f;                       // what masks add for entries not to be seen
  std::string source_spm, target_spm, vocab;  // files beside the metadata
  std::map<std::string, std::string> parts;   // role (encoder, cross_kv, decoder_kv) → part of the port
};

// `text`: the JSON object. Errors: syntax, corrupt (missing or impossible entries, with the key's name), newer_version.
Result<Rules> read_rules(const std::string& text, const std::string& file);

}  // namespace npuport::marian
