#include "frontends/torch/checkpoint.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <unordered_set>

#include "base/diag_codes.h"
#include "base/text.h"
#include "frontends/torch/archive.h"
#include "frontends/torch/script_code.h"
#include "frontends/torch/script_inputs.h"
#include "frontends/torch/weights.h"

namespace npuport {
namespace {

using Kind = PickleValue::Kind;

// kMaxSupportedFileFormatVersion of PyTorch 1.8, the newest that mtk_converter 7 works with.
constexpr int64_t kTorch18Format = 5;

// Functions no checkpoint needs: their presence means somebody wants code to run.
bool is_suspicious(std::string_view called) {
  for (const std::string_view module :
       {"os.",        "posix.",   "nt.",    "subprocess.", "sys.",        "socket.",   "shutil.",
        "importlib.", "runpy.",   "pty.",   "ctypes.",     "webbrowser.", "commands.", "code.",
        "pickle.",    "marshal.", "types.", "operator.",   "functools.",  "builtins.", "__builtin__."})
    if (called.starts_with(module)) return true;
  return false;
}

// How often each class occurs among the modules of a full module.
std::map<std::string, int64_t> module_classes(const PickleValue& root) {
  std::map<std::string, int64_t> classes;
  std::unordered_set<const PickleValue*> seen;
  std::vector<const PickleValue*> open{&root};
  while (!open.empty()) {
    const PickleValue* v = open.back();
    open.pop_back();
    if (!is_full_module(*v) || !seen.insert(v).second) continue;
    ++classes[v->text];
    for (const auto& [key, child] : v->find("_modules")->entries) open.push_back(child);
  }
  return classes;
}

std::string common_prefix(const std::vector<WeightEntry>& weights) {
  for (const std::string_view prefix : {"module.", "_orig_mod.", "model."})
    if (!weights.empty() && std::ranges::all_of(weights, [&](const auto& w) { return w.name.starts_with(prefix); }))
      return std::string(prefix);
  return {};
}

std::vector<std::string> other_keys(const PickleValue& root, const CheckpointModel& model) {
  std::vector<std::string> keys;
  if (model.path.empty() || !root.is(Kind::dict)) return keys;
  const std::string used = model.path.substr(0, model.path.find('.'));
  for (const auto& [key, value] : root.entries)
    if (key->is(Kind::string) && key->text != used) keys.push_back(key->text);
  return keys;
}

void add_weights(FileFacts& facts, const std::vector<WeightEntry>& weights) {
  const WeightCount parameters = count_weights(weights, false);
  const WeightCount buffers = count_weights(weights, true);
  facts.parameters = parameters.elements;
  facts.parameter_bytes = parameters.bytes;
  facts.properties.emplace_back("tensors", std::to_string(weights.size()));
  if (buffers.elements > 0) facts.properties.emplace_back("buffer elements", std::to_string(buffers.elements));
  std::map<std::string, int64_t> types;
  for (const WeightEntry& w : weights) ++types[w.value->tensor->storage.dtype_name];
  std::vector<std::string> parts;
  for (const auto& [type, count] : types) parts.push_back(fmt::format("{} ({})", type, count));
  if (!parts.empty()) facts.properties.emplace_back("element types", join(parts, ", "));
}

void add_checkpoint_facts(FileFacts& facts, const TorchArchive& archive, const CheckpointModel& model) {
  const auto weights = collect_weights(*model.value);
  add_weights(facts, weights);
  if (!model.path.empty()) facts.properties.emplace_back("model under key", model.path);
  if (const std::string prefix = common_prefix(weights); !prefix.empty())
    facts.properties.emplace_back("key prefix", prefix);
  if (const int64_t channels = guess_input_channels(weights); channels > 0)
    facts.properties.emplace_back("input channels", std::to_string(channels));
  const auto others = other_keys(archive.data(), model);
  for (const std::string& key : others)
    if (key.find("ema") != std::string::npos) facts.properties.emplace_back("averaged weights", key);
  if (!others.empty()) facts.properties.emplace_back("also holds", join(others, ", "));
  if (!model.full_module) return;
  facts.properties.emplace_back("class", model.value->text);
  for (const auto& [name, count] : module_classes(*model.value)) facts.operators.emplace_back(name, count);
}

void warn_of_calls(FileFacts& facts, const TorchArchive& archive) {
  for (const std::string& called : archive.data_pickle().called) {
    if (!is_suspicious(called)) continue;
    Diag warning(diag::unsafe_pickle, fmt::format("loading this file in Python would call {}", called),
                 "do not load it with torch.load unless you trust its author");
    warning.severity = Severity::warning;
    facts.warnings.push_back(std::move(warning.in_file(archive.path())));
  }
}

FileFacts open_facts(const TorchArchive& archive) {
  FileFacts facts;
  facts.file_bytes = archive.file_bytes();
  facts.warnings = archive.warnings();
  facts.properties.emplace_back("byte order", archive.big_endian() ? "big" : "little");
  return facts;
}

// Counts "torch.name(" in TorchScript source; "ops.space.name(" are operators outside ATen.
void count_calls(std::string_view code, std::map<std::string, int64_t>& calls) {
  const auto is_name = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
  };
  const auto scan = [&](std::string_view start, std::string_view space) {
    for (size_t at = code.find(start); at != std::string_view::npos; at = code.find(start, at + 1)) {
      if (at > 0 && is_name(code[at - 1])) continue;
      size_t end = at + start.size();
      while (end < code.size() && is_name(code[end])) ++end;
      if (end == code.size() || code[end] != '(') continue;
      std::string name(code.substr(at + start.size(), end - at - start.size()));
      // torch.jit.annotate and such are no operators.
      if (name.starts_with("jit.") || name.starts_with("classes.")) continue;
      const size_t dot = name.find('.');
      if (space.empty() && dot != std::string::npos) name.replace(dot, 1, "::");
      ++calls[std::string(space) + name];
    }
  };
  scan("torch.", "aten::");
  scan("ops.", "");
}

// The arguments of forward(). Code that does not parse is the importer's to report.
Status add_inputs(FileFacts& facts, const TorchArchive& archive) {
  facts.inputs_complete = false;
  CodeLibrary code(archive);
  const Result<const ClassInfo*> root = code.find_class(archive.data().text);
  const script::Function* forward = root && *root ? (*root)->def->method("forward") : nullptr;
  if (!forward) return {};
  NPU_ASSIGN(const PickleValue* traced, archive.traced_inputs());
  SignatureInputs found = signature_inputs(*forward, traced ? traced->find("forward") : nullptr);
  facts.inputs = std::move(found.inputs);
  facts.inputs_complete = found.complete;
  return {};
}

}  // namespace

bool accepts_checkpoint(const std::string& path) {
  const auto kind = sniff_torch_file(path);
  return kind == TorchFileKind::checkpoint || kind == TorchFileKind::legacy_checkpoint;
}

bool accepts_torchscript(const std::string& path) { return sniff_torch_file(path) == TorchFileKind::torchscript; }

Result<FileFacts> inspect_checkpoint(const std::string& path) {
  NPU_ASSIGN(const TorchArchive archive, TorchArchive::open(path));
  FileFacts facts = open_facts(archive);
  facts.properties.emplace_back("container",
                                archive.kind() == TorchFileKind::checkpoint ? "zip" : "pickle (before 1.6)");
  warn_of_calls(facts, archive);
  const CheckpointModel model = find_model(archive.data());
  if (!model.value) {
    facts.format = "checkpoint";
    facts.detail = fmt::format("Saved by torch.save, but no model: {}.", describe(archive.data()));
    return facts;
  }
  facts.format = model.full_module ? "checkpoint-full-module" : "checkpoint-state-dict";
  facts.detail = model.full_module ? "Checkpoint: full module (no template required)."
                                   : "Checkpoint: state_dict only (template required).";
  add_checkpoint_facts(facts, archive, model);
  return facts;
}

Result<FileFacts> inspect_torchscript(const std::string& path) {
  NPU_ASSIGN(const TorchArchive archive, TorchArchive::open(path));
  FileFacts facts = open_facts(archive);
  facts.format = "torchscript";
  facts.detail = fmt::format("TorchScript archive, format {}.", archive.version());
  facts.properties.emplace_back("class", archive.data().text);
  if (archive.version() > kTorch18Format)
    facts.properties.emplace_back(
        "PyTorch 1.8", fmt::format("cannot read format {} (up to {}), nor can converters built on it: npuport convert "
                                   "-o NEW.pt writes an archive it reads",
                                   archive.version(), kTorch18Format));
  add_weights(facts, collect_weights(archive.data()));
  NPU_TRY(add_inputs(facts, archive));
  std::map<std::string, int64_t> calls;
  for (const std::string& name : archive.code_files()) {
    NPU_ASSIGN(const std::string code, archive.code(name));
    count_calls(code, calls);
  }
  for (const auto& [name, count] : calls) facts.operators.emplace_back(name, count);
  return facts;
}

}  // namespace npuport
