// Reads the protobuf wire format in place: fields are (number, wire type, payload) triples; payloads of
// length-delimited fields are spans of the mapped file, so weights are never copied and files above 2 GiB are no
// special case. Format: https://protobuf.dev/programming-guides/encoding/
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_reader.h"

namespace npuport {

class ProtoReader {
 public:
  explicit ProtoReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  enum Wire : uint8_t { varint = 0, fixed64 = 1, length = 2, fixed32 = 5 };

  // Moves to the next field; false at the end or when the bytes are no message (see `failed`).
  bool next();
  bool failed() const { return failed_; }
  bool at_end() const { return pos_ == bytes_.size(); }
  size_t position() const { return pos_; }  // behind the current field

  // The current field.
  uint32_t field() const { return field_; }
  Wire wire() const { return wire_; }
  // Payload of a length-delimited field; a field of another wire type makes the reader fail and gives nothing.
  std::span<const std::byte> bytes();
  std::string_view text() { return as_text(bytes()); }
  // varint as the signed number it encodes (int32, int64, bool, enum).
  int64_t integer();
  float real();
  // Appends a repeated scalar field, packed or not.
  void append(std::vector<int64_t>& to);
  void append(std::vector<float>& to);
  void append(std::vector<double>& to);

 private:
  uint64_t read_varint();
  template <class T, Wire kWire>
  void append_fixed(std::vector<T>& to);

  std::span<const std::byte> bytes_, payload_;
  size_t pos_ = 0;
  uint64_t number_ = 0;
  uint32_t field_ = 0;
  Wire wire_ = varint;
  bool failed_ = false;
};

}  // namespace npuport
