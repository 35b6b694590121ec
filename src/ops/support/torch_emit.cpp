// Graph nodes → lines of a TorchProgram.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/diag_codes.h"
#include "ops/manifest.h"
#include "ops/torch.h"

namespace npuport {
namespace {

[[noreturn]] void bug(std::string_view row, std::string_view what) {
  fmt::print(stderr, "npuport: PyTorch row {}: {}\n", row, what);
  std::abort();
}

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

std::string_view word_at(std::string_view text, size_t at) {
  size_t end = at;
  while (end < text.size() && is_word(text[end])) ++end;
  return text.substr(at, end - at);
}

std::string attr_text(TorchEmit& c, const AttrValue& v) {
  return std::visit(
      [&]<class T>(const T& x) -> std::string {
        if constexpr (std::is_same_v<T, std::string>) {
          return TorchEmit::quoted(x);
        } else if constexpr (std::is_same_v<T, DType>) {
          return c.text(x);
        } else if constexpr (std::is_same_v<T, Reals>) {
          std::string out = "[";
          for (const double r : x) out += (out.size() > 1 ? ", " : "") + TorchEmit::text(r);
          return out + "]";
        } else if constexpr (std::is_same_v<T, Ints>) {
          return TorchEmit::text(std::span<const int64_t>(x));
        } else {
          return TorchEmit::text(x);
        }
      },
      v);
}

// "v12", "v12_1": a number the graph gave.
bool is_generated(std::string_view name) {
  return name.size() > 1 && name[0] == 'v' && name.find_first_not_of("0123456789_", 1) == std::string_view::npos;
}

// PyTorch's ScalarType numbers; -1 for types it lacks.
int scalar_type(DType t) {
  switch (t) {
    case DType::u8:
      return 0;
    case DType::i8:
      return 1;
    case DType::i16:
      return 2;
    case DType::i32:
      return 3;
    case DType::i64:
      return 4;
    case DType::f16:
      return 5;
    case DType::f32:
      return 6;
    case DType::f64:
      return 7;
    case DType::boolean:
      return 11;
    case DType::bf16:
      return 15;
    default:
      return -1;
  }
}

}  // namespace

const TorchRow* torch_row(std::string_view op) {
  static const auto* map = [] {
    auto* m = new std::map<std::string_view, const TorchRow*>;
    for (const auto& rows : ops::torch_rows()) {
      for (const TorchRow& row : rows) {
        if (!m->emplace(row.op, &row).second) bug(row.op, "two rows of one name");
      }
    }
    return m;
  }();
  const auto it = map->find(op);
  return it == map->end() ? nullptr : it->second;
}

TorchEmit::TorchEmit(const Graph& g, TorchProgram& p, TorchDialect dialect) : g_(g), p_(p), dialect_(dialect) {}

std::string TorchEmit::identifier(std::string_view wanted, std::set<std::string, std::less<>>& taken) {
  const std::string base = torch_identifier(wanted);
  std::string name = base;
  for (int i = 2; !taken.insert(name).second; ++i) name = fmt::format("{}_{}", base, i);
  return name;
}

std::string TorchEmit::attribute(const std::shared_ptr<const Tensor>& t, std::string_view wanted) {
  std::string& name = attributes_[t.get()];
  if (name.empty()) {
    if (scalar_type(t->dtype) < 0) refuse(fmt::format("PyTorch 1.8 has no element type {}", npuport::name(t->dtype)));
    name = identifier(wanted, fields_);
    p_.constants.push_back({name, t});
  }
  return "self." + name;
}

// A name that says what the value is: its own, else that of the operator that makes it, else for a constant that of the
// module and operand that take it ("blocks.0.key" + "weight").
std::string TorchEmit::readable(ValueId v) const {
  const Value& value = g_.value(v);
  if (!is_generated(value.name)) return value.name;
  if (const Node* producer = g_.producer(v); producer != nullptr) return std::string(producer->op->name);
  if (node_ == nullptr) return value.name;
  const size_t slot =
      static_cast<size_t>(std::find(node_->inputs.begin(), node_->inputs.end(), v) - node_->inputs.begin());
  if (slot == node_->inputs.size()) return value.name;
  const std::string_view port = node_->op->in[std::min(slot, node_->op->in.size() - 1)].name;
  std::string owner(node_->op->name);
  for (const Origin& o : node_->origins) {
    if (o.scope.empty()) continue;
    owner = o.scope;
    break;
  }
  return owner + "_" + std::string(port);
}

std::string TorchEmit::value(ValueId v) {
  const Value& value = g_.value(v);
  if (value.constant) return attribute(value.constant, readable(v));
  const auto it = variables_.find(v);
  if (it != variables_.end()) return it->second;
  if (scalar_type(value.type.dtype) < 0) {
    refuse(fmt::format("PyTorch 1.8 has no element type {}", npuport::name(value.type.dtype)));
  }
  return variables_[v] = identifier(readable(v), locals_);
}

std::optional<std::string> TorchEmit::emit(NodeId id) {
  node_ = &g_.node(id);
  node_id_ = id;
  const TorchRow* row = torch_row(node_->op->name);
  if (row == nullptr) {
    return node_->op->name == "opaque" ? "its meaning is not known" : "PyTorch has no such operator";
  }
  const size_t before = p_.lines.size();
  for (const Attr& a : node_->attrs) {
    if (a.name == "layout" && std::get<std::string>(a.value) != "nchw") refuse("PyTorch computes images in NCHW");
  }
  if (!refused()) {
    if (row->write != nullptr) {
      row->write(*this);
    } else {
      ret(expand(row->call));
    }
  }
  if (!refused()) {
    p_.archive_version = std::max(p_.archive_version, row->archive_version);
    return std::nullopt;
  }
  p_.lines.resize(before);
  return take_refusal();
}

int64_t TorchEmit::axis(std::string_view name, size_t k) const {
  const int64_t r = static_cast<int64_t>(rank(k)), a = attr().i(name);
  return r == 0 ? 0 : a < 0 ? a + r : a;
}

bool TorchEmit::is_number(size_t k) const {
  const Tensor* t = constant_of(k);
  if (t == nullptr || t->count() != 1 || t->dtype == DType::boolean || scalar_type(t->dtype) < 0) return false;
  if (!std::isfinite(get_double(*t, 0))) return false;
  for (size_t i = 0; i < arity(); ++i) {
    if (i != k && has(i) && constant_of(i) == nullptr && rank(i) >= t->shape.size()) return true;
  }
  return false;
}

std::string TorchEmit::number_or_tensor(size_t k) {
  if (!is_number(k)) return in(k);
  const Tensor& t = *constant_of(k);
  return is_float(t.dtype) ? text(get_double(t, 0)) : text(get_int(t, 0));
}

std::string TorchEmit::text(int64_t v) {
  // The smallest integer has no literal: its digits overflow before the sign applies.
  return v == INT64_MIN ? "(-9223372036854775807 - 1)" : fmt::format("{}", v);
}

std::string TorchEmit::text(double v) {
  if (std::isnan(v)) return "float(\"nan\")";
  if (std::isinf(v)) return v > 0 ? "float(\"inf\")" : "float(\"-inf\")";
  std::string out = fmt::format("{}", v);
  if (out.find_first_of(".e") == std::string::npos) out += ".0";
  return out;
}

std::string TorchEmit::text(std::span<const int64_t> v) {
  std::string out = "[";
  for (const int64_t x : v) out += (out.size() > 1 ? ", " : "") + text(x);
  return out + "]";
}

std::string TorchEmit::text(DType t) {
  const int number = scalar_type(t);
  if (number < 0) refuse(fmt::format("PyTorch 1.8 has no element type {}", npuport::name(t)));
  return dialect_ == TorchDialect::script ? fmt::format("{}", number) : fmt::format("torch.{}", long_name(t));
}

std::string TorchEmit::quoted(std::string_view s) {
  std::string out = "\"";
  for (const char c : s) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (u < 32 || u > 126) {
      out += fmt::format("\\x{:02x}", u);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string TorchEmit::number(double v, DType t) { return is_float(t) ? text(v) : text(static_cast<int64_t>(v)); }

std::string TorchEmit::constant(Tensor t, std::string_view name) {
  std::string key = to_string(TensorType{t.dtype, t.shape, nullptr});
  key.append(reinterpret_cast<const char*>(t.data), static_cast<size_t>(t.bytes()));
  std::string& known = helpers_[key];
  if (known.empty()) known = attribute(std::make_shared<const Tensor>(std::move(t)), name);
  return known;
}

void TorchEmit::line(std::string_view text) { p_.lines.push_back({dialect_form(text), node_id_}); }

std::string TorchEmit::let(const std::string& expression, std::string_view hint) {
  std::string name = identifier(hint, locals_);
  line(name + " = " + expression);
  return name;
}

std::vector<std::string> TorchEmit::let_all(const std::string& expression, size_t count, std::string_view hint) {
  std::vector<std::string> names;
  std::string left;
  for (size_t i = 0; i < count; ++i) {
    names.push_back(identifier(hint, locals_));
    left += names.back() + ", ";
  }
  if (count > 1) left.erase(left.size() - 2, 1);
  line(left + "= " + expression);
  return names;
}

void TorchEmit::ret(size_t k, const std::string& expression) { line(value(node_->outputs[k]) + " = " + expression); }

void TorchEmit::ret_all(const std::string& expression) {
  std::string left;
  for (const ValueId v : node_->outputs) left += (left.empty() ? "" : ", ") + value(v);
  line(left + (node_->outputs.size() == 1 ? ", = " : " = ") + expression);
}

std::string TorchEmit::indexed(const std::string& x, const std::vector<std::string>& indices) {
  std::string list = "[";
  for (const std::string& i : indices) list += (list.size() > 1 ? ", " : "") + (i.empty() ? none() : i);
  list += "]";
  if (dialect_ == TorchDialect::script) list = "annotate(List[Optional[Tensor]], " + list + ")";
  return "aten.index(" + x + ", " + list + ")";
}

std::string TorchEmit::index_input(size_t k, int64_t size) {
  const Tensor* t = constant_of(k);
  if (t == nullptr)
    return dtype(k) == DType::i64 ? in(k) : let("aten.to(" + in(k) + ", " + text(DType::i64) + ")", "at");
  Tensor fixed = Tensor::zeros(DType::i64, t->shape);
  bool same = t->dtype == DType::i64;
  for (int64_t i = 0; i < t->count(); ++i) {
    const int64_t at = get_int(*t, i);
    same = same && at >= 0;
    fixed.mut<int64_t>()[static_cast<size_t>(i)] = at < 0 ? at + size : at;
  }
  return same ? in(k) : constant(std::move(fixed), readable(node_->inputs[k]));
}

void TorchEmit::refuse(std::string why) {
  if (!refusal_) refusal_ = std::move(why);
}

std::string TorchEmit::expand(std::string_view call) {
  std::string out;
  for (size_t i = 0; i < call.size();) {
    const char c = call[i];
    if (c != '%' && c != '#' && c != '$') {
      out += c;
      ++i;
      continue;
    }
    const std::string_view word = word_at(call, i + 1);
    i += 1 + word.size();
    if (c == '$') {
      const Attr* found = nullptr;
      for (const Attr& a : node_->attrs) {
        if (a.name == word) found = &a;
      }
      if (found == nullptr) bug(node_->op->name, word);
      out += attr_text(*this, found->value);
      continue;
    }
    size_t k = 0;
    while (k < node_->op->in.size() && node_->op->in[k].name != word) ++k;
    if (k == node_->op->in.size()) bug(node_->op->name, word);
    out += c == '#' ? number_or_tensor(k) : in(k);
  }
  return out;
}

// `F.` and `aten.` are Python's; an archive knows `torch.` only.
std::string TorchEmit::dialect_form(std::string_view call) const {
  if (dialect_ == TorchDialect::python) return std::string(call);
  std::string out;
  bool in_string = false;
  for (size_t i = 0; i < call.size();) {
    if (call[i] == '"' && (i == 0 || call[i - 1] != '\\')) in_string = !in_string;
    if (!in_string && call.substr(i, 2) == "[]") {  // PyTorch 1.8 takes a bare one for a list of tensors
      out += "annotate(List[int], [])";
      i += 2;
      continue;
    }
    const bool starts = !in_string && (i == 0 || (!is_word(call[i - 1]) && call[i - 1] != '.'));
    const std::string_view word = starts ? word_at(call, i) : std::string_view();
    const bool prefix =
        (word == "F" || word == "aten") && i + word.size() < call.size() && call[i + word.size()] == '.';
    if (word.empty()) {
      out += call[i++];
    } else {
      out += prefix ? "torch" : word;
      i += word.size();
    }
  }
  return out;
}

Result<TorchProgram> torch_program(const Graph& g, TorchDialect dialect) {
  TorchProgram p;
  TorchEmit emit(g, p, dialect);
  for (const ValueId v : g.inputs()) {
    p.inputs.push_back(emit.value(v));
    if (const auto why = emit.take_refusal()) return Diag(diag::not_representable, *why).at_tensor(g.value(v).name);
  }
  std::vector<Diag> refusals;
  for (const NodeId id : g.topological()) {
    const std::optional<std::string> why = emit.emit(id);
    if (!why) continue;
    const Node& n = g.node(id);
    Diag d = Diag(diag::not_representable, fmt::format("{}: {}", n.op->name, *why))
                 .at_node(n.outputs.empty() ? std::string() : g.value(n.outputs.front()).name);
    d.severity = Severity::note;
    refusals.push_back(std::move(d));
  }
  if (!refusals.empty()) {
    Diag d(diag::not_representable, fmt::format("{} operators cannot be written for PyTorch", refusals.size()),
           "Opaque operators need a row; others are listed with the reason.");
    for (Diag& note : refusals) d.with_note(std::move(note));
    return d;
  }
  for (const ValueId v : g.outputs()) p.outputs.push_back(emit.value(v));
  if (const auto why = emit.take_refusal()) return Diag(diag::not_representable, *why);
  return p;
}

}  // namespace npuport
