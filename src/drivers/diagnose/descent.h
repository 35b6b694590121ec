// The search for one culprit in a refused set of nodes.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "drivers/diagnose/order.h"

namespace npuport::diagnose {

// Two halves of a refused set that pass, each for itself.
struct Interplay {
  Set all, left, right;
};

// The way from a refused set to one node, a question at a time: is the first half refused? If not, the second half is
// taken to be, without asking; only the single node at the end is asked about. When it passes, a search among the sets
// on the way finds the last one that is refused: there both halves pass.
class Descent {
 public:
  using Split = std::function<size_t(const Set&)>;
  explicit Descent(Set refused) : way_{std::move(refused)} {}

  bool done() const { return found_ || interplay_; }
  const std::optional<Set>& found() const { return found_; }
  const std::optional<Interplay>& interplay() const { return interplay_; }

  Set question(const Split& split) {
    if (low_ < high_) return way_[(low_ + high_) / 2];
    const Set& s = way_.back();
    if (s.size() == 1) return s;
    const auto middle = s.begin() + static_cast<std::ptrdiff_t>(split(s));
    half_.assign(s.begin(), middle);
    return half_;
  }

  void answer(bool refused) {
    if (low_ < high_) {
      (refused ? low_ : high_) = (low_ + high_) / 2;
      close();
    } else if (way_.back().size() == 1) {
      if (refused) {
        found_ = way_.back();
        return;
      }
      low_ = 0;
      high_ = way_.size() - 1;
      close();
    } else if (refused) {
      way_ = {half_};
    } else {
      way_.push_back(without(way_.back(), half_));
    }
  }

 private:
  void close() {
    if (high_ > low_ + 1) return;
    if (high_ == low_) {  // a single node that was refused before and passes now
      found_ = Set{};
      return;
    }
    interplay_ = Interplay{way_[low_], without(way_[low_], way_[high_]), way_[high_]};
  }

  std::vector<Set> way_;  // the first is known to be refused, each further one is the second half of the one before
  Set half_;
  size_t low_ = 0, high_ = 0;  // search on the way back: way_[low_] is refused, way_[high_] passes
  std::optional<Set> found_;
  std::optional<Interplay> interplay_;
};

}  // namespace npuport::diagnose
