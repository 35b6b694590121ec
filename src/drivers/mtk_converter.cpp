// MediaTek's mtk_converter (a closed Python package): TorchScript → .tflite, by the step2 script and the user's
// interpreter.
#include "drivers/mtk_converter.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/diag_codes.h"
#include "base/text.h"
#include "frontends/frontend.h"
#include "frontends/tflite_file.h"

namespace npuport {
namespace {

namespace fs = std::filesystem;
constexpr const char* kScript = "step2_torchscript_to_tflite.py";
constexpr std::string_view kSpecOption = "tflite_op_export_spec";

// Attributes of the converter, as get_available_options() of 7.14.1 prints them.
constexpr std::string_view kOptions[] = {"quantize",
                                         "use_dynamic_quantization",
                                         "default_quantization_bitwidth",
                                         "default_weights_quantization_bitwidth",
                                         "use_symmetric_quantization",
                                         "use_weights_symmetric_quantization",
                                         "use_unsigned_quantization_type",
                                         "use_per_output_channel_quantization",
                                         "weights_quantization_clipping_ratio",
                                         "enable_12bit_data_types",
                                         "allow_asym16_quantization",
                                         "use_64bit_bias_tensors",
                                         "convert_float32_weights_to_float16",
                                         "allow_4w16a_affine_operators",
                                         "allow_4w8a_affine_operators",
                                         "allow_8w16a_affine_operators",
                                         "allow_different_affine_output_quantization_type",
                                         "ensure_safe_affine_output_quantization_scale",
                                         "ensure_same_concat_quantization_params",
                                         "allow_softmax_calibration",
                                         "allow_missing_quantization_ranges",
                                         "extra_quantization_bypass_ops",
                                         "prepend_input_quantize_ops",
                                         "prepend_input_quantize_ops_indices",
                                         "append_output_dequantize_ops",
                                         "append_output_dequantize_ops_indices",
                                         "input_quantization_bitwidths",
                                         "input_value_ranges",
                                         "calibration_data_count",
                                         "calibration_method",
                                         "calibration_ema_decay",
                                         "calibration_ema_debias",
                                         "calibration_percentile_value",
                                         "calibration_histogram_loss_type",
                                         "calibration_histogram_num_bins",
                                         "calibration_histogram_num_total_samples",
                                         "calibration_histogram_num_zp_samples",
                                         "use_bias_correction",
                                         "bias_correction_data_count",
                                         "use_adaround",
                                         "adaround_batch_size",
                                         "adaround_data_count",
                                         "adaround_optim_lr",
                                         "adaround_optim_steps",
                                         "adaround_preserve_sparsity",
                                         "use_hessian_opt",
                                         "hessian_opt_block_size",
                                         "hessian_opt_data_count",
                                         "hessian_opt_stability_ratio",
                                         "hessian_opt_sort_hessian",
                                         "hessian_opt_use_fast_strategy",
                                         "precision_config_file",
                                         "precision_proportion",
                                         "precision_proportion_bypass_dwconv_ops",
                                         "precision_proportion_policy",
                                         "export_qparams_config_file",
                                         "import_qparams_config_file",
                                         "quantization_debug_dir",
                                         "decompose_batched_matmul_ops",
                                         "decompose_grouped_conv2d_ops",
                                         "decompose_grouped_conv3d_ops",
                                         "decompose_instance_normalization_ops",
                                         "decompose_log_softmax_ops",
                                         "decompose_lstm_ops",
                                         "decompose_unidirectional_sequence_lstm_ops",
                                         "deduplicate_constant_tensors",
                                         "deduplicate_operators",
                                         "reroute_trivial_consumer_ops",
                                         "rewrite_batchnorm_to_dwconv_ops",
                                         "rewrite_conv_to_dwconv_ops",
                                         "allow_incompatible_paddings_for_tflite_pooling",
                                         "convert_unsupported_data_type",
                                         "custom_op_lib_map",
                                         "allow_dynamic_quantization"};
constexpr std::string_view kSpecs[] = {"builtin_first", "npsdk_v4", "npsdk_v5", "npsdk_v6", "npsdk_v7", "npsdk_v8"};
constexpr std::pair<std::string_view, std::string_view> kTypes[] = {
    {"float32", "torch.float32"}, {"float16", "torch.float16"}, {"int32", "torch.int32"}, {"int64", "torch.int64"},
    {"bool", "torch.bool"},       {"uint8", "torch.uint8"},     {"int8", "torch.int8"}};

// Prints versions; every package the converter needs that is there.
constexpr const char* kAsk = R"PY(import sys
import mtk_converter as m
print('mtk_converter', getattr(m, '__version__', ''))
print('Python', sys.version.split()[0])
try:
    from importlib.metadata import version
except ImportError:
    version = None
for p in ('argparse', 'flatbuffers', 'matplotlib', 'numpy', 'packaging', 'protobuf', 'pybind11', 'tqdm'):
    try:
        print('package', p, '-' if version is None else version(p))
    except Exception:
        pass
)PY";

Result<ToolFacts> probe(const std::string& path) {
  ToolFacts t;
  t.path = path;
  NPU_ASSIGN(const std::string said, ask_tool({path, "-c", kAsk}));
  if (said.find("mtk_converter ") == std::string::npos || contains_word(said, "ModuleNotFoundError") ||
      contains_word(said, "ImportError"))
    return Diag(diag::tool_missing, "mtk_converter not found: the interpreter " + path + " cannot import it",
                "install the NeuroPilot converter wheel there, or name another interpreter: --tool mtk-python=PATH");
  t.version = parse_mtk_version(said);
  std::string python, packages;
  for_each_line(said, [&](std::string_view line) {
    if (line.starts_with("Python ")) python = line.substr(7);
    if (line.starts_with("package ")) packages += std::string(line.substr(8)) + "\n";
  });
  std::string note = mtk_python_mismatch(t.version, python);
  for (const std::string& d : mtk_package_deviations(packages)) note += (note.empty() ? "" : "; ") + d;
  t.abilities["note"] = note;
  t.digest = tool_digest(path);
  return t;
}

std::string python_literal(const std::string& v) {
  if (v == "true" || v == "True") return "True";
  if (v == "false" || v == "False") return "False";
  if (v == "none" || v == "None") return "None";
  const bool number = !v.empty() && v.find_first_not_of("0123456789.-+e") == std::string::npos &&
                      v.find_first_of("0123456789") != std::string::npos;
  if (number) return v;
  std::string out = "'";
  for (const char c : v) {
    if (c == '\'' || c == '\\') out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out + "'";
}

// Shapes the user gave, or those the archive itself says.
std::string shapes_of(const Target& t, const CompileRequest& r) {
  if (const auto it = r.options.find("input_shapes"); it != r.options.end()) return it->second;
  if (const auto it = t.compiler.settings.find("input_shapes"); it != t.compiler.settings.end()) return it->second;
  const Result<const Frontend*> frontend = frontend_for(r.readable_model());
  if (!frontend) return {};
  const Result<FileFacts> facts = (*frontend)->inspect(r.readable_model());
  if (!facts) return {};
  std::string out;
  for (const InputSpec& i : facts->inputs) {
    std::vector<std::string> dims;
    for (const int64_t d : i.type.shape) dims.push_back(std::to_string(d));
    if (dims.empty()) return {};
    const std::string type = i.type.dtype == DType::f32 ? "" : ":" + std::string(long_name(i.type.dtype));
    out += (out.empty() ? "" : ",") + join(dims, "x") + type;
  }
  return out;
}

Result<std::vector<std::vector<std::string>>> commands(const ToolFacts& tool, const Target&, const CompileRequest& r) {
  std::vector<std::string> argv{tool.path, (fs::path(r.work_folder) / kScript).lexically_normal().string(), r.model,
                                r.output};
  argv.insert(argv.end(), r.extra.begin(), r.extra.end());
  return std::vector<std::vector<std::string>>{argv};
}

Result<std::map<std::string, std::string>> files(const Target& t, const CompileRequest& r) {
  std::map<std::string, std::string> options = r.options;
  options.erase("input_shapes");
  const std::string shapes = shapes_of(t, r);
  if (shapes.empty())
    return Diag(diag::usage, "the converter needs the shapes of the inputs",
                "--set input_shapes=1x3x64x64 (several: 1x3x64x64,1x10:int64)")
        .in_file(r.model);
  NPU_ASSIGN(const std::string script, mtk_converter_script(shapes, options, r.drop));
  return std::map<std::string, std::string>{{kScript, script}};
}

// The file is a TFLite file, and what it needs to run.
std::string check_tflite(const std::string& path, CompileOutcome& o) {
  if (std::string bad = check_binary_artefact(path, 64); !bad.empty()) return bad;
  const Result<TfliteFile> file = open_tflite(path);
  if (!file) return "what was written is no TFLite file: " + file.error().message;
  std::vector<std::string> custom;
  for (const TfliteFileCode& c : file->codes)
    if (!c.custom.empty()) custom.push_back(c.custom);
  if (!custom.empty())
    o.metrics["custom operators"] =
        join(custom, ", ") + " (a stock TFLite runtime cannot load this file; that is normal for vendor operators)";
  if (!file->graphs.empty()) o.metrics["operators"] = std::to_string(file->graphs.front().operators.size());
  return {};
}

Result<CompileOutcome> run(const ToolFacts& tool, const Target& t, const CompileRequest& r) {
  CompileOutcome o;
  NPU_ASSIGN(o.commands, commands(tool, t, r));
  NPU_ASSIGN(LogFile log, LogFile::create(r.log, r.log_head, r.log_tail));
  NPU_ASSIGN(const ToolRun run, run_tool({o.commands[0], {}, r.work_folder}, r, log));
  o.seconds = run.process.seconds;
  judge(run.process, parse_mtk_converter_log(run.text), check_tflite(r.output, o), o);
  NPU_TRY(log.close());
  return o;
}

Result<std::pair<std::string, std::string>> shape_and_type(std::string_view text) {
  const size_t colon = text.find(':');
  std::string shape = "[";
  for (const std::string_view d : split(text.substr(0, colon), 'x')) {
    if (d.empty() || d.size() > 9 || d.find_first_not_of("0123456789") != std::string_view::npos)
      return Diag(diag::usage, "'" + std::string(text) + "' is no shape", "for example 1x3x64x64 or 1x10:int64");
    shape += (shape.size() > 1 ? ", " : "") + std::string(d);
  }
  std::string type = "torch.float32";
  if (colon != std::string_view::npos) {
    const auto row = std::find_if(std::begin(kTypes), std::end(kTypes),
                                  [&](const auto& k) { return k.first == text.substr(colon + 1); });
    if (row == std::end(kTypes))
      return Diag(diag::usage, "'" + std::string(text.substr(colon + 1)) + "' is no element type of the converter");
    type = row->second;
  }
  return std::pair{shape + "]", type};
}

// Only what the script sets by itself can be left out of it.
Status check_dropped(std::span<const std::string> drop, const std::map<std::string, std::string>& options) {
  for (const std::string& key : drop)
    if ((key != "quantize" && key != kSpecOption) || options.contains(key))
      return Diag(diag::usage, "'" + key + "' is no default of the converter's script",
                  fmt::format("--drop-arg takes quantize and {}, where --set does not give them", kSpecOption));
  return {};
}

}  // namespace

Result<std::string> mtk_converter_script(const std::string& shapes, const std::map<std::string, std::string>& options,
                                         std::span<const std::string> drop) {
  std::string shape_list, type_list;
  for (const std::string_view part : split(shapes, ',')) {
    NPU_ASSIGN(const auto parsed, shape_and_type(trim(part)));
    shape_list += (shape_list.empty() ? "" : ", ") + parsed.first;
    type_list += (type_list.empty() ? "" : ", ") + parsed.second;
  }
  NPU_TRY(check_dropped(drop, options));
  const auto dropped = [&](std::string_view key) { return std::find(drop.begin(), drop.end(), key) != drop.end(); };
  std::string spec = dropped(kSpecOption) ? "" : "builtin_first", set;
  if (!options.contains("quantize") && !dropped("quantize")) set = "converter.quantize = False\n    ";
  for (const auto& [key, value] : options) {
    if (key == kSpecOption) {
      if (std::find(std::begin(kSpecs), std::end(kSpecs), value) == std::end(kSpecs))
        return Diag(diag::usage, "'" + value + "' is no tflite_op_export_spec",
                    "for example builtin_first, npsdk_v7, npsdk_v8");
      spec = value;
      continue;
    }
    if (std::find(std::begin(kOptions), std::end(kOptions), key) == std::end(kOptions))
      return Diag(diag::usage, "mtk_converter has no option '" + key + "'",
                  "the options are those of get_available_options()");
    set += fmt::format("converter.{} = {}\n    ", key, python_literal(value));
  }
  return fmt::format(R"PY("""TorchScript to TFLite with MediaTek's mtk_converter.

    python step2_torchscript_to_tflite.py MODEL.pt MODEL.tflite
"""

import sys

INPUT_SHAPES = [{}]


def main():
    model, output = sys.argv[1], sys.argv[2]
    try:
        import mtk_converter
    except ImportError as e:
        print("ERROR: mtk_converter not found by", sys.executable, "-", e)
        return 3
    import torch

    input_types = [{}]
    converter = mtk_converter.PyTorchConverter.from_script_module_file(
        model, input_shapes=INPUT_SHAPES, input_types=input_types)
    {}converter.convert_to_tflite(output_file=output{})
    print("converted:", output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
)PY",
                     shape_list, type_list, set, spec.empty() ? "" : ", tflite_op_export_spec=" + python_literal(spec));
}

LogFacts parse_mtk_converter_log(std::string_view text) {
  LogFacts facts;
  bool traceback = false;
  for_each_line(text, [&](std::string_view raw) {
    const std::string_view line = trim(raw.substr(0, 4000));
    if (line.empty()) return;
    facts.last = line.substr(0, 500);
    if (contains_word(line, "mtk_converter not found") || contains_word(line, "No module named 'mtk_converter'")) {
      facts.cure = Cure::environment;
      facts.error = line;
      return;
    }
    const std::string low = lower(line);
    const size_t at = low.find("unsupported op");
    if (at != std::string::npos) {
      // "Unsupported op: aten::index", "Unsupported operator 'aten::var' (node 12)"
      size_t i = at + 14;
      while (i < line.size() && std::isalpha(static_cast<unsigned char>(line[i]))) ++i;
      while (i < line.size() && (line[i] == ':' || line[i] == ' ' || line[i] == '\'' || line[i] == '"' ||
                                 line[i] == '[' || line[i] == '('))
        ++i;
      size_t end = i;
      while (end < line.size() &&
             (std::isalnum(static_cast<unsigned char>(line[end])) || line[end] == '_' || line[end] == ':'))
        ++end;
      while (end > i && line[end - 1] == ':') --end;
      CompilerFinding f{valid_utf8(line.substr(i, end - i)), "", "", valid_utf8(line), ""};
      if (!f.op.empty()) {
        add_finding(facts, std::move(f));
        return;
      }
    }
    if (line.starts_with("Traceback (most recent call last)")) traceback = true;
    // The last line of a traceback is the cause.
    const bool cause = traceback && raw.front() != ' ' && line.find(": ") != std::string_view::npos;
    if (cause || (is_error_line(line) && facts.error.empty())) facts.error = line.substr(0, 500);
  });
  return facts;
}

std::string parse_mtk_version(std::string_view text) {
  size_t at = text.find("mtk_converter");
  at = at == std::string_view::npos ? 0 : at + 13;
  while (at < text.size() && !std::isdigit(static_cast<unsigned char>(text[at]))) ++at;
  size_t end = at, dots = 0;
  while (end < text.size() && (std::isdigit(static_cast<unsigned char>(text[end])) || text[end] == '.'))
    dots += text[end++] == '.';
  return dots == 0 ? std::string() : std::string(text.substr(at, end - at));
}

namespace {

// -1, 0, 1 as a < b, a == b, a > b: dotted numbers; what follows them does not count.
int compare_versions(std::string_view a, std::string_view b) {
  while (true) {
    const auto number = [](std::string_view& v) {
      int64_t n = 0;
      while (!v.empty() && v[0] >= '0' && v[0] <= '9') {
        n = std::min<int64_t>(n * 10 + (v[0] - '0'), 1000000000);
        v.remove_prefix(1);
      }
      return n;
    };
    const int64_t x = number(a), y = number(b);
    if (x != y) return x < y ? -1 : 1;
    const bool more_a = a.starts_with('.'), more_b = b.starts_with('.');
    if (!more_a && !more_b) return 0;
    if (more_a) a.remove_prefix(1);
    if (more_b) b.remove_prefix(1);
  }
}

struct PythonRange {
  std::string_view version, first, last;  // SDK or converter version, Python X.Y
};
constexpr PythonRange kPythons[] = {{"5.0.6", "3.5", "3.6"},
                                    {"7.0.5", "3.5", "3.9"},
                                    {"7.14.1", "3.5", "3.9"},
                                    {"8.13.0", "3.10", "3.11"},
                                    {"8.16.0", "3.10", "3.11"}};
// Packages and their lowest versions, as the SDK's manual lists them; argparse came with Python long ago.
constexpr std::pair<std::string_view, std::string_view> kPackages[] = {
    {"flatbuffers", "1.12"}, {"matplotlib", "3.0"}, {"numpy", "1.13.3"}, {"packaging", "0"},
    {"protobuf", "3.5.1"},   {"pybind11", "2.2"},   {"tqdm", "4.0"}};

}  // namespace

std::string mtk_python_mismatch(std::string_view version, std::string_view python) {
  const std::string_view number = version.substr(0, version.find_first_not_of("0123456789."));
  const size_t dot = python.find('.');
  const size_t second = dot == std::string_view::npos ? dot : python.find_first_not_of("0123456789", dot + 1);
  const std::string_view short_python = python.substr(0, second);
  for (const PythonRange& r : kPythons)
    if (number == r.version &&
        (compare_versions(short_python, r.first) < 0 || compare_versions(short_python, r.last) > 0))
      return fmt::format("version {} is for Python {} to {}, this is {}", number, r.first, r.last, python);
  return {};
}

std::vector<std::string> mtk_package_deviations(std::string_view lines) {
  std::map<std::string, std::string> found;
  for_each_line(lines, [&](std::string_view line) {
    const size_t blank = line.find(' ');
    if (blank != std::string_view::npos) found[std::string(line.substr(0, blank))] = trim(line.substr(blank + 1));
  });
  std::vector<std::string> out;
  for (const auto& [name, lowest] : kPackages) {
    const auto it = found.find(std::string(name));
    if (it == found.end()) {
      out.push_back(fmt::format("{} is missing ({} or newer needed)", name, lowest));
    } else if (it->second != "-" && compare_versions(it->second, lowest) < 0) {
      out.push_back(fmt::format("{} {} is too old ({} or newer needed)", name, it->second, lowest));
    }
  }
  return out;
}

constinit const Driver mtk_converter_driver = {.name = "mtk_converter",
                                               .tool = "mtk-python",
                                               .doc = "Python with MediaTek's mtk_converter, TorchScript to .tflite",
                                               .input = "torchscript",
                                               .suffix = ".tflite",
                                               .probe = probe,
                                               .commands = commands,
                                               .run = run,
                                               .files = files};

}  // namespace npuport
