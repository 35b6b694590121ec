#include "app/runnable.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/diag_codes.h"

namespace npuport::app {
namespace {

namespace fs = std::filesystem;

// OUT or OUT/models/x_metadata.json → the part's model file.
Result<std::string> resolve(const std::string& path, const std::string& part) {
  std::error_code ec;
  std::string metadata;
  if (fs::is_directory(path, ec)) {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(fs::path(path) / "models", ec))
      if (entry.path().filename().string().ends_with("_metadata.json")) found.push_back(entry.path().string());
    if (found.size() != 1)
      return Diag(diag::bad_input_data,
                  "the folder holds " + std::to_string(found.size()) + " port metadata files under models/",
                  "give a model file, or the output folder of `npuport port`")
          .in_file(path);
    metadata = found.front();
  } else if (path.ends_with("_metadata.json")) {
    metadata = path;
  } else {
    return path;
  }
  NPU_ASSIGN(const std::string text, read_file(metadata, uint64_t{16} << 20));
  NPU_ASSIGN(const Json j, parse_json(text, metadata));
  if (j.is_object() && j.contains("version") && j["version"].is_number_integer() && j["version"].get<int>() > 1)
    return Diag(diag::newer_version, "the metadata was written by a newer npuport", "update npuport, or port again")
        .in_file(metadata);
  std::vector<std::string> names;
  if (j.is_object() && j.contains("parts") && j["parts"].is_array())
    for (const Json& p : j["parts"]) {
      if (!p.is_object() || !p.contains("name") || !p["name"].is_string() || !p.contains("file") ||
          !p["file"].is_string())
        return Diag(diag::corrupt, "a part without name or file").in_file(metadata);
      const auto name = p["name"].get<std::string>();
      names.push_back(name);
      if (name == part || (part.empty() && j["parts"].size() == 1))
        return (fs::path(metadata).parent_path() / fs::path(p["file"].get<std::string>()).filename()).string();
    }
  std::string list;
  for (const std::string& n : names) list += (list.empty() ? "" : ", ") + n;
  return Diag(diag::usage,
              part.empty() ? "the port has several parts: " + list
                           : "the port has no part '" + part + "', only: " + list,
              "choose one with --part NAME")
      .in_file(metadata);
}

// Single numbers of the sample as known values: `int` and `bool` arguments may choose submodules or branches; with
// `lists`, short lists of integers too, as ONNX gives shapes and axes. False when the sample has none.
bool fix_numbers(const SampleFile& sample, std::vector<InputSpec>& inputs, bool lists) {
  constexpr int64_t longest = 64;
  bool any = false;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor* t = sample.find("in." + std::to_string(i));
    if (!t) t = sample.find(inputs[i].name);
    const bool list = t && lists && t->shape.size() == 1 && is_integer(t->dtype) && t->count() <= longest;
    if (!t || (!t->shape.empty() && !list)) continue;
    inputs[i].value = std::make_shared<const Tensor>(*t);
    any = true;
  }
  return any;
}

// "3" or "3, 4", for values few enough to be fixed.
std::string numbers_of(const Tensor& t) {
  std::string out;
  for (int64_t i = 0; i < t.count(); ++i) out += (i == 0 ? "" : ", ") + fmt::format("{}", get_double(t, i));
  return out;
}

}  // namespace

Diag opaque_diag(const std::vector<OpaqueOperator>& opaque) {
  size_t total = 0;
  for (const OpaqueOperator& o : opaque) total += o.places.size();
  Diag d(diag::unsupported_op,
         std::to_string(opaque.size()) + (opaque.size() == 1 ? " operator" : " operators") + " without a mapping, at " +
             std::to_string(total) + (total == 1 ? " place" : " places"),
         "rewrite these in the model, or report the operators");
  if (std::all_of(opaque.begin(), opaque.end(), [](const OpaqueOperator& o) {
        return o.foreign.find("must be known before the model runs") != std::string::npos;
      }))
    d.hint = "values that decide shapes are taken from --samples FILE.npz; or store them in the model as constants";
  // A vendor's own operators are no fault of the file.
  std::string vendor;
  for (const OpaqueOperator& o : opaque)
    if (o.foreign.starts_with("CUSTOM:MTK") || o.foreign == "CUSTOM:ethos-u")
      vendor += (vendor.empty() ? "" : ", ") + o.foreign.substr(std::string_view("CUSTOM:").size());
  if (!vendor.empty()) {
    d.message = "not runnable here: the file holds vendor operators (" + vendor +
                "); no stock runtime has them, and that is normal";
    d.hint =
        "give it to the vendor's compiler; prove the file it was made from, or write one of builtin operators only "
        "(npuport does; lesson NPU-T03)";
  }
  for (const OpaqueOperator& o : opaque) {
    Diag note(diag::unsupported_op, o.foreign + " ×" + std::to_string(o.places.size()));
    note.severity = Severity::note;
    std::string places;
    for (size_t i = 0; i < o.places.size() && i < 3; ++i)
      places += (i ? "; " : "") + o.places[i].source + (o.places[i].scope.empty() ? "" : " in " + o.places[i].scope);
    if (o.places.size() > 3) places += "; …";
    note.at_source(places);
    d.with_note(std::move(note));
  }
  return d;
}

namespace {

bool fixed_shapes(const Frontend& frontend, const std::vector<InputSpec>& inputs) {
  if (frontend.format == "tflite" || frontend.format == "ir-text") return true;
  const auto known = [](const InputSpec& i) {
    return std::all_of(i.type.shape.begin(), i.type.shape.end(), [](int64_t n) { return n >= 0; });
  };
  return frontend.format == "onnx" && std::all_of(inputs.begin(), inputs.end(), known);
}

}  // namespace

Result<Runnable> Runnable::open(const App& app, const std::string& path, const ModelOptions& options,
                                bool allow_opaque) {
  Runnable r;
  NPU_ASSIGN(r.path_, resolve(path, options.part));
  r.folder_ = fs::path(r.path_).parent_path().string();
  NPU_ASSIGN(const Frontend* frontend, frontend_for(r.path_));
  if (!frontend->import)
    return Diag(diag::unknown_format,
                "a file of type " + std::string(frontend->format) + " is no model that can be run",
                "`npuport inspect` tells what it is")
        .in_file(r.path_);

  ImportOptions import_options;
  import_options.entry = options.entry;
  FileFacts facts;
  std::vector<SampleFile> first;
  if (!options.samples.empty() || !options.given.empty() || !options.shapes.empty()) {
    NPU_ASSIGN(facts, frontend->inspect(r.path_));
    if (options.entry != "forward") facts.inputs = {}, facts.inputs_complete = false;  // they are forward()'s
  }
  // Files with fixed shapes of their own need no sample; their borders may even differ from the sample's.
  const bool sampled = !options.samples.empty() || !options.given.empty();
  if (!fixed_shapes(*frontend, facts.inputs) && sampled) {
    if (options.samples.empty()) {
      first = {options.given.front()};
    } else {
      NPU_ASSIGN(first, read_samples({options.samples.front()}));
    }
  }
  Result<std::vector<InputSpec>> specs = input_specs(facts, first.empty() ? nullptr : &first.front(), options.shapes);
  if (!specs) return std::move(specs).error().in_file(r.path_);
  import_options.inputs = std::move(*specs);

  Progress progress("reading " + fs::path(r.path_).filename().string(), app.quiet);
  import_options.progress = [&](double f) { progress.update(f); };
  Result<ImportedModel> model = frontend->import(r.path_, import_options);
  // What cannot be imported for every number may be imported for the sample's; the importer warns about each.
  const bool onnx = frontend->format == "onnx";
  const bool open_ends = model && onnx && !model->opaque.empty();
  if (open_ends && sampled && first.empty()) {
    if (!options.samples.empty()) {
      NPU_ASSIGN(first, read_samples({options.samples.front()}));
    } else {
      first = {options.given.front()};
    }
    import_options.inputs = facts.inputs;
  }
  if ((!model || open_ends) && !first.empty() && fix_numbers(first.front(), import_options.inputs, onnx)) {
    Result<ImportedModel> again = frontend->import(r.path_, import_options);
    if (again && (!model || again->opaque.size() < model->opaque.size())) {
      model = std::move(again);
      for (size_t i = 0; i < import_options.inputs.size(); ++i)
        if (import_options.inputs[i].value) r.fixed_.emplace_back(i, import_options.inputs[i].value);
    }
  }
  if (!model) {
    Diag d = std::move(model).error().in_file(r.path_);
    return first.empty() ? d : with_sample(std::move(d), first.front());
  }
  r.model_ = std::move(*model);
  progress.clear();
  for (const Diag& w : r.model_.warnings) app.warn(w);
  if (!r.model_.opaque.empty() && !allow_opaque) return opaque_diag(r.model_.opaque).in_file(r.path_);
  if (options.raw) r.model_.graph.metadata.erase(kIoContractKey);
  NPU_ASSIGN(r.contract_, io_contract(r.model_.graph));
  return r;
}

std::vector<InputSpec> Runnable::inputs() const {
  std::vector<InputSpec> out;
  for (const IoPort& p : contract_.inputs) out.push_back({p.name, p.type});
  return out;
}

std::vector<std::string> Runnable::output_names() const {
  std::vector<std::string> out;
  for (const IoPort& p : contract_.outputs) out.push_back(p.name);
  return out;
}

Result<std::vector<Tensor>> Runnable::run(std::span<const Tensor> inputs, const ExecOptions& options) {
  for (const auto& [i, value] : fixed_) {
    if (i >= inputs.size() || (inputs[i].shape == value->shape && numbers_of(inputs[i]) == numbers_of(*value)))
      continue;
    return Diag(diag::bad_input_data,
                "input '" + contract_.inputs[i].name + "' was fixed to " + numbers_of(*value) +
                    " when the model was read, the sample has " + numbers_of(inputs[i]),
                "this value decides the graph: give samples with another one in a run of their own")
        .at_tensor(contract_.inputs[i].name);
  }
  if (!executor_) {
    NPU_ASSIGN(Executor e, Executor::create(model_.graph, options));
    NPU_TRY(load_host_tables(contract_, folder_));
    executor_ = std::make_shared<Executor>(std::move(e));
  }
  const auto load = [](const std::string& p) -> Result<Graph> {
    NPU_ASSIGN(ImportedModel m, import_model(p, {}));
    return std::move(m.graph);
  };
  const HostRunner runner = host_runner([&](std::span<const Tensor> in) { return executor_->run(in); }, folder_, load);
  return run_original_interface(contract_, inputs, runner);
}

}  // namespace npuport::app
