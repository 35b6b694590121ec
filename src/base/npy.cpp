#include "base/npy.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "base/atomic_file.h"
#include "base/byte_reader.h"
#include "base/diag_codes.h"
#include "base/mapped_file.h"

namespace npuport {
namespace {

// numpy/lib/format.py
constexpr std::string_view magic = "\x93NUMPY";
constexpr size_t max_header = size_t{1} << 20;

struct TypeCode {
  std::string_view code;  // behind the byte order
  DType dtype;
};
constexpr TypeCode type_codes[] = {
    {"f2", DType::f16}, {"f4", DType::f32}, {"f8", DType::f64}, {"i1", DType::i8},
    {"i2", DType::i16}, {"i4", DType::i32}, {"i8", DType::i64}, {"u1", DType::u8},
    {"u2", DType::u16}, {"u4", DType::u32}, {"u8", DType::u64}, {"b1", DType::boolean},
};

Diag bad_header(std::string why) {
  return Diag(diag::corrupt, "the .npy header is damaged: " + std::move(why), "save the array again");
}

// The header is the text of a Python dict with exactly three keys.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, DType void_pairs) : text_(text), void_pairs_(void_pairs) {}

  Result<NpyHeader> parse() {
    if (!accept('{')) return bad_header("no dict");
    std::set<std::string_view> seen;
    while (!accept('}')) {
      NPU_ASSIGN(const std::string_view key, quoted());
      if (!accept(':') || !seen.insert(key).second) return bad_header("a key is doubled or has no value");
      NPU_TRY(value(key));
      if (!accept(',') && !peek('}')) return bad_header("a comma is missing");
    }
    skip_blanks();
    if (!text_.empty() || seen.size() != 3) return bad_header("not exactly descr, fortran_order and shape");
    return header_;
  }

 private:
  void skip_blanks() { text_.remove_prefix(std::min(text_.find_first_not_of(" \n\t"), text_.size())); }
  bool peek(char c) {
    skip_blanks();
    return !text_.empty() && text_[0] == c;
  }
  bool accept(char c) {
    if (!peek(c)) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool accept(std::string_view word) {
    skip_blanks();
    if (!text_.starts_with(word)) return false;
    text_.remove_prefix(word.size());
    return true;
  }
  Result<std::string_view> quoted() {
    skip_blanks();
    if (text_.empty() || (text_[0] != '\'' && text_[0] != '"')) return bad_header("a string is missing");
    const size_t end = text_.find(text_[0], 1);
    if (end == std::string_view::npos) return bad_header("a string does not end");
    const auto word = text_.substr(1, end - 1);
    text_.remove_prefix(end + 1);
    return word;
  }

  Status value(std::string_view key) {
    if (key == "descr") return descr();
    if (key == "shape") return shape();
    if (key != "fortran_order") return bad_header(fmt::format("unknown key {}", key));
    header_.fortran = accept("True");
    if (!header_.fortran && !accept("False")) return bad_header("fortran_order is neither True nor False");
    return {};
  }

  // What the letter of a type that no model takes stands for.
  static std::string_view meaning(std::string_view code) {
    if (code.starts_with('O')) return " (Python objects)";
    if (code.starts_with('U') || code.starts_with('S')) return " (text)";
    if (code.starts_with('c')) return " (complex numbers)";
    if (code.starts_with('M') || code.starts_with('m')) return " (dates and times)";
    return {};
  }

  Status descr() {
    if (peek('['))
      return Diag(diag::bad_input_data, "structured arrays are not supported",
                  "save each field as an array of its own");
    NPU_ASSIGN(const std::string_view text, quoted());
    const bool has_order = !text.empty() && std::string_view("<>|=").find(text[0]) != std::string_view::npos;
    std::string_view code = text.substr(has_order ? 1 : 0);
    if (code == "?") code = "b1";
    header_.big_endian = has_order && text[0] == '>';
    if (code == "V2" && void_pairs_ != DType::unknown) {
      header_.dtype = void_pairs_;
      return {};
    }
    const auto* found = std::ranges::find(type_codes, code, &TypeCode::code);
    if (found == std::end(type_codes))
      return Diag(diag::bad_input_data, fmt::format("arrays of NumPy type {}{} are not supported", text, meaning(code)),
                  "save it as a float, integer or bool array: a.astype(numpy.float32)");
    header_.dtype = found->dtype;
    return {};
  }

  Status shape() {
    if (!accept('(')) return bad_header("the shape is no tuple");
    while (!accept(')')) {
      skip_blanks();
      int64_t size = 0;
      const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), size);
      if (error != std::errc()) return bad_header("a dimension is no number");
      text_.remove_prefix(static_cast<size_t>(end - text_.data()));
      accept('L');  // Python 2 wrote 3L
      header_.shape.push_back(size);
      // NumPy's own limit is 64 dimensions.
      if (header_.shape.size() > 64) return bad_header("more than 64 dimensions");
      if (!accept(',') && !peek(')')) return bad_header("a comma is missing");
    }
    return check_shape(header_.shape);
  }

  std::string_view text_;
  DType void_pairs_;
  NpyHeader header_;
};

constexpr size_t kMaxRank = 64;  // check_shape's limit

// Elements lie with the first axis fastest; copies them with the last axis fastest.
void from_fortran(const Shape& shape, const std::byte* from, std::byte* to, size_t item) {
  const int64_t count = element_count(shape);
  std::array<int64_t, kMaxRank> step{}, index{};
  int64_t stride = 1;
  for (size_t d = 0; d < shape.size(); ++d) {
    step[d] = stride;
    stride *= shape[d];
  }
  int64_t at = 0;
  for (int64_t i = 0; i < count; ++i, to += item) {
    std::memcpy(to, from + at * static_cast<int64_t>(item), item);
    for (size_t d = shape.size(); d-- > 0;) {
      at += step[d];
      if (++index[d] < shape[d]) break;
      at -= step[d] * shape[d];
      index[d] = 0;
    }
  }
}

Tensor copy_of(const NpyHeader& h, std::span<const std::byte> data) {
  Tensor t = Tensor::zeros(h.dtype, h.shape);
  const auto item = static_cast<size_t>(byte_size(h.dtype, 1));
  std::byte* to = t.mutable_data();
  if (h.fortran) {
    from_fortran(h.shape, data.data(), to, item);
  } else if (!data.empty()) {
    std::memcpy(to, data.data(), data.size());
  }
  if (h.big_endian && item > 1)
    for (size_t i = 0; i < data.size(); i += item) std::reverse(to + i, to + i + item);
  if (h.dtype == DType::boolean)
    for (size_t i = 0; i < data.size(); ++i) to[i] = to[i] == std::byte{0} ? std::byte{0} : std::byte{1};
  return t;
}

}  // namespace

bool looks_like_npy(std::span<const std::byte> bytes) { return as_text(bytes).starts_with(magic); }

Result<NpyHeader> parse_npy_header(std::span<const std::byte> bytes, DType void_pairs) {
  if (!looks_like_npy(bytes)) return Diag(diag::unknown_format, "this is no .npy array", "save it with numpy.save");
  ByteReader r(bytes);
  r.skip(magic.size());
  const uint8_t major = r.u8();
  r.skip(1);
  NPU_TRY(r.status("the .npy header"));
  if (major < 1 || major > 3)
    return Diag(diag::newer_version, fmt::format(".npy version {} is not known", major), "save it with numpy.save");
  const size_t size = major == 1 ? r.u16() : r.u32();
  if (size > max_header) return Diag(diag::too_large, "the .npy header is larger than 1 MiB", "save the array again");
  const std::string_view text = r.text(size);
  NPU_TRY(r.status("the .npy header"));
  NPU_ASSIGN(NpyHeader h, HeaderParser(text, void_pairs).parse());
  const int64_t wanted = byte_size(h.dtype, element_count(h.shape));
  if (static_cast<uint64_t>(wanted) > r.remaining())
    return Diag(
        diag::truncated,
        fmt::format("the array of shape {} needs {} bytes, {} are there", to_string(h.shape), wanted, r.remaining()),
        "copy or save the file again");
  h.data = r.take(static_cast<size_t>(wanted));
  return h;
}

Result<Tensor> parse_npy(std::span<const std::byte> bytes, std::shared_ptr<const void> owner) {
  NPU_ASSIGN(const NpyHeader h, parse_npy_header(bytes));
  return npy_tensor(h, std::move(owner));
}

Tensor npy_tensor(const NpyHeader& h, std::shared_ptr<const void> owner) {
  const auto item = static_cast<size_t>(byte_size(h.dtype, 1));
  const bool in_place = owner && !h.fortran && (!h.big_endian || item == 1) && h.dtype != DType::boolean &&
                        !h.data.empty() && reinterpret_cast<uintptr_t>(h.data.data()) % item == 0;
  if (!in_place) return copy_of(h, h.data);
  Tensor t;
  t.dtype = h.dtype;
  t.shape = h.shape;
  t.owner = std::move(owner);
  t.data = h.data.data();
  return t;
}

Result<Tensor> read_npy(const std::string& path) {
  NPU_ASSIGN(auto file, MappedFile::open(path));
  auto t = parse_npy(file->bytes(), file);
  if (!t) return std::move(t).error().in_file(path);
  return t;
}

Result<std::string> npy_header(const Tensor& t) {
  const auto* found = std::ranges::find(type_codes, t.dtype, &TypeCode::dtype);
  if (found == std::end(type_codes))
    return Diag(diag::dtype_mismatch, fmt::format("NumPy has no type {}", name(t.dtype)), "cast the array to float32");
  const char order = byte_size(t.dtype, 1) == 1 ? '|' : '<';
  std::string shape;
  for (const int64_t d : t.shape) shape += fmt::format("{}{}", shape.empty() ? "" : ", ", d);
  if (t.shape.size() == 1) shape += ',';
  std::string text =
      fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': ({}), }}", order, found->code, shape);
  // magic, version, length, text, line break: padded to 64 bytes so that the data is aligned.
  const size_t fixed = magic.size() + 2 + 2;
  text.append((64 - (fixed + text.size() + 1) % 64) % 64, ' ');
  text += '\n';
  std::string header(magic);
  header += {'\1', '\0', static_cast<char>(text.size() & 0xFF), static_cast<char>(text.size() >> 8)};
  return header + text;
}

namespace {

std::span<const std::byte> contents_of(const Tensor& t) { return {t.data, static_cast<size_t>(t.bytes())}; }
}  // namespace

Status write_npy(const std::string& path, const Tensor& t) {
  auto header = npy_header(t);
  if (!header) return std::move(header).error().in_file(path);
  NPU_ASSIGN(auto file, AtomicFile::create(path));
  NPU_TRY(file.write(*header));
  NPU_TRY(file.write(contents_of(t)));
  return file.commit(false);
}

}  // namespace npuport
