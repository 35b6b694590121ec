#include "app/port_torch.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/port_proof.h"
#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "base/text.h"
#include "ops/torch.h"
#include "passes/io_contract.h"
#include "writers/torchscript_writer.h"

namespace npuport::app {
namespace {

Status write_script(PortContext& c, const PartRun& p, const std::string& archive, PortStep& s) {
  std::vector<TensorType> inputs;
  for (const ValueId v : p.rewritten.inputs()) inputs.push_back(p.rewritten.type(v));
  const std::string output = fmt::format("{}_{}_{}_mtk.tflite", p.spec->name, c.run.project.name, p.shape_tag);
  const std::string relative = "scripts/step2_torchscript_to_tflite_" + safe_file_name(p.spec->name) + ".py";
  NPU_TRY(make_folders(c.run.path("scripts")));
  NPU_TRY(write_file(c.run.path(relative), mtk_script(p.spec->name, archive, output, inputs)));
  s.files.push_back(relative);
  return {};
}

// False when PyTorch has no form for an operator of the part.
Result<bool> write_archive(PortContext& c, PartRun& p, const std::string& archive, PortStep& s) {
  Graph g = p.rewritten;
  g.name = p.spec->name;
  const std::string relative = "models/" + archive;
  const Status written = write_torchscript(g, c.run.path(relative));
  if (!written) {
    if (written.error().code != &diag::not_representable) return written.error();
    Diag d = written.error();
    d.severity = Severity::warning;
    d.message = relative + " is left out: " + d.message;
    s.problems.push_back(std::move(d));
    return false;
  }
  s.files.push_back(relative);
  NPU_TRY(prove_read_back(c, p, c.run.path(relative), "TorchScript read back = rewritten", s));
  return true;
}

}  // namespace

std::string mtk_script(const std::string& part, const std::string& archive, const std::string& output,
                       const std::vector<TensorType>& inputs) {
  std::string shapes, types;
  for (const TensorType& t : inputs) {
    shapes += (shapes.empty() ? "" : ", ") + TorchEmit::text(std::span<const int64_t>(t.shape));
    types += fmt::format("{}torch.{}", types.empty() ? "" : ", ", long_name(t.dtype));
  }
  return fmt::format(
      "\"\"\"TorchScript to TFLite with MediaTek's converter: part {}.\n\n"
      "Needs an interpreter with mtk_converter (NeuroPilot SDK) and the PyTorch it asks for.\n"
      "\"\"\"\n"
      "import pathlib\n\nimport mtk_converter\nimport torch\n\n"
      "MODELS = pathlib.Path(__file__).resolve().parent.parent / \"models\"\n\n"
      "converter = mtk_converter.PyTorchConverter.from_script_module_file(\n"
      "    str(MODELS / {}),\n"
      "    input_shapes=[{}],\n"
      "    input_types=[{}],\n"
      ")\n"
      "converter.quantize = False\n"
      "converter.convert_to_tflite(\n"
      "    output_file=str(MODELS / {}),\n"
      "    tflite_op_export_spec=\"npsdk_v5\",\n"
      ")\n",
      torch_identifier(part), TorchEmit::quoted(archive), shapes, types, TorchEmit::quoted(output));
}

Status write_torch_files(PortContext& c, PortStep& s) {
  std::vector<Graph> graphs;
  std::vector<TorchModelPart> parts;
  graphs.reserve(c.run.parts.size());  // parts point into it
  for (PartRun& p : c.run.parts) {
    const std::string archive = safe_file_name(p.spec->name) + ".pt";
    NPU_ASSIGN(const bool written, write_archive(c, p, archive, s));
    if (!written) continue;
    if (c.run.target.compiler.driver == "ncc-tflite") NPU_TRY(write_script(c, p, archive, s));
    graphs.push_back(p.rewritten);
    parts.push_back({&graphs.back(), p.spec->name, archive});
  }
  if (parts.empty()) return {};
  NPU_ASSIGN(const std::string source, torch_model_source(c.run.project.name, parts));
  const std::string relative = "models/" + safe_file_name(c.run.project.name) + "_model.py";
  NPU_TRY(write_file(c.run.path(relative), source));
  s.files.push_back(relative);
  return {};
}

}  // namespace npuport::app
