// Distinct elements or slices: how many there are depends on the values, so only constants have them.
#include <algorithm>
#include <numeric>

#include "ops/support/aten_help.h"

namespace npuport {
namespace {

using namespace aten;

// A tensor as `count` items to compare: single elements, or slices along one axis.
class Items {
 public:
  Items(const Tensor& t, std::optional<int64_t> axis) : t_(t) {
    if (!axis) {
      count_ = t.count();
      return;
    }
    for (size_t d = 0; d < t.shape.size(); ++d) {
      if (static_cast<int64_t>(d) == *axis) {
        count_ = t.shape[d];
      } else {
        (static_cast<int64_t>(d) < *axis ? outer_ : inner_) *= t.shape[d];
      }
    }
  }
  int64_t count() const { return count_; }
  // -1, 0, 1; NaN comes last and differs from itself, as in PyTorch.
  int compare(int64_t a, int64_t b) const {
    for (int64_t o = 0; o < outer_; ++o) {
      for (int64_t i = 0; i < inner_; ++i) {
        const int c = compare_elements((o * count_ + a) * inner_ + i, (o * count_ + b) * inner_ + i);
        if (c != 0) return c;
      }
    }
    return 0;
  }

 private:
  int compare_elements(int64_t a, int64_t b) const {
    if (!is_float(t_.dtype)) {
      const int64_t x = get_int(t_, a), y = get_int(t_, b);
      return x < y ? -1 : x > y;
    }
    const double x = get_double(t_, a), y = get_double(t_, b);
    if (x != x || y != y) return x == x ? -1 : y == y ? 1 : a < b ? -1 : a > b;
    return x < y ? -1 : x > y;
  }
  const Tensor& t_;
  int64_t count_ = 0, outer_ = 1, inner_ = 1;
};

// Results: the distinct items, the place of every item among them, how often each occurs. The last two are empty where
// they were not asked for.
void distinct(AtenCall& c, std::optional<int64_t> axis, bool sorted, bool want_inverse, bool want_counts) {
  const ValueId x = c.tensor("self");
  const Tensor* known = c.b.constant_of(x);
  if (known == nullptr) {
    return refuse(c, diag::data_dependent, "the number of distinct elements depends on the inputs",
                  "end the model before this operator and run it on the host");
  }
  const Items items(*known, axis);
  Ints order(static_cast<size_t>(items.count()));
  std::iota(order.begin(), order.end(), 0);
  if (sorted)
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return items.compare(a, b) < 0; });
  Ints first, counts, inverse(want_inverse ? order.size() : 0);
  for (const int64_t k : order) {
    if (first.empty() || items.compare(first.back(), k) != 0) {
      first.push_back(k);
      if (want_counts) counts.push_back(0);
    }
    if (want_counts) ++counts.back();
    if (want_inverse) inverse[static_cast<size_t>(k)] = static_cast<int64_t>(first.size()) - 1;
  }
  c.ret(axis ? take_constant(c.b, x, first, *axis) : take_constant(c.b, flat(c.b, x), first, 0));
  const ValueId places = c.b.ints(inverse);
  c.ret(want_inverse && !axis ? c.b.reshape(places, c.b.shape(x)) : places);
  c.ret(c.b.ints(counts));
}

void unique2(AtenCall& c) { distinct(c, std::nullopt, true, c.flag("return_inverse"), c.flag("return_counts")); }
void unique_dim(AtenCall& c) {
  distinct(c, c.axis("dim", c.shape("self").size()), true, c.flag("return_inverse"), c.flag("return_counts"));
}
void unique_consecutive(AtenCall& c) {
  const std::optional<int64_t> axis =
      c.is_none("dim") ? std::nullopt : std::optional<int64_t>(c.axis("dim", c.shape("self").size()));
  distinct(c, axis, false, c.flag("return_inverse"), c.flag("return_counts"));
}

constexpr Promote N = Promote::none;

// `sorted=False` leaves the order open: sorted is one of them.
constexpr AtenRow rows[] = {
    {"_unique2(Tensor self, bool sorted=True, bool return_inverse=False, bool return_counts=False) -> (Tensor, Tensor, "
     "Tensor)",
     {},
     N,
     unique2},
    {"unique_dim(Tensor self, int dim, bool sorted=True, bool return_inverse=False, bool return_counts=False) -> "
     "(Tensor, Tensor, Tensor)",
     {},
     N,
     unique_dim},
    {"unique_consecutive(Tensor self, bool return_inverse=False, bool return_counts=False, int? dim=None) -> (Tensor, "
     "Tensor, Tensor)",
     {},
     N,
     unique_consecutive},
};

}  // namespace

std::span<const AtenRow> aten_unique() { return rows; }

}  // namespace npuport
