#include "app/samples.h"

#include <fnmatch.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>

#include "base/diag_codes.h"
#include "base/text.h"
#include "ir/npy.h"

namespace npuport::app {
namespace {

namespace fs = std::filesystem;

Result<std::vector<std::string>> matching_files(const fs::path& folder, const std::string& pattern,
                                                const std::string& asked) {
  std::vector<std::string> out;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(folder, ec))
    if (fnmatch(pattern.c_str(), entry.path().filename().c_str(), FNM_PERIOD) == 0)
      out.push_back(entry.path().string());
  if (ec) return Diag(diag::file_not_found, "cannot list the folder: " + ec.message()).in_file(folder.string());
  std::sort(out.begin(), out.end());
  if (out.empty())
    return Diag(diag::bad_input_data, "no sample matches '" + asked + "'",
                "samples are .npz files with arrays in.0, in.1, … and baseline outputs out.0, …");
  return out;
}

Result<std::vector<std::string>> expand(const std::string& path) {
  std::error_code ec;
  if (fs::is_directory(path, ec)) return matching_files(path, "*.npz", path);
  const fs::path p(path);
  if (p.filename().string().find_first_of("*?[") == std::string::npos) return std::vector<std::string>{path};
  return matching_files(p.has_parent_path() ? p.parent_path() : fs::path("."), p.filename().string(), path);
}

std::string held(const SampleFile& f) {
  std::string out;
  for (const auto& [name, t] : f.arrays)
    out += (out.empty() ? "" : ", ") + name + " (" + std::string(long_name(t.dtype)) + " " + to_string(t.shape) + ")";
  return out.empty() ? "no arrays" : out;
}

bool is_output_name(std::string_view name) { return name.starts_with("out."); }

// Widening or narrowing that cannot change a value; nullopt when it could.
std::optional<Tensor> convert_losslessly(const Tensor& t, DType to) {
  if (t.dtype == to) return t;
  if (is_float(t.dtype) != is_float(to) || to == DType::boolean || t.dtype == DType::boolean) return std::nullopt;
  Tensor c = cast_tensor(t, to);
  return identical(cast_tensor(c, t.dtype), t) ? std::optional<Tensor>(std::move(c)) : std::nullopt;
}

std::optional<int64_t> first_nan(const Tensor& t) {
  if (!is_float(t.dtype)) return std::nullopt;
  for (int64_t i = 0; i < t.count(); ++i)
    if (std::isnan(get_double(t, i))) return i;
  return std::nullopt;
}

}  // namespace

Diag with_sample(Diag d, const SampleFile& file) {
  Diag note(diag::bad_input_data, "the shapes come from the sample " + file.path + ", which holds " + held(file));
  note.severity = Severity::note;
  d.with_note(std::move(note));
  if (d.hint.empty()) d.hint = "give a sample of the shapes and element types the model takes";
  return d;
}

const Tensor* SampleFile::find(std::string_view name) const {
  for (const auto& [n, t] : arrays)
    if (n == name) return &t;
  return nullptr;
}

Result<std::vector<Baseline>> SampleFile::baseline() const {
  Result<std::vector<Baseline>> out = read_baselines(arrays);
  if (!out) return std::move(out).error().in_file(path);
  return out;
}

Result<std::vector<std::string>> sample_paths(const std::vector<std::string>& paths) {
  std::vector<std::string> out;
  for (const std::string& path : paths) {
    NPU_ASSIGN(const std::vector<std::string> files, expand(path));
    out.insert(out.end(), files.begin(), files.end());
  }
  return out;
}

Result<std::vector<SampleFile>> read_samples(const std::vector<std::string>& paths) {
  NPU_ASSIGN(const std::vector<std::string> files, sample_paths(paths));
  std::vector<SampleFile> out;
  for (const std::string& file : files) {
    SampleFile s;
    s.path = file;
    NPU_ASSIGN(s.arrays, read_npz(file));
    out.push_back(std::move(s));
  }
  return out;
}

Result<std::vector<Tensor>> bind_inputs(const SampleFile& file, std::span<const InputSpec> inputs) {
  std::vector<Tensor> out;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::string position = "in." + std::to_string(i);
    const Tensor* t = file.find(inputs[i].name);
    if (!t) t = file.find(position);
    if (!t)
      return Diag(diag::bad_input_data,
                  "the sample has neither '" + inputs[i].name + "' nor '" + position + "'; it holds " + held(file),
                  "name the arrays after the model's inputs, or in.0, in.1, …")
          .in_file(file.path);
    const TensorType& want = inputs[i].type;
    if (want.known() && t->shape != want.shape)
      return Diag(diag::bad_input_data, "input '" + inputs[i].name + "' wants shape " + to_string(want.shape) +
                                            ", the sample has " + to_string(t->shape))
          .in_file(file.path)
          .at_tensor(inputs[i].name);
    std::optional<Tensor> converted = want.known() ? convert_losslessly(*t, want.dtype) : *t;
    if (!converted)
      return Diag(diag::dtype_mismatch, "input '" + inputs[i].name + "' wants " + std::string(long_name(want.dtype)) +
                                            ", the sample has " + std::string(long_name(t->dtype)) +
                                            " with values that do not convert exactly")
          .in_file(file.path)
          .at_tensor(inputs[i].name);
    if (const std::optional<int64_t> at = first_nan(*converted))
      return Diag(diag::bad_input_data, "input '" + inputs[i].name + "' is NaN at element " + std::to_string(*at),
                  "nothing can be proven on it: repair the sample")
          .in_file(file.path)
          .at_tensor(inputs[i].name);
    out.push_back(std::move(*converted));
  }
  if (const std::string next = "in." + std::to_string(inputs.size()); file.find(next))
    return Diag(diag::bad_input_data,
                "the sample has '" + next + "', the model takes " + std::to_string(inputs.size()) +
                    " inputs; it holds " + held(file),
                "is this sample made for another model?")
        .in_file(file.path);
  return out;
}

std::vector<InputSpec> specs_from_sample(const SampleFile& file, std::span<const InputSpec> known) {
  std::vector<InputSpec> out;
  if (file.find("in.0")) {
    while (const Tensor* t = file.find("in." + std::to_string(out.size()))) {
      const std::string name = out.size() < known.size() ? known[out.size()].name : "";
      out.push_back({name, {t->dtype, t->shape, nullptr}});
    }
    return out;
  }
  // Named arrays: the model's order when the file tells its input names, the sample's order otherwise.
  for (const InputSpec& k : known)
    if (const Tensor* t = file.find(k.name)) out.push_back({k.name, {t->dtype, t->shape, nullptr}});
  if (!out.empty() && out.size() == known.size()) return out;
  out.clear();
  for (const auto& [name, t] : file.arrays)
    if (!is_output_name(name)) out.push_back({name, {t.dtype, t.shape, nullptr}});
  return out;
}

Result<InputSpec> parse_shape_option(const std::string& text) {
  const auto bad = [&](const std::string& what) {
    return Diag(diag::usage, "--shape " + text + ": " + what, "write NAME=1x3x64x64 or NAME=1x3x64x64:float32");
  };
  const size_t eq = text.rfind('=');
  if (eq == std::string::npos || eq == 0) return bad("no NAME=");
  InputSpec spec;
  spec.name = text.substr(0, eq);
  std::string dims = text.substr(eq + 1);
  if (const size_t colon = dims.find(':'); colon != std::string::npos) {
    const auto dtype = parse_dtype(dims.substr(colon + 1));
    if (!dtype) return bad("unknown dtype '" + dims.substr(colon + 1) + "'");
    spec.type.dtype = *dtype;
    dims.resize(colon);
  }
  if (dims != "scalar")
    for (const std::string_view part : split(dims, 'x')) {
      int64_t v = 0;
      const auto [end, ec] = std::from_chars(part.data(), part.data() + part.size(), v);
      if (ec != std::errc() || end != part.data() + part.size() || v < 0)
        return bad("'" + std::string(part) + "' is no dimension");
      spec.type.shape.push_back(v);
    }
  if (const Status s = check_shape(spec.type.shape); !s) return bad(s.error().message);
  return spec;
}

namespace {

// "in.2" or "2"; nullopt for any other name.
std::optional<size_t> position_of(const std::string& name) {
  const std::string digits = name.starts_with("in.") ? name.substr(3) : name;
  const bool number = !digits.empty() && digits.size() < 4 &&
                      std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
  return number ? std::optional<size_t>(std::stoul(digits)) : std::nullopt;
}

std::optional<size_t> index_of(std::span<const InputSpec> inputs, const std::string& name) {
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].name == name) return i;
  return std::nullopt;
}

Diag no_such_input(const std::string& option, std::span<const InputSpec> inputs) {
  std::string list;
  for (size_t i = 0; i < inputs.size(); ++i)
    list += (i ? ", " : "") + (inputs[i].name.empty() ? "in." + std::to_string(i) : inputs[i].name);
  if (inputs.empty()) return Diag(diag::usage, "--shape " + option + ": the model has no inputs");
  return Diag(diag::usage, "--shape " + option + ": the model has no such input; it has " + list,
              "use one of these names, or in.0, in.1, … by position");
}

bool shape_unknown(const InputSpec& i) { return i.type.dtype == DType::unknown && i.type.shape.empty(); }

}  // namespace

Result<std::vector<InputSpec>> input_specs(const FileFacts& facts, const SampleFile* sample,
                                           const std::vector<std::string>& options) {
  std::vector<InputSpec> inputs = sample ? specs_from_sample(*sample, facts.inputs) : facts.inputs;
  if (options.empty()) return sample ? inputs : std::vector<InputSpec>{};
  std::vector<bool> given(inputs.size(), false);
  for (const std::string& option : options) {
    NPU_ASSIGN(InputSpec spec, parse_shape_option(option));
    std::optional<size_t> at = index_of(inputs, spec.name);
    if (!at) at = index_of(facts.inputs, spec.name);
    const bool named = at.has_value();
    if (!at) at = position_of(spec.name);
    if (at && *at >= inputs.size() && facts.inputs_complete) at.reset();
    if (!at && facts.inputs_complete) return no_such_input(option, facts.inputs);
    if (!at) at = inputs.size();  // a key of a dict, an item of a list: the importer knows
    if (*at >= inputs.size()) {
      inputs.resize(*at + 1);
      given.resize(inputs.size(), false);
      if (!position_of(spec.name)) inputs[*at].name = spec.name;
    }
    if (named || position_of(spec.name)) spec.name = inputs[*at].name;
    if (spec.type.dtype == DType::unknown) spec.type.dtype = inputs[*at].type.dtype;
    if (spec.type.dtype == DType::unknown) spec.type.dtype = DType::f32;
    inputs[*at] = std::move(spec);
    given[*at] = true;
  }
  // Arguments at the end may have defaults.
  while (!inputs.empty() && !given.back() && shape_unknown(inputs.back())) {
    inputs.pop_back();
    given.pop_back();
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!given[i] && shape_unknown(inputs[i])) {
      const std::string name = inputs[i].name.empty() ? "in." + std::to_string(i) : inputs[i].name;
      return Diag(diag::dynamic_shape, "the shape of input '" + name + "' is not known",
                  "give it too: --shape " + name + "=1x3x224x224:float32")
          .at_tensor(name);
    }
    if (inputs[i].type.dtype == DType::unknown) inputs[i].type.dtype = DType::f32;
  }
  return inputs;
}

}  // namespace npuport::app
