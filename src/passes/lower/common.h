// What families of lowering rows share.
#pragma once

#include "passes/lower.h"

namespace npuport {

using Reason = std::optional<std::string>;

// The node that makes the match's first root.
inline const Node& root_node(const Graph& g, const Match& m) { return *g.producer(m.roots()[0]); }

// The dim of an image operator's channels by its layout, and the first of its two spatial dims.
inline size_t channel_dim(const Node& n) { return n.attr().has("layout") && n.attr().s("layout") == "nhwc" ? 3 : 1; }
inline size_t first_spatial_dim(const Node& n) { return channel_dim(n) == 3 ? 1 : 2; }

// The node's attributes with one changed; those without a place for it stay as they are.
inline std::vector<Attr> with(std::vector<Attr> attrs, std::string_view name, const AttrValue& v) {
  for (Attr& a : attrs)
    if (a.name == name) a.value = v;
  return attrs;
}

// Elements [start, end) along one axis, every `step`-th.
inline ValueId slice(Builder& b, ValueId v, size_t axis, int64_t start, int64_t end, int64_t step = 1) {
  return b.op("slice", {v},
              {{"starts", Ints{start}},
               {"ends", Ints{end}},
               {"axes", Ints{static_cast<int64_t>(axis)}},
               {"steps", Ints{step}}});
}

}  // namespace npuport
