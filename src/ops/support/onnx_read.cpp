// Operators of an ONNX file → graph nodes.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/diag_codes.h"
#include "ir/registry.h"
#include "ops/onnx.h"

namespace npuport {
namespace {

// Our attribute with the file's value; nullopt (b failed) when kinds differ.
std::optional<Attr> attribute(OnnxRead& c, const OpDef& op, const OnnxAttrMap& m) {
  const auto def = std::find_if(op.attrs.begin(), op.attrs.end(), [&](const AttrDef& d) { return d.name == m.ours; });
  if (def == op.attrs.end()) {
    fmt::print(stderr, "npuport: {} has no attribute {}\n", op.name, m.ours);
    std::abort();
  }
  std::string name(m.ours);
  switch (def->kind) {
    case AttrKind::integer:
      return Attr(std::move(name), c.i(m.theirs, static_cast<int64_t>(m.fallback)));
    case AttrKind::real:
      return Attr(std::move(name), c.f(m.theirs, m.fallback));
    case AttrKind::boolean:
      return Attr(std::move(name), c.i(m.theirs, static_cast<int64_t>(m.fallback)) != 0);
    case AttrKind::dtype:
      return Attr(std::move(name), AttrValue(c.dtype_attr(m.theirs, DType::unknown)));
    default:
      break;
  }
  if (!c.has_attr(m.theirs)) return std::nullopt;  // the row's default
  if (def->kind == AttrKind::string) return Attr(std::move(name), AttrValue(c.s(m.theirs, "")));
  if (def->kind == AttrKind::integers) return Attr(std::move(name), AttrValue(c.ints(m.theirs)));
  return Attr(std::move(name), AttrValue(c.reals(m.theirs)));
}

void read_generic(OnnxRead& c) {
  const OnnxRow& row = c.row();
  const OpDef& def = op(row.ours[0]);
  std::vector<ValueId> in;
  for (size_t k = 0; k < c.arity(); ++k) in.push_back(c.has(k) ? c.in(k) : ValueId{});
  while (!in.empty() && !in.back().valid()) in.pop_back();
  for (size_t k = 0; k < def.in.size() && def.in[k].kind == Port::required; ++k) {
    if (k >= in.size() || !in[k].valid()) {
      return c.fail(Diag(diag::corrupt, fmt::format("input {} of {} is missing", k, row.name)));
    }
  }
  std::vector<Attr> attrs;
  for (const OnnxAttrMap& m : row.attrs) {
    if (auto a = attribute(c, def, m)) attrs.push_back(std::move(*a));
  }
  if (c.stopped()) return;
  const std::vector<ValueId> out = c.b.ops(def.name, std::move(in), std::move(attrs));
  for (size_t k = 0; k < out.size() && k < c.results(); ++k) c.ret(k, out[k]);
}

Diag wrong_kind(std::string_view name, std::string_view wanted) {
  return {diag::bad_attribute, fmt::format("attribute {} is no {}", name, wanted)};
}

}  // namespace

void onnx_read(OnnxRead& c) {
  if (c.row().read != nullptr) return c.row().read(c);
  if (c.row().ours[0].empty()) return c.refuse("is written, but not read");
  read_generic(c);
}

ValueId OnnxRead::in(size_t k) {
  if (has(k)) return in_[k];
  fail(Diag(diag::corrupt, fmt::format("input {} of {} is missing", k, op_.type)));
  return {};
}

const Tensor* OnnxRead::constant(size_t k) {
  const ValueId v = in(k);
  if (!v.valid() || b.failed()) return nullptr;
  const Tensor* t = b.constant_of(v);
  if (t == nullptr) {
    fail(Diag(diag::data_dependent, fmt::format("input {} of {} must be known before the model runs", k, op_.type),
              "make it a constant or a function of shapes")
             .at_tensor(b.graph().value(v).name));
  }
  return t;
}

Ints OnnxRead::const_ints(size_t k) {
  const Tensor* t = constant(k);
  if (t == nullptr) return {};
  constexpr int64_t kLimit = 1 << 16;
  if (t->count() > kLimit || t->shape.size() > 1) {
    fail(Diag(diag::corrupt, fmt::format("input {} of {} has shape {}, a vector of integers is meant", k, op_.type,
                                         to_string(t->shape))));
    return {};
  }
  Ints out(static_cast<size_t>(t->count()));
  for (size_t i = 0; i < out.size(); ++i) out[i] = get_int(*t, static_cast<int64_t>(i));
  return out;
}

int64_t OnnxRead::const_int(size_t k) {
  const Tensor* t = constant(k);
  if (t == nullptr) return 0;
  if (t->count() == 1) return get_int(*t, 0);
  fail(Diag(diag::corrupt,
            fmt::format("input {} of {} has shape {}, one number is meant", k, op_.type, to_string(t->shape))));
  return 0;
}

Reals OnnxRead::const_reals(size_t k) {
  const Tensor* t = constant(k);
  if (t == nullptr) return {};
  constexpr int64_t kLimit = 1 << 16;
  if (t->count() > kLimit) {
    fail(Diag(diag::too_large, fmt::format("input {} of {} has {} elements", k, op_.type, t->count())));
    return {};
  }
  Reals out(static_cast<size_t>(t->count()));
  for (size_t i = 0; i < out.size(); ++i) out[i] = get_double(*t, static_cast<int64_t>(i));
  return out;
}

double OnnxRead::const_real(size_t k) {
  const Tensor* t = constant(k);
  if (t == nullptr) return 0;
  if (t->count() == 1) return get_double(*t, 0);
  fail(Diag(diag::corrupt,
            fmt::format("input {} of {} has shape {}, one number is meant", k, op_.type, to_string(t->shape))));
  return 0;
}

const OnnxAttr* OnnxRead::find(std::string_view name) const {
  for (const OnnxAttr& a : op_.attrs) {
    if (a.name == name) return &a;
  }
  return nullptr;
}

int64_t OnnxRead::i(std::string_view name, int64_t fallback) {
  const OnnxAttr* a = find(name);
  if (a == nullptr) return fallback;
  if (const auto* v = std::get_if<int64_t>(&a->value)) return *v;
  fail(wrong_kind(name, "integer"));
  return fallback;
}

double OnnxRead::f(std::string_view name, double fallback) {
  const OnnxAttr* a = find(name);
  if (a == nullptr) return fallback;
  if (const auto* v = std::get_if<double>(&a->value)) return *v;
  if (const auto* v = std::get_if<int64_t>(&a->value)) return static_cast<double>(*v);
  fail(wrong_kind(name, "number"));
  return fallback;
}

std::string OnnxRead::s(std::string_view name, std::string_view fallback) {
  const OnnxAttr* a = find(name);
  if (a == nullptr) return std::string(fallback);
  if (const auto* v = std::get_if<std::string>(&a->value)) return *v;
  fail(wrong_kind(name, "string"));
  return std::string(fallback);
}

Ints OnnxRead::ints(std::string_view name) {
  const OnnxAttr* a = find(name);
  if (a == nullptr) return {};
  if (const auto* v = std::get_if<Ints>(&a->value)) return *v;
  fail(wrong_kind(name, "list of integers"));
  return {};
}

Reals OnnxRead::reals(std::string_view name) {
  const OnnxAttr* a = find(name);
  if (a == nullptr) return {};
  if (const auto* v = std::get_if<Reals>(&a->value)) return *v;
  fail(wrong_kind(name, "list of numbers"));
  return {};
}

std::vector<std::string> OnnxRead::strings(std::string_view name) {
  const OnnxAttr* a = find(name);
  if (a == nullptr) return {};
  if (const auto* v = std::get_if<std::vector<std::string>>(&a->value)) return *v;
  fail(wrong_kind(name, "list of strings"));
  return {};
}

const Tensor* OnnxRead::tensor(std::string_view name) {
  const OnnxAttr* a = find(name);
  if (a == nullptr) return nullptr;
  if (const auto* v = std::get_if<std::shared_ptr<const Tensor>>(&a->value)) return v->get();
  fail(wrong_kind(name, "tensor"));
  return nullptr;
}

DType OnnxRead::dtype_attr(std::string_view name, DType fallback) {
  if (!has_attr(name)) return fallback;
  const int64_t number = i(name, 0);
  const DType t = onnx_dtype(number);
  if (t == DType::unknown) refuse(fmt::format("{} = {}", name, onnx_type_name(number)));
  return t;
}

int64_t OnnxRead::axis(int64_t axis, size_t rank) {
  Result<int64_t> n = normalise_axis(axis, rank);
  if (n) return *n;
  fail(std::move(n).error());
  return 0;
}

Ints OnnxRead::axes(Ints axes, size_t rank) {
  for (int64_t& a : axes) a = axis(a, rank);
  return axes;
}

int64_t OnnxRead::axis_attr(std::string_view name, int64_t fallback) { return axis(i(name, fallback), rank(0)); }

std::optional<Ints> OnnxRead::ints_or_input(std::string_view name, size_t k, int since) {
  if (opset_ < since) {
    if (!has_attr(name)) return std::nullopt;
    return ints(name);
  }
  if (!has(k)) return std::nullopt;
  return const_ints(k);
}

void OnnxRead::refuse(std::string why) {
  if (!refusal_) refusal_ = std::move(why);
}

}  // namespace npuport
