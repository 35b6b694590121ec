// If, Loop, Scan, sequences and optionals: resolved at import, as far as constants and shapes decide.
#include <fmt/format.h>

#include <algorithm>

#include "base/diag_codes.h"
#include "frontends/onnx_import.h"

namespace npuport {
namespace {

constexpr int64_t kMaxIterations = 20'000;

}  // namespace

OnnxImporter::Handler OnnxImporter::control(std::string_view type) {
  struct Entry {
    std::string_view type;
    Handler handler;
  };
  static constexpr Entry kHandlers[] = {
      {"If", &OnnxImporter::run_if},
      {"Loop", &OnnxImporter::run_loop},
      {"Scan", &OnnxImporter::run_scan},
      {"Identity", &OnnxImporter::run_identity},
      {"SequenceEmpty", &OnnxImporter::run_sequence},
      {"SequenceConstruct", &OnnxImporter::run_sequence},
      {"SequenceAt", &OnnxImporter::run_sequence},
      {"SequenceInsert", &OnnxImporter::run_sequence},
      {"SequenceErase", &OnnxImporter::run_sequence},
      {"SequenceLength", &OnnxImporter::run_sequence},
      {"SplitToSequence", &OnnxImporter::run_split_to_sequence},
      {"ConcatFromSequence", &OnnxImporter::run_concat_from_sequence},
      {"SequenceMap", &OnnxImporter::run_sequence_map},
      {"Optional", &OnnxImporter::run_optional},
      {"OptionalHasElement", &OnnxImporter::run_optional},
      {"OptionalGetElement", &OnnxImporter::run_optional},
  };
  for (const Entry& e : kHandlers) {
    if (e.type == type) return e.handler;
  }
  return nullptr;
}

std::optional<int64_t> OnnxImporter::known_integer(const OnnxValue& v) const {
  if (!v.is_tensor() || !v.id.valid()) return std::nullopt;
  const Tensor* t = b_.constant_of(v.id);
  if (t == nullptr || t->count() != 1) return std::nullopt;
  return get_int(*t, 0);
}

Result<int64_t> OnnxImporter::integer_attribute(const Call& c, std::string_view name, int64_t fallback) {
  const auto a = attribute(c, name);
  if (!a) return fallback;
  if (a->value && std::holds_alternative<int64_t>(a->value->value)) return std::get<int64_t>(a->value->value);
  return Diag(diag::bad_attribute, fmt::format("attribute {} is no integer", name));
}

ValueId OnnxImporter::stack(const std::vector<ValueId>& parts, int64_t axis) {
  std::vector<ValueId> rows;
  for (const ValueId v : parts) {
    Shape shape = b_.shape(v);
    shape.insert(shape.begin() + axis, 1);
    rows.push_back(b_.reshape(v, std::move(shape)));
  }
  return rows.size() == 1 ? rows[0] : b_.op("concat", std::move(rows), {{"axis", axis}});
}

Result<OnnxImporter::Values> OnnxImporter::run_graph(const Scope& parent, const OnnxFileGraph& g, const Values& in,
                                                     const std::string& path) {
  if (in.size() != g.inputs.size()) {
    return Diag(diag::corrupt, fmt::format("the subgraph takes {} inputs, {} are given", g.inputs.size(), in.size()));
  }
  Scope s{&parent, &g, parent.opsets, nullptr, path, parent.depth + 1};
  for (size_t k = 0; k < in.size(); ++k) s.values.emplace(g.inputs[k].name, in[k]);
  NPU_TRY(run_nodes(s, g.nodes));
  Values out;
  for (const OnnxFileValue& o : g.outputs) {
    NPU_ASSIGN(OnnxValue v, lookup(s, o.name));
    if (v.is_tensor() && !v.id.valid()) return Diag(diag::corrupt, "an output of a subgraph is not computed");
    out.push_back(std::move(v));
  }
  return out;
}

Result<OnnxImporter::Refusal> OnnxImporter::run_if(Call& c, Values& out) {
  const auto then_branch = attribute(c, "then_branch"), else_branch = attribute(c, "else_branch");
  if (!then_branch || !then_branch->graph || !else_branch || !else_branch->graph || !c.has(0)) {
    return Diag(diag::corrupt, "If lacks a condition or a branch");
  }
  const std::string path = c.scope.path + (c.node.name.empty() ? "If" : c.node.name);
  const auto branch = [&](const OnnxFileAttr& a) {
    return run_graph(c.scope, *a.graph, {}, path + (&a == &*then_branch ? ".then" : ".else"));
  };
  if (const auto known = known_integer(c.in[0])) {
    NPU_ASSIGN(out, branch(*known != 0 ? *then_branch : *else_branch));
    return Refusal();
  }
  // Both branches are computed and one is taken, where they give the same shapes.
  const TensorType cond = c.in[0].is_tensor() ? model_.graph.type(c.in[0].id) : TensorType();
  if (cond.dtype != DType::boolean || element_count(cond.shape) != 1) {
    return Refusal("its condition is not known and no single boolean");
  }
  const ValueId choice = b_.reshape(c.in[0].id, {});
  NPU_ASSIGN(const Values yes, branch(*then_branch));
  NPU_ASSIGN(const Values no, branch(*else_branch));
  if (yes.size() != no.size()) return Diag(diag::corrupt, "the branches of If give different numbers of results");
  for (size_t k = 0; k < yes.size(); ++k) {
    const bool same = yes[k].is_tensor() && no[k].is_tensor() && model_.graph.type(yes[k].id).known() &&
                      model_.graph.type(yes[k].id) == model_.graph.type(no[k].id);
    if (!same) return Refusal("its condition depends on input values and its branches give different types");
    out.push_back({b_.op("where", {choice, yes[k].id, no[k].id}), nullptr, false});
  }
  NPU_TRY(b_.take_status());
  return Refusal();
}

Result<OnnxImporter::Refusal> OnnxImporter::run_loop(Call& c, Values& out) {
  const auto body = attribute(c, "body");
  if (!body || !body->graph || c.in.size() < 2) return Diag(diag::corrupt, "Loop lacks its body or operands");
  const OnnxFileGraph& g = *body->graph;
  Values state(c.in.begin() + 2, c.in.end());
  const size_t carried = state.size();
  if (g.inputs.size() != carried + 2 || g.outputs.size() < carried + 1) {
    return Diag(diag::corrupt, "the body of Loop does not fit its operands");
  }
  std::optional<int64_t> trips, go = 1;
  if (c.has(0)) {
    trips = known_integer(c.in[0]);
    if (!trips) return Refusal("its trip count depends on input values");
  }
  if (c.has(1)) go = known_integer(c.in[1]);
  std::vector<std::vector<ValueId>> scans(g.outputs.size() - carried - 1);
  OnnxValue cond = c.has(1) ? c.in[1] : OnnxValue{b_.constant(Tensor::scalar(true)), nullptr, false};
  int64_t i = 0;
  for (; !trips || i < *trips; ++i) {
    if (!go) return Refusal("its condition depends on input values");
    if (*go == 0) break;
    if (i >= kMaxIterations) return Diag(diag::too_large, fmt::format("a loop of more than {} steps", kMaxIterations));
    Values in{{b_.constant(Tensor::scalar<int64_t>(i)), nullptr, false}, cond};
    in.insert(in.end(), state.begin(), state.end());
    const std::string name = c.node.name.empty() ? "Loop" : c.node.name;
    NPU_ASSIGN(Values made, run_graph(c.scope, g, in, fmt::format("{}{}.{}", c.scope.path, name, i)));
    cond = made[0];
    go = known_integer(cond);
    for (size_t k = 0; k < scans.size(); ++k) {
      const OnnxValue& v = made[1 + carried + k];
      if (!v.is_tensor() || !model_.graph.type(v.id).known() ||
          (!scans[k].empty() && model_.graph.type(v.id) != model_.graph.type(scans[k][0]))) {
        return Refusal("a step gives a value of another shape than the step before");
      }
      scans[k].push_back(v.id);
    }
    state.assign(made.begin() + 1, made.begin() + 1 + static_cast<std::ptrdiff_t>(carried));
  }
  out = state;
  for (size_t k = 0; k < scans.size(); ++k) {
    if (scans[k].empty()) {
      const OnnxFileValue& v = g.outputs[1 + carried + k];
      if (!v.is_static() || onnx_dtype(v.type) == DType::unknown)
        return Refusal("it never runs and its results are of unknown shape");
      Shape shape{0};
      for (const OnnxFileDim& d : v.dims) shape.push_back(d.size);
      NPU_TRY(check_shape(shape));
      out.push_back({b_.constant(Tensor::zeros(onnx_dtype(v.type), std::move(shape))), nullptr, false});
    } else {
      out.push_back({stack(scans[k], 0), nullptr, false});
    }
  }
  NPU_TRY(b_.take_status());
  return Refusal();
}

Result<OnnxImporter::Refusal> OnnxImporter::run_scan(Call& c, Values& out) {
  const auto body = attribute(c, "body");
  NPU_ASSIGN(const int64_t scanned, integer_attribute(c, "num_scan_inputs", 0));
  // Before opset 9 Scan had a batch dimension and optional sequence lengths in front.
  const bool batched = opset_of(c.scope, "") < 9;
  if (!body || !body->graph) return Diag(diag::corrupt, "Scan lacks its body");
  const OnnxFileGraph& g = *body->graph;
  Values in = c.in;
  if (batched) {
    if (in.empty() || c.has(0)) return Refusal("sequence lengths");
    in.erase(in.begin());
  }
  if (scanned < 1 || static_cast<size_t>(scanned) > in.size()) return Diag(diag::corrupt, "num_scan_inputs");
  const size_t carried = in.size() - static_cast<size_t>(scanned);
  if (g.inputs.size() != in.size() || g.outputs.size() < carried) {
    return Diag(diag::corrupt, "the body of Scan does not fit its operands");
  }
  const size_t results = g.outputs.size() - carried;
  const auto list = [&](std::string_view name, size_t count) -> Result<Ints> {
    const auto a = attribute(c, name);
    if (!a) return Ints(count, 0);
    if (a->value && std::holds_alternative<Ints>(a->value->value)) {
      const Ints& v = std::get<Ints>(a->value->value);
      if (v.size() == count) return v;
    }
    return Diag(diag::bad_attribute, fmt::format("attribute {} of Scan", name));
  };
  const auto n = static_cast<size_t>(scanned);
  NPU_ASSIGN(Ints axes, list("scan_input_axes", n));
  NPU_ASSIGN(const Ints directions, list(batched ? "directions" : "scan_input_directions", n));
  NPU_ASSIGN(Ints out_axes, list("scan_output_axes", results));
  NPU_ASSIGN(const Ints out_directions, list("scan_output_directions", results));
  for (const OnnxValue& v : in) {
    if (!v.is_tensor() || !v.id.valid() || !model_.graph.type(v.id).known())
      return Refusal("an operand of unknown type");
  }
  if (batched) return Refusal("form of opset 8");
  int64_t steps = -1;
  for (size_t k = 0; k < n; ++k) {
    const Shape& shape = b_.shape(in[carried + k].id);
    NPU_ASSIGN(axes[k], normalise_axis(axes[k], shape.size()));
    const int64_t size = shape[static_cast<size_t>(axes[k])];
    if (steps >= 0 && size != steps) return Diag(diag::shape_mismatch, "the scanned inputs differ in length");
    steps = size;
  }
  if (steps < 1) return Refusal("it never runs");
  if (steps > kMaxIterations) return Diag(diag::too_large, fmt::format("a scan of {} steps", steps));
  Values state(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(carried));
  std::vector<std::vector<ValueId>> scans(results);
  for (int64_t i = 0; i < steps; ++i) {
    Values step = state;
    for (size_t k = 0; k < n; ++k) {
      const ValueId v = in[carried + k].id;
      const int64_t at = directions[k] != 0 ? steps - 1 - i : i;
      Shape shape = b_.shape(v);
      shape.erase(shape.begin() + axes[k]);
      const ValueId part = b_.op(
          "slice", {v}, {{"starts", Ints{at}}, {"ends", Ints{at + 1}}, {"axes", Ints{axes[k]}}, {"steps", Ints{1}}});
      step.push_back({b_.reshape(part, std::move(shape)), nullptr, false});
    }
    NPU_TRY(b_.take_status());
    const std::string name = c.node.name.empty() ? "Scan" : c.node.name;
    NPU_ASSIGN(const Values made, run_graph(c.scope, g, step, fmt::format("{}{}.{}", c.scope.path, name, i)));
    state.assign(made.begin(), made.begin() + static_cast<std::ptrdiff_t>(carried));
    for (size_t k = 0; k < results; ++k) {
      const OnnxValue& v = made[carried + k];
      if (!v.is_tensor() || !model_.graph.type(v.id).known() ||
          (!scans[k].empty() && model_.graph.type(v.id) != model_.graph.type(scans[k][0]))) {
        return Refusal("a step gives a value of unknown or another shape");
      }
      scans[k].push_back(v.id);
    }
  }
  out = state;
  for (size_t k = 0; k < results; ++k) {
    NPU_ASSIGN(const int64_t axis, normalise_axis(out_axes[k], b_.shape(scans[k][0]).size() + 1));
    if (out_directions[k] != 0) std::reverse(scans[k].begin(), scans[k].end());
    out.push_back({stack(scans[k], axis), nullptr, false});
  }
  NPU_TRY(b_.take_status());
  return Refusal();
}

Result<OnnxImporter::Refusal> OnnxImporter::run_identity(Call& c, Values& out) {
  if (c.in.size() != 1 || !c.has(0)) return Diag(diag::corrupt, "Identity takes one operand");
  out.push_back(c.in[0]);
  return Refusal();
}

Result<OnnxImporter::Refusal> OnnxImporter::run_sequence(Call& c, Values& out) {
  const std::string& type = c.node.type;
  const auto list_of = [](std::vector<OnnxValue> items) {
    return OnnxValue{{}, std::make_shared<const std::vector<OnnxValue>>(std::move(items)), false};
  };
  if (type == "SequenceEmpty") {
    out.push_back(list_of({}));
    return Refusal();
  }
  if (type == "SequenceConstruct") {
    out.push_back(list_of(c.in));
    return Refusal();
  }
  if (c.in.empty() || c.in[0].list == nullptr) return Refusal("of an unknown sequence");
  std::vector<OnnxValue> items = *c.in[0].list;
  const auto size = static_cast<int64_t>(items.size());
  if (type == "SequenceLength") {
    out.push_back({b_.constant(Tensor::scalar<int64_t>(size)), nullptr, false});
    return Refusal();
  }
  const size_t position = type == "SequenceInsert" ? 2 : 1;
  int64_t at = type == "SequenceInsert" ? size : size - 1;
  if (c.has(position)) {
    const auto known = known_integer(c.in[position]);
    if (!known) return Refusal("its position depends on input values");
    at = *known < 0 ? *known + size : *known;
  }
  const int64_t last = type == "SequenceInsert" ? size : size - 1;
  if (at < 0 || at > last) return Diag(diag::index_range, fmt::format("position {} of a sequence of {}", at, size));
  if (type == "SequenceAt") {
    out.push_back(items[static_cast<size_t>(at)]);
  } else if (type == "SequenceErase") {
    items.erase(items.begin() + at);
    out.push_back(list_of(std::move(items)));
  } else {
    if (!c.has(1)) return Diag(diag::corrupt, "SequenceInsert lacks its tensor");
    if (items.size() >= static_cast<size_t>(kMaxIterations)) return Diag(diag::too_large, "a sequence too long");
    items.insert(items.begin() + at, c.in[1]);
    out.push_back(list_of(std::move(items)));
  }
  return Refusal();
}

Result<OnnxImporter::Refusal> OnnxImporter::run_split_to_sequence(Call& c, Values& out) {
  if (!c.has(0) || !c.in[0].is_tensor()) return Diag(diag::corrupt, "SplitToSequence lacks its tensor");
  const ValueId x = c.in[0].id;
  if (!model_.graph.type(x).known()) return Refusal("an operand of unknown type");
  NPU_ASSIGN(int64_t axis, integer_attribute(c, "axis", 0));
  NPU_ASSIGN(const int64_t keepdims, integer_attribute(c, "keepdims", 1));
  const Shape shape = b_.shape(x);
  NPU_ASSIGN(axis, normalise_axis(axis, shape.size()));
  const int64_t size = shape[static_cast<size_t>(axis)];
  Ints sizes;
  if (c.has(1)) {
    const Tensor* t = c.in[1].is_tensor() ? b_.constant_of(c.in[1].id) : nullptr;
    if (t == nullptr) return Refusal("its sizes depend on input values");
    if (t->shape.empty()) {
      const int64_t part = get_int(*t, 0);
      if (part < 1) return Diag(diag::corrupt, fmt::format("parts of size {}", part));
      for (int64_t at = 0; at < size; at += part) sizes.push_back(std::min(part, size - at));
    } else {
      for (int64_t i = 0; i < t->count() && i < kMaxIterations; ++i) sizes.push_back(get_int(*t, i));
    }
  } else {
    sizes.assign(static_cast<size_t>(std::min(size, kMaxIterations)), 1);
  }
  if (sizes.size() >= static_cast<size_t>(kMaxIterations)) return Diag(diag::too_large, "a sequence too long");
  const auto parts = b_.ops("split", {x}, {{"axis", axis}, {"sizes", sizes}});
  NPU_TRY(b_.take_status());
  std::vector<OnnxValue> items;
  for (const ValueId part : parts) {
    Shape flat = b_.shape(part);
    // keepdims counts only without explicit sizes.
    if (!c.has(1) && keepdims == 0) flat.erase(flat.begin() + axis);
    items.push_back({b_.reshape(part, std::move(flat)), nullptr, false});
  }
  out.push_back({{}, std::make_shared<const std::vector<OnnxValue>>(std::move(items)), false});
  NPU_TRY(b_.take_status());
  return Refusal();
}

Result<OnnxImporter::Refusal> OnnxImporter::run_concat_from_sequence(Call& c, Values& out) {
  if (c.in.empty() || c.in[0].list == nullptr) return Refusal("of an unknown sequence");
  NPU_ASSIGN(int64_t axis, integer_attribute(c, "axis", 0));
  NPU_ASSIGN(const int64_t fresh, integer_attribute(c, "new_axis", 0));
  std::vector<ValueId> parts;
  for (const OnnxValue& v : *c.in[0].list) {
    if (!v.is_tensor() || !v.id.valid() || !model_.graph.type(v.id).known())
      return Refusal("an element of unknown type");
    parts.push_back(v.id);
  }
  if (parts.empty()) return Refusal("of an empty sequence");
  NPU_ASSIGN(axis, normalise_axis(axis, b_.shape(parts[0]).size() + (fresh != 0 ? 1 : 0)));
  if (fresh != 0) {
    out.push_back({stack(parts, axis), nullptr, false});
  } else {
    out.push_back({parts.size() == 1 ? parts[0] : b_.op("concat", std::move(parts), {{"axis", axis}}), nullptr, false});
  }
  NPU_TRY(b_.take_status());
  return Refusal();
}

Result<OnnxImporter::Refusal> OnnxImporter::run_sequence_map(Call& c, Values& out) {
  const auto body = attribute(c, "body");
  if (!body || !body->graph || c.in.empty()) return Diag(diag::corrupt, "SequenceMap lacks its body");
  if (c.in[0].list == nullptr) return Refusal("of an unknown sequence");
  const size_t results = body->graph->outputs.size();
  std::vector<std::vector<OnnxValue>> made(results);
  for (size_t i = 0; i < c.in[0].list->size(); ++i) {
    Values in;
    for (const OnnxValue& v : c.in) {
      if (v.list != nullptr && i >= v.list->size()) return Diag(diag::corrupt, "sequences of different length");
      in.push_back(v.list != nullptr ? (*v.list)[i] : v);
    }
    NPU_ASSIGN(const Values step,
               run_graph(c.scope, *body->graph, in, fmt::format("{}{}.{}", c.scope.path, c.node.name, i)));
    for (size_t k = 0; k < results; ++k) made[k].push_back(step[k]);
  }
  for (auto& items : made) out.push_back({{}, std::make_shared<const std::vector<OnnxValue>>(std::move(items)), false});
  return Refusal();
}

Result<OnnxImporter::Refusal> OnnxImporter::run_optional(Call& c, Values& out) {
  const bool present = c.has(0) && !c.in[0].none;
  if (c.node.type == "OptionalHasElement") {
    out.push_back({b_.constant(Tensor::scalar(present)), nullptr, false});
    return Refusal();
  }
  if (c.node.type == "Optional" && !present) {
    out.push_back({{}, nullptr, true});
    return Refusal();
  }
  if (!present) return Diag(diag::corrupt, "takes the element of an empty optional");
  out.push_back(c.in[0]);
  return Refusal();
}

}  // namespace npuport
