#include <fmt/format.h>

#include <filesystem>

#include "app/commands.h"
#include "app/model_file.h"
#include "app/prepare_part.h"
#include "app/rewrites_file.h"
#include "base/diag_codes.h"
#include "base/hash.h"
#include "base/text.h"
#include "ir/npy.h"
#include "target/legality.h"
#include "writers/ir_text.h"
#include "writers/torchscript_writer.h"

namespace npuport::app {
namespace {

namespace fs = std::filesystem;

// Tables and graphs of host steps lie beside the file: x.tflite → x_token_embedding.npy.
Status save_host_steps(const App& app, const ConvertArgs& args, const Target& target, IoContract& contract,
                       std::vector<std::string>& files) {
  const std::string& output = args.output;
  const fs::path base = fs::path(output);
  for (HostStep& step : contract.host_steps) {
    step.file = safe_file_name(base.stem().string() + "_" + step.outputs.front()) +
                (step.table ? ".npy" : model_ending(target));
    const std::string path = (base.parent_path() / step.file).string();
    if (step.table) {
      NPU_TRY(write_npy(path, *step.table));
    } else {
      NPU_TRY(write_model_file(app, *step.graph, path, {.opset = target.opset}));
    }
    NPU_ASSIGN(step.sha256, sha256_file(path));
    files.push_back(path);
  }
  return {};
}

// What the target still refuses, all at once.
Status check_findings(const Graph& g, const Target& target, const std::vector<Finding>& left) {
  if (left.empty()) return {};
  Diag d(diag::illegal_for_target, fmt::format("{} findings are left for {}", left.size(), target.title),
         "`npuport analyze` shows each with its reason; --split-host or --allow-approximate may allow more rewrites");
  for (const Finding& f : left) {
    Diag note = f.to_diag(g);
    note.severity = Severity::note;
    d.with_note(std::move(note));
  }
  return d;
}

// The one named, or the generic one of the output's format.
Result<Target> chosen_target(const ConvertArgs& args) {
  const bool onnx = args.output.ends_with(".onnx"), tflite = args.output.ends_with(".tflite");
  const bool unnamed = args.target == "generic-tflite";
  NPU_ASSIGN(Target target, load_target(onnx && unnamed ? "generic-onnx" : args.target));
  if ((onnx || tflite) && !args.output.ends_with(model_ending(target)))
    return Diag(diag::usage, "target " + target.name + " takes " + model_ending(target) + " files",
                "name it -o MODEL" + model_ending(target) + ", or leave --target out")
        .in_file(args.output);
  if (onnx && args.io_layout == "nhwc")
    return Diag(diag::usage, "ONNX operators are NCHW: --io-layout nhwc is for .tflite");
  if (args.opset != 0 && !onnx) return Diag(diag::usage, "--opset is for .onnx");
  NPU_TRY(choose_opset(target, args.opset));
  return target;
}

}  // namespace

CommandResult convert(const App& app, const ConvertArgs& args) {
  const bool text = args.output.ends_with(".txt");
  const bool torch = args.output.ends_with(".pt"), onnx = args.output.ends_with(".onnx");
  if (!text && !torch && !onnx && !args.output.ends_with(".tflite"))
    return Diag(diag::usage, "the output's ending is none of .tflite, .onnx, .pt and .txt",
                "name it -o MODEL.tflite, .onnx, .pt for TorchScript, or .txt for IR text")
        .in_file(args.output);
  NPU_ASSIGN(Target target, chosen_target(args));
  NPU_ASSIGN(Runnable model, Runnable::open(app, args.model, args.options));
  IoContract contract = model.contract();
  Graph g = std::move(model).take_graph();
  Ledger ledger;
  std::vector<std::string> tries;  // opsets given up
  // IR text and TorchScript of the default target hold the graph as imported.
  const bool rewrite = (!text && !torch) || args.target != "generic-tflite" || !args.rewrites.empty();
  if (rewrite) {
    PrepareRequest request{target, {}, {}};
    request.options.io_layout = args.io_layout == "nhwc" ? IoLayout::channels_last : IoLayout::keep;
    request.options.allow_approximate = args.allow_approximate;
    request.options.assume_int32 = args.assume_int32;
    request.options.split_host = args.split_host;
    request.options.preferred = target.prefer;
    NPU_ASSIGN(request.options.rewrites, read_rewrites(args.rewrites));
    request.measure = request.options.rewrites != nullptr;
    request.import_again = [&]() -> Result<Graph> {
      NPU_ASSIGN(Runnable again, Runnable::open(app, args.model, args.options));
      return std::move(again).take_graph();
    };
    NPU_ASSIGN(Fit fit, fit_graph(app, g, contract, ledger, request));
    NPU_TRY(check_findings(g, target, fit.left));
    target = at_opset(target, fit.opset);
    tries = std::move(fit.tries);
  }
  Outcome o;
  size_t operators = g.node_count();
  int opset = 0;
  std::vector<std::string> files;
  if (rewrite) {
    NPU_TRY(save_host_steps(app, args, target, contract, files));
    set_io_contract(g, contract);
  }
  if (text) {
    NPU_TRY(write_ir_text(g, args.output, files));
  } else if (torch) {
    files.insert(files.begin(), args.output);
    NPU_TRY(write_torchscript(g, args.output, {.sync = false}));
  } else {
    ModelFileOptions options{args.float16, target.opset, false};
    NPU_ASSIGN(const ModelFile written, write_model_file(app, g, args.output, options));
    files.insert(files.begin(), written.files.begin(), written.files.end());
    operators = written.operators;
    opset = written.opset;
  }
  std::error_code ec;
  const auto bytes = fs::file_size(args.output, ec);
  o.json = Json{{"files", files}, {"bytes", ec ? 0 : bytes}, {"operators", operators}, {"changes", ledger.size()}};
  if (opset != 0) o.json["opset"] = opset;
  if (!tries.empty()) o.json["opset_tries"] = tries;
  o.text = fmt::format("{}: {}, {} operators, {} changes\n", args.output, format_bytes(ec ? 0 : bytes), operators,
                       ledger.size());
  return o;
}

}  // namespace npuport::app
