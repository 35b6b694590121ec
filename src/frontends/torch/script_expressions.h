// Expressions of the TorchScript serialisation source: what statements and definitions (script_parser.cpp) build on.
#pragma once

#include <algorithm>
#include <map>

#include "base/diag_codes.h"
#include "frontends/torch/script_lexer.h"
#include "frontends/torch/script_parser.h"

namespace npuport::script {

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

// A recursive descent over the tokens; a parser of statements derives from it. Nesting beyond kMaxDepth is too_large.
class ExpressionParser {
 protected:
  ExpressionParser(std::string_view source, std::vector<Token> tokens) : source_(source), tokens_(std::move(tokens)) {}

  struct ScopeGuard {
    ScopeGuard(ExpressionParser& p, Scope& s) : parser(p), saved(p.scope_) { p.scope_ = &s; }
    ~ScopeGuard() { parser.scope_ = saved; }
    ExpressionParser& parser;
    Scope* saved;
  };
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
  Result<Expr> type_expression();
  // `a, b` without parentheses is a tuple.
  Result<Expr> expression_list();
  Result<Expr> expression();
  Result<Expr> or_expression();
  Result<Expr> logic_chain(std::string_view word, Expr::Kind kind);
  Result<Expr> not_expression();
  const BinaryOp* binary_op(BinaryOp& word) const;
  Result<Expr> binary(int min_precedence);
  Result<Expr> unary();
  Result<Expr> postfix();
  Result<Expr> call(Expr callee);
  Result<Expr> index(Expr base);
  Result<Expr> slice_or_expression();
  // `comma` (may be null) tells whether any comma appeared: (a) is no tuple.
  Result<Expr> sequence(std::string_view close, Expr::Kind kind, bool* comma = nullptr);
  Result<Expr> dict();
  Result<Expr> atom();
  // (a) is a itself; (a, ), (a, b) and () are tuples.
  Result<Expr> parenthesised();
  Result<Expr> name_atom();

  std::string_view source_;
  std::vector<Token> tokens_;
  size_t i_ = 0;
  int depth_ = 0;
  Scope* scope_ = nullptr;
};

}  // namespace npuport::script
