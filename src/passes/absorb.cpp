// Permutations that disappear in weights, and the channel shuffle.
#include <algorithm>
#include <numeric>

#include "base/permute.h"
#include "passes/fuse.h"

namespace npuport {
namespace {

using Reason = std::optional<std::string>;

const Ints& ints(const Match& m, const char* name) { return std::get<Ints>(m.attr(name)); }

// How many trailing dims of `s` have the product `size`; 0 when none do.
size_t trailing(const Shape& s, int64_t size) {
  int64_t product = 1;
  for (size_t n = 1; n <= s.size(); ++n) {
    product *= s[s.size() - n];
    if (product == size && (n == s.size() || s[s.size() - n - 1] != 1 || product > 1)) return n;
    if (product > size) return 0;
  }
  return 0;
}

bool keeps_front(const Ints& perm, size_t front) {
  for (size_t i = 0; i < front; ++i)
    if (perm[i] != static_cast<int64_t>(i)) return false;
  return true;
}

// ---- linear(reshape(transpose(x)))

struct Flattened {
  Shape x, moved;  // before and after the transpose
  size_t front = 0;
};

std::optional<Flattened> flattened(const Graph& g, const Match& m) {
  Flattened f;
  f.x = g.shape(m.value("x"));
  f.moved = permuted_shape(f.x, ints(m, "p"));
  const Shape& s = ints(m, "s");
  if (s.empty() || element_count(f.x) == 0) return std::nullopt;
  const size_t tail = trailing(f.moved, s.back());
  if (tail < 2) return std::nullopt;
  f.front = f.moved.size() - tail;
  return keeps_front(ints(m, "p"), f.front) ? std::optional(f) : std::nullopt;
}

Reason flatten_fits(const Graph& g, const Match& m) {
  return flattened(g, m) ? Reason() : Reason("the permutation reaches beyond the flattened dims");
}

std::vector<ValueId> build_flatten(Builder& b, const Match& m) {
  const Flattened f = *flattened(b.graph(), m);
  const Ints& p = ints(m, "p");
  const Shape& w = b.shape(m.value("W"));
  Shape split{w[0]};
  split.insert(split.end(), f.moved.begin() + static_cast<std::ptrdiff_t>(f.front), f.moved.end());
  Ints back{0};  // the weights' dims in the order of x
  for (size_t d = f.front; d < f.x.size(); ++d) {
    const auto at = std::find(p.begin(), p.end(), static_cast<int64_t>(d)) - p.begin();
    back.push_back(at - static_cast<int64_t>(f.front) + 1);
  }
  const ValueId moved = b.reshape(b.transpose(b.reshape(m.value("W"), split), back), w);
  std::vector<Attr> attrs = m.rest("r");
  return {b.op("linear", {b.reshape(m.value("x"), ints(m, "s")), moved, m.value("b.opt")}, std::move(attrs))};
}

// ---- transpose(reshape(linear(x)))

Reason unflatten_fits(const Graph& g, const Match& m) {
  const Shape& s = ints(m, "s");
  const Shape& h = g.shape(m.value("h"));
  if (h.empty() || element_count(h) == 0) return "";
  if (m.value("B.opt").valid() && !g.is_constant(m.value("B.opt"))) return "the bias is not constant";
  const size_t tail = trailing(s, h.back());
  if (tail < 2 || !keeps_front(ints(m, "p"), s.size() - tail)) return "the permutation reaches beyond the last dim";
  return std::nullopt;
}

std::vector<ValueId> build_unflatten(Builder& b, const Match& m) {
  const Shape& s = ints(m, "s");
  const Ints& p = ints(m, "p");
  const size_t front = s.size() - trailing(s, b.shape(m.value("h")).back());
  const auto reorder = [&](ValueId v) {
    const Shape old = b.shape(v);
    Shape split(s.begin() + static_cast<std::ptrdiff_t>(front), s.end());
    Ints perm;
    for (size_t i = front; i < p.size(); ++i) perm.push_back(p[i] - static_cast<int64_t>(front));
    if (old.size() == 2) {
      perm.push_back(static_cast<int64_t>(perm.size()));
      split.push_back(old[1]);
    }
    return b.reshape(b.transpose(b.reshape(v, split), perm), old);
  };
  std::vector<ValueId> in{m.value("x"), reorder(m.value("W"))};
  if (m.value("B.opt").valid()) in.push_back(reorder(m.value("B.opt")));
  return {b.reshape(b.op("linear", std::move(in), m.rest("r")), permuted_shape(s, p))};
}

// ---- channel order of depth_to_space

// Channel (i*r + j)*C + c takes what channel c*r*r + i*r + j had.
ValueId block_major(Builder& b, ValueId v, size_t dim, int64_t block) {
  const Shape old = b.shape(v);
  Shape split(old.begin(), old.begin() + static_cast<std::ptrdiff_t>(dim));
  split.insert(split.end(), {old[dim] / (block * block), block * block});
  split.insert(split.end(), old.begin() + static_cast<std::ptrdiff_t>(dim) + 1, old.end());
  Ints perm(split.size());
  std::iota(perm.begin(), perm.end(), 0);
  std::swap(perm[dim], perm[dim + 1]);
  return b.reshape(b.transpose(b.reshape(v, split), perm), old);
}

Reason shuffle_weights_constant(const Graph& g, const Match& m) {
  const bool constant = !m.value("B.opt").valid() || g.is_constant(m.value("B.opt"));
  return constant ? Reason() : Reason("the bias is not constant");
}

std::vector<ValueId> build_block_major(Builder& b, const Match& m) {
  const int64_t block = std::get<int64_t>(m.attr("r"));
  std::vector<ValueId> in{m.value("x"), block_major(b, m.value("W"), 0, block)};
  if (m.value("B.opt").valid()) in.push_back(block_major(b, m.value("B.opt"), 0, block));
  return {b.op("depth_to_space", {b.op("conv2d", std::move(in), m.rest("c"))},
               {{"block", block}, {"mode", "dcr"}, {"layout", m.attr("l")}})};
}

Reason one_group(const Graph&, const Match& m) {
  return std::get<int64_t>(m.attr("k")) == 1 ? Reason() : Reason("the convolution is grouped");
}

std::vector<ValueId> build_block_major_input(Builder& b, const Match& m) {
  const int64_t block = std::get<int64_t>(m.attr("r"));
  const ValueId s =
      b.op("space_to_depth", {m.value("x")}, {{"block", block}, {"mode", "dcr"}, {"layout", m.attr("l")}});
  std::vector<Attr> attrs = m.rest("c");
  attrs.emplace_back("groups", m.attr("k"));
  return {b.op("conv2d", {s, block_major(b, m.value("W"), 1, block), m.value("b.opt")}, std::move(attrs))};
}

// ---- channel shuffle

constexpr int64_t kMostGroups = 8;

Reason is_channel_shuffle(const Graph& g, const Match& m) {
  const Ints& a = ints(m, "a");
  const Ints& p = ints(m, "p");
  const Shape& x = g.shape(m.value("x"));
  const size_t rank = a.size();
  if (rank < 4 || x.size() + 1 != rank || ints(m, "s") != x) return "";
  if (!std::equal(x.begin(), x.end() - 1, a.begin())) return "";
  if (!keeps_front(p, rank - 2) || p[rank - 2] != static_cast<int64_t>(rank) - 1) return "";
  return a[rank - 2] <= kMostGroups ? Reason() : Reason("it has too many groups");
}

std::vector<ValueId> build_channel_shuffle(Builder& b, const Match& m) {
  const Ints& a = ints(m, "a");
  const Shape x = b.shape(m.value("x"));
  const int64_t groups = a[a.size() - 2], width = a.back();
  const int64_t pixels = element_count(x) / (groups * width);
  std::vector<ValueId> parts =
      b.ops("split", {m.value("x")},
            {{"axis", static_cast<int64_t>(x.size()) - 1}, {"sizes", Ints(static_cast<size_t>(groups), width)}});
  for (ValueId& v : parts) v = b.reshape(v, {pixels, width, 1});
  return {b.reshape(b.op("concat", std::move(parts), {{"axis", 2}}), x)};
}

constexpr Rewrite kRows[] = {
    {.name = "flatten_permutation_into_linear",
     .doc = "A linear layer sums over all its inputs: permuting them and the columns of its weights alike changes "
            "only the order of the sum.",
     .match = "%y = linear(reshape(transpose(%x, perm=$p), shape=$s), %W, %b.opt, rest=$r)",
     .check = flatten_fits,
     .build = build_flatten},
    {.name = "unflatten_permutation_into_linear",
     .doc = "Permuting the rows of the weights and the bias permutes the results.",
     .match = "%h = linear(%x, %W, %B.opt, rest=$r); %y = transpose(reshape(%h, shape=$s), perm=$p)",
     .check = unflatten_fits,
     .build = build_unflatten},
    {.name = "pixel_shuffle_block_major",
     .doc = "Permuting the convolution's output channels turns channel-major pixel shuffle into block-major.",
     .match = "%y = depth_to_space(conv2d(%x, %W, %B.opt, rest=$c), block=$r, mode=\"crd\", layout=$l)",
     .check = shuffle_weights_constant,
     .build = build_block_major},
    {.name = "pixel_unshuffle_block_major",
     .doc = "Permuting the convolution's input channels turns channel-major pixel unshuffle into block-major.",
     .match = "%y = conv2d(space_to_depth(%x, block=$r, mode=\"crd\", layout=$l), %W, %b.opt, groups=$k, rest=$c)",
     .check = one_group,
     .build = build_block_major_input},
    {.name = "channel_shuffle_as_concat",
     .doc = "Interleaving g groups of channels is concatenating them along a new last dim.",
     .match = "%y = reshape(transpose(reshape(%x, shape=$a), perm=$p), shape=$s)",
     .check = is_channel_shuffle,
     .build = build_channel_shuffle},
};

}  // namespace

std::span<const Rewrite> absorb_rewrites() { return kRows; }

}  // namespace npuport
