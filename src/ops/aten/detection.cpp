// torchvision's detection operators.
#include "base/diag_codes.h"
#include "ops/aten.h"

namespace npuport {
namespace {

void roi_align(AtenCall& c) {
  c.ret(c.b.op("roi_align", {c.tensor("input"), c.tensor("rois")},
               {{"output_size", Ints{c.i("pooled_height"), c.i("pooled_width")}},
                {"spatial_scale", c.f("spatial_scale")},
                {"sampling_ratio", c.i("sampling_ratio")},
                {"aligned", c.flag("aligned")}}));
}

void deform_conv2d(AtenCall& c) {
  const Ints pad{c.i("pad_h"), c.i("pad_w")};
  c.ret(c.b.op("deform_conv2d",
               {c.tensor("input"), c.tensor("weight"), c.tensor("offset"),
                c.flag("use_mask") ? c.tensor("mask") : ValueId{}, c.tensor("bias")},
               {{"stride", Ints{c.i("stride_h"), c.i("stride_w")}},
                {"pad_begin", pad},
                {"pad_end", pad},
                {"dilation", Ints{c.i("dilation_h"), c.i("dilation_w")}},
                {"groups", c.i("groups")},
                {"offset_groups", c.i("offset_groups")}}));
}

void nms(AtenCall& c) {
  c.fail(Diag(diag::data_dependent, "torchvision::nms returns as many boxes as the data decides",
              "End the exported model before it and select the boxes on the host."));
}

constexpr AtenRow kRows[] = {
    {.schema = "torchvision::roi_align(Tensor input, Tensor rois, float spatial_scale, int pooled_height, int "
               "pooled_width, int sampling_ratio, bool aligned) -> Tensor",
     .fn = roi_align},
    {.schema = "torchvision::deform_conv2d(Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, int "
               "stride_h, int stride_w, int pad_h, int pad_w, int dilation_h, int dilation_w, int groups, int "
               "offset_groups, bool use_mask) -> Tensor",
     .fn = deform_conv2d},
    {.schema = "torchvision::nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor", .fn = nms},
};

}  // namespace

std::span<const AtenRow> aten_detection() { return kRows; }

}  // namespace npuport
