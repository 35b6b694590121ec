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

// softmax(q·kᵀ * scale + mask), shape [..., queries, keys]; what it is taken of goes to `before`.
ValueId attention_weights(Builder& b, ValueId q, ValueId k, ValueId mask, double scale, ValueId* before = nullptr) {
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
  if (before != nullptr) *before = scores;
  const ValueId weights = b.op("softmax", {scores}, {{"axis", -1}});
  return live.valid() ? b.mul(weights, live) : weights;
}

struct Attention {
  ValueId y, weights, scores = {};
};

Attention attend(AtenCall& c, bool may_group) {
  Builder& b = c.b;
  const ValueId q = c.tensor("query");
  ValueId k = c.tensor("key"), v = c.tensor("value"), mask = c.tensor("attn_mask");
  const Shape sq = b.shape(q), sk = b.shape(k);
  if (b.failed()) return {};
  if (sq.size() < 2 || sk.size() < 2) {
    c.fail(Diag(diag::shape_mismatch, "scaled_dot_product_attention: query and key need rank 2 or more"));
    return {};
  }
  if (may_group && !c.is_none("enable_gqa") && c.flag("enable_gqa") && sq.size() >= 3) {
    k = repeat_heads(b, k, sq[sq.size() - 3]);
    v = repeat_heads(b, v, sq[sq.size() - 3]);
  }
  const double scale = c.is_none("scale") ? 1.0 / std::sqrt(static_cast<double>(sq.back())) : c.f("scale");
  if (c.flag("is_causal")) mask = causal_mask(b, sq[sq.size() - 2], sk[sk.size() - 2], b.dtype(q));
  ValueId scores;
  const ValueId weights = attention_weights(b, q, k, mask, scale, &scores);
  return {b.op("matmul", {weights, v}), weights, scores};
}

void sdpa(AtenCall& c) { c.ret(attend(c, true).y); }

// What exported programs hold once PyTorch has chosen a kernel: the same with by-products.
void sdpa_math(AtenCall& c) {
  const Attention a = attend(c, true);
  c.ret(a.y);
  c.ret(a.weights);
}
void with_logsumexp(AtenCall& c, const Attention& a) {
  Builder& b = c.b;
  c.ret(a.y);
  if (b.failed()) return;
  const std::vector<Attr> last{{"axes", Ints{-1}}, {"keepdims", true}};
  const ValueId top = b.op("reduce_max", {a.scores}, last);
  const ValueId sum = b.op("reduce_sum", {b.op("exp", {b.sub(a.scores, top)})}, last);
  const ValueId rows = b.add(top, b.op("log", {sum}));
  Shape s = b.shape(rows);
  if (b.failed()) return;
  s.pop_back();
  c.ret(b.reshape(rows, s));
}
void sdpa_flash_cpu(AtenCall& c) { with_logsumexp(c, attend(c, false)); }

// Splits [batch, length, heads * width] into [batch, heads, length, width].
ValueId split_heads(Builder& b, ValueId x, int64_t heads) {
  const Shape s = b.shape(x);
  if (b.failed() || s.size() != 3 || heads < 1) return x;
  return b.transpose(b.reshape(x, {s[0], s[1], heads, s[2] / heads}), {0, 2, 1, 3});
}

// Rows [begin, end) of the packed projection weight or bias.
ValueId rows(Builder& b, ValueId packed, int64_t begin, int64_t end) {
  return aten_nn::slice(b, packed, 0, begin, end);
}

// What the fast paths call a mask forbids where it is true (or, as a float term, -inf). Types: 0 = [queries, keys],
// 1 = [batch, keys], 2 = [batch, heads, queries, keys].
ValueId forbidding_mask(Builder& b, ValueId mask, int64_t type, DType dtype) {
  if (!mask.valid()) return {};
  if (type == 1) {
    const Shape s = b.shape(mask);
    if (!b.failed() && s.size() == 2) mask = b.reshape(mask, {s[0], 1, 1, s[1]});
  }
  if (b.dtype(mask) != DType::boolean) return b.cast(mask, dtype);
  return b.op("logical_not", {mask});
}

struct Projections {
  ValueId qkv_weight, qkv_bias, out_weight, out_bias;
};

// Self- or cross-attention of nn.MultiheadAttention on [batch, length, width]; weights are [batch, heads, q, k].
Attention multi_head(Builder& b, ValueId query, ValueId key, ValueId value, int64_t heads, const Projections& p,
                     ValueId mask) {
  const Shape s = b.shape(query);
  if (b.failed()) return {};
  if (s.size() != 3 || heads < 1 || s[2] % heads != 0 || b.shape(p.qkv_weight) != Shape{3 * s[2], s[2]}) {
    b.fail(Diag(diag::shape_mismatch, fmt::format("multi-head attention: query {} does not fit {} heads and weight {}",
                                                  to_string(s), heads, to_string(b.shape(p.qkv_weight)))));
    return {};
  }
  const ValueId source[] = {query, key, value};
  ValueId head[3];
  for (int64_t i = 0; i < 3; ++i) {
    const ValueId weight = rows(b, p.qkv_weight, i * s[2], (i + 1) * s[2]);
    const ValueId bias = p.qkv_bias.valid() ? rows(b, p.qkv_bias, i * s[2], (i + 1) * s[2]) : ValueId{};
    head[i] = split_heads(b, b.op("linear", {source[i], weight, bias}), heads);
  }
  const int64_t width = s[2] / heads;
  const double scale = 1.0 / std::sqrt(static_cast<double>(width));
  const ValueId weights = attention_weights(b, head[0], head[1], mask, scale);
  const ValueId mixed = b.transpose(b.op("matmul", {weights, head[2]}), {0, 2, 1, 3});
  return {b.op("linear", {b.reshape(mixed, s), p.out_weight, p.out_bias}), weights};
}

int64_t mask_type(AtenCall& c) { return c.is_none("mask_type") ? 2 : c.i("mask_type"); }

void native_multi_head(AtenCall& c) {
  Builder& b = c.b;
  const ValueId query = c.tensor("query");
  const ValueId mask = forbidding_mask(b, c.tensor("mask"), mask_type(c), b.dtype(query));
  const Attention a =
      multi_head(b, query, c.tensor("key"), c.tensor("value"), c.i("num_head"),
                 {c.tensor("qkv_weight"), c.tensor("qkv_bias"), c.tensor("proj_weight"), c.tensor("proj_bias")}, mask);
  c.ret(a.y);
  const bool average = c.flag("average_attn_weights");
  c.ret(average ? aten_nn::reduce(b, "reduce_mean", a.weights, {1}, false) : a.weights);
}

// Nested tensors (rows of different lengths) are carried dense, marked by a nested_rows node that knows which rows are
// real. The layers below mask the others as keys, so that their values never matter; to_padded_tensor zeroes them.
struct Nested {
  ValueId dense, keep;  // keep is [batch, length], invalid when the tensor is an ordinary one
};

Nested nested_of(Builder& b, ValueId x) {
  const Node* n = x.valid() ? b.graph().producer(x) : nullptr;
  if (!n || n->op->name != "nested_rows") return {x, {}};
  return {n->inputs[0], n->inputs[1]};
}

// nn.TransformerEncoderLayer's fused forward: attention and feed-forward blocks, normalised before or after.
void encoder_layer(AtenCall& c) {
  Builder& b = c.b;
  const Nested nested = nested_of(b, c.tensor("src"));
  const ValueId src = nested.dense;
  ValueId mask = forbidding_mask(b, c.tensor("mask"), mask_type(c), b.dtype(src));
  if (nested.keep.valid()) mask = b.reshape(nested.keep, {b.shape(src)[0], 1, 1, b.shape(src)[1]});
  const auto give = [&](ValueId y) { c.ret(nested.keep.valid() ? b.op("nested_rows", {y, nested.keep}) : y); };
  const auto norm = [&](ValueId x, std::string_view weight, std::string_view bias) {
    return b.op("layer_norm", {x, c.tensor(weight), c.tensor(bias)}, {{"eps", c.f("eps")}});
  };
  const auto attention = [&](ValueId x) {
    return multi_head(b, x, x, x, c.i("num_heads"),
                      {c.tensor("qkv_weight"), c.tensor("qkv_bias"), c.tensor("proj_weight"), c.tensor("proj_bias")},
                      mask)
        .y;
  };
  const auto feed_forward = [&](ValueId x) {
    const ValueId hidden = b.op("linear", {x, c.tensor("ffn_weight_1"), c.tensor("ffn_bias_1")});
    const ValueId active = b.op(c.flag("use_gelu") ? "gelu" : "relu", {hidden});
    return b.op("linear", {active, c.tensor("ffn_weight_2"), c.tensor("ffn_bias_2")});
  };
  if (c.flag("norm_first")) {
    const ValueId x = b.add(src, attention(norm(src, "norm_weight_1", "norm_bias_1")));
    return give(b.add(x, feed_forward(norm(x, "norm_weight_2", "norm_bias_2"))));
  }
  const ValueId x = norm(b.add(src, attention(src)), "norm_weight_1", "norm_bias_1");
  give(norm(b.add(x, feed_forward(x)), "norm_weight_2", "norm_bias_2"));
}

// False when a constant [batch, length] mask has a kept row behind a dropped one.
bool left_aligned(const Tensor& keep) {
  const int64_t length = keep.shape.back();
  for (int64_t i = 0; i + 1 < keep.count(); ++i) {
    const bool row_end = (i + 1) % length == 0;
    if (!row_end && get_int(keep, i) == 0 && get_int(keep, i + 1) != 0) return false;
  }
  return true;
}

// PyTorch moves the kept rows to the front. Masks of padded batches keep them there already; a constant mask is
// checked, a computed one was checked by PyTorch when the model was traced.
void nested_from_mask(AtenCall& c) {
  Builder& b = c.b;
  const ValueId x = c.tensor("t"), keep = c.tensor("mask");
  const Tensor* t = b.constant_of(keep);
  const Shape s = b.shape(x);
  if (b.failed() || s.size() != 3 || b.shape(keep) != Shape{s[0], s[1]} || (t && !left_aligned(*t))) {
    return c.fail(Diag(diag::unsupported, "a nested tensor whose mask does not keep the first rows of each sequence",
                       "Export with enable_nested_tensor=False in nn.TransformerEncoder."));
  }
  c.ret(b.op("nested_rows", {x, keep}));
}

void nested_left_aligned(AtenCall& c) {
  const Tensor* mask = c.b.constant_of(c.tensor("mask"));
  if (!mask || mask->shape.size() != 2) {
    return c.fail(Diag(diag::data_dependent, "whether a padding mask is left-aligned depends on input values",
                       "Export with enable_nested_tensor=False in nn.TransformerEncoder."));
  }
  c.ret(c.b.constant(Tensor::scalar(left_aligned(*mask))));
}

void to_padded(AtenCall& c) {
  Builder& b = c.b;
  const Nested x = nested_of(b, c.tensor("self"));
  const Shape s = b.shape(x.dense);
  if (!x.keep.valid() || (!c.is_none("output_size") && c.ints("output_size") != s)) {
    return c.fail(Diag(diag::unsupported, "to_padded_tensor of an ordinary tensor or to another size"));
  }
  const ValueId keep = b.reshape(x.keep, {s[0], s[1], 1});
  c.ret(b.op("where", {keep, x.dense, b.scalar(c.f("padding"), b.dtype(x.dense))}));
}

constexpr AtenRow kRows[] = {
    {.schema = "scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float "
               "dropout_p=0.0, bool is_causal=False, *, float? scale=None, bool enable_gqa=False) -> Tensor",
     .fn = sdpa},
    {.schema = "_scaled_dot_product_attention_math(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, "
               "float dropout_p=0.0, bool is_causal=False, Tensor? dropout_mask=None, *, float? scale=None, bool "
               "enable_gqa=False) -> (Tensor, Tensor)",
     .fn = sdpa_math},
    {.schema = "_scaled_dot_product_flash_attention_for_cpu(Tensor query, Tensor key, Tensor value, float "
               "dropout_p=0.0, bool is_causal=False, *, Tensor? attn_mask=None, float? scale=None) -> (Tensor output, "
               "Tensor logsumexp)",
     .fn = sdpa_flash_cpu},
    {.schema =
         "_native_multi_head_attention(Tensor query, Tensor key, Tensor value, int embed_dim, int num_head, Tensor "
         "qkv_weight, Tensor qkv_bias, Tensor proj_weight, Tensor proj_bias, Tensor? mask=None, bool "
         "need_weights=True, bool average_attn_weights=True, int? mask_type=None) -> (Tensor, Tensor)",
     .fn = native_multi_head},
    {.schema =
         "_transformer_encoder_layer_fwd(Tensor src, int embed_dim, int num_heads, Tensor qkv_weight, Tensor "
         "qkv_bias, Tensor proj_weight, Tensor proj_bias, bool use_gelu, bool norm_first, float eps, Tensor "
         "norm_weight_1, Tensor norm_bias_1, Tensor norm_weight_2, Tensor norm_bias_2, Tensor ffn_weight_1, Tensor "
         "ffn_bias_1, Tensor ffn_weight_2, Tensor ffn_bias_2, Tensor? mask=None, int? mask_type=None) -> Tensor",
     .fn = encoder_layer},
    {.schema = "_nested_tensor_from_mask(Tensor t, Tensor mask, bool mask_check=True) -> Tensor",
     .fn = nested_from_mask},
    {.schema = "_nested_tensor_from_mask_left_aligned(Tensor t, Tensor mask) -> bool", .fn = nested_left_aligned},
    {.schema = "to_padded_tensor(Tensor self, float padding, int[]? output_size=None) -> Tensor", .fn = to_padded},
    {.schema = "nested_to_padded_tensor(Tensor self, float padding, int[]? output_size=None) -> Tensor",
     .fn = to_padded},
};

}  // namespace

std::span<const AtenRow> aten_attention() { return kRows; }

}  // namespace npuport
