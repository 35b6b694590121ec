// How PyTorch's operators become ours. One row per ATen overload, in src/ops/aten/<family>.cpp, shared by the
// TorchScript and the torch.export reader.
#pragma once

#include "ir/builder.h"

namespace npuport {

// A Python number as ATen's Scalar.
struct AtenScalar {
  enum Kind : uint8_t { integer, real, boolean } kind = integer;
  int64_t i = 0;
  double f = 0;
  double as_double() const { return kind == real ? f : static_cast<double>(i); }
  int64_t as_int() const { return kind == real ? static_cast<int64_t>(f) : i; }
};

// One bound call. Arguments are read by the names of the schema; defaults are already filled in. Asking for a name or
// type the schema does not have is a bug (aborts). Tensors are plain functional values: views, in-place effects and
// Python containers are the frontend's business, so a hook only builds nodes.
class AtenCall {
 public:
  virtual ~AtenCall() = default;

  Builder& b;

  virtual bool is_none(std::string_view arg) const = 0;
  // A Tensor argument; for `Tensor?` an invalid id when None.
  virtual ValueId tensor(std::string_view arg) const = 0;
  // Tensor[] or Tensor?[] (None elements are invalid ids).
  virtual std::vector<ValueId> tensors(std::string_view arg) const = 0;
  virtual int64_t i(std::string_view arg) const = 0;
  virtual double f(std::string_view arg) const = 0;  // float, or int given for float
  virtual bool flag(std::string_view arg) const = 0;
  virtual std::string s(std::string_view arg) const = 0;
  virtual AtenScalar scalar(std::string_view arg) const = 0;
  // int[] / int[N]: a single int is repeated N times. Empty for None.
  virtual Ints ints(std::string_view arg) const = 0;
  virtual Reals reals(std::string_view arg) const = 0;
  // ScalarType argument; nullopt when None.
  virtual std::optional<DType> dtype(std::string_view arg) const = 0;

  // Results, in schema order: one per `Tensor` in a tuple return; a list return takes ret_list once.
  virtual void ret(ValueId v) = 0;
  virtual void ret_list(std::vector<ValueId> v) = 0;
  void fail(Diag d) { b.fail(std::move(d)); }

  // Conveniences over b.
  const Shape& shape(std::string_view arg) const { return b.shape(tensor(arg)); }
  // Axis argument normalised to [0, rank); a rank-0 tensor counts as rank 1. Fails on b when out of range.
  int64_t axis(std::string_view arg, size_t rank) const;

 protected:
  explicit AtenCall(Builder& builder) : b(builder) {}
};

// What happens to the dtypes of Tensor and Scalar arguments before the row runs (PyTorch's promotion: tensor / 0-dim /
// Python-number categories). The binder inserts `cast`; Scalars become rank-0 constants of the common dtype when the
// row takes them as tensors (see `ours`).
enum class Promote : uint8_t {
  none,                // leave as they are
  common,              // all Tensor args (and Scalars) → result_type
  to_float,            // result_type, integers and bools → f32 (div, sin, mean …)
  common_bool_result,  // comparison: common inputs; the op itself yields bool
};

struct AtenRow {
  // As in native_functions.yaml, "name.overload(args) -> returns", without the aten:: prefix; other namespaces keep
  // theirs
  // ("torchvision::nms(…)"). `Tensor(a)` marks views. Rows of one name are tried in order; the first whose argument
  // kinds fit wins. Row foo serves foo_ too (the frontend writes the result back, cast to self's dtype).
  std::string_view schema;
  // 1:1 form: Tensor and Scalar arguments become the op's inputs in order, other arguments become the attributes of the
  // same name (those without such attribute are ignored). Empty when `fn` does the work.
  std::string_view ours = {};
  Promote promote = Promote::none;
  void (*fn)(AtenCall& c) = nullptr;
};

}  // namespace npuport
