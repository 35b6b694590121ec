#include "passes/cleanup.h"

#include <algorithm>
#include <cmath>

#include "base/diag_codes.h"
#include "passes/release.h"

namespace npuport {
namespace {

using Reason = std::optional<std::string>;

Reason same_type(const Graph& g, const Match& m) {
  if (g.type(m.value("x")) == g.type(m.value("y"))) return std::nullopt;
  return "it changes the type";
}

Reason identity_perm(const Graph&, const Match& m) {
  const Ints& perm = std::get<Ints>(m.attr("p"));
  for (size_t i = 0; i < perm.size(); ++i)
    if (perm[i] != static_cast<int64_t>(i)) return "";
  return std::nullopt;
}

// A slice that keeps every dim whole.
Reason whole_slice(const Graph& g, const Match& m) {
  if (!(g.type(m.value("x")) == g.type(m.value("y")))) return "";
  const Ints& steps = std::get<Ints>(m.attr("steps"));
  return std::all_of(steps.begin(), steps.end(), [](int64_t s) { return s == 1; }) ? Reason() : Reason("");
}

Reason order_of_ones(const Graph& g, const Match& m) {
  const Ints& perm = std::get<Ints>(m.attr("p"));
  const Shape& x = g.shape(m.value("x"));
  int64_t last = -1;
  for (const int64_t d : perm) {
    if (x[static_cast<size_t>(d)] == 1) continue;
    if (d < last) return "";
    last = d;
  }
  return std::nullopt;
}

std::optional<std::string> drops_reduced_dims(const Graph& g, const Match& m) {
  const Shape& x = g.shape(m.value("x"));
  const Ints& axes = std::get<Ints>(m.attr("a"));
  std::vector<bool> reduced(x.size(), axes.empty());
  for (const int64_t a : axes) reduced[static_cast<size_t>(a < 0 ? a + static_cast<int64_t>(x.size()) : a)] = true;
  Shape wanted;
  for (size_t i = 0; i < x.size(); ++i)
    if (!reduced[i]) wanted.push_back(x[i]);
  if (wanted == std::get<Ints>(m.attr("s"))) return std::nullopt;
  return "the reshape does more than drop the reduced dims";
}

std::vector<ValueId> build_reshape_like(Builder& b, const Match& m) {
  return {b.reshape(m.value("x"), b.shape(m.value("y")))};
}

std::vector<ValueId> build_one_transpose(Builder& b, const Match& m) {
  const Ints& inner = std::get<Ints>(m.attr("p"));
  const Ints& outer = std::get<Ints>(m.attr("q"));
  Ints perm;
  for (const int64_t d : outer) perm.push_back(inner[static_cast<size_t>(d)]);
  return {b.transpose(m.value("x"), std::move(perm))};
}

// Every value of `from` exists in `to`.
bool lossless(DType from, DType to) {
  if (from == to) return true;
  if (from == DType::boolean) return true;
  if (to == DType::boolean) return false;
  const auto mantissa = [](DType t) { return t == DType::f64 ? 53 : t == DType::f32 ? 24 : t == DType::f16 ? 11 : 8; };
  if (is_float(from) && is_float(to)) return (to == DType::f64 || to == DType::f32) && mantissa(from) <= mantissa(to);
  if (is_integer(from) && is_float(to))
    return bits(from) - (is_signed(from) ? 1 : 0) <= mantissa(to) && to != DType::f16;
  if (is_float(from)) return false;
  if (is_signed(from) && !is_signed(to)) return false;
  return is_signed(from) == is_signed(to) ? bits(from) <= bits(to) : bits(from) < bits(to);
}

Reason inner_cast_lossless(const Graph& g, const Match& m) {
  return lossless(g.type(m.value("x")).dtype, std::get<DType>(m.attr("a"))) ? Reason()
                                                                            : Reason("the inner cast loses values");
}

std::vector<ValueId> build_one_cast(Builder& b, const Match& m) {
  return {b.cast(m.value("x"), std::get<DType>(m.attr("b")))};
}

// slice(slice(x)) along different axes, or the same axis with steps multiplied.
std::vector<ValueId> build_one_slice(Builder& b, const Match& m) {
  const auto list = [&](const char* name) { return std::get<Ints>(m.attr(name)); };
  Ints starts = list("s1"), ends = list("e1"), axes = list("a1"), steps = list("t1");
  const Ints s2 = list("s2"), e2 = list("e2"), a2 = list("a2"), t2 = list("t2");
  const auto rank = static_cast<int64_t>(b.shape(m.value("x")).size());
  for (int64_t& a : axes) a = a < 0 ? a + rank : a;
  for (size_t i = 0; i < a2.size(); ++i) {
    const int64_t axis = a2[i] < 0 ? a2[i] + rank : a2[i];
    const auto at = std::find(axes.begin(), axes.end(), axis);
    if (at == axes.end()) {
      axes.push_back(axis), starts.push_back(s2[i]), ends.push_back(e2[i]), steps.push_back(t2[i]);
      continue;
    }
    const size_t k = static_cast<size_t>(at - axes.begin());
    const int64_t taken = e2[i] > s2[i] ? (e2[i] - s2[i] - 1) / t2[i] : 0;  // index of the last element of slice 2
    const int64_t start = starts[k] + s2[i] * steps[k];
    steps[k] *= t2[i];
    ends[k] = start + taken * steps[k] + 1;
    starts[k] = start;
  }
  return {b.op("slice", {m.value("x")}, {{"starts", starts}, {"ends", ends}, {"axes", axes}, {"steps", steps}})};
}

Reason not_empty(const Graph& g, const Match& m) {
  return element_count(g.shape(m.value("y"))) > 0 ? Reason() : Reason("");
}

bool is_empty(const Graph& g, ValueId v) { return g.type(v).known() && element_count(g.shape(v)) == 0; }

Reason some_empty(const Graph& g, const Match& m) {
  const std::vector<ValueId>& parts = g.producer(m.value("y"))->inputs;
  const auto empty = std::count_if(parts.begin(), parts.end(), [&](ValueId v) { return is_empty(g, v); });
  return empty > 0 && empty < static_cast<int64_t>(parts.size()) ? Reason() : Reason("");
}
std::vector<ValueId> build_filled_parts(Builder& b, const Match& m) {
  std::vector<ValueId> parts;
  for (const ValueId v : std::vector<ValueId>(b.graph().producer(m.value("y"))->inputs))
    if (!is_empty(b.graph(), v)) parts.push_back(v);
  return {parts.size() == 1 ? parts[0] : b.op("concat", std::move(parts), {{"axis", m.attr("a")}})};
}

constexpr Rewrite kRows[] = {
    {.name = "identity_reshape",
     .doc = "A reshape to the same shape changes nothing.",
     .match = "%y = reshape(%x, rest=$r)",
     .replace = "%y = %x",
     .check = same_type},
    {.name = "identity_cast",
     .doc = "A cast to the same type changes nothing.",
     .match = "%y = cast(%x, rest=$r)",
     .replace = "%y = %x",
     .check = same_type},
    {.name = "identity_transpose",
     .doc = "The identity permutation changes nothing.",
     .match = "%y = transpose(%x, perm=$p)",
     .replace = "%y = %x",
     .check = identity_perm},
    {.name = "identity_slice",
     .doc = "A slice that keeps all elements changes nothing.",
     .match = "%y = slice(%x, steps=$steps, rest=$r)",
     .replace = "%y = %x",
     .check = whole_slice},
    {.name = "identity_pad",
     .doc = "Padding by zero elements changes nothing.",
     .match = "%y = pad(%x, rest=$r)",
     .replace = "%y = %x",
     .check = same_type},
    {.name = "identity_expand",
     .doc = "Expanding to the same shape changes nothing.",
     .match = "%y = expand(%x, rest=$r)",
     .replace = "%y = %x",
     .check = same_type},
    {.name = "identity_tile",
     .doc = "Repeating once changes nothing.",
     .match = "%y = tile(%x, rest=$r)",
     .replace = "%y = %x",
     .check = same_type},
    {.name = "concat_of_one",
     .doc = "A concatenation of one input is that input.",
     .match = "%y = concat(%x, rest=$r)",
     .replace = "%y = %x"},
    {.name = "concat_of_empty",
     .doc = "A part without elements adds nothing.",
     .match = "%y = concat(%in.all, axis=$a)",
     .check = some_empty,
     .build = build_filled_parts},
    {.name = "reshape_of_reshape",
     .doc = "Row-major order is kept by both, so only the last shape counts.",
     .match = "%y = reshape(reshape(%x, shape=$a), shape=$b)",
     .replace = "%y = reshape(%x, shape=$b)",
     .shared = true},
    {.name = "mean_then_reshape",
     .doc = "Dropping the reduced dims of size 1 afterwards is the reduction without keepdims.",
     .match = "%y = reshape(reduce_mean(%x, axes=$a, keepdims=true), shape=$s)",
     .replace = "%y = reduce_mean(%x, axes=$a, keepdims=false)",
     .check = drops_reduced_dims},
    {.name = "max_then_reshape",
     .doc = "Dropping the reduced dims of size 1 afterwards is the reduction without keepdims.",
     .match = "%y = reshape(reduce_max(%x, axes=$a, keepdims=true), shape=$s)",
     .replace = "%y = reduce_max(%x, axes=$a, keepdims=false)",
     .check = drops_reduced_dims},
    {.name = "sum_then_reshape",
     .doc = "Dropping the reduced dims of size 1 afterwards is the reduction without keepdims.",
     .match = "%y = reshape(reduce_sum(%x, axes=$a, keepdims=true), shape=$s)",
     .replace = "%y = reduce_sum(%x, axes=$a, keepdims=false)",
     .check = drops_reduced_dims},
    {.name = "transpose_of_transpose",
     .doc = "Two permutations compose to one.",
     .match = "%y = transpose(transpose(%x, perm=$p), perm=$q)",
     .build = build_one_transpose,
     .shared = true},
    {.name = "transpose_of_ones",
     .doc = "Moving dims of size 1 keeps the row-major order of all elements: it is a reshape.",
     .match = "%y = transpose(%x, perm=$p)",
     .check = order_of_ones,
     .build = build_reshape_like},
    {.name = "cast_of_cast",
     .doc = "The inner type holds every value of the input, so the outer cast alone gives the same.",
     .match = "%y = cast(cast(%x, to=$a), to=$b)",
     .check = inner_cast_lossless,
     .build = build_one_cast,
     .shared = true},
    {.name = "slice_of_slice",
     .doc = "Element i of a slice of a slice is element s1 + (s2 + i*t2)*t1 of the input.",
     .match = "%y = slice(slice(%x, starts=$s1, ends=$e1, axes=$a1, steps=$t1), starts=$s2, ends=$e2, axes=$a2, "
              "steps=$t2)",
     .check = not_empty,
     .build = build_one_slice},
    {.name = "multiply_by_one", .doc = "x * 1 = x.", .match = "%y = mul(%x, 1)", .replace = "%y = %x"},
    {.name = "divide_by_one", .doc = "x / 1 = x.", .match = "%y = div(%x, 1)", .replace = "%y = %x"},
    {.name = "add_zero",
     .doc = "x + 0 = x (the sign of a zero apart).",
     .match = "%y = add(%x, 0)",
     .replace = "%y = %x"},
    {.name = "subtract_zero", .doc = "x - 0 = x.", .match = "%y = sub(%x, 0)", .replace = "%y = %x"},
};

// Merging: a key of operator, attributes and inputs. Constants count by content up to a size where hashing is cheap.
constexpr int64_t kComparedBytes = 4096;

std::string operand_key(const Graph& g, ValueId id) {
  if (!id.valid()) return "_";
  const auto& t = g.value(id).constant;
  if (!t) return std::to_string(id.v);
  if (t->bytes() > kComparedBytes)
    return "p" + std::to_string(reinterpret_cast<uintptr_t>(t->data)) + to_string(t->shape);
  return "c" + content_hash(*t);
}

}  // namespace

std::span<const Rewrite> cleanup_rewrites() { return kRows; }

size_t merge_common(Graph& g) {
  std::map<std::string, NodeId> seen;
  size_t merged = 0;
  for (const NodeId id : g.topological()) {
    const Node& n = g.node(id);
    if (!n.op->pure || n.outputs.empty()) continue;
    std::string key(n.op->name);
    for (const ValueId in : n.inputs) key += "," + operand_key(g, in);
    for (const Attr& a : n.attrs) key += ";" + a.name + "=" + to_text(a.value);
    const auto [it, fresh] = seen.emplace(std::move(key), id);
    if (fresh) continue;
    const Node& first = g.node(it->second);
    // Two outputs of the graph stay two values.
    const bool both_outputs =
        std::any_of(n.outputs.begin(), n.outputs.end(), [&](ValueId v) { return g.is_output(v); });
    if (both_outputs || first.outputs.size() != n.outputs.size()) continue;
    std::vector<Origin>& origins = g.node(it->second).origins;
    for (const Origin& o : n.origins)
      if (std::find(origins.begin(), origins.end(), o) == origins.end()) origins.push_back(o);
    const std::vector<ValueId> outs = n.outputs;
    for (size_t i = 0; i < outs.size(); ++i) g.replace_uses(outs[i], first.outputs[i]);
    g.erase(id);
    ++merged;
  }
  return merged;
}

namespace {

Result<size_t> run_cleanup(Graph& g, PassContext& c) {
  static const RewriteSet rules(kRows);
  size_t changed = g.erase_dead();
  for (int round = 0; round < 20; ++round) {
    NPU_ASSIGN(const size_t rewritten, rules.apply(g, c));
    const size_t merged = merge_common(g);
    changed += rewritten + merged + g.erase_dead();
    if (rewritten + merged == 0) break;
  }
  return changed;
}

constexpr int64_t kSmall = 64 << 10;
constexpr int64_t kGrowth = 4;

// Results without elements are known whatever the inputs are.
bool gives_nothing(const Graph& g, const Node& n) {
  return n.op->pure && !n.outputs.empty() &&
         std::all_of(n.outputs.begin(), n.outputs.end(), [&](ValueId v) { return is_empty(g, v); });
}

std::vector<Tensor> empty_results(const Graph& g, const Node& n) {
  std::vector<Tensor> out;
  for (const ValueId v : n.outputs) out.push_back(Tensor::zeros(g.type(v).dtype, g.shape(v)));
  return out;
}

bool worth_folding(const Graph& g, const Node& n) {
  if (gives_nothing(g, n)) return true;
  if (!n.op->pure || !n.op->infer || n.inputs.empty()) return false;
  int64_t in = 0, out = 0;
  for (const ValueId v : n.inputs) {
    if (!v.valid()) continue;
    if (!g.is_constant(v)) return false;
    in += g.value(v).constant->bytes();
  }
  for (const ValueId v : n.outputs) {
    if (!g.type(v).known()) return false;
    out += byte_size(g.type(v).dtype, element_count(g.shape(v)));
  }
  return out <= kSmall || out <= kGrowth * in;
}

// What the results are called: a constant in another element type keeps the parameter's own name, which people know.
std::vector<std::string> result_names(Graph& g, const Node& n) {
  std::vector<std::string> out;
  for (const ValueId v : n.outputs) out.push_back(g.value(v).name);
  if (n.op->name != "cast" || !g.is_constant(n.inputs[0]) || g.use_count(n.inputs[0]) != 1) return out;
  const std::string parameter = g.value(n.inputs[0]).name;
  const bool numbered =
      parameter[0] == 'v' && parameter.find_first_not_of("0123456789", 1) == std::string::npos;  // "v17": nobody's name
  if (numbered || g.is_output(n.outputs.front())) return out;
  g.rename(n.inputs[0], "");
  out.front() = parameter;
  return out;
}

// A float matrix that is constant, or will be once its own inputs are folded.
Reason constant_weights(const Graph& g, const Match& m) {
  const ValueId w = m.value("w");
  if (!is_float(g.type(w).dtype) || g.shape(w).size() != 2) return "it is no float matrix";
  const Node* made_by = g.producer(w);
  const bool known = made_by == nullptr ? g.is_constant(w)
                                        : std::all_of(made_by->inputs.begin(), made_by->inputs.end(),
                                                      [&](ValueId v) { return v.valid() && g.is_constant(v); });
  return known ? Reason() : Reason("it is not constant");
}

// Evaluating the transpose would make a second copy of weights that other nodes, such as the lookup of a tied token
// table, use as they are.
constexpr Rewrite kBeforeFolding[] = {
    {.name = "product_of_transposed_weights",
     .doc = "x * transpose(W) = linear(x, W) by definition.",
     .match = "%y = matmul(%x, transpose(%w, perm=[1,0]))",
     .replace = "%y = linear(%x, %w)",
     .check = constant_weights,
     .shared = true},
};

Result<size_t> run_fold(Graph& g, PassContext& c) {
  static const RewriteSet rules(kBeforeFolding);
  NPU_ASSIGN(size_t folded, rules.apply(g, c));
  merge_common(g);  // what is computed twice from one constant is evaluated, and stored, once
  for (const NodeId id : g.topological()) {
    const Node& n = g.node(id);
    if (!worth_folding(g, n)) continue;
    const bool nothing = gives_nothing(g, n);
    std::vector<const Tensor*> args;
    for (const ValueId v : n.inputs) args.push_back(v.valid() ? g.value(v).constant.get() : nullptr);
    Result<std::vector<Tensor>> results =
        nothing ? Result<std::vector<Tensor>>(empty_results(g, n)) : evaluate(*n.op, args, n.attrs);
    if (!results) {
      Diag d = std::move(results).error();
      if (!n.origins.empty()) d.at_source(n.origins.front().source);
      return d.at_node(n.op->name);
    }
    LedgerEntry entry{c.pass,
                      "evaluate",
                      Numerics::exact,
                      nothing ? "it has no elements" : "all inputs are constants",
                      nothing ? "All tensors of a shape without elements are equal."
                              : "The reference kernel computes the constant once, ahead of time.",
                      node_text(g, std::array{id}),
                      {},
                      n.origins,
                      std::nullopt};
    const std::vector<ValueId> outs = n.outputs, read = n.inputs;
    const std::vector<std::string> wanted = result_names(g, n);
    for (size_t i = 0; i < outs.size(); ++i) {
      const std::string& known = wanted[i];
      const ValueId k = g.add_constant("", std::move((*results)[i]));
      g.replace_uses(outs[i], k);
      if (!g.is_output(k)) {
        g.rename(outs[i], "");
        g.rename(k, known);
      }
      entry.after += "const %" + known + ": " + to_string(g.type(k)) + "\n";
    }
    g.erase(id);
    release_unused(g, read);
    c.ledger.add(std::move(entry));
    ++folded;
  }
  g.erase_dead();
  return folded;
}

}  // namespace

constexpr PassDef kCleanup{"cleanup", "Removes nodes that do nothing, that repeat others or that nobody needs.",
                           Stage::imported, run_cleanup};
constexpr PassDef kFold{"fold", "Evaluates what depends on constants only.", Stage::imported, run_fold};
const PassDef cleanup_pass = kCleanup;
const PassDef fold_pass = kFold;

}  // namespace npuport
