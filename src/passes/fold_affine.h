// Factors and terms per output channel, moved into the weights of the operator before them.
#pragma once

#include "passes/rewrite.h"

namespace npuport {

// Operators with weights: %W at input 1, bias at input 2.
inline constexpr std::string_view kWeighted[] = {"conv2d",           "linear",           "conv1d",          "conv3d",
                                                 "conv_transpose2d", "conv_transpose1d", "conv_transpose3d"};

// Which dim of the operator's output carries the channels, for its present layout.
size_t channel_dim(const Node& n, size_t out_rank);
// A constant as one number per channel: it has one element, or `channels` elements all along dim `dim` of a value of
// rank `rank`. nullopt otherwise.
std::optional<std::vector<double>> per_channel(const Graph& g, ValueId constant, size_t rank, size_t dim,
                                               int64_t channels);
// The weighted node with every output channel multiplied by `scale` and `shift` added; attributes as they are.
ValueId scaled_node(Builder& b, const Node& n, std::span<const double> scale, std::span<const double> shift);
// Weights, bias constant, no activation, and (transposed convolutions) one group: it can take factors and terms.
std::optional<std::string> cannot_scale(const Graph& g, const Node& n);

// Batch norm statistics as factor and term per channel: y = x * scale + shift.
struct Affine {
  std::vector<double> scale, shift;
};
Affine batch_norm_affine(const Graph& g, const Node& batch_norm);

}  // namespace npuport
