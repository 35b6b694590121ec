#include "frontends/torch/script_parser.h"

#include "base/diag_codes.h"
#include "frontends/torch/script_expressions.h"

namespace npuport::script {
namespace {

// Definitions and statements.
class Parser : private ExpressionParser {
 public:
  Parser(std::string_view source, std::vector<Token> tokens) : ExpressionParser(source, std::move(tokens)) {}

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
};

}  // namespace

Result<Module> parse_module(std::string_view source) {
  NPU_ASSIGN(std::vector<Token> tokens, tokenize(source));
  return Parser(source, std::move(tokens)).run();
}

}  // namespace npuport::script
