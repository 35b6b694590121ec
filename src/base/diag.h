// Diagnostics: every expected failure is a value of this type, never an exception.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace npuport {

// One kind of failure. Rows live in diag_codes.h; the exit code is what the command line returns.
struct DiagCode {
  std::string_view id;     // stable, e.g. "NP0203"
  std::string_view slug;   // e.g. "truncated-file"
  int exit_code;           // 1 honest no, 2 bad input or usage, 3 environment, 4 bug, 130 interrupted
  std::string_view title;  // one sentence, used by the docs
};

enum class Severity { note, warning, error };

// A place in the USER's model. Empty strings mean "not known".
struct Where {
  std::string file;
  std::string node;    // operator name and node name
  std::string tensor;  // tensor or weight name
  std::string source;  // "model.py:12" in the user's code
};

struct Diag {
  const DiagCode* code = nullptr;
  Severity severity = Severity::error;
  std::string message;
  Where where;
  std::string hint;  // what to do next
  std::vector<Diag> notes;

  Diag() = default;
  Diag(const DiagCode& c, std::string msg, std::string next = {})
      : code(&c), message(std::move(msg)), hint(std::move(next)) {}

  // Fluent setters; each keeps what is already set (the innermost place wins).
  Diag& in_file(std::string_view v);
  Diag& at_node(std::string_view v);
  Diag& at_tensor(std::string_view v);
  Diag& at_source(std::string_view v);
  Diag& with_note(Diag note);
};

// Several lines for a terminal: "error[NP0203]: message", where, hint, notes. No colour. Control characters of
// model-made strings are escaped.
std::string to_text(const Diag& diag);

// Replaces control characters, ESC and invalid UTF-8 by \xNN so that a model cannot drive the user's terminal.
std::string escape_terminal(std::string_view text);

}  // namespace npuport
