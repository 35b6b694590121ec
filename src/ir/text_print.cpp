#include <cstdio>

#include "ir/registry.h"
#include "ir/text.h"

namespace npuport {
namespace {

constexpr int64_t kInlineElements = 16;

bool plain_name(std::string_view s) {
  if (s.empty() || s == "_") return false;
  for (const char c : s)
    if (!(std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-' || c == '/')) return false;
  return true;
}

std::string name_text(std::string_view s) {
  if (plain_name(s)) return "%" + std::string(s);
  return "%" + to_text(AttrValue(std::string(s)));
}

std::string element_text(const Tensor& t, int64_t i) {
  if (t.dtype == DType::boolean) return get_int(t, i) ? "true" : "false";
  if (is_float(t.dtype)) return to_text(AttrValue(get_double(t, i)));
  if (t.dtype == DType::u64) return std::to_string(static_cast<uint64_t>(get_int(t, i)));
  return std::to_string(get_int(t, i));
}

std::string constant_text(const Tensor& t) {
  if (t.count() > kInlineElements) return "#" + content_hash(t);
  std::string out = "[";
  for (int64_t i = 0; i < t.count(); ++i) out += (i ? ", " : "") + element_text(t, i);
  return out + "]";
}

void print_node(const Graph& g, const Node& n, const PrintOptions& options, std::string& out) {
  out += "  ";
  for (size_t i = 0; i < n.outputs.size(); ++i) {
    const Value& v = g.value(n.outputs[i]);
    out += (i ? ", " : "") + name_text(v.name);
    if (options.types) out += ": " + to_string(v.type);
  }
  out += " = " + std::string(n.op->name) + "(";
  for (size_t i = 0; i < n.inputs.size(); ++i) {
    out += i ? ", " : "";
    out += n.inputs[i].valid() ? name_text(g.value(n.inputs[i]).name) : "_";
  }
  out += ")";
  for (size_t i = 0; i < n.attrs.size(); ++i) {
    const std::string text = to_text(n.attrs[i].value);
    const AttrDef& def = n.op->attrs[i];
    if (!def.default_text.empty()) {
      const Result<AttrValue> standard = parse_attr(def.default_text, def.kind);
      if (standard && to_text(*standard) == text) continue;
    }
    out += " " + n.attrs[i].name + "=" + text;
  }
  if (options.origins)
    for (const Origin& o : n.origins)
      out +=
          " @" + to_text(AttrValue(o.scope)) + " " + to_text(AttrValue(o.source)) + " " + to_text(AttrValue(o.foreign));
  out += "\n";
}

}  // namespace

std::string content_hash(const Tensor& t) {
  uint64_t h = 0xcbf29ce484222325ULL;
  const auto mix = [&](const void* p, size_t n) {
    const auto* bytes = static_cast<const unsigned char*>(p);
    for (size_t i = 0; i < n; ++i) h = (h ^ bytes[i]) * 0x100000001b3ULL;
  };
  const auto type = static_cast<uint8_t>(t.dtype);
  mix(&type, 1);
  for (const int64_t d : t.shape) mix(&d, sizeof d);
  mix(t.data, static_cast<size_t>(t.bytes()));
  char buf[17];
  std::snprintf(buf, sizeof buf, "%016llx", static_cast<unsigned long long>(h));
  return buf;
}

std::string print(const Graph& g, const PrintOptions& options) {
  std::string out = "graph " + to_text(AttrValue(g.name)) + " {\n";
  for (const auto& [key, value] : g.metadata)
    if (!key.starts_with("import."))  // notes for this run only
      out += "  meta " + to_text(AttrValue(key)) + " " + to_text(AttrValue(value)) + "\n";
  for (const ValueId in : g.inputs())
    out += "  input " + name_text(g.value(in).name) + ": " + to_string(g.type(in)) + "\n";
  std::vector<bool> printed(g.value_slots(), false);
  const auto print_constant = [&](ValueId id) {
    if (!id.valid() || printed[id.v] || !g.is_constant(id)) return;
    printed[id.v] = true;
    const Value& v = g.value(id);
    out += "  const " + name_text(v.name) + ": " + to_string(v.type) + " = " + constant_text(*v.constant) + "\n";
  };
  for (const NodeId id : g.topological()) {
    const Node& n = g.node(id);
    for (const ValueId in : n.inputs) print_constant(in);
    print_node(g, n, options, out);
  }
  for (const ValueId o : g.outputs()) print_constant(o);
  out += "  output ";
  for (size_t i = 0; i < g.outputs().size(); ++i) out += (i ? ", " : "") + name_text(g.value(g.outputs()[i]).name);
  return out + "\n}\n";
}

}  // namespace npuport
