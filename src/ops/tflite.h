// How TFLite's builtin operators become ours and back. One row per builtin code, in src/ops/tflite/<family>.cpp, serves
// the reader and the writer. Nothing here knows flatbuffers: rows see a plain model, which src/frontends reads from a
// file and src/writers serialises. Slot numbers and enum values are those of the format's schema (version 3).
#pragma once

#include <array>
#include <map>
#include <set>

#include "ir/builder.h"

namespace npuport {

// ---- the plain model
// -------------------------------------------------------------------------------------------------

enum class TfliteKind : uint8_t { i8, i32, u32, f32, boolean, i32s };

// One field of an options table.
struct TfliteField {
  std::string_view name;  // the schema's name
  int slot;
  TfliteKind kind;
  double fallback = 0;  // the schema's default: the value of a field that is not stored
};

struct TfliteOptionsType {
  std::string_view name;  // "Conv2DOptions"
  int type;               // its number in union BuiltinOptions
  std::span<const TfliteField> fields = {};
};

struct TfliteOption {
  const TfliteField* field;
  double number = 0;  // every scalar kind; exact for all of them
  Ints list;          // kind i32s
};

// A constant as it will be stored: `source` with its dimensions permuted, as `dtype` (that of the source, or f16).
struct TfliteConstant {
  std::shared_ptr<const Tensor> source;
  Ints perm;  // stored dim i = source dim perm[i]; empty = as it is
};

struct TfliteTensor {
  std::string name;
  DType dtype = DType::unknown;
  Shape shape;
  TfliteConstant constant;  // source == nullptr: not a constant
};

struct TfliteRow;

struct TfliteOperator {
  const TfliteRow* row = nullptr;
  int version = 1;
  std::vector<int32_t> in, out;  // indices into tensors; -1 = absent optional
  std::vector<TfliteOption> options;

  // Value of an option; its default when it is not there. Names that the row's options type lacks abort (a bug).
  double option(std::string_view field) const;
  const Ints& list(std::string_view field) const;
};

struct TfliteModel {
  std::vector<TfliteTensor> tensors;
  std::vector<TfliteOperator> operators;
};

// Number of an element type in the format's enum TensorType; -1 when the format has none.
int tflite_type(DType t);
// The inverse; unknown for complex, string, resource and sub-byte types, which are not read.
DType tflite_dtype(int type);
// The schema's name of an element type, for messages ("COMPLEX64").
std::string tflite_type_name(int type);
// "CONV_2D"; "operator 777" for a number beyond the known ones.
std::string tflite_builtin_name(int code);

// ---- writing
// ---------------------------------------------------------------------------------------------------------

// Weights below this many elements stay float32 even when float16 is asked for: they cost nothing, and biases and
// scalars keep their precision.
inline constexpr int64_t kTfliteHalfMinimum = 1024;

// Turns graph nodes into operators of a TfliteModel. The first refusal sticks until `take_refusal`.
class TfliteEmit {
 public:
  // `half`: float32 constants of the graph of at least kTfliteHalfMinimum elements are stored as float16 behind a
  // DEQUANTIZE.
  TfliteEmit(const Graph& g, TfliteModel& m, bool half) : g_(g), m_(m), half_(half) {}

  // Emits one node by the first row that can; otherwise leaves the model as it was and returns the reason.
  std::optional<std::string> emit(NodeId id);
  // Index of a graph value's tensor. Constants of rank 0 become [1] with `as_vector`.
  int32_t value(ValueId v, bool as_vector = false);

  // -- for the rows' hooks; they speak of the node being emitted --
  const Graph& graph() const { return g_; }
  const Node& node() const { return *node_; }
  AttrView attr() const { return node_->attr(); }
  bool has(size_t k) const { return k < node_->inputs.size() && node_->inputs[k].valid(); }
  const Shape& shape(size_t k) const { return g_.shape(node_->inputs[k]); }
  DType dtype(size_t k) const { return g_.type(node_->inputs[k]).dtype; }
  const Shape& out_shape(size_t k = 0) const { return g_.shape(node_->outputs[k]); }
  DType out_dtype(size_t k = 0) const { return g_.type(node_->outputs[k]).dtype; }
  const Tensor* constant_of(size_t k) const { return g_.value(node_->inputs[k]).constant.get(); }

  int32_t in(size_t k, bool as_vector = false) { return has(k) ? value(node_->inputs[k], as_vector) : -1; }
  int32_t out(size_t k = 0) { return value(node_->outputs[k]); }
  const TfliteTensor& tensor(int32_t i) const { return m_.tensors[static_cast<size_t>(i)]; }
  // A helper constant; equal ones are shared. `name`: of the value it stands for, if any.
  int32_t constant(Tensor t, std::string name = {});
  const std::string& name_of(size_t k) const { return g_.value(node_->inputs[k]).name; }
  int32_t i32(std::span<const int64_t> v);         // i32 vector; refuses values outside i32
  int32_t i32(int64_t v) { return i32({&v, 1}); }  // i32 [1]
  // Input k with its dims permuted: a constant is stored that way, anything else goes through TRANSPOSE.
  int32_t permuted(size_t k, Ints perm);
  // The bias input, or zeros [n] of `dtype`: vendor compilers want a bias everywhere.
  int32_t bias(size_t k, int64_t n, DType dtype);
  int32_t temporary(DType dtype, Shape shape);

  struct Opt {
    std::string_view field;
    double value;
  };
  // Appends an operator; its version and type rules come from its row.
  void op(std::string_view name, std::vector<int32_t> in, std::vector<int32_t> out, std::initializer_list<Opt> o = {});
  void op(std::string_view name, std::vector<int32_t> in, std::vector<int32_t> out, std::span<const Opt> o);
  // The same with one new tensor as result.
  int32_t op(std::string_view name, std::vector<int32_t> in, DType dtype, Shape shape,
             std::initializer_list<Opt> o = {});
  int32_t transpose(int32_t x, const Ints& perm);
  int32_t reshape(int32_t x, Shape shape);
  // The last operator of a hook: `y` becomes output k, through a RESHAPE when shapes differ.
  void reshape_to(int32_t x, size_t k = 0);
  void refuse(std::string why);
  bool refused() const { return refusal_.has_value(); }
  // The refusal of calls made outside `emit`; cleared.
  std::optional<std::string> take_refusal() { return std::exchange(refusal_, std::nullopt); }

 private:
  std::optional<std::string> try_row(const TfliteRow& row);
  void generic(const TfliteRow& row);
  int32_t stored(const std::shared_ptr<const Tensor>& source, Ints perm, Shape shape, std::string name);
  int32_t add_tensor(TfliteTensor t);
  std::string fresh_name();

  using ConstantKey = std::tuple<const Tensor*, Ints, Shape>;
  const Graph& g_;
  TfliteModel& m_;
  bool half_;
  const Node* node_ = nullptr;
  std::optional<std::string> refusal_;
  std::map<ValueId, int32_t> values_;
  std::map<ConstantKey, int32_t> constants_;
  std::map<std::string, int32_t> helpers_;  // type, shape and bytes of a helper constant
};

// ---- reading
// ---------------------------------------------------------------------------------------------------------

// One operator of the file, its operands already ours; it has at least one result. Errors go to `b` and stick.
class TfliteRead {
 public:
  TfliteRead(Builder& builder, const TfliteOperator& o, std::vector<ValueId> in, std::vector<TensorType> declared)
      : b(builder), op_(o), in_(std::move(in)), declared_(std::move(declared)), results_(declared_.size()) {}

  Builder& b;

  const TfliteRow& row() const { return *op_.row; }
  size_t arity() const { return in_.size(); }
  bool has(size_t k) const { return k < in_.size() && in_[k].valid(); }
  // Operand k; fails on b when it is absent.
  ValueId in(size_t k);
  const Shape& shape(size_t k) { return b.shape(in(k)); }
  DType dtype(size_t k) { return b.dtype(in(k)); }
  // Operand k with permuted dims; a constant is permuted here and now.
  ValueId permuted(size_t k, Ints perm);
  // A transpose that takes back the one that made `v`, if that is what it does.
  ValueId transposed(ValueId v, Ints perm);
  // A constant made from the stored one, whose name it takes over.
  ValueId derived(ValueId stored, Tensor made);
  // Elements of an integer constant operand; fails on b (`data_dependent`) when it is no constant.
  Ints const_ints(size_t k);
  int64_t const_int(size_t k);
  double const_real(size_t k);
  double option(std::string_view field) const { return op_.option(field); }
  int64_t i(std::string_view field) const { return static_cast<int64_t>(op_.option(field)); }
  bool flag(std::string_view field) const { return op_.option(field) != 0; }
  const Ints& list(std::string_view field) const { return op_.list(field); }
  // Type and shape of result k as the file declares it (the shape may be a placeholder in dynamic files).
  const TensorType& declared(size_t k = 0) const { return declared_[k]; }
  size_t results() const { return declared_.size(); }

  // y through the fused activation `number` (schema enum ActivationFunctionType).
  ValueId activated(ValueId y, int64_t number);
  // Our name of a fused activation that conv2d and linear take; nullopt for tanh and sign bit.
  static std::optional<std::string> activation_name(int64_t number);

  // Result k; one the file does not name is dropped.
  void ret(size_t k, ValueId v) {
    if (k < results_.size()) results_[k] = v;
  }
  void ret(ValueId v) { ret(0, v); }
  void fail(Diag d) { b.fail(std::move(d)); }
  const std::vector<ValueId>& values() const { return results_; }

 private:
  const TfliteOperator& op_;
  std::vector<ValueId> in_;
  std::vector<TensorType> declared_;
  std::vector<ValueId> results_;
};

// Runs the row: its hook, or the data form.
void tflite_read(TfliteRead& c);

// ---- rows
// ------------------------------------------------------------------------------------------------------------

// What an operator's version depends on.
struct TfliteSignature {
  const TfliteOperator& op;
  std::span<const TfliteTensor* const> in;  // nullptr = absent
  std::span<const TfliteTensor* const> out;
  DType type() const { return in[0]->dtype; }
  size_t rank() const { return in[0]->shape.size(); }
  // Shapes of the first two inputs differ.
  bool broadcasts() const { return in.size() > 1 && in[0]->shape != in[1]->shape; }
  size_t max_rank() const;
};

// Data form: where the operands come from.
struct TfliteOperand {
  enum Kind : uint8_t {
    input,    // our next input
    ints,     // attribute (integers), stored as an i32 vector constant
    integer,  // attribute (integer), stored as an i32 [1] constant
  } kind = input;
  std::string_view attr = {};
};

// Data form: an options field and the attribute that says the same.
struct TfliteAttr {
  std::string_view field;
  std::string_view attr;
  std::span<const std::string_view> words = {};  // for string attributes: word i = number i
};

namespace tfl {
// Sets of element types.
constexpr uint32_t bit(DType t) { return uint32_t{1} << static_cast<unsigned>(t); }
inline constexpr uint32_t f32 = bit(DType::f32), f16 = bit(DType::f16), i32 = bit(DType::i32), i64 = bit(DType::i64),
                          b1 = bit(DType::boolean), i8 = bit(DType::i8), u8 = bit(DType::u8), i16 = bit(DType::i16),
                          u32 = bit(DType::u32);
inline constexpr uint32_t any = ~uint32_t{0};
}  // namespace tfl

struct TfliteRow {
  std::string_view name;  // "CONV_2D"
  int code;
  const TfliteOptionsType* options = nullptr;
  // Our operators this row can write; reading in data form makes the first. Empty: read only (or a helper of hooks).
  std::array<std::string_view, 3> ours = {};
  std::span<const TfliteOperand> operands = {};  // empty: our inputs in order
  std::span<const TfliteAttr> attrs = {};
  int (*version)(const TfliteSignature& s) = nullptr;  // nullptr: 1
  uint32_t types = tfl::any;                           // element types LiteRT's kernel takes in operand `typed`
  uint32_t typed = 0;
  int max_rank = 8;        // of any operand
  int broadcast_rank = 8;  // of any operand when the shapes of the first two differ
  void (*write)(TfliteEmit& c) = nullptr;
  void (*read)(TfliteRead& c) = nullptr;
  std::string_view runtime = "1.14.0";  // first runtime with this operator, for metadata min_runtime_version
};

// Rows by builtin code and by name; nullptr when there is none.
const TfliteRow* tflite_row(int code);
const TfliteRow* tflite_row(std::string_view name);

// Why node `id` cannot be written as TFLite, in one sentence; nullopt when it can. Passes lower what is refused.
std::optional<std::string> tflite_refusal(const Graph& g, NodeId id);
// The operators node `id` becomes, by their names in order ("PAD", "CONV_2D"); empty when it is refused.
std::vector<std::string_view> tflite_operators(const Graph& g, NodeId id);

}  // namespace npuport
