#include "frontends/aten_call.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/diag_codes.h"
#include "ir/registry.h"

namespace npuport {

size_t BoundCall::index(std::string_view arg) const {
  const int i = schema_.arg_index(arg);
  if (i < 0) misuse(arg);
  return static_cast<size_t>(i);
}

// A row asking for an argument its own schema does not have is a bug that the row's first call shows.
void BoundCall::misuse(std::string_view arg) const {
  std::fprintf(stderr, "npuport: row %s has no such argument: %.*s\n", schema_.full.c_str(),
               static_cast<int>(arg.size()), arg.data());
  std::abort();
}

void BoundCall::wrong_value(std::string_view arg, std::string_view wanted) const {
  b.fail(Diag(diag::unsupported, schema_.full + ": argument '" + std::string(arg) + "' is " + value(arg).type_name() +
                                     " where " + std::string(wanted) + " is needed"));
}

bool BoundCall::takes_part(size_t i) const {
  const SchemaArg& arg = schema_.args[i];
  if (arg.kind == AtenKind::tensor) return true;
  // alpha=, beta=, value= scale a result and do not decide its type.
  return arg.kind == AtenKind::scalar && !arg.list && !arg.keyword_only && arg.name != "alpha" && arg.name != "beta";
}

Status BoundCall::prepare() {
  tensors_.resize(bound_.size());
  for (size_t i = 0; i < bound_.size(); ++i) {
    if (schema_.args[i].kind != AtenKind::tensor) continue;
    const std::vector<IValue> one = {bound_[i]};
    const std::vector<IValue>& items = bound_[i].sequence() ? *bound_[i].sequence() : one;
    for (const IValue& item : items) {
      const TensorRef t = item.as_tensor();
      if (!t) {
        if (schema_.args[i].list) tensors_[i].push_back({});
        continue;
      }
      NPU_ASSIGN(const ValueId v, binder_.read(t));
      tensors_[i].push_back(v);
    }
  }
  return promote();
}

Status BoundCall::promote() {
  const Promote rule = schema_.row->promote;
  if (rule == Promote::none) return {};
  std::vector<PromotionOperand> operands;
  for (size_t i = 0; i < bound_.size(); ++i) {
    if (!takes_part(i)) continue;
    const std::vector<IValue> one = {bound_[i]};
    for (const IValue& item : bound_[i].sequence() ? *bound_[i].sequence() : one) {
      if (const TensorRef t = item.as_tensor()) {
        NPU_ASSIGN(const ValueId v, binder_.read(t));
        const bool zero_dim = b.shape(v).empty();
        operands.push_back({b.dtype(v), t->wrapped_number && zero_dim ? PromotionOperand::number
                                        : zero_dim                    ? PromotionOperand::zero_dim
                                                                      : PromotionOperand::dimensioned});
      } else if (item.is_number()) {
        const DType d = item.as_bool() ? DType::boolean : item.as_int() ? DType::i64 : DType::f32;
        operands.push_back({d, PromotionOperand::number});
      }
    }
  }
  common_ = result_type(operands);
  if (rule == Promote::to_float && !is_float(common_)) common_ = DType::f32;
  for (std::vector<ValueId>& list : tensors_)
    for (ValueId& v : list)
      if (v.valid()) v = b.cast(v, common_);
  return b.take_status();
}

bool BoundCall::is_none(std::string_view arg) const { return value(arg).is_none(); }

ValueId BoundCall::tensor(std::string_view arg) const {
  const size_t k = index(arg);
  if (schema_.args[k].kind != AtenKind::tensor || schema_.args[k].list) misuse(arg);
  return tensors_[k].empty() ? ValueId{} : tensors_[k][0];
}

std::vector<ValueId> BoundCall::tensors(std::string_view arg) const {
  const size_t k = index(arg);
  if (schema_.args[k].kind != AtenKind::tensor || !schema_.args[k].list) misuse(arg);
  return tensors_[k];
}

int64_t BoundCall::i(std::string_view arg) const {
  const IValue& v = value(arg);
  if (const int64_t* p = v.as_int()) return *p;
  if (const bool* p = v.as_bool()) return *p;
  return wrong_value(arg, "an int"), 0;
}

double BoundCall::f(std::string_view arg) const {
  double d = 0;
  if (!value(arg).number(d)) wrong_value(arg, "a float");
  return d;
}

bool BoundCall::flag(std::string_view arg) const {
  const IValue& v = value(arg);
  if (const bool* p = v.as_bool()) return *p;
  if (const int64_t* p = v.as_int()) return *p != 0;
  return wrong_value(arg, "a bool"), false;
}

std::string BoundCall::s(std::string_view arg) const {
  const IValue& v = value(arg);
  if (const std::string* p = v.as_string()) return *p;
  if (const DeviceValue* p = v.as_device()) return p->name;
  return wrong_value(arg, "a str"), "";
}

AtenScalar BoundCall::scalar(std::string_view arg) const {
  const IValue& v = value(arg);
  AtenScalar out;
  if (const bool* p = v.as_bool()) {
    out.kind = AtenScalar::boolean;
    out.i = *p;
  } else if (const int64_t* q = v.as_int()) {
    out.i = *q;
  } else if (const double* r = v.as_real()) {
    out.kind = AtenScalar::real;
    out.f = *r;
  } else {
    wrong_value(arg, "a number");
  }
  return out;
}

Ints BoundCall::ints(std::string_view arg) const {
  const IValue& v = value(arg);
  Ints out;
  if (v.is_none()) return out;
  if (const int64_t* p = v.as_int()) return {*p};
  if (!v.sequence()) return wrong_value(arg, "an int list"), out;
  for (const IValue& item : *v.sequence()) {
    if (const int64_t* p = item.as_int())
      out.push_back(*p);
    else if (const bool* q = item.as_bool())
      out.push_back(*q);
    else
      wrong_value(arg, "an int list");
  }
  const int n = schema_.args[index(arg)].list_size;
  if (n > 1 && out.size() == 1) out.assign(static_cast<size_t>(n), out[0]);
  return out;
}

Reals BoundCall::reals(std::string_view arg) const {
  const IValue& v = value(arg);
  Reals out;
  if (v.is_none()) return out;
  double d = 0;
  if (v.number(d)) return {d};
  if (!v.sequence()) return wrong_value(arg, "a float list"), out;
  for (const IValue& item : *v.sequence()) {
    if (!item.number(d)) wrong_value(arg, "a float list");
    out.push_back(d);
  }
  return out;
}

std::optional<DType> BoundCall::dtype(std::string_view arg) const {
  const IValue& v = value(arg);
  if (v.is_none()) return std::nullopt;
  const int64_t* code = v.as_int();
  if (!code) return wrong_value(arg, "a dtype"), std::nullopt;
  const std::optional<DType> t = dtype_of_scalar_type(*code);
  if (!t)
    b.fail(Diag(diag::unsupported, "PyTorch's ScalarType " + std::to_string(*code) +
                                       (is_complex_scalar_type(*code) ? " (complex)" : "") + " is not supported"));
  return t;
}

// A Scalar as rank-0 constant.
ValueId BoundCall::scalar_value(size_t k) const {
  const IValue& v = bound_[k];
  double d = 0;
  if (!v.number(d)) return {};
  DType t = common_;
  if (t == DType::unknown && !tensors_.empty() && !tensors_[0].empty()) t = b.dtype(tensors_[0][0]);
  if (t == DType::unknown) t = v.as_real() ? DType::f32 : DType::i64;
  if (const int64_t* p = v.as_int()) return b.constant(cast_tensor(Tensor::scalar(*p), t));
  return b.scalar(d, t);
}

AttrValue BoundCall::attribute(const SchemaArg& arg, const IValue& v, AttrKind kind) const {
  switch (kind) {
    case AttrKind::integer:
      return i(arg.name);
    case AttrKind::real:
      return f(arg.name);
    case AttrKind::boolean:
      return flag(arg.name);
    case AttrKind::string:
      return s(arg.name);
    case AttrKind::integers:
      return ints(arg.name);
    case AttrKind::reals:
      return reals(arg.name);
    case AttrKind::dtype:
      return dtype(arg.name).value_or(DType::unknown);
  }
  return v.as_int() ? *v.as_int() : 0;
}

void BoundCall::run_one_to_one() {
  const OpDef& op = npuport::op(schema_.row->ours);
  std::vector<ValueId> in;
  std::vector<Attr> attrs;
  for (size_t k = 0; k < schema_.args.size(); ++k) {
    const SchemaArg& arg = schema_.args[k];
    const auto def =
        std::find_if(op.attrs.begin(), op.attrs.end(), [&](const AttrDef& d) { return d.name == arg.name; });
    if (arg.kind == AtenKind::tensor) {
      if (arg.list)
        in.insert(in.end(), tensors_[k].begin(), tensors_[k].end());
      else
        in.push_back(tensors_[k].empty() ? ValueId{} : tensors_[k][0]);
    } else if (def != op.attrs.end()) {
      if (!bound_[k].is_none()) attrs.emplace_back(std::string(arg.name), attribute(arg, bound_[k], def->kind));
    } else if (arg.kind == AtenKind::scalar && !arg.keyword_only) {
      in.push_back(scalar_value(k));
    }
  }
  while (!in.empty() && !in.back().valid()) in.pop_back();
  const std::vector<ValueId> out = b.ops(op.name, std::move(in), std::move(attrs));
  if (schema_.returns.size() == 1 && schema_.returns[0].list) {
    ret_list(out);
    return;
  }
  for (size_t k = 0; k < schema_.returns.size() && k < out.size(); ++k) ret(out[k]);
}

}  // namespace npuport
