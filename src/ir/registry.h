// The operators this binary knows. Filled once from the generated manifest (ops/manifest), never by static
// constructors.
#pragma once

#include <map>

#include "ir/op_def.h"

namespace npuport {

class Registry {
 public:
  // The process-wide registry; empty until ops::register_all() ran (every main and test main calls it first).
  static Registry& global();

  // Adds rows; aborts on a duplicate name, a default that does not parse, or a row with neither eval nor body (a bug
  // that any start shows). The row `opaque` is built in: an operator npuport has no row for; attributes foreign,
  // detail.
  void add(std::span<const OpDef> rows);
  const OpDef* find(std::string_view name) const;
  std::vector<const OpDef*> all() const;  // sorted by name

 private:
  Registry();
  std::map<std::string_view, const OpDef*> rows_;
};

// Row or abort: for names written in our own source.
const OpDef& op(std::string_view name);

}  // namespace npuport
