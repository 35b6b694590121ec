#include "frontends/torch/pickle.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "base/byte_reader.h"
#include "base/diag_codes.h"
#include "frontends/torch/pickle_build.h"

namespace npuport {
namespace {

using Kind = PickleValue::Kind;
using pickle_detail::bad_pickle;
using pickle_detail::check_nesting;
using pickle_detail::drop_duplicate_keys;
using pickle_detail::too_many_values;

// The stack machine of Python's pickletools: one member function per group of opcodes.
class Machine {
 public:
  Machine(std::span<const std::byte> bytes, const PickleOptions& options, Pickle& pickle)
      : reader_(bytes), options_(options), pickle_(pickle), builder_(pickle, options) {}

  Status run() {
    while (true) {
      const uint8_t opcode = reader_.u8();
      if (reader_.failed()) break;
      if (opcode == '.') return stop();
      NPU_TRY(step(opcode));
      if (reader_.failed()) break;
    }
    return Diag(diag::truncated, "the pickle ends before its STOP", "save or download the file again");
  }

 private:
  Status step(uint8_t opcode);
  Status stop();

  // Stack.
  Status push(PickleValue* v) {
    if (!v) return too_many_values();
    stack_.push_back(v);
    return {};
  }
  Status push(Result<PickleValue*> v) {
    if (!v) return std::move(v).error();
    return push(*v);
  }
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  Result<PickleValue*> pop() {
    if (stack_.size() <= floor()) return bad_pickle("its stack is empty");
    PickleValue* v = stack_.back();
    stack_.pop_back();
    return v;
  }
  Result<PickleValue*> top() {
    if (stack_.size() <= floor()) return bad_pickle("its stack is empty");
    return stack_.back();
  }
  Status mark() {
    if (marks_.size() >= options_.max_depth)
      return Diag(diag::too_large, "the pickle is nested too deeply", "is this really a model?");
    marks_.push_back(stack_.size());
    return {};
  }
  // Everything above the last mark; the mark goes too.
  Result<std::vector<const PickleValue*>> pop_mark() {
    if (marks_.empty()) return bad_pickle("a mark is missing");
    const auto from = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<const PickleValue*> items(from, stack_.end());
    stack_.erase(from, stack_.end());
    marks_.pop_back();
    return items;
  }

  // Groups of opcodes.
  Status push_shared(PickleValue*& shared, Kind kind, int64_t value);
  Status push_int(int64_t value);
  Status push_real(double value);
  Status push_text(Kind kind, uint64_t size);
  Status push_long(uint64_t size);
  Status push_items(Kind kind, std::vector<const PickleValue*> items);
  Status push_tuple(size_t count);
  Status push_dict();
  Status text_int();
  Status text_long();
  Status text_real();
  Status text_string();
  Status text_unicode();
  Status append(std::vector<const PickleValue*> items);
  Status set_items(std::vector<const PickleValue*> items);
  Status put(uint64_t key);
  Status get(uint64_t key);
  Status global_line();
  Status stack_global();
  Status inst();
  Status obj();
  Status new_object(bool with_keywords);
  Status reduce();
  Status build();
  Status persistent();
  Status protocol();
  Status discard();
  Result<std::string> line();
  Result<uint64_t> line_number();

  ByteReader reader_;
  const PickleOptions& options_;
  Pickle& pickle_;
  pickle_detail::Builder builder_;
  std::vector<PickleValue*> stack_;
  std::vector<size_t> marks_;
  std::map<uint64_t, PickleValue*> memo_;  // ordered: chosen keys cannot make it slow
  PickleValue* none_ = nullptr;
  PickleValue* true_ = nullptr;
  PickleValue* false_ = nullptr;
};

// clang-format off
// Opcodes: Lib/pickletools.py of CPython, protocols 0 to 5.
Status Machine::step(uint8_t opcode) {
  switch (opcode) {
    case 0x80: return protocol();
    case 0x95: return reader_.skip(8), Status();  // FRAME: its length only helps buffering
    case '(': return mark();
    case '0': return discard();
    case '1': {  // POP_MARK
      auto items = pop_mark();
      if (!items) return std::move(items).error();
      return {};
    }
    case '2': return push(top());  // DUP
    case 'N': return push_shared(none_, Kind::none, 0);
    case 0x88: return push_shared(true_, Kind::boolean, 1);
    case 0x89: return push_shared(false_, Kind::boolean, 0);
    case 'I': return text_int();
    case 'J': return push_int(reader_.get<int32_t>());
    case 'K': return push_int(reader_.u8());
    case 'M': return push_int(reader_.u16());
    case 'L': return text_long();
    case 0x8a: return push_long(reader_.u8());
    case 0x8b: return push_long(reader_.u32());
    case 'F': return text_real();
    case 'G': {
      uint64_t raw = 0;
      for (int i = 0; i < 8; ++i) raw = raw << 8 | reader_.u8();
      return push_real(std::bit_cast<double>(raw));
    }
    case 'S': return text_string();
    case 'T': return push_text(Kind::string, reader_.u32());
    case 'U': return push_text(Kind::string, reader_.u8());
    case 'V': return text_unicode();
    case 'X': return push_text(Kind::string, reader_.u32());
    case 0x8c: return push_text(Kind::string, reader_.u8());
    case 0x8d: return push_text(Kind::string, reader_.u64());
    case 'B': return push_text(Kind::bytes, reader_.u32());
    case 'C': return push_text(Kind::bytes, reader_.u8());
    case 0x8e: case 0x96: return push_text(Kind::bytes, reader_.u64());
    case ')': return push_items(Kind::tuple, {});
    case ']': return push_items(Kind::list, {});
    case 0x8f: return push_items(Kind::set, {});
    case '}': return push(builder_.make(Kind::dict));
    case 0x85: return push_tuple(1);
    case 0x86: return push_tuple(2);
    case 0x87: return push_tuple(3);
    case 't': case 'l': case 0x91: {  // TUPLE, LIST, FROZENSET
      NPU_ASSIGN(auto items, pop_mark());
      return push_items(opcode == 't' ? Kind::tuple : opcode == 'l' ? Kind::list : Kind::set, std::move(items));
    }
    case 'd': return push_dict();
    case 'a': {
      NPU_ASSIGN(const PickleValue* item, pop());
      return append({item});
    }
    case 'e': case 0x90: {  // APPENDS, ADDITEMS
      NPU_ASSIGN(auto items, pop_mark());
      return append(std::move(items));
    }
    case 's': {
      NPU_ASSIGN(const PickleValue* value, pop());
      NPU_ASSIGN(const PickleValue* key, pop());
      return set_items({key, value});
    }
    case 'u': {
      NPU_ASSIGN(auto items, pop_mark());
      return set_items(std::move(items));
    }
    case 'p': {
      NPU_ASSIGN(const uint64_t key, line_number());
      return put(key);
    }
    case 'q': return put(reader_.u8());
    case 'r': return put(reader_.u32());
    case 0x94: return put(memo_.size());
    case 'g': {
      NPU_ASSIGN(const uint64_t key, line_number());
      return get(key);
    }
    case 'h': return get(reader_.u8());
    case 'j': return get(reader_.u32());
    case 'c': return global_line();
    case 0x93: return stack_global();
    case 'i': return inst();
    case 'o': return obj();
    case 0x81: return new_object(false);
    case 0x92: return new_object(true);
    case 'R': return reduce();
    case 'b': return build();
    case 'Q': return persistent();
    case 'P': case 0x97: case 0x98: 
      return Diag(diag::unsupported, "the pickle refers to data outside the file", "save the model with torch.save");
    case 0x82: case 0x83: case 0x84:
      return Diag(diag::unsafe_pickle, "the pickle uses the extension registry", "export the model with torch.jit.save");
    default: return bad_pickle(fmt::format("byte {:#04x} at {} is no opcode", opcode, reader_.position() - 1));
  }
}
// clang-format on

Status Machine::protocol() {
  const uint8_t version = reader_.u8();
  if (version <= 5) return {};
  return Diag(diag::newer_version, fmt::format("the pickle uses protocol {}; up to 5 is known", version),
              "save with pickle_protocol=2");
}

Status Machine::discard() {
  if (stack_.size() > floor()) {
    stack_.pop_back();
  } else if (!marks_.empty()) {
    marks_.pop_back();  // POP on a mark removes the mark
  } else {
    return bad_pickle("its stack is empty");
  }
  return {};
}

Status Machine::push_shared(PickleValue*& shared, Kind kind, int64_t value) {
  if (!shared) {
    shared = builder_.make(kind);
    if (shared) shared->integer = value;
  }
  return push(shared);
}

Status Machine::push_int(int64_t value) {
  PickleValue* v = builder_.make(Kind::integer);
  if (v) v->integer = value;
  return push(v);
}

Status Machine::push_real(double value) {
  PickleValue* v = builder_.make(Kind::real);
  if (v) v->real = value;
  return push(v);
}

Status Machine::push_text(Kind kind, uint64_t size) {
  if (size > options_.max_string)
    return Diag(diag::too_large, fmt::format("the pickle holds a string of {} bytes", size), "is this really a model?");
  const auto text = reader_.text(static_cast<size_t>(size));
  PickleValue* v = builder_.make(kind);
  if (v) v->text = text;
  return push(v);
}

// Little-endian two's complement of any length.
Status Machine::push_long(uint64_t size) {
  constexpr uint64_t longest = 1024;
  if (size > longest)
    return Diag(diag::too_large, fmt::format("the pickle holds an integer of {} bytes", size),
                "is this really a model?");
  const auto raw = reader_.take(static_cast<size_t>(size));
  if (reader_.failed()) return {};
  const bool negative = !raw.empty() && (raw.back() & std::byte{0x80}) != std::byte{0};
  if (raw.size() <= 8) {
    uint64_t bits = negative ? ~uint64_t{0} : 0;
    for (size_t i = raw.size(); i-- > 0;) bits = bits << 8 | std::to_integer<uint64_t>(raw[i]);
    return push_int(static_cast<int64_t>(bits));
  }
  // Magnitude, then repeated division by ten; at most 1024 bytes, so the square of the length does not matter.
  std::vector<uint32_t> magnitude(raw.size());
  uint32_t carry = negative ? 1 : 0;
  for (size_t i = 0; i < raw.size(); ++i) {
    const uint32_t digit = std::to_integer<uint32_t>(negative ? ~raw[i] : raw[i]) + carry;
    magnitude[i] = digit & 0xFF;
    carry = digit >> 8;
  }
  std::string digits;
  while (!magnitude.empty()) {
    uint32_t remainder = 0;
    for (size_t i = magnitude.size(); i-- > 0;) {
      const uint32_t part = remainder << 8 | magnitude[i];
      magnitude[i] = part / 10;
      remainder = part % 10;
    }
    digits += static_cast<char>('0' + remainder);
    while (!magnitude.empty() && magnitude.back() == 0) magnitude.pop_back();
  }
  if (negative) digits += '-';
  std::ranges::reverse(digits);
  PickleValue* v = builder_.make(Kind::big_integer);
  if (v) v->text = std::move(digits);
  return push(v);
}

Status Machine::push_items(Kind kind, std::vector<const PickleValue*> items) {
  PickleValue* v = builder_.make(kind);
  if (v) v->items = std::move(items);
  return push(v);
}

Status Machine::push_tuple(size_t count) {
  if (stack_.size() - floor() < count) return bad_pickle("its stack is empty");
  const auto from = stack_.end() - static_cast<std::ptrdiff_t>(count);
  std::vector<const PickleValue*> items(from, stack_.end());
  stack_.erase(from, stack_.end());
  return push_items(Kind::tuple, std::move(items));
}

Status Machine::push_dict() {
  NPU_ASSIGN(auto items, pop_mark());
  NPU_TRY(push(builder_.make(Kind::dict)));
  return set_items(std::move(items));
}

Result<std::string> Machine::line() {
  std::string text;
  while (true) {
    const auto c = static_cast<char>(reader_.u8());
    if (reader_.failed() || c == '\n') break;
    text += c;
    if (text.size() > options_.max_string) return bad_pickle("a line is too long");
  }
  if (!text.empty() && text.back() == '\r') text.pop_back();
  return text;
}

Result<uint64_t> Machine::line_number() {
  NPU_ASSIGN(const std::string text, line());
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return bad_pickle("a memo number is no number");
  return value;
}

Status Machine::text_int() {
  NPU_ASSIGN(const std::string text, line());
  if (text == "00") return push_shared(false_, Kind::boolean, 0);
  if (text == "01") return push_shared(true_, Kind::boolean, 1);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return bad_pickle("an integer is no number");
  return push_int(value);
}

Status Machine::text_long() {
  NPU_ASSIGN(std::string text, line());
  if (!text.empty() && text.back() == 'L') text.pop_back();
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size()) return push_int(value);
  const size_t digits = text.starts_with('-') ? 1 : 0;
  if (text.size() == digits || text.size() > 4096 || text.find_first_not_of("0123456789", digits) != std::string::npos)
    return bad_pickle("an integer is no number");
  PickleValue* v = builder_.make(Kind::big_integer);
  if (v) v->text = std::move(text);
  return push(v);
}

Status Machine::text_real() {
  NPU_ASSIGN(const std::string text, line());
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return bad_pickle("a float is no number");
  return push_real(value);
}

// A Python 2 string literal in quotes, with \n, \t, \xNN, \\ and quotes escaped.
Status Machine::text_string() {
  NPU_ASSIGN(const std::string text, line());
  if (text.size() < 2 || text.front() != text.back() || (text[0] != '\'' && text[0] != '"'))
    return bad_pickle("a string has no quotes");
  PickleValue* v = builder_.make(Kind::string);
  if (!v) return too_many_values();
  for (size_t i = 1; i + 1 < text.size(); ++i) {
    char c = text[i];
    if (c == '\\' && i + 2 < text.size()) {
      c = text[++i];
      if (c == 'n') c = '\n';
      if (c == 'r') c = '\r';
      if (c == 't') c = '\t';
      if (c == 'x') {
        unsigned code = 0;
        const size_t end = std::min(i + 3, text.size() - 1);
        if (std::from_chars(text.data() + i + 1, text.data() + end, code, 16).ptr != text.data() + i + 3)
          return bad_pickle("a string holds a bad escape");
        c = static_cast<char>(code);
        i += 2;
      }
    }
    v->text += c;
  }
  return push(v);
}

// Latin-1 with \uXXXX and \UXXXXXXXX for the rest, stored as UTF-8.
Status Machine::text_unicode() {
  NPU_ASSIGN(const std::string text, line());
  PickleValue* v = builder_.make(Kind::string);
  if (!v) return too_many_values();
  const auto add = [&](uint32_t c) {
    if (c < 0x80) return void(v->text += static_cast<char>(c));
    const int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    v->text += static_cast<char>((0xFF00 >> (more + 1) & 0xFF) | c >> 6 * more);
    for (int i = more - 1; i >= 0; --i) v->text += static_cast<char>(0x80 | (c >> 6 * i & 0x3F));
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const size_t digits = i + 1 >= text.size() || text[i] != '\\' ? 0
                          : text[i + 1] == 'u'                    ? 4
                          : text[i + 1] == 'U'                    ? 8
                                                                  : 0;
    if (digits == 0) {
      add(static_cast<unsigned char>(text[i]));
      continue;
    }
    uint32_t c = 0;
    const char* first = text.data() + i + 2;
    if (text.size() - i - 2 < digits || std::from_chars(first, first + digits, c, 16).ptr != first + digits ||
        c > 0x10FFFF)
      return bad_pickle("a string holds a bad escape");
    add(c);
    i += digits + 1;
  }
  return push(v);
}

Status Machine::append(std::vector<const PickleValue*> items) {
  NPU_ASSIGN(PickleValue * target, top());
  const bool fits =
      target->is(Kind::list) || target->is(Kind::set) || (options_.record_unknown && target->is(Kind::object));
  if (!fits) return bad_pickle("appends to " + describe(*target));
  target->items.insert(target->items.end(), items.begin(), items.end());
  return {};
}

Status Machine::set_items(std::vector<const PickleValue*> items) {
  NPU_ASSIGN(PickleValue * target, top());
  if (!target->is(Kind::dict) && !(options_.record_unknown && target->is(Kind::object)))
    return bad_pickle("sets items of " + describe(*target));
  if (items.size() % 2 != 0) return bad_pickle("a dict has a key without a value");
  for (size_t i = 0; i < items.size(); i += 2) target->entries.emplace_back(items[i], items[i + 1]);
  return {};
}

Status Machine::put(uint64_t key) {
  if (reader_.failed()) return {};
  NPU_ASSIGN(PickleValue * v, top());
  memo_[key] = v;
  return {};
}

Status Machine::get(uint64_t key) {
  if (reader_.failed()) return {};
  const auto found = memo_.find(key);
  if (found == memo_.end()) return bad_pickle(fmt::format("memo entry {} is missing", key));
  return push(found->second);
}

Status Machine::global_line() {
  NPU_ASSIGN(const std::string module, line());
  NPU_ASSIGN(const std::string name, line());
  if (reader_.failed()) return {};
  return push(builder_.global(module, name));
}

Status Machine::stack_global() {
  NPU_ASSIGN(const PickleValue* name, pop());
  NPU_ASSIGN(const PickleValue* module, pop());
  if (!name->is(Kind::string) || !module->is(Kind::string)) return bad_pickle("a class name is no string");
  return push(builder_.global(module->text, name->text));
}

Status Machine::inst() {
  NPU_ASSIGN(const std::string module, line());
  NPU_ASSIGN(const std::string name, line());
  if (reader_.failed()) return {};
  NPU_ASSIGN(auto items, pop_mark());
  NPU_ASSIGN(PickleValue * cls, builder_.global(module, name));
  return push(builder_.new_object(cls, std::move(items)));
}

Status Machine::obj() {
  NPU_ASSIGN(auto items, pop_mark());
  if (items.empty()) return bad_pickle("an object without a class");
  auto* cls = const_cast<PickleValue*>(items[0]);
  items.erase(items.begin());
  return push(builder_.new_object(cls, std::move(items)));
}

Status Machine::new_object(bool with_keywords) {
  const PickleValue* keywords = nullptr;
  if (with_keywords) {
    NPU_ASSIGN(keywords, pop());
  }
  NPU_ASSIGN(const PickleValue* arguments, pop());
  NPU_ASSIGN(PickleValue * cls, pop());
  if (!arguments->is(Kind::tuple)) return bad_pickle("constructor arguments are " + describe(*arguments));
  auto items = arguments->items;
  if (keywords) items.push_back(keywords);
  return push(builder_.new_object(cls, std::move(items)));
}

Status Machine::reduce() {
  NPU_ASSIGN(PickleValue * arguments, pop());
  NPU_ASSIGN(PickleValue * function, pop());
  return push(builder_.reduce(function, arguments));
}

Status Machine::build() {
  NPU_ASSIGN(PickleValue * state, pop());
  NPU_ASSIGN(PickleValue * target, top());
  return builder_.build(target, state);
}

Status Machine::persistent() {
  NPU_ASSIGN(const PickleValue* id, pop());
  return push(builder_.persistent(id));
}

Status Machine::stop() {
  if (!marks_.empty()) return bad_pickle("a mark is left over");
  NPU_ASSIGN(pickle_.root, pop());
  pickle_.consumed = reader_.position();
  for (PickleValue& v : pickle_.values)
    if (!v.entries.empty()) drop_duplicate_keys(v);
  builder_.publish_names();
  return check_nesting(pickle_.root, options_);
}

}  // namespace

Result<Pickle> read_pickle(std::span<const std::byte> bytes, const PickleOptions& options) {
  Pickle pickle;
  NPU_TRY(Machine(bytes, options, pickle).run());
  return pickle;
}

}  // namespace npuport
