// Strings and formatting.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/diag_codes.h"
#include "frontends/torch/script_builtins.h"

namespace npuport {
namespace {

constexpr size_t kMaxString = size_t{1} << 24;

Diag raised(const std::string& what) { return Diag(diag::raised, what, "the model itself raised this error"); }

const std::string* text(const BuiltinCall& c, size_t i) { return i < c.args.size() ? c.args[i].as_string() : nullptr; }

// Python's repr of a float: shortest round trip, always with '.', 'e', inf or nan.
std::string float_text(double d) {
  std::string s = fmt::format("{}", d);
  if (s.find_first_of(".einf") == std::string::npos) s += ".0";
  return s;
}

// "{} and {}".format(…): only plain {} and {N}, as TorchScript supports.
Result<bool> format(BuiltinCall& c) {
  const std::string* pattern = text(c, 0);
  if (!pattern) return false;
  std::string out;
  size_t next = 1;
  for (size_t i = 0; i < pattern->size(); ++i) {
    const char ch = (*pattern)[i];
    if (ch != '{' && ch != '}') {
      out += ch;
      continue;
    }
    if (i + 1 < pattern->size() && (*pattern)[i + 1] == ch) {
      out += ch;
      ++i;
      continue;
    }
    const size_t close = pattern->find('}', i);
    if (ch == '}' || close == std::string::npos) return raised("malformed format string \"" + *pattern + "\"");
    std::string field = pattern->substr(i + 1, close - i - 1);
    field = field.substr(0, field.find_first_of(":!"));
    size_t index = next;
    if (field.empty())
      ++next;
    else if (std::from_chars(field.data(), field.data() + field.size(), index).ec == std::errc())
      ++index;
    if (index >= c.args.size()) return raised("Too few arguments for format string \"" + *pattern + "\"");
    out += python_str(c.in, c.args[index]);
    if (out.size() > kMaxString) return Diag(diag::too_large, "a formatted string is too long");
    i = close;
  }
  return c.out = IValue(std::move(out)), true;
}

// "%d %s" % (…).
Result<bool> percent_format(BuiltinCall& c) {
  const std::string* pattern = text(c, 0);
  if (!pattern) return false;
  std::vector<IValue> values(c.args.begin() + 1, c.args.end());
  if (values.size() == 1 && values[0].as_tuple()) values = values[0].as_tuple()->items;
  std::string out;
  size_t next = 0;
  for (size_t i = 0; i < pattern->size(); ++i) {
    if ((*pattern)[i] != '%') {
      out += (*pattern)[i];
      continue;
    }
    if (++i >= pattern->size()) return raised("Incomplete format specifier");
    const char kind = (*pattern)[i];
    if (kind == '%') {
      out += '%';
      continue;
    }
    if (next >= values.size()) return raised("Too few arguments for format string");
    const IValue& v = values[next++];
    double d = 0;
    if ((kind == 'd' || kind == 'i') && v.number(d))
      out += fmt::format("{}", v.as_int() ? *v.as_int() : static_cast<int64_t>(d));
    else if ((kind == 'f' || kind == 'F') && v.number(d))
      out += fmt::format("{:f}", d);
    else if (kind == 'e' && v.number(d))
      out += fmt::format("{:e}", d);
    else if (kind == 'g' && v.number(d))
      out += fmt::format("{:g}", d);
    else
      out += python_str(c.in, v);
    if (out.size() > kMaxString) return Diag(diag::too_large, "a formatted string is too long");
  }
  return c.out = IValue(std::move(out)), true;
}

Result<bool> str(BuiltinCall& c) {
  if (c.args.size() != 1) return false;
  return c.out = IValue(python_str(c.in, c.args[0])), true;
}

Result<bool> starts_with(BuiltinCall& c) {
  const std::string *s = text(c, 0), *p = text(c, 1);
  if (!s || !p) return false;
  return c.out = IValue(s->starts_with(*p)), true;
}
Result<bool> ends_with(BuiltinCall& c) {
  const std::string *s = text(c, 0), *p = text(c, 1);
  if (!s || !p) return false;
  return c.out = IValue(s->ends_with(*p)), true;
}
Result<bool> find(BuiltinCall& c) {
  const std::string *s = text(c, 0), *p = text(c, 1);
  if (!s || !p) return false;
  const size_t at = s->find(*p);
  return c.out = IValue(at == std::string::npos ? int64_t{-1} : static_cast<int64_t>(at)), true;
}
Result<bool> change_case(BuiltinCall& c) {
  const std::string* s = text(c, 0);
  if (!s) return false;
  std::string out = *s;
  const bool upper = c.name == "aten::upper";
  for (char& ch : out) {
    if (upper && ch >= 'a' && ch <= 'z') ch = static_cast<char>(ch - 'a' + 'A');
    if (!upper && ch >= 'A' && ch <= 'Z') ch = static_cast<char>(ch - 'A' + 'a');
  }
  return c.out = IValue(std::move(out)), true;
}
Result<bool> strip(BuiltinCall& c) {
  const std::string* s = text(c, 0);
  if (!s) return false;
  const std::string set = text(c, 1) ? *text(c, 1) : " \t\n\r\f\v";
  size_t begin = 0, end = s->size();
  if (c.name != "aten::rstrip")
    while (begin < end && set.find((*s)[begin]) != std::string::npos) ++begin;
  if (c.name != "aten::lstrip")
    while (end > begin && set.find((*s)[end - 1]) != std::string::npos) --end;
  return c.out = IValue(s->substr(begin, end - begin)), true;
}
Result<bool> replace(BuiltinCall& c) {
  const std::string *s = text(c, 0), *from = text(c, 1), *to = text(c, 2);
  if (!s || !from || !to || from->empty()) return false;
  std::string out;
  size_t i = 0;
  for (size_t at = s->find(*from); at != std::string::npos; at = s->find(*from, i)) {
    out += s->substr(i, at - i) + *to;
    i = at + from->size();
    if (out.size() > kMaxString) return Diag(diag::too_large, "a string is too long");
  }
  return c.out = IValue(out + s->substr(i)), true;
}
Result<bool> split(BuiltinCall& c) {
  const std::string* s = text(c, 0);
  if (!s) return false;
  std::vector<IValue> out;
  if (const std::string* separator = text(c, 1); separator && !separator->empty()) {
    size_t i = 0;
    for (size_t at = s->find(*separator); at != std::string::npos; at = s->find(*separator, i)) {
      out.push_back(IValue(s->substr(i, at - i)));
      i = at + separator->size();
    }
    out.push_back(IValue(s->substr(i)));
  } else {
    for (size_t i = s->find_first_not_of(" \t\n"); i != std::string::npos; i = s->find_first_not_of(" \t\n", i)) {
      const size_t end = std::min(s->find_first_of(" \t\n", i), s->size());
      out.push_back(IValue(s->substr(i, end - i)));
      i = end;
    }
  }
  return c.out = IValue::list(std::move(out)), true;
}
Result<bool> join(BuiltinCall& c) {
  const std::string* s = text(c, 0);
  if (!s || c.args.size() != 2 || !c.args[1].sequence()) return false;
  std::string out;
  for (const IValue& v : *c.args[1].sequence()) {
    if (!v.as_string()) return false;
    if (&v != &c.args[1].sequence()->front()) out += *s;
    out += *v.as_string();
    if (out.size() > kMaxString) return Diag(diag::too_large, "a string is too long");
  }
  return c.out = IValue(std::move(out)), true;
}
Result<bool> ord(BuiltinCall& c) {
  const std::string* s = text(c, 0);
  if (!s || s->size() != 1) return false;
  return c.out = IValue(static_cast<int64_t>(static_cast<unsigned char>((*s)[0]))), true;
}
Result<bool> chr(BuiltinCall& c) {
  if (c.args.size() != 1 || !c.args[0].as_int()) return false;
  return c.out = IValue(std::string(1, static_cast<char>(*c.args[0].as_int()))), true;
}
Result<bool> is_digit(BuiltinCall& c) {
  const std::string* s = text(c, 0);
  if (!s) return false;
  return c.out = IValue(!s->empty() && s->find_first_not_of("0123456789") == std::string::npos), true;
}

constexpr std::pair<std::string_view, BuiltinHandler> kStrings[] = {
    {"aten::format", format},
    {"aten::percentFormat", percent_format},
    {"aten::str", str},
    {"aten::startswith", starts_with},
    {"aten::endswith", ends_with},
    {"aten::find", find},
    {"aten::upper", change_case},
    {"aten::lower", change_case},
    {"aten::strip", strip},
    {"aten::lstrip", strip},
    {"aten::rstrip", strip},
    {"aten::replace", replace},
    {"aten::split", split},
    {"aten::join", join},
    {"aten::ord", ord},
    {"aten::chr", chr},
    {"aten::isdigit", is_digit},
};

std::string python_text(Interpreter& in, const IValue& v, bool quote, int depth) {
  constexpr int max_depth = 50;
  if (depth > max_depth) return "...";
  if (v.is_none()) return "None";
  if (const bool* b = v.as_bool()) return *b ? "True" : "False";
  if (const int64_t* i = v.as_int()) return std::to_string(*i);
  if (const double* d = v.as_real()) return float_text(*d);
  if (const std::string* s = v.as_string()) return quote ? "'" + *s + "'" : *s;
  if (const DeviceValue* d = v.as_device()) return d->name;
  if (const EnumObject* e = v.as_enum()) return std::string(last_component(e->cls->name)) + "." + e->member;
  if (v.as_sym()) return "<number>";
  if (const TensorRef t = v.as_tensor()) {
    const Result<Shape> shape = in.binder().shape(t);
    const Result<DType> dtype = in.binder().dtype(t);
    if (!shape || !dtype) return "<tensor>";
    return to_string(TensorType{*dtype, *shape, nullptr});
  }
  std::string out;
  if (const std::vector<IValue>* items = v.sequence()) {
    for (const IValue& item : *items) out += (out.empty() ? "" : ", ") + python_text(in, item, true, depth + 1);
    if (v.as_list()) return "[" + out + "]";
    return "(" + out + (items->size() == 1 ? ",)" : ")");
  }
  if (const DictObject* d = v.as_dict()) {
    for (const auto& [key, value] : d->items)
      out += (out.empty() ? "" : ", ") + python_text(in, key, true, depth + 1) + ": " +
             python_text(in, value, true, depth + 1);
    return "{" + out + "}";
  }
  return "<" + v.type_name() + ">";
}

}  // namespace

BuiltinTable string_builtins() { return kStrings; }

std::string python_str(Interpreter& in, const IValue& v, bool quote_strings) {
  return python_text(in, v, quote_strings, 0);
}

}  // namespace npuport
