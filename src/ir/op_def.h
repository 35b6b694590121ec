// One operator = one constexpr row of this type, in src/ops/<family>.cpp.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "ir/attr.h"

namespace npuport {

enum class Port : uint8_t { required, optional, variadic };  // variadic: last port only, zero or more

struct PortDef {
  std::string_view name;
  Port kind = Port::required;
};

struct OpDef;

// What shape and type inference sees. An absent optional input is nullptr.
struct InferCall {
  const OpDef& op;
  std::span<const TensorType* const> in;
  std::span<const Tensor* const> constants;  // per input: its value when constant, else nullptr
  AttrView attrs;
  bool has(size_t i) const { return i < in.size() && in[i] != nullptr; }
};
using InferFn = Result<std::vector<TensorType>> (*)(const InferCall&);

// What a reference kernel sees. Outputs are allocated with the inferred types. Inputs never alias outputs.
struct EvalCall {
  const OpDef& op;
  std::span<const View> in;
  std::span<const MutView> out;
  AttrView attrs;
  bool has(size_t i) const { return i < in.size() && in[i].present(); }
};
using EvalFn = Status (*)(const EvalCall&);

// Multiply-accumulates of one execution.
using CostFn = int64_t (*)(const InferCall&, std::span<const TensorType> out);

// How the result may differ when computed another way (order of additions, library functions).
enum class Exactness : uint8_t {
  bit_exact,     // data movement, comparisons, integer arithmetic
  rounding,      // one float operation per element: within 1 ulp or so
  accumulation,  // sums of products: error grows with the length
  approximate,   // transcendental or iterative
};

// How an operator reacts when its (rank-4) data input arrives permuted.
struct AxisRule {
  enum Kind : uint8_t {
    opaque,       // must see the canonical layout
    elementwise,  // any permutation passes through; other operands are broadcast and permuted alike
    remap,        // passes through after `remap` rewrote the attributes (concat axis, reduce axes, slice, pad …)
    spatial,      // has attribute layout = "nchw" | "nhwc" and prefers nhwc
  } kind = opaque;
  // Rewrites `attrs` for input permuted by `perm` (out dim i = in dim perm[i]); returns the output's permutation, or
  // nullopt when this node cannot pass it. Only for `remap`.
  std::optional<Ints> (*remap_fn)(std::vector<Attr>& attrs, std::span<const int64_t> perm, const InferCall&) = nullptr;
};

// What quantisation has to respect.
enum class QuantRule : uint8_t { float_only, same_as_input, free_output, fixed_output, weighted, integer };

struct OpDef {
  std::string_view name;  // ONNX meaning, snake_case
  std::string_view doc;   // one or two sentences with the formula
  std::span<const PortDef> in = {};
  std::span<const PortDef> out = {};
  std::span<const AttrDef> attrs = {};
  InferFn infer = nullptr;
  EvalFn eval = nullptr;  // reference kernel; nullptr when `body` defines the operator
  // IR text over simpler operators, e.g. "%y = mul(%x, sigmoid(%x))" with ports by name. May be empty.
  std::string_view body = {};
  CostFn macs = nullptr;
  Exactness exact = Exactness::bit_exact;
  AxisRule axes = {};
  QuantRule quant = QuantRule::float_only;
  bool commutative = false;  // first two inputs may be swapped
  bool pure = true;          // false: never folded, shared or removed
};

}  // namespace npuport
