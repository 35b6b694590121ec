// Prefix bisection and ddmin, run against the verdicts a hunt has found.
#include <algorithm>
#include <set>

#include "drivers/diagnose/hunt.h"

namespace npuport::diagnose {
namespace {

constexpr size_t kMostSimulated = 2'000'000;  // node visits; above that the count is not worth the time

class Model {
 public:
  Model(const std::vector<Set>& culprits, size_t size) : culprits_(culprits), size_(size) {}
  bool refused(const Set& s) {
    work_ += s.size() + 1;
    if (s.empty()) return false;
    asked_.insert(s);
    return truth(s);
  }
  bool truth(const Set& s) const {
    return (size_ > 0 && s.size() >= size_) ||
           std::any_of(culprits_.begin(), culprits_.end(), [&](const Set& c) { return is_subset(c, s); });
  }
  size_t count() const { return asked_.size(); }
  bool too_long() const { return work_ > kMostSimulated; }

 private:
  const std::vector<Set>& culprits_;
  size_t size_, work_ = 0;
  std::set<Set> asked_;
};

Set first(const Set& s, size_t n) { return {s.begin(), s.begin() + static_cast<std::ptrdiff_t>(n)}; }

size_t prefix_bisection(Set s, Model m) {
  while (m.refused(s) && !m.too_long()) {
    size_t low = 0, high = s.size();
    while (high - low > 1) {
      const size_t middle = (low + high) / 2;
      (m.refused(first(s, middle)) ? high : low) = middle;
    }
    s.erase(s.begin() + static_cast<std::ptrdiff_t>(high - 1));
  }
  return m.count();
}

std::vector<Set> chunks(const Set& s, size_t n) {
  std::vector<Set> out(n);
  for (size_t i = 0; i < s.size(); ++i) out[i * n / s.size()].push_back(s[i]);
  return out;
}

Set ddmin(Set s, Model& m) {
  for (size_t n = 2; s.size() >= 2 && !m.too_long();) {
    const std::vector<Set> pieces = chunks(s, n);
    bool reduced = false;
    for (const Set& p : pieces)
      if (m.refused(p)) {
        s = p;
        n = 2;
        reduced = true;
        break;
      }
    for (size_t i = 0; !reduced && n > 2 && i < pieces.size(); ++i)
      if (const Set rest = without(s, pieces[i]); m.refused(rest)) {
        s = rest;
        n = std::max<size_t>(n - 1, 2);
        reduced = true;
      }
    if (reduced) continue;
    if (n >= s.size()) break;
    n = std::min(s.size(), 2 * n);
  }
  return s;
}

size_t all_by_ddmin(Set s, Model m) {
  while (m.refused(s) && !m.too_long()) {
    const Set c = ddmin(s, m);
    // A reproducer of half the model or more is its size: masking it node by node leads nowhere.
    if (c.size() * 2 >= s.size()) break;
    s = without(s, c);
  }
  return m.count();
}

}  // namespace

MethodCounts count_other_methods(size_t nodes, const std::vector<Set>& culprits, size_t size) {
  Set all(nodes);
  for (uint32_t i = 0; i < nodes; ++i) all[i] = i;
  const Model m(culprits, size);
  return {prefix_bisection(all, m), all_by_ddmin(all, m)};
}

}  // namespace npuport::diagnose
