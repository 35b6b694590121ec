#include "base/io_contract.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "base/diag_codes.h"
#include "base/embedding.h"
#include "base/hash.h"

namespace npuport {
namespace {

constexpr int kVersion = 2;       // the newest that is read
constexpr int kPlainVersion = 1;  // written where no border has a shape of its own
using Values = std::map<std::string, Tensor, std::less<>>;

Shape inverse(const Shape& permutation) {
  Shape out(permutation.size());
  for (size_t i = 0; i < permutation.size(); ++i) out[static_cast<size_t>(permutation[i])] = static_cast<int64_t>(i);
  return out;
}

bool is_permutation(const Shape& p) {
  Shape sorted = p;
  std::sort(sorted.begin(), sorted.end());
  for (size_t i = 0; i < sorted.size(); ++i)
    if (sorted[i] != static_cast<int64_t>(i)) return false;
  return true;
}

Result<Tensor> value_of(const Values& values, const std::string& name) {
  const auto it = values.find(name);
  if (it == values.end()) return Diag(diag::corrupt, "no host step or input provides the value '" + name + "'");
  return it->second;
}

Diag unknown_kind(const HostStep& step) {
  return Diag(diag::unsupported, "unknown kind of host step '" + step.kind + "'",
              "the file was written by another version of npuport");
}

Status check_hash(const HostStep& step, const std::string& path) {
  if (step.sha256.empty()) return {};
  NPU_ASSIGN(const std::string hash, sha256_file(path));
  if (hash != step.sha256)
    return Diag(diag::corrupt, "the file is not the one the model was split with (SHA-256 differs)",
                "port the model again, or restore the file")
        .in_file(path);
  return {};
}

std::string path_of(const HostStep& step, const std::string& folder) {
  return folder.empty() ? step.file : folder + "/" + step.file;
}

// The table's description, where there is one beside it: a name `port` gives it.
std::string info_path(const std::string& table) {
  namespace fs = std::filesystem;
  const std::string stem = fs::path(table).stem().string();
  const fs::path info =
      fs::path(table).parent_path() / (stem == "token_embedding" ? "embedding_info.json" : stem + "_info.json");
  std::error_code ec;
  return fs::exists(info, ec) ? info.string() : "";
}

Status run_step(const HostStep& step, const HostRunner& runner, Values& values) {
  std::vector<Tensor> in;
  for (const std::string& name : step.inputs) {
    NPU_ASSIGN(Tensor t, value_of(values, name));
    in.push_back(std::move(t));
  }
  const std::string path = path_of(step, runner.folder);
  if (!step.table && !step.graph && !step.verified) NPU_TRY(check_hash(step, path));
  if (step.kind == "embedding_lookup") {
    Tensor table;
    if (step.table) {
      table = *step.table;
    } else {
      NPU_ASSIGN(table, open_embedding(path));
    }
    auto rows = look_up_rows(table, in.front());
    if (!rows) return std::move(rows).error().at_tensor(step.inputs.front());
    values[step.outputs.front()] = std::move(*rows);
    return {};
  }
  if (step.kind != "graph") return unknown_kind(step);
  if (!runner.run_graph)
    return Diag(diag::unsupported, "a part of the model was moved to the host, and nothing here can run it",
                "link the host backend")
        .in_file(path);
  NPU_ASSIGN(std::vector<Tensor> out, runner.run_graph(step, path, in));
  if (out.size() != step.outputs.size())
    return Diag(diag::corrupt, "a host step has " + std::to_string(out.size()) + " outputs, the contract names " +
                                   std::to_string(step.outputs.size()))
        .in_file(path);
  for (size_t i = 0; i < out.size(); ++i) values[step.outputs[i]] = std::move(out[i]);
  return {};
}

Status run_steps(const IoContract& c, bool suffix, const HostRunner& runner, Values& values) {
  for (const HostStep& step : c.host_steps)
    if (step.suffix == suffix) NPU_TRY(run_step(step, runner, values));
  return {};
}

Result<Values> named_inputs(const IoContract& c, std::span<const Tensor> inputs) {
  if (inputs.size() != c.inputs.size())
    return Diag(diag::bad_input_data, "the model has " + std::to_string(c.inputs.size()) + " inputs, " +
                                          std::to_string(inputs.size()) + " were given");
  Values values;
  for (size_t i = 0; i < inputs.size(); ++i) values[c.inputs[i].name] = inputs[i];
  return values;
}

// To the file's element type; a value that does not survive the way back is an error, not a wrap-around.
Result<Tensor> convert(const Tensor& t, const IoBinding& b) {
  if (b.dtype == DType::unknown || b.dtype == t.dtype) return t;
  Tensor c = cast_tensor(t, b.dtype);
  if (is_integer(t.dtype) && !identical(cast_tensor(c, t.dtype), t))
    return Diag(diag::bad_input_data, "a value of '" + b.name + "' does not fit " + std::string(long_name(b.dtype)) +
                                          ", which the file takes")
        .at_tensor(b.name);
  return c;
}

// The same elements under another shape.
Result<Tensor> seen_as(Tensor t, const Shape& shape, const std::string& name) {
  if (element_count(t.shape) != element_count(shape))
    return Diag(diag::shape_mismatch,
                "a value of shape " + to_string(t.shape) + " cannot be seen as " + to_string(shape))
        .at_tensor(name);
  t.shape = shape;
  return t;
}

// A file's output in the order of the model's own.
Result<Tensor> to_model_order(const IoContract& c, const IoBinding& b, Tensor raw) {
  if (!b.shape.empty()) {
    const auto port =
        std::find_if(c.outputs.begin(), c.outputs.end(), [&](const IoPort& p) { return p.name == b.name; });
    if (port == c.outputs.end())
      return Diag(diag::corrupt, "the contract gives '" + b.name + "' a shape, but the model has no such output");
    NPU_ASSIGN(raw, seen_as(std::move(raw), permuted_shape(port->type.shape, b.permutation), b.name));
  }
  return permute(raw, inverse(b.permutation));
}

Result<std::vector<Tensor>> bind_inputs(const IoContract& c, const Values& values) {
  std::vector<Tensor> out;
  for (const IoBinding& b : c.file_inputs) {
    NPU_ASSIGN(const Tensor t, value_of(values, b.name));
    NPU_ASSIGN(const Tensor p, permute(t, b.permutation));
    NPU_ASSIGN(const Tensor seen, b.shape.empty() ? p : seen_as(p, b.shape, b.name));
    NPU_ASSIGN(Tensor converted, convert(seen, b));
    out.push_back(std::move(converted));
  }
  return out;
}

Json port_json(const IoPort& p) {
  return Json{{"name", p.name}, {"dtype", std::string(long_name(p.type.dtype))}, {"shape", p.type.shape}};
}

Json binding_json(const IoBinding& b) {
  Json j{{"name", b.name}};
  if (!b.permutation.empty()) j["permutation"] = b.permutation;
  if (b.dtype != DType::unknown) j["dtype"] = std::string(long_name(b.dtype));
  if (!b.shape.empty()) j["shape"] = b.shape;
  return j;
}

bool some_shape(const IoContract& c) {
  const auto has = [](const IoBinding& b) { return !b.shape.empty(); };
  return std::any_of(c.file_inputs.begin(), c.file_inputs.end(), has) ||
         std::any_of(c.file_outputs.begin(), c.file_outputs.end(), has);
}

// Reading untrusted JSON: every access checks its kind; the first mistake sticks.
class ContractReader {
 public:
  Result<IoContract> run(const Json& j) {
    if (!j.is_object() || !j.contains("version") || !j["version"].is_number_integer()) return bad("no version");
    if (j["version"].get<int64_t>() > kVersion)
      return Diag(diag::newer_version,
                  "the metadata npuport.io have version " + std::to_string(j["version"].get<int64_t>()),
                  "use a newer npuport");
    IoContract c;
    for (const Json& p : list(j, "inputs")) c.inputs.push_back(port(p));
    for (const Json& p : list(j, "outputs")) c.outputs.push_back(port(p));
    for (const Json& b : list(j, "file_inputs")) c.file_inputs.push_back(binding(b));
    for (const Json& b : list(j, "file_outputs")) c.file_outputs.push_back(binding(b));
    for (const Json& s : list(j, "host_steps")) c.host_steps.push_back(step(s));
    for (const IoBinding& b : c.file_inputs) check_binding(b, c.inputs);
    for (const IoBinding& b : c.file_outputs) check_binding(b, c.outputs);
    if (error_) return std::move(*error_);
    return c;
  }

 private:
  static Diag bad(const std::string& what) { return Diag(diag::corrupt, "metadata npuport.io: " + what); }
  void fail(const std::string& what) {
    if (!error_) error_ = bad(what);
  }
  const Json& list(const Json& j, const char* key) {
    static const Json empty = Json::array();
    if (!j.is_object() || !j.contains(key)) return empty;
    if (j[key].is_array()) return j[key];
    fail(std::string(key) + " is no list");
    return empty;
  }
  std::string text(const Json& j, const char* key) {
    if (j.is_object() && j.contains(key) && j[key].is_string()) return j[key].get<std::string>();
    fail(std::string("no string ") + key);
    return {};
  }
  Shape ints(const Json& j, const char* key) {
    Shape out;
    for (const Json& v : list(j, key)) {
      if (!v.is_number_integer()) fail(std::string(key) + " holds something else than integers");
      out.push_back(v.is_number_integer() ? v.get<int64_t>() : 0);
    }
    return out;
  }
  std::vector<std::string> texts(const Json& j, const char* key) {
    std::vector<std::string> out;
    for (const Json& v : list(j, key)) {
      if (!v.is_string()) fail(std::string(key) + " holds something else than strings");
      out.push_back(v.is_string() ? v.get<std::string>() : "");
    }
    return out;
  }
  IoPort port(const Json& j) {
    IoPort p;
    p.name = text(j, "name");
    const auto dtype = parse_dtype(text(j, "dtype"));
    if (!dtype) fail("unknown dtype");
    p.type = {dtype.value_or(DType::unknown), ints(j, "shape"), nullptr};
    if (const Status s = check_shape(p.type.shape); !s) fail(s.error().message);
    return p;
  }
  IoBinding binding(const Json& j) {
    IoBinding b{text(j, "name"), ints(j, "permutation"), DType::unknown};
    if (j.is_object() && j.contains("dtype")) {
      const auto dtype = parse_dtype(text(j, "dtype"));
      if (!dtype) fail("unknown dtype");
      b.dtype = dtype.value_or(DType::unknown);
    }
    if (!is_permutation(b.permutation)) fail("no permutation");
    b.shape = ints(j, "shape");
    if (const Status s = check_shape(b.shape); !s) fail(s.error().message);
    return b;
  }
  // A shape of the file's own holds the elements of a border of the model.
  void check_binding(const IoBinding& b, const std::vector<IoPort>& ports) {
    if (b.shape.empty()) return;
    const auto port = std::find_if(ports.begin(), ports.end(), [&](const IoPort& p) { return p.name == b.name; });
    const bool fits = port != ports.end() && element_count(port->type.shape) == element_count(b.shape) &&
                      (b.permutation.empty() || b.permutation.size() == port->type.shape.size());
    if (!fits) fail("the shape of '" + b.name + "' fits no input or output of the model");
  }
  HostStep step(const Json& j) {
    HostStep s;
    s.kind = text(j, "kind");
    s.suffix = text(j, "when") == "after";
    s.inputs = texts(j, "inputs");
    s.outputs = texts(j, "outputs");
    s.module = text(j, "module");
    s.file = text(j, "file");
    s.sha256 = text(j, "sha256");
    // Step files lie beside the model; a path would let a model read anything.
    if (s.file.find('/') != std::string::npos || s.file.starts_with('.'))
      fail("host step file '" + s.file + "' is no plain file name");
    if (s.inputs.empty() || s.outputs.empty()) fail("a host step without inputs or outputs");
    return s;
  }
  std::optional<Diag> error_;
};

}  // namespace

bool IoContract::identity() const {
  const auto same = [](const std::vector<IoPort>& ports, const std::vector<IoBinding>& bindings) {
    if (ports.size() != bindings.size()) return false;
    for (size_t i = 0; i < ports.size(); ++i)
      if (ports[i].name != bindings[i].name || !bindings[i].permutation.empty() ||
          bindings[i].dtype != DType::unknown || !bindings[i].shape.empty())
        return false;
    return true;
  };
  return host_steps.empty() && same(inputs, file_inputs) && same(outputs, file_outputs);
}

Json to_json(const IoContract& c) {
  Json j{{"version", some_shape(c) ? kVersion : kPlainVersion},
         {"inputs", Json::array()},
         {"outputs", Json::array()},
         {"file_inputs", Json::array()},
         {"file_outputs", Json::array()},
         {"host_steps", Json::array()}};
  for (const IoPort& p : c.inputs) j["inputs"].push_back(port_json(p));
  for (const IoPort& p : c.outputs) j["outputs"].push_back(port_json(p));
  for (const IoBinding& b : c.file_inputs) j["file_inputs"].push_back(binding_json(b));
  for (const IoBinding& b : c.file_outputs) j["file_outputs"].push_back(binding_json(b));
  for (const HostStep& s : c.host_steps)
    j["host_steps"].push_back(Json{{"kind", s.kind},
                                   {"when", s.suffix ? "after" : "before"},
                                   {"inputs", s.inputs},
                                   {"outputs", s.outputs},
                                   {"module", s.module},
                                   {"file", s.file},
                                   {"sha256", s.sha256}});
  return j;
}

Result<IoContract> io_contract_from_json(const Json& j) { return ContractReader().run(j); }

Status load_host_tables(IoContract& c, const std::string& folder, bool check_file_hash) {
  for (HostStep& step : c.host_steps) {
    if (step.table || step.graph) continue;
    const std::string path = path_of(step, folder);
    if (step.kind != "embedding_lookup" && step.kind != "graph") return unknown_kind(step);
    if (check_file_hash) NPU_TRY(check_hash(step, path));
    step.verified = true;
    if (step.kind != "embedding_lookup") continue;
    EmbeddingOptions options;
    options.info_path = info_path(path);
    options.check_hash = check_file_hash && step.sha256.empty();
    options.sha256 = step.sha256;
    NPU_ASSIGN(Tensor table, open_embedding(path, options));
    step.table = std::make_shared<const Tensor>(std::move(table));
  }
  return {};
}

Result<std::vector<Tensor>> to_file_inputs(const IoContract& c, std::span<const Tensor> inputs,
                                           const HostRunner& runner) {
  NPU_ASSIGN(Values values, named_inputs(c, inputs));
  NPU_TRY(run_steps(c, /*suffix=*/false, runner, values));
  return bind_inputs(c, values);
}

Result<std::vector<Tensor>> run_original_interface(const IoContract& c, std::span<const Tensor> inputs,
                                                   const HostRunner& runner) {
  NPU_ASSIGN(Values values, named_inputs(c, inputs));
  NPU_TRY(run_steps(c, /*suffix=*/false, runner, values));
  NPU_ASSIGN(const std::vector<Tensor> file_inputs, bind_inputs(c, values));
  NPU_ASSIGN(std::vector<Tensor> raw, runner.run(file_inputs));
  if (raw.size() != c.file_outputs.size())
    return Diag(diag::shape_mismatch, "the file gave " + std::to_string(raw.size()) + " outputs, its contract names " +
                                          std::to_string(c.file_outputs.size()));
  for (size_t i = 0; i < raw.size(); ++i) {
    const IoBinding& binding = c.file_outputs[i];
    NPU_ASSIGN(values[binding.name], to_model_order(c, binding, raw[i]));
  }
  NPU_TRY(run_steps(c, /*suffix=*/true, runner, values));
  std::vector<Tensor> out;
  for (const IoPort& p : c.outputs) {
    NPU_ASSIGN(Tensor t, value_of(values, p.name));
    out.push_back(t.dtype == p.type.dtype ? std::move(t) : cast_tensor(t, p.type.dtype));
  }
  return out;
}

}  // namespace npuport
