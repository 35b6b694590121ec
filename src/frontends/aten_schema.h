// Function schemas as PyTorch writes them ("add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor"),
// parsed once for all ATen rows.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/aten.h"

namespace npuport {

enum class AtenKind : uint8_t {
  tensor,
  integer,  // int, SymInt
  real,     // float
  boolean,
  string,
  scalar,       // Scalar
  scalar_type,  // ScalarType, written as int in TorchScript
  device,
  layout,
  memory_format,
  generator,
  any,  // t, Any and everything else that only passes through
};

struct SchemaDefault {
  enum Kind : uint8_t { none, boolean, integer, real, string, integers, reals } kind = none;
  int64_t i = 0;
  double f = 0;
  std::string s;
  std::vector<double> items;  // of integers and reals
};

struct SchemaArg {
  std::string name;
  AtenKind kind = AtenKind::any;
  bool optional = false;          // Tensor?, int?, int[]?
  bool list = false;              // int[], Tensor[]
  bool optional_element = false;  // Tensor?[]
  int list_size = 0;              // N of int[N]; 0 otherwise
  bool keyword_only = false;
  bool has_default = false;
  SchemaDefault default_value;
};

struct SchemaReturn {
  AtenKind kind = AtenKind::tensor;
  bool list = false;
  bool view = false;  // Tensor(a): may share memory with the first argument
};

struct AtenSchema {
  std::string full;      // "aten::add.Tensor"
  std::string name;      // "aten::add", "torchvision::nms"
  std::string overload;  // "Tensor"
  std::vector<SchemaArg> args;
  std::vector<SchemaReturn> returns;
  const AtenRow* row = nullptr;

  int arg_index(std::string_view wanted) const;  // -1 when there is none
};

// Parses one schema; `syntax` naming the offending text.
Result<AtenSchema> parse_schema(std::string_view text);

// All rows of the manifest, indexed by name without overload. Built on first use; a row whose schema does not parse, or
// that has neither `ours` nor `fn`, or whose operator is missing, is left out and listed in errors() (a test holds that
// list empty).
class AtenTable {
 public:
  static const AtenTable& global();
  explicit AtenTable(std::span<const std::span<const AtenRow>> rows);

  // Overloads of "aten::add" in row order; empty when there is none.
  std::span<const AtenSchema> find(std::string_view name) const;
  const std::vector<Diag>& errors() const { return errors_; }
  const std::map<std::string, std::vector<AtenSchema>, std::less<>>& all() const { return by_name_; }

 private:
  std::map<std::string, std::vector<AtenSchema>, std::less<>> by_name_;
  std::vector<Diag> errors_;
};

}  // namespace npuport
