#include "frontends/torch/script_code.h"

#include <algorithm>

#include "frontends/torch/script_parser.h"

namespace npuport {

std::string_view last_component(std::string_view qualified) {
  const size_t dot = qualified.rfind('.');
  return dot == qualified.npos ? qualified : qualified.substr(dot + 1);
}

Result<CodeFile*> CodeLibrary::file_of(std::string_view qualified_prefix) {
  std::string name(qualified_prefix);
  std::replace(name.begin(), name.end(), '.', '/');
  name += ".py";
  if (const auto it = files_.find(name); it != files_.end()) return it->second.get();
  std::unique_ptr<CodeFile>& slot = files_[name];
  if (!archive_.has("code/" + name)) return static_cast<CodeFile*>(nullptr);
  auto file = std::make_unique<CodeFile>();
  file->name = name;
  NPU_ASSIGN(file->source, archive_.code(name));
  Result<script::Module> module = script::parse_module(file->source);
  if (!module) return std::move(module).error().in_file(archive_.path()).at_source("code/" + name);
  file->module = std::move(*module);
  // Source lines are a convenience: an unreadable debug file costs only them.
  if (Result<const Pickle*> debug = archive_.debug(name); debug && *debug && (*debug)->root)
    file->map = SourceMap(*(*debug)->root);
  slot = std::move(file);
  return slot.get();
}

Result<const ClassInfo*> CodeLibrary::find_class(std::string_view qualified) {
  if (const auto it = classes_.find(qualified); it != classes_.end()) return it->second.get();
  const size_t dot = qualified.rfind('.');
  const ClassInfo* none = nullptr;
  if (dot == qualified.npos) return none;
  NPU_ASSIGN(CodeFile * file, file_of(qualified.substr(0, dot)));
  if (!file) return none;
  const std::string_view name = qualified.substr(dot + 1);
  for (const script::Class& c : file->module.classes) {
    if (c.name != name) continue;
    auto info = std::make_unique<ClassInfo>();
    info->name = qualified;
    info->def = &c;
    info->file = file;
    return (classes_[std::string(qualified)] = std::move(info)).get();
  }
  return none;
}

Result<CodeLibrary::FunctionRef> CodeLibrary::find_function(std::string_view qualified) {
  const size_t dot = qualified.rfind('.');
  if (dot == qualified.npos) return FunctionRef{};
  NPU_ASSIGN(CodeFile * file, file_of(qualified.substr(0, dot)));
  if (!file) return FunctionRef{};
  const std::string_view name = qualified.substr(dot + 1);
  for (const script::Function& f : file->module.functions)
    if (f.name == name) return FunctionRef{&f, file};
  return FunctionRef{};
}

}  // namespace npuport
