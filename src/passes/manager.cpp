#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/diag_codes.h"
#include "ir/text.h"
#include "passes/context.h"

namespace npuport {

std::string_view name(Numerics n) {
  switch (n) {
    case Numerics::exact:
      return "exact";
    case Numerics::exact_on_domain:
      return "exact-on-domain";
    case Numerics::approximate:
      return "approximate";
  }
  return "";
}

bool allows_approximate(const PassOptions& options, std::string_view rewrite) {
  return options.allow_approximate ||
         std::find(options.approximate.begin(), options.approximate.end(), rewrite) != options.approximate.end();
}

Status run_passes(Graph& g, std::span<const PassDef* const> passes, PassContext& c) {
  for (const PassDef* pass : passes) {
    c.pass = pass->name;
    const size_t before = g.node_count();
    const auto start = std::chrono::steady_clock::now();
    Result<size_t> changed = pass->run(g, c);
    const std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - start;
    if (!changed) {
      Diag d = std::move(changed).error();
      d.with_note(Diag(diag::internal, "in pass " + std::string(pass->name)));
      return d;
    }
    c.say(0, fmt::format("{}: {} nodes changed, {} -> {} nodes, {:.1f} ms", pass->name, *changed, before,
                         g.node_count(), spent.count()));
    if (!c.options.verify) continue;
    if (Status s = verify(g, pass->gives); !s) {
      Diag d = std::move(s).error();
      d.message = fmt::format("after pass {}: {}", pass->name, d.message);
      return d;
    }
  }
  return {};
}

namespace {

constexpr int64_t kShownElements = 8;

std::string operand_text(const Graph& g, ValueId id) {
  if (!id.valid()) return "_";
  const Value& v = g.value(id);
  if (!v.constant) return "%" + v.name;
  if (v.constant->count() > kShownElements) return "%" + v.name + ": " + to_string(v.type);
  std::string s = to_string(v.type) + "{";
  for (int64_t i = 0; i < v.constant->count(); ++i) s += fmt::format("{}{}", i ? "," : "", get_double(*v.constant, i));
  return s + "}";
}

}  // namespace

std::string node_text(const Graph& g, std::span<const NodeId> nodes) {
  std::string out;
  for (const NodeId id : nodes) {
    const Node& n = g.node(id);
    for (size_t i = 0; i < n.outputs.size(); ++i)
      out += fmt::format("{}%{}: {}", i ? ", " : "", g.value(n.outputs[i]).name, to_string(g.type(n.outputs[i])));
    out += fmt::format(" = {}(", n.op->name);
    for (size_t i = 0; i < n.inputs.size(); ++i) out += (i ? ", " : "") + operand_text(g, n.inputs[i]);
    out += ")";
    for (size_t i = 0; i < n.attrs.size() && i < n.op->attrs.size(); ++i) {
      const std::string text = to_text(n.attrs[i].value);
      if (text != n.op->attrs[i].default_text) out += fmt::format(" {}={}", n.attrs[i].name, text);
    }
    out += "\n";
  }
  return out;
}

std::vector<Origin> merged_origins(const Graph& g, std::span<const NodeId> nodes) {
  std::vector<Origin> out;
  for (const NodeId id : nodes)
    for (const Origin& o : g.node(id).origins)
      if (std::find(out.begin(), out.end(), o) == out.end()) out.push_back(o);
  return out;
}

}  // namespace npuport
