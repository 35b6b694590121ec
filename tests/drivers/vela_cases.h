// One-operator models on both sides of each limit of Vela, as IR text: written by our own writer, turned into int8 by
// vela_models.py. Constants hold ones.
#pragma once

#include <fmt/format.h>

#include <regex>
#include <string>
#include <vector>

#include "ir/text.h"
#include "support/paths.h"

namespace npuport::testing {

struct VelaCase {
  std::string name, ir;
};

// `body` over %x of that shape; filters and other operands are named by the body's own lines.
inline VelaCase vela_case(std::string name, const std::string& shape, const std::string& body) {
  return {std::move(name), "input %x: f32[" + shape + "]\n" + body + "\noutput %y"};
}
inline VelaCase unary_case(std::string name, const std::string& op, const std::string& shape = "1,8,8,4",
                           const std::string& attrs = "") {
  return vela_case(std::move(name), shape, "%y = " + op + "(%x) " + attrs);
}
// A convolution: input H,W,C, filter O,I,KH,KW.
inline VelaCase conv_case(std::string name, const std::string& shape, const std::string& filter,
                          const std::string& attrs, const std::string& op = "conv2d") {
  return vela_case(std::move(name), "1," + shape,
                   "const %w: f32[" + filter + "] = #0\n%y = " + op + "(%x, %w) " + attrs + " layout=\"nhwc\"");
}
inline VelaCase pool_case(std::string name, const std::string& op, const std::string& shape, int kh, int kw,
                          bool padded = false, int stride = 1) {
  const std::string pads =
      padded ? fmt::format(" pad_begin=[{},{}] pad_end=[{},{}]", (kh - 1) / 2, (kw - 1) / 2, kh / 2, kw / 2) : "";
  return vela_case(std::move(name), shape,
                   fmt::format("%y = {}(%x) kernel=[{},{}] stride=[{},{}]{} layout=\"nhwc\"{}", op, kh, kw, stride,
                               stride, pads, op == "avg_pool2d" ? " count_include_pad=false" : ""));
}
inline VelaCase resize_case(std::string name, const std::string& mode, int h, int w, int oh, int ow,
                            bool corners = false) {
  return vela_case(std::move(name), fmt::format("1,{},{},4", h, w),
                   fmt::format("%y = resize2d(%x) size=[{},{}] mode=\"{}\" align_corners={} layout=\"nhwc\"", oh, ow,
                               mode, corners));
}

inline std::vector<VelaCase> vela_cases() {
  std::vector<VelaCase> c;
  for (const char* op : {"relu", "sigmoid", "tanh", "exp", "sin", "floor", "sqrt", "abs", "log", "cos", "neg", "gelu",
                         "elu", "hard_swish", "rsqrt"})
    c.push_back(unary_case(op, op));
  c.push_back(unary_case("softmax_rows_65536", "softmax", "1,256,256,4", "axis=3"));
  c.push_back(unary_case("softmax_rows_65537", "softmax", "1,1,65537,4", "axis=3"));
  for (const char* mode : {"linear", "nearest"}) {
    const std::string tag = mode;
    for (const int f : {2, 3, 4, 8, 16})
      c.push_back(resize_case(fmt::format("{}_x{}", tag, f), mode, 8, 8, 8 * f, 8 * f));
    c.push_back(resize_case(tag + "_2x4", mode, 8, 8, 16, 32));
    c.push_back(resize_case(tag + "_1x2", mode, 8, 8, 8, 16));
    c.push_back(resize_case(tag + "_row_1x2", mode, 1, 8, 1, 16));
    c.push_back(resize_case(tag + "_row_2x2", mode, 1, 8, 2, 16));
    c.push_back(resize_case(tag + "_dot_5x7", mode, 1, 1, 5, 7));
    c.push_back(resize_case(tag + "_1024", mode, 1, 2, 1, 2048));
    c.push_back(resize_case(tag + "_2048", mode, 1, 2, 1, 4096));
  }
  c.push_back(resize_case("corners_x4", "linear", 8, 8, 29, 29, true));
  c.push_back(resize_case("corners_x3", "linear", 8, 8, 22, 22, true));
  c.push_back(resize_case("corners_x16", "linear", 3, 3, 33, 33, true));
  for (const char* op : {"max_pool2d", "avg_pool2d"}) {
    const std::string tag = op;
    c.push_back(pool_case(tag + "_256", op, "1,260,4,4", 256, 2));
    c.push_back(pool_case(tag + "_257", op, "1,260,4,4", 257, 2));
    c.push_back(pool_case(tag + "_area_65536", op, "1,128,520,1", 128, 512));
    c.push_back(pool_case(tag + "_area_65664", op, "1,128,520,1", 128, 513));
    c.push_back(pool_case(tag + "_same_8", op, "1,16,16,4", 8, 8, true));
    c.push_back(pool_case(tag + "_same_9", op, "1,16,16,4", 9, 9, true));
    c.push_back(pool_case(tag + "_stride_3", op, "1,16,16,4", 4, 4, false, 3));
    c.push_back(pool_case(tag + "_stride_4", op, "1,16,16,4", 4, 4, false, 4));
    c.push_back(pool_case(tag + "_stride_4_of_5", op, "1,17,17,4", 5, 5, false, 4));
    c.push_back(pool_case(tag + "_same_stride_4", op, "1,16,16,4", 3, 3, true, 4));
  }
  for (const int n : {1, 2})
    c.push_back(unary_case(fmt::format("mean_batch_{}", n), "reduce_mean", fmt::format("{},8,8,4", n),
                           "axes=[1,2] keepdims=true"));
  for (const int n : {4095, 4096}) {
    c.push_back(unary_case(fmt::format("mean_width_{}", n), "reduce_mean", fmt::format("1,1,{},4", n),
                           "axes=[1,2] keepdims=true"));
    c.push_back(unary_case(fmt::format("mean_height_{}", n), "reduce_mean", fmt::format("1,{},1,4", n),
                           "axes=[1,2] keepdims=true"));
    c.push_back(unary_case(fmt::format("mean_depth_{}", n), "reduce_mean", fmt::format("1,1,4,{}", n),
                           "axes=[3] keepdims=true"));
    c.push_back(
        unary_case(fmt::format("mean_rank3_{}", n), "reduce_mean", fmt::format("1,4,{}", n), "axes=[2] keepdims=true"));
  }
  c.push_back(unary_case("mean_depth_flat", "reduce_mean", "1,1,8,4", "axes=[3] keepdims=true"));
  c.push_back(unary_case("mean_depth_square", "reduce_mean", "1,8,8,4", "axes=[3] keepdims=true"));
  c.push_back(unary_case("mean_all", "reduce_mean", "1,8,8,4", "axes=[1,2,3] keepdims=true"));
  c.push_back(unary_case("mean_rank3", "reduce_mean", "1,8,4", "axes=[2] keepdims=true"));
  c.push_back(unary_case("mean_rank3_batch", "reduce_mean", "2,8,4", "axes=[1] keepdims=true"));
  c.push_back(unary_case("mean_rank2", "reduce_mean", "8,4", "axes=[1] keepdims=true"));
  for (const char* op : {"reduce_max", "reduce_min", "reduce_sum"}) {
    c.push_back(unary_case(std::string(op) + "_depth", op, "1,8,8,4", "axes=[3] keepdims=true"));
    c.push_back(unary_case(std::string(op) + "_area", op, "1,8,8,4", "axes=[1,2] keepdims=true"));
    c.push_back(unary_case(std::string(op) + "_batch", op, "2,8,8,4", "axes=[1,2] keepdims=true"));
    c.push_back(unary_case(std::string(op) + "_width_300", op, "1,4,300,4", "axes=[2] keepdims=true"));
    c.push_back(unary_case(std::string(op) + "_depth_300", op, "1,4,4,300", "axes=[3] keepdims=true"));
  }
  c.push_back(unary_case("mean_rank3_square", "reduce_mean", "8,8,4", "axes=[2] keepdims=true"));
  c.push_back(unary_case("argmax_127", "arg_max", "1,4,4,127", "axis=3"));
  c.push_back(unary_case("argmax_128", "arg_max", "1,4,4,128", "axis=3"));
  c.push_back(unary_case("argmax_rows", "arg_max", "1,4,4,8", "axis=1"));
  for (const int s : {1, 2, 3, 4}) {
    c.push_back(conv_case(fmt::format("transposed_{}", s), "8,8,4", "4,4,4,4",
                          fmt::format("stride=[{0},{0}] pad_begin=[0,0] pad_end=[0,0]", s), "conv_transpose2d"));
    c.push_back(conv_case(fmt::format("conv_stride_{}", s), "16,16,4", "8,4,3,3", fmt::format("stride=[{0},{0}]", s)));
    c.push_back(conv_case(fmt::format("conv_same_stride_{}", s), "16,16,4", "8,4,3,3",
                          fmt::format("stride=[{0},{0}] pad_begin=[1,1] pad_end=[1,1]", s)));
    c.push_back(conv_case(fmt::format("depthwise_stride_{}", s), "16,16,4", "4,1,3,3",
                          fmt::format("stride=[{0},{0}] groups=4", s)));
  }
  c.push_back(conv_case("transposed_same", "8,8,4", "4,4,4,4", "stride=[2,2] pad_begin=[1,1] pad_end=[1,1]",
                        "conv_transpose2d"));
  c.push_back(
      conv_case("transposed_k3", "8,8,4", "4,4,3,3", "stride=[2,2] pad_begin=[1,1] pad_end=[1,1]", "conv_transpose2d"));
  c.push_back(conv_case("transposed_k3_more", "8,8,4", "4,4,3,3",
                        "stride=[2,2] pad_begin=[1,1] pad_end=[1,1] output_padding=[1,1]", "conv_transpose2d"));
  c.push_back(conv_case("transposed_k1_s2", "8,8,4", "4,4,1,1", "stride=[2,2]", "conv_transpose2d"));
  c.push_back(conv_case("transposed_1x2", "8,8,4", "4,4,4,4", "stride=[1,2]", "conv_transpose2d"));
  c.push_back(conv_case("transposed_row_1x2", "1,8,4", "4,4,1,4", "stride=[1,2]", "conv_transpose2d"));
  c.push_back(conv_case("transposed_column_2x1", "8,1,4", "4,4,4,1", "stride=[2,1]", "conv_transpose2d"));
  c.push_back(conv_case("conv_weights_65536", "1,1,65536", "2,65536,1,1", ""));
  c.push_back(conv_case("conv_weights_65537", "1,1,65537", "2,65537,1,1", ""));
  c.push_back(conv_case("conv_tall_64", "70,4,4", "4,4,64,1", ""));
  c.push_back(conv_case("conv_tall_65", "70,4,4", "4,4,65,1", ""));
  c.push_back(conv_case("conv_tall_300", "320,4,4", "4,4,300,1", ""));
  c.push_back(conv_case("conv_wide_300", "4,320,4", "4,4,1,300", ""));
  c.push_back(conv_case("conv_dilation_33", "80,80,2", "4,2,3,3", "dilation=[33,33]"));
  c.push_back(conv_case("conv_area_4225", "70,70,1", "1,1,65,65", ""));
  c.push_back(conv_case("conv_stride_4_dilation_2", "32,32,4", "8,4,3,3", "stride=[4,4] dilation=[2,2]"));
  c.push_back(conv_case("depthwise_tall_65", "70,4,4", "4,1,65,1", "groups=4"));
  c.push_back(conv_case("depthwise_multiplier_2", "8,8,4", "8,1,3,3", "groups=4"));
  c.push_back(conv_case("depthwise_multiplier_2_of_1", "8,8,1", "2,1,3,3", "groups=1"));
  c.push_back(vela_case("conv_batch_2", "2,8,8,4", "const %w: f32[8,4,3,3] = #0\n%y = conv2d(%x, %w) layout=\"nhwc\""));
  for (const int n : {65536, 65537}) {
    c.push_back(vela_case(fmt::format("linear_{}", n), fmt::format("1,{}", n),
                          fmt::format("const %w: f32[2,{}] = #0\n%y = linear(%x, %w)", n)));
    c.push_back(vela_case(fmt::format("matmul_inner_{}", n), fmt::format("1,2,{}", n),
                          fmt::format("input %z: f32[1,{},2]\n%y = matmul(%x, %z)", n)));
    c.push_back(vela_case(fmt::format("matmul_columns_{}", n), "1,2,4",
                          fmt::format("input %z: f32[1,4,{}]\n%y = matmul(%x, %z)", n)));
    c.push_back(vela_case(fmt::format("matmul_rows_{}", n), fmt::format("1,{},4", n),
                          "input %z: f32[1,4,2]\n%y = matmul(%x, %z)"));
    c.push_back(unary_case(fmt::format("transpose_rank4_width_{}", n), "transpose", fmt::format("1,2,{},1", n),
                           "perm=[0,2,1,3]"));
    c.push_back(unary_case(fmt::format("transpose_rank4_depth_{}", n), "transpose", fmt::format("1,1,2,{}", n),
                           "perm=[0,1,3,2]"));
    c.push_back(unary_case(fmt::format("transpose_rank2_{}", n), "transpose", fmt::format("2,{}", n), "perm=[1,0]"));
    c.push_back(
        unary_case(fmt::format("transpose_rank3_{}", n), "transpose", fmt::format("2,{},2", n), "perm=[1,0,2]"));
    c.push_back(vela_case(fmt::format("add_{}", n), fmt::format("1,1,{},2", n),
                          fmt::format("input %z: f32[1,1,{},2]\n%y = add(%x, %z)", n)));
  }
  c.push_back(unary_case("transpose_batch_65536", "transpose", "2,256,256,1", "perm=[0,2,1,3]"));
  c.push_back(unary_case("transpose_batch_65792", "transpose", "2,256,257,1", "perm=[0,2,1,3]"));
  c.push_back(unary_case("transpose_batch_moves_65792", "transpose", "2,256,257,1", "perm=[1,2,0,3]"));
  c.push_back(unary_case("transpose_rank5_65536", "transpose", "2,2,64,128,4", "perm=[0,3,2,1,4]"));
  c.push_back(unary_case("transpose_rank5_66048", "transpose", "2,4,128,129,4", "perm=[0,3,2,1,4]"));
  c.push_back(unary_case("transpose_reverse", "transpose", "1,8,16,4", "perm=[0,3,2,1]"));
  c.push_back(vela_case("matmul_batch", "4,8,16", "input %z: f32[4,16,8]\n%y = matmul(%x, %z)"));
  c.push_back(vela_case("matmul_rank5", "2,2,2,8,16", "input %z: f32[2,2,2,16,8]\n%y = matmul(%x, %z)"));
  c.push_back(vela_case("matmul_broadcast", "4,8,16", "input %z: f32[1,16,8]\n%y = matmul(%x, %z)"));
  for (const int axis : {0, 1}) {
    c.push_back(vela_case(fmt::format("gather_axis_{}", axis), "8,4",
                          fmt::format("input %i: i32[3]\n%y = gather(%x, %i) axis={}", axis)));
  }
  c.push_back(unary_case("slice_step_2", "slice", "1,8,8,4", "starts=[0] ends=[8] axes=[1] steps=[2]"));
  c.push_back(unary_case("slice_step_2_depth", "slice", "1,8,8,4", "starts=[0] ends=[4] axes=[3] steps=[2]"));
  c.push_back(unary_case("slice_step_2_batch", "slice", "4,8,8,4", "starts=[0] ends=[4] axes=[0] steps=[2]"));
  c.push_back(unary_case("flip", "flip", "1,8,8,4", "axes=[1]"));
  c.push_back(unary_case("flip_width", "flip", "1,8,8,4", "axes=[2]"));
  c.push_back(
      unary_case("slice_steps_area", "slice", "1,8,8,4", "starts=[0,1,0] ends=[8,8,3] axes=[1,2,3] steps=[2,3,1]"));
  c.push_back(unary_case("flip_depth", "flip", "1,8,8,4", "axes=[3]"));
  c.push_back(unary_case("pad", "pad", "1,8,8,4", "pads=[0,1,1,0,0,1,1,0]"));
  c.push_back(unary_case("pad_depth", "pad", "1,8,8,4", "pads=[0,0,0,1,0,0,0,2]"));
  c.push_back(unary_case("pad_batch", "pad", "1,8,8,4", "pads=[1,0,0,0,1,0,0,0]"));
  c.push_back(unary_case("pad_reflect", "pad", "1,8,8,4", "pads=[0,1,1,0,0,1,1,0] mode=\"reflect\""));
  c.push_back(unary_case("tile", "tile", "1,8,8,4", "repeats=[1,2,1,1]"));
  c.push_back(vela_case("add_rank5", "1,2,3,4,5", "input %z: f32[1,2,3,4,5]\n%y = add(%x, %z)"));
  c.push_back(vela_case("add_rank6", "1,2,2,3,4,5", "input %z: f32[1,2,2,3,4,5]\n%y = add(%x, %z)"));
  c.push_back(vela_case("add_batch", "4,8,8,4", "input %z: f32[4,8,8,4]\n%y = add(%x, %z)"));
  c.push_back(vela_case("add_both_broadcast", "1,8,1,4", "input %z: f32[1,1,8,4]\n%y = add(%x, %z)"));
  c.push_back(vela_case("concat", "1,8,8,4", "input %z: f32[1,8,8,4]\n%y = concat(%x, %z) axis=3"));
  c.push_back(vela_case("div", "1,8,8,4", "input %z: f32[1,8,8,4]\n%y = div(%x, %z)"));
  return c;
}

// The graph with its constants full of ones.
inline Result<Graph> vela_graph(const VelaCase& c) {
  std::vector<Shape> shapes;
  const std::regex line("const %\\w+: f32\\[([0-9,]+)\\]");
  for (std::sregex_iterator i(c.ir.begin(), c.ir.end(), line), end; i != end; ++i) {
    Shape s;
    std::istringstream in((*i)[1].str());
    for (std::string d; std::getline(in, d, ',');) s.push_back(std::stoll(d));
    shapes.push_back(std::move(s));
  }
  size_t next = 0;
  return parse_graph("graph \"" + c.name + "\" {\n" + c.ir + "\n}", [&](std::string_view) {
    auto t = std::make_shared<Tensor>(Tensor::zeros(DType::f32, shapes.at(next++)));
    for (float& v : t->mut<float>()) v = 1;
    return std::shared_ptr<const Tensor>(std::move(t));
  });
}

}  // namespace npuport::testing
