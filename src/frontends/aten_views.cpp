// Aliasing: reading views of storages that were written to, and writing through views.
#include <algorithm>
#include <numeric>

#include "base/diag_codes.h"
#include "frontends/aten_binder.h"
#include "frontends/aten_view_layout.h"
#include "ir/registry.h"

namespace npuport {
namespace {

constexpr int kMaxViewDepth = 1000;
constexpr int64_t kMaxConcreteElements = int64_t{1} << 26;

// Operators that PyTorch implements by returning their argument itself when there is nothing to do.
bool may_return_self(std::string_view op) {
  static constexpr std::string_view names[] = {"aten::detach",
                                               "aten::alias",
                                               "aten::contiguous",
                                               "aten::dropout",
                                               "aten::feature_dropout",
                                               "aten::alpha_dropout",
                                               "aten::feature_alpha_dropout",
                                               "aten::to",
                                               "aten::type_as",
                                               "aten::cpu",
                                               "aten::cuda",
                                               "aten::float",
                                               "aten::double",
                                               "aten::half",
                                               "aten::bfloat16",
                                               "aten::int",
                                               "aten::long",
                                               "aten::bool",
                                               "aten::expand_as",
                                               "aten::resolve_conj",
                                               "aten::resolve_neg",
                                               "aten::lift",
                                               "aten::lift_fresh",
                                               "aten::pin_memory",
                                               "aten::real",
                                               "aten::reshape",
                                               "aten::flatten",
                                               "aten::view",
                                               "aten::positive"};
  return std::find(std::begin(names), std::end(names), op) != std::end(names);
}

}  // namespace

TensorRef AtenBinder::fresh(ValueId v) {
  auto t = std::make_shared<ScriptTensor>();
  t->storage = std::make_shared<TensorStorage>();
  t->storage->value = v;
  t->value = v;
  return t;
}

TensorRef AtenBinder::number_tensor(const IValue& number) {
  double d = 0;
  number.number(d);
  ValueId v;
  if (const int64_t* i = number.as_int())
    v = b_.constant(Tensor::scalar(*i));
  else if (number.as_bool())
    v = b_.constant(Tensor::scalar(d != 0));
  else
    v = b_.constant(Tensor::scalar(d));
  TensorRef t = fresh(v);
  t->wrapped_number = true;
  return t;
}

Result<ValueId> AtenBinder::read(const TensorRef& t) {
  TensorStorage& storage = *t->storage;
  if (storage.unavailable) return *storage.unavailable;
  if (storage.pending) {
    storage.value = b_.graph().add_constant(storage.name, std::move(storage.pending));
    storage.pending = nullptr;
    if (!t->parent) t->value = storage.value;
  }
  if (!t->parent) return t->value = storage.value, t->seen = storage.version, storage.value;
  if (t->seen == storage.version && t->value.valid()) return t->value;
  std::vector<IValue> args = {IValue(t->parent)};
  args.insert(args.end(), t->step->args.begin(), t->step->args.end());
  NPU_ASSIGN(const IValue again, call(t->step->op, std::move(args), t->step->keywords));
  TensorRef view = again.as_tensor();
  if (const ListObject* list = again.as_list(); list && t->step->output < list->items.size())
    view = list->items[t->step->output].as_tensor();
  if (!view) return Diag(diag::internal, "replaying the view " + t->step->op + " gave no tensor");
  NPU_ASSIGN(t->value, read(view));
  t->seen = storage.version;
  return t->value;
}

Result<Shape> AtenBinder::shape(const TensorRef& t) {
  NPU_ASSIGN(const ValueId v, read(t));
  if (!b_.graph().type(v).known()) return opaque_error();
  Shape s = b_.shape(v);
  if (t->complex && !s.empty()) s.pop_back();
  return s;
}

Result<DType> AtenBinder::dtype(const TensorRef& t) {
  NPU_ASSIGN(const ValueId v, read(t));
  if (!b_.graph().type(v).known()) return opaque_error();
  return b_.dtype(v);
}

// A view result: remembers the call that made it, or is `self` itself where PyTorch returns its argument.
IValue AtenBinder::wrap_view(const Choice& choice, const TensorRef& self, ValueId v, size_t output) {
  const std::string& op = choice.schema->name;
  const bool same_value = self->seen == self->storage->version && self->value == v;
  const Shape in_shape = b_.shape(self->value);
  const Shape& out_shape = b_.shape(v);
  // `to`, `contiguous`, `reshape` … copy when there is work to do; a copy owns its memory.
  static constexpr std::string_view conversions[] = {"aten::to",
                                                     "aten::type_as",
                                                     "aten::float",
                                                     "aten::double",
                                                     "aten::half",
                                                     "aten::cpu",
                                                     "aten::cuda",
                                                     "aten::int",
                                                     "aten::long",
                                                     "aten::bool",
                                                     "aten::bfloat16",
                                                     "aten::dropout",
                                                     "aten::feature_dropout"};
  const bool conversion = std::find(std::begin(conversions), std::end(conversions), op) != std::end(conversions);
  if (conversion) return same_value ? IValue(self) : IValue(fresh(v));
  const bool dense = self->strides_known && (self->strides.empty() || self->strides == strides_of(in_shape));
  if (op == "aten::contiguous") return dense ? IValue(self) : IValue(fresh(v));
  if (same_value && in_shape == out_shape && may_return_self(op)) return IValue(self);

  const ViewCall call{op, std::span<const IValue>(choice.bound).subspan(1), output};
  const std::optional<Ints> strides =
      self->strides_known ? view_strides(call, in_shape, dense ? strides_of(in_shape) : self->strides, out_shape)
                          : std::nullopt;
  const bool reshaping = op == "aten::reshape" || op == "aten::flatten" || op == "aten::reshape_as";
  if (reshaping && !strides) return IValue(fresh(v));

  auto view = std::make_shared<ScriptTensor>();
  view->storage = self->storage;
  view->parent = self;
  view->step = std::make_shared<ViewStep>();
  view->step->op = op;
  for (size_t i = 1; i < choice.bound.size(); ++i) {
    if (choice.schema->args[i].keyword_only)
      view->step->keywords.emplace_back(choice.schema->args[i].name, choice.bound[i]);
    else
      view->step->args.push_back(choice.bound[i]);
  }
  view->step->output = output;
  view->value = v;
  view->seen = self->storage->version;
  view->strides_known = strides.has_value();
  if (strides) view->strides = *strides;
  return IValue(view);
}

Status AtenBinder::write(const TensorRef& t, ValueId v) {
  TensorStorage& storage = *t->storage;
  ValueId value = v;
  int depth = 0;
  for (TensorRef view = t; view->parent; view = view->parent) {
    if (++depth > kMaxViewDepth) return Diag(diag::too_large, "a view of a view of … is nested too deeply");
    NPU_ASSIGN(value, undo_view(view, value));
  }
  storage.pending = nullptr;
  storage.value = value;
  ++storage.version;
  t->value = v;
  t->seen = storage.version;
  return {};
}

Status AtenBinder::assign(const TensorRef& t, ValueId v) {
  NPU_ASSIGN(const ValueId old, read(t));
  const TensorType type = b_.graph().type(old);
  if (!type.known() || !b_.graph().type(v).known()) return write(t, v);
  v = b_.cast(v, type.dtype);
  Shape from = b_.shape(v);
  if (from.size() > type.shape.size()) {  // leading ones, as in copy_ of [1, 3] into [3]
    const size_t extra = from.size() - type.shape.size();
    if (std::all_of(from.begin(), from.begin() + static_cast<ptrdiff_t>(extra), [](int64_t d) { return d == 1; }))
      v = b_.reshape(v, Shape(from.begin() + static_cast<ptrdiff_t>(extra), from.end()));
  }
  v = b_.expand(v, type.shape);
  NPU_TRY(b_.take_status());
  return write(t, v);
}

// The parent's new value after `v` was written into the view.
Result<ValueId> AtenBinder::undo_view(const TensorRef& view, ValueId v) {
  NPU_ASSIGN(const ValueId base, read(view->parent));
  // What an operator without a row made has no shape: all of the base is unknown from then on.
  if (!b_.graph().type(v).known()) return v;
  if (!b_.graph().type(base).known()) return base;
  const Shape base_shape = b_.shape(base);
  const ViewCall call{view->step->op, view->step->args, view->step->output};
  if (const std::optional<ViewRange> range = view_range(call, base_shape)) {
    Shape part = base_shape;
    part[static_cast<size_t>(range->dim)] = range->length;
    const ValueId shaped = b_.reshape(v, part);  // select and unbind drop the dimension
    NPU_TRY(b_.take_status());
    return replace_range(base, range->dim, range->begin, shaped);
  }
  if (const std::optional<Ints> perm = view_permutation(call, base_shape.size())) {
    Ints inverse(perm->size());
    for (size_t i = 0; i < perm->size(); ++i) inverse[static_cast<size_t>((*perm)[i])] = static_cast<int64_t>(i);
    const ValueId back = b_.transpose(v, inverse);
    NPU_TRY(b_.take_status());
    return back;
  }
  if (is_reshape(call.op) && element_count(b_.shape(v)) == element_count(base_shape)) {
    const ValueId back = b_.reshape(v, base_shape);
    NPU_TRY(b_.take_status());
    return back;
  }
  return scatter_view(view, base, v);
}

// base with [begin, begin + length of part) along `dim` replaced.
Result<ValueId> AtenBinder::replace_range(ValueId base, int64_t dim, int64_t begin, ValueId part) {
  const auto axis = static_cast<size_t>(dim);
  const int64_t size = b_.shape(base)[axis], length = b_.shape(part)[axis];
  if (length == size) return part;
  if (length == 0) return base;
  std::vector<IValue> pieces;
  const auto keep = [&](int64_t from, int64_t to) -> Status {
    if (from >= to) return {};
    NPU_ASSIGN(const ValueId piece, run("aten::slice", {IValue(fresh(base)), dim, from, to, 1}));
    pieces.push_back(IValue(fresh(piece)));
    return {};
  };
  NPU_TRY(keep(0, begin));
  pieces.push_back(IValue(fresh(part)));
  NPU_TRY(keep(begin + length, size));
  return run("aten::cat", {IValue::list(std::move(pieces)), dim});
}

// Any other view: replays it on the base's element numbers and scatters.
Result<ValueId> AtenBinder::scatter_view(const TensorRef& view, ValueId base, ValueId v) {
  const Shape base_shape = b_.shape(base);
  const int64_t count = element_count(base_shape);
  if (count > kMaxConcreteElements)
    return Diag(diag::unsupported,
                "a write through " + view->step->op + " into a tensor of " + std::to_string(count) + " elements",
                "write into a copy instead");
  Tensor numbers = Tensor::zeros(DType::i64, base_shape);
  std::iota(numbers.mut<int64_t>().begin(), numbers.mut<int64_t>().end(), int64_t{0});
  std::vector<IValue> args = {IValue(fresh(b_.constant(std::move(numbers))))};
  args.insert(args.end(), view->step->args.begin(), view->step->args.end());
  NPU_ASSIGN(const IValue replay, call_row(view->step->op, std::move(args), view->step->keywords));
  TensorRef map = replay.as_tensor();
  if (const ListObject* list = replay.as_list(); list && view->step->output < list->items.size())
    map = list->items[view->step->output].as_tensor();
  if (!map) return Diag(diag::internal, "replaying the view " + view->step->op + " gave no tensor");
  NPU_ASSIGN(const std::shared_ptr<const Tensor> index, concrete(map, "the element map of a view"));
  std::vector<bool> seen(static_cast<size_t>(count), false);
  for (const int64_t i : index->as<int64_t>()) {
    if (seen[static_cast<size_t>(i)])
      return Diag(diag::unsupported, "a write through " + view->step->op + ", whose elements share memory",
                  "clone the tensor before writing into it");
    seen[static_cast<size_t>(i)] = true;
  }
  const ValueId flat_index = b_.reshape(b_.constant(*index), {index->count()});
  const ValueId flat_base = b_.reshape(base, {count}), flat_value = b_.reshape(v, {index->count()});
  NPU_TRY(b_.take_status());
  NPU_ASSIGN(const ValueId out,
             run("aten::scatter", {IValue(fresh(flat_base)), 0, IValue(fresh(flat_index)), IValue(fresh(flat_value))}));
  const ValueId shaped = b_.reshape(out, base_shape);
  NPU_TRY(b_.take_status());
  return shaped;
}

bool AtenBinder::is_concrete(const TensorRef& t) { return concrete(t, "").ok(); }

// Evaluates what a value is computed from when no input is among it. Iterative: graphs are deep.
Result<std::shared_ptr<const Tensor>> AtenBinder::concrete(const TensorRef& t, std::string_view use) {
  NPU_ASSIGN(const ValueId wanted, read(t));
  const Graph& g = b_.graph();
  if (!g.type(wanted).known()) return opaque_error();
  if (g.is_constant(wanted)) return g.value(wanted).constant;
  const auto refuse = [&]() {
    const std::string what = use.empty() ? "a number" : std::string(use);
    return Diag(diag::data_dependent, what + " depends on the values of the inputs",
                "only shapes and constants may decide control flow and sizes: rewrite the model with tensor operations "
                "(torch.where, masks), or split it there")
        .at_tensor(g.value(wanted).name);
  };
  std::vector<ValueId> stack = {wanted};
  while (!stack.empty()) {
    const ValueId v = stack.back();
    if (g.is_constant(v) || evaluated_.contains(v)) {
      stack.pop_back();
      continue;
    }
    const Node* n = g.producer(v);
    bool dependent = !n || !n->op->pure || !n->op->infer || input_dependent_.contains(v);
    if (!dependent && element_count(g.shape(v)) > kMaxConcreteElements) dependent = true;
    std::vector<ValueId> missing;
    for (size_t i = 0; !dependent && i < n->inputs.size(); ++i) {
      const ValueId in = n->inputs[i];
      if (input_dependent_.contains(in))
        dependent = true;
      else if (in.valid() && !g.is_constant(in) && !evaluated_.contains(in))
        missing.push_back(in);
    }
    if (dependent) {
      input_dependent_.insert(v);
      input_dependent_.insert(wanted);
      return refuse();
    }
    if (!missing.empty()) {
      stack.insert(stack.end(), missing.begin(), missing.end());
      continue;
    }
    std::vector<const Tensor*> in;
    for (const ValueId id : n->inputs)
      in.push_back(!id.valid() ? nullptr : g.is_constant(id) ? g.value(id).constant.get() : evaluated_[id].get());
    NPU_ASSIGN(std::vector<Tensor> out, evaluate(*n->op, in, n->attrs));
    for (size_t i = 0; i < out.size(); ++i)
      evaluated_[n->outputs[i]] = std::make_shared<const Tensor>(std::move(out[i]));
    stack.pop_back();
  }
  return evaluated_[wanted];
}

}  // namespace npuport
