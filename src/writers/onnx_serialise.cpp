#include "writers/onnx_serialise.h"

#include <bit>
#include <set>

namespace npuport {
namespace {

// The wire format of protocol buffers: what a ModelProto needs of it.
class Wire {
 public:
  void integer(int field, int64_t v) {
    varint(static_cast<uint64_t>(field) << 3);
    varint(static_cast<uint64_t>(v));
  }
  void real(int field, double v) {
    varint(static_cast<uint64_t>(field) << 3 | 5);
    const auto raw = std::bit_cast<uint32_t>(static_cast<float>(v));
    for (int shift = 0; shift < 32; shift += 8) text_ += static_cast<char>(raw >> shift & 0xFF);
  }
  void bytes(int field, std::string_view v) {
    header(field, v.size());
    text_ += v;
  }
  void message(int field, const Wire& m) { bytes(field, m.text_); }
  // Tag and length of a field whose `size` bytes follow.
  void header(int field, uint64_t size) {
    varint(static_cast<uint64_t>(field) << 3 | 2);
    varint(size);
  }
  void append(const Wire& m) { text_ += m.text_; }
  uint64_t size() const { return text_.size(); }
  std::string take() { return std::move(text_); }

 private:
  void varint(uint64_t v) {
    for (; v >= 0x80; v >>= 7) text_ += static_cast<char>((v & 0x7F) | 0x80);
    text_ += static_cast<char>(v);
  }
  std::string text_;
};

// Field numbers and enum values are those of onnx.proto.
Wire entry(std::string_view key, std::string_view value) {
  Wire w;
  w.bytes(1, key);
  w.bytes(2, value);
  return w;
}

Wire attribute(const OnnxAttr& a) {
  enum { float_type = 1, int_type, string_type, tensor_type, floats_type = 6, ints_type, strings_type };
  Wire w;
  w.bytes(1, a.name);
  int64_t type = 0;
  if (const auto* i = std::get_if<int64_t>(&a.value)) {
    w.integer(3, *i);
    type = int_type;
  } else if (const auto* f = std::get_if<double>(&a.value)) {
    w.real(2, *f);
    type = float_type;
  } else if (const auto* s = std::get_if<std::string>(&a.value)) {
    w.bytes(4, *s);
    type = string_type;
  } else if (const auto* ints = std::get_if<Ints>(&a.value)) {
    for (const int64_t n : *ints) w.integer(8, n);
    type = ints_type;
  } else if (const auto* reals = std::get_if<Reals>(&a.value)) {
    for (const double n : *reals) w.real(7, n);
    type = floats_type;
  } else if (const auto* strings = std::get_if<std::vector<std::string>>(&a.value)) {
    for (const std::string& n : *strings) w.bytes(9, n);
    type = strings_type;
  } else {
    const Tensor& t = *std::get<std::shared_ptr<const Tensor>>(a.value);
    Wire tensor;
    for (const int64_t d : t.shape) tensor.integer(1, d);
    tensor.integer(2, onnx_type(t.dtype));
    tensor.bytes(9, {reinterpret_cast<const char*>(t.data), static_cast<size_t>(t.bytes())});
    w.message(5, tensor);
    type = tensor_type;
  }
  w.integer(20, type);
  return w;
}

Wire value_info(const OnnxTensor& t) {
  Wire shape;
  for (const int64_t d : t.shape) {
    Wire dim;
    dim.integer(1, d);
    shape.message(1, dim);
  }
  Wire tensor, type, w;
  tensor.integer(1, onnx_type(t.dtype));
  tensor.message(2, shape);
  type.message(1, tensor);
  w.bytes(1, t.name);
  w.message(2, type);
  return w;
}

class Serialiser {
 public:
  Serialiser(const OnnxModel& m, const OnnxFrame& frame) : m_(m), frame_(frame) {}

  OnnxImage run() {
    Wire before, after;
    before.integer(1, frame_.ir_version);
    before.bytes(2, "npuport");
    before.bytes(3, frame_.producer_version);
    const Wire nodes = this->nodes(), borders = this->borders();
    uint64_t bulk = 0;
    for (const int32_t i : initialisers()) {
      initialiser_heads_.push_back(initialiser(i));
      bulk += initialiser_heads_.back().first.size() + (initialiser_heads_.back().second < 0 ? 0 : stored_bytes(at(i)));
    }
    before.header(7, nodes.size() + bulk + borders.size());
    before.append(nodes);
    after.append(borders);
    Wire opset;
    opset.bytes(1, "");
    opset.integer(2, frame_.opset);
    after.message(8, opset);
    for (const auto& [key, value] : frame_.metadata) after.message(14, entry(key, value));
    for (auto& [head, tensor] : initialiser_heads_) {
      before.append(head);
      if (tensor >= 0) image_.pieces.push_back({before.take(), tensor});
      if (tensor >= 0) before = {};
    }
    before.append(after);
    image_.pieces.push_back({before.take(), -1});
    return std::move(image_);
  }

 private:
  const OnnxTensor& at(int32_t i) const { return m_.tensors[static_cast<size_t>(i)]; }
  std::string_view name(int32_t i) const { return i < 0 ? std::string_view() : at(i).name; }

  Wire nodes() const {
    Wire w;
    for (const OnnxOperator& o : m_.operators) {
      Wire node;
      for (const int32_t i : o.in) node.bytes(1, name(i));
      for (const int32_t i : o.out) node.bytes(2, name(i));
      node.bytes(3, o.out.empty() ? std::string_view() : name(o.out[0]));
      node.bytes(4, o.type);
      for (const OnnxAttr& a : o.attrs) node.message(5, attribute(a));
      if (!o.domain.empty()) node.bytes(7, o.domain);
      w.message(1, node);
    }
    w.bytes(2, frame_.name);
    return w;
  }

  // Inputs, outputs, and every value between them with its type.
  Wire borders() const {
    Wire w;
    for (const int32_t i : frame_.inputs) w.message(11, value_info(at(i)));
    for (const int32_t i : frame_.outputs) w.message(12, value_info(at(i)));
    const std::set<int32_t> outputs(frame_.outputs.begin(), frame_.outputs.end());
    for (const OnnxOperator& o : m_.operators) {
      for (const int32_t i : o.out) {
        if (i >= 0 && !outputs.contains(i)) w.message(13, value_info(at(i)));
      }
    }
    return w;
  }

  // Constants that something names, in the order of the tensors.
  std::vector<int32_t> initialisers() const {
    std::set<int32_t> used(frame_.outputs.begin(), frame_.outputs.end());
    for (const OnnxOperator& o : m_.operators) used.insert(o.in.begin(), o.in.end());
    std::vector<int32_t> out;
    for (const int32_t i : used) {
      if (i >= 0 && at(i).constant != nullptr) out.push_back(i);
    }
    return out;
  }

  // A TensorProto up to its bytes, and the tensor whose bytes follow; -1 when they lie in the external file.
  std::pair<Wire, int32_t> initialiser(int32_t i) {
    const OnnxTensor& t = at(i);
    const uint64_t size = stored_bytes(t);
    Wire body;
    for (const int64_t d : t.shape) body.integer(1, d);
    body.integer(2, onnx_type(t.dtype));
    body.bytes(8, t.name);
    Wire w;
    if (frame_.external && size >= kOnnxExternalMinimum) {
      const uint64_t offset =
          (external_end_ + kOnnxExternalAlignment - 1) / kOnnxExternalAlignment * kOnnxExternalAlignment;
      external_end_ = offset + size;
      image_.external.emplace_back(i, offset);
      body.message(13, entry("location", frame_.external_file));
      body.message(13, entry("offset", std::to_string(offset)));
      body.message(13, entry("length", std::to_string(size)));
      body.integer(14, 1);
      w.message(5, body);
      return {std::move(w), -1};
    }
    body.header(9, size);
    w.header(5, body.size() + size);
    w.append(body);
    return {std::move(w), i};
  }

  const OnnxModel& m_;
  const OnnxFrame& frame_;
  OnnxImage image_;
  std::vector<std::pair<Wire, int32_t>> initialiser_heads_;
  uint64_t external_end_ = 0;
};

}  // namespace

uint64_t stored_bytes(const OnnxTensor& t) { return static_cast<uint64_t>(byte_size(t.dtype, element_count(t.shape))); }

OnnxImage serialise(const OnnxModel& m, const OnnxFrame& frame) { return Serialiser(m, frame).run(); }

}  // namespace npuport
