#include "frontends/aten_complex.h"

#include <algorithm>

#include "base/diag_codes.h"
#include "frontends/aten_extensions.h"

namespace npuport {
namespace {

using Args = std::vector<IValue>;

TensorRef tensor(const Args& args, size_t i) { return i < args.size() ? args[i].as_tensor() : nullptr; }

bool any_complex(const Args& args) {
  return std::any_of(args.begin(), args.end(), [](const IValue& v) {
    if (const TensorRef t = v.as_tensor()) return t->complex;
    return v.sequence() && any_complex(*v.sequence());
  });
}

// The same memory seen as pairs of reals, or pairs seen as complex numbers.
TensorRef seen_as(const TensorRef& t, bool complex) {
  auto out = std::make_shared<ScriptTensor>(*t);
  out->complex = complex;
  return out;
}

IValue all_seen_as(const IValue& v, bool complex) {
  if (const TensorRef t = v.as_tensor()) return IValue(seen_as(t, complex));
  if (!v.sequence()) return v;
  Args items;
  for (const IValue& item : *v.sequence()) items.push_back(all_seen_as(item, complex));
  return v.as_list() ? IValue::list(std::move(items)) : IValue::tuple(std::move(items));
}

// How a shape operator's arguments change when the tensor gains a last dimension of two.
enum class Shaping : uint8_t { none, dim, two_dims, dims, all_dims, size, pad, new_dim, default_last };
struct ShapeOp {
  std::string_view name;
  Shaping how;
  size_t position;  // of the argument that changes
};
constexpr ShapeOp kShapeOps[] = {
    {"aten::slice", Shaping::dim, 1},         {"aten::select", Shaping::dim, 1},
    {"aten::narrow", Shaping::dim, 1},        {"aten::unsqueeze", Shaping::new_dim, 1},
    {"aten::squeeze", Shaping::dim, 1},       {"aten::transpose", Shaping::two_dims, 1},
    {"aten::permute", Shaping::all_dims, 1},  {"aten::flatten", Shaping::two_dims, 1},
    {"aten::view", Shaping::size, 1},         {"aten::reshape", Shaping::size, 1},
    {"aten::expand", Shaping::size, 1},       {"aten::repeat", Shaping::none, 1},
    {"aten::unbind", Shaping::dim, 1},        {"aten::cat", Shaping::dim, 1},
    {"aten::stack", Shaping::new_dim, 1},     {"aten::chunk", Shaping::dim, 2},
    {"aten::split", Shaping::dim, 2},         {"aten::flip", Shaping::dims, 1},
    {"aten::sum", Shaping::dims, 1},          {"aten::mean", Shaping::dims, 1},
    {"aten::pad", Shaping::pad, 1},           {"aten::constant_pad_nd", Shaping::pad, 1},
    {"aten::clone", Shaping::none, 0},        {"aten::contiguous", Shaping::none, 0},
    {"aten::detach", Shaping::none, 0},       {"aten::alias", Shaping::none, 0},
    {"aten::copy_", Shaping::none, 0},        {"aten::zeros_like", Shaping::none, 0},
    {"aten::resolve_conj", Shaping::none, 0}, {"aten::resolve_neg", Shaping::none, 0},
    {"aten::zero_", Shaping::none, 0},        {"aten::index_select", Shaping::dim, 1},
    {"aten::roll", Shaping::dims, 2},         {"aten::expand_as", Shaping::none, 0},
    {"aten::neg", Shaping::none, 0},          {"aten::add", Shaping::none, 0},
    {"aten::sub", Shaping::none, 0},
};

int64_t from_front(int64_t dim, int64_t rank) { return dim < 0 ? dim + rank : dim; }

// Rewrites the argument; `rank` is the complex tensor's own rank.
Status reshape_argument(const ShapeOp& op, int64_t rank, Args& args) {
  if (op.how == Shaping::none) return {};
  if (op.position >= args.size()) {
    if (op.how == Shaping::dim && (op.name == "aten::unbind" || op.name == "aten::cat" || op.name == "aten::chunk" ||
                                   op.name == "aten::split" || op.name == "aten::slice"))
      return {};  // dim 0 by default
    return Diag(diag::unsupported, std::string(op.name) + " on a complex tensor without its dimension");
  }
  const auto front = [&](IValue& v, int64_t n) {
    if (const int64_t* d = v.as_int()) v = IValue(from_front(*d, n));
  };
  IValue& arg = args[op.position];
  Args items = arg.sequence() ? *arg.sequence() : Args{arg};
  switch (op.how) {
    case Shaping::dim:
      front(arg, rank);
      return {};
    case Shaping::new_dim:
      front(arg, rank + 1);
      return {};
    case Shaping::two_dims:
      front(arg, rank);
      if (args.size() > op.position + 1)
        front(args[op.position + 1], rank);
      else
        args.push_back(IValue(rank - 1));
      return {};
    case Shaping::dims:
    case Shaping::all_dims:
      for (IValue& v : items) front(v, rank);
      if (op.how == Shaping::all_dims) items.push_back(IValue(rank));
      break;
    case Shaping::size:
      items.push_back(IValue(2));
      break;
    case Shaping::pad:
      items.insert(items.begin(), {IValue(0), IValue(0)});
      break;
    default:
      return {};
  }
  arg = IValue::list(std::move(items));
  return {};
}

Result<bool> shape_operator(AtenBinder& binder, std::string_view name, Args args, const Keywords& keywords,
                            IValue& result) {
  const auto* op =
      std::find_if(std::begin(kShapeOps), std::end(kShapeOps), [&](const auto& o) { return o.name == name; });
  if (op == std::end(kShapeOps)) return false;
  TensorRef first = tensor(args, 0);
  if (!first && !args.empty() && args[0].sequence() && !args[0].sequence()->empty())
    first = (*args[0].sequence())[0].as_tensor();
  if (!first) return false;
  NPU_ASSIGN(const Shape shape, binder.shape(first));
  // Sums and copies mix only complex with complex; a real operand would need its zero imaginary part first.
  for (size_t i = 0; i < args.size(); ++i) {
    const TensorRef t = tensor(args, i);
    if (!t || t->complex) continue;
    if (name == "aten::index_select" && i == 2) continue;
    NPU_ASSIGN(const ComplexParts parts, complex_parts(binder, t));
    NPU_ASSIGN(const TensorRef joined, join_complex(binder, parts));
    args[i] = IValue(joined);
  }
  NPU_TRY(reshape_argument(*op, static_cast<int64_t>(shape.size()), args));
  for (IValue& v : args)
    if (!(v.as_tensor() && !v.as_tensor()->complex)) v = all_seen_as(v, false);
  Keywords rest;
  for (const auto& [key, v] : keywords)
    if (key != "dtype") rest.emplace_back(key, v);
  NPU_ASSIGN(const IValue out, binder.call_row(name, std::move(args), std::move(rest)));
  result = all_seen_as(out, true);
  return true;
}

Result<ValueId> binary(AtenBinder& binder, std::string_view name, ValueId a, ValueId b) {
  return binder.run(name, {IValue(binder.fresh(a)), IValue(binder.fresh(b))});
}

Result<ComplexParts> operand(AtenBinder& binder, const IValue& v) {
  if (v.is_number()) return complex_parts(binder, binder.number_tensor(v));
  const TensorRef t = v.as_tensor();
  if (!t) return Diag(diag::unsupported, "a complex operator on a " + v.type_name());
  return complex_parts(binder, t);
}

// f(a, b) applied bilinearly: (ar·br − ai·bi, ar·bi + ai·br).
template <class Product>
Result<ComplexParts> bilinear(AtenBinder& binder, const ComplexParts& a, const ComplexParts& b, Product&& product) {
  ComplexParts out;
  NPU_ASSIGN(out.re, product(a.re, b.re));
  if (a.im.valid() && b.im.valid()) {
    NPU_ASSIGN(const ValueId ii, product(a.im, b.im));
    NPU_ASSIGN(out.re, binary(binder, "aten::sub", out.re, ii));
    NPU_ASSIGN(const ValueId ri, product(a.re, b.im));
    NPU_ASSIGN(const ValueId ir, product(a.im, b.re));
    NPU_ASSIGN(out.im, binary(binder, "aten::add", ri, ir));
  } else if (a.im.valid()) {
    NPU_ASSIGN(out.im, product(a.im, b.re));
  } else if (b.im.valid()) {
    NPU_ASSIGN(out.im, product(a.re, b.im));
  }
  return out;
}

Result<bool> arithmetic(AtenBinder& binder, std::string_view name, const Args& args, IValue& result) {
  ComplexParts out;
  if (name == "aten::mul" || name == "aten::matmul" || name == "aten::bmm" || name == "aten::mm") {
    NPU_ASSIGN(const ComplexParts a, operand(binder, args[0]));
    NPU_ASSIGN(const ComplexParts b, operand(binder, args[1]));
    NPU_ASSIGN(out, bilinear(binder, a, b, [&](ValueId x, ValueId y) { return binary(binder, name, x, y); }));
  } else if (name == "aten::einsum") {
    if (!args[1].sequence() || args[1].sequence()->size() != 2)
      return Diag(diag::unsupported, "einsum of complex tensors takes two operands here");
    NPU_ASSIGN(const ComplexParts a, operand(binder, (*args[1].sequence())[0]));
    NPU_ASSIGN(const ComplexParts b, operand(binder, (*args[1].sequence())[1]));
    NPU_ASSIGN(out, bilinear(binder, a, b, [&](ValueId x, ValueId y) {
                 return binder.run(name, {args[0], IValue::list({IValue(binder.fresh(x)), IValue(binder.fresh(y))})});
               }));
  } else if (name == "aten::div") {
    NPU_ASSIGN(const ComplexParts a, operand(binder, args[0]));
    NPU_ASSIGN(const ComplexParts b, operand(binder, args[1]));
    if (b.im.valid()) {  // a / b = a · conj(b) / |b|²
      NPU_ASSIGN(const ValueId minus, binder.run("aten::neg", {IValue(binder.fresh(b.im))}));
      NPU_ASSIGN(out, bilinear(binder, a, {b.re, minus},
                               [&](ValueId x, ValueId y) { return binary(binder, "aten::mul", x, y); }));
      NPU_ASSIGN(const ValueId rr, binary(binder, "aten::mul", b.re, b.re));
      NPU_ASSIGN(const ValueId ii, binary(binder, "aten::mul", b.im, b.im));
      NPU_ASSIGN(const ValueId norm, binary(binder, "aten::add", rr, ii));
      NPU_ASSIGN(out.re, binary(binder, "aten::div", out.re, norm));
      NPU_ASSIGN(out.im, binary(binder, "aten::div", out.im, norm));
    } else {
      NPU_ASSIGN(out.re, binary(binder, "aten::div", a.re, b.re));
      NPU_ASSIGN(out.im, binary(binder, "aten::div", a.im, b.re));
    }
  } else {
    return false;
  }
  NPU_ASSIGN(const TensorRef t, join_complex(binder, out));
  return result = IValue(t), true;
}

// Operators that make or take apart complex numbers.
Result<bool> conversion(AtenBinder& binder, std::string_view name, const Args& args, IValue& result) {
  const TensorRef x = tensor(args, 0);
  if (!x) return false;
  if (name == "aten::view_as_real" && x->complex) return result = IValue(seen_as(x, false)), true;
  if (name == "aten::view_as_complex") return result = IValue(seen_as(x, true)), true;
  if (name == "aten::complex" || name == "aten::polar") {
    const TensorRef y = tensor(args, 1);
    if (!y) return false;
    NPU_ASSIGN(ValueId re, binder.read(x));
    NPU_ASSIGN(ValueId im, binder.read(y));
    if (name == "aten::polar") {
      NPU_ASSIGN(const ValueId cos, binder.run("aten::cos", {IValue(y)}));
      NPU_ASSIGN(const ValueId sin, binder.run("aten::sin", {IValue(y)}));
      NPU_ASSIGN(im, binary(binder, "aten::mul", re, sin));
      NPU_ASSIGN(re, binary(binder, "aten::mul", re, cos));
    }
    NPU_ASSIGN(const TensorRef t, join_complex(binder, {re, im}));
    return result = IValue(t), true;
  }
  if (!x->complex) return false;
  if (name == "aten::real" || name == "aten::imag") {
    NPU_ASSIGN(const IValue part, binder.call_row("aten::select", {IValue(seen_as(x, false)), IValue(-1),
                                                                   IValue(name == "aten::real" ? 0 : 1)}));
    return result = part, true;
  }
  NPU_ASSIGN(const ComplexParts p, complex_parts(binder, x));
  if (name == "aten::abs") {
    NPU_ASSIGN(const ValueId rr, binary(binder, "aten::mul", p.re, p.re));
    NPU_ASSIGN(const ValueId ii, binary(binder, "aten::mul", p.im, p.im));
    NPU_ASSIGN(const ValueId sum, binary(binder, "aten::add", rr, ii));
    NPU_ASSIGN(const ValueId root, binder.run("aten::sqrt", {IValue(binder.fresh(sum))}));
    return result = IValue(binder.fresh(root)), true;
  }
  if (name == "aten::angle") {
    NPU_ASSIGN(const ValueId angle, binary(binder, "aten::atan2", p.im, p.re));
    return result = IValue(binder.fresh(angle)), true;
  }
  if (name == "aten::conj" || name == "aten::_conj" || name == "aten::conj_physical") {
    NPU_ASSIGN(const ValueId minus, binder.run("aten::neg", {IValue(binder.fresh(p.im))}));
    NPU_ASSIGN(const TensorRef t, join_complex(binder, {p.re, minus}));
    return result = IValue(t), true;
  }
  if (name == "aten::to") return result = IValue(x), true;  // between complex types and devices
  return false;
}

// torch.zeros(…, dtype=complex64) and friends.
Result<bool> creation(AtenBinder& binder, std::string_view name, Args& args, const Keywords& keywords, IValue& result) {
  if (name != "aten::zeros" && name != "aten::empty") return false;
  const IValue* dtype = find_argument(args, keywords, 1, "dtype");
  if (!dtype || !dtype->as_int() || !is_complex_scalar_type(*dtype->as_int()) || !args[0].sequence()) return false;
  Args size = *args[0].sequence();
  size.push_back(IValue(2));
  NPU_ASSIGN(const IValue out, binder.call_row("aten::zeros", {IValue::list(std::move(size))},
                                               {{"dtype", IValue(*dtype->as_int() == 10 ? 7 : 6)}}));
  return result = all_seen_as(out, true), true;
}

}  // namespace

Result<ComplexParts> complex_parts(AtenBinder& binder, const TensorRef& t) {
  ComplexParts out;
  if (!t->complex) {
    NPU_ASSIGN(ValueId v, binder.read(t));
    if (!is_float(binder.builder().dtype(v)) || t->wrapped_number) v = binder.builder().cast(v, DType::f32);
    NPU_TRY(binder.builder().take_status());
    out.re = v;
    return out;
  }
  const IValue pairs(seen_as(t, false));
  NPU_ASSIGN(out.re, binder.run("aten::select", {pairs, IValue(-1), IValue(0)}));
  NPU_ASSIGN(out.im, binder.run("aten::select", {pairs, IValue(-1), IValue(1)}));
  return out;
}

Result<TensorRef> join_complex(AtenBinder& binder, ComplexParts parts) {
  if (!parts.im.valid()) {
    NPU_ASSIGN(parts.im, binder.run("aten::zeros_like", {IValue(binder.fresh(parts.re))}));
  }
  NPU_ASSIGN(const IValue both,
             binder.call_row("aten::broadcast_tensors",
                             {IValue::list({IValue(binder.fresh(parts.re)), IValue(binder.fresh(parts.im))})}));
  NPU_ASSIGN(const ValueId v, binder.run("aten::stack", {both, IValue(-1)}));
  TensorRef t = binder.fresh(v);
  t->complex = true;
  return t;
}

Result<bool> complex_extension(AtenBinder& binder, std::string_view name, Args& args, Keywords& keywords,
                               IValue& result) {
  NPU_ASSIGN(bool handled, fourier_operator(binder, name, args, keywords, result));
  if (handled) return true;
  NPU_ASSIGN(handled, conversion(binder, name, args, result));
  if (handled) return true;
  NPU_ASSIGN(handled, creation(binder, name, args, keywords, result));
  if (handled) return true;
  if (!any_complex(args)) return false;
  NPU_ASSIGN(handled, arithmetic(binder, name, args, result));
  if (handled) return true;
  NPU_ASSIGN(handled, shape_operator(binder, name, args, keywords, result));
  if (handled) return true;
  return Diag(diag::unsupported, std::string(name) + " on complex numbers",
              "compute with real and imaginary parts instead");
}

}  // namespace npuport
