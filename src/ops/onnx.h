// How ONNX operators become ours and back. One row per operator (and per form, where opsets differ too much for one
// hook), in src/ops/onnx/<family>.cpp, serves the reader and the writer. Nothing here knows protobuf: rows see a plain
// model, which src/frontends reads from a file and src/writers serialises.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <set>

#include "ir/builder.h"

namespace npuport {

// The newest opset of the domain ai.onnx whose operators the rows know.
inline constexpr int kOnnxOpset = 28;

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
  // Writing only: stored dim i = dim perm[i] of `constant` (empty = as it is), narrowed to `dtype` where that is f16.
  Ints perm = {};
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

// Weights below this many elements stay float32 even when float16 is asked for: they cost nothing, and biases and
// scalars keep their precision.
inline constexpr int64_t kOnnxHalfMinimum = 1024;

// Turns graph nodes into operators of an OnnxModel for one opset. The first refusal sticks until `take_refusal`.
//
// Hooks write formulas: every helper appends operators and returns the index of its result, and `give` makes a result
// the node's. Element types an operator does not take are widened by casts around it where that loses nothing.
class OnnxEmit {
 public:
  // `opset`: version of ai.onnx to write, 11 to 17. `half`: float32 constants of the graph of at least
  // kOnnxHalfMinimum elements are stored as float16 behind a Cast.
  OnnxEmit(const Graph& g, OnnxModel& m, int opset, bool half = false);

  // Emits one node by the writer of its operator, or by a row in data form; otherwise leaves the model as it was and
  // returns the reason.
  std::optional<std::string> emit(NodeId id);
  // Index of a graph value's tensor; made on first use.
  int32_t value(ValueId v);

  // -- for the writers; they speak of the node being emitted --
  int opset() const { return opset_; }
  const Graph& graph() const { return g_; }
  const Node& node() const { return *node_; }
  AttrView attr() const { return node_->attr(); }
  size_t arity() const { return node_->inputs.size(); }
  bool has(size_t k) const { return k < node_->inputs.size() && node_->inputs[k].valid(); }
  const Shape& shape(size_t k) const { return g_.shape(node_->inputs[k]); }
  size_t rank(size_t k) const { return shape(k).size(); }
  DType dtype(size_t k) const { return g_.type(node_->inputs[k]).dtype; }
  const Shape& out_shape(size_t k = 0) const { return g_.shape(node_->outputs[k]); }
  DType out_dtype(size_t k = 0) const { return g_.type(node_->outputs[k]).dtype; }
  const Tensor* constant_of(size_t k) const { return g_.value(node_->inputs[k]).constant.get(); }
  // Result k is read by another node or the caller.
  bool wanted(size_t k) const { return g_.use_count(node_->outputs[k]) > 0; }

  int32_t in(size_t k) { return has(k) ? value(node_->inputs[k]) : -1; }
  // Input k with its dims permuted: a constant is stored that way, anything else goes through Transpose.
  int32_t permuted(size_t k, Ints perm);
  const OnnxTensor& tensor(int32_t i) const { return m_.tensors[static_cast<size_t>(i)]; }
  int32_t constant(Tensor t);                // a helper initialiser; equal ones are shared
  int32_t ints(std::span<const int64_t> v);  // i64 vector
  int32_t ints(int64_t v) { return ints({&v, 1}); }
  int32_t scalar(double v, DType dtype);  // rank 0
  // A number of the type of tensor x.
  int32_t like(int32_t x, double v) { return scalar(v, tensor(x).dtype); }

  // Appends an operator of ai.onnx; its results are new tensors of these types (dtype unknown: left out).
  std::vector<int32_t> ops(std::string_view type, std::vector<int32_t> in, std::vector<TensorType> results,
                           std::vector<OnnxAttr> attrs = {});
  // The same with one result.
  int32_t op(std::string_view type, std::vector<int32_t> in, DType dtype, Shape shape,
             std::vector<OnnxAttr> attrs = {});
  // One input, a result of its type and shape.
  int32_t unary(std::string_view type, int32_t x, std::vector<OnnxAttr> attrs = {});
  // Two inputs, a result of the broadcast shape and the first one's type, or bool.
  int32_t binary(std::string_view type, int32_t a, int32_t b, std::vector<OnnxAttr> attrs = {});
  int32_t compare(std::string_view type, int32_t a, int32_t b);  // Equal, Less, Greater, LessOrEqual, GreaterOrEqual
  int32_t where(int32_t condition, int32_t a, int32_t b);
  int32_t add(int32_t a, int32_t b) { return binary("Add", a, b); }
  int32_t sub(int32_t a, int32_t b) { return binary("Sub", a, b); }
  int32_t mul(int32_t a, int32_t b) { return binary("Mul", a, b); }
  int32_t div(int32_t a, int32_t b) { return binary("Div", a, b); }
  // Each returns its input when there is nothing to do.
  int32_t cast(int32_t x, DType to);
  int32_t reshape(int32_t x, Shape shape);
  int32_t transpose(int32_t x, const Ints& perm);
  int32_t slice(int32_t x, size_t axis, int64_t begin, int64_t end);
  int32_t concat(std::vector<int32_t> parts, size_t axis);
  // ReduceSum, ReduceMean, ReduceMax, ReduceMin, ReduceProd over `axes`.
  int32_t reduce(std::string_view type, int32_t x, const Ints& axes, bool keepdims);
  // Pad with a number, `pads` = begins, then ends.
  int32_t pad(int32_t x, const Ints& pads, double value);

  // `x` is result k, reshaped and cast to its type where they differ.
  void give(int32_t x, size_t k = 0);
  // -- for the file as a whole --
  // An Identity of x, for results of the file that would be an input, a constant or another result.
  int32_t copy(int32_t x, std::string name);
  // After the last node: gives every tensor that is no value of the graph a name of its own.
  void finish();

  void refuse(std::string why);
  bool refused() const { return refusal_.has_value(); }
  std::optional<std::string> take_refusal() { return std::exchange(refusal_, std::nullopt); }

 private:
  std::optional<std::string> attempt(const std::function<void()>& write);
  int32_t add_tensor(OnnxTensor t);
  int32_t stored(const std::shared_ptr<const Tensor>& source, Ints perm, const std::string& name);
  void append(std::string_view type, std::vector<int32_t> in, std::vector<int32_t> out, std::vector<OnnxAttr> attrs);

  using ConstantKey = std::pair<const Tensor*, Ints>;
  const Graph& g_;
  OnnxModel& m_;
  int opset_;
  bool half_;
  const Node* node_ = nullptr;
  size_t first_operator_ = 0;  // of this node
  std::optional<std::string> refusal_;
  std::map<ValueId, int32_t> values_;
  std::map<ConstantKey, int32_t> constants_;
  std::map<std::string, int32_t> helpers_;  // type, shape and bytes of a helper constant
};

// How one operator of ours is written where it is no row in data form: formulas over ONNX operators, for every opset
// from 11 to 17 (src/ops/onnx_write/<family>.cpp).
struct OnnxWriter {
  std::string_view ours;
  void (*write)(OnnxEmit& c);
};

// Element types that an ONNX operator takes.
struct OnnxTypes {
  uint32_t good = ~uint32_t{0};  // the standard at this opset and the runtimes: bit i = DType i
  uint32_t standard = ~uint32_t{0};
  uint32_t operands = ~uint32_t{0};  // inputs this is about: bit i = input i
  uint32_t results = 1;              // results that have the same type: bit i = result i
  bool known = false;                // of this opset at all
};
OnnxTypes onnx_types(std::string_view type, int opset);

// Why node `id` cannot be written at `opset`, in one sentence; nullopt when it can.
std::optional<std::string> onnx_refusal(const Graph& g, NodeId id, int opset);
// The operators node `id` becomes, by their names in order; empty when it is refused.
std::vector<std::string> onnx_operators(const Graph& g, NodeId id, int opset);

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
  const OnnxOperator& stored() const { return op_; }
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
  // nullptr: the data form – operands and results in order, attributes by `attrs`; also written that way, for
  // since <= opset, unless `ours` has an OnnxWriter.
  void (*read)(OnnxRead& c) = nullptr;
};

// The row that gives `name` of `domain` ("" or "ai.onnx" alike) its meaning in `opset`; nullptr when there is none.
const OnnxRow* onnx_row(std::string_view domain, std::string_view name, int opset);
// Rows that can write our operator, in order of trial.
std::span<const OnnxRow* const> onnx_writers(std::string_view ours);
// The oldest `since` of the rows of this name, for messages; 0 when there is none.
int onnx_known_since(std::string_view domain, std::string_view name);

}  // namespace npuport
