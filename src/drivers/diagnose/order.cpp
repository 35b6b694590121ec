#include "drivers/diagnose/order.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <tuple>

#include "base/text.h"

namespace npuport::diagnose {

Set united(const Set& a, const Set& b) {
  Set out;
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out;
}

Set without(const Set& a, const Set& b) {
  Set out;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out;
}

bool is_subset(const Set& inner, const Set& outer) {
  return std::includes(outer.begin(), outer.end(), inner.begin(), inner.end());
}

Order::Order(const Graph& g) : g_(g), nodes_(g.topological()) {
  std::vector<uint32_t> position(g.node_slots(), UINT32_MAX);
  for (uint32_t i = 0; i < nodes_.size(); ++i) position[nodes_[i].v] = i;
  users_.resize(nodes_.size());
  producers_.resize(nodes_.size());
  for (uint32_t i = 0; i < nodes_.size(); ++i) {
    for (const ValueId v : g.node(nodes_[i]).inputs)
      if (v.valid() && g.value(v).producer.valid()) producers_[i].push_back(position[g.value(v).producer.v]);
    std::sort(producers_[i].begin(), producers_[i].end());
    producers_[i].erase(std::unique(producers_[i].begin(), producers_[i].end()), producers_[i].end());
    for (const uint32_t p : producers_[i]) users_[p].push_back(i);
  }
}

Set Order::all() const {
  Set s(nodes_.size());
  for (uint32_t i = 0; i < s.size(); ++i) s[i] = i;
  return s;
}

const std::string& Order::name(uint32_t position) const {
  static const std::string none;
  const Node& n = at(position);
  return n.outputs.empty() ? none : g_.value(n.outputs[0]).name;
}

Set Order::prefix_of(const Set& s) const {
  std::vector<bool> in(size());
  std::vector<uint32_t> work(s.begin(), s.end());
  for (const uint32_t p : s) in[p] = true;
  while (!work.empty()) {
    const uint32_t n = work.back();
    work.pop_back();
    for (const uint32_t p : producers_[n])
      if (!in[p]) in[p] = true, work.push_back(p);
  }
  Set out;
  for (uint32_t i = 0; i < in.size(); ++i)
    if (in[i]) out.push_back(i);
  return out;
}

Set Order::neighbourhood(const Set& s, const Set& within, int distance) const {
  std::set<uint32_t> out(s.begin(), s.end());
  const std::set<uint32_t> allowed(within.begin(), within.end());
  std::vector<uint32_t> level(s.begin(), s.end());
  for (int d = 0; d < distance; ++d) {
    std::vector<uint32_t> next;
    for (const uint32_t n : level)
      for (const auto* side : {&users_[n], &producers_[n]})
        for (const uint32_t k : *side)
          if (allowed.contains(k) && out.insert(k).second) next.push_back(k);
    level = std::move(next);
  }
  return {out.begin(), out.end()};
}

std::vector<uint32_t> Order::crossings(const Set& s) const {
  std::vector<int32_t> change(s.size() + 1, 0);
  std::vector<int32_t> index(size(), -1);
  for (size_t i = 0; i < s.size(); ++i) index[s[i]] = static_cast<int32_t>(i);
  for (size_t i = 0; i < s.size(); ++i) {
    int32_t last = -1;
    for (const uint32_t u : users_[s[i]]) last = std::max(last, index[u]);
    if (last < 0) continue;
    ++change[i + 1];
    --change[static_cast<size_t>(last) + 1];
  }
  std::vector<uint32_t> out(s.size() + 1, 0);
  int32_t live = 0;
  for (size_t i = 0; i <= s.size(); ++i) {
    live += change[i];
    out[i] = static_cast<uint32_t>(live);
  }
  return out;
}

int Order::scope_change(uint32_t before, uint32_t after) const {
  const auto scope = [&](uint32_t p) -> std::string_view {
    const Node& n = at(p);
    return n.origins.empty() ? std::string_view() : std::string_view(n.origins.front().scope);
  };
  const std::vector<std::string_view> a = npuport::split(scope(before), '.'), b = npuport::split(scope(after), '.');
  size_t same = 0;
  while (same < a.size() && same < b.size() && a[same] == b[same]) ++same;
  if (same == a.size() && same == b.size()) return 0;
  return std::max(1, 8 - static_cast<int>(same));
}

size_t Order::split(const Set& s) const {
  const std::vector<uint32_t> crossing = crossings(s);
  const size_t n = s.size(), middle = n / 2;
  const size_t low = std::max<size_t>(1, n * 35 / 100), high = std::min(n - 1, n * 65 / 100 + 1);
  size_t best = middle;
  const auto key = [&](size_t i) {
    return std::tuple(crossing[i], -scope_change(s[i - 1], s[i]), i > middle ? i - middle : middle - i);
  };
  for (size_t i = low; i <= high && i < n; ++i)
    if (key(i) < key(best)) best = i;
  return best;
}

std::vector<Set> Order::partition(size_t wanted, const std::vector<std::string>& cuts) const {
  const Set s = all();
  const std::vector<uint32_t> crossing = crossings(s);
  const std::set<std::string_view> named(cuts.begin(), cuts.end());
  std::set<size_t> at_index;
  for (size_t i = 0; i + 1 < size(); ++i)
    for (const ValueId v : at(static_cast<uint32_t>(i)).outputs)
      if (named.contains(g_.value(v).name)) at_index.insert(i + 1);
  // Each further cut goes near its even share of the nodes, where it is cheapest.
  const size_t n = size(), share = wanted > 0 ? n / wanted : n;
  for (size_t k = 1; k < wanted && share >= 2; ++k) {
    const size_t middle = n * k / wanted, low = middle - share * 2 / 5, high = std::min(n - 1, middle + share * 2 / 5);
    size_t best = 0;
    double cheapest = 0;
    for (size_t i = std::max<size_t>(low, 1); i <= high; ++i) {
      const double off = static_cast<double>(i > middle ? i - middle : middle - i) / static_cast<double>(share);
      const double cost = crossing[i] - 0.25 * scope_change(s[i - 1], s[i]) + off;
      if (best == 0 || cost < cheapest) best = i, cheapest = cost;
    }
    if (best > 0) at_index.insert(best);
  }
  std::vector<Set> parts;
  size_t begin = 0;
  at_index.insert(n);
  for (const size_t end : at_index) {
    if (end > begin)
      parts.emplace_back(s.begin() + static_cast<std::ptrdiff_t>(begin), s.begin() + static_cast<std::ptrdiff_t>(end));
    begin = end;
  }
  return parts;
}

std::string Order::scope_of(const Set& s) const {
  std::string shared;
  bool first = true;
  for (const uint32_t p : s) {
    const Node& n = at(p);
    if (n.origins.empty() || n.origins.front().scope.empty()) continue;
    const std::string& scope = n.origins.front().scope;
    if (first) {
      shared = scope;
      first = false;
      continue;
    }
    while (!shared.empty() &&
           !(scope.starts_with(shared) && (scope.size() == shared.size() || scope[shared.size()] == '.'))) {
      const size_t dot = shared.rfind('.');
      shared.resize(dot == std::string::npos ? 0 : dot);
    }
    if (shared.empty()) return shared;
  }
  return shared;
}

namespace {

// Copies nodes one after the other into a new graph.
class Extraction {
 public:
  Extraction(const Order& order, const Set& s) : order_(order), g_(order.graph()), set_(s), inside_(g_.node_slots()) {
    for (const uint32_t p : s) inside_[order.node(p).v] = true;
  }

  Result<Graph> run() {
    const bool whole = set_.size() == order_.size();
    out_.name = g_.name;
    if (whole) {
      out_.metadata = g_.metadata;
      for (const ValueId v : g_.inputs()) map_[v] = out_.add_input(g_.value(v).name, g_.type(v));
    } else {
      add_inputs();
    }
    for (const uint32_t p : set_) NPU_TRY(copy(order_.at(p)));
    std::vector<ValueId> outputs;
    for (const ValueId v : g_.outputs())
      if (whole || produced_here(v)) outputs.push_back(mapped(v));
    if (!whole)
      for (const uint32_t p : set_)
        for (const ValueId v : order_.at(p).outputs)
          if (leaves(v)) outputs.push_back(map_.at(v));
    out_.set_outputs(std::move(outputs));
    return std::move(out_);
  }

 private:
  bool produced_here(ValueId v) const { return g_.value(v).producer.valid() && inside_[g_.value(v).producer.v]; }

  // Read outside the set, though no output of the graph (those come first and once).
  bool leaves(ValueId v) const {
    if (g_.is_output(v)) return false;
    const auto& uses = g_.value(v).uses;
    return std::any_of(uses.begin(), uses.end(), [&](const Use& u) { return !inside_[u.node.v]; });
  }

  // The graph's own inputs first, in their order, then interior values as they are met.
  void add_inputs() {
    std::set<ValueId> read;
    std::vector<ValueId> order;
    for (const uint32_t p : set_)
      for (const ValueId v : order_.at(p).inputs)
        if (v.valid() && !g_.is_constant(v) && !produced_here(v) && read.insert(v).second) order.push_back(v);
    const auto add = [&](ValueId v) { map_[v] = out_.add_input(g_.value(v).name, g_.type(v)); };
    for (const ValueId v : g_.inputs())
      if (read.erase(v) > 0) add(v);
    for (const ValueId v : order)
      if (read.contains(v)) add(v);
  }

  ValueId mapped(ValueId v) {
    const auto it = map_.find(v);
    if (it != map_.end()) return it->second;
    return map_[v] = out_.add_constant(g_.value(v).name, g_.value(v).constant);
  }

  Status copy(const Node& n) {
    std::vector<ValueId> in;
    for (const ValueId v : n.inputs) in.push_back(v.valid() ? mapped(v) : ValueId{});
    NPU_ASSIGN(const NodeId made, out_.add(*n.op, std::move(in), n.attrs, n.origins, n.outputs.size()));
    const std::vector<ValueId> fresh = out_.node(made).outputs;
    // Aside first: a generated name may be the wanted one of another result.
    if (fresh.size() > 1)
      for (const ValueId v : fresh) out_.rename(v, "~");
    for (size_t k = 0; k < fresh.size() && k < n.outputs.size(); ++k) {
      out_.rename(fresh[k], g_.value(n.outputs[k]).name);
      map_[n.outputs[k]] = fresh[k];
    }
    return {};
  }

  const Order& order_;
  const Graph& g_;
  const Set& set_;
  std::vector<bool> inside_;
  std::map<ValueId, ValueId> map_;
  Graph out_;
};

}  // namespace

Result<Graph> subgraph(const Order& order, const Set& s) { return Extraction(order, s).run(); }

}  // namespace npuport::diagnose
