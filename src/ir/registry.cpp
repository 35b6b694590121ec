#include "ir/registry.h"

#include <cstdio>
#include <cstdlib>

namespace npuport {
namespace {

constexpr PortDef kOpaqueIn[] = {{"inputs", Port::variadic}};
constexpr PortDef kOpaqueOut[] = {{"outputs", Port::variadic}};
constexpr AttrDef kOpaqueAttrs[] = {
    {"foreign", AttrKind::string, "", "operator name in the source format, \"aten::fft_fftn\""},
    {"detail", AttrKind::string, "\"\"", "what stood in the source"},
};
constexpr OpDef kOpaque[] = {{
    .name = "opaque",
    .doc = "An operator of the source model that npuport has no row for. Its result types are unknown.",
    .in = kOpaqueIn,
    .out = kOpaqueOut,
    .attrs = kOpaqueAttrs,
    .pure = false,
}};

[[noreturn]] void bug(std::string_view op, std::string_view what) {
  std::fprintf(stderr, "npuport bug: operator row '%.*s': %.*s\n", static_cast<int>(op.size()), op.data(),
               static_cast<int>(what.size()), what.data());
  std::abort();
}

void check_row(const OpDef& row) {
  for (const AttrDef& a : row.attrs)
    if (!a.default_text.empty() && !parse_attr(a.default_text, a.kind))
      bug(row.name, "default of '" + std::string(a.name) + "' does not parse");
  if (&row != &kOpaque[0] && !row.eval && row.body.empty()) bug(row.name, "has neither a kernel nor a body");
  if (&row != &kOpaque[0] && !row.infer) bug(row.name, "has no inference");
}

}  // namespace

Registry::Registry() { add(kOpaque); }

Registry& Registry::global() {
  static Registry registry;
  return registry;
}

void Registry::add(std::span<const OpDef> rows) {
  for (const OpDef& row : rows) {
    check_row(row);
    if (!rows_.emplace(row.name, &row).second) bug(row.name, "registered twice");
  }
}

const OpDef* Registry::find(std::string_view name) const {
  const auto it = rows_.find(name);
  return it == rows_.end() ? nullptr : it->second;
}

std::vector<const OpDef*> Registry::all() const {
  std::vector<const OpDef*> out;
  for (const auto& [name, row] : rows_) out.push_back(row);
  return out;
}

const OpDef& op(std::string_view name) {
  const OpDef* row = Registry::global().find(name);
  if (!row) bug(name, "is not registered");
  return *row;
}

}  // namespace npuport
