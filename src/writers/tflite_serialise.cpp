#include "writers/tflite_serialise.h"

#include <flatbuffers/flatbuffers.h>

#include <algorithm>
#include <cstring>

namespace npuport {
namespace {

namespace fb = flatbuffers;
using AnyTable = fb::Offset<fb::Table>;
using Tables = fb::Offset<fb::Vector<AnyTable>>;

constexpr fb::voffset_t at(int slot) { return static_cast<fb::voffset_t>(4 + 2 * slot); }
constexpr uint64_t kAlignment = 16;
constexpr int kDeprecatedLimit = 127;  // PLACEHOLDER_FOR_GREATER_OP_CODES: newer codes do not fit the old byte

uint64_t aligned(uint64_t n) { return (n + kAlignment - 1) / kAlignment * kAlignment; }

// Of two constants whose stored type and size are equal: whether the bytes are too. Permuted ones of different shapes
// are taken to differ; finding out would cost as much as storing them.
bool same_bytes(const TfliteTensor& a, const TfliteTensor& b) {
  const Tensor &x = *a.constant.source, &y = *b.constant.source;
  if (x.dtype != y.dtype || a.constant.perm != b.constant.perm) return false;
  if (!a.constant.perm.empty() && x.shape != y.shape) return false;
  return x.data == y.data || std::memcmp(x.data, y.data, static_cast<size_t>(x.bytes())) == 0;
}

class Serialiser {
 public:
  Serialiser(const TfliteModel& m, const TfliteFrame& frame) : m_(m), frame_(frame) {}
  TfliteImage run();

 private:
  Tables tables(const std::vector<AnyTable>& v) { return b_.CreateVector(v); }
  AnyTable options(const TfliteOperator& o);
  Tables operator_codes();
  Tables operators();
  Tables tensors();
  Tables buffers();
  Tables metadata();
  Tables names(const std::vector<std::string>& names, const std::vector<int32_t>& tensors);
  Tables signatures();
  AnyTable subgraph();
  uint32_t code_of(const TfliteOperator& o) const;
  void number_buffers();
  void place(TfliteImage& image);

  const TfliteModel& m_;
  const TfliteFrame& frame_;
  fb::FlatBufferBuilder b_;
  std::vector<std::pair<const TfliteRow*, int>> codes_;  // by first use
  std::vector<int32_t> constants_;                       // tensor of buffer 1 + i: the first that holds its bytes
  std::vector<uint32_t> buffer_of_;                      // by tensor; 0 = none
};

uint32_t Serialiser::code_of(const TfliteOperator& o) const {
  const auto it = std::find(codes_.begin(), codes_.end(), std::pair(o.row, o.version));
  return static_cast<uint32_t>(it - codes_.begin());
}

Tables Serialiser::operator_codes() {
  std::vector<AnyTable> out;
  for (const auto& [row, version] : codes_) {
    const auto start = b_.StartTable();
    b_.AddElement<int32_t>(at(3), row->code, 0);
    b_.AddElement<int32_t>(at(2), version, 1);
    b_.AddElement<int8_t>(at(0), static_cast<int8_t>(std::min(row->code, kDeprecatedLimit)), 0);
    out.emplace_back(b_.EndTable(start));
  }
  return tables(out);
}

AnyTable Serialiser::options(const TfliteOperator& o) {
  std::vector<std::pair<int, fb::Offset<fb::Vector<int32_t>>>> lists;
  for (const TfliteOption& v : o.options) {
    if (v.field->kind != TfliteKind::i32s) continue;
    lists.emplace_back(v.field->slot, b_.CreateVector(std::vector<int32_t>(v.list.begin(), v.list.end())));
  }
  const auto start = b_.StartTable();
  for (const auto& [slot, list] : lists) b_.AddOffset(at(slot), list);
  for (const TfliteOption& v : o.options) {
    const TfliteField& f = *v.field;
    switch (f.kind) {
      case TfliteKind::i8:
        b_.AddElement<int8_t>(at(f.slot), static_cast<int8_t>(v.number), static_cast<int8_t>(f.fallback));
        break;
      case TfliteKind::i32:
        b_.AddElement<int32_t>(at(f.slot), static_cast<int32_t>(v.number), static_cast<int32_t>(f.fallback));
        break;
      case TfliteKind::u32:
        b_.AddElement<uint32_t>(at(f.slot), static_cast<uint32_t>(v.number), static_cast<uint32_t>(f.fallback));
        break;
      case TfliteKind::f32:
        b_.AddElement<float>(at(f.slot), static_cast<float>(v.number), static_cast<float>(f.fallback));
        break;
      case TfliteKind::boolean:
        b_.AddElement<uint8_t>(at(f.slot), v.number != 0, f.fallback != 0);
        break;
      case TfliteKind::i32s:
        break;
    }
  }
  return AnyTable(b_.EndTable(start));
}

Tables Serialiser::operators() {
  std::vector<AnyTable> out;
  for (const TfliteOperator& o : m_.operators) {
    const auto in = b_.CreateVector(o.in), results = b_.CreateVector(o.out);
    const bool has_options = o.row->options != nullptr;
    const AnyTable options = has_options ? this->options(o) : AnyTable();
    const auto start = b_.StartTable();
    if (has_options) b_.AddOffset(at(4), options);
    b_.AddOffset(at(2), results);
    b_.AddOffset(at(1), in);
    b_.AddElement<uint32_t>(at(0), code_of(o), 0);
    if (has_options) b_.AddElement<uint8_t>(at(3), static_cast<uint8_t>(o.row->options->type), 0);
    out.emplace_back(b_.EndTable(start));
  }
  return tables(out);
}

Tables Serialiser::tensors() {
  std::vector<AnyTable> out;
  for (size_t i = 0; i < m_.tensors.size(); ++i) {
    const TfliteTensor& t = m_.tensors[i];
    const auto shape = b_.CreateVector(std::vector<int32_t>(t.shape.begin(), t.shape.end()));
    const auto name = b_.CreateString(t.name);
    const auto start = b_.StartTable();
    b_.AddOffset(at(3), name);
    if (buffer_of_[i] != 0) b_.AddElement<uint32_t>(at(2), buffer_of_[i], 0);
    b_.AddOffset(at(0), shape);
    b_.AddElement<uint8_t>(at(8), 1, 0);  // has_rank: an empty shape is a scalar, not an unknown one
    b_.AddElement<int8_t>(at(1), static_cast<int8_t>(tflite_type(t.dtype)), 0);
    out.emplace_back(b_.EndTable(start));
  }
  return tables(out);
}

// Buffer 0 is empty by the format's rule; then the constants, with placeholders that `place` fills; then metadata.
Tables Serialiser::buffers() {
  std::vector<AnyTable> out{AnyTable(b_.EndTable(b_.StartTable()))};
  for (size_t i = 0; i < constants_.size(); ++i) {
    const auto start = b_.StartTable();
    if (frame_.inline_data) {
      b_.AddElement<uint32_t>(at(0), 1, 0);
    } else {
      b_.AddElement<uint64_t>(at(2), 1, 0);
      b_.AddElement<uint64_t>(at(1), 1, 0);
    }
    out.emplace_back(b_.EndTable(start));
  }
  for (const auto& [name, bytes] : frame_.metadata) {
    b_.ForceVectorAlignment(bytes.size(), 1, kAlignment);
    const auto data = b_.CreateVector(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    const auto start = b_.StartTable();
    b_.AddOffset(at(0), data);
    out.emplace_back(b_.EndTable(start));
  }
  return tables(out);
}

Tables Serialiser::metadata() {
  std::vector<AnyTable> out;
  auto buffer = static_cast<uint32_t>(1 + constants_.size());
  for (const auto& [name, bytes] : frame_.metadata) {
    const auto text = b_.CreateString(name);
    const auto start = b_.StartTable();
    b_.AddOffset(at(0), text);
    b_.AddElement<uint32_t>(at(1), buffer++, 0);
    out.emplace_back(b_.EndTable(start));
  }
  return tables(out);
}

Tables Serialiser::names(const std::vector<std::string>& names, const std::vector<int32_t>& tensors) {
  std::vector<AnyTable> out;
  for (size_t i = 0; i < names.size(); ++i) {
    const auto text = b_.CreateString(names[i]);
    const auto start = b_.StartTable();
    b_.AddOffset(at(0), text);
    b_.AddElement<uint32_t>(at(1), static_cast<uint32_t>(tensors[i]), 0);
    out.emplace_back(b_.EndTable(start));
  }
  return tables(out);
}

Tables Serialiser::signatures() {
  const Tables in = names(frame_.input_names, frame_.inputs), out = names(frame_.output_names, frame_.outputs);
  const auto key = b_.CreateString("serving_default");
  const auto start = b_.StartTable();
  b_.AddOffset(at(0), in);
  b_.AddOffset(at(1), out);
  b_.AddOffset(at(2), key);
  return tables({AnyTable(b_.EndTable(start))});
}

AnyTable Serialiser::subgraph() {
  const Tables t = tensors(), ops = operators();
  const auto in = b_.CreateVector(frame_.inputs), out = b_.CreateVector(frame_.outputs);
  const auto name = b_.CreateString(frame_.name);
  const auto start = b_.StartTable();
  b_.AddOffset(at(0), t);
  b_.AddOffset(at(1), in);
  b_.AddOffset(at(2), out);
  b_.AddOffset(at(3), ops);
  b_.AddOffset(at(4), name);
  return AnyTable(b_.EndTable(start));
}

// Decides where the constants' bytes lie behind the flatbuffer and writes that into the placeholders. Inline data are
// ordinary vectors (length, then bytes) that happen to lie at the end.
void Serialiser::place(TfliteImage& image) {
  auto* bytes = reinterpret_cast<uint8_t*>(image.head.data());
  auto* model = fb::GetMutableRoot<fb::Table>(bytes);
  const auto* buffers = model->GetPointer<fb::Vector<AnyTable>*>(at(4));
  uint64_t end = image.head.size();
  for (size_t i = 0; i < constants_.size(); ++i) {
    auto* table =
        const_cast<fb::Table*>(reinterpret_cast<const fb::Table*>(buffers->Get(static_cast<fb::uoffset_t>(1 + i))));
    const uint64_t size = stored_bytes(m_.tensors[static_cast<size_t>(constants_[i])]);
    const uint64_t position = aligned(end + (frame_.inline_data ? 4 : 0));
    if (frame_.inline_data) {
      const auto field = static_cast<uint64_t>(table->GetAddressOf(at(0)) - bytes);
      fb::WriteScalar(bytes + field, static_cast<uint32_t>(position - 4 - field));
    } else {
      table->SetField<uint64_t>(at(1), position, 0);
      table->SetField<uint64_t>(at(2), size, 0);
    }
    image.data.push_back({constants_[i], position, size});
    end = position + size;
  }
}

// One buffer for all constants of equal bytes, whatever their shapes.
void Serialiser::number_buffers() {
  std::map<std::pair<uint64_t, DType>, std::vector<uint32_t>> by_size;
  for (size_t i = 0; i < m_.tensors.size(); ++i) {
    const TfliteTensor& t = m_.tensors[i];
    buffer_of_.push_back(0);
    if (t.constant.source == nullptr) continue;
    std::vector<uint32_t>& candidates = by_size[{stored_bytes(t), t.dtype}];
    const auto same = std::find_if(candidates.begin(), candidates.end(), [&](uint32_t buffer) {
      return same_bytes(t, m_.tensors[static_cast<size_t>(constants_[buffer - 1])]);
    });
    if (same != candidates.end()) {
      buffer_of_.back() = *same;
      continue;
    }
    constants_.push_back(static_cast<int32_t>(i));
    buffer_of_.back() = static_cast<uint32_t>(constants_.size());
    candidates.push_back(buffer_of_.back());
  }
}

TfliteImage Serialiser::run() {
  for (const TfliteOperator& o : m_.operators) {
    if (code_of(o) == codes_.size()) codes_.emplace_back(o.row, o.version);
  }
  number_buffers();
  const Tables codes = operator_codes(), graphs = tables({subgraph()}), data = buffers(), facts = metadata(),
               signature = signatures();
  const auto description = b_.CreateString(frame_.description);
  const auto start = b_.StartTable();
  b_.AddElement<uint32_t>(at(0), 3, 0);
  b_.AddOffset(at(1), codes);
  b_.AddOffset(at(2), graphs);
  b_.AddOffset(at(3), description);
  b_.AddOffset(at(4), data);
  b_.AddOffset(at(6), facts);
  b_.AddOffset(at(7), signature);
  b_.Finish(AnyTable(b_.EndTable(start)), "TFL3");
  TfliteImage image;
  image.head.assign(reinterpret_cast<const char*>(b_.GetBufferPointer()), b_.GetSize());
  place(image);
  return image;
}

}  // namespace

uint64_t stored_bytes(const TfliteTensor& t) {
  return static_cast<uint64_t>(byte_size(t.dtype, element_count(t.shape)));
}

TfliteImage serialise(const TfliteModel& m, const TfliteFrame& frame) { return Serialiser(m, frame).run(); }

}  // namespace npuport
