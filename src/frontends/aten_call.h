// The AtenCall that rows see, made from bound interpreter values.
#pragma once

#include "frontends/aten_binder.h"

namespace npuport {

class BoundCall final : public AtenCall {
 public:
  BoundCall(AtenBinder& binder, const AtenSchema& schema, const std::vector<IValue>& bound)
      : AtenCall(binder.builder()), binder_(binder), schema_(schema), bound_(bound) {}

  // Reads all tensors and applies the row's type promotion.
  Status prepare();
  // The 1:1 form: tensors and scalars are the inputs, everything else attributes of the same name.
  void run_one_to_one();

  bool is_none(std::string_view arg) const override;
  ValueId tensor(std::string_view arg) const override;
  std::vector<ValueId> tensors(std::string_view arg) const override;
  int64_t i(std::string_view arg) const override;
  double f(std::string_view arg) const override;
  bool flag(std::string_view arg) const override;
  std::string s(std::string_view arg) const override;
  AtenScalar scalar(std::string_view arg) const override;
  Ints ints(std::string_view arg) const override;
  Reals reals(std::string_view arg) const override;
  std::optional<DType> dtype(std::string_view arg) const override;
  void ret(ValueId v) override { results.push_back({v}); }
  void ret_list(std::vector<ValueId> v) override { results.push_back(std::move(v)); }

  std::vector<std::vector<ValueId>> results;

 private:
  size_t index(std::string_view arg) const;
  const IValue& value(std::string_view arg) const { return bound_[index(arg)]; }
  [[noreturn]] void misuse(std::string_view arg) const;
  void wrong_value(std::string_view arg, std::string_view wanted) const;
  bool takes_part(size_t i) const;
  Status promote();
  ValueId scalar_value(size_t i) const;
  AttrValue attribute(const SchemaArg& arg, const IValue& v, AttrKind kind) const;

  AtenBinder& binder_;
  const AtenSchema& schema_;
  const std::vector<IValue>& bound_;
  std::vector<std::vector<ValueId>> tensors_;  // per argument: its tensors, read and promoted
  DType common_ = DType::unknown;              // the promoted type; unknown without promotion
};

}  // namespace npuport
