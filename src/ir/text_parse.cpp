#include <algorithm>
#include <charconv>

#include "base/diag_codes.h"
#include "ir/registry.h"
#include "ir/text.h"

namespace npuport {
namespace {

constexpr size_t kMaxText = size_t{256} << 20;
constexpr int kMaxNesting = 100;

// A cursor over IR text. The first error sticks; reads after it return empty.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}

  bool failed() const { return error_.has_value(); }
  Diag take_error() { return std::move(*error_); }
  void fail(const std::string& what) {
    if (!error_)
      error_ = Diag(diag::syntax, "line " + std::to_string(line_) + ": " + what, "see the description of IR text");
  }

  void skip_space() {
    while (pos_ < text_.size()) {
      const char c = text_[pos_];
      if (c == '\n') ++line_;
      if (c == '#' && at_comment()) {
        while (pos_ < text_.size() && text_[pos_] != '\n') ++pos_;
        continue;
      }
      if (c != ' ' && c != '\t' && c != '\n' && c != '\r') break;
      ++pos_;
    }
  }
  bool done() {
    skip_space();
    return pos_ >= text_.size();
  }
  char peek() {
    skip_space();
    return pos_ < text_.size() ? text_[pos_] : '\0';
  }
  bool accept(std::string_view token) {
    skip_space();
    if (failed() || !text_.substr(pos_).starts_with(token)) return false;
    pos_ += token.size();
    return true;
  }
  void expect(std::string_view token) {
    if (!failed() && !accept(token)) fail("expected '" + std::string(token) + "'");
  }
  // A keyword: letters only, not followed by a name character.
  bool accept_word(std::string_view word) {
    skip_space();
    if (failed() || !text_.substr(pos_).starts_with(word)) return false;
    const size_t end = pos_ + word.size();
    if (end < text_.size() && name_char(text_[end])) return false;
    pos_ = end;
    return true;
  }
  std::string identifier() {
    skip_space();
    const size_t start = pos_;
    while (pos_ < text_.size() && name_char(text_[pos_])) ++pos_;
    if (pos_ == start) fail("expected a name");
    return std::string(text_.substr(start, pos_ - start));
  }
  // %name or %"any name"
  std::string value_name() {
    expect("%");
    if (failed()) return {};
    if (pos_ < text_.size() && text_[pos_] == '"') return quoted();
    return identifier();
  }
  std::string quoted() {
    const std::string raw = quoted_raw();
    const Result<AttrValue> v = parse_attr(raw, AttrKind::string);
    if (!v) {
      fail("bad string");
      return {};
    }
    return std::get<std::string>(*v);
  }
  // The raw text of an attribute value or of one element of a list.
  std::string raw_value() {
    const char c = peek();
    if (c == '"') return quoted_raw();
    if (c == '[') {
      const size_t end = text_.find(']', pos_);
      if (end == std::string_view::npos) {
        fail("'[' without ']'");
        return {};
      }
      std::string s(text_.substr(pos_, end + 1 - pos_));
      line_ += static_cast<size_t>(std::count(s.begin(), s.end(), '\n'));
      std::erase_if(s, [](char ch) { return ch == '\n' || ch == '\r'; });
      pos_ = end + 1;
      return s;
    }
    const size_t start = pos_;
    while (pos_ < text_.size() && (name_char(text_[pos_]) || text_[pos_] == '+' || text_[pos_] == '$')) ++pos_;
    if (pos_ == start) fail("expected a value");
    return std::string(text_.substr(start, pos_ - start));
  }

 private:
  static bool name_char(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-' || c == '/';
  }
  // '#' starts a comment only when a space follows; "#1f2e" is a constant's hash.
  bool at_comment() const { return pos_ + 1 < text_.size() && text_[pos_ + 1] == ' '; }
  std::string quoted_raw() {
    skip_space();
    const size_t start = pos_;
    if (pos_ >= text_.size() || text_[pos_] != '"') {
      fail("expected a string");
      return {};
    }
    for (++pos_; pos_ < text_.size() && text_[pos_] != '"'; ++pos_)
      if (text_[pos_] == '\\') ++pos_;
    if (pos_ >= text_.size()) {
      fail("unterminated string");
      return {};
    }
    ++pos_;
    return std::string(text_.substr(start, pos_ - start));
  }

  std::string_view text_;
  size_t pos_ = 0, line_ = 1;
  std::optional<Diag> error_;
};

TensorType parse_type(Cursor& c) {
  TensorType t;
  const std::string type_name = c.identifier();
  const auto dtype = parse_dtype(type_name);
  if (!dtype && type_name != "unknown") c.fail("unknown dtype " + type_name);
  t.dtype = dtype.value_or(DType::unknown);
  if (c.peek() != '[') {
    c.fail("expected a shape in brackets");
    return t;
  }
  const Result<AttrValue> dims = parse_attr(c.raw_value(), AttrKind::integers);
  if (!dims) {
    c.fail("bad shape");
    return t;
  }
  t.shape = std::get<Ints>(*dims);
  if (const Status s = check_shape(t.shape); !s) c.fail(s.error().message);
  return t;
}

class GraphParser {
 public:
  GraphParser(std::string_view text, const ConstantSource& source) : c_(text), source_(source) {}

  Result<Graph> run() {
    c_.expect("graph");
    g_.name = c_.quoted();
    c_.expect("{");
    while (!c_.failed() && c_.peek() != '}') line();
    c_.expect("}");
    if (!c_.failed() && !c_.done()) c_.fail("text after the graph");
    if (!c_.failed() && !has_output_) c_.fail("the graph has no output line");
    if (c_.failed()) return c_.take_error();
    return std::move(g_);
  }

 private:
  void line() {
    if (c_.accept_word("meta")) {
      const std::string key = c_.quoted();
      g_.metadata[key] = c_.quoted();
    } else if (c_.accept_word("input")) {
      const std::string name = c_.value_name();
      c_.expect(":");
      const TensorType type = parse_type(c_);
      if (!c_.failed()) define(name, g_.add_input(name, type));
    } else if (c_.accept_word("const")) {
      constant();
    } else if (c_.accept_word("output")) {
      outputs();
    } else {
      node();
    }
  }

  void define(const std::string& name, ValueId id) {
    if (!env_.emplace(name, id).second) c_.fail("%" + name + " is defined twice");
  }

  ValueId lookup(const std::string& name) {
    const auto it = env_.find(name);
    if (it != env_.end()) return it->second;
    c_.fail("%" + name + " is not defined before its use");
    return {};
  }

  void constant() {
    const std::string name = c_.value_name();
    c_.expect(":");
    const TensorType type = parse_type(c_);
    c_.expect("=");
    if (c_.failed()) return;
    if (c_.accept("#")) {
      const std::string hash = c_.identifier();
      std::shared_ptr<const Tensor> t = source_ ? source_(hash) : nullptr;
      if (source_ && !t) c_.fail("no constant with hash " + hash);
      if (!source_ && element_count(type.shape) > (int64_t{1} << 28)) c_.fail("constant too large without its data");
      if (c_.failed()) return;
      if (!t) t = std::make_shared<const Tensor>(Tensor::zeros(type.dtype, type.shape));
      if (t->dtype != type.dtype || t->shape != type.shape) c_.fail("constant " + hash + " has another type");
      if (!c_.failed()) define(name, g_.add_constant(name, std::move(t)));
      return;
    }
    inline_constant(name, type);
  }

  void inline_constant(const std::string& name, const TensorType& type) {
    const int64_t wanted = element_count(type.shape);
    if (wanted > 4096) return c_.fail("an inline constant of " + std::to_string(wanted) + " elements");
    Tensor t = Tensor::zeros(type.dtype, type.shape);
    c_.expect("[");
    for (int64_t i = 0; i < wanted && !c_.failed(); ++i) {
      if (i) c_.expect(",");
      store(t, i, c_.raw_value());
    }
    c_.expect("]");
    if (!c_.failed()) define(name, g_.add_constant(name, std::move(t)));
  }

  void store(Tensor& t, int64_t i, const std::string& text) {
    bool good = false;
    dispatch(t.dtype, [&]<class T>() {
      T* p = reinterpret_cast<T*>(t.mutable_data()) + i;
      if constexpr (std::is_same_v<T, bool>) {
        good = text == "true" || text == "false";
        *p = text == "true";
      } else if constexpr (std::is_integral_v<T>) {
        good = std::from_chars(text.data(), text.data() + text.size(), *p).ec == std::errc();
      } else {
        double v = 0;
        good = std::from_chars(text.data(), text.data() + text.size(), v).ec == std::errc();
        if constexpr (std::is_same_v<T, double>) {
          *p = v;
        } else {
          *p = T(static_cast<float>(v));
        }
      }
    });
    if (!good) c_.fail("'" + text + "' is no element of type " + std::string(name(t.dtype)));
  }

  void outputs() {
    std::vector<ValueId> out;
    if (c_.peek() == '%') do {
        out.push_back(lookup(c_.value_name()));
      } while (!c_.failed() && c_.accept(","));
    has_output_ = true;
    if (!c_.failed()) g_.set_outputs(std::move(out));
  }

  void node() {
    std::vector<std::pair<std::string, std::optional<TensorType>>> results;
    do {
      std::string result = c_.value_name();
      std::optional<TensorType> type;
      if (c_.accept(":")) type = parse_type(c_);
      results.emplace_back(std::move(result), std::move(type));
    } while (!c_.failed() && c_.accept(","));
    c_.expect("=");
    const std::string op_name = c_.identifier();
    if (c_.failed()) return;
    const OpDef* row = Registry::global().find(op_name);
    if (!row) return c_.fail("unknown operator " + op_name);
    const std::vector<ValueId> inputs = arguments();
    std::vector<Attr> attrs = attributes(*row);
    std::vector<Origin> origins = parse_origins();
    if (c_.failed()) return;
    const Result<NodeId> id = g_.add(*row, inputs, std::move(attrs), std::move(origins), results.size());
    if (!id) return c_.fail(id.error().message);
    const std::vector<ValueId> made = g_.node(*id).outputs;
    if (made.size() != results.size()) return c_.fail(op_name + " has " + std::to_string(made.size()) + " results");
    for (size_t i = 0; i < made.size(); ++i) {
      if (results[i].second && !(g_.type(made[i]) == *results[i].second))
        return c_.fail("%" + results[i].first + " is " + to_string(g_.type(made[i])) + ", not " +
                       to_string(*results[i].second));
      g_.rename(made[i], results[i].first);
      define(results[i].first, made[i]);
    }
    // A result may be called what another was called for a moment (%v1, %v2 = …): once more, now that all have theirs.
    for (size_t i = 0; i < made.size(); ++i) g_.rename(made[i], results[i].first);
  }

  std::vector<ValueId> arguments() {
    std::vector<ValueId> in;
    c_.expect("(");
    if (c_.accept(")")) return in;
    do {
      if (c_.peek() == '_') {
        c_.expect("_");
        in.push_back({});
      } else {
        in.push_back(lookup(c_.value_name()));
      }
    } while (!c_.failed() && c_.accept(","));
    c_.expect(")");
    return in;
  }

  std::vector<Attr> attributes(const OpDef& row) {
    std::vector<Attr> attrs;
    while (!c_.failed() && std::isalpha(static_cast<unsigned char>(c_.peek())) && !at_keyword()) {
      const std::string key = c_.identifier();
      c_.expect("=");
      const std::string text = c_.raw_value();
      const auto def =
          std::find_if(row.attrs.begin(), row.attrs.end(), [&](const AttrDef& d) { return d.name == key; });
      if (def == row.attrs.end()) {
        c_.fail(std::string(row.name) + " has no attribute " + key);
        break;
      }
      Result<AttrValue> v = parse_attr(text, def->kind);
      if (!v) {
        c_.fail(v.error().message);
        break;
      }
      attrs.emplace_back(key, std::move(*v));
    }
    return attrs;
  }

  // After a node's attributes the next line may begin with a keyword; keywords are never followed by '='.
  bool at_keyword() {
    Cursor ahead = c_;
    for (const char* word : {"output", "const", "input", "meta"})
      if (ahead.accept_word(word)) return ahead.peek() != '=';
    return false;
  }

  std::vector<Origin> parse_origins() {
    std::vector<Origin> origins;
    while (!c_.failed() && c_.accept("@")) {
      Origin o;
      o.scope = c_.quoted();
      o.source = c_.quoted();
      o.foreign = c_.quoted();
      origins.push_back(std::move(o));
    }
    return origins;
  }

  Cursor c_;
  const ConstantSource& source_;
  Graph g_;
  std::map<std::string, ValueId, std::less<>> env_;
  bool has_output_ = false;
};

ExprNode parse_expr(Cursor& c, int depth) {
  ExprNode e;
  if (depth > kMaxNesting) {
    c.fail("expression nested too deeply");
    return e;
  }
  const char first = c.peek();
  if (first == '%') {
    e.name = c.value_name();
    return e;
  }
  if (first == '_') {
    c.expect("_");
    e.name = "_";
    return e;
  }
  if (first == '$') {
    c.expect("$");
    e.name = "$" + c.identifier();
    return e;
  }
  if (std::isdigit(static_cast<unsigned char>(first)) || first == '-' || first == '+') {
    const std::string text = c.raw_value();
    const Result<AttrValue> v = parse_attr(text, AttrKind::real);
    if (!v) c.fail("'" + text + "' is no number");
    if (v) e.number = std::get<double>(*v);
    return e;
  }
  e.op = c.identifier();
  c.expect("(");
  if (c.failed() || c.accept(")")) return e;
  do {
    // An attribute is `name=value`; arguments never start with a bare name followed by '='.
    Cursor ahead = c;
    if (std::isalpha(static_cast<unsigned char>(ahead.peek()))) {
      const std::string key = ahead.identifier();
      if (ahead.accept("=")) {
        c = ahead;
        e.attrs.emplace_back(key, c.raw_value());
        continue;
      }
    }
    e.args.push_back(parse_expr(c, depth + 1));
  } while (!c.failed() && c.accept(","));
  c.expect(")");
  return e;
}

}  // namespace

Result<Graph> parse_graph(std::string_view text, const ConstantSource& source) {
  if (text.size() > kMaxText) return Diag(diag::too_large, "IR text of more than 256 MiB");
  return GraphParser(text, source).run();
}

Result<std::vector<Statement>> parse_statements(std::string_view text) {
  Cursor c(text);
  std::vector<Statement> out;
  while (!c.failed() && !c.done()) {
    Statement s;
    do {
      s.results.push_back(c.value_name());
    } while (!c.failed() && c.accept(","));
    c.expect("=");
    s.expr = parse_expr(c, 0);
    out.push_back(std::move(s));
    if (!c.accept(";")) break;
  }
  if (!c.failed() && !c.done()) c.fail("unexpected text");
  if (c.failed()) return c.take_error();
  return out;
}

}  // namespace npuport
