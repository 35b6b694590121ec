// Values of the TorchScript interpreter: Python objects whose tensors are values of the graph under construction.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "frontends/torch/script_ast.h"
#include "ir/graph.h"

namespace npuport {

class IValue;
struct ClassInfo;  // a class of the archive (script_code.h)

// Affine quantisation attached to a tensor: values are kept dequantised, on the grid (q − zero_point) · scale.
struct QuantGrid {
  std::vector<double> scale;  // one, or one per index of axis
  std::vector<int64_t> zero_point;
  int64_t axis = -1;
  int64_t low = -128, high = 127;
  DType storage = DType::i8;
};

// The memory a tensor and all its views share. A write replaces `value` and advances `version`.
struct TensorStorage {
  ValueId value;
  uint64_t version = 0;
  // A weight that no operator has used yet: becomes a constant called `name` on first use.
  std::shared_ptr<const Tensor> pending;
  std::string name;
  // Why a weight cannot be read (an unsupported element type …): an error only when something uses it.
  std::shared_ptr<const Diag> unavailable;
};

struct ScriptTensor;
using TensorRef = std::shared_ptr<ScriptTensor>;

// How a view is computed from its parent: the ATen call with the parent as first argument; `output` selects an element
// of a list result.
struct ViewStep {
  std::string op;
  std::vector<IValue> args;  // without the tensor itself
  std::vector<std::pair<std::string, IValue>> keywords;
  size_t output = 0;
};

// A tensor object. Aliasing tensors share `storage`; a view knows its parent, so that reads see later writes and writes
// reach the base.
struct ScriptTensor {
  std::shared_ptr<TensorStorage> storage;
  TensorRef parent;                // null: this tensor is the whole storage
  std::shared_ptr<ViewStep> step;  // with parent
  ValueId value;                   // what a read gave at version `seen`
  // Memory layout inside the storage, in elements; empty = dense. Decides whether reshape and contiguous alias.
  Ints strides;
  bool strides_known = true;
  uint64_t seen = 0;
  // A rank-0 tensor that stands for a Python number in type promotion (CONSTANTS.cN).
  bool wrapped_number = false;
  // Complex numbers: the graph value has a trailing dimension of size 2 (real, imaginary).
  bool complex = false;
  std::shared_ptr<const QuantGrid> grid;
  // A nested tensor, kept padded: bool [batch, length], true where a row exists.
  TensorRef valid_rows;
};

struct ListObject {
  std::vector<IValue> items;
};
struct TupleObject {
  std::vector<IValue> items;
  const ClassInfo* named = nullptr;  // NamedTuple class
};
struct DictObject {
  std::vector<std::pair<IValue, IValue>> items;  // insertion order; keys are str, int, float, bool or tensors
};
struct ScriptObject {
  const ClassInfo* cls = nullptr;
  std::string class_name;  // qualified, also for classes without source (packed parameters)
  std::string path;        // attribute path from the root module: "encoder.layers.0"; empty for the root and locals
  bool module = false;
  std::map<std::string, IValue, std::less<>> fields;
};
struct EnumObject {
  const ClassInfo* cls = nullptr;
  std::string member;
};
struct Frame;
// A free function, a bound method or a nested function with its defining frame.
struct FunctionObject {
  const script::Function* function = nullptr;
  const ClassInfo* owner = nullptr;  // file and class it was defined in
  std::shared_ptr<Frame> closure;
  std::shared_ptr<ScriptObject> self;
};
struct FutureObject;

struct DeviceValue {
  std::string name;
};
struct Uninitialised {};

// A Python number that depends on the values of the inputs: known only as a rank-0 tensor. Arithmetic goes on in the
// graph; using it as a condition, a size or an index is refused.
struct SymNumber {
  TensorRef tensor;
  enum Kind : uint8_t { integer, real, boolean } kind = real;
};

// A reference-counted Python object, as the interpreter sees it. Copies share lists, dicts and objects.
class IValue {
 public:
  IValue() = default;
  IValue(bool v) : v_(v) {}
  IValue(int64_t v) : v_(v) {}
  IValue(int v) : v_(static_cast<int64_t>(v)) {}
  IValue(double v) : v_(v) {}
  IValue(std::string v) : v_(std::make_shared<const std::string>(std::move(v))) {}
  IValue(const char* v) : IValue(std::string(v)) {}
  IValue(TensorRef v) : v_(std::move(v)) {}
  IValue(DeviceValue v) : v_(std::make_shared<const DeviceValue>(std::move(v))) {}
  IValue(std::shared_ptr<ListObject> v) : v_(std::move(v)) {}
  IValue(std::shared_ptr<TupleObject> v) : v_(std::move(v)) {}
  IValue(std::shared_ptr<DictObject> v) : v_(std::move(v)) {}
  IValue(std::shared_ptr<ScriptObject> v) : v_(std::move(v)) {}
  IValue(std::shared_ptr<EnumObject> v) : v_(std::move(v)) {}
  IValue(std::shared_ptr<FunctionObject> v) : v_(std::move(v)) {}
  IValue(std::shared_ptr<FutureObject> v) : v_(std::move(v)) {}
  IValue(SymNumber v) : v_(std::make_shared<const SymNumber>(std::move(v))) {}
  IValue(Uninitialised v) : v_(v) {}

  static IValue list(std::vector<IValue> items);
  static IValue tuple(std::vector<IValue> items);
  static IValue ints(const std::vector<int64_t>& v);

  bool is_none() const { return std::holds_alternative<std::monostate>(v_); }
  bool is_uninitialised() const { return std::holds_alternative<Uninitialised>(v_); }
  // Null or nullptr when the value is something else.
  const bool* as_bool() const { return std::get_if<bool>(&v_); }
  const int64_t* as_int() const { return std::get_if<int64_t>(&v_); }
  const double* as_real() const { return std::get_if<double>(&v_); }
  const std::string* as_string() const { return get<const std::string>(); }
  const DeviceValue* as_device() const { return get<const DeviceValue>(); }
  ListObject* as_list() const { return get<ListObject>(); }
  TupleObject* as_tuple() const { return get<TupleObject>(); }
  DictObject* as_dict() const { return get<DictObject>(); }
  ScriptObject* as_object() const { return get<ScriptObject>(); }
  EnumObject* as_enum() const { return get<EnumObject>(); }
  FunctionObject* as_function() const { return get<FunctionObject>(); }
  FutureObject* as_future() const { return get<FutureObject>(); }
  const SymNumber* as_sym() const { return get<const SymNumber>(); }
  TensorRef as_tensor() const {
    const auto* p = std::get_if<TensorRef>(&v_);
    return p ? *p : nullptr;
  }
  std::shared_ptr<ScriptObject> object_ref() const {
    const auto* p = std::get_if<std::shared_ptr<ScriptObject>>(&v_);
    return p ? *p : nullptr;
  }
  // Items of a list or tuple; nullptr for anything else.
  const std::vector<IValue>* sequence() const;
  // bool, int or float as a number; false for anything else.
  bool number(double& out) const;
  bool is_number() const { return as_bool() || as_int() || as_real(); }
  // The same object (Python's `is`); numbers, strings and None compare by value.
  bool same(const IValue& o) const;
  // "int", "Tensor", "List", "object of class X" …: for messages.
  std::string type_name() const;

 private:
  template <class T>
  T* get() const {
    const auto* p = std::get_if<std::shared_ptr<T>>(&v_);
    return p ? p->get() : nullptr;
  }
  std::variant<std::monostate, bool, int64_t, double, Uninitialised, std::shared_ptr<const std::string>, TensorRef,
               std::shared_ptr<ListObject>, std::shared_ptr<TupleObject>, std::shared_ptr<DictObject>,
               std::shared_ptr<ScriptObject>, std::shared_ptr<EnumObject>, std::shared_ptr<FunctionObject>,
               std::shared_ptr<FutureObject>, std::shared_ptr<const DeviceValue>, std::shared_ptr<const SymNumber>>
      v_;
};

struct FutureObject {
  IValue value;
};

using Keywords = std::vector<std::pair<std::string, IValue>>;

// Python's == for everything that holds no tensor; false for values of different types (1 == 1.0 is true). Lists,
// tuples and dicts compare element by element.
bool equal(const IValue& a, const IValue& b);

// PyTorch's ScalarType numbers (6 = float32, 4 = int64 …). Nullopt / −1 for types without counterpart.
std::optional<DType> dtype_of_scalar_type(int64_t code);
int64_t scalar_type_of(DType t);
// ScalarType codes 8 (ComplexHalf), 9 (ComplexFloat), 10 (ComplexDouble).
inline bool is_complex_scalar_type(int64_t code) { return code >= 8 && code <= 10; }

}  // namespace npuport
