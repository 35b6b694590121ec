// The options tables of the format that rows use: field names, slots and defaults as in the schema.
#pragma once

#include "ops/tflite.h"

namespace npuport::tfl {

#define NPU_TFL_FIELDS(name) inline constexpr TfliteField k##name##Fields[]
#define NPU_TFL_TYPE(name, number) \
  inline constexpr TfliteOptionsType k##name { #name, number, k##name##Fields }
#define NPU_TFL_EMPTY(name, number) \
  inline constexpr TfliteOptionsType k##name { #name, number }

inline constexpr std::string_view kActivation = "fused_activation_function";

NPU_TFL_FIELDS(Conv2DOptions) = {{"padding", 0, TfliteKind::i8},
                                 {"stride_w", 1, TfliteKind::i32},
                                 {"stride_h", 2, TfliteKind::i32},
                                 {kActivation, 3, TfliteKind::i8},
                                 {"dilation_w_factor", 4, TfliteKind::i32, 1},
                                 {"dilation_h_factor", 5, TfliteKind::i32, 1}};
NPU_TFL_TYPE(Conv2DOptions, 1);
NPU_TFL_FIELDS(DepthwiseConv2DOptions) = {{"padding", 0, TfliteKind::i8},
                                          {"stride_w", 1, TfliteKind::i32},
                                          {"stride_h", 2, TfliteKind::i32},
                                          {"depth_multiplier", 3, TfliteKind::i32},
                                          {kActivation, 4, TfliteKind::i8},
                                          {"dilation_w_factor", 5, TfliteKind::i32, 1},
                                          {"dilation_h_factor", 6, TfliteKind::i32, 1}};
NPU_TFL_TYPE(DepthwiseConv2DOptions, 2);
NPU_TFL_FIELDS(Pool2DOptions) = {{"padding", 0, TfliteKind::i8},        {"stride_w", 1, TfliteKind::i32},
                                 {"stride_h", 2, TfliteKind::i32},      {"filter_width", 3, TfliteKind::i32},
                                 {"filter_height", 4, TfliteKind::i32}, {kActivation, 5, TfliteKind::i8}};
NPU_TFL_TYPE(Pool2DOptions, 5);
NPU_TFL_FIELDS(FullyConnectedOptions) = {
    {kActivation, 0, TfliteKind::i8}, {"weights_format", 1, TfliteKind::i8}, {"keep_num_dims", 2, TfliteKind::boolean}};
NPU_TFL_TYPE(FullyConnectedOptions, 8);
NPU_TFL_FIELDS(SoftmaxOptions) = {{"beta", 0, TfliteKind::f32}};
NPU_TFL_TYPE(SoftmaxOptions, 9);
NPU_TFL_FIELDS(ConcatenationOptions) = {{"axis", 0, TfliteKind::i32}, {kActivation, 1, TfliteKind::i8}};
NPU_TFL_TYPE(ConcatenationOptions, 10);
NPU_TFL_FIELDS(AddOptions) = {{kActivation, 0, TfliteKind::i8}, {"pot_scale_int16", 1, TfliteKind::boolean, 1}};
NPU_TFL_TYPE(AddOptions, 11);
NPU_TFL_FIELDS(L2NormOptions) = {{kActivation, 0, TfliteKind::i8}};
NPU_TFL_TYPE(L2NormOptions, 12);
NPU_TFL_FIELDS(ResizeBilinearOptions) = {{"align_corners", 2, TfliteKind::boolean},
                                         {"half_pixel_centers", 3, TfliteKind::boolean}};
NPU_TFL_TYPE(ResizeBilinearOptions, 15);
NPU_TFL_FIELDS(ReshapeOptions) = {{"new_shape", 0, TfliteKind::i32s}};
NPU_TFL_TYPE(ReshapeOptions, 17);
NPU_TFL_FIELDS(SpaceToDepthOptions) = {{"block_size", 0, TfliteKind::i32}};
NPU_TFL_TYPE(SpaceToDepthOptions, 19);
NPU_TFL_FIELDS(MulOptions) = {{kActivation, 0, TfliteKind::i8}};
NPU_TFL_TYPE(MulOptions, 21);
NPU_TFL_EMPTY(PadOptions, 22);
NPU_TFL_FIELDS(GatherOptions) = {{"axis", 0, TfliteKind::i32}, {"batch_dims", 1, TfliteKind::i32}};
NPU_TFL_TYPE(GatherOptions, 23);
NPU_TFL_EMPTY(BatchToSpaceNDOptions, 24);
NPU_TFL_EMPTY(SpaceToBatchNDOptions, 25);
NPU_TFL_EMPTY(TransposeOptions, 26);
NPU_TFL_FIELDS(ReducerOptions) = {{"keep_dims", 0, TfliteKind::boolean}};
NPU_TFL_TYPE(ReducerOptions, 27);
NPU_TFL_FIELDS(SubOptions) = {{kActivation, 0, TfliteKind::i8}, {"pot_scale_int16", 1, TfliteKind::boolean, 1}};
NPU_TFL_TYPE(SubOptions, 28);
NPU_TFL_FIELDS(DivOptions) = {{kActivation, 0, TfliteKind::i8}};
NPU_TFL_TYPE(DivOptions, 29);
NPU_TFL_FIELDS(SqueezeOptions) = {{"squeeze_dims", 0, TfliteKind::i32s}};
NPU_TFL_TYPE(SqueezeOptions, 30);
NPU_TFL_FIELDS(StridedSliceOptions) = {{"begin_mask", 0, TfliteKind::i32},       {"end_mask", 1, TfliteKind::i32},
                                       {"ellipsis_mask", 2, TfliteKind::i32},    {"new_axis_mask", 3, TfliteKind::i32},
                                       {"shrink_axis_mask", 4, TfliteKind::i32}, {"offset", 5, TfliteKind::boolean}};
NPU_TFL_TYPE(StridedSliceOptions, 32);
NPU_TFL_EMPTY(ExpOptions, 33);
NPU_TFL_EMPTY(TopKV2Options, 34);
NPU_TFL_FIELDS(SplitOptions) = {{"num_splits", 0, TfliteKind::i32}};
NPU_TFL_TYPE(SplitOptions, 35);
NPU_TFL_EMPTY(LogSoftmaxOptions, 36);
NPU_TFL_FIELDS(CastOptions) = {{"in_data_type", 0, TfliteKind::i8}, {"out_data_type", 1, TfliteKind::i8}};
NPU_TFL_TYPE(CastOptions, 37);
NPU_TFL_EMPTY(DequantizeOptions, 38);
NPU_TFL_EMPTY(MaximumMinimumOptions, 39);
NPU_TFL_FIELDS(ArgMaxOptions) = {{"output_type", 0, TfliteKind::i8}};
NPU_TFL_TYPE(ArgMaxOptions, 40);
NPU_TFL_EMPTY(LessOptions, 41);
NPU_TFL_EMPTY(NegOptions, 42);
NPU_TFL_EMPTY(PadV2Options, 43);
NPU_TFL_EMPTY(GreaterOptions, 44);
NPU_TFL_EMPTY(GreaterEqualOptions, 45);
NPU_TFL_EMPTY(LessEqualOptions, 46);
NPU_TFL_EMPTY(SelectOptions, 47);
NPU_TFL_EMPTY(SliceOptions, 48);
NPU_TFL_FIELDS(TransposeConvOptions) = {{"padding", 0, TfliteKind::i8},
                                        {"stride_w", 1, TfliteKind::i32},
                                        {"stride_h", 2, TfliteKind::i32},
                                        {kActivation, 3, TfliteKind::i8}};
NPU_TFL_TYPE(TransposeConvOptions, 49);
NPU_TFL_EMPTY(TileOptions, 51);
NPU_TFL_EMPTY(ExpandDimsOptions, 52);
NPU_TFL_EMPTY(EqualOptions, 53);
NPU_TFL_EMPTY(NotEqualOptions, 54);
NPU_TFL_FIELDS(ShapeOptions) = {{"out_type", 0, TfliteKind::i8}};
NPU_TFL_TYPE(ShapeOptions, 55);
NPU_TFL_EMPTY(PowOptions, 56);
NPU_TFL_FIELDS(ArgMinOptions) = {{"output_type", 0, TfliteKind::i8}};
NPU_TFL_TYPE(ArgMinOptions, 57);
NPU_TFL_FIELDS(PackOptions) = {{"values_count", 0, TfliteKind::i32}, {"axis", 1, TfliteKind::i32}};
NPU_TFL_TYPE(PackOptions, 59);
NPU_TFL_EMPTY(LogicalOrOptions, 60);
NPU_TFL_FIELDS(OneHotOptions) = {{"axis", 0, TfliteKind::i32}};
NPU_TFL_TYPE(OneHotOptions, 61);
NPU_TFL_EMPTY(LogicalAndOptions, 62);
NPU_TFL_EMPTY(LogicalNotOptions, 63);
NPU_TFL_FIELDS(UnpackOptions) = {{"num", 0, TfliteKind::i32}, {"axis", 1, TfliteKind::i32}};
NPU_TFL_TYPE(UnpackOptions, 64);
NPU_TFL_EMPTY(FloorDivOptions, 65);
NPU_TFL_EMPTY(SquareOptions, 66);
NPU_TFL_EMPTY(ZerosLikeOptions, 67);
NPU_TFL_EMPTY(FillOptions, 68);
NPU_TFL_EMPTY(FloorModOptions, 72);
NPU_TFL_EMPTY(RangeOptions, 73);
NPU_TFL_FIELDS(ResizeNearestNeighborOptions) = {{"align_corners", 0, TfliteKind::boolean},
                                                {"half_pixel_centers", 1, TfliteKind::boolean}};
NPU_TFL_TYPE(ResizeNearestNeighborOptions, 74);
NPU_TFL_FIELDS(LeakyReluOptions) = {{"alpha", 0, TfliteKind::f32}};
NPU_TFL_TYPE(LeakyReluOptions, 75);
NPU_TFL_EMPTY(SquaredDifferenceOptions, 76);
NPU_TFL_FIELDS(MirrorPadOptions) = {{"mode", 0, TfliteKind::i8}};
NPU_TFL_TYPE(MirrorPadOptions, 77);
NPU_TFL_EMPTY(AbsOptions, 78);
NPU_TFL_FIELDS(SplitVOptions) = {{"num_splits", 0, TfliteKind::i32}};
NPU_TFL_TYPE(SplitVOptions, 79);
NPU_TFL_EMPTY(ReverseV2Options, 81);
NPU_TFL_EMPTY(AddNOptions, 82);
NPU_TFL_EMPTY(GatherNdOptions, 83);
NPU_TFL_EMPTY(CosOptions, 84);
NPU_TFL_EMPTY(RankOptions, 86);
NPU_TFL_EMPTY(HardSwishOptions, 91);
NPU_TFL_FIELDS(DepthToSpaceOptions) = {{"block_size", 0, TfliteKind::i32}};
NPU_TFL_TYPE(DepthToSpaceOptions, 94);
NPU_TFL_EMPTY(ScatterNdOptions, 97);
NPU_TFL_EMPTY(SelectV2Options, 98);
NPU_TFL_FIELDS(BatchMatMulOptions) = {{"adj_x", 0, TfliteKind::boolean}, {"adj_y", 1, TfliteKind::boolean}};
NPU_TFL_TYPE(BatchMatMulOptions, 101);
NPU_TFL_FIELDS(CumsumOptions) = {{"exclusive", 0, TfliteKind::boolean}, {"reverse", 1, TfliteKind::boolean}};
NPU_TFL_TYPE(CumsumOptions, 102);
NPU_TFL_EMPTY(BroadcastToOptions, 104);
NPU_TFL_FIELDS(Conv3DOptions) = {{"padding", 0, TfliteKind::i8},
                                 {"stride_d", 1, TfliteKind::i32},
                                 {"stride_w", 2, TfliteKind::i32},
                                 {"stride_h", 3, TfliteKind::i32},
                                 {kActivation, 4, TfliteKind::i8},
                                 {"dilation_d_factor", 5, TfliteKind::i32, 1},
                                 {"dilation_w_factor", 6, TfliteKind::i32, 1},
                                 {"dilation_h_factor", 7, TfliteKind::i32, 1}};
NPU_TFL_TYPE(Conv3DOptions, 106);
NPU_TFL_FIELDS(GeluOptions) = {{"approximate", 0, TfliteKind::boolean}};
NPU_TFL_TYPE(GeluOptions, 116);
NPU_TFL_EMPTY(ATan2Options, 122);
NPU_TFL_EMPTY(SignOptions, 123);
NPU_TFL_EMPTY(BitwiseXorOptions, 125);
NPU_TFL_EMPTY(RightShiftOptions, 126);

#undef NPU_TFL_FIELDS
#undef NPU_TFL_TYPE
#undef NPU_TFL_EMPTY

// Fused activations by number of ActivationFunctionType, in our words.
inline constexpr std::string_view kActivations[] = {"none", "relu", "relu_n1_to_1", "relu6"};
inline double activation_number(const std::string& name) {
  for (size_t i = 0; i < std::size(kActivations); ++i) {
    if (kActivations[i] == name) return static_cast<double>(i);
  }
  return 0;
}

inline constexpr double kSame = 0, kValid = 1;  // enum Padding

}  // namespace npuport::tfl
