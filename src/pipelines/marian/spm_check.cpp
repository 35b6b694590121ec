#include "pipelines/marian/spm_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/diag_codes.h"
#include "base/proto_reader.h"
#include "base/text.h"

namespace npuport::marian {
namespace {

constexpr size_t kMostPieces = size_t{1} << 20;
constexpr size_t kLongestPiece = 1024;
constexpr size_t kLongestReplacement = 1024;  // bytes one character may become
constexpr int kDeepest = 32;                  // rules along one path: the library's array
constexpr size_t kMostOwnSymbols = 64;        // the library's array for symbols defined by the user
constexpr float kLargestScore = 1e6f;

Diag corrupt(std::string what) { return Diag(diag::corrupt, "no SentencePiece model: " + std::move(what)); }

// A unit of a darts-clone trie.
struct Unit {
  uint32_t bits;
  uint32_t offset() const { return (bits >> 10) << ((bits & (1U << 9)) >> 6); }
  bool has_leaf() const { return (bits >> 8 & 1) != 0; }
  bool is_value() const { return bits >> 31 != 0; }
  uint32_t value() const { return bits & 0x7fffffffU; }
  uint32_t label() const { return bits & 0xff; }
};

class Trie {
 public:
  explicit Trie(std::string_view bytes) : units_(bytes.size() / sizeof(Unit)) {
    std::memcpy(units_.data(), bytes.data(), units_.size() * sizeof(Unit));
  }

  // Every step from every unit stays inside, every value is a place in texts of `texts` bytes.
  bool stays_inside(size_t texts) const {
    for (size_t i = 0; i < units_.size(); ++i) {
      if (i > 0 && units_[i].is_value()) continue;
      if ((base(i) | 0xff) >= units_.size()) return false;
      if (i > 0 && units_[i].has_leaf() && units_[base(i)].value() >= texts) return false;
    }
    return true;
  }

  // The most rules along one path from the root, or more than kDeepest when there is a circle. Only after stays_inside.
  int depth() {
    group();
    longest_.assign(units_.size(), kUnknown);
    std::vector<Frame> stack{{base(0), first_[base(0)]}};
    longest_[base(0)] = kOpen;
    int best = 0;
    while (!stack.empty()) {
      Frame& f = stack.back();
      if (f.next == first_[f.base + 1]) {
        longest_[f.base] = f.best;
        best = f.best;
        stack.pop_back();
        continue;
      }
      const size_t child = children_[f.next];
      const size_t below = base(child);
      if (longest_[below] == kOpen) return kDeepest + 1;
      if (longest_[below] == kUnknown) {
        longest_[below] = kOpen;
        stack.push_back({below, first_[below]});
        continue;  // this child once more when its own are known
      }
      f.best = std::max(f.best, longest_[below] + (units_[child].has_leaf() ? 1 : 0));
      if (f.best > kDeepest) return f.best;
      ++f.next;
    }
    return best;
  }

 private:
  static constexpr int kUnknown = -1, kOpen = -2;
  struct Frame {
    size_t base, next;
    int best = 0;
  };

  size_t base(size_t unit) const { return unit ^ units_[unit].offset(); }
  // Units by the base of their parents: unit j with label c is a child of those whose base is j ^ c.
  void group() {
    first_.assign(units_.size() + 1, 0);
    const auto each = [&](auto add) {
      for (size_t j = 1; j < units_.size(); ++j)
        if (const size_t b = j ^ units_[j].label(); !units_[j].is_value() && b != j && b < units_.size()) add(b, j);
    };
    each([&](size_t b, size_t) { ++first_[b + 1]; });
    for (size_t b = 0; b < units_.size(); ++b) first_[b + 1] += first_[b];
    children_.resize(first_.back());
    std::vector<size_t> at(first_.begin(), first_.end() - 1);
    each([&](size_t b, size_t j) { children_[at[b]++] = j; });
  }

  std::vector<Unit> units_;
  std::vector<size_t> first_, children_;
  std::vector<int> longest_;  // by base
};

Status check_piece(std::span<const std::byte> bytes, size_t number, size_t& own_symbols) {
  enum Field : uint32_t { kPiece = 1, kScore = 2, kType = 3 };
  constexpr int64_t kUserDefined = 4;
  ProtoReader in(bytes);
  std::string_view piece;
  int64_t type = 1;
  bool sane = true;
  while (in.next()) {
    if (in.field() == kPiece) piece = in.text();
    if (in.field() == kType) type = in.integer();
    if (in.field() == kScore) sane = sane && std::abs(in.real()) <= kLargestScore;
  }
  if (in.failed() || !sane || type < 1 || type > 6) return corrupt(fmt::format("piece {} cannot be read", number));
  if (piece.size() > kLongestPiece)
    return Diag(diag::too_large, fmt::format("piece {} is longer than {} bytes", number, kLongestPiece));
  if (piece.empty() || piece.find('\0') != std::string_view::npos || valid_utf8(piece) != piece)
    return corrupt(fmt::format("piece {} is no text", number));
  if (type == kUserDefined && ++own_symbols > kMostOwnSymbols)
    return Diag(diag::unsupported,
                fmt::format("the model has more than {} symbols defined by its user", kMostOwnSymbols));
  return {};
}

Status check_trainer(std::span<const std::byte> bytes) {
  enum Field : uint32_t { kModelType = 3 };
  ProtoReader in(bytes);
  while (in.next())
    if (in.field() == kModelType)
      if (const int64_t type = in.integer(); !in.failed() && type != 1 && type != 2)
        return Diag(diag::unsupported, "the SentencePiece model is neither of type unigram nor BPE");
  if (in.failed()) return corrupt("its training settings cannot be read");
  return {};
}

Status check_normaliser(std::span<const std::byte> bytes) {
  enum Field : uint32_t { kCharsMap = 2 };
  ProtoReader in(bytes);
  while (in.next())
    if (in.field() == kCharsMap) NPU_TRY(check_charsmap(in.text()));
  if (in.failed()) return corrupt("its normaliser cannot be read");
  return {};
}

}  // namespace

Status check_charsmap(std::string_view blob) {
  if (blob.empty()) return {};
  uint32_t size = 0;
  if (blob.size() > sizeof size) std::memcpy(&size, blob.data(), sizeof size);
  constexpr uint32_t block = 256 * sizeof(uint32_t);
  if (size == 0 || size % block != 0 || size >= blob.size() - sizeof size)
    return corrupt("the size of its normaliser's trie is wrong");
  const std::string_view texts = blob.substr(sizeof size + size);
  if (texts.back() != '\0') return corrupt("a text of its normaliser has no end");
  for (size_t from = 0; from < texts.size();) {
    const size_t end = texts.find('\0', from);
    if (end - from > kLongestReplacement)
      return Diag(diag::too_large,
                  fmt::format("the normaliser makes more than {} bytes of one character", kLongestReplacement));
    from = end + 1;
  }
  Trie trie(blob.substr(sizeof size, size));
  if (!trie.stays_inside(texts.size())) return corrupt("its normaliser's trie points outside");
  if (trie.depth() > kDeepest)
    return corrupt(fmt::format("its normaliser has more than {} rules that begin alike", kDeepest));
  return {};
}

Result<std::string> checked_spm(std::string_view bytes) {
  enum Field : uint32_t { kPieces = 1, kTrainer = 2, kNormaliser = 3, kSelfTest = 4, kDenormaliser = 5 };
  ProtoReader in(as_bytes(bytes));
  size_t pieces = 0, own_symbols = 0;
  std::string out;
  out.reserve(bytes.size());
  for (size_t from = 0; in.next(); from = in.position()) {
    switch (in.field()) {
      case kPieces:
        if (++pieces > kMostPieces)
          return Diag(diag::too_large, fmt::format("the model has more than {} pieces", kMostPieces));
        NPU_TRY(check_piece(in.bytes(), pieces - 1, own_symbols));
        break;
      case kTrainer:
        NPU_TRY(check_trainer(in.bytes()));
        break;
      case kNormaliser:
      case kDenormaliser:
        NPU_TRY(check_normaliser(in.bytes()));
        break;
      default:
        break;
    }
    if (in.field() != kSelfTest) out += bytes.substr(from, in.position() - from);
  }
  if (in.failed()) return corrupt("its fields cannot be read");
  if (pieces == 0) return corrupt("it has no pieces");
  return out;
}

}  // namespace npuport::marian
