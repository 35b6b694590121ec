// Calls ATen operators on interpreter values: overload choice, defaults, type promotion, in-place forms, views and
// aliasing. Shared by the readers of TorchScript and torch.export.
#pragma once

#include <functional>
#include <set>

#include "frontends/aten_schema.h"
#include "frontends/frontend.h"
#include "frontends/torch/script_value.h"

namespace npuport {

// c10::promoteTypes: the smallest type both fit in. unknown acts as "no type yet".
DType promote_types(DType a, DType b);

// One operand of at::result_type: its dtype and which of PyTorch's three categories it belongs to.
struct PromotionOperand {
  DType dtype = DType::unknown;
  enum Category : uint8_t { dimensioned, zero_dim, number } category = dimensioned;
};
// at::result_type. A Python float counts as the default dtype float32, an int as int64; dimensioned operands win over
// rank-0 tensors, those over numbers, unless the lower category is of a higher kind (bool < integer < float).
DType result_type(std::span<const PromotionOperand> operands);

class AtenBinder {
 public:
  explicit AtenBinder(Builder& b) : b_(b) {}

  // Runs "aten::add" and the like. Unknown operators become `opaque` nodes, listed in opaque(). Errors: the row's own,
  // data_dependent where a number is needed that depends on input values, unsupported for forms no row covers.
  Result<IValue> call(std::string_view name, std::vector<IValue> args, Keywords keywords = {});
  // Whether `call` has a row (of the name, or of the out-of-place form of name_).
  bool knows(std::string_view name) const;

  // A tensor object that owns a new storage.
  TensorRef fresh(ValueId v);
  // The current value of a tensor: replays views whose base was written to. Never invalid on success.
  Result<ValueId> read(const TensorRef& t);
  // Replaces a tensor's content (same shape and dtype) so that its base and all other views see it.
  Status write(const TensorRef& t, ValueId v);
  // As read, then cast to the tensor's dtype and expanded to its shape first (copy_, in-place results).
  Status assign(const TensorRef& t, ValueId v);

  // Shape and dtype of the current value; unsupported_op when an operator without mapping made it.
  Result<Shape> shape(const TensorRef& t);
  Result<DType> dtype(const TensorRef& t);

  // The elements, when they do not depend on the inputs' values; data_dependent otherwise. `use` says what the number
  // is for ("the condition of `if`").
  Result<std::shared_ptr<const Tensor>> concrete(const TensorRef& t, std::string_view use);
  bool is_concrete(const TensorRef& t);
  // A rank-0 constant tensor of a Python number that takes part in promotion as a number.
  TensorRef number_tensor(const IValue& number);

  // Operators without a row met so far, with their places, in order of appearance.
  const std::vector<OpaqueOperator>& opaque() const { return opaque_; }
  // unsupported_op naming all of them with counts and places.
  Diag opaque_error() const;
  // Records an operator without a row and returns an unknown value that depends on `args`.
  Result<IValue> make_opaque(std::string_view name, const std::vector<IValue>& args, std::string_view detail);

  Builder& builder() { return b_; }
  // Asked before row lookup: handles an operator outside the rows (complex numbers, quantised tensors). Returns false
  // when it is none of its business.
  using Extension =
      std::function<Result<bool>(std::string_view name, std::vector<IValue>& args, Keywords& keywords, IValue& result)>;
  void add_extension(Extension e) { extensions_.push_back(std::move(e)); }

  // As `call`, but without extensions: for the extensions themselves.
  Result<IValue> call_row(std::string_view name, std::vector<IValue> args, Keywords keywords = {});
  // call_row for a single tensor result on graph values.
  Result<ValueId> run(std::string_view name, std::vector<IValue> args, Keywords keywords = {});

 private:
  friend class BoundCall;
  struct Choice {
    const AtenSchema* schema = nullptr;
    std::vector<IValue> bound;  // one per schema argument
  };
  Result<Choice> choose(std::string_view name, const std::vector<IValue>& args, const Keywords& keywords);
  Result<bool> bind(const AtenSchema& schema, const std::vector<IValue>& args, const Keywords& keywords, bool convert,
                    std::vector<IValue>& bound);
  Result<bool> accepts(const SchemaArg& arg, IValue& value, bool convert);
  Result<bool> accepts_element(const SchemaArg& arg, IValue& value, bool convert);
  Result<IValue> execute(const Choice& choice);
  Result<IValue> in_place(std::string_view base, std::vector<IValue> args, Keywords keywords);
  Result<IValue> wrap_result(const Choice& choice, std::vector<std::vector<ValueId>> results);
  IValue wrap_view(const Choice& choice, const TensorRef& self, ValueId v, size_t output);
  Result<ValueId> undo_view(const TensorRef& view, ValueId v);
  Result<ValueId> replace_range(ValueId base, int64_t dim, int64_t begin, ValueId part);
  Result<ValueId> scatter_view(const TensorRef& view, ValueId base, ValueId v);
  bool has_unknown(const std::vector<IValue>& args);

  Builder& b_;
  std::vector<OpaqueOperator> opaque_;
  std::vector<Extension> extensions_;
  std::map<ValueId, std::shared_ptr<const Tensor>> evaluated_;
  std::set<ValueId> input_dependent_;
};

// The value of an argument by schema position or keyword, for code outside the rows; nullptr when not given.
const IValue* find_argument(const std::vector<IValue>& args, const Keywords& keywords, size_t position,
                            std::string_view name);

}  // namespace npuport
