// Attention and its companions, written out in matrix products and softmax.
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "ops/support/onnx_help.h"

namespace npuport {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

ValueId iota(Builder& b, int64_t n, Shape shape) {
  Ints v(static_cast<size_t>(n));
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<int64_t>(i);
  return ox::constant_ints(b, std::move(shape), v);
}

// [batch, length, heads · width] → [batch, heads, length, width]; four dims stay.
ValueId to_heads(OnnxRead& c, ValueId x, int64_t heads) {
  const Shape s = c.b.shape(x);
  if (s.size() == 4) return x;
  if (s.size() != 3 || heads < 1 || s[2] % heads != 0) {
    c.fail(Diag(diag::shape_mismatch, fmt::format("Attention: {} heads of {}", heads, to_string(s))));
    return {};
  }
  return c.b.transpose(c.b.reshape(x, {s[0], s[1], heads, s[2] / heads}), {0, 2, 1, 3});
}

// Each head of keys or values serves `times` heads of queries.
ValueId repeat_heads(Builder& b, ValueId x, int64_t times) {
  const Shape s = b.shape(x);
  if (times == 1 || b.failed()) return x;
  const ValueId wide = b.expand(b.reshape(x, {s[0], s[1], 1, s[2], s[3]}), {s[0], s[1], times, s[2], s[3]});
  return b.reshape(wide, {s[0], s[1] * times, s[2], s[3]});
}

// A condition (true = may look) as a term: 0 or -inf.
ValueId term(Builder& b, ValueId allowed, DType dtype) {
  return b.op("where", {allowed, b.scalar(0, dtype), b.scalar(kNever, dtype)});
}

struct Scores {
  int64_t queries = 0, keys = 0, past = 0, batch = 0;
  DType dtype = DType::f32;
};

// The sum of all masks; invalid when there is none.
ValueId attention_bias(OnnxRead& c, const Scores& s) {
  Builder& b = c.b;
  ValueId bias;
  const auto also = [&](ValueId v) { bias = bias.valid() ? b.add(bias, v) : v; };
  if (c.has(3)) {
    ValueId mask = c.in(3);
    const Shape ms = b.shape(mask);
    if (ms.empty()) return c.refuse("with a mask that is one number"), ValueId{};
    if (const int64_t missing = s.keys - ms.back(); missing > 0) {
      Ints pads(2 * ms.size(), 0);
      pads.back() = missing;
      mask = b.op("pad", {mask},
                  {{"pads", pads}, {"mode", "constant"}, {"value", b.dtype(mask) == DType::boolean ? 0.0 : kNever}});
    }
    also(b.dtype(mask) == DType::boolean ? term(b, mask, s.dtype) : mask);
  }
  const bool external = c.has(6) && !c.has(4);
  const auto lengths = [&] { return b.reshape(b.cast(c.in(6), DType::i64), {s.batch, 1, 1, 1}); };
  const int64_t left = c.i("left_window_size", -1), right = c.i("right_window_size", -1);
  const bool causal = c.i("is_causal", 0) != 0;
  if (causal || left >= 0 || right >= 0) {
    // Query i stands at position offset + i among the keys.
    const ValueId key = iota(b, s.keys, {1, s.keys});
    ValueId query = iota(b, s.queries, {s.queries, 1});
    const auto number = [&](int64_t v) { return b.constant(Tensor::scalar<int64_t>(v)); };
    query = external ? b.add(query, b.sub(lengths(), number(s.queries))) : b.add(query, number(s.past));
    if (causal) also(term(b, b.op("less_equal", {key, query}), s.dtype));
    if (left >= 0) also(term(b, b.op("less_equal", {b.sub(query, key), number(left)}), s.dtype));
    if (right >= 0) also(term(b, b.op("less_equal", {b.sub(key, query), number(right)}), s.dtype));
  }
  if (c.has(6)) also(term(b, b.op("less", {iota(b, s.keys, {1, 1, 1, s.keys}), lengths()}), s.dtype));
  return bias;
}

void read_attention(OnnxRead& c) {
  Builder& b = c.b;
  const ValueId q0 = c.in(0), k0 = c.in(1), v0 = c.in(2);
  if (c.stopped()) return;
  const bool flat = b.shape(q0).size() == 3;
  const ValueId q = to_heads(c, q0, c.i("q_num_heads", 0));
  ValueId k = to_heads(c, k0, c.i("kv_num_heads", 0)), v = to_heads(c, v0, c.i("kv_num_heads", 0));
  if (c.stopped()) return;
  Scores s;
  if (c.has(4) && c.has(5)) {
    s.past = b.shape(c.in(4)).size() == 4 ? b.shape(c.in(4))[2] : 0;
    k = b.op("concat", {c.in(4), k}, {{"axis", 2}});
    v = b.op("concat", {c.in(5), v}, {{"axis", 2}});
  }
  if (c.stopped()) return;
  c.ret(1, k);
  c.ret(2, v);
  const Shape qs = b.shape(q), ks = b.shape(k);
  if (qs.size() != 4 || ks.size() != 4 || b.shape(v).size() != 4 || ks[1] < 1 || qs[1] % ks[1] != 0) {
    return c.fail(Diag(diag::shape_mismatch, fmt::format("Attention of {} and {}", to_string(qs), to_string(ks))));
  }
  s.batch = qs[0], s.queries = qs[2], s.keys = ks[2], s.dtype = b.dtype(q);
  k = repeat_heads(b, k, qs[1] / ks[1]);
  v = repeat_heads(b, v, qs[1] / ks[1]);
  const double scale = std::sqrt(c.has_attr("scale") ? c.f("scale", 1) : 1 / std::sqrt(static_cast<double>(qs[3])));
  ValueId scores = b.op("matmul", {ox::times(b, q, scale), ox::times(b, k, scale)}, {{"transpose_b", true}});
  const int64_t mode = c.i("qk_matmul_output_mode", 0);
  if (mode == 0) c.ret(3, scores);
  if (const double cap = c.f("softcap", 0); cap > 0) {
    scores = ox::times(b, b.op("tanh", {ox::times(b, scores, 1 / cap)}), cap);
  }
  if (mode == 1) c.ret(3, scores);
  const ValueId bias = attention_bias(c, s);
  if (c.stopped()) return;
  if (bias.valid()) scores = b.add(scores, bias);
  if (mode == 2) c.ret(3, scores);
  const DType precision = c.dtype_attr("softmax_precision", s.dtype);
  if (c.stopped()) return;
  ValueId weights = b.op("softmax", {b.cast(scores, precision)}, {{"axis", -1}});
  if (bias.valid() && s.keys > 0) {
    // A query that may look nowhere gets zeros.
    const auto last = static_cast<int64_t>(b.shape(bias).size()) - 1;
    const ValueId best = ox::reduce(b, "reduce_max", bias, {last}, true);
    const ValueId nowhere = b.op("equal", {best, b.scalar(kNever, s.dtype)});
    const Tensor* known = b.constant_of(nowhere);
    bool any = known == nullptr;
    for (int64_t i = 0; known != nullptr && i < known->count(); ++i) any = any || get_int(*known, i) != 0;
    if (any) weights = b.op("where", {nowhere, b.scalar(0, precision), weights});
  }
  weights = b.cast(weights, s.dtype);
  if (mode == 3) c.ret(3, weights);
  ValueId y = b.op("matmul", {weights, v});
  if (flat && !b.failed()) {
    const Shape ys = b.shape(y);
    y = b.reshape(b.transpose(y, {0, 2, 1, 3}), {ys[0], ys[2], ys[1] * ys[3]});
  }
  c.ret(0, y);
}

// Rotates pairs (x1, x2) of the first `dim` numbers of each head by the angles of the caches.
void read_rotary(OnnxRead& c) {
  Builder& b = c.b;
  const ValueId x0 = c.in(0);
  ValueId cosine = c.in(1), sine = c.in(2);
  const bool interleaved = c.i("interleaved", 0) != 0;
  const int64_t heads = c.i("num_heads", 0);
  if (c.stopped()) return;
  const Shape xs = b.shape(x0);
  ValueId x = xs.size() == 3 ? to_heads(c, x0, heads) : x0;
  if (c.stopped()) return;
  const Shape s = b.shape(x);  // batch, heads, length, width
  int64_t dim = c.i("rotary_embedding_dim", 0);
  if (dim == 0) dim = s.size() == 4 ? s[3] : 0;
  if (s.size() != 4 || dim < 2 || dim > s[3] || dim % 2 != 0) {
    return c.fail(Diag(diag::shape_mismatch, "RotaryEmbedding of " + to_string(xs)));
  }
  const int64_t half = dim / 2;
  if (c.has(3)) {
    const ValueId at = aten::as_index(b, c.in(3));
    cosine = b.op("gather", {cosine, at}, {{"axis", 0}});
    sine = b.op("gather", {sine, at}, {{"axis", 0}});
  }
  const auto angles = [&](ValueId v) {
    const Shape vs = b.shape(v);
    if (vs.size() != 3 || vs[2] != half) {
      c.fail(Diag(diag::shape_mismatch, "RotaryEmbedding: a cache of " + to_string(vs)));
      return ValueId{};
    }
    return b.reshape(v, {vs[0], 1, vs[1], half});
  };
  cosine = angles(cosine), sine = angles(sine);
  if (c.stopped()) return;
  const ValueId turned = ox::slice(b, x, 3, 0, dim);
  ValueId x1, x2;
  if (interleaved) {
    const ValueId pairs = b.reshape(turned, {s[0], s[1], s[2], half, 2});
    x1 = ox::squeeze(b, ox::slice(b, pairs, 4, 0, 1), 4);
    x2 = ox::squeeze(b, ox::slice(b, pairs, 4, 1, 2), 4);
  } else {
    x1 = ox::slice(b, turned, 3, 0, half);
    x2 = ox::slice(b, turned, 3, half, dim);
  }
  ValueId first = b.sub(b.mul(cosine, x1), b.mul(sine, x2)), second = b.add(b.mul(sine, x1), b.mul(cosine, x2));
  ValueId y;
  if (interleaved) {
    y = b.reshape(ox::concat(b, {ox::unsqueeze(b, first, 4), ox::unsqueeze(b, second, 4)}, 4), {s[0], s[1], s[2], dim});
  } else {
    y = ox::concat(b, {first, second}, 3);
  }
  if (dim < s[3]) y = ox::concat(b, {y, ox::slice(b, x, 3, dim, s[3])}, 3);
  if (xs.size() == 3) y = b.reshape(b.transpose(y, {0, 2, 1, 3}), xs);
  c.ret(y);
}

void read_swiglu(OnnxRead& c) {
  const ValueId a = c.in(0), x = c.in(1);
  const double alpha = c.f("alpha", 1);
  if (c.stopped()) return;
  const ValueId gate = alpha == 1 ? c.b.op("silu", {a}) : c.b.mul(a, c.b.op("sigmoid", {ox::times(c.b, a, alpha)}));
  c.ret(c.b.mul(gate, x));
}

constexpr OnnxRow rows[] = {
    {.name = "Attention", .since = 23, .read = read_attention},
    {.name = "RotaryEmbedding", .since = 23, .read = read_rotary},
    {.name = "SwiGLU", .since = 28, .read = read_swiglu},
};

}  // namespace

std::span<const OnnxRow> onnx_attention() { return rows; }

}  // namespace npuport
