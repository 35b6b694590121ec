#include "frontends/torch/script_expressions.h"

#include "base/diag_codes.h"

namespace npuport::script {
namespace {

// Infix operators never appear in what today's PyTorch writes; older printers used some.
constexpr BinaryOp kBinary[] = {
    {"==", 4, "eq"},         {"!=", 4, "ne"},        {"<", 4, "lt"},      {"<=", 4, "le"},     {">", 4, "gt"},
    {">=", 4, "ge"},         {"|", 5, "__or__"},     {"^", 6, "__xor__"}, {"&", 7, "__and__"}, {"<<", 8, "__lshift__"},
    {">>", 8, "__rshift__"}, {"+", 9, "add"},        {"-", 9, "sub"},     {"*", 10, "mul"},    {"/", 10, "div"},
    {"//", 10, "floordiv"},  {"%", 10, "remainder"}, {"@", 10, "matmul"}, {"**", 12, "pow"},
};

}  // namespace

Result<Expr> ExpressionParser::type_expression() {
  Scope types;
  ScopeGuard guard(*this, types);
  return expression();
}

Result<Expr> ExpressionParser::expression_list() {
  const uint32_t pos = cur().pos;
  NPU_ASSIGN(Expr first, expression());
  if (!at_op(",")) return first;
  Expr tuple;
  tuple.kind = Expr::Kind::tuple;
  tuple.pos = pos;
  tuple.kids.push_back(std::move(first));
  while (take_op(",")) {
    if (at(Tok::newline)) break;
    NPU_ASSIGN(Expr next, expression());
    tuple.kids.push_back(std::move(next));
  }
  return tuple;
}

Result<Expr> ExpressionParser::expression() {
  const Depth depth(depth_);
  if (depth_ > kMaxDepth) return too_deep();
  NPU_ASSIGN(Expr e, or_expression());
  if (!at_name("if")) return e;
  Expr c = make(Expr::Kind::conditional);
  ++i_;
  c.kids.push_back(std::move(e));
  NPU_ASSIGN(Expr condition, or_expression());
  c.kids.push_back(std::move(condition));
  if (!at_name("else")) return error("expected 'else'");
  ++i_;
  NPU_ASSIGN(Expr otherwise, expression());
  c.kids.push_back(std::move(otherwise));
  return c;
}

Result<Expr> ExpressionParser::or_expression() { return logic_chain("or", Expr::Kind::logic_or); }

Result<Expr> ExpressionParser::logic_chain(std::string_view word, Expr::Kind kind) {
  const bool is_or = kind == Expr::Kind::logic_or;
  NPU_ASSIGN(Expr left, is_or ? logic_chain("and", Expr::Kind::logic_and) : not_expression());
  int links = 0;
  while (at_name(word)) {
    if (++links > kMaxDepth) return too_deep();
    Expr e = make(kind);
    ++i_;
    NPU_ASSIGN(Expr right, is_or ? logic_chain("and", Expr::Kind::logic_and) : not_expression());
    e.kids.push_back(std::move(left));
    e.kids.push_back(std::move(right));
    left = std::move(e);
  }
  return left;
}

Result<Expr> ExpressionParser::not_expression() {
  if (!at_name("not")) return binary(0);
  const Depth depth(depth_);
  if (depth_ > kMaxDepth) return too_deep();
  Expr e = make(Expr::Kind::logic_not);
  ++i_;
  NPU_ASSIGN(Expr kid, not_expression());
  e.kids.push_back(std::move(kid));
  return e;
}

const BinaryOp* ExpressionParser::binary_op(BinaryOp& word) const {
  if (at(Tok::op)) {
    for (const BinaryOp& b : kBinary)
      if (b.text == cur().text) return &b;
    return nullptr;
  }
  const bool not_in = at_name("not") && peek(1).kind == Tok::name && peek(1).text == "in";
  const bool is_not = at_name("is") && peek(1).kind == Tok::name && peek(1).text == "not";
  if (not_in)
    word = {"not in", 4, "__not_contains__"};
  else if (is_not)
    word = {"is not", 4, "__isnot__"};
  else if (at_name("is"))
    word = {"is", 4, "__is__"};
  else if (at_name("in"))
    word = {"in", 4, "__contains__"};
  else
    return nullptr;
  return &word;
}

Result<Expr> ExpressionParser::binary(int min_precedence) {
  NPU_ASSIGN(Expr left, unary());
  BinaryOp word{};
  int links = 0;
  for (const BinaryOp* op = binary_op(word); op && op->precedence >= min_precedence; op = binary_op(word)) {
    if (++links > kMaxDepth) return too_deep();
    const Depth depth(depth_);
    if (depth_ > kMaxDepth) return too_deep();
    const BinaryOp chosen = *op;
    Expr e = make(Expr::Kind::binary);
    e.text = chosen.aten;
    i_ += chosen.text == "not in" || chosen.text == "is not" ? 2 : 1;
    NPU_ASSIGN(Expr right, binary(chosen.precedence + (chosen.text == "**" ? 0 : 1)));
    e.kids.push_back(std::move(left));
    e.kids.push_back(std::move(right));
    left = std::move(e);
  }
  return left;
}

Result<Expr> ExpressionParser::unary() {
  if (!at_op("-") && !at_op("+")) return postfix();
  const Depth depth(depth_);
  if (depth_ > kMaxDepth) return too_deep();
  Expr e = make(Expr::Kind::negate);
  const bool plus = at_op("+");
  ++i_;
  // -9223372036854775808: the magnitude alone does not fit a signed integer.
  if (at(Tok::integer) && !plus) {
    Expr literal = make(Expr::Kind::integer);
    if (cur().integer > (uint64_t{1} << 63)) return error("integer literal out of range");
    literal.integer = static_cast<int64_t>(~cur().integer + 1);
    if (!(peek(1).kind == Tok::op && (peek(1).text == "**" || peek(1).text == "."))) {
      ++i_;
      return literal;
    }
  }
  NPU_ASSIGN(Expr kid, unary());
  if (plus) return kid;
  e.kids.push_back(std::move(kid));
  return e;
}

Result<Expr> ExpressionParser::postfix() {
  NPU_ASSIGN(Expr e, atom());
  int links = 0;
  for (;;) {
    if (++links > kMaxDepth) return too_deep();
    if (at_op(".")) {
      ++i_;
      const uint32_t pos = cur().pos;
      NPU_ASSIGN(const std::string name, identifier());
      if (e.kind == Expr::Kind::global) {
        e.text += "." + name;
        if (e.text.size() > 4096) return too_deep();
        continue;
      }
      Expr a;
      a.kind = Expr::Kind::attribute;
      a.pos = pos;
      a.text = name;
      a.kids.push_back(std::move(e));
      e = std::move(a);
    } else if (at_op("(")) {
      NPU_ASSIGN(Expr c, call(std::move(e)));
      e = std::move(c);
    } else if (at_op("[")) {
      NPU_ASSIGN(Expr x, index(std::move(e)));
      e = std::move(x);
    } else {
      return e;
    }
  }
}

Result<Expr> ExpressionParser::call(Expr callee) {
  Expr c = make(Expr::Kind::call);
  c.pos = callee.pos;
  c.kids.push_back(std::move(callee));
  ++i_;
  while (!at_op(")")) {
    if (at(Tok::name) && peek(1).kind == Tok::op && peek(1).text == "=") {
      const std::string name(cur().text);
      i_ += 2;
      NPU_ASSIGN(Expr value, expression());
      c.keywords.emplace_back(name, std::move(value));
    } else {
      NPU_ASSIGN(Expr value, expression());
      c.kids.push_back(std::move(value));
    }
    if (!take_op(",")) break;
  }
  NPU_TRY(expect_op(")"));
  return c;
}

Result<Expr> ExpressionParser::index(Expr base) {
  Expr x = make(Expr::Kind::index);
  x.kids.push_back(std::move(base));
  ++i_;
  while (!at_op("]")) {
    NPU_ASSIGN(Expr item, slice_or_expression());
    x.kids.push_back(std::move(item));
    if (!take_op(",")) break;
  }
  NPU_TRY(expect_op("]"));
  if (x.kids.size() < 2) return error("expected an index");
  return x;
}

Result<Expr> ExpressionParser::slice_or_expression() {
  Expr s = make(Expr::Kind::slice);
  s.kids.resize(3);
  if (!at_op(":")) {
    NPU_ASSIGN(Expr first, expression());
    if (!at_op(":")) return first;
    s.kids[0] = std::move(first);
  }
  for (size_t part = 1; part < 3 && take_op(":"); ++part)
    if (!at_op("]") && !at_op(",") && !at_op(":")) {
      NPU_ASSIGN(s.kids[part], expression());
    }
  return s;
}

Result<Expr> ExpressionParser::sequence(std::string_view close, Expr::Kind kind, bool* comma) {
  Expr e = make(kind);
  ++i_;
  while (!at_op(close)) {
    NPU_ASSIGN(Expr item, expression());
    e.kids.push_back(std::move(item));
    if (!take_op(",")) break;
    if (comma) *comma = true;
  }
  NPU_TRY(expect_op(close));
  return e;
}

Result<Expr> ExpressionParser::dict() {
  Expr e = make(Expr::Kind::dict);
  ++i_;
  while (!at_op("}")) {
    NPU_ASSIGN(Expr key, expression());
    NPU_TRY(expect_op(":"));
    NPU_ASSIGN(Expr value, expression());
    e.kids.push_back(std::move(key));
    e.kids.push_back(std::move(value));
    if (!take_op(",")) break;
  }
  NPU_TRY(expect_op("}"));
  return e;
}

Result<Expr> ExpressionParser::atom() {
  switch (cur().kind) {
    case Tok::integer: {
      Expr e = make(Expr::Kind::integer);
      if (cur().integer > static_cast<uint64_t>(INT64_MAX)) return error("integer literal out of range");
      e.integer = static_cast<int64_t>(cur().integer);
      ++i_;
      return e;
    }
    case Tok::real: {
      Expr e = make(Expr::Kind::real);
      e.real = cur().real;
      ++i_;
      return e;
    }
    case Tok::string: {
      Expr e = make(Expr::Kind::string);
      while (at(Tok::string)) e.text += tokens_[i_++].str;
      return e;
    }
    case Tok::name:
      return name_atom();
    case Tok::op:
      if (at_op("[")) return sequence("]", Expr::Kind::list);
      if (at_op("{")) return dict();
      if (at_op("(")) return parenthesised();
      [[fallthrough]];
    default:
      return error("expected an expression");
  }
}

Result<Expr> ExpressionParser::parenthesised() {
  bool comma = false;
  NPU_ASSIGN(Expr e, sequence(")", Expr::Kind::tuple, &comma));
  if (comma || e.kids.empty()) return e;
  Expr inner = std::move(e.kids[0]);
  return inner;
}

Result<Expr> ExpressionParser::name_atom() {
  const std::string_view t = cur().text;
  if (t == "None" || t == "True" || t == "False") {
    Expr e = make(t == "None" ? Expr::Kind::none : Expr::Kind::boolean);
    e.integer = t == "True";
    ++i_;
    return e;
  }
  static constexpr std::string_view reserved[] = {"if",   "else",   "elif", "while",  "for", "def", "class",
                                                  "pass", "return", "with", "lambda", "and", "or",  "in"};
  for (const std::string_view word : reserved)
    if (t == word) return error("expected an expression");
  const bool global = t == "torch" || t == "ops" || t == "__torch__" || t == "CONSTANTS";
  Expr e = make(global ? Expr::Kind::global : Expr::Kind::name);
  e.text = t;
  if (!global) e.slot = scope_ ? scope_->slot(t) : 0;
  ++i_;
  return e;
}

}  // namespace npuport::script
