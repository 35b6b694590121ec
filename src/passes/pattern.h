// A parsed pattern: values and nodes by index. Internal to the rewrite engine.
#pragma once

#include "passes/rewrite.h"

namespace npuport {

struct PatternValue {
  enum Kind : uint8_t { any, constant, optional, absent, number, scalar, all, produced } kind = any;
  std::string name;
  double number_value = 0;
  size_t node = 0, slot = 0;  // produced: by which pattern node
};

struct PatternNode {
  std::string op;
  std::vector<size_t> args;     // pattern values
  std::vector<size_t> results;  // pattern values
  std::vector<std::pair<std::string, std::string>> attrs;
  bool root = false;
  bool all_outputs = false;  // its result is named %….all
};

struct Pattern {
  std::vector<PatternValue> values;
  std::vector<PatternNode> nodes;  // producers first
  std::vector<size_t> roots;       // values, in the order of the text
  std::map<std::string, size_t, std::less<>> names;

  // `replace`: values of the pattern that it defines again are roots too.
  static Result<Pattern> parse(std::string_view match, std::string_view replace);
};

// Finds `p` with the node of its first root at `anchor`; nullopt when it does not fit. `why` gets the reason when the
// shape of the pattern fits but a value inside is used elsewhere.
class Matcher {
 public:
  Matcher(const Graph& g, const Pattern& p) : g_(g), p_(p) {}
  std::optional<Match> at(NodeId anchor, bool shared, std::string* why);

 private:
  struct State;
  using Next = std::function<bool(State&)>;
  bool match_value(size_t pv, ValueId v, State& s, const Next& next);
  bool match_node(size_t pn, NodeId id, State& s, const Next& next);
  bool match_args(size_t pn, const Node& n, std::span<const size_t> order, size_t i, State& s, const Next& next);
  bool match_attrs(const PatternNode& pn, const Node& n, State& s);
  bool match_other_roots(size_t i, State& s, const Next& next);
  bool inner_values_free(const State& s, std::string* why) const;

  const Graph& g_;
  const Pattern& p_;
};

}  // namespace npuport
