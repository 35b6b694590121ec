#include "app/match_text.h"

#include <algorithm>
#include <span>
#include <vector>

#include "base/text.h"

namespace npuport::app {
namespace {

constexpr size_t kLongest = 20000;
constexpr size_t kCells = size_t{1} << 26;  // of the table of edits

std::vector<std::string_view> characters(std::string_view text) {
  std::vector<std::string_view> out;
  for (size_t i = 0; i < text.size();) {
    const size_t n = std::max<size_t>(1, utf8_length(text.substr(i)));
    out.push_back(text.substr(i, n));
    i += n;
  }
  return out;
}

using Chars = std::span<const std::string_view>;

// Gathers neighbouring characters of one kind into one mark.
class DiffText {
 public:
  void add(char kind, std::string_view c) {
    if (kind != kind_) close();
    if (kind != kind_ && kind != '=') out_ += kind == '-' ? "[-" : "{+";
    kind_ = kind;
    out_ += c;
  }
  std::string take() {
    close();
    return std::move(out_);
  }

 private:
  void close() {
    if (kind_ == '-') out_ += "-]";
    if (kind_ == '+') out_ += "+}";
    kind_ = '=';
  }
  std::string out_;
  char kind_ = '=';
};

// The edits of two differing middles, written to `diff`; the plain replacement where the table would be too large.
size_t edit(Chars a, Chars b, DiffText& diff) {
  const size_t n = a.size(), m = b.size();
  if (n > kLongest || m > kLongest || (n + 1) * (m + 1) > kCells) {
    for (const auto c : a) diff.add('-', c);
    for (const auto c : b) diff.add('+', c);
    return std::max(n, m);
  }
  std::vector<uint32_t> d((n + 1) * (m + 1));
  const auto at = [&](size_t i, size_t j) -> uint32_t& { return d[i * (m + 1) + j]; };
  for (size_t i = 0; i <= n; ++i) at(i, m) = static_cast<uint32_t>(n - i);
  for (size_t j = 0; j <= m; ++j) at(n, j) = static_cast<uint32_t>(m - j);
  for (size_t i = n; i-- > 0;)
    for (size_t j = m; j-- > 0;)
      at(i, j) = a[i] == b[j] ? at(i + 1, j + 1) : 1 + std::min({at(i + 1, j + 1), at(i + 1, j), at(i, j + 1)});
  size_t i = 0, j = 0;
  while (i < n || j < m) {
    if (i < n && j < m && a[i] == b[j]) {
      diff.add('=', a[i++]);
      ++j;
    } else if (i < n && (j == m || at(i, j) == 1 + at(i + 1, j))) {
      diff.add('-', a[i++]);
    } else if (j < m && (i == n || at(i, j) == 1 + at(i, j + 1))) {
      diff.add('+', b[j++]);
    } else {
      diff.add('-', a[i++]);
      diff.add('+', b[j++]);
    }
  }
  return at(0, 0);
}

}  // namespace

TextMatch match_text(std::string_view expected, std::string_view got) {
  TextMatch out;
  if (expected == got) return out;
  const std::vector<std::string_view> a = characters(expected), b = characters(got);
  const size_t shorter = std::min(a.size(), b.size());
  size_t head = 0, tail = 0;
  while (head < shorter && a[head] == b[head]) ++head;
  while (tail < shorter - head && a[a.size() - 1 - tail] == b[b.size() - 1 - tail]) ++tail;
  DiffText diff;
  for (size_t i = 0; i < head; ++i) diff.add('=', a[i]);
  out.edits =
      edit(Chars(a).subspan(head, a.size() - head - tail), Chars(b).subspan(head, b.size() - head - tail), diff);
  for (size_t i = a.size() - tail; i < a.size(); ++i) diff.add('=', a[i]);
  out.diff = diff.take();
  out.percent = 100.0 * (1.0 - static_cast<double>(out.edits) / static_cast<double>(std::max(a.size(), b.size())));
  return out;
}

}  // namespace npuport::app
