// How ONNX operators become ours and back. One row per operator (and per form, where opsets differ too much for one
// hook), in src/ops/onnx/<family>.cpp, serves the reader and the writer. Nothing here knows protobuf: rows see a plain
// model, which src/frontends reads from a file and src/writers serialises.
#pragma once

#include <array>
#include <map>
#include <set>

#include "ir/builder.h"

namespace npuport {

// The newest opset of the domain ai.onnx whose operators the rows know.
inline constexpr int kOnnxOpset = 26;

// ---- the plain model
// -------------------------------------------------------------------------------------------------

// One attribute of an operator. Graph attributes (If, Loop, Scan) are the frontend's business.
struct OnnxAttr {
  using Value =
      std::variant<int64_t, double, std::string, Ints, Reals, std::vector<std::string>, std::shared_ptr<const Tensor>>;
  std::string name;
  Value value;

  OnnxAttr(std::string n, Value v) : name(std::move(n)), value(std::move(v)) {}
  // Keep `{"axis", 1}`, `{"keepdims", true}` and `{"alpha", 0.5}` free of casts at call sites; bool is stored as INT.
  template <std::integral T>
  OnnxAttr(std::string n, T v) : name(std::move(n)), value(static_cast<int64_t>(v)) {}
  template <std::floating_point T>
  OnnxAttr(std::string n, T v) : name(std::move(n)), value(static_cast<double>(v)) {}
  OnnxAttr(std::string n, const char* v) : name(std::move(n)), value(std::string(v)) {}
};

struct OnnxTensor {
  std::string name;  // unique in the model; "" for an optional output nobody names
  DType dtype = DType::unknown;
  Shape shape;
  std::shared_ptr<const Tensor> constant;  // an initialiser when set
};

struct OnnxOperator {
  std::string type;              // "Conv"
  std::string domain;            // "" = ai.onnx
  std::string name;              // the node's own
  std::vector<int32_t> in, out;  // indices into OnnxModel::tensors; -1 = absent optional
  std::vector<OnnxAttr> attrs;
};

struct OnnxModel {
  std::vector<OnnxTensor> tensors;
  std::vector<OnnxOperator> operators;
};

// Number of an element type in TensorProto.DataType; 0 (UNDEFINED) when the format has none.
int onnx_type(DType t);
// The inverse; unknown for strings, complex, float8, float4 and numbers beyond the known ones.
DType onnx_dtype(int64_t type);
// "FLOAT16", "STRING"; "type 99" for unknown numbers.
std::string onnx_type_name(int64_t type);

// ---- writing
// ---------------------------------------------------------------------------------------------------------

// Turns graph nodes into operators of an OnnxModel for one opset. The first refusal sticks until `take_refusal`.
class OnnxEmit {
 public:
  // `opset`: version of ai.onnx to write, 7 to kOnnxOpset.
  OnnxEmit(const Graph& g, OnnxModel& m, int opset) : g_(g), m_(m), opset_(opset) {}

  // Emits one node by the first row that can; otherwise leaves the model as it was and returns the reason.
  std::optional<std::string> emit(NodeId id);
  // Index of a graph value's tensor; made on first use.
  int32_t value(ValueId v);

  // -- for the rows' hooks; they speak of the node being emitted --
  int opset() const { return opset_; }
  const Graph& graph() const { return g_; }
  const Node& node() const { return *node_; }
  AttrView attr() const { return node_->attr(); }
  size_t arity() const { return node_->inputs.size(); }
  bool has(size_t k) const { return k < node_->inputs.size() && node_->inputs[k].valid(); }
  const Shape& shape(size_t k) const { return g_.shape(node_->inputs[k]); }
  DType dtype(size_t k) const { return g_.type(node_->inputs[k]).dtype; }
  const Shape& out_shape(size_t k = 0) const { return g_.shape(node_->outputs[k]); }
  DType out_dtype(size_t k = 0) const { return g_.type(node_->outputs[k]).dtype; }
  const Tensor* constant_of(size_t k) const { return g_.value(node_->inputs[k]).constant.get(); }

  int32_t in(size_t k) { return has(k) ? value(node_->inputs[k]) : -1; }
  int32_t out(size_t k = 0) { return value(node_->outputs[k]); }
  const OnnxTensor& tensor(int32_t i) const { return m_.tensors[static_cast<size_t>(i)]; }
  int32_t constant(Tensor t);                // a helper initialiser; equal ones are shared
  int32_t ints(std::span<const int64_t> v);  // i64 vector
  int32_t scalar(double v, DType dtype);     // rank 0
  int32_t temporary(DType dtype, Shape shape);

  // Appends an operator of ai.onnx.
  void op(std::string_view type, std::vector<int32_t> in, std::vector<int32_t> out, std::vector<OnnxAttr> attrs = {});
  // The same with one new tensor as result.
  int32_t op(std::string_view type, std::vector<int32_t> in, DType dtype, Shape shape,
             std::vector<OnnxAttr> attrs = {});
  void refuse(std::string why);
  bool refused() const { return refusal_.has_value(); }
  std::optional<std::string> take_refusal() { return std::exchange(refusal_, std::nullopt); }

 private:
  const Graph& g_;
  OnnxModel& m_;
  int opset_;
  const Node* node_ = nullptr;
  std::optional<std::string> refusal_;
  std::map<ValueId, int32_t> values_;
  std::map<std::string, int32_t> helpers_;  // type, shape and bytes of a helper constant
};

// ---- reading
// ---------------------------------------------------------------------------------------------------------

struct OnnxRow;

// One operator of the file, its operands already ours. Values that depend on constants and shapes only are constants
// here: the builder evaluates them. Errors (`fail`: the model is wrong) go to `b` and stick; `refuse` says that the
// form is one we have no meaning for, and the node becomes opaque.
class OnnxRead {
 public:
  // `opset`: version of the operator's domain; `operand.in`/`out` tell presence only, values come in `in`.
  OnnxRead(Builder& builder, const OnnxRow& row, const OnnxOperator& o, int opset, std::vector<ValueId> in)
      : b(builder), row_(row), op_(o), opset_(opset), in_(std::move(in)), results_(o.out.size()) {}

  Builder& b;

  const OnnxRow& row() const { return row_; }
  const std::string& type() const { return op_.type; }
  int opset() const { return opset_; }
  size_t arity() const { return in_.size(); }
  bool has(size_t k) const { return k < in_.size() && in_[k].valid(); }
  // Operand k; fails on b when it is absent.
  ValueId in(size_t k);
  const std::vector<ValueId>& operands() const { return in_; }
  const Shape& shape(size_t k) { return b.shape(in(k)); }
  size_t rank(size_t k) { return shape(k).size(); }
  DType dtype(size_t k) { return b.dtype(in(k)); }
  // Constant operand k; nullptr, with b failed (`data_dependent`), when it depends on input values.
  const Tensor* constant(size_t k);
  // Elements of a constant integer operand, and the single element of one.
  Ints const_ints(size_t k);
  int64_t const_int(size_t k);
  Reals const_reals(size_t k);
  double const_real(size_t k);

  // Attributes; one of another kind than asked for fails on b (`bad_attribute`).
  bool has_attr(std::string_view name) const { return find(name) != nullptr; }
  int64_t i(std::string_view name, int64_t fallback);
  double f(std::string_view name, double fallback);
  std::string s(std::string_view name, std::string_view fallback);
  Ints ints(std::string_view name);    // empty when absent
  Reals reals(std::string_view name);  // empty when absent
  std::vector<std::string> strings(std::string_view name);
  const Tensor* tensor(std::string_view name);  // nullptr when absent
  // Element type stored as an INT attribute; unknown (and refused) for types we lack.
  DType dtype_attr(std::string_view name, DType fallback);

  // Maps an axis into [0, rank); fails on b when out of range.
  int64_t axis(int64_t axis, size_t rank);
  Ints axes(Ints axes, size_t rank);
  // Attribute `name` as an axis of operand 0.
  int64_t axis_attr(std::string_view name, int64_t fallback);
  // Integers that are attribute `name` before opset `since`, and input k from then on; nullopt when absent.
  std::optional<Ints> ints_or_input(std::string_view name, size_t k, int since);

  // Result k is asked for.
  bool wants(size_t k) const { return k < op_.out.size() && op_.out[k] >= 0; }
  size_t results() const { return results_.size(); }
  void ret(size_t k, ValueId v) {
    if (k < results_.size()) results_[k] = v;
  }
  void ret(ValueId v) { ret(0, v); }
  void fail(Diag d) { b.fail(std::move(d)); }
  void refuse(std::string why);
  const std::optional<std::string>& refusal() const { return refusal_; }
  // No point in going on.
  bool stopped() const { return refusal_.has_value() || b.failed(); }
  const std::vector<ValueId>& values() const { return results_; }

 private:
  const OnnxAttr* find(std::string_view name) const;

  const OnnxRow& row_;
  const OnnxOperator& op_;
  int opset_;
  std::vector<ValueId> in_;
  std::vector<ValueId> results_;
  std::optional<std::string> refusal_;
};

// Runs the row: its hook, or the data form.
void onnx_read(OnnxRead& c);

// ---- rows
// ------------------------------------------------------------------------------------------------------------

// Data form: an attribute of the format and ours that says the same (integer, real, boolean as 0/1, string, lists).
struct OnnxAttrMap {
  std::string_view theirs;
  std::string_view ours;
  double fallback = 0;  // a number that is not stored means this
};

struct OnnxRow {
  std::string_view name;         // "Conv"
  std::string_view domain = {};  // "" = ai.onnx
  int since = 1;                 // opsets in which the operator has the meaning of this row
  int until = kOnnxOpset;        // (newer opsets than kOnnxOpset count as it, with a warning of the frontend)
  // Our operators this row can write; reading in data form makes the first. Empty: read only.
  std::array<std::string_view, 3> ours = {};
  std::span<const OnnxAttrMap> attrs = {};
  // nullptr: the data form – operands and results in order, attributes by `attrs`; written for since <= opset only.
  void (*read)(OnnxRead& c) = nullptr;
  // Called for every node of `ours`; decides by c.opset() itself, whatever `since` says.
  void (*write)(OnnxEmit& c) = nullptr;
};

// The row that gives `name` of `domain` ("" or "ai.onnx" alike) its meaning in `opset`; nullptr when there is none.
const OnnxRow* onnx_row(std::string_view domain, std::string_view name, int opset);
// Rows that can write our operator, in order of trial.
std::span<const OnnxRow* const> onnx_writers(std::string_view ours);
// The oldest `since` of the rows of this name, for messages; 0 when there is none.
int onnx_known_since(std::string_view domain, std::string_view name);

}  // namespace npuport
