// Syntax tree of the TorchScript serialisation source.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace npuport::script {

struct Keyword;

struct Expr {
  enum class Kind : uint8_t {
    none,       // None
    boolean,    // integer = 0 or 1
    integer,    // integer
    real,       // real
    string,     // text
    name,       // text; slot of the function's variable table
    global,     // text = dotted name rooted at torch, ops, __torch__ or CONSTANTS: "torch.add", "ops.prim.dtype"
    list,       // kids
    tuple,      // kids
    dict,       // kids: key, value, key, value …
    attribute,  // kids[0].text
    call,       // kids[0] = callee, kids[1…] = positional arguments, keywords
    index,      // kids[0][kids[1], …]
    slice,      // kids: begin, end, step (Kind::none when absent); only inside index
    negate,     // -kids[0]
    logic_not,  // not kids[0]
    binary,     // text = ATen name of the operator ("add", "__is__" …); kids: left, right
    logic_and,  // short-circuit
    logic_or,
    conditional,  // kids: then, condition, else
  };

  Kind kind = Kind::none;
  uint32_t pos = 0;   // byte offset in the code file
  uint32_t slot = 0;  // name only
  int64_t integer = 0;
  double real = 0;
  std::string text;
  std::vector<Expr> kids;
  std::vector<Keyword> keywords;
};

struct Keyword {
  std::string name;
  Expr value;
};

struct Stmt;
using Block = std::vector<Stmt>;

struct Parameter {
  std::string name;
  Expr type;  // Kind::none when the source gives no type
  bool has_default = false;
  Expr default_value;
};

struct Function {
  std::string name;
  std::vector<Parameter> params;  // parameter i owns variable slot i
  Expr return_type;
  std::vector<std::string> variables;  // slot → name
  Block body;
  uint32_t pos = 0;
};

struct Stmt {
  enum class Kind : uint8_t { assign, expression, if_else, while_loop, for_range, with, return_value, pass, function };
  Kind kind = Kind::pass;
  uint32_t pos = 0;
  std::vector<Expr> targets;  // assign: one per comma-separated target; for_range: the variable
  // assign: the annotation of `a : T = v` (Kind::none when absent), value = right side (a tuple for `a, b = c, d`).
  Expr annotation;
  Expr value;           // also: condition, range's argument tuple, with's object, returned value, expression
  bool unpack = false;  // assign: the targets take the items of value (also for `a, = v`)
  Block body, orelse;
  std::shared_ptr<Function> function;  // nested def
};

struct ClassField {
  std::string name;
  Expr type;
  bool has_value = false;
  Expr value;  // of `name : Final[int] = 3` and of enumerators `RED = 1`
};

struct Class {
  std::string name;
  std::string base;  // "Module", "NamedTuple", "Enum", "ModuleInterface", "" for a plain class …
  std::vector<ClassField> fields;
  std::vector<Function> methods;
  uint32_t pos = 0;

  const Function* method(std::string_view wanted) const {
    for (const Function& f : methods)
      if (f.name == wanted) return &f;
    return nullptr;
  }
  const ClassField* field(std::string_view wanted) const {
    for (const ClassField& f : fields)
      if (f.name == wanted) return &f;
    return nullptr;
  }
};

struct Module {
  std::vector<Class> classes;
  std::vector<Function> functions;
};

}  // namespace npuport::script
