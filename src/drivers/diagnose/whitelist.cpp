#include "drivers/diagnose/whitelist.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/diag_codes.h"

namespace npuport::diagnose {
namespace {

constexpr int kVersion = 1;

std::string attributes(const Node& n) {
  std::string out;
  for (const Attr& a : n.attrs) out += (out.empty() ? "" : " ") + a.name + "=" + to_text(a.value);
  return out;
}

}  // namespace

std::string node_signature(const Graph& g, NodeId id) {
  const Node& n = g.node(id);
  std::string out(n.op->name);
  for (const ValueId v : n.inputs) {
    out += ",";
    if (v.valid()) out += to_string(g.type(v)) + (g.is_constant(v) ? "c" : "");
  }
  return out + ";" + attributes(n);
}

Whitelist::Key Whitelist::key(const Graph& g, NodeId id, std::string kind) {
  const Node& n = g.node(id);
  // Bool results come from comparisons of something else: what is compared decides.
  ValueId v = n.outputs.empty() ? ValueId{} : n.outputs[0];
  if (v.valid() && g.type(v).dtype == DType::boolean && !n.inputs.empty() && n.inputs[0].valid()) v = n.inputs[0];
  return {std::move(kind), v.valid() ? std::string(name(g.type(v).dtype)) : std::string(),
          v.valid() ? static_cast<int>(g.shape(v).size()) : 0, attributes(n)};
}

void Whitelist::add(const Graph& g, const Kinds& kinds) {
  for (const NodeId id : g.topological())
    for (std::string& k : kinds(g, id)) ++entries_[key(g, id, std::move(k))];
}

void Whitelist::merge(const Whitelist& other) {
  for (const auto& [k, count] : other.entries_) {
    int64_t& mine = entries_[k];
    mine = std::max(mine, count);
  }
}

bool Whitelist::has(std::string_view kind) const {
  const auto it = entries_.lower_bound(Key(std::string(kind), "", INT32_MIN, ""));
  return it != entries_.end() && std::get<0>(it->first) == kind;
}

bool Whitelist::covers(const Graph& g, NodeId id, const Kinds& kinds_of) const {
  const std::vector<std::string> all = kinds_of(g, id);
  return !all.empty() && std::all_of(all.begin(), all.end(), [&](const std::string& k) {
    const Key wanted = key(g, id, k);
    const auto it = entries_.lower_bound(Key(k, std::get<1>(wanted), std::get<2>(wanted), ""));
    return it != entries_.end() && std::get<0>(it->first) == k && std::get<1>(it->first) == std::get<1>(wanted) &&
           std::get<2>(it->first) == std::get<2>(wanted);
  });
}

std::set<std::string> Whitelist::kinds() const {
  std::set<std::string> out;
  for (const auto& [k, count] : entries_) out.insert(std::get<0>(k));
  return out;
}

Json Whitelist::to_json() const {
  Json j{{"version", kVersion}, {"target", target}, {"tool", tool}, {"operators", Json::array()}};
  for (const auto& [k, count] : entries_)
    j["operators"].push_back(Json{{"operator", std::get<0>(k)},
                                  {"dtype", std::get<1>(k)},
                                  {"rank", std::get<2>(k)},
                                  {"attributes", std::get<3>(k)},
                                  {"count", count}});
  return j;
}

Result<Whitelist> Whitelist::from_json(const Json& j, const std::string& file) {
  const auto bad = [&](const char* what) {
    return Diag(diag::corrupt, std::string("this is no whitelist: ") + what, "remove the file to start a new one")
        .in_file(file);
  };
  if (!j.is_object() || !j.contains("version") || !j["version"].is_number_integer()) return bad("it has no version");
  if (j["version"].get<int64_t>() > kVersion)
    return Diag(diag::newer_version, "the whitelist was written by a newer version").in_file(file);
  Whitelist w;
  const auto text = [](const Json& o, const char* k) {
    return o.contains(k) && o[k].is_string() ? o[k].get<std::string>() : std::string();
  };
  w.target = text(j, "target");
  w.tool = text(j, "tool");
  if (!j.contains("operators") || !j["operators"].is_array()) return bad("it lists no operators");
  for (const Json& o : j["operators"]) {
    if (!o.is_object() || text(o, "operator").empty()) return bad("an entry names no operator");
    const auto number = [&](const char* k, int64_t otherwise) {
      return o.contains(k) && o[k].is_number_integer() ? o[k].get<int64_t>() : otherwise;
    };
    w.entries_[Key(text(o, "operator"), text(o, "dtype"),
                   static_cast<int>(std::clamp<int64_t>(number("rank", 0), 0, 64)), text(o, "attributes"))] =
        std::max<int64_t>(1, number("count", 1));
  }
  return w;
}

bool Refusals::refuses(const Graph& g, NodeId id, const Kinds& kinds_of) const {
  const Node& n = g.node(id);
  if (!n.outputs.empty() && names.contains(g.value(n.outputs[0]).name)) return true;
  if (!signatures.empty() && signatures.contains(node_signature(g, id))) return true;
  const std::vector<std::string> all = kinds_of(g, id);
  return std::any_of(all.begin(), all.end(), [&](const std::string& k) { return kinds.contains(k); });
}

}  // namespace npuport::diagnose
