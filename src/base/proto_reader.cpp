#include "base/proto_reader.h"

namespace npuport {

uint64_t ProtoReader::read_varint() {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 70; shift += 7) {
    if (pos_ >= bytes_.size()) break;
    const auto b = std::to_integer<uint64_t>(bytes_[pos_++]);
    value |= (b & 0x7f) << shift;
    if ((b & 0x80) == 0) return value;
    if (shift == 63) break;
  }
  failed_ = true;
  return 0;
}

bool ProtoReader::next() {
  if (failed_ || at_end()) return false;
  const uint64_t tag = read_varint();
  if (failed_ || tag >> 3 == 0 || tag >> 3 > (uint64_t{1} << 29)) {
    failed_ = true;
    return false;
  }
  field_ = static_cast<uint32_t>(tag >> 3);
  payload_ = {};
  number_ = 0;
  size_t size = 0;
  switch (tag & 7) {
    case varint:
      wire_ = varint;
      number_ = read_varint();
      return !failed_;
    case fixed64:
      wire_ = fixed64;
      size = 8;
      break;
    case fixed32:
      wire_ = fixed32;
      size = 4;
      break;
    case length: {
      wire_ = length;
      const uint64_t n = read_varint();
      if (failed_ || n > bytes_.size() - pos_) {
        failed_ = true;
        return false;
      }
      size = static_cast<size_t>(n);
      break;
    }
    default:
      failed_ = true;  // groups are not used by any format we read
      return false;
  }
  if (size > bytes_.size() - pos_) {
    failed_ = true;
    return false;
  }
  payload_ = bytes_.subspan(pos_, size);
  pos_ += size;
  return true;
}

std::span<const std::byte> ProtoReader::bytes() {
  if (wire_ == length) return payload_;
  failed_ = true;
  return {};
}

int64_t ProtoReader::integer() {
  if (wire_ == varint) return static_cast<int64_t>(number_);
  failed_ = true;
  return 0;
}

float ProtoReader::real() {
  if (wire_ == fixed32) return ByteReader(payload_).get<float>();
  failed_ = true;
  return 0;
}

void ProtoReader::append(std::vector<int64_t>& to) {
  if (wire_ == varint) return to.push_back(static_cast<int64_t>(number_));
  ProtoReader packed(bytes());
  while (!failed_ && !packed.at_end()) {
    to.push_back(static_cast<int64_t>(packed.read_varint()));
    failed_ = packed.failed_;
  }
}

template <class T, ProtoReader::Wire kWire>
void ProtoReader::append_fixed(std::vector<T>& to) {
  if (wire_ != kWire && wire_ != length) failed_ = true;
  if (payload_.size() % sizeof(T) != 0) failed_ = true;
  if (failed_) return;
  ByteReader r(payload_);
  to.reserve(to.size() + payload_.size() / sizeof(T));
  while (r.remaining() > 0) to.push_back(r.get<T>());
}

void ProtoReader::append(std::vector<float>& to) { append_fixed<float, fixed32>(to); }
void ProtoReader::append(std::vector<double>& to) { append_fixed<double, fixed64>(to); }

}  // namespace npuport
