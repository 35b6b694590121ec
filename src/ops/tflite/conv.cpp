// Convolutions. Filters are stored O,H,W,I (depthwise 1,H,W,O; 3-D D,H,W,I,O), ours are O,I,H,W.
#include <fmt/format.h>

#include "base/diag_codes.h"
#include "ops/tflite/window.h"

namespace npuport {
namespace {

using namespace tfl;

std::array<WindowDim, 2> dims_of(const TfliteEmit& c) {
  const AttrView a = c.attr();
  const auto dim = [&](size_t i) {
    return WindowDim{c.shape(0)[i + 1],   c.out_shape()[i + 1],  c.shape(1)[i + 2],
                     a.ints("stride")[i], a.ints("dilation")[i], a.ints("pad_begin")[i]};
  };
  return {dim(0), dim(1)};
}

// LiteRT's kernels divide the input's channels by the filter's: grouped convolutions need no attribute.
void write_conv(TfliteEmit& c) {
  if (!needs_nhwc(c)) return;
  const auto dims = dims_of(c);
  const Padding p = padding_of(dims);
  const int32_t x = zero_padded(c, c.in(0), p, dims);
  c.op("CONV_2D", {x, c.permuted(1, {0, 2, 3, 1}), c.bias(2, c.shape(1)[0], c.out_dtype())}, {c.out()},
       {{"padding", p.value},
        {"stride_w", static_cast<double>(dims[1].stride)},
        {"stride_h", static_cast<double>(dims[0].stride)},
        {kActivation, activation_number(c.attr().s("activation"))},
        {"dilation_w_factor", static_cast<double>(dims[1].dilation)},
        {"dilation_h_factor", static_cast<double>(dims[0].dilation)}});
}

void write_depthwise(TfliteEmit& c) {
  if (!needs_nhwc(c)) return;
  const int64_t groups = c.attr().i("groups"), channels = c.shape(0)[3];
  if (groups != channels || c.shape(1)[1] != 1 || groups == 1) return c.refuse("");
  const auto dims = dims_of(c);
  const Padding p = padding_of(dims);
  const int64_t multiplier = c.shape(1)[0] / channels;
  const int32_t x = zero_padded(c, c.in(0), p, dims);
  c.op("DEPTHWISE_CONV_2D", {x, c.permuted(1, {1, 2, 3, 0}), c.bias(2, c.shape(1)[0], c.out_dtype())}, {c.out()},
       {{"padding", p.value},
        {"stride_w", static_cast<double>(dims[1].stride)},
        {"stride_h", static_cast<double>(dims[0].stride)},
        {"depth_multiplier", static_cast<double>(multiplier)},
        {kActivation, activation_number(c.attr().s("activation"))},
        {"dilation_w_factor", static_cast<double>(dims[1].dilation)},
        {"dilation_h_factor", static_cast<double>(dims[0].dilation)}});
}

// Conv2d by its filter in our order; pads from the Padding value.
void read_2d(TfliteRead& c, ValueId weight, int64_t groups) {
  if (c.b.failed()) return;
  const Shape x = c.shape(0), w = c.b.shape(weight);
  if (x.size() != 4) return c.fail(Diag(diag::shape_mismatch, fmt::format("input {} is not of rank 4", to_string(x))));
  const Ints stride{c.i("stride_h"), c.i("stride_w")};
  const Ints dilation{c.i("dilation_h_factor"), c.i("dilation_w_factor")};
  const Pads h = pads_of(c.i("padding"), x[1], w[2], stride[0], dilation[0]);
  const Pads v = pads_of(c.i("padding"), x[2], w[3], stride[1], dilation[1]);
  const auto activation = TfliteRead::activation_name(c.i(kActivation));
  const ValueId y = c.b.op("conv2d", {c.in(0), weight, c.has(2) ? c.in(2) : ValueId{}},
                           {{"stride", stride},
                            {"pad_begin", Ints{h.begin, v.begin}},
                            {"pad_end", Ints{h.end, v.end}},
                            {"dilation", dilation},
                            {"groups", groups},
                            {"activation", activation.value_or("none")},
                            {"layout", "nhwc"}});
  c.ret(activation ? y : c.activated(y, c.i(kActivation)));
}
void read_conv(TfliteRead& c) {
  const ValueId w = c.permuted(1, {0, 3, 1, 2});
  if (c.b.failed()) return;
  const int64_t in = c.shape(0).size() == 4 ? c.shape(0)[3] : 0, per_group = c.b.shape(w)[1];
  if (per_group < 1 || in % per_group != 0) {
    return c.fail(Diag(diag::shape_mismatch, fmt::format("filter takes {} channels, the input {} has {}", per_group,
                                                         to_string(c.shape(0)), in)));
  }
  read_2d(c, w, in / per_group);
}
void read_depthwise(TfliteRead& c) {
  const ValueId w = c.permuted(1, {3, 0, 1, 2});
  if (c.b.failed()) return;
  read_2d(c, w, c.shape(0).size() == 4 ? c.shape(0)[3] : 1);
}

int v_conv(const TfliteSignature& s) {
  return s.in[0]->shape.size() == 4 && s.in[1]->shape.size() == 4 && s.in[0]->shape[3] != s.in[1]->shape[3] ? 6 : 1;
}
int v_depthwise(const TfliteSignature& s) {
  return s.op.option("dilation_w_factor") != 1 || s.op.option("dilation_h_factor") != 1 ? 2 : 1;
}

// TRANSPOSE_CONV names its output's size and derives the padding from it.
void write_transposed(TfliteEmit& c) {
  if (!needs_nhwc(c)) return;
  const AttrView a = c.attr();
  if (a.i("groups") != 1) return c.refuse("TRANSPOSE_CONV has no groups");
  if (a.ints("dilation") != Ints{1, 1}) return c.refuse("TRANSPOSE_CONV has no dilation");
  const Shape& out = c.out_shape();
  bool valid = true, same = true;
  Shape full = out;  // VALID, without cropping
  for (size_t i = 0; i < 2; ++i) {
    const int64_t in = c.shape(0)[i + 1], k = c.shape(1)[i + 2], stride = a.ints("stride")[i],
                  begin = a.ints("pad_begin")[i], size = out[i + 1], span = (in - 1) * stride + k;
    full[i + 1] = std::max(span, begin + size);
    if (full[i + 1] >= span + stride) return c.refuse("TRANSPOSE_CONV cannot add that much output padding");
    valid &= begin == 0 && size == full[i + 1];
    // SAME with another size than in * stride is legal, but compilers know what Keras makes (Vela refuses the rest).
    same &= size == in * stride && std::max<int64_t>(span - size, 0) / 2 == begin;
  }
  const double padding = same && !valid ? kSame : kValid;
  const bool crop = !valid && !same;
  const double activation = activation_number(a.s("activation"));
  const Shape& made = crop ? full : out;
  int32_t y = crop || activation != 0 ? c.temporary(c.out_dtype(), made) : c.out();
  c.op("TRANSPOSE_CONV", {c.i32(made), c.permuted(1, {1, 2, 3, 0}), c.in(0), c.bias(2, c.shape(1)[1], c.out_dtype())},
       {y},
       {{"padding", padding},
        {"stride_w", static_cast<double>(a.ints("stride")[1])},
        {"stride_h", static_cast<double>(a.ints("stride")[0])},
        {kActivation, 0}});
  if (crop) {
    const Ints begin{0, a.ints("pad_begin")[0], a.ints("pad_begin")[1], 0};
    const int32_t cut = activation != 0 ? c.temporary(c.out_dtype(), out) : c.out();
    c.op("SLICE", {y, c.i32(begin), c.i32(out)}, {cut});
    y = cut;
  }
  constexpr std::string_view kOps[] = {"", "RELU", "RELU_N1_TO_1", "RELU6"};
  if (activation != 0) c.op(kOps[static_cast<size_t>(activation)], {y}, {c.out()});
}
void read_transposed(TfliteRead& c) {
  const Ints out = c.const_ints(0);
  const ValueId w = c.permuted(1, {3, 0, 1, 2}), x = c.in(2);
  if (c.b.failed()) return;
  const Shape& in = c.b.shape(x);
  if (in.size() != 4 || out.size() != 4) {
    return c.fail(Diag(diag::shape_mismatch,
                       fmt::format("input {} and output {} must have rank 4", to_string(in), to_string(out))));
  }
  const Ints stride{c.i("stride_h"), c.i("stride_w")};
  Ints begin(2), end(2), extra(2);
  for (size_t i = 0; i < 2; ++i) {
    const int64_t span = (in[i + 1] - 1) * stride[i] + c.b.shape(w)[i + 2];
    const int64_t total = c.i("padding") == static_cast<int64_t>(kSame) ? std::max<int64_t>(span - out[i + 1], 0) : 0;
    begin[i] = total / 2;
    end[i] = total - total / 2;
    extra[i] = out[i + 1] - (span - total);
  }
  const ValueId y = c.b.op(
      "conv_transpose2d", {x, w, c.has(3) ? c.in(3) : ValueId{}},
      {{"stride", stride}, {"pad_begin", begin}, {"pad_end", end}, {"output_padding", extra}, {"layout", "nhwc"}});
  c.ret(c.activated(y, c.i(kActivation)));
}
int v_transposed(const TfliteSignature& s) {
  if (s.op.option(kActivation) != 0) return 4;
  return s.in.size() == 4 && s.in[3] != nullptr ? 3 : 1;
}

const Ints kToLast{0, 2, 3, 4, 1}, kToFirst{0, 4, 1, 2, 3};

// Ours is channels-first in 3-D: transposes go around.
void write_conv3d(TfliteEmit& c) {
  const AttrView a = c.attr();
  if (a.i("groups") != 1) return c.refuse("CONV_3D has no groups");
  std::array<WindowDim, 3> dims;
  for (size_t i = 0; i < 3; ++i) {
    dims[i] = {c.shape(0)[i + 2],   c.out_shape()[i + 2],  c.shape(1)[i + 2],
               a.ints("stride")[i], a.ints("dilation")[i], a.ints("pad_begin")[i]};
  }
  const Padding p = padding_of(dims);
  const int32_t x = zero_padded(c, c.permuted(0, kToLast), p, dims);
  const Shape& o = c.out_shape();
  const int32_t y = c.op("CONV_3D", {x, c.permuted(1, {2, 3, 4, 1, 0}), c.bias(2, o[1], c.out_dtype())}, c.out_dtype(),
                         {o[0], o[2], o[3], o[4], o[1]},
                         {{"padding", p.value},
                          {"stride_d", static_cast<double>(dims[0].stride)},
                          {"stride_h", static_cast<double>(dims[1].stride)},
                          {"stride_w", static_cast<double>(dims[2].stride)},
                          {kActivation, activation_number(a.s("activation"))},
                          {"dilation_d_factor", static_cast<double>(dims[0].dilation)},
                          {"dilation_h_factor", static_cast<double>(dims[1].dilation)},
                          {"dilation_w_factor", static_cast<double>(dims[2].dilation)}});
  c.op("TRANSPOSE", {y, c.i32(kToFirst)}, {c.out()});
}
void read_conv3d(TfliteRead& c) {
  const ValueId x = c.permuted(0, kToFirst), w = c.permuted(1, {4, 3, 0, 1, 2});
  if (c.b.failed()) return;
  const Ints stride{c.i("stride_d"), c.i("stride_h"), c.i("stride_w")};
  const Ints dilation{c.i("dilation_d_factor"), c.i("dilation_h_factor"), c.i("dilation_w_factor")};
  Ints begin(3), end(3);
  for (size_t i = 0; i < 3; ++i) {
    const Pads p = pads_of(c.i("padding"), c.b.shape(x)[i + 2], c.b.shape(w)[i + 2], stride[i], dilation[i]);
    begin[i] = p.begin;
    end[i] = p.end;
  }
  const auto activation = TfliteRead::activation_name(c.i(kActivation));
  const ValueId y = c.b.op("conv3d", {x, w, c.has(2) ? c.in(2) : ValueId{}},
                           {{"stride", stride},
                            {"pad_begin", begin},
                            {"pad_end", end},
                            {"dilation", dilation},
                            {"activation", activation.value_or("none")}});
  const ValueId last = c.transposed(y, kToLast);
  c.ret(activation ? last : c.activated(last, c.i(kActivation)));
}

// Like TRANSPOSE_CONV: the output's size is an operand, and the padding follows from it. Filters are D,H,W,O,I.
void write_transposed3d(TfliteEmit& c) {
  const AttrView a = c.attr();
  if (a.i("groups") != 1) return c.refuse("CONV_3D_TRANSPOSE has no groups");
  if (a.ints("dilation") != Ints{1, 1, 1}) return c.refuse("CONV_3D_TRANSPOSE has no dilation");
  if (a.s("activation") != "none") return c.refuse("CONV_3D_TRANSPOSE has no activation");
  const Shape& o = c.out_shape();
  const Shape out{o[0], o[2], o[3], o[4], o[1]};
  Shape full = out;  // VALID, without cropping
  Ints begin{0, 0, 0, 0, 0};
  for (size_t i = 0; i < 3; ++i) {
    const int64_t span = (c.shape(0)[i + 2] - 1) * a.ints("stride")[i] + c.shape(1)[i + 2];
    begin[i + 1] = a.ints("pad_begin")[i];
    full[i + 1] = std::max(span, begin[i + 1] + out[i + 1]);
  }
  int32_t y =
      c.op("CONV_3D_TRANSPOSE",
           {c.i32(full), c.permuted(1, {2, 3, 4, 1, 0}), c.permuted(0, kToLast), c.bias(2, o[1], c.out_dtype())},
           c.out_dtype(), full,
           {{"padding", kValid},
            {"stride_d", static_cast<double>(a.ints("stride")[0])},
            {"stride_h", static_cast<double>(a.ints("stride")[1])},
            {"stride_w", static_cast<double>(a.ints("stride")[2])}});
  if (full != out) y = c.op("SLICE", {y, c.i32(begin), c.i32(out)}, c.out_dtype(), out);
  c.op("TRANSPOSE", {y, c.i32(kToFirst)}, {c.out()});
}
void read_transposed3d(TfliteRead& c) {
  const Ints out = c.const_ints(0);
  const ValueId w = c.permuted(1, {4, 3, 0, 1, 2}), x = c.permuted(2, kToFirst);
  if (c.b.failed()) return;
  const Shape in = c.b.shape(x);
  if (in.size() != 5 || out.size() != 5) {
    return c.fail(Diag(diag::shape_mismatch,
                       fmt::format("input {} and output {} must have rank 5", to_string(in), to_string(out))));
  }
  const Ints stride{c.i("stride_d"), c.i("stride_h"), c.i("stride_w")};
  Ints begin(3), end(3), extra(3);
  for (size_t i = 0; i < 3; ++i) {
    const int64_t span = (in[i + 2] - 1) * stride[i] + c.b.shape(w)[i + 2];
    const int64_t total = c.i("padding") == static_cast<int64_t>(kSame) ? std::max<int64_t>(span - out[i + 1], 0) : 0;
    begin[i] = total / 2;
    end[i] = total - total / 2;
    extra[i] = out[i + 1] - (span - total);
  }
  const ValueId y = c.b.op("conv_transpose3d", {x, w, c.has(3) ? c.in(3) : ValueId{}},
                           {{"stride", stride}, {"pad_begin", begin}, {"pad_end", end}, {"output_padding", extra}});
  c.ret(c.activated(c.transposed(y, kToLast), c.i(kActivation)));
}

constexpr TfliteRow kRows[] = {
    {.name = "DEPTHWISE_CONV_2D",
     .code = 4,
     .options = &kDepthwiseConv2DOptions,
     .ours = {"conv2d"},
     .version = v_depthwise,
     .types = f32,
     .write = write_depthwise,
     .read = read_depthwise},
    {.name = "CONV_2D",
     .code = 3,
     .options = &kConv2DOptions,
     .ours = {"conv2d"},
     .version = v_conv,
     .types = f32,
     .write = write_conv,
     .read = read_conv},
    {.name = "TRANSPOSE_CONV",
     .code = 67,
     .options = &kTransposeConvOptions,
     .ours = {"conv_transpose2d"},
     .version = v_transposed,
     .types = f32,
     .typed = 2,
     .write = write_transposed,
     .read = read_transposed},
    {.name = "CONV_3D",
     .code = 132,
     .options = &kConv3DOptions,
     .ours = {"conv3d"},
     .types = f32,
     .write = write_conv3d,
     .read = read_conv3d,
     .runtime = "2.5.0"},
    {.name = "CONV_3D_TRANSPOSE",
     .code = 141,
     .options = &kConv3DOptions,
     .ours = {"conv_transpose3d"},
     .types = f32,
     .typed = 2,
     .write = write_transposed3d,
     .read = read_transposed3d,
     .runtime = "2.6.0"},
};

}  // namespace

std::span<const TfliteRow> tflite_conv() { return kRows; }

}  // namespace npuport
