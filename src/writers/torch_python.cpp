// The Python file of a port: one torch.nn.Module per part.
#include <fmt/format.h>

#include "ops/torch.h"
#include "passes/layout.h"
#include "writers/torchscript_writer.h"

namespace npuport {
namespace {

// What a comment may hold of text from a model: printable ASCII, one line.
std::string comment_text(std::string_view s) {
  constexpr size_t longest = 100;
  std::string out;
  for (const char c : s.substr(0, longest)) out += c >= ' ' && c <= '~' ? c : '?';
  return s.size() > longest ? out + "..." : out;
}

std::string type_text(const TensorType& t) {
  std::string dims;
  for (const int64_t d : t.shape) dims += (dims.empty() ? "" : ", ") + std::to_string(d);
  return fmt::format("{} [{}]", long_name(t.dtype), dims);
}

std::string scope_of(const Graph& g, NodeId id) {
  for (const Origin& o : g.node(id).origins) {
    if (!o.scope.empty()) return o.scope;
  }
  return {};
}

struct PartText {
  std::string class_name, body, example;
  bool torchvision = false;
};

std::string forward_text(const Graph& g, const TorchProgram& p) {
  std::string out = "    def forward(self";
  for (const std::string& in : p.inputs) out += ", " + in;
  out += "):\n";
  std::string scope;
  for (const TorchLine& l : p.lines) {
    const std::string here = scope_of(g, l.node);
    if (here != scope) {
      scope = here;
      if (!scope.empty()) out += "        # " + comment_text(scope) + "\n";
    }
    out += "        " + l.text + "\n";
  }
  std::string result;
  for (const std::string& o : p.outputs) result += (result.empty() ? "" : ", ") + o;
  return out + "        return " + result + "\n";
}

Result<PartText> part_text(const TorchModelPart& part) {
  NPU_ASSIGN(const Graph g, channels_first(*part.graph));
  NPU_ASSIGN(const TorchProgram p, torch_program(g, TorchDialect::python));
  PartText t;
  t.class_name = torch_class_name(part.class_name);
  t.torchvision = p.torchvision;
  std::string doc;
  for (size_t i = 0; i < p.inputs.size(); ++i) {
    const TensorType& type = g.type(g.inputs()[i]);
    doc += fmt::format("    {}: {}\n", p.inputs[i], type_text(type));
    t.example += fmt::format("{}torch.zeros({}, dtype=torch.{})", i == 0 ? "" : ", ",
                             TorchEmit::text(std::span<const int64_t>(type.shape)), long_name(type.dtype));
  }
  std::string gives;
  for (const ValueId v : g.outputs()) gives += (gives.empty() ? "" : ", ") + type_text(g.type(v));
  t.body = fmt::format(
      "class {}(torch.nn.Module):\n"
      "    \"\"\"Takes\n\n{}\n    and gives {}.\n    \"\"\"\n\n"
      "    def __init__(self, weights=FOLDER / {}):\n"
      "        super().__init__()\n"
      "        load_weights(self, weights)\n\n",
      t.class_name, doc, gives, TorchEmit::quoted(part.weights));
  t.body += forward_text(g, p);
  return t;
}

}  // namespace

Result<std::string> torch_model_source(const std::string& title, const std::vector<TorchModelPart>& parts) {
  std::string classes, trial;
  bool torchvision = false;
  for (const TorchModelPart& part : parts) {
    NPU_ASSIGN(const PartText t, part_text(part));
    classes += "\n\n" + t.body;
    trial += fmt::format("    show({}()({}))\n", t.class_name, t.example);
    torchvision = torchvision || t.torchvision;
  }
  std::string out = fmt::format(
      "\"\"\"{}: the model as it was rewritten for the device, as PyTorch code. Written by npuport.\n\n"
      "The weights lie in the TorchScript archives beside this file.\n"
      "\"\"\"\n"
      "import pathlib\n\nimport torch\nimport torch.nn.functional as F\n",
      comment_text(torch_identifier(title)));
  if (torchvision) out += "import torchvision  # registers operators that are used below\n";
  out +=
      "\naten = torch.ops.aten\n"
      "FOLDER = pathlib.Path(__file__).resolve().parent\n\n\n"
      "def load_weights(module, archive):\n"
      "    \"\"\"Takes over every weight of a TorchScript archive under its own name.\"\"\"\n"
      "    for name, value in torch.jit.load(str(archive), map_location=\"cpu\").state_dict().items():\n"
      "        module.register_buffer(name, value)\n";
  out += classes;
  out +=
      "\n\ndef show(results):\n"
      "    for result in results if isinstance(results, tuple) else (results,):\n"
      "        print(list(result.shape), result.dtype)\n\n\n"
      "if __name__ == \"__main__\":\n" +
      (trial.empty() ? "    pass\n" : trial);
  return out;
}

}  // namespace npuport
