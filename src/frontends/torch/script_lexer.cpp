#include "frontends/torch/script_lexer.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/diag_codes.h"

namespace npuport::script {
namespace {

constexpr size_t kMaxIndentDepth = 100;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0; }
bool is_name_char(char c) { return is_name_start(c) || is_digit(c); }

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

class Lexer {
 public:
  Lexer(std::string_view source, size_t max_tokens) : s_(source), max_tokens_(max_tokens) {}

  Result<std::vector<Token>> run() {
    if (s_.size() > UINT32_MAX) return Diag(diag::too_large, "a code file is larger than 4 GiB");
    out_.reserve(s_.size() / 4 + 16);
    while (i_ < s_.size()) {
      if (out_.size() > max_tokens_) return Diag(diag::too_large, "a code file has more tokens than the limit");
      if (at_line_start_ && brackets_ == 0) {
        NPU_TRY(line_start());
        if (i_ >= s_.size()) break;
      }
      NPU_TRY(one());
    }
    if (!out_.empty() && out_.back().kind != Tok::newline) push(Tok::newline, i_, i_);
    for (; indents_.size() > 1; indents_.pop_back()) push(Tok::dedent, i_, i_);
    push(Tok::end, i_, i_);
    return std::move(out_);
  }

 private:
  Diag error(const std::string& what) const {
    return Diag(diag::syntax, what + " at " + line_and_column(s_, i_), "the archive's code/ folder is damaged");
  }

  void push(Tok kind, size_t begin, size_t end) {
    Token t;
    t.kind = kind;
    t.pos = static_cast<uint32_t>(begin);
    t.text = s_.substr(begin, end - begin);
    out_.push_back(std::move(t));
  }

  // Measures the indentation; blank and comment lines count for nothing.
  Status line_start() {
    for (;;) {
      size_t column = 0;
      const size_t begin = i_;
      while (i_ < s_.size() && (s_[i_] == ' ' || s_[i_] == '\t')) column += s_[i_++] == '\t' ? 8 : 1;
      if (i_ >= s_.size()) return {};
      if (s_[i_] == '\r' || s_[i_] == '\n') {
        ++i_;
        continue;
      }
      if (s_[i_] == '#') {
        while (i_ < s_.size() && s_[i_] != '\n') ++i_;
        continue;
      }
      at_line_start_ = false;
      if (column > indents_.back()) {
        if (indents_.size() >= kMaxIndentDepth) return error("code is nested too deeply");
        indents_.push_back(column);
        push(Tok::indent, begin, i_);
        return {};
      }
      while (column < indents_.back()) {
        indents_.pop_back();
        push(Tok::dedent, i_, i_);
      }
      if (column != indents_.back()) return error("inconsistent indentation");
      return {};
    }
  }

  Status one() {
    const char c = s_[i_];
    if (c == ' ' || c == '\t' || c == '\r') return ++i_, Status();
    if (c == '\n') {
      if (brackets_ == 0) {
        push(Tok::newline, i_, i_ + 1);
        at_line_start_ = true;
      }
      return ++i_, Status();
    }
    if (c == '\\' && i_ + 1 < s_.size() && s_[i_ + 1] == '\n') return i_ += 2, Status();
    if (c == '#') {
      while (i_ < s_.size() && s_[i_] != '\n') ++i_;
      return {};
    }
    if (is_name_start(c)) {
      const size_t begin = i_;
      while (i_ < s_.size() && is_name_char(s_[i_])) ++i_;
      push(Tok::name, begin, i_);
      return {};
    }
    if (is_digit(c) || (c == '.' && i_ + 1 < s_.size() && is_digit(s_[i_ + 1]))) return number();
    if (c == '"' || c == '\'') return string();
    return op();
  }

  Status number() {
    const size_t begin = i_;
    bool real = false;
    while (i_ < s_.size()) {
      const char c = s_[i_];
      if (is_digit(c)) {
        ++i_;
      } else if (c == '.') {
        real = true;
        ++i_;
      } else if (c == 'e' || c == 'E') {
        real = true;
        ++i_;
        if (i_ < s_.size() && (s_[i_] == '+' || s_[i_] == '-')) ++i_;
      } else {
        break;
      }
    }
    if (i_ < s_.size() && is_name_start(s_[i_])) {
      if (s_[i_] == 'j') return Diag(diag::unsupported, "complex literal at " + line_and_column(s_, i_));
      return error("malformed number");
    }
    push(real ? Tok::real : Tok::integer, begin, i_);
    Token& t = out_.back();
    const char* first = t.text.data();
    const char* last = first + t.text.size();
    const auto [end, ec] = real ? std::from_chars(first, last, t.real) : std::from_chars(first, last, t.integer);
    if (ec == std::errc::result_out_of_range && real) return {};  // from_chars leaves 0; too small or huge alike
    if (ec != std::errc() || end != last) return error("malformed number");
    return {};
  }

  Status string() {
    const size_t begin = i_;
    const char quote = s_[i_++];
    std::string text;
    for (;;) {
      if (i_ >= s_.size() || s_[i_] == '\n') return error("unterminated string");
      char c = s_[i_++];
      if (c == quote) break;
      if (c == '\\')
        NPU_TRY(escape(text));
      else
        text += c;
    }
    push(Tok::string, begin, i_);
    out_.back().str = std::move(text);
    return {};
  }

  // After a backslash: PyTorch writes \\ \' \" \a \b \f \n \r \t \v and three octal digits for everything else.
  Status escape(std::string& text) {
    if (i_ >= s_.size()) return error("unterminated string");
    const char c = s_[i_++];
    static constexpr std::string_view from = "\\'\"abfnrtv", to = "\\'\"\a\b\f\n\r\t\v";
    if (const size_t k = from.find(c); k != std::string_view::npos) {
      text += to[k];
      return {};
    }
    int value = 0;
    if (c >= '0' && c <= '7') {
      value = c - '0';
      for (int n = 0; n < 2 && i_ < s_.size() && s_[i_] >= '0' && s_[i_] <= '7'; ++n)
        value = value * 8 + (s_[i_++] - '0');
    } else if (c == 'x' && i_ + 1 < s_.size() && hex_digit(s_[i_]) >= 0 && hex_digit(s_[i_ + 1]) >= 0) {
      value = hex_digit(s_[i_]) * 16 + hex_digit(s_[i_ + 1]);
      i_ += 2;
    } else {
      return error("unknown escape in a string");
    }
    text += static_cast<char>(value & 0xFF);
    return {};
  }

  Status op() {
    static constexpr std::array<std::string_view, 8> two = {"->", "==", "!=", "<=", ">=", "//", "**", "<<"};
    const std::string_view pair = s_.substr(i_, 2);
    if (std::find(two.begin(), two.end(), pair) != two.end() || pair == ">>") {
      push(Tok::op, i_, i_ + 2);
      i_ += 2;
      return {};
    }
    const char c = s_[i_];
    if (std::string_view("()[]{},:=.+-*/%<>&|^~@").find(c) == std::string_view::npos)
      return error("unexpected character");
    if (c == '(' || c == '[' || c == '{') ++brackets_;
    if (c == ')' || c == ']' || c == '}') {
      if (brackets_ == 0) return error("unbalanced bracket");
      --brackets_;
    }
    push(Tok::op, i_, i_ + 1);
    ++i_;
    return {};
  }

  std::string_view s_;
  size_t max_tokens_;
  size_t i_ = 0;
  size_t brackets_ = 0;
  bool at_line_start_ = true;
  std::vector<size_t> indents_{0};
  std::vector<Token> out_;
};

}  // namespace

Result<std::vector<Token>> tokenize(std::string_view source, size_t max_tokens) {
  return Lexer(source, max_tokens).run();
}

size_t line_of(std::string_view source, size_t pos) {
  const std::string_view before = source.substr(0, std::min(pos, source.size()));
  return static_cast<size_t>(std::count(before.begin(), before.end(), '\n')) + 1;
}

std::string line_and_column(std::string_view source, size_t pos) {
  const std::string_view before = source.substr(0, std::min(pos, source.size()));
  const size_t newline = before.rfind('\n');
  const size_t column = newline == std::string_view::npos ? before.size() : before.size() - newline - 1;
  return "line " + std::to_string(line_of(source, pos)) + ", column " + std::to_string(column + 1);
}

}  // namespace npuport::script
