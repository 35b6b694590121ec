// The rewrite engine: rows with a pattern and a replacement in IR text, found and applied anywhere in a graph.
//
// Pattern syntax (ir/text.h, parse_statements), in addition to plain operators and names:
//   %x          any value; the same name twice = the same value (constants: equal contents)
//   %W          a name beginning with a capital matches constants only
//   %b.opt      matches an absent optional input too
//   %a.all      as the last operand: all inputs that are left, unbound; as a result: all outputs of the operator
//   _           an input that must be absent; inputs the pattern leaves out must be absent as well
//   0.5         a constant all of whose elements equal 0.5 (relative 1e-6), of any shape
//   $e          a constant all of whose elements are equal; the number is bound to e
//   attr=VALUE  the attribute must have this value; `axis` and `axes` compare modulo the rank of the first input
//   attr=$a     binds the attribute; in a replacement it puts it back
//   rest=$r     binds all attributes not mentioned; without it they must be at their defaults
// The first two inputs of a commutative operator are tried in both orders. A value made inside the pattern must not be
// used outside, unless the replacement defines a value of the same name or the row says `shared`.
#pragma once

#include "ir/builder.h"
#include "ir/text.h"
#include "passes/context.h"

namespace npuport {

class Match {
 public:
  ValueId value(std::string_view name) const;  // %name; aborts when the pattern has no such name
  double number(std::string_view name) const;  // $name as an operand
  const AttrValue& attr(std::string_view name) const;
  const std::vector<Attr>& rest(std::string_view name) const;
  std::span<const NodeId> nodes() const { return nodes_; }  // everything matched, producers first
  std::span<const ValueId> roots() const { return roots_; }

 private:
  friend class Matcher;
  friend class Replacer;
  std::map<std::string, ValueId, std::less<>> values_;
  std::map<std::string, double, std::less<>> numbers_;
  std::map<std::string, AttrValue, std::less<>> attrs_;
  std::map<std::string, std::vector<Attr>, std::less<>> rests_;
  std::vector<NodeId> nodes_;
  std::vector<ValueId> roots_;
};

struct Rewrite {
  std::string_view name;
  std::string_view doc;           // why the result is the same: the mathematical argument
  std::string_view match;         // IR text
  std::string_view replace = {};  // IR text; empty when `build` makes the replacement
  Numerics numerics = Numerics::exact;
  // Why the match must not be rewritten; nullopt = go on.
  std::optional<std::string> (*check)(const Graph& g, const Match& m) = nullptr;
  // One value per root of the match, in the order the pattern defines them.
  std::vector<ValueId> (*build)(Builder& b, const Match& m) = nullptr;
  bool shared = false;  // values inside the pattern may have other users (they then stay)
};

// Parsed rows, indexed by the operator of the first root. Aborts on a bad row: rows are our own source.
class RewriteSet {
 public:
  explicit RewriteSet(std::span<const Rewrite> rows);
  ~RewriteSet();
  RewriteSet(const RewriteSet&) = delete;

  // Applies rows until none fits any more (at most `sweeps` times over the graph); every application enters the
  // ledger. Returns the number of applications.
  Result<size_t> apply(Graph& g, PassContext& c, int sweeps = 50) const;
  // Tries one row at one node; true when it was applied. `nodes_made` receives the new nodes.
  bool apply_at(Graph& g, PassContext& c, const Rewrite& row, NodeId node, const std::string& reason,
                std::vector<NodeId>* nodes_made = nullptr) const;
  // Rows whose pattern holds operator `op` anywhere, in row order.
  std::vector<const Rewrite*> candidates(std::string_view op) const;
  const Rewrite* find(std::string_view name) const;
  // The operator of the row's first root: where apply_at has to be anchored.
  std::string_view root_op(const Rewrite& row) const;
  std::span<const Rewrite> rows() const { return rows_; }

 private:
  struct Compiled;
  const Compiled& compiled(const Rewrite& row) const;
  std::span<const Rewrite> rows_;
  std::vector<std::unique_ptr<Compiled>> compiled_;
  std::map<std::string, std::vector<size_t>, std::less<>> by_root_;
  std::map<std::string, std::vector<size_t>, std::less<>> by_any_;  // by every operator of the pattern
  std::map<std::string_view, size_t> by_name_;
};

// A check of user-supplied or our own pattern text: parses, operators and attributes exist.
Status check_rewrite(const Rewrite& row);

// The value of a constant all of whose elements are equal.
std::optional<double> uniform_value(const Graph& g, ValueId v);

}  // namespace npuport
