#include "pipelines/marian/spm.h"

#include <sentencepiece_processor.h>

#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "pipelines/marian/spm_check.h"

namespace npuport::marian {
namespace {

constexpr uint64_t kLargestFile = uint64_t{32} << 20;

// The library reports by status, its containers (and its tries) by exceptions.
template <class Call>
Status guarded(const char* what, const DiagCode& code, Call call) {
  std::string why;
  try {
    const sentencepiece::util::Status s = call();
    if (s.ok()) return {};
    why = s.error_message();
  } catch (const std::exception& e) {
    why = e.what();
  }
  return Diag(code, std::string("SentencePiece cannot ") + what + ": " + why);
}

}  // namespace

struct SentencePieces::Impl {
  sentencepiece::SentencePieceProcessor processor;
};

SentencePieces::SentencePieces(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SentencePieces::SentencePieces(SentencePieces&&) noexcept = default;
SentencePieces& SentencePieces::operator=(SentencePieces&&) noexcept = default;
SentencePieces::~SentencePieces() = default;

Result<SentencePieces> SentencePieces::read(const std::string& path) {
  NPU_ASSIGN(const std::string bytes, read_file(path, kLargestFile));
  auto checked = checked_spm(bytes);
  if (!checked) return std::move(checked.error().in_file(path));
  auto impl = std::make_unique<Impl>();
  Status loaded =
      guarded("load the model", diag::corrupt, [&] { return impl->processor.LoadFromSerializedProto(*checked); });
  if (!loaded) return std::move(loaded.error().in_file(path));
  return SentencePieces(std::move(impl));
}

Result<std::vector<std::string>> SentencePieces::encode(std::string_view text) const {
  std::vector<std::string> pieces;
  NPU_TRY(guarded("cut a text", diag::internal, [&] { return impl_->processor.Encode(text, &pieces); }));
  return pieces;
}

Result<std::string> SentencePieces::decode(const std::vector<std::string>& pieces) const {
  std::string text;
  NPU_TRY(guarded("join pieces", diag::internal, [&] { return impl_->processor.Decode(pieces, &text); }));
  return text;
}

}  // namespace npuport::marian
