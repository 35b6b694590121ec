#include "ir/builder.h"

#include <algorithm>

#include "base/diag_codes.h"
#include "ir/registry.h"
#include "ir/text.h"

namespace npuport {
namespace {

const Shape kNoShape;

}  // namespace

void Builder::fail(Diag d) {
  if (error_) return;
  if (!origins_.empty()) d.at_source(origins_.front().source).at_node(origins_.front().foreign);
  error_ = std::move(d);
}

Status Builder::take_status() {
  if (!error_) return {};
  Diag d = std::move(*error_);
  error_.reset();
  return d;
}

const Shape& Builder::shape(ValueId v) const { return v.valid() ? g_.shape(v) : kNoShape; }
DType Builder::dtype(ValueId v) const { return v.valid() ? g_.type(v).dtype : DType::unknown; }
const Tensor* Builder::constant_of(ValueId v) const { return v.valid() ? g_.value(v).constant.get() : nullptr; }

std::vector<ValueId> Builder::ops(std::string_view name, std::vector<ValueId> in, std::vector<Attr> attrs,
                                  size_t opaque_outputs) {
  if (error_) return {};
  Result<NodeId> id = g_.add(name, std::move(in), std::move(attrs), origins_, opaque_outputs);
  if (!id) {
    fail(std::move(id).error());
    return {};
  }
  const Node& n = g_.node(*id);
  std::vector<ValueId> outputs = n.outputs;
  const bool foldable =
      fold_ && n.op->pure && n.op->infer &&
      std::all_of(n.inputs.begin(), n.inputs.end(), [&](ValueId v) { return !v.valid() || g_.is_constant(v); }) &&
      std::all_of(outputs.begin(), outputs.end(),
                  [&](ValueId v) { return g_.type(v).known() && element_count(g_.shape(v)) <= fold_limit_; });
  if (!foldable) return outputs;
  std::vector<const Tensor*> args;
  for (const ValueId v : n.inputs) args.push_back(constant_of(v));
  Result<std::vector<Tensor>> results = evaluate(*n.op, args, n.attrs);
  if (!results) {
    fail(std::move(results).error());
    return {};
  }
  g_.erase(*id);
  for (size_t i = 0; i < outputs.size(); ++i) outputs[i] = g_.add_constant("", std::move((*results)[i]));
  return outputs;
}

ValueId Builder::op(std::string_view name, std::vector<ValueId> in, std::vector<Attr> attrs) {
  const std::vector<ValueId> out = ops(name, std::move(in), std::move(attrs));
  return out.empty() ? ValueId{} : out.front();
}

ValueId Builder::constant(Tensor t, std::string_view name) { return g_.add_constant(std::string(name), std::move(t)); }

ValueId Builder::scalar(double v, DType dtype) { return constant(cast_tensor(Tensor::scalar(v), dtype)); }

ValueId Builder::ints(std::span<const int64_t> v) {
  return constant(Tensor::of<int64_t>({static_cast<int64_t>(v.size())}, v));
}

ValueId Builder::reshape(ValueId x, Shape shape_) {
  if (error_ || shape(x) == shape_) return x;
  return op("reshape", {x}, {{"shape", std::move(shape_)}});
}

ValueId Builder::transpose(ValueId x, Ints perm) {
  if (error_) return x;
  bool identity = true;
  for (size_t i = 0; i < perm.size(); ++i) identity = identity && perm[i] == static_cast<int64_t>(i);
  return identity ? x : op("transpose", {x}, {{"perm", std::move(perm)}});
}

ValueId Builder::cast(ValueId x, DType to) {
  if (error_ || dtype(x) == to) return x;
  return op("cast", {x}, {{"to", to}});
}

ValueId Builder::expand(ValueId x, Shape shape_) {
  if (error_ || shape(x) == shape_) return x;
  return op("expand", {x}, {{"shape", std::move(shape_)}});
}

namespace {

// Turns a body's statements into nodes of `b`'s graph; `env` maps names to values and grows.
class BodyExpander {
 public:
  BodyExpander(Builder& b, std::span<const Attr> attrs, std::map<std::string, ValueId, std::less<>>& env,
               DType number_type)
      : b_(b), attrs_(attrs), env_(env), number_type_(number_type) {}

  void run(const Statement& s) {
    if (s.expr.op.empty()) {
      env_[s.results.front()] = value(s.expr);
      return;
    }
    const std::vector<ValueId> out = call(s.expr);
    for (size_t i = 0; i < s.results.size() && i < out.size(); ++i) env_[s.results[i]] = out[i];
  }

 private:
  ValueId value(const ExprNode& e) {
    if (e.number) return b_.scalar(*e.number, number_type_);
    if (e.op.empty()) {
      if (e.name == "_") return {};
      if (e.name.starts_with('$')) return attr_scalar(e.name.substr(1));
      const auto it = env_.find(e.name);
      if (it != env_.end()) return it->second;
      b_.fail(Diag(diag::internal, "a body refers to %" + e.name + ", which nothing defines"));
      return {};
    }
    const std::vector<ValueId> out = call(e);
    return out.empty() ? ValueId{} : out.front();
  }

  const Attr* find_attr(std::string_view name) const {
    for (const Attr& a : attrs_)
      if (a.name == name) return &a;
    return nullptr;
  }

  ValueId attr_scalar(std::string_view name) {
    const Attr* a = find_attr(name);
    if (a && std::holds_alternative<double>(a->value)) return b_.scalar(std::get<double>(a->value), number_type_);
    if (a && std::holds_alternative<int64_t>(a->value))
      return b_.scalar(static_cast<double>(std::get<int64_t>(a->value)), number_type_);
    b_.fail(Diag(diag::internal, "a body uses $" + std::string(name) + ", which is no number attribute"));
    return {};
  }

  std::vector<ValueId> call(const ExprNode& e) {
    std::vector<ValueId> in;
    for (const ExprNode& arg : e.args) in.push_back(value(arg));
    const OpDef* row = Registry::global().find(e.op);
    if (!row) {
      b_.fail(Diag(diag::internal, "a body uses operator " + e.op + ", which is not registered"));
      return {};
    }
    std::vector<Attr> attrs;
    for (const auto& [key, text] : e.attrs) {
      if (text.starts_with('$')) {
        const Attr* a = find_attr(std::string_view(text).substr(1));
        if (!a) {
          b_.fail(Diag(diag::internal, "a body uses attribute " + text + ", which the operator lacks"));
          return {};
        }
        attrs.emplace_back(key, a->value);
        continue;
      }
      const auto def =
          std::find_if(row->attrs.begin(), row->attrs.end(), [&](const AttrDef& d) { return d.name == key; });
      if (def == row->attrs.end()) {
        b_.fail(Diag(diag::internal, "operator " + e.op + " has no attribute " + key));
        return {};
      }
      Result<AttrValue> v = parse_attr(text, def->kind);
      if (!v) {
        b_.fail(std::move(v).error());
        return {};
      }
      attrs.emplace_back(key, std::move(*v));
    }
    return b_.ops(e.op, std::move(in), std::move(attrs));
  }

  Builder& b_;
  std::span<const Attr> attrs_;
  std::map<std::string, ValueId, std::less<>>& env_;
  DType number_type_;
};

}  // namespace

std::vector<ValueId> expand_body(Builder& b, const OpDef& op, std::span<const ValueId> in,
                                 std::span<const Attr> attrs) {
  Result<std::vector<Statement>> body = parse_statements(op.body);
  if (!body) {
    b.fail(std::move(body).error().at_node(op.name));
    return {};
  }
  std::map<std::string, ValueId, std::less<>> env;
  DType number_type = DType::f32;
  for (size_t i = 0; i < op.in.size(); ++i) {
    const ValueId v = i < in.size() ? in[i] : ValueId{};
    env[std::string(op.in[i].name)] = v;
    if (i == 0 && v.valid()) number_type = b.dtype(v);
  }
  BodyExpander expander(b, attrs, env, number_type);
  for (const Statement& s : *body) expander.run(s);
  std::vector<ValueId> out;
  for (const PortDef& port : op.out) {
    const auto it = env.find(port.name);
    if (it == env.end())
      b.fail(Diag(diag::internal, "the body does not define %" + std::string(port.name)).at_node(op.name));
    out.push_back(it == env.end() ? ValueId{} : it->second);
  }
  return b.failed() ? std::vector<ValueId>{} : out;
}

namespace {

Result<std::vector<Tensor>> evaluate_body(const OpDef& op, std::span<const Tensor* const> in,
                                          std::span<const Attr> attrs) {
  Graph g;
  Builder b(g, /*fold=*/true, int64_t{1} << 40);
  std::vector<ValueId> args;
  for (const Tensor* t : in) args.push_back(t ? b.constant(*t) : ValueId{});
  const std::vector<ValueId> out = expand_body(b, op, args, attrs);
  NPU_TRY(b.take_status());
  std::vector<Tensor> results;
  for (const ValueId v : out) {
    const Tensor* t = b.constant_of(v);
    if (!t) return Diag(diag::internal, "the body of " + std::string(op.name) + " did not evaluate");
    results.push_back(*t);
  }
  return results;
}

}  // namespace

Result<std::vector<Tensor>> evaluate(const OpDef& op, std::span<const Tensor* const> in, std::span<const Attr> attrs) {
  std::vector<TensorType> types(in.size());
  std::vector<const TensorType*> type_pointers;
  std::vector<View> views;
  for (size_t i = 0; i < in.size(); ++i) {
    if (in[i]) types[i] = {in[i]->dtype, in[i]->shape, nullptr};
    type_pointers.push_back(in[i] ? &types[i] : nullptr);
    views.push_back(in[i] ? view(*in[i]) : View{});
  }
  if (!op.infer) return Diag(diag::unsupported_op, "operator " + std::string(op.name) + " cannot be evaluated");
  NPU_ASSIGN(const std::vector<TensorType> out_types, op.infer({op, type_pointers, in, AttrView(attrs)}));
  if (!op.eval) return evaluate_body(op, in, attrs);
  std::vector<Tensor> out;
  for (const TensorType& t : out_types) {
    NPU_TRY(check_shape(t.shape));
    out.push_back(Tensor::zeros(t.dtype, t.shape));
  }
  std::vector<MutView> out_views;
  for (Tensor& t : out) out_views.push_back(mutable_view(t));
  NPU_TRY(op.eval({op, views, out_views, AttrView(attrs)}));
  return out;
}

}  // namespace npuport
