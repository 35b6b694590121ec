#include <fmt/format.h>

#include <filesystem>

#include "app/commands.h"
#include "app/legality.h"
#include "app/prepare_part.h"
#include "base/diag_codes.h"
#include "base/hash.h"
#include "base/text.h"
#include "frontends/tflite.h"
#include "ir/npy.h"
#include "writers/ir_text.h"
#include "writers/tflite_writer.h"
#include "writers/torchscript_writer.h"

namespace npuport::app {
namespace {

namespace fs = std::filesystem;

// Tables and graphs of host steps lie beside the file: x.tflite → x_token_embedding.npy.
Status save_host_steps(const std::string& output, IoContract& contract, std::vector<std::string>& files) {
  const fs::path base = fs::path(output);
  for (HostStep& step : contract.host_steps) {
    step.file = safe_file_name(base.stem().string() + "_" + step.outputs.front()) + (step.table ? ".npy" : ".tflite");
    const std::string path = (base.parent_path() / step.file).string();
    if (step.table) {
      NPU_TRY(write_npy(path, *step.table));
    } else {
      NPU_TRY(write_tflite(*step.graph, path));
    }
    NPU_ASSIGN(step.sha256, sha256_file(path));
    files.push_back(path);
  }
  return {};
}

// What the target still refuses, all at once.
Status check_findings(const Graph& g, const Target& target) {
  const std::vector<Finding> left = check(g, target, format_mapper(target));
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

}  // namespace

CommandResult convert(const App& app, const ConvertArgs& args) {
  const bool text = args.output.ends_with(".txt");
  const bool torch = args.output.ends_with(".pt");
  if (!text && !torch && !args.output.ends_with(".tflite"))
    return Diag(diag::usage, "the output's ending is none of .tflite, .pt and .txt",
                "name it -o MODEL.tflite, .pt for TorchScript, or .txt for IR text")
        .in_file(args.output);
  NPU_ASSIGN(const Target target, load_target(args.target));
  NPU_ASSIGN(const Runnable model, Runnable::open(app, args.model, args.options));
  Graph g = model.model().graph;
  IoContract contract = model.contract();
  Ledger ledger;
  // IR text and TorchScript of the default target hold the graph as imported.
  const bool rewrite = (!text && !torch) || args.target != "generic-tflite";
  if (rewrite) {
    PrepareRequest request{target, {}, {}};
    request.options.io_layout = args.io_layout == "nhwc" ? IoLayout::channels_last : IoLayout::keep;
    request.options.allow_approximate = args.allow_approximate;
    request.options.assume_int32 = args.assume_int32;
    request.options.split_host = args.split_host;
    request.options.preferred = target.prefer;
    NPU_TRY(prepare_graph(app, g, contract, ledger, request));
    NPU_TRY(check_findings(g, target));
  }
  Outcome o;
  size_t operators = g.node_count();
  std::vector<std::string> files;
  if (rewrite) {
    NPU_TRY(save_host_steps(args.output, contract, files));
    set_io_contract(g, contract);
  }
  if (text) {
    NPU_TRY(write_ir_text(g, args.output, files));
  } else if (torch) {
    files.insert(files.begin(), args.output);
    NPU_TRY(write_torchscript(g, args.output, {.sync = false}));
  } else {
    files.insert(files.begin(), args.output);
    TfliteOptions options;
    options.float16 = args.float16;
    options.sync = false;
    NPU_TRY(write_tflite(g, args.output, options));
    NPU_ASSIGN(const FileFacts facts, inspect_tflite(args.output));
    operators = 0;
    for (const auto& [name, count] : facts.operators) operators += static_cast<size_t>(count);
  }
  std::error_code ec;
  const auto bytes = fs::file_size(args.output, ec);
  o.json = Json{{"files", files}, {"bytes", ec ? 0 : bytes}, {"operators", operators}, {"changes", ledger.size()}};
  o.text = fmt::format("{}: {}, {} operators, {} changes\n", args.output, format_bytes(ec ? 0 : bytes), operators,
                       ledger.size());
  return o;
}

}  // namespace npuport::app
