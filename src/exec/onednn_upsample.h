// Transposed convolutions whose windows do not overlap, as one matrix product.
#pragma once

#include "exec/onednn_support.h"

namespace npuport::onednn {

// Kernel = stride = [tile_h, tile_w], no padding, dilation 1, one group: every pixel becomes a tile of its own,
// y[n, h*tile_h+i, w*tile_w+j, o] = bias[o] + sum over c of x[n,h,w,c] * weight[c,i,j,o].
struct Upsampling {
  int64_t images, channels, height, width, out_channels, tile_h, tile_w;
  bool pixels_inner = false;  // x is [channels, height*width] of one image; otherwise channels-last
};

// Kernel with x as input 0 and the channels-last result as output 0; the caller sets the layouts. `weights` is f32
// [channels, tile_h, tile_w, out_channels], dense; `bias` has out_channels values or is null; `attr` holds what follows
// the bias (pointwise post-ops, scratchpad by the user). Work is cut into pieces whatever `threads` is, each computed
// by one thread: results do not depend on it. nullptr when oneDNN has no fast product for it.
std::unique_ptr<Kernel> upsample_by_product(const Upsampling& u, const dnnl::memory& weights, const float* bias,
                                            const dnnl::primitive_attr& attr, int threads);

}  // namespace npuport::onednn
