#include "passes/user_rewrites.h"

#include <fmt/format.h>

#include <set>

#include "base/diag_codes.h"
#include "passes/lower.h"

namespace npuport {
namespace {

Diag bad_row(const UserRewrite& row, const std::string& why) {
  return Diag(diag::syntax, fmt::format("rewrite '{}': {}", row.name, why),
              "match and replace are IR text as `npuport convert -o model.txt` prints it");
}

Result<size_t> run_user_rewrites(Graph& g, PassContext& c) {
  if (!c.options.rewrites) return size_t{0};
  const RewriteSet& set = c.options.rewrites->rows();
  size_t total = 0;
  for (const Rewrite& row : set.rows()) {
    size_t applied = 0;
    for (const NodeId id : g.topological()) {
      if (!g.node(id).alive || g.node(id).op->name != set.root_op(row)) continue;
      std::optional<Graph> before;
      if (c.prover) before = g;
      if (!set.apply_at(g, c, row, id, "asked for by the user")) continue;
      ++applied;
      if (!c.prover) continue;
      LedgerEntry& entry = c.ledger.entries().back();
      NPU_ASSIGN(const Evidence e, c.prover->prove(*before, g, entry));
      entry.max_diff = e.max_diff;
      if (!e.holds)
        return Diag(diag::gate_failed, fmt::format("rewrite '{}' changes the result: {}", row.name, e.detail),
                    "correct the row, or call it approximate and allow that")
            .with_note(Diag(diag::gate_failed, "it was applied to:\n" + entry.before));
    }
    if (applied == 0) c.say(0, fmt::format("{}: '{}' matches nowhere", c.pass, row.name));
    g.erase_dead();
    total += applied;
  }
  return total;
}

}  // namespace

Result<std::shared_ptr<const UserRewrites>> UserRewrites::make(std::vector<UserRewrite> rows) {
  auto made = std::make_shared<UserRewrites>();
  std::set<std::string_view> names;
  for (const Rewrite& r : lower_rewrites()) names.insert(r.name);
  for (UserRewrite& row : rows) {
    const UserRewrite& kept = made->texts_.emplace_back(std::move(row));
    if (!names.insert(kept.name).second) return bad_row(kept, "another row has this name");
    Rewrite r;
    r.name = kept.name;
    r.doc = kept.doc;
    r.match = kept.match;
    r.replace = kept.replace;
    r.numerics = kept.numerics;
    if (const Status s = check_rewrite(r); !s) return bad_row(kept, s.error().message);
    made->rows_.push_back(r);
  }
  made->set_ = std::make_unique<RewriteSet>(made->rows_);
  return std::shared_ptr<const UserRewrites>(std::move(made));
}

const PassDef user_rewrites_pass{"user_rewrites", "Applies the rewrites the user brought along.", Stage::canonical,
                                 run_user_rewrites};

}  // namespace npuport
