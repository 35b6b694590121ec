#include "writers/torch_pickle.h"

namespace npuport {
namespace {

std::string_view storage_class(DType t) {
  switch (t) {
    case DType::u8:
      return "ByteStorage";
    case DType::i8:
      return "CharStorage";
    case DType::i16:
      return "ShortStorage";
    case DType::i32:
      return "IntStorage";
    case DType::i64:
      return "LongStorage";
    case DType::f16:
      return "HalfStorage";
    case DType::bf16:
      return "BFloat16Storage";
    case DType::f64:
      return "DoubleStorage";
    case DType::boolean:
      return "BoolStorage";
    default:
      return "FloatStorage";  // the emitter has refused every other type
  }
}

void append_little(std::string& out, uint64_t v, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(v >> (8 * i) & 0xff);
}

}  // namespace

PickleWriter& PickleWriter::global(std::string_view module, std::string_view name) {
  out_ += 'c';
  out_ += module;
  out_ += '\n';
  out_ += name;
  out_ += '\n';
  return *this;
}

PickleWriter& PickleWriter::text(std::string_view s) {
  out_ += 'X';  // BINUNICODE
  append_little(out_, s.size(), 4);
  out_ += s;
  return *this;
}

PickleWriter& PickleWriter::integer(int64_t v) {
  if (v >= 0 && v <= 0xff) {
    out_ += 'K';
    append_little(out_, static_cast<uint64_t>(v), 1);
  } else if (v >= INT32_MIN && v <= INT32_MAX) {
    out_ += 'J';
    append_little(out_, static_cast<uint64_t>(v), 4);
  } else {
    out_ += "\x8a\x08";  // LONG1 of 8 bytes
    append_little(out_, static_cast<uint64_t>(v), 8);
  }
  return *this;
}

PickleWriter& PickleWriter::ints(const Shape& v) {
  mark();
  for (const int64_t x : v) integer(x);
  return tuple();
}

PickleWriter& PickleWriter::tensor(DType dtype, const Shape& shape, std::string_view key, int64_t elements,
                                   Shape strides) {
  if (strides.empty()) strides = strides_of(shape);
  global("torch._utils", "_rebuild_tensor_v2").mark();
  mark().text("storage").global("torch", storage_class(dtype)).text(key).text("cpu").integer(elements).tuple();
  raw("Q");  // BINPERSID
  integer(0).ints(shape).ints(strides).boolean(false);
  global("collections", "OrderedDict").empty_tuple().reduce();
  return tuple().reduce();
}

}  // namespace npuport
