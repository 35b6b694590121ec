#include "frontends/torch/script_parser.h"

#include <map>

#include "base/diag_codes.h"
#include "frontends/torch/script_lexer.h"

namespace npuport::script {
namespace {

constexpr int kMaxDepth = 150;  // a level takes about ten frames; sanitized ones are large

// Variable table of the function being parsed.
struct Scope {
  std::vector<std::string> variables;
  std::map<std::string, uint32_t, std::less<>> slots;

  uint32_t slot(std::string_view name) {
    if (const auto it = slots.find(name); it != slots.end()) return it->second;
    const auto id = static_cast<uint32_t>(variables.size());
    variables.emplace_back(name);
    slots.emplace(name, id);
    return id;
  }
};

struct BinaryOp {
  std::string_view text;
  int precedence;
  std::string_view aten;
};
// Infix operators never appear in what today's PyTorch writes; older printers used some.
constexpr BinaryOp kBinary[] = {
    {"==", 4, "eq"},         {"!=", 4, "ne"},        {"<", 4, "lt"},      {"<=", 4, "le"},     {">", 4, "gt"},
    {">=", 4, "ge"},         {"|", 5, "__or__"},     {"^", 6, "__xor__"}, {"&", 7, "__and__"}, {"<<", 8, "__lshift__"},
    {">>", 8, "__rshift__"}, {"+", 9, "add"},        {"-", 9, "sub"},     {"*", 10, "mul"},    {"/", 10, "div"},
    {"//", 10, "floordiv"},  {"%", 10, "remainder"}, {"@", 10, "matmul"}, {"**", 12, "pow"},
};

class Parser {
 public:
  Parser(std::string_view source, std::vector<Token> tokens) : source_(source), tokens_(std::move(tokens)) {}

  Result<Module> run() {
    Module m;
    while (!at(Tok::end)) {
      if (at_name("class")) {
        NPU_ASSIGN(Class c, parse_class());
        m.classes.push_back(std::move(c));
      } else if (at_name("def")) {
        NPU_ASSIGN(Function f, parse_function());
        m.functions.push_back(std::move(f));
      } else if (at_name("import") || at_name("from") || at_name("op_version_set")) {
        // Files of PyTorch 1.0 to 1.3 begin with `op_version_set = 1` and import lines.
        while (!at(Tok::newline) && !at(Tok::end)) ++i_;
        if (at(Tok::newline)) ++i_;
      } else if (at(Tok::newline)) {
        ++i_;
      } else {
        return error("expected class or def");
      }
    }
    return m;
  }

 private:
  struct Depth {
    explicit Depth(int& d) : d_(d) { ++d_; }
    ~Depth() { --d_; }
    int& d_;
  };

  const Token& cur() const { return tokens_[i_]; }
  const Token& peek(size_t n) const { return tokens_[std::min(i_ + n, tokens_.size() - 1)]; }
  bool at(Tok k) const { return cur().kind == k; }
  bool at_op(std::string_view t) const { return cur().kind == Tok::op && cur().text == t; }
  bool at_name(std::string_view t) const { return cur().kind == Tok::name && cur().text == t; }
  bool take_op(std::string_view t) {
    if (!at_op(t)) return false;
    ++i_;
    return true;
  }

  Diag error(const std::string& what) const {
    std::string found = at(Tok::end) ? "the end of the file" : "'" + std::string(cur().text.substr(0, 40)) + "'";
    if (at(Tok::newline)) found = "the end of the line";
    return Diag(diag::syntax, what + ", found " + found + " at " + line_and_column(source_, cur().pos),
                "the archive's code/ folder is damaged");
  }
  Status expect_op(std::string_view t) {
    if (take_op(t)) return {};
    return error("expected '" + std::string(t) + "'");
  }
  Status expect(Tok k, std::string_view what) {
    if (!at(k)) return error("expected " + std::string(what));
    ++i_;
    return {};
  }
  Result<std::string> identifier() {
    if (!at(Tok::name)) return error("expected a name");
    return std::string(tokens_[i_++].text);
  }
  Diag too_deep() const {
    return Diag(diag::too_large, "code is nested deeper than " + std::to_string(kMaxDepth) + " levels at " +
                                     line_and_column(source_, cur().pos));
  }

  Expr make(Expr::Kind kind) const {
    Expr e;
    e.kind = kind;
    e.pos = cur().pos;
    return e;
  }

  // ---- definitions

  Result<Class> parse_class() {
    Class c;
    c.pos = cur().pos;
    ++i_;
    NPU_ASSIGN(c.name, identifier());
    if (take_op("(")) {
      if (!at_op(")")) {
        Scope types;
        ScopeGuard guard(*this, types);
        NPU_ASSIGN(const Expr base, expression());
        c.base = base.text;
        for (const Expr* e = &base; e->kind == Expr::Kind::attribute; e = &e->kids[0]) c.base = e->text;
        take_op(",");
      }
      NPU_TRY(expect_op(")"));
    }
    NPU_TRY(expect_op(":"));
    NPU_TRY(expect(Tok::newline, "the end of the line"));
    if (!at(Tok::indent)) return c;
    ++i_;
    while (!at(Tok::dedent) && !at(Tok::end)) NPU_TRY(class_item(c));
    if (at(Tok::dedent)) ++i_;
    return c;
  }

  Status class_item(Class& c) {
    if (at(Tok::newline)) return ++i_, Status();
    if (at_name("def")) {
      NPU_ASSIGN(Function f, parse_function());
      c.methods.push_back(std::move(f));
      return {};
    }
    if (at_name("pass")) {
      ++i_;
      return expect(Tok::newline, "the end of the line");
    }
    Scope fields;
    ScopeGuard guard(*this, fields);
    NPU_ASSIGN(Expr target, postfix());
    ClassField field;
    if (take_op(":")) {
      NPU_ASSIGN(field.type, expression());
    }
    if (take_op("=")) {
      NPU_ASSIGN(field.value, expression());
      field.has_value = true;
    }
    NPU_TRY(expect(Tok::newline, "the end of the line"));
    if (target.kind == Expr::Kind::index && target.kids.size() == 2 && target.kids[1].kind == Expr::Kind::string) {
      field.name = target.kids[1].text;  // __annotations__["0"] = T declares an attribute that is no identifier
      field.type = std::move(field.value);
      field.has_value = false;
    } else if (target.kind == Expr::Kind::name || target.kind == Expr::Kind::global) {
      field.name = target.text;  // `ops` and `torch` are legal attribute names
    } else {
      return error("expected an attribute declaration");
    }
    c.fields.push_back(std::move(field));
    return {};
  }

  struct ScopeGuard {
    ScopeGuard(Parser& p, Scope& s) : parser(p), saved(p.scope_) { p.scope_ = &s; }
    ~ScopeGuard() { parser.scope_ = saved; }
    Parser& parser;
    Scope* saved;
  };

  Result<Function> parse_function() {
    const Depth depth(depth_);
    if (depth_ > kMaxDepth) return too_deep();
    Function f;
    f.pos = cur().pos;
    ++i_;
    NPU_ASSIGN(f.name, identifier());
    Scope scope;
    ScopeGuard guard(*this, scope);
    NPU_TRY(expect_op("("));
    while (!at_op(")")) {
      if (take_op("*")) {  // marks what follows as keyword-only
        if (!take_op(",")) return error("expected ','");
        continue;
      }
      Parameter p;
      NPU_ASSIGN(p.name, identifier());
      if (scope.slots.contains(p.name)) return error("duplicate parameter name");
      scope.slot(p.name);
      if (take_op(":")) {
        Scope types;
        ScopeGuard type_guard(*this, types);
        NPU_ASSIGN(p.type, expression());
      }
      if (take_op("=")) {
        Scope constants;
        ScopeGuard constant_guard(*this, constants);
        NPU_ASSIGN(p.default_value, expression());
        p.has_default = true;
      }
      f.params.push_back(std::move(p));
      if (!take_op(",")) break;
    }
    NPU_TRY(expect_op(")"));
    if (take_op("->")) {
      Scope types;
      ScopeGuard type_guard(*this, types);
      NPU_ASSIGN(f.return_type, expression());
    }
    NPU_ASSIGN(f.body, block());
    f.variables = std::move(scope.variables);
    return f;
  }

  // ---- statements

  Result<Block> block() {
    NPU_TRY(expect_op(":"));
    Block out;
    if (!at(Tok::newline)) {  // `if x: pass` on one line
      NPU_ASSIGN(Stmt s, simple_statement());
      out.push_back(std::move(s));
      return out;
    }
    ++i_;
    if (!at(Tok::indent)) return error("expected an indented block");
    ++i_;
    while (!at(Tok::dedent) && !at(Tok::end)) {
      if (at(Tok::newline)) {
        ++i_;
        continue;
      }
      NPU_ASSIGN(Stmt s, statement());
      out.push_back(std::move(s));
    }
    if (at(Tok::dedent)) ++i_;
    return out;
  }

  Stmt make_stmt(Stmt::Kind kind) const {
    Stmt s;
    s.kind = kind;
    s.pos = cur().pos;
    return s;
  }

  Result<Stmt> statement() {
    const Depth depth(depth_);
    if (depth_ > kMaxDepth) return too_deep();
    if (at_name("if") || at_name("elif")) return if_statement();
    if (at_name("while")) {
      Stmt s = make_stmt(Stmt::Kind::while_loop);
      ++i_;
      NPU_ASSIGN(s.value, expression());
      NPU_ASSIGN(s.body, block());
      return s;
    }
    if (at_name("for")) return for_statement();
    if (at_name("with")) {
      Stmt s = make_stmt(Stmt::Kind::with);
      ++i_;
      NPU_ASSIGN(s.value, expression());
      if (at_name("as")) {
        ++i_;
        NPU_ASSIGN(Expr target, postfix());
        s.targets.push_back(std::move(target));
      }
      NPU_ASSIGN(s.body, block());
      return s;
    }
    if (at_name("def")) {
      Stmt s = make_stmt(Stmt::Kind::function);
      NPU_ASSIGN(Function f, parse_function());
      Expr target = make(Expr::Kind::name);
      target.text = f.name;
      target.slot = scope_->slot(f.name);
      s.targets.push_back(std::move(target));
      s.function = std::make_shared<Function>(std::move(f));
      return s;
    }
    return simple_statement();
  }

  Result<Stmt> if_statement() {
    const Depth depth(depth_);
    if (depth_ > kMaxDepth) return too_deep();
    Stmt s = make_stmt(Stmt::Kind::if_else);
    ++i_;
    NPU_ASSIGN(s.value, expression());
    NPU_ASSIGN(s.body, block());
    if (at_name("elif")) {
      NPU_ASSIGN(Stmt nested, if_statement());
      s.orelse.push_back(std::move(nested));
    } else if (at_name("else")) {
      ++i_;
      NPU_ASSIGN(s.orelse, block());
    }
    return s;
  }

  // `for i in range(a, b, c)` and `for x in list`.
  Result<Stmt> for_statement() {
    Stmt s = make_stmt(Stmt::Kind::for_range);
    ++i_;
    NPU_ASSIGN(Expr target, postfix());
    s.targets.push_back(std::move(target));
    if (!at_name("in")) return error("expected 'in'");
    ++i_;
    NPU_ASSIGN(s.value, expression());
    NPU_ASSIGN(s.body, block());
    return s;
  }

  Result<Stmt> simple_statement() {
    if (at_name("return")) {
      Stmt s = make_stmt(Stmt::Kind::return_value);
      ++i_;
      if (!at(Tok::newline)) {
        NPU_ASSIGN(s.value, expression_list());
      }
      NPU_TRY(expect(Tok::newline, "the end of the line"));
      return s;
    }
    if (at_name("pass")) {
      Stmt s = make_stmt(Stmt::Kind::pass);
      ++i_;
      NPU_TRY(expect(Tok::newline, "the end of the line"));
      return s;
    }
    return assignment();
  }

  Result<Stmt> assignment() {
    Stmt s = make_stmt(Stmt::Kind::expression);
    bool comma = false;
    NPU_ASSIGN(Expr first, expression());
    s.targets.push_back(std::move(first));
    while (take_op(",")) {
      comma = true;
      if (at_op("=") || at(Tok::newline)) break;
      NPU_ASSIGN(Expr next, expression());
      s.targets.push_back(std::move(next));
    }
    if (take_op(":")) {
      NPU_ASSIGN(s.annotation, type_expression());
    }
    if (take_op("=")) {
      s.kind = Stmt::Kind::assign;
      s.unpack = comma;
      for (const Expr& t : s.targets) NPU_TRY(check_target(t));
      NPU_ASSIGN(s.value, expression_list());
    } else if (comma || s.annotation.kind != Expr::Kind::none) {
      return error("expected '='");
    } else {
      s.value = std::move(s.targets[0]);
      s.targets.clear();
    }
    NPU_TRY(expect(Tok::newline, "the end of the line"));
    return s;
  }

  Status check_target(const Expr& e) const {
    switch (e.kind) {
      case Expr::Kind::name:
      case Expr::Kind::attribute:
      case Expr::Kind::index:
        return {};
      case Expr::Kind::tuple:
        for (const Expr& kid : e.kids) NPU_TRY(check_target(kid));
        return {};
      default:
        return Diag(diag::syntax, "cannot assign to this expression at " + line_and_column(source_, e.pos),
                    "the archive's code/ folder is damaged");
    }
  }

  // ---- expressions

  Result<Expr> type_expression() {
    Scope types;
    ScopeGuard guard(*this, types);
    return expression();
  }

  // `a, b` without parentheses is a tuple.
  Result<Expr> expression_list() {
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

  Result<Expr> expression() {
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

  Result<Expr> or_expression() { return logic_chain("or", Expr::Kind::logic_or); }

  Result<Expr> logic_chain(std::string_view word, Expr::Kind kind) {
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

  Result<Expr> not_expression() {
    if (!at_name("not")) return binary(0);
    const Depth depth(depth_);
    if (depth_ > kMaxDepth) return too_deep();
    Expr e = make(Expr::Kind::logic_not);
    ++i_;
    NPU_ASSIGN(Expr kid, not_expression());
    e.kids.push_back(std::move(kid));
    return e;
  }

  const BinaryOp* binary_op(BinaryOp& word) const {
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

  Result<Expr> binary(int min_precedence) {
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

  Result<Expr> unary() {
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

  Result<Expr> postfix() {
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

  Result<Expr> call(Expr callee) {
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

  Result<Expr> index(Expr base) {
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

  Result<Expr> slice_or_expression() {
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

  // `comma` (may be null) tells whether any comma appeared: (a) is no tuple.
  Result<Expr> sequence(std::string_view close, Expr::Kind kind, bool* comma = nullptr) {
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

  Result<Expr> dict() {
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

  Result<Expr> atom() {
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

  // (a) is a itself; (a, ), (a, b) and () are tuples.
  Result<Expr> parenthesised() {
    bool comma = false;
    NPU_ASSIGN(Expr e, sequence(")", Expr::Kind::tuple, &comma));
    if (comma || e.kids.empty()) return e;
    Expr inner = std::move(e.kids[0]);
    return inner;
  }

  Result<Expr> name_atom() {
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

  std::string_view source_;
  std::vector<Token> tokens_;
  size_t i_ = 0;
  int depth_ = 0;
  Scope* scope_ = nullptr;
};

}  // namespace

Result<Module> parse_module(std::string_view source) {
  NPU_ASSIGN(std::vector<Token> tokens, tokenize(source));
  return Parser(source, std::move(tokens)).run();
}

}  // namespace npuport::script
