#include "ir/attr.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "base/diag_codes.h"

namespace npuport {
namespace {

[[noreturn]] void bug(std::string_view name, const char* what) {
  std::fprintf(stderr, "npuport bug: attribute '%.*s' %s\n", static_cast<int>(name.size()), name.data(), what);
  std::abort();
}

std::string real_text(double v) {
  if (std::isnan(v)) return "nan";
  if (std::isinf(v)) return v > 0 ? "inf" : "-inf";
  char buf[40];
  const auto end = std::to_chars(buf, buf + sizeof buf, v).ptr;
  std::string s(buf, end);
  if (s.find_first_of(".e") == std::string::npos) s += ".0";
  return s;
}

std::string quoted(std::string_view s) {
  std::string out = "\"";
  for (const char c : s) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out + "\"";
}

template <class List, class Fn>
std::string list_text(const List& list, Fn&& item) {
  std::string out = "[";
  for (size_t i = 0; i < list.size(); ++i) out += (i ? "," : "") + item(list[i]);
  return out + "]";
}

Diag bad(std::string_view text, const char* wanted) {
  return Diag(diag::syntax, "'" + std::string(text.substr(0, 80)) + "' is not " + wanted);
}

Result<int64_t> parse_int(std::string_view text) {
  int64_t v = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (ec != std::errc() || end != text.data() + text.size()) return bad(text, "an integer");
  return v;
}

Result<double> parse_real(std::string_view text) {
  double v = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (ec != std::errc() || end != text.data() + text.size()) return bad(text, "a number");
  return v;
}

Result<std::string> parse_string(std::string_view text) {
  if (text.size() < 2 || text.front() != '"' || text.back() != '"') return bad(text, "a quoted string");
  std::string out;
  for (size_t i = 1; i + 1 < text.size(); ++i) {
    if (text[i] == '\\' && i + 2 < text.size()) {
      ++i;
      out += text[i] == 'n' ? '\n' : text[i];
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string_view trim(std::string_view s) {
  while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
  while (!s.empty() && s.back() == ' ') s.remove_suffix(1);
  return s;
}

template <class T, class Fn>
Result<AttrValue> parse_list(std::string_view text, Fn&& item) {
  if (text.size() < 2 || text.front() != '[' || text.back() != ']') return bad(text, "a list in brackets");
  text = trim(text.substr(1, text.size() - 2));
  std::vector<T> out;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    NPU_ASSIGN(T v, item(trim(text.substr(0, comma))));
    out.push_back(v);
    if (comma == std::string_view::npos) break;
    text = text.substr(comma + 1);
    if (trim(text).empty()) return bad(text, "a list element");
  }
  return AttrValue(std::move(out));
}

}  // namespace

bool AttrView::has(std::string_view name) const {
  for (const Attr& a : attrs_)
    if (a.name == name) return true;
  return false;
}

template <class T>
const T& AttrView::get(std::string_view name) const {
  for (const Attr& a : attrs_)
    if (a.name == name) {
      if (const T* v = std::get_if<T>(&a.value)) return *v;
      bug(name, "has another kind than asked for");
    }
  bug(name, "is not in the operator's schema");
}

int64_t AttrView::i(std::string_view name) const { return get<int64_t>(name); }
double AttrView::f(std::string_view name) const { return get<double>(name); }
bool AttrView::b(std::string_view name) const { return get<bool>(name); }
const std::string& AttrView::s(std::string_view name) const { return get<std::string>(name); }
const Ints& AttrView::ints(std::string_view name) const { return get<Ints>(name); }
const Reals& AttrView::reals(std::string_view name) const { return get<Reals>(name); }
DType AttrView::dtype(std::string_view name) const { return get<DType>(name); }

std::string to_text(const AttrValue& v) {
  switch (static_cast<AttrKind>(v.index())) {
    case AttrKind::integer:
      return std::to_string(std::get<int64_t>(v));
    case AttrKind::real:
      return real_text(std::get<double>(v));
    case AttrKind::boolean:
      return std::get<bool>(v) ? "true" : "false";
    case AttrKind::string:
      return quoted(std::get<std::string>(v));
    case AttrKind::integers:
      return list_text(std::get<Ints>(v), [](int64_t i) { return std::to_string(i); });
    case AttrKind::reals:
      return list_text(std::get<Reals>(v), real_text);
    case AttrKind::dtype:
      return std::string(name(std::get<DType>(v)));
  }
  return {};
}

Result<AttrValue> parse_attr(std::string_view text, AttrKind kind) {
  switch (kind) {
    case AttrKind::integer: {
      NPU_ASSIGN(const int64_t v, parse_int(text));
      return AttrValue(v);
    }
    case AttrKind::real: {
      NPU_ASSIGN(const double v, parse_real(text));
      return AttrValue(v);
    }
    case AttrKind::boolean:
      if (text == "true") return AttrValue(true);
      if (text == "false") return AttrValue(false);
      return bad(text, "true or false");
    case AttrKind::string: {
      NPU_ASSIGN(std::string v, parse_string(text));
      return AttrValue(std::move(v));
    }
    case AttrKind::integers:
      return parse_list<int64_t>(text, parse_int);
    case AttrKind::reals:
      return parse_list<double>(text, parse_real);
    case AttrKind::dtype: {
      const auto t = parse_dtype(text);
      if (!t) return bad(text, "a dtype");
      return AttrValue(*t);
    }
  }
  return bad(text, "an attribute");
}

}  // namespace npuport
