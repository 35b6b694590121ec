// Where the elements of a value lie when it is not plain: permuted, sliced or broadcast views of a buffer,
// channels-last results, blocked forms of a kernel library. Layouts belong to the plan; the graph knows nothing of
// them.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ir/graph.h"

namespace npuport {

class Layout {
 public:
  virtual ~Layout() = default;
  // Element strides per logical dimension (0 = broadcast); empty when only the making library can address elements.
  std::vector<int64_t> strides;
  // Every element once, nothing between: an elementwise kernel may run over the raw memory.
  bool dense = false;
  // Bytes of a buffer in this layout when it is not simply that of the elements (padding), else -1.
  virtual int64_t padded_bytes() const { return -1; }
  virtual bool same(const Layout& other) const { return strides == other.strides; }
};
using LayoutPtr = std::shared_ptr<const Layout>;  // nullptr = plain: dense, row-major

bool same_layout(const LayoutPtr& a, const LayoutPtr& b);
// Layout with these strides; nullptr when that is plain for `shape`. Strides of dimensions of size 1 are normalised.
LayoutPtr strided_layout(std::span<const int64_t> shape, std::vector<int64_t> strides);
// Dense layout whose physical order of dimensions is `order` (outermost first): {0,2,3,1} = channels-last.
LayoutPtr ordered_layout(std::span<const int64_t> shape, std::span<const int64_t> order);
// Strides of a plain or strided layout; empty for a blocked one.
std::vector<int64_t> strides_in(std::span<const int64_t> shape, const LayoutPtr& layout);

// A node whose output `slot` is its input 0 seen differently.
struct ViewOf {
  int64_t offset = 0;  // elements, from the input's first element
  LayoutPtr layout;
};
// nullopt when the node is no view, or not of an input in `layout` (a reshape that needs a copy first).
std::optional<ViewOf> view_of(const Graph& g, NodeId node, size_t slot, const LayoutPtr& layout);
// Whether the node can be a view of a plain input.
bool is_view(const Graph& g, NodeId node);

}  // namespace npuport
