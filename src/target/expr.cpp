#include "target/expr.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "base/diag_codes.h"

namespace npuport {

namespace {

using List = std::vector<double>;
using Words = std::vector<std::string>;
struct Fail {
  std::string why;
  bool operator==(const Fail&) const = default;
};
using Datum = std::variant<double, bool, std::string, List, Words, Fail>;

enum class Kind { number, string, list, name, index, call, unary, binary };

constexpr int kMaxDepth = 64;

}  // namespace

struct Expr::Ast {
  Kind kind = Kind::number;
  std::string text;  // name, operator, function or string
  double number = 0;
  std::vector<std::shared_ptr<const Ast>> args;
};

namespace {

using Ast = Expr::Ast;
using AstPtr = std::shared_ptr<const Ast>;

bool generic_name(std::string_view name) {
  if (name == "rank") return true;
  std::string_view rest;
  if (name.starts_with("in")) rest = name.substr(2);
  if (name.starts_with("out")) rest = name.substr(3);
  size_t digits = 0;
  while (digits < rest.size() && std::isdigit(static_cast<unsigned char>(rest[digits]))) ++digits;
  if (digits == 0 || digits > 2 || rest.size() <= digits + 1 || rest[digits] != '.') return false;
  rest = rest.substr(digits + 1);
  return rest == "shape" || rest == "rank" || rest == "dtype" || rest == "constant" || rest == "present" ||
         rest == "count" || rest == "height" || rest == "width" || rest == "depth" || rest == "int8_sum";
}

// Sum of |w| of one output channel when its largest weight becomes 127, the largest of all channels.
double int8_sum(const Tensor& w, size_t channel_axis) {
  if (w.shape.size() <= channel_axis || !is_float(w.dtype)) return 0;
  int64_t inner = 1;
  for (size_t i = channel_axis + 1; i < w.shape.size(); ++i) inner *= w.shape[i];
  const int64_t channels = w.shape[channel_axis];
  std::vector<double> sum(static_cast<size_t>(channels)), most(static_cast<size_t>(channels));
  for (int64_t i = 0; i < w.count(); ++i) {
    const double v = std::fabs(get_double(w, i));
    const auto c = static_cast<size_t>(i / inner % channels);
    sum[c] += v;
    most[c] = std::max(most[c], v);
  }
  double out = 0;
  for (size_t c = 0; c < sum.size(); ++c)
    if (most[c] > 0) out = std::max(out, 127 * sum[c] / most[c]);
  return out;
}

class Parser {
 public:
  Parser(std::string_view text, const OpDef* op) : text_(text), op_(op) {}

  Result<AstPtr> run() {
    AstPtr root = either(0);
    skip();
    if (!error_ && pos_ != text_.size()) fail("unexpected '" + std::string(text_.substr(pos_, 10)) + "'");
    if (error_) return std::move(*error_);
    return root;
  }

 private:
  void fail(const std::string& what) {
    if (error_) return;
    error_ =
        Diag(diag::syntax, "column " + std::to_string(pos_ + 1) + " of rule \"" + std::string(text_) + "\": " + what);
  }
  void skip() {
    while (pos_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[pos_]))) ++pos_;
  }
  static bool word_char(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.'; }
  bool accept(std::string_view token) {
    skip();
    if (error_ || !text_.substr(pos_).starts_with(token)) return false;
    const bool word = std::isalpha(static_cast<unsigned char>(token.front()));
    const size_t end = pos_ + token.size();
    if (word && end < text_.size() && word_char(text_[end])) return false;
    pos_ = end;
    return true;
  }
  void expect(std::string_view token) {
    if (!accept(token)) fail("expected '" + std::string(token) + "'");
  }
  static AstPtr make(Kind kind, std::string text, std::vector<AstPtr> args) {
    auto a = std::make_shared<Ast>();
    a->kind = kind;
    a->text = std::move(text);
    a->args = std::move(args);
    return a;
  }

  AstPtr either(int depth) {
    if (depth > kMaxDepth) fail("nested too deeply");
    AstPtr left = both(depth);
    while (!error_ && accept("or")) left = make(Kind::binary, "or", {left, both(depth)});
    return left;
  }
  AstPtr both(int depth) {
    AstPtr left = negation(depth);
    while (!error_ && accept("and")) left = make(Kind::binary, "and", {left, negation(depth)});
    return left;
  }
  AstPtr negation(int depth) {
    if (accept("not")) {
      if (depth > kMaxDepth) fail("nested too deeply");
      return error_ ? nullptr : make(Kind::unary, "not", {negation(depth + 1)});
    }
    return comparison(depth);
  }
  // Chains like `1 <= x <= 64` mean what they look like.
  AstPtr comparison(int depth) {
    AstPtr left = sum(depth);
    AstPtr chain;
    while (!error_) {
      std::string op;
      for (const char* candidate : {"<=", ">=", "==", "!=", "<", ">", "in"})
        if (accept(candidate)) {
          op = candidate;
          break;
        }
      if (op.empty()) break;
      AstPtr right = sum(depth);
      AstPtr one = make(Kind::binary, op, {left, right});
      chain = chain ? make(Kind::binary, "and", {chain, one}) : one;
      left = right;
    }
    return chain ? chain : left;
  }
  AstPtr sum(int depth) {
    AstPtr left = product(depth);
    while (!error_) {
      const char* op = accept("+") ? "+" : accept("-") ? "-" : nullptr;
      if (!op) break;
      left = make(Kind::binary, op, {left, product(depth)});
    }
    return left;
  }
  AstPtr product(int depth) {
    AstPtr left = postfix(depth);
    while (!error_) {
      const char* op = accept("*") ? "*" : accept("/") ? "/" : accept("%") ? "%" : nullptr;
      if (!op) break;
      left = make(Kind::binary, op, {left, postfix(depth)});
    }
    return left;
  }
  AstPtr postfix(int depth) {
    AstPtr value = primary(depth);
    while (!error_ && accept("[")) {
      AstPtr index = either(depth + 1);
      expect("]");
      value = make(Kind::index, "", {value, index});
    }
    return value;
  }
  AstPtr primary(int depth) {
    skip();
    if (error_ || pos_ >= text_.size()) {
      fail("an operand is missing");
      return nullptr;
    }
    if (accept("(")) {
      AstPtr inner = either(depth + 1);
      expect(")");
      return inner;
    }
    if (accept("[")) return list(depth);
    const char c = text_[pos_];
    if (c == '"') return string_literal();
    if (std::isdigit(static_cast<unsigned char>(c)) || c == '-') return number();
    return word(depth);
  }
  AstPtr list(int depth) {
    std::vector<AstPtr> items;
    if (!accept("]")) {
      do {
        items.push_back(either(depth + 1));
      } while (!error_ && accept(","));
      expect("]");
    }
    return make(Kind::list, "", std::move(items));
  }
  AstPtr string_literal() {
    const size_t end = text_.find('"', pos_ + 1);
    if (end == std::string_view::npos) {
      fail("unterminated string");
      return nullptr;
    }
    AstPtr s = make(Kind::string, std::string(text_.substr(pos_ + 1, end - pos_ - 1)), {});
    pos_ = end + 1;
    return s;
  }
  AstPtr number() {
    auto a = std::make_shared<Ast>();
    const auto [end, ec] = std::from_chars(text_.data() + pos_, text_.data() + text_.size(), a->number);
    if (ec != std::errc()) fail("bad number");
    pos_ = static_cast<size_t>(end - text_.data());
    return a;
  }
  AstPtr word(int depth) {
    const size_t start = pos_;
    while (pos_ < text_.size() && word_char(text_[pos_])) ++pos_;
    const std::string name(text_.substr(start, pos_ - start));
    if (name.empty()) {
      fail("unexpected '" + std::string(text_.substr(pos_, 1)) + "'");
      return nullptr;
    }
    if (name == "true" || name == "false") return make(Kind::unary, name, {});
    for (const char* fn : {"min", "max", "len", "product", "product_but_two", "power_of_two"})
      if (name == fn && accept("(")) {
        AstPtr arg = either(depth + 1);
        expect(")");
        return make(Kind::call, name, {arg});
      }
    const bool attribute =
        op_ && std::any_of(op_->attrs.begin(), op_->attrs.end(), [&](const AttrDef& a) { return a.name == name; });
    if (!attribute && !generic_name(name)) {
      if (!error_)
        error_ = Diag(diag::unknown_key,
                      "column " + std::to_string(start + 1) + " of rule \"" + std::string(text_) +
                          "\": unknown name '" + name + "'",
                      op_ ? "use rank, inN.shape, inN.dtype … or an attribute of " + std::string(op_->name)
                          : "a rule for all operators can use rank, inN.*, outN.* only");
    }
    return make(Kind::name, name, {});
  }

  std::string_view text_;
  const OpDef* op_;
  size_t pos_ = 0;
  std::optional<Diag> error_;
};

std::string value_text(const Datum& v) {
  if (const auto* d = std::get_if<double>(&v))
    return *d == std::floor(*d) && std::fabs(*d) < 1e15 ? std::to_string(static_cast<int64_t>(*d))
                                                        : to_text(AttrValue(*d));
  if (const auto* b = std::get_if<bool>(&v)) return *b ? "true" : "false";
  if (const auto* s = std::get_if<std::string>(&v)) return "\"" + *s + "\"";
  if (const auto* l = std::get_if<List>(&v)) {
    std::string out = "[";
    for (size_t i = 0; i < l->size(); ++i) out += (i ? "," : "") + value_text((*l)[i]);
    return out + "]";
  }
  if (const auto* w = std::get_if<Words>(&v)) {
    std::string out = "[";
    for (size_t i = 0; i < w->size(); ++i) out += (i ? ", " : "") + ("\"" + (*w)[i] + "\"");
    return out + "]";
  }
  return std::get<Fail>(v).why;
}

class Evaluator {
 public:
  Evaluator(const Graph& g, const Node& n) : g_(g), n_(n) {}

  Datum eval(const Ast& a) {
    switch (a.kind) {
      case Kind::number:
        return a.number;
      case Kind::string:
        return a.text;
      case Kind::list:
        return list(a);
      case Kind::name:
        return looked_at_[a.text] = lookup(a.text);
      case Kind::index:
        return index(eval(*a.args[0]), eval(*a.args[1]));
      case Kind::call:
        return call(a.text, eval(*a.args[0]));
      case Kind::unary:
        return unary(a);
      case Kind::binary:
        return binary(a);
    }
    return Fail{"internal"};
  }

  std::string actual() const {
    std::string out;
    for (const auto& [name, v] : looked_at_) out += (out.empty() ? "" : ", ") + name + " = " + value_text(v);
    return out;
  }

 private:
  static Datum from_shape(const Shape& s) { return List(s.begin(), s.end()); }

  Datum lookup(const std::string& name) const {
    if (name == "rank") {
      size_t rank = 0;
      for (const ValueId v : n_.inputs)
        if (v.valid()) rank = std::max(rank, g_.shape(v).size());
      for (const ValueId v : n_.outputs) rank = std::max(rank, g_.shape(v).size());
      return static_cast<double>(rank);
    }
    if (generic_name(name)) return operand(name);
    for (const Attr& a : n_.attrs)
      if (a.name == name) return from_attr(a.value);
    return Fail{"no attribute " + name};
  }

  Datum operand(const std::string& name) const {
    const bool input = name.starts_with("in");
    const size_t dot = name.find('.');
    const auto i = static_cast<size_t>(std::stoi(name.substr(input ? 2 : 3, dot)));
    const std::string field = name.substr(dot + 1);
    const std::vector<ValueId>& list = input ? n_.inputs : n_.outputs;
    const bool present = i < list.size() && list[i].valid();
    if (field == "present") return present;
    if (!present) return Fail{name.substr(0, dot) + " is absent"};
    const TensorType& t = g_.type(list[i]);
    if (field == "shape") return from_shape(t.shape);
    if (field == "rank") return static_cast<double>(t.shape.size());
    if (field == "dtype") return std::string(npuport::name(t.dtype));
    if (field == "count") return static_cast<double>(element_count(t.shape));
    if (field == "height" || field == "width" || field == "depth") return picture_side(t.shape, field);
    if (field == "int8_sum") {
      if (!g_.is_constant(list[i])) return Fail{name.substr(0, dot) + " is no constant"};
      // Filters of transposed convolutions are I,O,KH,KW.
      return int8_sum(*g_.value(list[i]).constant, n_.op->name.starts_with("conv_transpose") ? 1 : 0);
    }
    return g_.is_constant(list[i]);
  }

  Datum picture_side(const Shape& s, const std::string& field) const {
    if (s.size() != 4) return Fail{field + " needs a picture of rank 4"};
    bool nhwc = false;
    for (const Attr& a : n_.attrs)
      if (a.name == "layout") nhwc = a.value == AttrValue(std::string("nhwc"));
    const size_t at = field == "depth" ? (nhwc ? 3 : 1) : (field == "height" ? 2 : 3) - (nhwc ? 1 : 0);
    return static_cast<double>(s[at]);
  }

  static Datum from_attr(const AttrValue& v) {
    if (const auto* i = std::get_if<int64_t>(&v)) return static_cast<double>(*i);
    if (const auto* d = std::get_if<double>(&v)) return *d;
    if (const auto* b = std::get_if<bool>(&v)) return *b;
    if (const auto* s = std::get_if<std::string>(&v)) return *s;
    if (const auto* l = std::get_if<Ints>(&v)) return List(l->begin(), l->end());
    if (const auto* r = std::get_if<Reals>(&v)) return List(r->begin(), r->end());
    return std::string(npuport::name(std::get<DType>(v)));
  }

  Datum list(const Ast& a) {
    List numbers;
    Words words;
    for (const AstPtr& item : a.args) {
      Datum v = eval(*item);
      if (const auto* d = std::get_if<double>(&v)) {
        numbers.push_back(*d);
      } else if (auto* s = std::get_if<std::string>(&v)) {
        words.push_back(std::move(*s));
      } else {
        return Fail{"a list may hold numbers or strings"};
      }
    }
    if (!numbers.empty() && !words.empty()) return Fail{"a list may not mix numbers and strings"};
    if (!words.empty()) return words;
    return numbers;
  }

  static Datum index(const Datum& list, const Datum& at) {
    const auto* l = std::get_if<List>(&list);
    const auto* d = std::get_if<double>(&at);
    if (std::holds_alternative<Fail>(list)) return list;
    if (!l || !d) return Fail{"only lists can be indexed"};
    auto i = static_cast<int64_t>(*d);
    if (i < 0) i += static_cast<int64_t>(l->size());
    if (i < 0 || i >= static_cast<int64_t>(l->size())) return Fail{"index out of range"};
    return (*l)[static_cast<size_t>(i)];
  }

  static Datum call(const std::string& fn, const Datum& arg) {
    if (std::holds_alternative<Fail>(arg)) return arg;
    if (fn == "power_of_two") {
      const auto* d = std::get_if<double>(&arg);
      if (!d) return Fail{fn + " needs a number"};
      int exponent = 0;
      return *d >= 1 && std::frexp(*d, &exponent) == 0.5;
    }
    const auto* l = std::get_if<List>(&arg);
    if (!l) return Fail{fn + " needs a list"};
    if (fn == "product_but_two") {
      List sorted = *l;
      std::sort(sorted.begin(), sorted.end());
      double p = 1;
      for (size_t i = 2; i < sorted.size(); ++i) p *= sorted[i];
      return p;
    }
    if (fn == "len") return static_cast<double>(l->size());
    if (fn == "product") {
      double p = 1;
      for (const double d : *l) p *= d;
      return p;
    }
    // The empty list satisfies every bound: min = +inf, max = -inf.
    if (fn == "min")
      return l->empty() ? std::numeric_limits<double>::infinity() : *std::min_element(l->begin(), l->end());
    return l->empty() ? -std::numeric_limits<double>::infinity() : *std::max_element(l->begin(), l->end());
  }

  Datum unary(const Ast& a) {
    if (a.text == "true") return true;
    if (a.text == "false") return false;
    const Datum v = eval(*a.args[0]);
    if (const auto* b = std::get_if<bool>(&v)) return !*b;
    return std::holds_alternative<Fail>(v) ? v : Datum(Fail{"'not' needs a condition"});
  }

  Datum binary(const Ast& a) {
    if (a.text == "and" || a.text == "or") return logic(a);
    Datum l = eval(*a.args[0]);
    Datum r = eval(*a.args[1]);
    if (std::holds_alternative<Fail>(l)) return l;
    if (std::holds_alternative<Fail>(r)) return r;
    if (a.text == "in") return contains(l, r);
    if (a.text == "==") return l == r;
    if (a.text == "!=") return !(l == r);
    const auto* x = std::get_if<double>(&l);
    const auto* y = std::get_if<double>(&r);
    if (!x || !y) return Fail{"'" + a.text + "' needs numbers"};
    if (a.text == "<") return *x < *y;
    if (a.text == "<=") return *x <= *y;
    if (a.text == ">") return *x > *y;
    if (a.text == ">=") return *x >= *y;
    if (a.text == "+") return *x + *y;
    if (a.text == "-") return *x - *y;
    if (a.text == "*") return *x * *y;
    if (*y == 0) return Fail{"division by zero"};
    return a.text == "/" ? *x / *y : std::fmod(*x, *y);
  }

  Datum logic(const Ast& a) {
    Datum l = eval(*a.args[0]);
    const auto* x = std::get_if<bool>(&l);
    if (std::holds_alternative<Fail>(l)) return l;
    if (!x) return Fail{"'" + a.text + "' needs conditions"};
    if (*x == (a.text == "or")) return l;
    Datum r = eval(*a.args[1]);
    if (std::holds_alternative<bool>(r) || std::holds_alternative<Fail>(r)) return r;
    return Fail{"'" + a.text + "' needs conditions"};
  }

  static Datum contains(const Datum& item, const Datum& list) {
    if (const auto* words = std::get_if<Words>(&list)) {
      const auto* s = std::get_if<std::string>(&item);
      return s && std::find(words->begin(), words->end(), *s) != words->end();
    }
    if (const auto* numbers = std::get_if<List>(&list)) {
      const auto* d = std::get_if<double>(&item);
      return d && std::find(numbers->begin(), numbers->end(), *d) != numbers->end();
    }
    return Fail{"'in' needs a list"};
  }

  const Graph& g_;
  const Node& n_;
  std::map<std::string, Datum> looked_at_;
};

}  // namespace

Result<Expr> Expr::parse(std::string_view text, const OpDef* op) {
  Expr e;
  e.text_ = text;
  NPU_ASSIGN(e.root_, Parser(e.text_, op).run());
  return e;
}

Expr::Outcome Expr::test(const Graph& g, NodeId node) const {
  Evaluator evaluator(g, g.node(node));
  const Datum v = evaluator.eval(*root_);
  Outcome out;
  out.actual = evaluator.actual();
  if (const auto* b = std::get_if<bool>(&v)) {
    out.holds = *b;
  } else if (const auto* f = std::get_if<Fail>(&v)) {
    out.actual += (out.actual.empty() ? "" : "; ") + f->why;
  } else {
    out.actual += "; the rule is no condition";
  }
  return out;
}

}  // namespace npuport
