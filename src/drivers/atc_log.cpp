// The words of atc: error blocks on stdout, check_result.json, versions.
#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>

#include "base/text.h"
#include "drivers/atc.h"

namespace npuport {
namespace {

enum class Kind { refusal, options, file, environment, internal };
struct Code {
  std::string_view code;
  Kind kind;
};
// Exact codes first, then prefixes.
constexpr Code kCodes[] = {{"E19010", Kind::refusal},  {"EZ9010", Kind::refusal},     {"E16002", Kind::refusal},
                           {"E76002", Kind::refusal},  {"EZ0501", Kind::refusal},     {"E10501", Kind::refusal},
                           {"E13010", Kind::refusal},  {"EZ3002", Kind::refusal},     {"EZ3003", Kind::refusal},
                           {"E40021", Kind::refusal},  {"E20001", Kind::refusal},     {"E14001", Kind::refusal},
                           {"E14002", Kind::refusal},  {"EZ00", Kind::refusal},       {"E700", Kind::refusal},
                           {"E13009", Kind::file},     {"E10041", Kind::file},        {"E13000", Kind::file},
                           {"E13001", Kind::file},     {"E13005", Kind::file},        {"E13015", Kind::file},
                           {"E1600", Kind::file},      {"E40020", Kind::environment}, {"E40002", Kind::environment},
                           {"EZ9999", Kind::internal}, {"E19999", Kind::internal},    {"E100", Kind::options},
                           {"EI", Kind::environment},  {"EH", Kind::environment},     {"EE", Kind::environment},
                           {"EL", Kind::environment}};

Kind kind_of(std::string_view code) {
  for (const Code& c : kCodes)
    if (code.starts_with(c.code)) return c.kind;
  return Kind::internal;
}

// "E19010: …", "EZ9010 [PID: 5] …": E, perhaps a letter, digits. Empty when the line starts otherwise.
std::string code_of(std::string_view line) {
  if (line.size() < 5 || line[0] != 'E') return {};
  size_t n = 1;
  if (std::isupper(static_cast<unsigned char>(line[n]))) ++n;
  size_t digits = 0;
  while (n < line.size() &&
         (std::isdigit(static_cast<unsigned char>(line[n])) || (digits > 0 && line[n] >= 'A' && line[n] <= 'F')))
    ++n, ++digits;
  if (digits < 4 || digits > 5) return {};
  if (n < line.size() && line[n] != ':' && line[n] != ' ' && line[n] != '[') return {};
  return std::string(line.substr(0, n));
}

// What stands in the bracket after `label`; empty when it is not there. Brackets nest: "[ai.onnx::11::Div]" in "optype
// [[…]]".
std::string bracket_after(std::string_view text, std::string_view label) {
  const size_t at = text.find(label);
  if (at == std::string_view::npos) return {};
  size_t begin = at + label.size();
  if (begin < text.size() && text[begin] == '[') ++begin;
  const size_t end = text.find_first_of("],", begin);
  return std::string(trim(text.substr(begin, end == std::string_view::npos ? 0 : end - begin)));
}

// Fills operator and node from "for Op [/a/Div, optype [ai.onnx::23::Div]]", "for [Conv_0], optype [Conv2D]", "node
// [x]".
void name_operator(std::string_view line, CompilerFinding& f) {
  for (const std::string_view label : {"optype [", "op type [", "OpType [", "op_type [", "type ["})
    if (f.op.empty()) f.op = bracket_after(line, label);
  for (const std::string_view label :
       {"Op [", "op [", "for [", "node [", "Node [", "operator [", "op_name [", "name ["})
    if (f.node.empty()) f.node = bracket_after(line, label);
  if (f.op == f.node) f.node.clear();
  const size_t colon = f.op.rfind("::");
  if (colon == std::string::npos) return;
  // domain::opset::Type
  const std::string head = f.op.substr(0, colon);
  f.op = f.op.substr(colon + 2);
  const size_t before = head.rfind("::");
  const int opset = std::atoi(head.substr(before == std::string::npos ? 0 : before + 2).c_str());
  if (opset > 17)
    f.reason += " (the model is at opset " + std::to_string(opset) +
                ": write it again with a lower one, that alone may be the cause)";
}

std::string clean(std::string_view text) { return valid_utf8(trim(text.substr(0, 1000))); }

// Message of "E19010: [PID: 12] 2026-11-21-10:00:00.123.456 text".
std::string message_of(std::string_view line, size_t code_length) {
  std::string_view rest = trim(line.substr(code_length));
  if (rest.starts_with(':')) rest = trim(rest.substr(1));
  if (rest.starts_with("[PID")) {
    const size_t close = rest.find(']');
    rest = close == std::string_view::npos ? std::string_view() : trim(rest.substr(close + 1));
    if (!rest.empty() && std::isdigit(static_cast<unsigned char>(rest[0]))) {
      const size_t blank = rest.find(' ');
      rest = blank == std::string_view::npos ? std::string_view() : trim(rest.substr(blank));
    }
  }
  return clean(rest);
}

class AtcParser {
 public:
  void line(std::string_view raw) {
    const std::string_view line = trim(raw);
    if (line.empty()) return;
    if (line.find("ATC run success") != std::string_view::npos) facts_.metrics["success"] = "yes";
    if (const std::string code = code_of(line); !code.empty()) return start(code, message_of(line, code.size()));
    if (line.find("ATC run failed") != std::string_view::npos) {
      if (facts_.error.empty()) failed_ = clean(line);
      return;
    }
    facts_.last = line.substr(0, 500);
    if (code_.empty()) return;
    if (line.starts_with("Possible Cause")) {
      after_ = &cause_;
      append(line);
    } else if (line.starts_with("Solution")) {
      after_ = &solution_;
      append(line);
    } else if (line.starts_with("TraceBack")) {
      after_ = nullptr;
      traceback_ = true;
    } else if (traceback_) {
      // One line for each further failing node.
      CompilerFinding f{"", "", "", clean(line), code_};
      name_operator(line, f);
      if (kind_of(code_) == Kind::refusal && (!f.op.empty() || !f.node.empty())) blocks_.push_back(std::move(f));
    } else if (after_) {
      *after_ += " " + clean(line);
    }
  }

  LogFacts take() {
    finish();
    for (CompilerFinding& f : blocks_)
      if (std::none_of(facts_.findings.begin(), facts_.findings.end(),
                       [&](const CompilerFinding& g) { return g.op == f.op && g.node == f.node && g.code == f.code; }))
        add_finding(facts_, std::move(f));
    if (facts_.error.empty()) facts_.error = failed_;
    return std::move(facts_);
  }

 private:
  void append(std::string_view line) {
    const size_t colon = line.find(':');
    *after_ = colon == std::string_view::npos ? "" : clean(line.substr(colon + 1));
  }
  void start(const std::string& code, const std::string& message) {
    finish();
    code_ = code;
    message_ = message;
    traceback_ = false;
    after_ = nullptr;
    cause_.clear();
    solution_.clear();
  }
  void finish() {
    if (code_.empty()) return;
    CompilerFinding f{"", "", "", message_, code_};
    name_operator(message_, f);
    if (!cause_.empty()) f.reason += "; possible cause: " + cause_;
    if (!solution_.empty()) f.reason += "; solution: " + solution_;
    const Kind kind = kind_of(code_);
    if (facts_.error.empty()) facts_.error = code_ + ": " + f.reason;
    if (facts_.cure == Cure::none)
      facts_.cure = kind == Kind::refusal       ? Cure::rewrite
                    : kind == Kind::options     ? Cure::options
                    : kind == Kind::file        ? Cure::file
                    : kind == Kind::environment ? Cure::environment
                                                : Cure::none;
    if (kind == Kind::refusal && blocks_.size() < kMaxFindings) blocks_.insert(blocks_.end(), std::move(f));
    code_.clear();
  }

  LogFacts facts_;
  std::vector<CompilerFinding> blocks_;
  std::string code_, message_, cause_, solution_, failed_;
  std::string* after_ = nullptr;
  bool traceback_ = false;
};

}  // namespace

LogFacts parse_atc_log(std::string_view text) {
  AtcParser parser;
  for_each_line(text, [&](std::string_view line) { parser.line(line); });
  return parser.take();
}

std::vector<CompilerFinding> parse_atc_check(std::string_view json) {
  std::vector<CompilerFinding> out;
  const Result<Json> j = parse_json(json);
  if (!j || !j->is_object() || !j->contains("op") || !(*j)["op"].is_array()) return out;
  const auto text = [](const Json& o, const char* key) {
    return o.is_object() && o.contains(key) && o[key].is_string() ? o[key].get<std::string>() : std::string();
  };
  for (const Json& op : (*j)["op"]) {
    if (text(op, "result") != "failed" || out.size() >= kMaxFindings) continue;
    CompilerFinding f{text(op, "type"), text(op, "name"), "", "", ""};
    if (op.contains("cause") && op["cause"].is_array())
      for (const Json& c : op["cause"]) {
        if (c.is_object() && c.contains("code") && c["code"].is_number_integer() && f.code.empty())
          f.code = std::to_string(c["code"].get<int64_t>());
        f.reason += (f.reason.empty() ? "" : "; ") + text(c, "message");
      }
    const size_t colon = f.op.rfind("::");
    if (colon != std::string::npos) f.op = f.op.substr(colon + 2);
    out.push_back(std::move(f));
  }
  return out;
}

std::string parse_atc_version(std::string_view text) {
  std::string found;
  for_each_line(text, [&](std::string_view line) {
    if (!found.empty()) return;
    const std::string low = lower(line);
    const size_t at = low.find("version");
    if (at == std::string::npos) return;
    size_t i = at + 7;
    while (i < line.size() && (line[i] == '=' || line[i] == ':' || line[i] == ' ' || line[i] == '[')) ++i;
    size_t end = i;
    while (end < line.size() && (std::isalnum(static_cast<unsigned char>(line[end])) || line[end] == '.')) ++end;
    if (end > i && std::isdigit(static_cast<unsigned char>(line[i]))) found = line.substr(i, end - i);
  });
  return found;
}

int atc_max_opset(std::string_view version) {
  const std::string v(version);
  char* end = nullptr;
  const long major = std::strtol(v.c_str(), &end, 10);
  if (end == v.c_str()) return 15;
  const long minor = *end == '.' ? std::strtol(end + 1, nullptr, 10) : 0;
  if (major < 7) return 11;
  return major < 8 || (major == 8 && minor == 0) ? 15 : 17;
}

}  // namespace npuport
