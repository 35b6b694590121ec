// Small ONNX files, field by field.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "frontends/onnx.h"

namespace npuport::testing {

// One protobuf message under construction.
struct Proto {
  std::string bytes;

  void varint(uint64_t v) {
    for (; v >= 128; v >>= 7) bytes.push_back(static_cast<char>((v & 127) | 128));
    bytes.push_back(static_cast<char>(v));
  }
  Proto& number(unsigned field, int64_t v) {
    varint(field << 3);
    varint(static_cast<uint64_t>(v));
    return *this;
  }
  Proto& text(unsigned field, std::string_view v) {
    varint(field << 3 | 2);
    varint(v.size());
    bytes += v;
    return *this;
  }
  Proto& add(unsigned field, const Proto& p) { return text(field, p.bytes); }
};

inline Proto tensor_proto(std::string_view name, int type, const std::vector<int64_t>& dims, std::string_view raw) {
  Proto t;
  for (const int64_t d : dims) t.number(1, d);
  return t.number(2, type).text(8, name).text(9, raw);
}

inline Proto floats(std::string_view name, const std::vector<int64_t>& dims, const std::vector<float>& v) {
  return tensor_proto(name, 1, dims, {reinterpret_cast<const char*>(v.data()), v.size() * sizeof(float)});
}
inline Proto longs(std::string_view name, const std::vector<int64_t>& dims, const std::vector<int64_t>& v) {
  return tensor_proto(name, 7, dims, {reinterpret_cast<const char*>(v.data()), v.size() * sizeof(int64_t)});
}

// A float tensor kept in another file.
inline Proto external(std::string_view name, const std::vector<int64_t>& dims, std::string_view location,
                      std::string_view offset = "0", std::string_view length = "") {
  Proto t;
  for (const int64_t d : dims) t.number(1, d);
  t.number(2, 1).text(8, name).number(14, 1);
  const auto entry = [&](std::string_view key, std::string_view value) {
    t.add(13, Proto().text(1, key).text(2, value));
  };
  entry("location", location);
  entry("offset", offset);
  if (!length.empty()) entry("length", length);
  return t;
}

// ValueInfo of a tensor; a dim below 0 is the symbol "n".
inline Proto value_info(std::string_view name, const std::vector<int64_t>& dims, int type = 1) {
  Proto shape;
  for (const int64_t d : dims) shape.add(1, d < 0 ? Proto().text(2, "n") : Proto().number(1, d));
  return Proto().text(1, name).add(2, Proto().add(1, Proto().number(1, type).add(2, shape)));
}

inline Proto attr_int(std::string_view name, int64_t v) { return Proto().text(1, name).number(3, v).number(20, 2); }
inline Proto attr_graph(std::string_view name, const Proto& g) { return Proto().text(1, name).add(6, g).number(20, 5); }
inline Proto attr_tensor(std::string_view name, const Proto& t) {
  return Proto().text(1, name).add(5, t).number(20, 4);
}
// The value is the attribute `ref` of the enclosing function.
inline Proto attr_ref(std::string_view name, std::string_view ref) {
  return Proto().text(1, name).text(21, ref).number(20, 2);
}

inline Proto node_proto(std::string_view type, const std::vector<std::string>& in, const std::vector<std::string>& out,
                        const std::vector<Proto>& attrs = {}, std::string_view domain = "") {
  Proto n;
  for (const auto& v : in) n.text(1, v);
  for (const auto& v : out) n.text(2, v);
  n.text(3, "/block/" + out.front() + "/" + std::string(type)).text(4, type);
  for (const Proto& a : attrs) n.add(5, a);
  if (!domain.empty()) n.text(7, domain);
  return n;
}

inline Proto graph_proto(const std::vector<Proto>& nodes, const std::vector<Proto>& inputs,
                         const std::vector<Proto>& outputs, const std::vector<Proto>& initialisers = {}) {
  Proto g;
  for (const Proto& n : nodes) g.add(1, n);
  g.text(2, "test");
  for (const Proto& t : initialisers) g.add(5, t);
  for (const Proto& v : inputs) g.add(11, v);
  for (const Proto& v : outputs) g.add(12, v);
  return g;
}

inline std::string model_file(const Proto& graph, int opset = 17, const std::vector<Proto>& functions = {}) {
  Proto m;
  m.number(1, 8).text(2, "npuport test").add(7, graph).add(8, Proto().number(2, opset));
  m.add(8, Proto().text(1, "own").number(2, 1));
  for (const Proto& f : functions) m.add(25, f);
  return m.bytes;
}

inline Result<ImportedModel> import_bytes(const std::string& bytes, const ImportOptions& options = {}) {
  return import_onnx(MappedFile::from_bytes(bytes, "model.onnx"), options);
}

}  // namespace npuport::testing
