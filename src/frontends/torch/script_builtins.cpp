#include "frontends/torch/script_builtins.h"

#include <cmath>
#include <unordered_map>

#include "base/diag_codes.h"

namespace npuport {
namespace {

const std::unordered_map<std::string_view, BuiltinHandler>& table() {
  static const std::unordered_map<std::string_view, BuiltinHandler> t = [] {
    std::unordered_map<std::string_view, BuiltinHandler> all;
    for (const BuiltinTable part : {number_builtins(), container_builtins(), string_builtins(), tensor_builtins()})
      for (const auto& [name, handler] : part) {
        const bool added = all.emplace(name, handler).second;
        assert(added);
        (void)added;
      }
    return all;
  }();
  return t;
}

Diag raised(const std::string& what) { return Diag(diag::raised, what, "the model itself raised this error"); }

enum class Arith { add, sub, mul, div, floordiv, mod, pow, min, max };

// Wraps an ATen call on SymNumbers: the result is again a number that is only known at run time.
Result<bool> symbolic(BuiltinCall& c, const std::string& op, std::optional<SymNumber::Kind> kind) {
  SymNumber::Kind result = SymNumber::integer;
  for (const IValue& v : c.args)
    if (v.as_real() || (v.as_sym() && v.as_sym()->kind == SymNumber::real)) result = SymNumber::real;
  NPU_ASSIGN(const IValue out, c.in.binder().call(op, c.args, {}));
  const TensorRef t = out.as_tensor();
  if (!t) return Diag(diag::internal, op + " of numbers gave no tensor");
  c.out = IValue(SymNumber{t, kind.value_or(result)});
  return true;
}

bool any_sym(const BuiltinCall& c) {
  for (const IValue& v : c.args)
    if (v.as_sym()) return true;
  return false;
}

bool any_tensor(const BuiltinCall& c) {
  for (const IValue& v : c.args)
    if (v.as_tensor()) return true;
  return false;
}

Result<IValue> int_arithmetic(Arith op, int64_t a, int64_t b) {
  int64_t r = 0;
  switch (op) {
    case Arith::add:
      if (__builtin_add_overflow(a, b, &r)) return raised("integer overflow in add");
      return IValue(r);
    case Arith::sub:
      if (__builtin_sub_overflow(a, b, &r)) return raised("integer overflow in sub");
      return IValue(r);
    case Arith::mul:
      if (__builtin_mul_overflow(a, b, &r)) return raised("integer overflow in mul");
      return IValue(r);
    case Arith::div:
      if (b == 0) return raised("division by zero");
      return IValue(static_cast<double>(a) / static_cast<double>(b));
    case Arith::floordiv:
    case Arith::mod: {
      if (b == 0) return raised("division by zero");
      if (b == -1) return IValue(op == Arith::mod ? int64_t{0} : -a);
      const bool adjust = a % b != 0 && (a % b < 0) != (b < 0);
      return IValue(op == Arith::mod ? a % b + (adjust ? b : 0) : a / b - (adjust ? 1 : 0));
    }
    case Arith::pow:  // aten::pow.int gives a float
      return IValue(std::pow(static_cast<double>(a), static_cast<double>(b)));
    case Arith::min:
      return IValue(std::min(a, b));
    case Arith::max:
      return IValue(std::max(a, b));
  }
  return IValue();
}

Result<IValue> real_arithmetic(Arith op, double a, double b) {
  switch (op) {
    case Arith::add:
      return IValue(a + b);
    case Arith::sub:
      return IValue(a - b);
    case Arith::mul:
      return IValue(a * b);
    case Arith::div:
      if (b == 0) return raised("division by zero");
      return IValue(a / b);
    case Arith::floordiv:
      if (b == 0) return raised("division by zero");
      return IValue(std::floor(a / b));
    case Arith::mod: {
      if (b == 0) return raised("division by zero");
      const double r = std::fmod(a, b);
      return IValue(r != 0 && (r < 0) != (b < 0) ? r + b : r);
    }
    case Arith::pow:
      return IValue(std::pow(a, b));
    case Arith::min:
      return IValue(std::min(a, b));
    case Arith::max:
      return IValue(std::max(a, b));
  }
  return IValue();
}

Result<bool> numbers(BuiltinCall& c, Arith op, const char* tensor_op) {
  if (c.args.size() != 2 || any_tensor(c)) return false;
  if (any_sym(c)) return symbolic(c, tensor_op, op == Arith::div ? std::optional(SymNumber::real) : std::nullopt);
  const auto whole = [](const IValue& v) { return v.as_int() || v.as_bool(); };
  double a = 0, b = 0;
  if (!c.args[0].number(a) || !c.args[1].number(b)) return false;
  if (whole(c.args[0]) && whole(c.args[1])) {
    const int64_t x = c.args[0].as_int() ? *c.args[0].as_int() : static_cast<int64_t>(a);
    const int64_t y = c.args[1].as_int() ? *c.args[1].as_int() : static_cast<int64_t>(b);
    NPU_ASSIGN(c.out, int_arithmetic(op, x, y));
  } else {
    NPU_ASSIGN(c.out, real_arithmetic(op, a, b));
  }
  return true;
}

Result<bool> add(BuiltinCall& c) {
  if (c.args.size() == 2) {
    const IValue &a = c.args[0], &b = c.args[1];
    if (a.as_string() && b.as_string()) return c.out = IValue(*a.as_string() + *b.as_string()), true;
    if ((a.as_list() && b.as_list()) || (a.as_tuple() && b.as_tuple())) {
      std::vector<IValue> items = *a.sequence();
      items.insert(items.end(), b.sequence()->begin(), b.sequence()->end());
      return c.out = a.as_list() ? IValue::list(std::move(items)) : IValue::tuple(std::move(items)), true;
    }
  }
  return numbers(c, Arith::add, "aten::add");
}
Result<bool> sub(BuiltinCall& c) { return numbers(c, Arith::sub, "aten::sub"); }

Result<bool> mul(BuiltinCall& c) {
  constexpr size_t max_repeat = size_t{1} << 22;
  if (c.args.size() == 2 && c.args[1].as_int() && (c.args[0].as_list() || c.args[0].as_string())) {
    const auto n = static_cast<size_t>(std::max<int64_t>(0, *c.args[1].as_int()));
    const size_t length = c.args[0].as_list() ? c.args[0].as_list()->items.size() : c.args[0].as_string()->size();
    if (n > max_repeat || n * length > max_repeat)
      return Diag(diag::too_large, "a list or string is repeated too often");
    std::vector<IValue> items;
    std::string text;
    for (size_t i = 0; i < n; ++i) {
      if (const ListObject* l = c.args[0].as_list())
        items.insert(items.end(), l->items.begin(), l->items.end());
      else
        text += *c.args[0].as_string();
    }
    return c.out = c.args[0].as_list() ? IValue::list(std::move(items)) : IValue(std::move(text)), true;
  }
  return numbers(c, Arith::mul, "aten::mul");
}
Result<bool> div(BuiltinCall& c) { return numbers(c, Arith::div, "aten::div"); }
Result<bool> floordiv(BuiltinCall& c) { return numbers(c, Arith::floordiv, "aten::floor_divide"); }
Result<bool> mod(BuiltinCall& c) { return numbers(c, Arith::mod, "aten::remainder"); }
Result<bool> power(BuiltinCall& c) { return numbers(c, Arith::pow, "aten::pow"); }

Result<bool> extreme(BuiltinCall& c, Arith op, const char* tensor_op) {
  if (c.args.size() == 1 && c.args[0].as_list()) {
    const std::vector<IValue> items = c.args[0].as_list()->items;
    if (items.empty()) return raised("min() or max() of an empty list");
    IValue best = items[0];
    for (size_t i = 1; i < items.size(); ++i) {
      std::vector<IValue> pair = {best, items[i]};
      BuiltinCall two{c.in, c.name, pair, c.keywords, best};
      NPU_ASSIGN(const bool handled, numbers(two, op, tensor_op));
      if (!handled) return false;
    }
    return c.out = best, true;
  }
  return numbers(c, op, tensor_op);
}
Result<bool> minimum(BuiltinCall& c) { return extreme(c, Arith::min, "aten::minimum"); }
Result<bool> maximum(BuiltinCall& c) { return extreme(c, Arith::max, "aten::maximum"); }

Result<bool> sum(BuiltinCall& c) {
  if (c.args.size() != 1 || !c.args[0].as_list()) return false;
  IValue total(0);
  const std::vector<IValue> items = c.args[0].as_list()->items;
  for (const IValue& v : items) {
    if (v.as_tensor()) return false;
    std::vector<IValue> pair = {total, v};
    BuiltinCall two{c.in, c.name, pair, c.keywords, total};
    NPU_ASSIGN(const bool handled, add(two));
    if (!handled) return false;
  }
  return c.out = total, true;
}

// ---- comparison

template <class Compare>
Result<bool> compare(BuiltinCall& c, const char* tensor_op, Compare&& fn) {
  if (c.args.size() != 2 || any_tensor(c)) return false;
  if (any_sym(c)) return symbolic(c, tensor_op, SymNumber::boolean);
  const IValue &a = c.args[0], &b = c.args[1];
  double x = 0, y = 0;
  if (a.as_int() && b.as_int()) return c.out = IValue(static_cast<bool>(fn(*a.as_int(), *b.as_int()))), true;
  if (a.number(x) && b.number(y)) return c.out = IValue(static_cast<bool>(fn(x, y))), true;
  if (a.as_string() && b.as_string())
    return c.out = IValue(static_cast<bool>(fn(*a.as_string(), *b.as_string()))), true;
  return false;
}
Result<bool> less(BuiltinCall& c) {
  return compare(c, "aten::lt", [](const auto& a, const auto& b) { return a < b; });
}
Result<bool> less_equal(BuiltinCall& c) {
  return compare(c, "aten::le", [](const auto& a, const auto& b) { return a <= b; });
}
Result<bool> greater(BuiltinCall& c) {
  return compare(c, "aten::gt", [](const auto& a, const auto& b) { return a > b; });
}
Result<bool> greater_equal(BuiltinCall& c) {
  return compare(c, "aten::ge", [](const auto& a, const auto& b) { return a >= b; });
}
Result<bool> equality(BuiltinCall& c, bool wanted) {
  if (c.args.size() != 2 || any_tensor(c)) return false;
  if (any_sym(c)) return symbolic(c, wanted ? "aten::eq" : "aten::ne", SymNumber::boolean);
  return c.out = IValue(equal(c.args[0], c.args[1]) == wanted), true;
}
Result<bool> equals(BuiltinCall& c) { return equality(c, true); }
Result<bool> differs(BuiltinCall& c) { return equality(c, false); }
Result<bool> is(BuiltinCall& c) {
  if (c.args.size() != 2) return false;
  return c.out = IValue(c.args[0].same(c.args[1])), true;
}
Result<bool> is_not(BuiltinCall& c) {
  if (c.args.size() != 2) return false;
  return c.out = IValue(!c.args[0].same(c.args[1])), true;
}

// ---- logic and bits

template <class Fn>
Result<bool> bitwise(BuiltinCall& c, const char* tensor_op, Fn&& fn) {
  if (c.args.size() != 2 || any_tensor(c)) return false;
  if (any_sym(c)) return symbolic(c, tensor_op, SymNumber::boolean);
  const IValue &a = c.args[0], &b = c.args[1];
  if (a.as_bool() && b.as_bool())
    return c.out = IValue(fn(static_cast<int64_t>(*a.as_bool()), static_cast<int64_t>(*b.as_bool())) != 0), true;
  if (a.as_int() && b.as_int()) return c.out = IValue(static_cast<int64_t>(fn(*a.as_int(), *b.as_int()))), true;
  return false;
}
Result<bool> bit_and(BuiltinCall& c) {
  return bitwise(c, "aten::logical_and", [](int64_t a, int64_t b) { return a & b; });
}
Result<bool> bit_or(BuiltinCall& c) {
  return bitwise(c, "aten::logical_or", [](int64_t a, int64_t b) { return a | b; });
}
Result<bool> bit_xor(BuiltinCall& c) {
  return bitwise(c, "aten::logical_xor", [](int64_t a, int64_t b) { return a ^ b; });
}
Result<bool> shift(BuiltinCall& c) {
  if (c.args.size() != 2 || !c.args[0].as_int() || !c.args[1].as_int()) return false;
  const int64_t n = *c.args[1].as_int();
  if (n < 0 || n > 62) return raised("shift count out of range");
  const int64_t a = *c.args[0].as_int();
  const bool left = c.name == "aten::__lshift__";
  return c.out = IValue(left ? static_cast<int64_t>(static_cast<uint64_t>(a) << n) : a >> n), true;
}
Result<bool> logical_not(BuiltinCall& c) {
  if (c.args.size() != 1 || any_tensor(c)) return false;
  if (any_sym(c)) return symbolic(c, "aten::logical_not", SymNumber::boolean);
  NPU_ASSIGN(const bool yes, c.in.truth(c.args[0], "`not`"));
  return c.out = IValue(!yes), true;
}

// ---- functions of one number

Result<bool> negate(BuiltinCall& c) {
  if (c.args.size() != 1 || any_tensor(c)) return false;
  if (any_sym(c)) return symbolic(c, "aten::neg", std::nullopt);
  if (const double* d = c.args[0].as_real()) return c.out = IValue(-*d), true;
  std::vector<IValue> pair = {IValue(0), c.args[0]};
  BuiltinCall two{c.in, c.name, pair, c.keywords, c.out};
  return numbers(two, Arith::sub, "aten::sub");
}

Result<bool> absolute(BuiltinCall& c) {
  if (c.args.size() != 1 || any_tensor(c)) return false;
  if (any_sym(c)) return symbolic(c, "aten::abs", std::nullopt);
  double d = 0;
  if (!c.args[0].number(d)) return false;
  if (d < 0) return negate(c);
  return c.out = c.args[0], true;
}

template <double (*fn)(double), bool to_int>
Result<bool> unary(BuiltinCall& c) {
  double d = 0;
  if (c.args.size() != 1 || any_tensor(c)) return false;
  if (any_sym(c)) return symbolic(c, c.name, to_int ? SymNumber::integer : SymNumber::real);
  if (!c.args[0].number(d)) return false;
  const double r = fn(d);
  if (!to_int) return c.out = IValue(r), true;
  if (!(std::fabs(r) < 9.2e18)) return raised("cannot convert " + std::to_string(r) + " to an int");
  return c.out = IValue(static_cast<int64_t>(r)), true;
}

double round_half_even(double v) { return std::nearbyint(v); }

Result<bool> round_number(BuiltinCall& c) {
  double d = 0;
  if (c.args.size() != 1 || any_tensor(c) || any_sym(c) || !c.args[0].number(d)) return false;
  return c.out = IValue(round_half_even(d)), true;
}

// ---- conversions

Result<bool> to_number(BuiltinCall& c, SymNumber::Kind kind) {
  if (c.args.size() != 1) return false;
  const IValue v = c.args[0];
  const TensorRef t = v.as_sym() ? v.as_sym()->tensor : v.as_tensor();
  if (t) {
    NPU_ASSIGN(c.out, tensor_to_number(c.in, t, kind));
    return true;
  }
  double d = 0;
  if (const std::string* s = v.as_string()) {
    char* end = nullptr;
    d = std::strtod(s->c_str(), &end);
    if (end == s->c_str() || *end != '\0') return raised("could not convert string to a number: '" + *s + "'");
    if (kind == SymNumber::integer)
      return c.out = IValue(static_cast<int64_t>(std::strtoll(s->c_str(), nullptr, 10))), true;
  } else if (!v.number(d)) {
    return false;
  }
  if (kind == SymNumber::boolean) return c.out = IValue(d != 0), true;
  if (kind == SymNumber::real) return c.out = IValue(d), true;
  if (const int64_t* i = v.as_int()) return c.out = IValue(*i), true;
  if (!(std::fabs(d) < 9.2e18)) return raised("cannot convert a float this large, inf or nan to an int");
  return c.out = IValue(static_cast<int64_t>(d)), true;
}
Result<bool> to_int(BuiltinCall& c) { return to_number(c, SymNumber::integer); }
Result<bool> to_float(BuiltinCall& c) { return to_number(c, SymNumber::real); }
Result<bool> to_bool(BuiltinCall& c) { return to_number(c, SymNumber::boolean); }

// ---- loops

Result<bool> range_length(BuiltinCall& c) {
  if (c.args.size() != 3) return false;
  int64_t v[3];
  for (size_t i = 0; i < 3; ++i) {
    NPU_ASSIGN(v[i], c.in.integer(c.args[i], "a loop bound"));
  }
  const auto [lo, hi, step] = v;
  if (step == 0) return raised("range() arg 3 must not be zero");
  if (step > 0)
    c.out = IValue(lo < hi ? 1 + (hi - 1 - lo) / step : int64_t{0});
  else
    c.out = IValue(hi < lo ? 1 + (lo - 1 - hi) / -step : int64_t{0});
  return true;
}
Result<bool> derive_index(BuiltinCall& c) {
  if (c.args.size() != 3) return false;
  int64_t v[3];
  for (size_t i = 0; i < 3; ++i) {
    NPU_ASSIGN(v[i], c.in.integer(c.args[i], "a loop index"));
  }
  return c.out = IValue(v[1] + v[0] * v[2]), true;
}

double d_sqrt(double v) { return std::sqrt(v); }
double d_exp(double v) { return std::exp(v); }
double d_log(double v) { return std::log(v); }
double d_log2(double v) { return std::log2(v); }
double d_log10(double v) { return std::log10(v); }
double d_log1p(double v) { return std::log1p(v); }
double d_sin(double v) { return std::sin(v); }
double d_cos(double v) { return std::cos(v); }
double d_tan(double v) { return std::tan(v); }
double d_tanh(double v) { return std::tanh(v); }
double d_atan(double v) { return std::atan(v); }
double d_floor(double v) { return std::floor(v); }
double d_ceil(double v) { return std::ceil(v); }
double d_trunc(double v) { return std::trunc(v); }
double d_fabs(double v) { return std::fabs(v); }
double d_degrees(double v) { return v * 180.0 / M_PI; }
double d_radians(double v) { return v * M_PI / 180.0; }

constexpr std::pair<std::string_view, BuiltinHandler> kNumbers[] = {
    {"aten::add", add},
    {"aten::sub", sub},
    {"aten::mul", mul},
    {"aten::div", div},
    {"aten::floordiv", floordiv},
    {"aten::floor_divide", floordiv},
    {"aten::remainder", mod},
    {"aten::pow", power},
    {"prim::min", minimum},
    {"prim::max", maximum},
    {"aten::sum", sum},
    {"aten::lt", less},
    {"aten::le", less_equal},
    {"aten::gt", greater},
    {"aten::ge", greater_equal},
    {"aten::eq", equals},
    {"aten::ne", differs},
    {"aten::__is__", is},
    {"aten::__isnot__", is_not},
    {"aten::__and__", bit_and},
    {"aten::__or__", bit_or},
    {"aten::__xor__", bit_xor},
    {"aten::__lshift__", shift},
    {"aten::__rshift__", shift},
    {"aten::__not__", logical_not},
    {"aten::neg", negate},
    {"prim::abs", absolute},
    {"aten::abs", absolute},
    {"aten::fabs", unary<d_fabs, false>},
    {"aten::floor", unary<d_floor, true>},
    {"aten::ceil", unary<d_ceil, true>},
    {"aten::trunc", unary<d_trunc, true>},
    {"aten::round", round_number},
    {"aten::sqrt", unary<d_sqrt, false>},
    {"aten::exp", unary<d_exp, false>},
    {"aten::log", unary<d_log, false>},
    {"aten::log2", unary<d_log2, false>},
    {"aten::log10", unary<d_log10, false>},
    {"aten::log1p", unary<d_log1p, false>},
    {"aten::sin", unary<d_sin, false>},
    {"aten::cos", unary<d_cos, false>},
    {"aten::tan", unary<d_tan, false>},
    {"aten::tanh", unary<d_tanh, false>},
    {"aten::atan", unary<d_atan, false>},
    {"aten::degrees", unary<d_degrees, false>},
    {"aten::radians", unary<d_radians, false>},
    {"aten::Int", to_int},
    {"aten::IntImplicit", to_int},
    {"aten::Float", to_float},
    {"aten::FloatImplicit", to_float},
    {"aten::Bool", to_bool},
    {"aten::__range_length", range_length},
    {"aten::__derive_index", derive_index},
};

}  // namespace

BuiltinTable number_builtins() { return kNumbers; }

bool has_builtin(std::string_view name) { return table().contains(name); }

Result<bool> run_builtin(Interpreter& in, const std::string& name, std::vector<IValue>& args, Keywords& keywords,
                         IValue& out) {
  const auto it = table().find(name);
  if (it == table().end()) return false;
  BuiltinCall call{in, name, args, keywords, out};
  return it->second(call);
}

std::string_view bare_function(std::string_view name) {
  static constexpr std::pair<std::string_view, std::string_view> names[] = {
      {"int", "aten::Int"},
      {"float", "aten::Float"},
      {"bool", "aten::Bool"},
      {"str", "aten::str"},
      {"len", "aten::len"},
      {"abs", "prim::abs"},
      {"min", "prim::min"},
      {"max", "prim::max"},
      {"list", "aten::list"},
      {"dict", "aten::dict"},
      {"ord", "aten::ord"},
      {"chr", "aten::chr"},
      {"sorted", "aten::sorted"},
      {"round", "aten::round"},
      {"print", "prim::Print"},
      {"wait", "aten::wait"},
      {"tuple", "prim::tuple"},
      {"sum", "aten::sum"},
      {"unchecked_unwrap_optional", "aten::_unwrap_optional"}};
  for (const auto& [bare, op] : names)
    if (bare == name) return op;
  return {};
}

Result<IValue> tensor_to_number(Interpreter& in, const TensorRef& t, std::optional<SymNumber::Kind> kind) {
  AtenBinder& binder = in.binder();
  NPU_ASSIGN(const Shape shape, binder.shape(t));
  if (element_count(shape) != 1) return raised("only one element tensors can be converted to Python numbers");
  NPU_ASSIGN(const DType dtype, binder.dtype(t));
  const SymNumber::Kind natural = dtype == DType::boolean ? SymNumber::boolean
                                  : is_float(dtype)       ? SymNumber::real
                                                          : SymNumber::integer;
  const SymNumber::Kind wanted = kind.value_or(natural);
  if (const Result<std::shared_ptr<const Tensor>> value = binder.concrete(t, "")) {
    if (wanted == SymNumber::boolean) return IValue(get_double(**value, 0) != 0);
    if (wanted == SymNumber::real) return IValue(get_double(**value, 0));
    if (is_float(dtype) && !(std::fabs(get_double(**value, 0)) < 9.2e18))
      return raised("cannot convert a float this large, inf or nan to an int");
    return IValue(get_int(**value, 0));
  } else if (value.error().code != &diag::data_dependent) {
    return value.error();
  }
  NPU_ASSIGN(ValueId v, binder.read(t));
  Builder& b = binder.builder();
  v = b.reshape(v, {});
  if (wanted != natural)
    v = b.cast(v, wanted == SymNumber::real ? DType::f32 : wanted == SymNumber::integer ? DType::i64 : DType::boolean);
  NPU_TRY(b.take_status());
  return IValue(SymNumber{binder.fresh(v), wanted});
}

}  // namespace npuport
