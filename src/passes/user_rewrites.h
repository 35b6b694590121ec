// Rewrites that users bring along: rows as IR text, held to what our own rows are held to.
#pragma once

#include <deque>

#include "passes/rewrite.h"

namespace npuport {

struct UserRewrite {
  std::string name, doc, match, replace;  // the row's fields (rewrite.h); doc may be empty
  Numerics numerics = Numerics::exact;
};

// Rows that own their text.
class UserRewrites {
 public:
  // `syntax` naming the row: text that does not parse, unknown operators or attributes, names the pattern does not
  // bind, a name used twice or one of ours.
  static Result<std::shared_ptr<const UserRewrites>> make(std::vector<UserRewrite> rows);
  const RewriteSet& rows() const { return *set_; }

 private:
  std::deque<UserRewrite> texts_;
  std::vector<Rewrite> rows_;
  std::unique_ptr<RewriteSet> set_;
};

// Applies PassOptions::rewrites wherever they match. A row whose result the Prover refutes is an error (`gate_failed`
// with the row's name and the difference), a row that matches nowhere a line in the log.
extern const PassDef user_rewrites_pass;

}  // namespace npuport
