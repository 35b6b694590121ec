// The code/ folder of a TorchScript archive: files parsed on first use, classes and functions by qualified name, and
// where each expression stood in the user's own source.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "frontends/torch/archive.h"
#include "frontends/torch/script_ast.h"
#include "frontends/torch/script_source_map.h"

namespace npuport {

struct CodeFile {
  std::string name;  // "__torch__/torch/nn/modules/conv.py"
  std::string source;
  script::Module module;
  SourceMap map;
};

// A class with the file it lives in.
struct ClassInfo {
  std::string name;  // qualified, "__torch__.model.Net"
  const script::Class* def = nullptr;
  CodeFile* file = nullptr;
  bool is_enum() const { return def && def->base == "Enum"; }
  bool is_named_tuple() const { return def && def->base == "NamedTuple"; }
};

class CodeLibrary {
 public:
  explicit CodeLibrary(const TorchArchive& archive) : archive_(archive) {}

  // The class of that qualified name; nullptr when the archive has none. Errors: `syntax` of its file.
  Result<const ClassInfo*> find_class(std::string_view qualified);
  // A free function "__torch__.torch.nn.functional.relu" with its file; {nullptr, nullptr} when there is none.
  struct FunctionRef {
    const script::Function* function = nullptr;
    CodeFile* file = nullptr;
  };
  Result<FunctionRef> find_function(std::string_view qualified);

 private:
  Result<CodeFile*> file_of(std::string_view qualified_prefix);
  TorchArchive archive_;
  std::map<std::string, std::unique_ptr<CodeFile>, std::less<>> files_;  // null: no such file
  std::map<std::string, std::unique_ptr<ClassInfo>, std::less<>> classes_;
};

// "__torch__.a.___torch_mangle_7.Conv2d" → "Conv2d".
std::string_view last_component(std::string_view qualified);

}  // namespace npuport
