#include "frontends/aten_schema.h"

#include <charconv>
#include <limits>

#include "base/diag_codes.h"
#include "ir/registry.h"
#include "ops/manifest.h"

namespace npuport {
namespace {

// A cursor over one schema string.
class SchemaParser {
 public:
  explicit SchemaParser(std::string_view text) : s_(text) {}

  Result<AtenSchema> run() {
    AtenSchema schema;
    std::string name = word(".:_");
    if (name.empty()) return error("expected an operator name");
    const size_t dot = name.find('.');
    schema.overload = dot == std::string::npos ? "" : name.substr(dot + 1);
    schema.name = name.substr(0, dot);
    if (schema.name.find("::") == std::string::npos) {
      schema.name = "aten::" + schema.name;
      name = "aten::" + name;
    }
    schema.full = name;
    if (!take('(')) return error("expected '('");
    bool keyword_only = false;
    while (!peek(')')) {
      if (take('*')) {
        keyword_only = true;
      } else {
        NPU_ASSIGN(SchemaArg arg, argument());
        arg.keyword_only = keyword_only;
        schema.args.push_back(std::move(arg));
      }
      if (!take(',')) break;
    }
    if (!take(')')) return error("expected ')'");
    if (!take_text("->")) return error("expected '->'");
    NPU_TRY(returns(schema));
    skip();
    if (i_ != s_.size()) return error("unexpected text");
    return schema;
  }

 private:
  Diag error(const std::string& what) const {
    return Diag(diag::syntax, what + " at offset " + std::to_string(i_) + " of schema \"" + std::string(s_) + "\"");
  }
  void skip() {
    while (i_ < s_.size() && s_[i_] == ' ') ++i_;
  }
  bool peek(char c) {
    skip();
    return i_ < s_.size() && s_[i_] == c;
  }
  bool take(char c) {
    if (!peek(c)) return false;
    ++i_;
    return true;
  }
  bool take_text(std::string_view t) {
    skip();
    if (s_.substr(i_, t.size()) != t) return false;
    i_ += t.size();
    return true;
  }
  std::string word(std::string_view extra = "_") {
    skip();
    const size_t begin = i_;
    while (i_ < s_.size() && (std::isalnum(static_cast<unsigned char>(s_[i_])) || extra.find(s_[i_]) != extra.npos))
      ++i_;
    return std::string(s_.substr(begin, i_ - begin));
  }

  struct Type {
    AtenKind kind = AtenKind::any;
    bool optional = false, list = false, optional_element = false, alias = false;
    int list_size = 0;
  };

  Result<Type> type() {
    static const std::map<std::string, AtenKind, std::less<>> kinds = {{"Tensor", AtenKind::tensor},
                                                                       {"int", AtenKind::integer},
                                                                       {"SymInt", AtenKind::integer},
                                                                       {"float", AtenKind::real},
                                                                       {"bool", AtenKind::boolean},
                                                                       {"str", AtenKind::string},
                                                                       {"Scalar", AtenKind::scalar},
                                                                       {"ScalarType", AtenKind::scalar_type},
                                                                       {"Device", AtenKind::device},
                                                                       {"Layout", AtenKind::layout},
                                                                       {"MemoryFormat", AtenKind::memory_format},
                                                                       {"Generator", AtenKind::generator},
                                                                       {"SymFloat", AtenKind::real}};
    Type t;
    const std::string name = word("_.");
    if (name.empty()) return error("expected a type");
    const auto it = kinds.find(name);
    t.kind = it == kinds.end() ? AtenKind::any : it->second;
    if (take('(')) {  // alias annotation: (a), (a!), (a -> *)
      while (i_ < s_.size() && s_[i_] != ')') ++i_;
      if (!take(')')) return error("expected ')'");
      t.alias = true;
    }
    bool optional = take('?');
    if (take('[')) {
      t.list = true;
      t.optional_element = optional;
      const std::string n = word();
      if (!n.empty()) std::from_chars(n.data(), n.data() + n.size(), t.list_size);
      if (!take(']')) return error("expected ']'");
      if (peek('(')) {
        while (i_ < s_.size() && s_[i_] != ')') ++i_;
        ++i_;
      }
      optional = take('?');
    }
    t.optional = optional;
    return t;
  }

  Result<SchemaArg> argument() {
    NPU_ASSIGN(const Type t, type());
    SchemaArg arg;
    arg.kind = t.kind;
    arg.optional = t.optional;
    arg.list = t.list;
    arg.optional_element = t.optional_element;
    arg.list_size = t.list_size;
    arg.name = word();
    if (arg.name.empty()) return error("expected an argument name");
    if (take('=')) {
      NPU_ASSIGN(arg.default_value, default_value(arg));
      arg.has_default = true;
    }
    return arg;
  }

  Result<double> number() {
    skip();
    const char* begin = s_.data() + i_;
    double v = 0;
    if (take_text("inf")) return std::numeric_limits<double>::infinity();
    if (take_text("-inf")) return -std::numeric_limits<double>::infinity();
    const auto [end, ec] = std::from_chars(begin, s_.data() + s_.size(), v);
    if (ec != std::errc()) return error("expected a number");
    i_ += static_cast<size_t>(end - begin);
    return v;
  }

  Result<SchemaDefault> default_value(const SchemaArg& arg) {
    SchemaDefault d;
    if (take_text("None")) return d;
    if (peek('[')) {
      ++i_;
      d.kind = arg.kind == AtenKind::real ? SchemaDefault::reals : SchemaDefault::integers;
      while (!peek(']')) {
        NPU_ASSIGN(const double v, number());
        d.items.push_back(v);
        if (!take(',')) break;
      }
      if (!take(']')) return error("expected ']'");
      return d;
    }
    if (peek('"') || peek('\'')) {
      const char quote = s_[i_++];
      d.kind = SchemaDefault::string;
      while (i_ < s_.size() && s_[i_] != quote) d.s += s_[i_++];
      if (!take(quote)) return error("unterminated string");
      return d;
    }
    if (take_text("True") || take_text("False")) {
      d.kind = SchemaDefault::boolean;
      d.i = s_[i_ - 2] == 'u';
      if (arg.list) {
        d.items.assign(static_cast<size_t>(std::max(1, arg.list_size)), static_cast<double>(d.i));
        d.kind = SchemaDefault::integers;
      }
      return d;
    }
    // "Mean" and "Sum" are the reductions of the loss functions, contiguous_format and long the other words in use.
    if (take_text("Mean")) return d.kind = SchemaDefault::integer, d.i = 1, d;
    if (take_text("Sum")) return d.kind = SchemaDefault::integer, d.i = 2, d;
    if (take_text("contiguous_format")) return d.kind = SchemaDefault::integer, d.i = 0, d;
    if (take_text("long")) return d.kind = SchemaDefault::integer, d.i = 4, d;
    const size_t begin = i_;
    NPU_ASSIGN(d.f, number());
    const std::string_view text = s_.substr(begin, i_ - begin);
    const bool real = arg.kind == AtenKind::real || text.find_first_of(".ein") != text.npos;
    d.kind = real ? SchemaDefault::real : SchemaDefault::integer;
    if (!real) std::from_chars(text.data() + (text[0] == ' '), text.data() + text.size(), d.i);
    if (arg.list) {
      d.items.assign(static_cast<size_t>(std::max(1, arg.list_size)), d.f);
      d.kind = arg.kind == AtenKind::real ? SchemaDefault::reals : SchemaDefault::integers;
    }
    return d;
  }

  Status returns(AtenSchema& schema) {
    const auto one = [&]() -> Status {
      NPU_ASSIGN(const Type t, type());
      (void)word();  // optional name
      schema.returns.push_back({t.kind, t.list, t.alias});
      return {};
    };
    if (!peek('(')) return one();
    ++i_;
    while (!peek(')')) {
      NPU_TRY(one());
      if (!take(',')) break;
    }
    if (!take(')')) return error("expected ')'");
    return {};
  }

  std::string_view s_;
  size_t i_ = 0;
};

}  // namespace

int AtenSchema::arg_index(std::string_view wanted) const {
  for (size_t i = 0; i < args.size(); ++i)
    if (args[i].name == wanted) return static_cast<int>(i);
  return -1;
}

Result<AtenSchema> parse_schema(std::string_view text) { return SchemaParser(text).run(); }

AtenTable::AtenTable(std::span<const std::span<const AtenRow>> rows) {
  for (const std::span<const AtenRow> family : rows) {
    for (const AtenRow& row : family) {
      Result<AtenSchema> schema = parse_schema(row.schema);
      if (!schema) {
        errors_.push_back(std::move(schema).error());
        continue;
      }
      const auto wrong = [&](const std::string& what) {
        errors_.push_back(Diag(diag::internal, "row \"" + std::string(row.schema) + "\" " + what));
      };
      if (!row.fn && row.ours.empty()) {
        wrong("has neither an operator nor a function");
        continue;
      }
      if (!row.fn && !Registry::global().find(row.ours)) {
        wrong("names operator '" + std::string(row.ours) + "', which is not registered");
        continue;
      }
      schema->row = &row;
      std::vector<AtenSchema>& overloads = by_name_[schema->name];
      for (const AtenSchema& other : overloads)
        if (other.full == schema->full) wrong("appears twice");
      overloads.push_back(std::move(*schema));
    }
  }
}

const AtenTable& AtenTable::global() {
  static const AtenTable table(ops::aten_rows());
  return table;
}

std::span<const AtenSchema> AtenTable::find(std::string_view name) const {
  const auto it = by_name_.find(name);
  if (it == by_name_.end()) return {};
  return it->second;
}

}  // namespace npuport
