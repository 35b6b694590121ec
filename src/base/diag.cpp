#include "base/diag.h"

#include <cstdio>

#include "base/lessons.h"
#include "base/text.h"

namespace npuport {
namespace {

void set_once(std::string& field, std::string_view value) {
  if (field.empty()) field = value;
}

void print(const Diag& d, int indent, std::string& out) {
  const std::string pad(static_cast<size_t>(indent), ' ');
  const char* kind = d.severity == Severity::error ? "error" : d.severity == Severity::warning ? "warning" : "note";
  out += pad + kind;
  if (d.code) out += "[" + std::string(d.code->id) + "]";
  out += ": " + escape_terminal(d.message) + "\n";
  const auto line = [&](const char* label, const std::string& value) {
    if (!value.empty()) out += pad + "  " + label + ": " + escape_terminal(value) + "\n";
  };
  line("file", d.where.file);
  line("node", d.where.node);
  line("tensor", d.where.tensor);
  line("source", d.where.source);
  line("next", d.hint);
  if (const Lesson* l = lesson_of(d)) line("lesson", std::string(l->id) + " " + std::string(l->title));
  for (const Diag& note : d.notes) print(note, indent + 2, out);
}

}  // namespace

Diag& Diag::in_file(std::string_view v) { return set_once(where.file, v), *this; }
Diag& Diag::at_node(std::string_view v) { return set_once(where.node, v), *this; }
Diag& Diag::at_tensor(std::string_view v) { return set_once(where.tensor, v), *this; }
Diag& Diag::at_source(std::string_view v) { return set_once(where.source, v), *this; }
Diag& Diag::with_note(Diag note) {
  notes.push_back(std::move(note));
  return *this;
}

std::string escape_terminal(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    const size_t n = utf8_length(text.substr(i));
    const bool control = (c < 0x20 && c != '\n' && c != '\t') || c == 0x7F ||
                         (n == 2 && c == 0xC2 && static_cast<unsigned char>(text[i + 1]) < 0xA0);
    if (n == 0 || control) {
      char buf[8];
      std::snprintf(buf, sizeof buf, "\\x%02X", c);
      out += buf;
      ++i;
    } else {
      out += text.substr(i, n);
      i += n;
    }
  }
  return out;
}

std::string to_text(const Diag& diag) {
  std::string out;
  print(diag, 0, out);
  return out;
}

}  // namespace npuport
