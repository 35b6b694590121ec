#include "app/port_torch.h"

#include <gtest/gtest.h>

namespace npuport::app {
namespace {

TEST(PortTorchTest, ConverterScriptIsTheDocumentedCall) {
  const std::string script = mtk_script("en\"coder\nimport os", "a\"b.pt", "out.tflite",
                                        {{DType::f32, {1, 80, 3000}, nullptr}, {DType::i32, {1, 4}, nullptr}});
  EXPECT_EQ(script, R"py("""TorchScript to TFLite with MediaTek's converter: part en_coder_import_os.

Needs an interpreter with mtk_converter (NeuroPilot SDK) and the PyTorch it asks for.
"""
import pathlib

import mtk_converter
import torch

MODELS = pathlib.Path(__file__).resolve().parent.parent / "models"

converter = mtk_converter.PyTorchConverter.from_script_module_file(
    str(MODELS / "a\"b.pt"),
    input_shapes=[[1, 80, 3000], [1, 4]],
    input_types=[torch.float32, torch.int32],
)
converter.quantize = False
converter.convert_to_tflite(
    output_file=str(MODELS / "out.tflite"),
    tflite_op_export_spec="npsdk_v5",
)
)py");
}

}  // namespace
}  // namespace npuport::app
