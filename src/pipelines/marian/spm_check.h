// Is a SentencePiece model safe to give to the library? The library trusts its files: offsets of the normaliser's trie,
// the depth of its rules, lengths of texts are used as they stand. This reads the same file first and refuses what
// would lead it outside its memory. Format: sentencepiece_model.proto of the SentencePiece project; the normaliser's
// map is the size of a double-array trie (uint32), the trie (darts-clone: uint32 units), and texts that end in NUL.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace npuport::marian {

// The model's bytes without its self-test samples (the library would run them at every start and print their failures).
// Errors: corrupt, too_large (pieces, their lengths, the map), unsupported (neither unigram nor BPE; more than 64
// symbols defined by the user).
Result<std::string> checked_spm(std::string_view bytes);

// The normaliser's map alone; empty is fine.
Status check_charsmap(std::string_view blob);

}  // namespace npuport::marian
