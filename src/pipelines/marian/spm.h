// SentencePiece models by the SentencePiece library, which nothing else of npuport includes.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace npuport::marian {

class SentencePieces {
 public:
  // A .spm file (unigram or BPE) of at most 32 MiB. Errors: file_not_found, not_readable, too_large, corrupt,
  // unsupported.
  static Result<SentencePieces> read(const std::string& path);
  SentencePieces(SentencePieces&&) noexcept;
  SentencePieces& operator=(SentencePieces&&) noexcept;
  ~SentencePieces();

  // The pieces of a text, normalised as the model says; a run of characters the model lacks is one piece. `text`: valid
  // UTF-8. internal when the library fails.
  Result<std::vector<std::string>> encode(std::string_view text) const;
  // Text of pieces; those the model does not know stand as they are.
  Result<std::string> decode(const std::vector<std::string>& pieces) const;

 private:
  struct Impl;
  explicit SentencePieces(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace npuport::marian
