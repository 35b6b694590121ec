// What the rows of convolutions and transposed convolutions share.
#pragma once

#include "ir/op_def.h"
#include "ops/support/spatial.h"

namespace npuport::conv_rows {

inline constexpr std::string_view kOnes[] = {"[1]", "[1,1]", "[1,1,1]"};
inline constexpr std::string_view kZeros[] = {"[0]", "[0,0]", "[0,0,0]"};

inline constexpr size_t kCommon = 6;  // attributes that every rank has; layout comes last and is for 2-D only

// Attributes of a convolution with `rank` spatial dims.
constexpr std::array<AttrDef, kCommon + 1> attrs(size_t rank) {
  const std::string_view ones = kOnes[rank - 1], zeros = kZeros[rank - 1];
  return {{{"stride", AttrKind::integers, ones, "step of the window per spatial dim"},
           {"pad_begin", AttrKind::integers, zeros, "zeros before the first element per spatial dim"},
           {"pad_end", AttrKind::integers, zeros, "zeros after the last element per spatial dim"},
           {"dilation", AttrKind::integers, ones, "distance between taps per spatial dim"},
           {"groups", AttrKind::integer, "1", "input and output channels fall into this many independent groups"},
           {"activation", AttrKind::string, "\"none\"", "fused: none, relu, relu6 or relu_n1_to_1"},
           {"layout", AttrKind::string, "\"nchw\"", "of x and y: nchw or nhwc; weight keeps its layout"}}};
}

// The same with output_padding, for transposed convolutions.
constexpr std::array<AttrDef, kCommon + 2> transposed_attrs(size_t rank) {
  const auto a = attrs(rank);
  return {{a[0],
           a[1],
           a[2],
           {"output_padding", AttrKind::integers, kZeros[rank - 1], "extra size at the end of each output dim"},
           a[3],
           a[4],
           a[5],
           a[6]}};
}

inline constexpr std::string_view kDocs[] = {
    "y[n,o,p] = bias[o] + sum over c,k of x[n,c,p*stride - pad_begin + k*dilation] * weight[o,c,k], then activation; "
    "x [N,C,L], weight [O,C/groups,K].",
    "y[n,o,p] = bias[o] + sum over c,k of x[n,c,p*stride - pad_begin + k*dilation] * weight[o,c,k], then activation; "
    "x [N,C,H,W] (or [N,H,W,C] when layout is nhwc), weight [O,C/groups,KH,KW].",
    "y[n,o,p] = bias[o] + sum over c,k of x[n,c,p*stride - pad_begin + k*dilation] * weight[o,c,k], then activation; "
    "x [N,C,D,H,W], weight [O,C/groups,KD,KH,KW].",
};

inline constexpr PortDef kIn[] = {{"x"}, {"weight"}, {"bias", Port::optional}};
inline constexpr PortDef kOut[] = {{"y"}};

// The row of one convolution; `attrs` ends with layout, which only two spatial dims have.
constexpr OpDef row(std::string_view name, size_t rank, std::string_view doc, std::span<const AttrDef> attrs,
                    InferFn infer, EvalFn eval, CostFn macs) {
  return {.name = name,
          .doc = doc,
          .in = kIn,
          .out = kOut,
          .attrs = rank == 2 ? attrs : attrs.first(attrs.size() - 1),
          .infer = infer,
          .eval = eval,
          .macs = macs,
          .exact = Exactness::accumulation,
          .axes = {rank == 2 ? AxisRule::spatial : AxisRule::opaque},
          .quant = QuantRule::weighted};
}

// Channels that a weight stands for, groups included.
struct Channels {
  int64_t in, out;
};

// Checks ranks, equal float dtypes, layout, activation, groups >= 1 that divide the weight's first dim, x's channels
// and the bias. Returns x's planes with the output's channels; `shape_mismatch`, `dtype_mismatch` or `bad_attribute`
// else.
Result<Planes> read_operands(const InferCall& c, size_t rank,
                             Channels (*channels)(const Shape& weight, int64_t groups));

// The type of the result from its planes.
Result<std::vector<TensorType>> result_type(const InferCall& c, size_t rank, const Planes& out);

}  // namespace npuport::conv_rows
