// The operator cases that tests/conformance/make_cases.py makes with PyTorch, and how to replay one through the binder.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "base/diag_codes.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "base/subprocess.h"
#include "frontends/aten_binder.h"
#include "support/paths.h"

namespace npuport::testing {

struct CaseFile {
  Json cases;
  std::shared_ptr<const MappedFile> data;
};

// Made once per test program in `folder`; nullptr without PyTorch, `why` says why.
inline const CaseFile* case_file(const std::string& folder, std::string& why) {
  static std::string reason;
  static const std::optional<CaseFile> file = [&]() -> std::optional<CaseFile> {
    const char* chosen = std::getenv("NPUPORT_TEST_TORCH_PYTHON");
    const std::string python = chosen != nullptr && *chosen != '\0' ? chosen : "/usr/bin/python3";
    ProcessOptions probe;
    probe.argv = {python, "-c", "import torch"};
    const Result<ProcessResult> there = run_process(probe);
    if (!there || !there->ok()) {
      reason = "no Python with PyTorch (NPUPORT_TEST_TORCH_PYTHON)";
      return std::nullopt;
    }
    ProcessOptions make;
    make.argv = {python, source_dir() + "/tests/conformance/make_cases.py", folder};
    make.env = {{"PYTHONDONTWRITEBYTECODE", "1"}};
    make.timeout = std::chrono::minutes(5);
    const Result<ProcessResult> made = run_process(make);
    EXPECT_TRUE(made && made->ok()) << (made ? made->err : to_text(made.error()));
    if (!made || !made->ok()) return std::nullopt;
    Result<std::shared_ptr<const MappedFile>> index = MappedFile::open(folder + "/cases.json");
    Result<std::shared_ptr<const MappedFile>> data = MappedFile::open(folder + "/cases.bin");
    if (!index || !data) return std::nullopt;
    const std::span<const std::byte> text = (*index)->bytes();
    Result<Json> json = parse_json({reinterpret_cast<const char*>(text.data()), text.size()});
    if (!json) return std::nullopt;
    return CaseFile{std::move(*json), std::move(*data)};
  }();
  why = reason;
  return file ? &*file : nullptr;
}

inline Tensor tensor_of(const Json& t, const MappedFile& data) {
  Tensor out = Tensor::zeros(*parse_dtype(t[0].get<std::string>()), t[1].get<Shape>());
  if (out.bytes() > 0) {
    std::memcpy(out.mutable_data(), data.bytes().data() + t[2].get<size_t>(), static_cast<size_t>(out.bytes()));
  }
  return out;
}

class Replay {
 public:
  Replay(const MappedFile& data, bool fold_inputs)
      : data_(data), as_inputs_(!fold_inputs), builder_(graph_, /*fold=*/true), binder_(builder_) {}

  // The outputs' tensors, or the error.
  Result<std::vector<Tensor>> run(const Json& one) {
    NPU_ASSIGN(const std::vector<ValueId> values, build(one));
    return evaluated(values);
  }
  // The graph of the case after `run`, and what its inputs were given.
  const Graph& graph() const { return graph_; }
  const std::map<ValueId, Tensor>& feeds() const { return feeds_; }

 private:
  Result<std::vector<ValueId>> build(const Json& one) {
    std::vector<IValue> args;
    for (const Json& a : one["args"]) args.push_back(value_of(a));
    Keywords keywords;
    for (const auto& [name, v] : one["kwargs"].items()) keywords.emplace_back(name, value_of(v));
    std::string name = one["op"].get<std::string>();
    name.resize(std::min(name.size(), name.find('.')));
    if (!binder_.knows(name)) return Diag(diag::unsupported_op, "no row");
    NPU_ASSIGN(const IValue result, binder_.call(name, std::move(args), std::move(keywords)));
    std::vector<ValueId> values;
    NPU_TRY(collect(result, values));
    return values;
  }

  IValue value_of(const Json& v) {
    if (v.contains("t")) {
      Tensor t = tensor_of(v["t"], data_);
      if (!as_inputs_) return IValue(binder_.fresh(builder_.constant(std::move(t))));
      const ValueId id = graph_.add_input("x" + std::to_string(feeds_.size()), {t.dtype, t.shape, nullptr});
      feeds_[id] = std::move(t);
      return IValue(binder_.fresh(id));
    }
    if (v.contains("i")) return IValue(v["i"].get<int64_t>());
    if (v.contains("f"))
      return IValue(v["f"].is_string() ? std::stod(v["f"].get<std::string>()) : v["f"].get<double>());
    if (v.contains("b")) return IValue(v["b"].get<bool>());
    if (v.contains("s")) return IValue(v["s"].get<std::string>());
    if (!v.contains("l")) return {};
    std::vector<IValue> items;
    for (const Json& item : v["l"]) items.push_back(value_of(item));
    return IValue::list(std::move(items));
  }

  Status collect(const IValue& v, std::vector<ValueId>& out) {
    if (const TensorRef t = v.as_tensor()) {
      NPU_ASSIGN(const ValueId id, binder_.read(t));
      out.push_back(id);
      return {};
    }
    if (!v.sequence()) return Diag(diag::internal, "a result is a " + v.type_name());
    for (const IValue& item : *v.sequence()) NPU_TRY(collect(item, out));
    return {};
  }

  // Runs the graph node by node with the reference kernels.
  Result<std::vector<Tensor>> evaluated(const std::vector<ValueId>& wanted) {
    graph_.set_outputs(wanted);
    NPU_TRY(verify(graph_, Stage::imported));
    std::map<ValueId, Tensor> known = feeds_;
    const auto find = [&](ValueId id) {
      return graph_.is_constant(id) ? graph_.value(id).constant.get() : &known.at(id);
    };
    for (const NodeId id : graph_.topological()) {
      const Node& node = graph_.node(id);
      std::vector<const Tensor*> in;
      for (const ValueId v : node.inputs) in.push_back(v.valid() ? find(v) : nullptr);
      NPU_ASSIGN(std::vector<Tensor> out, evaluate(*node.op, in, node.attrs));
      for (size_t i = 0; i < out.size(); ++i) known[node.outputs[i]] = std::move(out[i]);
    }
    std::vector<Tensor> results;
    for (const ValueId v : wanted) results.push_back(*find(v));
    return results;
  }

  const MappedFile& data_;
  bool as_inputs_;
  Graph graph_;
  Builder builder_;
  AtenBinder binder_;
  std::map<ValueId, Tensor> feeds_;
};

inline double default_rtol(DType t) {
  if (t == DType::f16) return 2e-3;
  if (t == DType::bf16) return 1.6e-2;
  return t == DType::f64 ? 1e-6 : 1e-5;
}

// Empty when equal.
inline std::string difference(const Tensor& got, const Tensor& want, double rtol, double atol) {
  if (got.dtype != want.dtype || got.shape != want.shape) {
    return to_string(TensorType{got.dtype, got.shape, nullptr}) + " instead of " +
           to_string(TensorType{want.dtype, want.shape, nullptr});
  }
  for (int64_t i = 0; i < want.count(); ++i) {
    const double g = get_double(got, i), w = get_double(want, i);
    const bool same = is_float(want.dtype) ? (g == w || (std::isnan(g) && std::isnan(w)) ||
                                              std::fabs(g - w) <= atol + rtol * std::fabs(w))
                                           : get_int(got, i) == get_int(want, i);
    if (!same) return "element " + std::to_string(i) + " is " + std::to_string(g) + " instead of " + std::to_string(w);
  }
  return {};
}

inline void flatten_outputs(const Json& v, std::vector<const Json*>& out) {
  if (v.contains("t")) out.push_back(&v["t"]);
  if (v.contains("l")) {
    for (const Json& item : v["l"]) flatten_outputs(item, out);
  }
}

}  // namespace npuport::testing
