// Graph nodes → operators of a TfliteModel.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "base/permute.h"
#include "ops/manifest.h"
#include "ops/tflite.h"

namespace npuport {
namespace {

const std::map<std::string_view, std::vector<const TfliteRow*>>& rows_by_ours() {
  static const auto* map = [] {
    auto* m = new std::map<std::string_view, std::vector<const TfliteRow*>>;
    for (const auto& rows : ops::tflite_rows()) {
      for (const TfliteRow& row : rows) {
        for (const std::string_view op : row.ours) {
          if (!op.empty()) (*m)[op].push_back(&row);
        }
      }
    }
    return m;
  }();
  return *map;
}

[[noreturn]] void bug(std::string_view row, std::string_view what) {
  fmt::print(stderr, "npuport: TFLite row {}: {}\n", row, what);
  std::abort();
}

const TfliteField* find_field(const TfliteRow& row, std::string_view name) {
  if (row.options == nullptr) return nullptr;
  for (const TfliteField& f : row.options->fields) {
    if (f.name == name) return &f;
  }
  return nullptr;
}

bool is_empty(const Shape& s) { return std::find(s.begin(), s.end(), 0) != s.end(); }

bool is_identity(const Ints& perm) {
  for (size_t i = 0; i < perm.size(); ++i) {
    if (perm[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

std::string types_text(uint32_t set) {
  std::string text;
  for (int t = static_cast<int>(DType::f16); t <= static_cast<int>(DType::boolean); ++t) {
    if (set & tfl::bit(static_cast<DType>(t)))
      text += (text.empty() ? "" : ", ") + std::string(name(static_cast<DType>(t)));
  }
  return text;
}

double number_of(const TfliteAttr& a, const AttrValue& v) {
  if (const auto* i = std::get_if<int64_t>(&v)) return static_cast<double>(*i);
  if (const auto* f = std::get_if<double>(&v)) return *f;
  if (const auto* b = std::get_if<bool>(&v)) return *b;
  if (const auto* s = std::get_if<std::string>(&v)) {
    const auto it = std::find(a.words.begin(), a.words.end(), *s);
    if (it != a.words.end()) return static_cast<double>(it - a.words.begin());
  }
  return std::numeric_limits<double>::quiet_NaN();
}

const AttrValue* find_attr(const Node& n, std::string_view name) {
  for (const Attr& a : n.attrs) {
    if (a.name == name) return &a.value;
  }
  return nullptr;
}

}  // namespace

double TfliteOperator::option(std::string_view field) const {
  for (const TfliteOption& o : options) {
    if (o.field->name == field) return o.number;
  }
  const TfliteField* f = find_field(*row, field);
  if (f == nullptr) bug(row->name, fmt::format("has no option {}", field));
  return f->fallback;
}

const Ints& TfliteOperator::list(std::string_view field) const {
  static const Ints none;
  for (const TfliteOption& o : options) {
    if (o.field->name == field) return o.list;
  }
  if (find_field(*row, field) == nullptr) bug(row->name, fmt::format("has no option {}", field));
  return none;
}

size_t TfliteSignature::max_rank() const {
  size_t rank = 0;
  for (const TfliteTensor* t : in) rank = std::max(rank, t == nullptr ? 0 : t->shape.size());
  return rank;
}

std::optional<std::string> TfliteEmit::emit(NodeId id) {
  node_ = &g_.node(id);
  const auto it = rows_by_ours().find(node_->op->name);
  if (it == rows_by_ours().end()) return fmt::format("TFLite has no operator for {}", node_->op->name);
  for (const ValueId v : node_->outputs) {
    if (is_empty(g_.shape(v)))
      return fmt::format("{} is empty ({}); TFLite runtimes refuse empty tensors", g_.value(v).name,
                         to_string(g_.type(v)));
  }
  std::optional<std::string> reason;
  for (const TfliteRow* row : it->second) {
    auto refusal = try_row(*row);
    if (!refusal) return std::nullopt;
    if (!reason || !refusal->empty()) reason = std::move(refusal);
  }
  return reason->empty() ? fmt::format("no TFLite operator takes these attributes of {}", node_->op->name) : *reason;
}

std::optional<std::string> TfliteEmit::try_row(const TfliteRow& row) {
  const size_t tensors = m_.tensors.size(), operators = m_.operators.size();
  refusal_.reset();
  if (row.write != nullptr) {
    row.write(*this);
  } else {
    generic(row);
  }
  if (!refusal_) return std::nullopt;
  m_.tensors.resize(tensors);
  m_.operators.resize(operators);
  const auto gone = [&](const auto& entry) { return static_cast<size_t>(entry.second) >= tensors; };
  std::erase_if(values_, gone);
  std::erase_if(constants_, gone);
  std::erase_if(helpers_, gone);
  return refusal_;
}

void TfliteEmit::generic(const TfliteRow& row) {
  bool as_vector = true;
  for (const ValueId v : node_->outputs) as_vector &= !g_.shape(v).empty();
  std::vector<int32_t> in;
  size_t next = 0;
  if (row.operands.empty()) {
    for (size_t k = 0; k < node_->inputs.size(); ++k) in.push_back(this->in(k, as_vector));
  }
  for (const TfliteOperand& o : row.operands) {
    switch (o.kind) {
      case TfliteOperand::input:
        in.push_back(this->in(next++, as_vector));
        break;
      case TfliteOperand::ints:
        in.push_back(i32(attr().ints(o.attr)));
        break;
      case TfliteOperand::integer:
        in.push_back(i32(attr().i(o.attr)));
        break;
    }
  }
  std::vector<Opt> options;
  for (const TfliteAttr& a : row.attrs) {
    const AttrValue* v = find_attr(*node_, a.attr);
    const double number = v == nullptr ? 0 : number_of(a, *v);
    if (v == nullptr || (!a.words.empty() && number != number)) {
      return refuse(fmt::format("{} cannot say {}={}", row.name, a.attr, v == nullptr ? "?" : to_text(*v)));
    }
    options.push_back({a.field, number});
  }
  std::vector<int32_t> out;
  for (size_t k = 0; k < node_->outputs.size(); ++k) out.push_back(this->out(k));
  op(row.name, std::move(in), std::move(out), std::span<const Opt>(options));
}

std::string TfliteEmit::fresh_name() {
  const std::string base = node_ == nullptr || node_->outputs.empty() ? "value" : g_.value(node_->outputs[0]).name;
  return fmt::format("{}/{}", base, m_.tensors.size());
}

int32_t TfliteEmit::add_tensor(TfliteTensor t) {
  if (tflite_type(t.dtype) < 0) {
    refuse(fmt::format("tensor {} has type {}, which TFLite lacks", t.name, npuport::name(t.dtype)));
  }
  m_.tensors.push_back(std::move(t));
  return static_cast<int32_t>(m_.tensors.size() - 1);
}

int32_t TfliteEmit::stored(const std::shared_ptr<const Tensor>& source, Ints perm, Shape shape, std::string name) {
  if (is_identity(perm)) perm.clear();
  const ConstantKey key{source.get(), perm, shape};
  if (const auto it = constants_.find(key); it != constants_.end()) return it->second;
  for (const auto& [other, index] : constants_) {
    if (std::get<1>(other) != perm || std::get<2>(other) != shape || !identical(*std::get<0>(other), *source)) continue;
    constants_.emplace(key, index);
    return index;
  }
  if (is_empty(shape)) refuse(fmt::format("constant {} is empty; TFLite runtimes refuse empty tensors", name));
  const bool half = half_ && source->dtype == DType::f32 && source->count() >= kTfliteHalfMinimum;
  TfliteTensor t{std::move(name), half ? DType::f16 : source->dtype, shape, {source, std::move(perm)}};
  int32_t index = add_tensor(std::move(t));
  if (half) index = op("DEQUANTIZE", {index}, DType::f32, std::move(shape));
  constants_[key] = index;
  return index;
}

int32_t TfliteEmit::value(ValueId v, bool as_vector) {
  const Value& value = g_.value(v);
  if (value.constant != nullptr) {
    Shape shape = value.type.shape;
    if (shape.empty() && as_vector) shape = {1};
    return stored(value.constant, {}, std::move(shape), value.name);
  }
  if (const auto it = values_.find(v); it != values_.end()) return it->second;
  if (!value.type.known()) refuse(fmt::format("the type of {} is not known", value.name));
  if (is_empty(value.type.shape)) {
    refuse(fmt::format("{} is empty ({}); TFLite runtimes refuse empty tensors", value.name, to_string(value.type)));
  }
  const int32_t index = add_tensor({value.name, value.type.dtype, value.type.shape, {}});
  values_[v] = index;
  return index;
}

int32_t TfliteEmit::constant(Tensor t, std::string name) {
  std::string key = fmt::format("{} {} ", npuport::name(t.dtype), to_string(t.shape));
  key.append(reinterpret_cast<const char*>(t.data), static_cast<size_t>(t.bytes()));
  if (const auto it = helpers_.find(key); it != helpers_.end()) return it->second;
  auto source = std::make_shared<const Tensor>(std::move(t));
  const int32_t index =
      add_tensor({name.empty() ? fresh_name() : std::move(name), source->dtype, source->shape, {source, {}}});
  helpers_[key] = index;
  return index;
}

int32_t TfliteEmit::i32(std::span<const int64_t> v) {
  std::vector<int32_t> narrow;
  for (const int64_t x : v) {
    if (x < std::numeric_limits<int32_t>::min() || x > std::numeric_limits<int32_t>::max()) {
      refuse(fmt::format("the value {} does not fit into 32 bits", x));
    }
    narrow.push_back(static_cast<int32_t>(x));
  }
  return constant(Tensor::of<int32_t>({static_cast<int64_t>(v.size())}, std::span<const int32_t>(narrow)));
}

int32_t TfliteEmit::permuted(size_t k, Ints perm) {
  const Value& value = g_.value(node_->inputs[k]);
  Shape shape = permuted_shape(value.type.shape, perm);
  if (value.constant != nullptr) return stored(value.constant, std::move(perm), std::move(shape), value.name);
  return transpose(in(k), perm);
}

int32_t TfliteEmit::bias(size_t k, int64_t n, DType dtype) {
  return has(k) ? in(k) : constant(Tensor::zeros(dtype, {n}));
}

int32_t TfliteEmit::temporary(DType dtype, Shape shape) {
  return add_tensor({fresh_name(), dtype, std::move(shape), {}});
}

void TfliteEmit::op(std::string_view name, std::vector<int32_t> in, std::vector<int32_t> out,
                    std::initializer_list<Opt> o) {
  op(name, std::move(in), std::move(out), std::span<const Opt>(o.begin(), o.size()));
}

void TfliteEmit::op(std::string_view name, std::vector<int32_t> in, std::vector<int32_t> out, std::span<const Opt> o) {
  const TfliteRow* row = tflite_row(name);
  if (row == nullptr) bug(name, "does not exist");
  TfliteOperator made{row, 1, std::move(in), std::move(out), {}};
  for (const Opt& opt : o) {
    const TfliteField* field = find_field(*row, opt.field);
    if (field == nullptr) bug(name, fmt::format("has no option {}", opt.field));
    made.options.push_back({field, opt.value, {}});
  }
  std::vector<const TfliteTensor*> ins, outs;
  for (const int32_t i : made.in) ins.push_back(i < 0 ? nullptr : &tensor(i));
  for (const int32_t i : made.out) outs.push_back(&tensor(i));
  const TfliteSignature signature{made, ins, outs};
  if (row->typed < ins.size() && ins[row->typed] != nullptr) {
    const DType t = ins[row->typed]->dtype;
    if ((row->types & tfl::bit(t)) == 0) {
      refuse(fmt::format("{} takes {}, not {}", name, types_text(row->types), npuport::name(t)));
    }
  }
  const size_t rank = signature.max_rank(), limit = static_cast<size_t>(row->max_rank);
  if (rank > limit) refuse(fmt::format("{} takes at most rank {}, not {}", name, limit, rank));
  if (signature.broadcasts() && rank > static_cast<size_t>(row->broadcast_rank)) {
    refuse(fmt::format("{} broadcasts at most rank {}, not {}", name, row->broadcast_rank, rank));
  }
  if (row->version != nullptr) made.version = row->version(signature);
  m_.operators.push_back(std::move(made));
}

int32_t TfliteEmit::op(std::string_view name, std::vector<int32_t> in, DType dtype, Shape shape,
                       std::initializer_list<Opt> o) {
  const int32_t result = temporary(dtype, std::move(shape));
  op(name, std::move(in), {result}, o);
  return result;
}

int32_t TfliteEmit::transpose(int32_t x, const Ints& perm) {
  if (is_identity(perm)) return x;
  return op("TRANSPOSE", {x, i32(perm)}, tensor(x).dtype, permuted_shape(tensor(x).shape, perm));
}

int32_t TfliteEmit::reshape(int32_t x, Shape shape) {
  if (tensor(x).shape == shape) return x;
  return op("RESHAPE", {x, i32(shape)}, tensor(x).dtype, shape);
}

void TfliteEmit::reshape_to(int32_t x, size_t k) { op("RESHAPE", {x, i32(out_shape(k))}, {out(k)}); }

void TfliteEmit::refuse(std::string why) {
  if (!refusal_) refusal_ = std::move(why);
}

const TfliteRow* tflite_row(int code) {
  static const auto* map = [] {
    auto* m = new std::map<int, const TfliteRow*>;
    for (const auto& rows : ops::tflite_rows()) {
      for (const TfliteRow& row : rows) {
        if (!m->emplace(row.code, &row).second) bug(row.name, "builtin code given twice");
        if (tflite_builtin_name(row.code) != row.name) bug(row.name, "name does not fit its builtin code");
      }
    }
    return m;
  }();
  const auto it = map->find(code);
  return it == map->end() ? nullptr : it->second;
}

const TfliteRow* tflite_row(std::string_view name) {
  static const auto* map = [] {
    auto* m = new std::map<std::string_view, const TfliteRow*>;
    for (const auto& rows : ops::tflite_rows()) {
      for (const TfliteRow& row : rows) m->emplace(row.name, &row);
    }
    return m;
  }();
  const auto it = map->find(name);
  return it == map->end() ? nullptr : it->second;
}

std::optional<std::string> tflite_refusal(const Graph& g, NodeId id) {
  TfliteModel scratch;
  return TfliteEmit(g, scratch, false).emit(id);
}

std::vector<std::string_view> tflite_operators(const Graph& g, NodeId id) {
  TfliteModel scratch;
  std::vector<std::string_view> names;
  if (TfliteEmit(g, scratch, false).emit(id)) return names;
  for (const TfliteOperator& o : scratch.operators) names.push_back(o.row->name);
  return names;
}

}  // namespace npuport
