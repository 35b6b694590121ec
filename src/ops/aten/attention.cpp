// ATen attention, written out in matrix products and softmax: backends fuse or run these, whichever they can.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/diag_codes.h"
#include "ops/aten.h"
#include "ops/support/aten_nn.h"

namespace npuport {
namespace {

using aten_nn::mul_scalar;

constexpr double kNever = -std::numeric_limits<double>::infinity();

// [queries, keys] with 0 where a query may look (keys up to its own position) and -inf elsewhere.
ValueId causal_mask(Builder& b, int64_t queries, int64_t keys, DType dtype) {
  Tensor t = Tensor::zeros(DType::f32, {queries, keys});
  const auto v = t.mut<float>();
  for (int64_t q = 0; q < queries; ++q) {
    for (int64_t k = q + 1; k < keys; ++k) v[static_cast<size_t>(q * keys + k)] = static_cast<float>(kNever);
  }
  return b.constant(cast_tensor(t, dtype));
}

// A bool mask (true = may look) as a term: 0 or -inf.
ValueId additive(Builder& b, ValueId keep, DType dtype) {
  return b.op("where", {keep, b.scalar(0, dtype), b.scalar(kNever, dtype)});
}

// Where a row of a constant additive mask forbids everything: a constant of shape [..., queries, 1] with 0 in such rows
// and 1 elsewhere; invalid when there is no such row. PyTorch gives zeros there, a plain softmax NaN.
ValueId live_rows(Builder& b, ValueId mask, DType dtype) {
  const Tensor* t = b.constant_of(mask);
  if (!t || t->shape.empty() || t->shape.back() == 0) return {};
  const Tensor values = cast_tensor(*t, DType::f32);
  Shape shape = t->shape;
  const int64_t keys = shape.back();
  shape.back() = 1;
  Tensor live = Tensor::zeros(DType::f32, shape);
  const auto in = values.as<float>();
  const auto out = live.mut<float>();
  for (size_t r = 0; r < out.size(); ++r) {
    const auto row = in.subspan(r * static_cast<size_t>(keys), static_cast<size_t>(keys));
    out[r] = std::any_of(row.begin(), row.end(), [](float v) { return v != static_cast<float>(kNever); }) ? 1.0F : 0.0F;
  }
  if (std::all_of(out.begin(), out.end(), [](float v) { return v == 1.0F; })) return {};
  return b.constant(cast_tensor(live, dtype));
}

// Repeats the heads (third dim from the end) of x until there are `heads` of them.
ValueId repeat_heads(Builder& b, ValueId x, int64_t heads) {
  const Shape s = b.shape(x);
  if (b.failed() || s.size() < 3 || s[s.size() - 3] == heads) return x;
  const size_t axis = s.size() - 3;
  if (s[axis] == 0 || heads % s[axis] != 0) {
    b.fail(Diag(diag::shape_mismatch, fmt::format("attention: {} query heads are no multiple of {}", heads, s[axis])));
    return x;
  }
  Shape wide = s, flat = s;
  wide.insert(wide.begin() + static_cast<std::ptrdiff_t>(axis) + 1, heads / s[axis]);
  flat[axis] = heads;
  return b.reshape(b.expand(aten_nn::unsqueeze(b, x, axis + 1), wide), flat);
}

// softmax(q·kᵀ * scale + mask), shape [..., queries, keys].
ValueId attention_weights(Builder& b, ValueId q, ValueId k, ValueId mask, double scale) {
  const DType dtype = b.dtype(q);
  ValueId scores = b.op("matmul", {mul_scalar(b, q, scale), k}, {{"transpose_b", true}});
  ValueId live;
  if (mask.valid()) {
    const bool boolean = b.dtype(mask) == DType::boolean;
    const ValueId term = boolean ? additive(b, mask, dtype) : b.cast(mask, dtype);
    live = live_rows(b, term, dtype);
    if (boolean && !b.constant_of(term)) live = b.cast(mask, dtype);
    // A row that a computed mask forbids entirely must not become NaN before it is zeroed.
    const bool finite = live.valid();
    const ValueId safe =
        !finite ? term : b.op("maximum", {term, b.scalar(std::numeric_limits<float>::lowest() / 2, dtype)});
    scores = b.add(scores, safe);
  }
  const ValueId weights = b.op("softmax", {scores}, {{"axis", -1}});
  return live.valid() ? b.mul(weights, live) : weights;
}

struct Attention {
  ValueId y, weights;
};

Attention attend(AtenCall& c) {
  Builder& b = c.b;
  const ValueId q = c.tensor("query");
  ValueId k = c.tensor("key"), v = c.tensor("value"), mask = c.tensor("attn_mask");
  const Shape sq = b.shape(q), sk = b.shape(k);
  if (b.failed()) return {};
  if (sq.size() < 2 || sk.size() < 2) {
    c.fail(Diag(diag::shape_mismatch, "scaled_dot_product_attention: query and key need rank 2 or more"));
    return {};
  }
  if (!c.is_none("enable_gqa") && c.flag("enable_gqa") && sq.size() >= 3) {
    k = repeat_heads(b, k, sq[sq.size() - 3]);
    v = repeat_heads(b, v, sq[sq.size() - 3]);
  }
  const double scale = c.is_none("scale") ? 1.0 / std::sqrt(static_cast<double>(sq.back())) : c.f("scale");
  if (c.flag("is_causal")) mask = causal_mask(b, sq[sq.size() - 2], sk[sk.size() - 2], b.dtype(q));
  const ValueId weights = attention_weights(b, q, k, mask, scale);
  return {b.op("matmul", {weights, v}), weights};
}

void sdpa(AtenCall& c) { c.ret(attend(c).y); }

constexpr AtenRow kRows[] = {
    {.schema = "scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float "
               "dropout_p=0.0, bool is_causal=False, *, float? scale=None, bool enable_gqa=False) -> Tensor",
     .fn = sdpa},
};

}  // namespace

std::span<const AtenRow> aten_attention() { return kRows; }

}  // namespace npuport
