// Builds TFLite files by hand, so that the reader is tested against files no writer of ours makes.
#pragma once

#include <flatbuffers/flatbuffers.h>

#include <functional>
#include <string>
#include <vector>

#include "base/mapped_file.h"

namespace npuport::testing {

namespace fb = flatbuffers;
using FlatOffset = fb::Offset<fb::Table>;
constexpr fb::voffset_t field(int slot) { return static_cast<fb::voffset_t>(4 + 2 * slot); }

struct BuiltTensor {
  std::string name;
  std::vector<int32_t> shape;
  int type = 0;           // FLOAT32
  std::string data = {};  // bytes of a constant; empty = none
  std::vector<int32_t> signature = {};
  bool quantised = false;
  bool variable = false;
};

struct BuiltOperator {
  int code;
  std::vector<int32_t> in = {}, out = {};
  int options_type = 0;
  // Fills the options table; called between StartTable and EndTable.
  std::function<void(fb::FlatBufferBuilder&)> options = {};
  std::string custom = {};
  int composite = 0;  // decomposition subgraph of a STABLEHLO_COMPOSITE
};

struct BuiltGraph {
  std::vector<BuiltTensor> tensors;
  std::vector<int32_t> inputs, outputs;
  std::vector<BuiltOperator> operators;
};

struct BuiltModel {
  std::vector<BuiltGraph> graphs;
  uint32_t version = 3;
  const char* identifier = "TFL3";

  std::string bytes() const;
  std::shared_ptr<const MappedFile> file() const { return MappedFile::from_bytes(bytes(), "built.tflite"); }
};

template <class T>
std::string raw(std::initializer_list<T> values) {
  std::string s(values.size() * sizeof(T), '\0');
  if (values.size() != 0) std::memcpy(s.data(), values.begin(), s.size());
  return s;
}

namespace built {

inline FlatOffset tensor(fb::FlatBufferBuilder& b, const BuiltTensor& t, uint32_t buffer) {
  const auto name = b.CreateString(t.name);
  const auto shape = b.CreateVector(t.shape), signature = b.CreateVector(t.signature);
  FlatOffset quantization;
  if (t.quantised) {
    const auto scale = b.CreateVector(std::vector<float>{0.5F});
    const auto start = b.StartTable();
    b.AddOffset(field(2), scale);
    quantization = FlatOffset(b.EndTable(start));
  }
  const auto start = b.StartTable();
  b.AddOffset(field(0), shape);
  b.AddElement<int8_t>(field(1), static_cast<int8_t>(t.type), 0);
  b.AddElement<uint32_t>(field(2), buffer, 0);
  b.AddOffset(field(3), name);
  if (t.quantised) b.AddOffset(field(4), quantization);
  b.AddElement<uint8_t>(field(5), t.variable, 0);
  if (!t.signature.empty()) b.AddOffset(field(7), signature);
  return FlatOffset(b.EndTable(start));
}

inline FlatOffset operation(fb::FlatBufferBuilder& b, const BuiltOperator& o, uint32_t code) {
  const auto in = b.CreateVector(o.in), out = b.CreateVector(o.out);
  FlatOffset options;
  if (o.options) {
    const auto start = b.StartTable();
    o.options(b);
    options = FlatOffset(b.EndTable(start));
  }
  if (o.composite != 0) {
    const auto start = b.StartTable();
    b.AddElement<int32_t>(field(1), o.composite, 0);
    options = FlatOffset(b.EndTable(start));
  }
  const auto start = b.StartTable();
  b.AddElement<uint32_t>(field(0), code, 0);
  b.AddOffset(field(1), in);
  b.AddOffset(field(2), out);
  const int slot = o.composite != 0 ? 11 : 3;
  if (o.options || o.composite != 0) {
    b.AddElement<uint8_t>(field(slot), static_cast<uint8_t>(o.composite != 0 ? 21 : o.options_type), 0);
    b.AddOffset(field(slot + 1), options);
  }
  return FlatOffset(b.EndTable(start));
}

}  // namespace built

inline std::string BuiltModel::bytes() const {
  fb::FlatBufferBuilder b;
  std::vector<FlatOffset> codes, subgraphs, buffers;
  const auto buffer = [&](const std::string& data) {
    b.ForceVectorAlignment(data.size(), 1, 16);
    const auto v = b.CreateVector(reinterpret_cast<const uint8_t*>(data.data()), data.size());
    const auto start = b.StartTable();
    if (!data.empty()) b.AddOffset(field(0), v);
    buffers.push_back(FlatOffset(b.EndTable(start)));
    return static_cast<uint32_t>(buffers.size() - 1);
  };
  buffer("");
  for (const BuiltGraph& g : graphs) {
    std::vector<FlatOffset> tensors, operators;
    for (const BuiltTensor& t : g.tensors) {
      const uint32_t index = t.data.empty() ? 0 : buffer(t.data);
      tensors.push_back(built::tensor(b, t, index));
    }
    for (const BuiltOperator& o : g.operators) {
      const auto custom = b.CreateString(o.custom);
      const auto start = b.StartTable();
      b.AddElement<int8_t>(field(0), static_cast<int8_t>(std::min(o.code, 127)), 0);
      if (!o.custom.empty()) b.AddOffset(field(1), custom);
      b.AddElement<int32_t>(field(3), o.code, 0);
      codes.push_back(FlatOffset(b.EndTable(start)));
      operators.push_back(built::operation(b, o, static_cast<uint32_t>(codes.size() - 1)));
    }
    const auto t = b.CreateVector(tensors), ops = b.CreateVector(operators);
    const auto in = b.CreateVector(g.inputs), out = b.CreateVector(g.outputs);
    const auto start = b.StartTable();
    b.AddOffset(field(0), t);
    b.AddOffset(field(1), in);
    b.AddOffset(field(2), out);
    b.AddOffset(field(3), ops);
    subgraphs.push_back(FlatOffset(b.EndTable(start)));
  }
  const auto c = b.CreateVector(codes), s = b.CreateVector(subgraphs), d = b.CreateVector(buffers);
  const auto start = b.StartTable();
  b.AddElement<uint32_t>(field(0), version, 0);
  b.AddOffset(field(1), c);
  b.AddOffset(field(2), s);
  b.AddOffset(field(4), d);
  b.Finish(FlatOffset(b.EndTable(start)), identifier);
  return {reinterpret_cast<const char*>(b.GetBufferPointer()), b.GetSize()};
}

}  // namespace npuport::testing
