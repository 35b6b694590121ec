#include "passes/dtypes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/diag_codes.h"
#include "ir/builder.h"
#include "passes/domain.h"

namespace npuport {
namespace {

bool becomes_f32(DType t) { return t == DType::f16 || t == DType::bf16 || t == DType::f64; }

class Normaliser {
 public:
  Normaliser(Graph& g, PassContext& c) : g_(g), c_(c), b_(g) {}

  Result<size_t> run() {
    NPU_TRY(floats());
    if (c_.options.narrow_int64) NPU_TRY(integers());
    return changed_;
  }

 private:
  // ---- floats: types change in place, then everything is inferred again

  Status floats() {
    size_t constants = 0, casts = 0;
    for (uint32_t i = 0; i < g_.value_slots(); ++i) {
      Value& v = g_.value(ValueId{i});
      if (!v.alive || !v.constant || !becomes_f32(v.type.dtype)) continue;
      v.constant = std::make_shared<const Tensor>(cast_tensor(*v.constant, DType::f32));
      v.type.dtype = DType::f32;
      ++constants;
    }
    const size_t inputs = interface_floats(g_.inputs(), c_.io->file_inputs);
    const std::vector<NodeId> order = g_.topological();
    for (const NodeId id : order)
      for (Attr& a : g_.node(id).attrs)
        if (auto* t = std::get_if<DType>(&a.value); t && becomes_f32(*t)) {
          *t = DType::f32;
          ++casts;
        }
    if (constants + inputs + casts == 0) return {};
    std::vector<DType> before;
    for (const ValueId v : g_.outputs()) before.push_back(g_.type(v).dtype);
    for (const NodeId id : order) NPU_TRY(reinfer(g_, id));
    for (size_t k = 0; k < g_.outputs().size(); ++k)
      if (g_.type(g_.outputs()[k]).dtype != before[k]) c_.io->file_outputs[k].dtype = g_.type(g_.outputs()[k]).dtype;
    changed_ += constants + inputs + casts;
    c_.ledger.add({c_.pass,
                   "float32",
                   Numerics::exact,
                   "targets compute in float32",
                   "Widening float16 and bfloat16 is exact; float64 constants are rounded once. Results are no longer "
                   "rounded to the narrow types: they differ from the model's by those roundings, and are closer to "
                   "exact arithmetic.",
                   fmt::format("{} constants, {} inputs and {} casts of other float types", constants, inputs, casts),
                   "float32",
                   {},
                   std::nullopt});
    return {};
  }

  size_t interface_floats(const std::vector<ValueId>& values, std::vector<IoBinding>& bindings) {
    size_t n = 0;
    for (size_t k = 0; k < values.size(); ++k) {
      Value& v = g_.value(values[k]);
      if (!becomes_f32(v.type.dtype)) continue;
      v.type.dtype = DType::f32;
      bindings[k].dtype = DType::f32;
      ++n;
    }
    return n;
  }

  // ---- integers: every node is tried with 32-bit operands

  // Decided for all values before anything changes.
  void decide() {
    fits_.resize(g_.value_slots(), false);
    for (uint32_t i = 0; i < g_.value_slots(); ++i)
      if (const Value& v = g_.value(ValueId{i}); v.alive && v.type.dtype == DType::i64)
        fits_[i] = known_to_fit(ValueId{i});
  }
  bool fits(ValueId v) const { return v.v < fits_.size() && fits_[v.v]; }
  bool known_to_fit(ValueId v) const {
    const auto r = Domains(g_, c_.options.ranges).of(v);
    if (r) return r->low >= -2147483648.0 && r->high <= 2147483647.0;
    return c_.options.assume_int32 && !g_.is_constant(v);
  }

  // The 32-bit form of an i64 value; invalid when there is none.
  ValueId narrow(ValueId v) {
    if (const auto it = narrow_.find(v); it != narrow_.end()) return it->second;
    ValueId out;
    if (g_.is_constant(v) && fits(v)) out = g_.add_constant("", cast_tensor(*g_.value(v).constant, DType::i32));
    return narrow_[v] = out;
  }

  Status integers() {
    decide();
    std::vector<ValueId> inputs = g_.inputs();
    for (size_t k = 0; k < inputs.size(); ++k) {
      const ValueId old = inputs[k];
      if (g_.type(old).dtype != DType::i64 || !fits(old)) continue;
      const std::string known = g_.value(old).name;
      const Shape shape = g_.shape(old);
      g_.rename(old, "");
      const ValueId fresh = g_.add_input(known, {DType::i32, shape, nullptr});
      inputs[k] = fresh;
      narrow_[old] = fresh;
      c_.io->file_inputs[k].dtype = DType::i32;
      ++narrowed_;
    }
    for (const NodeId id : g_.topological()) {
      b_.set_origins(g_.node(id).origins);
      visit(id);
      NPU_TRY(b_.take_status());
    }
    std::vector<ValueId> outputs = g_.outputs();
    for (size_t k = 0; k < outputs.size(); ++k) {
      if (g_.type(outputs[k]).dtype != DType::i64 || g_.is_constant(outputs[k]) || !narrow(outputs[k]).valid())
        continue;
      const std::string known = g_.value(outputs[k]).name;
      const ValueId fresh = narrow(outputs[k]);
      g_.rename(outputs[k], "");
      g_.rename(fresh, known);
      outputs[k] = fresh;
      c_.io->file_outputs[k].dtype = DType::i32;
    }
    g_.set_outputs(outputs);
    // An i64 input that was narrowed lives on only where something still needs 64 bits: through a cast.
    for (const auto& [old, fresh] : narrow_) {
      if (!fresh.valid() || g_.is_constant(fresh) || g_.value(old).producer.valid() || g_.value(old).uses.empty())
        continue;
      const ValueId wide = b_.op("cast", {fresh}, {{"to", DType::i64}});
      NPU_TRY(b_.take_status());
      g_.replace_uses(old, wide);
    }
    g_.set_inputs(inputs);
    g_.erase_dead();
    changed_ += narrowed_;
    if (narrowed_ > 0)
      c_.ledger.add({c_.pass,
                     "int32",
                     c_.options.assume_int32 ? Numerics::exact_on_domain : Numerics::exact,
                     "targets have no 64-bit integers",
                     "Every narrowed value lies in [-2^31, 2^31) by its constants, declared ranges and operators" +
                         std::string(c_.options.assume_int32 ? ", or by assumption." : "."),
                     fmt::format("{} 64-bit values", narrowed_),
                     "int32",
                     {},
                     std::nullopt});
    return {};
  }

  void visit(NodeId id) {
    const Node n = g_.node(id);
    const auto wide = [&](ValueId v) { return v.valid() && g_.type(v).dtype == DType::i64; };
    const bool in = std::any_of(n.inputs.begin(), n.inputs.end(), wide);
    const bool out = std::any_of(n.outputs.begin(), n.outputs.end(), wide);
    if (!in && !out) return;
    for (const ValueId v : n.outputs)
      if (wide(v) && !fits(v)) return;
    std::vector<ValueId> args = n.inputs;
    for (ValueId& v : args) {
      if (!wide(v)) continue;
      v = narrow(v);
      if (!v.valid()) return;
    }
    std::vector<Attr> attrs = n.attrs;
    for (Attr& a : attrs)
      if (auto* t = std::get_if<DType>(&a.value); t && *t == DType::i64) *t = DType::i32;
    if (n.op->name == "cast" && in && !out) attrs = n.attrs;
    Result<NodeId> made = g_.add(*n.op, args, attrs, n.origins);
    if (!made) return;
    const std::vector<ValueId> results = g_.node(*made).outputs;
    for (size_t k = 0; k < results.size(); ++k) {
      const ValueId old = n.outputs[k];
      if (!wide(old)) {
        const std::string known = g_.value(old).name;
        g_.replace_uses(old, results[k]);
        if (g_.value(results[k]).name != known) {
          g_.rename(old, "");
          g_.rename(results[k], known);
        }
        continue;
      }
      // Operators that always give i64 (arg_max, topk) get a cast behind them.
      const ValueId small =
          g_.type(results[k]).dtype == DType::i64 ? b_.op("cast", {results[k]}, {{"to", DType::i32}}) : results[k];
      narrow_[old] = small;
      ++narrowed_;
    }
  }

  Graph& g_;
  PassContext& c_;
  Builder b_;
  std::map<ValueId, ValueId> narrow_;
  std::vector<bool> fits_;
  size_t changed_ = 0, narrowed_ = 0;
};

Result<size_t> run_normalise(Graph& g, PassContext& c) { return Normaliser(g, c).run(); }

}  // namespace

const PassDef normalise_dtypes_pass{"normalise_dtypes", "Brings element types to those targets know.", Stage::canonical,
                                    run_normalise};

}  // namespace npuport
