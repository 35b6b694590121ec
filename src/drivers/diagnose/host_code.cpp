#include "drivers/diagnose/host_code.h"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <set>

#include "base/diag_codes.h"
#include "base/text.h"

namespace npuport::diagnose {
namespace {

constexpr int64_t kMostConstant = 65536;

// Elementwise operators: %a, %b stand for the operands (numpy arrays; doubles in C++).
struct Formula {
  const char* op;
  const char* python;
  const char* cpp;
};
constexpr Formula kFormulas[] = {
    {"add", "{0} + {1}", "a + b"},
    {"sub", "{0} - {1}", "a - b"},
    {"mul", "{0} * {1}", "a * b"},
    {"div", "{0} / {1}", "a / b"},
    {"maximum", "np.maximum({0}, {1})", "std::max(a, b)"},
    {"minimum", "np.minimum({0}, {1})", "std::min(a, b)"},
    {"equal", "{0} == {1}", "a == b ? 1 : 0"},
    {"not_equal", "{0} != {1}", "a != b ? 1 : 0"},
    {"greater", "{0} > {1}", "a > b ? 1 : 0"},
    {"greater_equal", "{0} >= {1}", "a >= b ? 1 : 0"},
    {"less", "{0} < {1}", "a < b ? 1 : 0"},
    {"less_equal", "{0} <= {1}", "a <= b ? 1 : 0"},
    {"pow", "np.power({0}, {1})", "std::pow(a, b)"},
    {"sin", "np.sin({0})", "std::sin(a)"},
    {"cos", "np.cos({0})", "std::cos(a)"},
    {"exp", "np.exp({0})", "std::exp(a)"},
    {"log", "np.log({0})", "std::log(a)"},
    {"sqrt", "np.sqrt({0})", "std::sqrt(a)"},
    {"tanh", "np.tanh({0})", "std::tanh(a)"},
    {"sigmoid", "1 / (1 + np.exp(-{0}))", "1 / (1 + std::exp(-a))"},
    {"relu", "np.maximum({0}, 0)", "std::max(a, 0.0)"},
    {"neg", "-{0}", "-a"},
    {"abs", "np.abs({0})", "std::abs(a)"},
    {"floor", "np.floor({0})", "std::floor(a)"},
    {"round", "np.round({0})", "std::nearbyint(a)"},
    {"square", "{0} * {0}", "a * a"},
    {"reciprocal", "1 / {0}", "1 / a"},
};

const Formula* formula(std::string_view op) {
  for (const Formula& f : kFormulas)
    if (op == f.op) return &f;
  return nullptr;
}

std::string list(std::span<const int64_t> v) {
  std::string out;
  for (const int64_t i : v) out += (out.empty() ? "" : ", ") + std::to_string(i);
  return out;
}

constexpr const char* kCppHelpers = R"(#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

// A dense row-major array; whole numbers and booleans are held as doubles, too.
struct Array {
  std::vector<long> shape;
  std::vector<double> data;
};

namespace host {

inline long count(const std::vector<long>& shape) {
  long n = 1;
  for (const long d : shape) n *= d;
  return n;
}
inline Array rounded(Array a) {
  for (double& v : a.data) v = static_cast<float>(v);
  return a;
}
// Element of `a` that output position `index` of `shape` reads under broadcasting.
inline size_t source(const Array& a, const std::vector<long>& shape, long index) {
  long at = 0, step = 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    const long dim = shape[shape.size() - 1 - i], place = index % dim;
    index /= dim;
    if (i >= a.shape.size()) continue;
    const long mine = a.shape[a.shape.size() - 1 - i];
    at += (mine == 1 ? 0 : place) * step;
    step *= mine;
  }
  return static_cast<size_t>(at);
}
template <class F>
Array unary(const Array& x, F f) {
  Array y = x;
  for (double& v : y.data) v = f(v);
  return y;
}
template <class F>
Array binary(const Array& x, const Array& z, F f) {
  Array y;
  y.shape.resize(std::max(x.shape.size(), z.shape.size()), 1);
  for (const Array* k : {&x, &z})
    for (size_t i = 0; i < k->shape.size(); ++i) {
      long& d = y.shape[y.shape.size() - k->shape.size() + i];
      d = std::max(d, k->shape[i]);
    }
  y.data.resize(static_cast<size_t>(count(y.shape)));
  for (size_t i = 0; i < y.data.size(); ++i)
    y.data[i] = f(x.data[source(x, y.shape, static_cast<long>(i))], z.data[source(z, y.shape, static_cast<long>(i))]);
  return y;
}
inline Array expand(const Array& x, std::vector<long> shape) {
  Array y{std::move(shape), {}};
  y.data.resize(static_cast<size_t>(count(y.shape)));
  for (size_t i = 0; i < y.data.size(); ++i) y.data[i] = x.data[source(x, y.shape, static_cast<long>(i))];
  return y;
}
inline Array reshape(Array x, std::vector<long> shape) {
  x.shape = std::move(shape);
  return x;
}
inline Array transpose(const Array& x, const std::vector<long>& perm) {
  Array y;
  for (const long p : perm) y.shape.push_back(x.shape[static_cast<size_t>(p)]);
  y.data.resize(x.data.size());
  std::vector<long> step(x.shape.size(), 1);
  for (size_t i = x.shape.size(); i-- > 1;) step[i - 1] = step[i] * x.shape[i];
  for (size_t i = 0; i < y.data.size(); ++i) {
    long rest = static_cast<long>(i), at = 0;
    for (size_t d = perm.size(); d-- > 0;) {
      at += rest % y.shape[d] * step[static_cast<size_t>(perm[d])];
      rest /= y.shape[d];
    }
    y.data[i] = x.data[static_cast<size_t>(at)];
  }
  return y;
}
inline Array slice(const Array& x, size_t axis, long start, long stop, long step) {
  Array y;
  y.shape = x.shape;
  y.shape[axis] = std::max(0L, (stop - start + step - 1) / step);
  long inner = 1, outer = 1;
  for (size_t i = 0; i < x.shape.size(); ++i) (i < axis ? outer : i > axis ? inner : inner) *= i == axis ? 1 : x.shape[i];
  for (long o = 0; o < outer; ++o)
    for (long k = start; k < stop; k += step)
      for (long i = 0; i < inner; ++i)
        y.data.push_back(x.data[static_cast<size_t>((o * x.shape[axis] + k) * inner + i)]);
  return y;
}
inline Array concat(const std::vector<Array>& parts, size_t axis) {
  Array y;
  y.shape = parts[0].shape;
  y.shape[axis] = 0;
  long outer = 1;
  for (const Array& p : parts) y.shape[axis] += p.shape[axis];
  for (size_t i = 0; i < axis; ++i) outer *= y.shape[i];
  for (long o = 0; o < outer; ++o)
    for (const Array& p : parts) {
      const long n = static_cast<long>(p.data.size()) / outer;
      y.data.insert(y.data.end(), p.data.begin() + o * n, p.data.begin() + (o + 1) * n);
    }
  return y;
}
// [.., m, k] x [.., k, n]; batches are equal or one of them has none.
inline Array matmul(const Array& x, const Array& z) {
  const long m = x.shape[x.shape.size() - 2], k = x.shape.back(), n = z.shape.back();
  const long bx = static_cast<long>(x.data.size()) / (m * k), bz = static_cast<long>(z.data.size()) / (k * n);
  Array y;
  y.shape = bx >= bz ? x.shape : z.shape;
  y.shape[y.shape.size() - 2] = m;
  y.shape.back() = n;
  for (long b = 0; b < std::max(bx, bz); ++b)
    for (long i = 0; i < m; ++i)
      for (long j = 0; j < n; ++j) {
        double sum = 0;
        for (long c = 0; c < k; ++c)
          sum += x.data[static_cast<size_t>(((bx == 1 ? 0 : b) * m + i) * k + c)] *
                 z.data[static_cast<size_t>(((bz == 1 ? 0 : b) * k + c) * n + j)];
        y.data.push_back(sum);
      }
  return y;
}
inline Array reduce(const Array& x, const std::vector<bool>& over, const std::vector<long>& shape, bool mean) {
  Array y{shape, {}};
  y.data.resize(static_cast<size_t>(count(shape)));
  for (size_t i = 0; i < x.data.size(); ++i) {
    long rest = static_cast<long>(i), at = 0, step = 1;
    for (size_t d = x.shape.size(); d-- > 0;) {
      if (!over[d]) at += rest % x.shape[d] * step, step *= x.shape[d];
      rest /= x.shape[d];
    }
    y.data[static_cast<size_t>(at)] += x.data[i];
  }
  if (mean)
    for (double& v : y.data) v /= static_cast<double>(x.data.size()) / static_cast<double>(y.data.size());
  return y;
}

}  // namespace host

)";

// Two expressions for the same value.
struct Line {
  std::string python, cpp;
};

class Writer {
 public:
  Writer(const Graph& g, std::string function) : g_(g), function_(std::move(function)) {}

  Result<HostCode> run() {
    std::string arguments_py, arguments_cpp;
    for (const ValueId v : g_.inputs()) {
      const std::string n = variable(v);
      arguments_py += (arguments_py.empty() ? "" : ", ") + n;
      arguments_cpp += (arguments_cpp.empty() ? "const Array& " : ", const Array& ") + n;
    }
    for (const NodeId id : g_.topological()) NPU_TRY(node(g_.node(id)));
    if (!missing_.empty())
      return Diag(diag::unsupported, "there is no source code for " + join({missing_.begin(), missing_.end()}, ", "),
                  "use the host step's model file");
    std::string results_py, results_cpp;
    for (const ValueId v : g_.outputs()) {
      results_py += (results_py.empty() ? "" : ", ") + variable(v);
      results_cpp += (results_cpp.empty() ? "" : ", ") + variable(v);
    }
    HostCode c;
    c.python = "\"\"\"Host part: " + described() + "\"\"\"\nimport numpy as np\n\n" + constants_py_ + "\n\ndef " +
               function_ + "(" + arguments_py + "):\n" + body_py_ + "    return " + results_py + "\n";
    c.cpp = "// Host part: " + described() + "\n" + kCppHelpers + constants_cpp_ + "\nstd::vector<Array> " + function_ +
            "(" + arguments_cpp + ") {\n" + body_cpp_ + "  return {" + results_cpp + "};\n}\n";
    return c;
  }

 private:
  std::string described() const {
    std::string in, out;
    for (const ValueId v : g_.inputs()) in += (in.empty() ? "" : ", ") + variable_name(v) + " " + to_string(g_.type(v));
    for (const ValueId v : g_.outputs())
      out += (out.empty() ? "" : ", ") + variable_name(v) + " " + to_string(g_.type(v));
    return in + " -> " + out;
  }
  static std::string identifier(std::string_view s) {
    std::string out;
    for (const char c : s) out += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
    if (out.empty() || std::isdigit(static_cast<unsigned char>(out[0]))) out = "v_" + out;
    return out;
  }
  std::string variable_name(ValueId v) const {
    const auto it = names_.find(v);
    return it == names_.end() ? identifier(g_.value(v).name) : it->second;
  }
  // Unique, and no keyword of either language.
  std::string variable(ValueId v) {
    if (g_.is_constant(v)) return constant(v);
    auto [it, fresh] = names_.try_emplace(v);
    if (fresh) {
      std::string wanted = "x_" + identifier(g_.value(v).name);
      while (!taken_.insert(wanted).second) wanted += "_";
      it->second = wanted;
    }
    return it->second;
  }

  std::string constant(ValueId v) {
    if (const auto it = names_.find(v); it != names_.end()) return it->second;
    const Tensor& t = *g_.value(v).constant;
    std::string name = fmt::format("k{}", names_.size());
    names_[v] = name;
    if (t.count() > kMostConstant) {
      missing_.insert("the constant " + identifier(g_.value(v).name));
      return name;
    }
    std::string values_py, values_cpp;
    for (int64_t i = 0; i < t.count(); ++i) {
      const double x = get_double(t, i);
      const bool odd = !std::isfinite(x);
      const std::string sign = x < 0 ? "-" : "";
      values_py += (i ? ", " : "") +
                   (odd ? (std::isnan(x) ? std::string("np.nan") : sign + "np.inf") : fmt::format("{:.9g}", x));
      values_cpp +=
          (i ? ", " : "") + (odd ? (std::isnan(x) ? std::string("NAN") : sign + "INFINITY") : fmt::format("{:.9g}", x));
    }
    constants_py_ +=
        fmt::format("{} = np.array([{}], dtype=np.{}).reshape({})\n", name, values_py, numpy(t.dtype), tuple(t.shape));
    constants_cpp_ += fmt::format("static const Array {}{{{{{}}}, {{{}}}}};\n", name, list(t.shape), values_cpp);
    return name;
  }

  static std::string numpy(DType t) { return t == DType::boolean ? "bool_" : std::string(long_name(t)); }
  static std::string tuple(std::span<const int64_t> v) { return "(" + list(v) + (v.size() == 1 ? ",)" : ")"); }
  static size_t positive(int64_t axis, size_t rank) {
    return static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(rank) : axis);
  }

  Status node(const Node& n) {
    const std::optional<Line> line = expression(n);
    if (!line || n.outputs.size() != 1) {
      missing_.insert("operator " + std::string(n.op->name));
      return {};
    }
    const ValueId y = n.outputs[0];
    const TensorType& type = g_.type(y);
    const std::string name = variable(y);
    body_py_ += fmt::format("    {} = np.asarray({}).astype(np.{})\n", name, line->python, numpy(type.dtype));
    body_cpp_ += fmt::format("  const Array {} = {};\n", name,
                             type.dtype == DType::f32 ? "host::rounded(" + line->cpp + ")" : line->cpp);
    return {};
  }

  std::optional<Line> expression(const Node& n) {
    const std::string_view op = n.op->name;
    std::vector<std::string> in;
    for (const ValueId v : n.inputs) in.push_back(v.valid() ? variable(v) : std::string());
    const Shape& y = g_.shape(n.outputs[0]);
    if (const Formula* f = formula(op)) {
      const bool two = n.inputs.size() > 1;
      return Line{
          two ? fmt::format(fmt::runtime(f->python), in[0], in[1]) : fmt::format(fmt::runtime(f->python), in[0]),
          two ? fmt::format("host::binary({}, {}, [](double a, double b) -> double {{ return {}; }})", in[0], in[1],
                            f->cpp)
              : fmt::format("host::unary({}, [](double a) -> double {{ return {}; }})", in[0], f->cpp)};
    }
    if (op == "cast") return cast(n, in[0]);
    if (op == "reshape")
      return Line{in[0] + ".reshape(" + tuple(y) + ")", fmt::format("host::reshape({}, {{{}}})", in[0], list(y))};
    if (op == "expand")
      return Line{fmt::format("np.broadcast_to({}, {})", in[0], tuple(y)),
                  fmt::format("host::expand({}, {{{}}})", in[0], list(y))};
    if (op == "transpose") {
      const Ints& p = n.attr().ints("perm");
      return Line{fmt::format("{}.transpose({})", in[0], tuple(p)),
                  fmt::format("host::transpose({}, {{{}}})", in[0], list(p))};
    }
    if (op == "concat") {
      const size_t axis = positive(n.attr().i("axis"), y.size());
      return Line{fmt::format("np.concatenate([{}], axis={})", join(in, ", "), axis),
                  fmt::format("host::concat({{{}}}, {})", join(in, ", "), axis)};
    }
    if (op == "slice") return slice(n, in[0]);
    if (op == "clamp") return clamp(n, in[0]);
    if (op == "matmul" && g_.shape(n.inputs[0]).size() >= 2 && g_.shape(n.inputs[1]).size() >= 2)
      return Line{fmt::format("{} @ {}", in[0], in[1]), fmt::format("host::matmul({}, {})", in[0], in[1])};
    if (op == "linear") return linear(n, in);
    if (op == "reduce_sum" || op == "reduce_mean") return reduce(n, in[0], op == "reduce_mean");
    return std::nullopt;
  }

  std::optional<Line> cast(const Node& n, const std::string& x) const {
    const DType from = g_.type(n.inputs[0]).dtype, to = g_.type(n.outputs[0]).dtype;
    const char* f = to == DType::boolean ? "a != 0 ? 1 : 0" : is_integer(to) && is_float(from) ? "std::trunc(a)" : "a";
    return Line{x, fmt::format("host::unary({}, [](double a) -> double {{ return {}; }})", x, f)};
  }

  std::optional<Line> clamp(const Node& n, const std::string& x) const {
    const double low = n.attr().f("min"), high = n.attr().f("max");
    if (!std::isfinite(low) || !std::isfinite(high)) return std::nullopt;
    return Line{fmt::format("np.clip({}, {:.9g}, {:.9g})", x, low, high),
                fmt::format("host::unary({}, [](double a) -> double {{ return std::min(std::max(a, double({:.9g})), "
                            "double({:.9g})); }})",
                            x, low, high)};
  }

  std::optional<Line> slice(const Node& n, const std::string& x) const {
    const AttrView a = n.attr();
    Ints axes = a.ints("axes"), steps = a.ints("steps");
    const Shape& s = g_.shape(n.inputs[0]);
    if (axes.empty())
      for (size_t i = 0; i < a.ints("starts").size(); ++i) axes.push_back(static_cast<int64_t>(i));
    Line l{x, x};
    for (size_t i = 0; i < axes.size(); ++i) {
      const size_t axis = positive(axes[i], s.size());
      const int64_t step = steps.empty() ? 1 : steps[i];
      if (step <= 0) return std::nullopt;
      const auto place = [&](int64_t v) { return std::clamp<int64_t>(v < 0 ? v + s[axis] : v, 0, s[axis]); };
      const int64_t start = place(a.ints("starts")[i]), stop = place(a.ints("ends")[i]);
      std::string index;
      for (size_t d = 0; d < axis; ++d) index += ":, ";
      l.python += fmt::format("[{}{}:{}:{}]", index, start, stop, step);
      l.cpp = fmt::format("host::slice({}, {}, {}, {}, {})", l.cpp, axis, start, stop, step);
    }
    return l;
  }

  std::optional<Line> linear(const Node& n, const std::vector<std::string>& in) const {
    if (n.attr().has("activation") && n.attr().s("activation") != "none") return std::nullopt;
    if (g_.shape(n.inputs[0]).size() < 2) return std::nullopt;
    Line l{fmt::format("{} @ {}.T", in[0], in[1]),
           fmt::format("host::matmul({}, host::transpose({}, {{1, 0}}))", in[0], in[1])};
    if (in.size() > 2 && !in[2].empty()) {
      l.python += " + " + in[2];
      l.cpp = fmt::format("host::binary({}, {}, [](double a, double b) -> double {{ return a + b; }})", l.cpp, in[2]);
    }
    return l;
  }

  std::optional<Line> reduce(const Node& n, const std::string& x, bool mean) const {
    const Shape &s = g_.shape(n.inputs[0]), &y = g_.shape(n.outputs[0]);
    std::vector<bool> over(s.size(), n.attr().ints("axes").empty());
    for (const int64_t a : n.attr().ints("axes")) over[positive(a, s.size())] = true;
    std::string flags, axes;
    for (size_t i = 0; i < over.size(); ++i) {
      flags += (i ? ", " : "") + std::string(over[i] ? "true" : "false");
      if (over[i]) axes += std::to_string(i) + ", ";
    }
    return Line{
        fmt::format("np.{}({}, axis=({}), keepdims=True).reshape({})", mean ? "mean" : "sum", x, axes, tuple(y)),
        fmt::format("host::reduce({}, {{{}}}, {{{}}}, {})", x, flags, list(y), mean)};
  }

  const Graph& g_;
  std::string function_;
  std::map<ValueId, std::string> names_;
  std::set<std::string> taken_, missing_;
  std::string constants_py_, constants_cpp_, body_py_, body_cpp_;
};

}  // namespace

Result<HostCode> host_code(const Graph& g, const std::string& function) {
  std::string plain;
  for (const char c : function) plain += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return Writer(g, plain).run();
}

}  // namespace npuport::diagnose
