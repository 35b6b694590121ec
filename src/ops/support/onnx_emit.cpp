// Graph nodes → operators of an OnnxModel.
#include <fmt/format.h>

#include <algorithm>

#include "base/permute.h"
#include "ops/manifest.h"
#include "ops/onnx.h"

namespace npuport {
namespace {

using WriteFn = void (*)(OnnxEmit&);

const std::map<std::string_view, WriteFn>& writers() {
  static const auto* map = [] {
    auto* m = new std::map<std::string_view, WriteFn>;
    for (const auto& family : ops::onnx_write_rows()) {
      for (const OnnxWriter& w : family) m->emplace(w.ours, w.write);
    }
    return m;
  }();
  return *map;
}

bool is_identity(const Ints& perm) {
  for (size_t i = 0; i < perm.size(); ++i) {
    if (perm[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

uint32_t bit(DType t) { return uint32_t{1} << static_cast<unsigned>(t); }

// Types that hold every value of `t`, the nearest first.
std::span<const DType> wider(DType t) {
  static constexpr DType small[] = {DType::i32, DType::i64, DType::f32}, word[] = {DType::i64, DType::f64},
                         half[] = {DType::f32, DType::f64}, single[] = {DType::f64};
  switch (t) {
    case DType::i8:
    case DType::u8:
    case DType::i16:
    case DType::u16:
    case DType::boolean:
      return small;
    case DType::i32:
    case DType::u32:
      return word;
    case DType::f16:
    case DType::bf16:
      return half;
    case DType::f32:
      return single;
    default:
      return {};
  }
}

// The attribute of ours that data form writes.
OnnxAttr attr_of(const OnnxAttrMap& map, const AttrValue& v) {
  std::string name(map.theirs);
  if (const auto* i = std::get_if<int64_t>(&v)) return {name, *i};
  if (const auto* f = std::get_if<double>(&v)) return {name, *f};
  if (const auto* b = std::get_if<bool>(&v)) return {name, static_cast<int64_t>(*b)};
  if (const auto* s = std::get_if<std::string>(&v)) return {name, *s};
  if (const auto* n = std::get_if<Ints>(&v)) return {name, *n};
  if (const auto* r = std::get_if<Reals>(&v)) return {name, *r};
  return {name, static_cast<int64_t>(onnx_type(std::get<DType>(v)))};
}

// Operands and results in order, attributes by the row's map.
void write_data_form(OnnxEmit& c, const OnnxRow& row) {
  std::vector<int32_t> in;
  for (size_t k = 0; k < c.arity(); ++k) in.push_back(c.in(k));
  std::vector<OnnxAttr> attrs;
  for (const Attr& ours : c.node().attrs) {
    const auto it =
        std::find_if(row.attrs.begin(), row.attrs.end(), [&](const OnnxAttrMap& m) { return m.ours == ours.name; });
    if (it == row.attrs.end())
      return c.refuse(fmt::format("{} cannot say {}={}", row.name, ours.name, to_text(ours.value)));
    attrs.push_back(attr_of(*it, ours.value));
  }
  std::vector<TensorType> results;
  for (size_t k = 0; k < c.node().outputs.size(); ++k) results.push_back({c.out_dtype(k), c.out_shape(k), nullptr});
  const std::vector<int32_t> out = c.ops(row.name, std::move(in), std::move(results), std::move(attrs));
  for (size_t k = 0; k < out.size(); ++k) c.give(out[k], k);
}

}  // namespace

OnnxEmit::OnnxEmit(const Graph& g, OnnxModel& m, int opset, bool half) : g_(g), m_(m), opset_(opset), half_(half) {}

std::optional<std::string> OnnxEmit::emit(NodeId id) {
  node_ = &g_.node(id);
  const std::string_view ours = node_->op->name;
  for (const ValueId v : node_->outputs) {
    if (!g_.type(v).known()) return fmt::format("the type of {} is not known", g_.value(v).name);
  }
  if (const auto it = writers().find(ours); it != writers().end()) {
    return attempt([&] { it->second(*this); });
  }
  std::optional<std::string> reason;
  for (const OnnxRow* row : onnx_writers(ours)) {
    if (row->read != nullptr || row->since > opset_ || !row->domain.empty()) continue;
    auto refusal = attempt([&] { write_data_form(*this, *row); });
    if (!refusal) return std::nullopt;
    if (!reason) reason = std::move(refusal);
  }
  return reason ? *reason : fmt::format("ONNX up to opset {} has no operator for {}", opset_, ours);
}

std::optional<std::string> OnnxEmit::attempt(const std::function<void()>& write) {
  const size_t tensors = m_.tensors.size();
  first_operator_ = m_.operators.size();
  refusal_.reset();
  write();
  for (const ValueId v : node_->outputs) {
    if (!refusal_ && !values_.contains(v) && g_.use_count(v) > 0) refuse("a result is missing");
  }
  if (!refusal_) return std::nullopt;
  m_.tensors.resize(tensors);
  m_.operators.resize(first_operator_);
  const auto gone = [&](const auto& entry) { return static_cast<size_t>(entry.second) >= tensors; };
  std::erase_if(values_, gone);
  std::erase_if(constants_, gone);
  std::erase_if(helpers_, gone);
  return refusal_;
}

void OnnxEmit::refuse(std::string why) {
  if (!refusal_) refusal_ = std::move(why);
}

// ---- tensors

int32_t OnnxEmit::add_tensor(OnnxTensor t) {
  const bool known = onnx_type(t.dtype) != 0 && t.dtype != DType::i4 && t.dtype != DType::u4;
  if (!known) refuse(fmt::format("tensor {} has type {}, which ONNX lacks", t.name, npuport::name(t.dtype)));
  m_.tensors.push_back(std::move(t));
  return static_cast<int32_t>(m_.tensors.size() - 1);
}

int32_t OnnxEmit::stored(const std::shared_ptr<const Tensor>& source, Ints perm, const std::string& name) {
  if (is_identity(perm)) perm.clear();
  const ConstantKey key{source.get(), perm};
  if (const auto it = constants_.find(key); it != constants_.end()) return it->second;
  for (const auto& [other, index] : constants_) {
    if (other.second != perm || !identical(*other.first, *source)) continue;
    constants_.emplace(key, index);
    return index;
  }
  const bool half = half_ && source->dtype == DType::f32 && source->count() >= kOnnxHalfMinimum;
  OnnxTensor t{half || !perm.empty() ? name + (half ? "/f16" : "/transposed") : name, half ? DType::f16 : source->dtype,
               permuted_shape(source->shape, perm), source, perm};
  int32_t index = add_tensor(std::move(t));
  if (half) {
    index = cast(index, DType::f32);
    m_.tensors[static_cast<size_t>(index)].name = perm.empty() ? name : name + "/transposed";
  }
  constants_[key] = index;
  return index;
}

int32_t OnnxEmit::value(ValueId v) {
  const Value& value = g_.value(v);
  if (const auto it = values_.find(v); it != values_.end()) return it->second;
  int32_t index;
  if (value.constant != nullptr) {
    index = stored(value.constant, {}, value.name);
  } else {
    if (!value.type.known()) refuse(fmt::format("the type of {} is not known", value.name));
    index = add_tensor({value.name, value.type.dtype, value.type.shape, nullptr, {}});
  }
  values_[v] = index;
  return index;
}

int32_t OnnxEmit::permuted(size_t k, Ints perm) {
  const Value& value = g_.value(node_->inputs[k]);
  if (value.constant != nullptr) return stored(value.constant, std::move(perm), value.name);
  return transpose(in(k), perm);
}

int32_t OnnxEmit::constant(Tensor t) {
  std::string key = fmt::format("{} {} ", npuport::name(t.dtype), to_string(t.shape));
  key.append(reinterpret_cast<const char*>(t.data), static_cast<size_t>(t.bytes()));
  if (const auto it = helpers_.find(key); it != helpers_.end()) return it->second;
  auto source = std::make_shared<const Tensor>(std::move(t));
  const std::string base = node_ == nullptr || node_->outputs.empty() ? "constant" : g_.value(node_->outputs[0]).name;
  const int32_t index = add_tensor({base + "/constant", source->dtype, source->shape, source, {}});
  helpers_[key] = index;
  return index;
}

int32_t OnnxEmit::ints(std::span<const int64_t> v) {
  return constant(Tensor::of<int64_t>({static_cast<int64_t>(v.size())}, v));
}

int32_t OnnxEmit::scalar(double v, DType dtype) { return constant(cast_tensor(Tensor::scalar<double>(v), dtype)); }

// ---- operators

void OnnxEmit::append(std::string_view type, std::vector<int32_t> in, std::vector<int32_t> out,
                      std::vector<OnnxAttr> attrs) {
  while (!in.empty() && in.back() < 0) in.pop_back();
  while (!out.empty() && out.back() < 0) out.pop_back();
  m_.operators.push_back({std::string(type), "", "", std::move(in), std::move(out), std::move(attrs)});
}

std::vector<int32_t> OnnxEmit::ops(std::string_view type, std::vector<int32_t> in, std::vector<TensorType> results,
                                   std::vector<OnnxAttr> attrs) {
  const OnnxTypes types = onnx_types(type, opset_);
  if (!types.known) refuse(fmt::format("ONNX opset {} has no operator {}", opset_, type));
  const auto about = [](uint32_t set, size_t i) { return (set >> std::min<size_t>(i, 31) & 1) != 0; };
  DType given = DType::unknown;
  for (size_t i = 0; i < in.size() && given == DType::unknown; ++i) {
    if (about(types.operands, i) && in[i] >= 0) given = tensor(in[i]).dtype;
  }
  DType taken = given;
  if (given != DType::unknown && (types.good & bit(given)) == 0) {
    const auto chain = wider(given);
    const auto it = std::find_if(chain.begin(), chain.end(), [&](DType t) { return (types.good & bit(t)) != 0; });
    if (it != chain.end()) {
      taken = *it;
    } else if ((types.standard & bit(given)) == 0) {
      refuse(fmt::format("{} takes no {} at opset {}", type, npuport::name(given), opset_));
    }
  }
  for (size_t i = 0; taken != given && i < in.size(); ++i) {
    if (about(types.operands, i) && in[i] >= 0) in[i] = cast(in[i], taken);
  }
  std::vector<int32_t> out, made;
  const std::string base = node_ == nullptr || node_->outputs.empty() ? "value" : g_.value(node_->outputs[0]).name;
  for (size_t k = 0; k < results.size(); ++k) {
    if (results[k].dtype == DType::unknown) {
      out.push_back(-1);
      continue;
    }
    const DType dtype = taken != given && about(types.results, k) ? taken : results[k].dtype;
    out.push_back(add_tensor({fmt::format("{}/{}", base, type), dtype, results[k].shape, nullptr, {}}));
  }
  append(type, std::move(in), out, std::move(attrs));
  for (size_t k = 0; k < results.size(); ++k) made.push_back(out[k] < 0 ? -1 : cast(out[k], results[k].dtype));
  return made;
}

int32_t OnnxEmit::op(std::string_view type, std::vector<int32_t> in, DType dtype, Shape shape,
                     std::vector<OnnxAttr> attrs) {
  return ops(type, std::move(in), {{dtype, std::move(shape), nullptr}}, std::move(attrs))[0];
}

int32_t OnnxEmit::unary(std::string_view type, int32_t x, std::vector<OnnxAttr> attrs) {
  return op(type, {x}, tensor(x).dtype, tensor(x).shape, std::move(attrs));
}

int32_t OnnxEmit::binary(std::string_view type, int32_t a, int32_t b, std::vector<OnnxAttr> attrs) {
  const Result<Shape> shape = broadcast_shapes(tensor(a).shape, tensor(b).shape);
  if (!shape) refuse(fmt::format("{}: the shapes do not broadcast", type));
  return op(type, {a, b}, tensor(a).dtype, shape ? *shape : Shape{}, std::move(attrs));
}

int32_t OnnxEmit::compare(std::string_view type, int32_t a, int32_t b) {
  if (opset_ < 12 && type.ends_with("OrEqual")) {
    const int32_t either = compare(type.substr(0, type.size() - 7), a, b);
    return binary("Or", either, compare("Equal", a, b));
  }
  const Result<Shape> shape = broadcast_shapes(tensor(a).shape, tensor(b).shape);
  if (!shape) refuse(fmt::format("{}: the shapes do not broadcast", type));
  return op(type, {a, b}, DType::boolean, shape ? *shape : Shape{});
}

int32_t OnnxEmit::where(int32_t condition, int32_t a, int32_t b) {
  Result<Shape> shape = broadcast_shapes(tensor(a).shape, tensor(b).shape);
  if (shape) shape = broadcast_shapes(*shape, tensor(condition).shape);
  if (!shape) refuse("Where: the shapes do not broadcast");
  return op("Where", {condition, a, b}, tensor(a).dtype, shape ? *shape : Shape{});
}

int32_t OnnxEmit::cast(int32_t x, DType to) {
  const OnnxTensor& t = tensor(x);
  if (t.dtype == to) return x;
  if (t.constant != nullptr && t.perm.empty() && t.constant->dtype == t.dtype && t.constant->count() <= 4096) {
    Tensor source = *t.constant;
    source.shape = t.shape;
    return constant(cast_tensor(source, to));
  }
  return op("Cast", {x}, to, Shape(t.shape), {{"to", onnx_type(to)}});
}

int32_t OnnxEmit::reshape(int32_t x, Shape shape) {
  const OnnxTensor& t = tensor(x);
  if (t.shape == shape) return x;
  if (t.constant != nullptr && t.perm.empty()) {
    return add_tensor({t.name + "/reshaped", t.dtype, std::move(shape), t.constant, {}});
  }
  const DType dtype = t.dtype;
  std::vector<OnnxAttr> attrs;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] != 0 || !attrs.empty()) continue;
    if (opset_ >= 14) {
      attrs.emplace_back("allowzero", 1);
    } else if (d >= t.shape.size() || t.shape[d] != 0) {
      refuse("before opset 14 a Reshape cannot make an empty tensor of this shape");
    }
  }
  const int32_t wanted = ints(shape);
  return op("Reshape", {x, wanted}, dtype, std::move(shape), std::move(attrs));
}

int32_t OnnxEmit::transpose(int32_t x, const Ints& perm) {
  if (is_identity(perm)) return x;
  const OnnxTensor& t = tensor(x);
  if (t.constant != nullptr && t.perm.empty() && t.constant->shape == t.shape) {
    return stored(t.constant, perm, t.name);
  }
  return op("Transpose", {x}, t.dtype, permuted_shape(t.shape, perm), {{"perm", perm}});
}

int32_t OnnxEmit::slice(int32_t x, size_t axis, int64_t begin, int64_t end) {
  Shape shape = tensor(x).shape;
  if (begin == 0 && end == shape[axis]) return x;
  shape[axis] = end - begin;
  const int32_t starts = ints(begin), ends = ints(end), axes = ints(static_cast<int64_t>(axis));
  return op("Slice", {x, starts, ends, axes}, tensor(x).dtype, std::move(shape));
}

int32_t OnnxEmit::concat(std::vector<int32_t> parts, size_t axis) {
  if (parts.size() == 1) return parts[0];
  Shape shape = tensor(parts[0]).shape;
  shape[axis] = 0;
  for (const int32_t p : parts) shape[axis] += tensor(p).shape[axis];
  const DType dtype = tensor(parts[0]).dtype;
  return op("Concat", std::move(parts), dtype, std::move(shape), {{"axis", static_cast<int64_t>(axis)}});
}

int32_t OnnxEmit::reduce(std::string_view type, int32_t x, const Ints& axes, bool keepdims) {
  if (axes.empty()) return x;
  Shape shape;
  for (size_t d = 0; d < tensor(x).shape.size(); ++d) {
    if (std::count(axes.begin(), axes.end(), static_cast<int64_t>(d)) == 0) {
      shape.push_back(tensor(x).shape[d]);
    } else if (keepdims) {
      shape.push_back(1);
    }
  }
  std::vector<int32_t> in{x};
  std::vector<OnnxAttr> attrs{{"keepdims", keepdims}};
  if (opset_ >= 13 && type == "ReduceSum") {
    in.push_back(ints(axes));
  } else {
    attrs.insert(attrs.begin(), {"axes", axes});
  }
  return op(type, std::move(in), tensor(x).dtype, std::move(shape), std::move(attrs));
}

int32_t OnnxEmit::pad(int32_t x, const Ints& pads, double value) {
  if (std::all_of(pads.begin(), pads.end(), [](int64_t n) { return n == 0; })) return x;
  Shape shape = tensor(x).shape;
  for (size_t d = 0; d < shape.size(); ++d) shape[d] += pads[d] + pads[d + shape.size()];
  const int32_t amounts = ints(pads), fill = like(x, value);
  return op("Pad", {x, amounts, fill}, tensor(x).dtype, std::move(shape), {{"mode", "constant"}});
}

// ---- results

void OnnxEmit::give(int32_t x, size_t k) {
  const ValueId v = node_->outputs[k];
  x = cast(reshape(x, out_shape(k)), out_dtype(k));
  const auto made_here = [&] {
    for (size_t i = first_operator_; i < m_.operators.size(); ++i) {
      const auto& out = m_.operators[i].out;
      if (std::find(out.begin(), out.end(), x) != out.end()) return true;
    }
    return false;
  };
  const bool taken = std::any_of(node_->outputs.begin(), node_->outputs.end(), [&](ValueId o) {
    const auto it = values_.find(o);
    return it != values_.end() && it->second == x;
  });
  if (taken || !made_here()) x = unary("Identity", x);
  m_.tensors[static_cast<size_t>(x)].name = g_.value(v).name;
  values_[v] = x;
}

int32_t OnnxEmit::copy(int32_t x, std::string name) {
  node_ = nullptr;
  const int32_t made = unary("Identity", x);
  m_.tensors[static_cast<size_t>(made)].name = std::move(name);
  return made;
}

// Names of the graph come first: what is made up takes none that a value has.
void OnnxEmit::finish() {
  std::set<std::string, std::less<>> taken{""};
  std::vector<bool> fixed(m_.tensors.size());
  for (const auto& [v, index] : values_) {
    fixed[static_cast<size_t>(index)] = true;
    taken.insert(tensor(index).name);
  }
  std::map<std::string, int, std::less<>> last;
  for (size_t i = 0; i < fixed.size(); ++i) {
    if (fixed[i]) continue;
    std::string& name = m_.tensors[i].name;
    const std::string base = name;
    for (int& n = last[base]; !taken.insert(name).second;) name = fmt::format("{}_{}", base, ++n);
  }
}

std::optional<std::string> onnx_refusal(const Graph& g, NodeId id, int opset) {
  OnnxModel scratch;
  return OnnxEmit(g, scratch, opset).emit(id);
}

std::vector<std::string> onnx_operators(const Graph& g, NodeId id, int opset) {
  OnnxModel scratch;
  std::vector<std::string> names;
  if (OnnxEmit(g, scratch, opset).emit(id)) return names;
  for (const OnnxOperator& o : scratch.operators) names.push_back(o.type);
  return names;
}

}  // namespace npuport
