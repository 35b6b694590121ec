#include "passes/io_contract.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/diag_codes.h"
#include "base/hash.h"
#include "exec/executor.h"
#include "ir/builder.h"
#include "ir/npy.h"
#include "ir/registry.h"

namespace npuport {
namespace {

constexpr int kVersion = 1;
using Values = std::map<std::string, Tensor, std::less<>>;

Result<Tensor> permute(const Tensor& t, const Ints& permutation) {
  if (permutation.empty()) return t;
  if (permutation.size() != t.shape.size())
    return Diag(diag::shape_mismatch, "a tensor of rank " + std::to_string(t.shape.size()) +
                                          " cannot take the border permutation of rank " +
                                          std::to_string(permutation.size()));
  const Tensor* in[] = {&t};
  const Attr attrs[] = {Attr("perm", permutation)};
  NPU_ASSIGN(std::vector<Tensor> out, evaluate(op("transpose"), in, attrs));
  return std::move(out.front());
}

Ints inverse(const Ints& permutation) {
  Ints out(permutation.size());
  for (size_t i = 0; i < permutation.size(); ++i) out[static_cast<size_t>(permutation[i])] = static_cast<int64_t>(i);
  return out;
}

bool is_permutation(const Ints& p) {
  Ints sorted = p;
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

Result<Tensor> look_up(const HostStep& step, const Tensor& table, const Tensor& ids) {
  if (table.shape.size() != 2)
    return Diag(diag::corrupt, "the embedding table has rank " + std::to_string(table.shape.size()) + ", not 2")
        .in_file(step.file);
  const int64_t rows = table.shape[0];
  const auto row_bytes = static_cast<size_t>(byte_size(table.dtype, table.shape[1]));
  Shape shape = ids.shape;
  shape.push_back(table.shape[1]);
  NPU_TRY(check_shape(shape));
  Tensor out = Tensor::zeros(table.dtype, std::move(shape));
  for (int64_t i = 0; i < ids.count(); ++i) {
    const int64_t id = get_int(ids, i);
    if (id < 0 || id >= rows)
      return Diag(diag::index_range, "id " + std::to_string(id) + " at position " + std::to_string(i) +
                                         " is outside the embedding table of " + std::to_string(rows) + " rows")
          .at_tensor(step.inputs.front());
    std::memcpy(out.mutable_data() + static_cast<size_t>(i) * row_bytes,
                table.data + static_cast<size_t>(id) * row_bytes, row_bytes);
  }
  return out;
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

Status run_step(const HostStep& step, const HostRunner& runner, Values& values) {
  std::vector<Tensor> in;
  for (const std::string& name : step.inputs) {
    NPU_ASSIGN(Tensor t, value_of(values, name));
    in.push_back(std::move(t));
  }
  const std::string path = runner.folder.empty() ? step.file : runner.folder + "/" + step.file;
  if (step.kind == "embedding_lookup") {
    Tensor table;
    if (step.table) {
      table = *step.table;
    } else {
      NPU_TRY(check_hash(step, path));
      NPU_ASSIGN(table, read_npy(path));
    }
    NPU_ASSIGN(values[step.outputs.front()], look_up(step, table, in.front()));
    return {};
  }
  if (step.kind != "graph")
    return Diag(diag::unsupported, "unknown kind of host step '" + step.kind + "'",
                "the file was written by another version of npuport");
  std::shared_ptr<const Graph> graph = step.graph;
  if (!graph) {
    NPU_TRY(check_hash(step, path));
    NPU_ASSIGN(Graph g, runner.load_graph(path));
    graph = std::make_shared<const Graph>(std::move(g));
  }
  NPU_ASSIGN(std::vector<Tensor> out, execute(*graph, in));
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

Result<std::vector<Tensor>> bind_inputs(const IoContract& c, const Values& values) {
  std::vector<Tensor> out;
  for (const IoBinding& b : c.file_inputs) {
    NPU_ASSIGN(const Tensor t, value_of(values, b.name));
    NPU_ASSIGN(const Tensor p, permute(t, b.permutation));
    NPU_ASSIGN(Tensor converted, convert(p, b));
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
  return j;
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
  Ints ints(const Json& j, const char* key) {
    Ints out;
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
    return b;
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
      if (ports[i].name != bindings[i].name || !bindings[i].permutation.empty() || bindings[i].dtype != DType::unknown)
        return false;
    return true;
  };
  return host_steps.empty() && same(inputs, file_inputs) && same(outputs, file_outputs);
}

Json to_json(const IoContract& c) {
  Json j{{"version", kVersion},          {"inputs", Json::array()},       {"outputs", Json::array()},
         {"file_inputs", Json::array()}, {"file_outputs", Json::array()}, {"host_steps", Json::array()}};
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

void set_io_contract(Graph& g, const IoContract& c) {
  if (c.identity()) {
    g.metadata.erase(kIoContractKey);
  } else {
    g.metadata[kIoContractKey] = dump_json(to_json(c), -1);
  }
}

Result<IoContract> io_contract(const Graph& g) {
  const auto it = g.metadata.find(kIoContractKey);
  if (it == g.metadata.end()) {
    IoContract c;
    for (const ValueId v : g.inputs()) {
      c.inputs.push_back({g.value(v).name, g.type(v)});
      c.file_inputs.push_back({g.value(v).name, {}});
    }
    for (const ValueId v : g.outputs()) {
      c.outputs.push_back({g.value(v).name, g.type(v)});
      c.file_outputs.push_back({g.value(v).name, {}});
    }
    return c;
  }
  NPU_ASSIGN(const Json j, parse_json(it->second, kIoContractKey));
  NPU_ASSIGN(IoContract c, io_contract_from_json(j));
  if (c.file_inputs.size() != g.inputs().size() || c.file_outputs.size() != g.outputs().size())
    return Diag(diag::corrupt, "metadata npuport.io name " + std::to_string(c.file_inputs.size()) + " inputs and " +
                                   std::to_string(c.file_outputs.size()) + " outputs, the graph has " +
                                   std::to_string(g.inputs().size()) + " and " + std::to_string(g.outputs().size()));
  return c;
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
    NPU_ASSIGN(values[binding.name], permute(raw[i], inverse(binding.permutation)));
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
