#include "pipelines/marian/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "base/text.h"
#include "pipelines/python_text.h"

namespace npuport::marian {
namespace {

constexpr uint64_t kLargestVocabulary = uint64_t{64} << 20;
constexpr std::string_view kSpace = "\xe2\x96\x81";  // U+2581, a blank inside pieces

// ">>deu<<" at the start of a text (blanks before it allowed); empty when there is none.
std::string_view language_code(std::string_view text) {
  text = trim(text);
  if (!text.starts_with(">>")) return {};
  const size_t end = text.find_first_of("<> \t", 2);
  return end != std::string_view::npos && end > 2 && text.substr(end).starts_with("<<") ? text.substr(0, end + 2)
                                                                                        : std::string_view();
}

Status check_text(std::string_view text) {
  if (text.size() > kLongestLine)
    return Diag(diag::bad_input_data, fmt::format("the line has {} bytes, more than {}", text.size(), kLongestLine),
                "one line is one sentence: break the text into lines");
  if (text.find('\0') != std::string_view::npos)
    return Diag(diag::bad_input_data, "the line holds a NUL byte", "is this a text file (UTF-8)?");
  for (size_t i = 0; i < text.size();) {
    const size_t n = utf8_length(text.substr(i));
    if (n == 0)
      return Diag(diag::bad_input_data, fmt::format("the line is no UTF-8 (byte {})", i + 1),
                  "convert the text to UTF-8");
    i += n;
  }
  return {};
}

// {"piece": id, …} read as it comes: a tree of tens of thousands of entries would cost more time than the rest of the
// start.
class VocabularySax : public nlohmann::json_sax<nlohmann::json> {
 public:
  VocabularySax(size_t count, std::unordered_map<std::string, int32_t>& ids, std::vector<std::string>& pieces)
      : count_(count), ids_(ids), pieces_(pieces) {}
  const std::string& fault() const { return fault_; }

  bool start_object(std::size_t) override {
    if (inside_) return refuse("an object inside");
    return inside_ = true;
  }
  bool end_object() override { return true; }
  bool key(string_t& text) override {
    key_ = text;
    return inside_;
  }
  bool number_unsigned(number_unsigned_t id) override {
    if (!inside_) return refuse("no object");
    if (key_.empty() || id >= count_ || !pieces_[id].empty() || !ids_.emplace(key_, static_cast<int32_t>(id)).second)
      return refuse(
          fmt::format("the entry '{}': {}, expected an id below {} that no other piece has", key_, id, count_));
    pieces_[id] = key_;
    return true;
  }
  bool number_integer(number_integer_t) override { return refuse("a negative id"); }
  bool number_float(number_float_t, const string_t&) override { return refuse("an id that is no whole number"); }
  bool null() override { return refuse("a null"); }
  bool boolean(bool) override { return refuse("a truth value"); }
  bool string(string_t&) override { return refuse("a string for an id"); }
  bool binary(binary_t&) override { return refuse("bytes"); }
  bool start_array(std::size_t) override { return refuse("a list"); }
  bool end_array() override { return true; }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) override {
    return refuse(fmt::format("no JSON at byte {}", position));
  }

 private:
  bool refuse(std::string what) {
    if (fault_.empty()) fault_ = std::move(what);
    return false;
  }
  size_t count_;
  std::unordered_map<std::string, int32_t>& ids_;
  std::vector<std::string>& pieces_;
  std::string key_, fault_;
  bool inside_ = false;
};

}  // namespace

Result<Tokenizer> Tokenizer::read(const std::string& source, const std::string& target, const std::string& vocab,
                                  const Rules& rules) {
  NPU_ASSIGN(SentencePieces cuts, SentencePieces::read(source));
  NPU_ASSIGN(SentencePieces joins, SentencePieces::read(target));
  Tokenizer t(std::move(cuts), std::move(joins));
  auto read = t.read_vocabulary(vocab, rules);
  if (!read) return std::move(read.error().in_file(vocab));
  return t;
}

Status Tokenizer::read_vocabulary(const std::string& path, const Rules& rules) {
  NPU_ASSIGN(const std::string text, read_file(path, kLargestVocabulary));
  const auto count = static_cast<size_t>(std::max(rules.source_vocabulary, rules.target_vocabulary));
  pieces_.assign(count, {});
  VocabularySax sax(count, ids_, pieces_);
  if (!nlohmann::json::sax_parse(text, &sax) || ids_.empty())
    return Diag(diag::corrupt,
                "no vocabulary (JSON object of piece → id): " + (sax.fault().empty() ? "it is empty" : sax.fault()),
                "is this another model's vocabulary?");
  eos_ = rules.eos;
  if (const auto it = ids_.find("<unk>"); it != ids_.end()) unknown_ = it->second;
  silent_ = {eos_, rules.pad, unknown_};
  for (const char* name : {"</s>", "<pad>"})
    if (const auto it = ids_.find(name); it != ids_.end()) silent_.push_back(it->second);
  return {};
}

Result<int32_t> Tokenizer::language(std::string_view code) const {
  if (const auto it = ids_.find(std::string(code)); it != ids_.end()) return it->second;
  std::vector<std::string> known;
  for (const std::string& p : pieces_)
    if (language_code(p) == p && !p.empty()) known.push_back(p);
  std::sort(known.begin(), known.end());
  return Diag(diag::bad_input_data, fmt::format("the model knows no language '{}'", code),
              known.empty() ? "it knows one target language: leave the code out" : "it knows " + join(known, " "));
}

Result<std::vector<int32_t>> Tokenizer::encode(std::string_view text) const {
  NPU_TRY(check_text(text));
  std::vector<int32_t> out;
  if (const std::string_view code = language_code(text); !code.empty()) {
    NPU_ASSIGN(const int32_t id, language(code));
    out.push_back(id);
    text = trim(text).substr(code.size());
  }
  NPU_ASSIGN(const std::vector<std::string> pieces, source_.encode(text));
  for (const std::string& p : pieces) {
    const auto it = ids_.find(p);
    const int32_t id = it == ids_.end() ? unknown_ : it->second;
    if (id < 0) return Diag(diag::bad_input_data, fmt::format("the vocabulary has neither '{}' nor <unk>", p));
    out.push_back(id);
  }
  out.push_back(eos_);
  return out;
}

Result<std::string> Tokenizer::decode(std::span<const int32_t> ids) const {
  std::vector<std::string> pieces;
  for (const int32_t id : ids) {
    if (std::find(silent_.begin(), silent_.end(), id) != silent_.end()) continue;
    const bool known = id >= 0 && static_cast<size_t>(id) < pieces_.size() && !pieces_[static_cast<size_t>(id)].empty();
    pieces.push_back(known ? pieces_[static_cast<size_t>(id)] : "<unk>");
  }
  NPU_ASSIGN(std::string text, target_.decode(pieces));
  for (size_t at = 0; (at = text.find(kSpace, at)) != std::string::npos;) text.replace(at, kSpace.size(), " ");
  text = decode_utf8(text);
  return std::string(strip(text));
}

}  // namespace npuport::marian
