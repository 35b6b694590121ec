#include "runtime/dynamic_library.h"

#include <dlfcn.h>

#include "base/diag_codes.h"

namespace npuport::runtime {

Result<std::shared_ptr<DynamicLibrary>> DynamicLibrary::open(std::span<const std::string> names,
                                                             const std::string& install) {
  std::string list, said;
  for (const std::string& name : names) {
    // Never unloaded: vendor libraries leave threads and exit handlers behind.
    void* handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle) {
      std::shared_ptr<DynamicLibrary> library(new DynamicLibrary);
      library->handle_ = handle;
      library->name_ = name;
      return library;
    }
    const char* why = ::dlerror();
    list += (list.empty() ? "" : ", ") + name;
    // Of a list of usual names, those that are not there need no reason.
    const std::string reason = why ? why : "no reason given";
    if (names.size() == 1 || reason.find("No such file") == std::string::npos)
      said += (said.empty() ? "" : "; ") + reason;
  }
  if (said.empty())
    return Diag(diag::tool_missing, "none of these libraries is on the loader's path: " + list, install);
  return Diag(diag::tool_missing, "cannot load " + list + ": " + said, install);
}

DynamicLibrary::~DynamicLibrary() {
  if (handle_) ::dlclose(handle_);
}

void* DynamicLibrary::find(const char* symbol) const { return ::dlsym(handle_, symbol); }

std::string DynamicLibrary::path() const {
  // Any symbol of the library would tell; without one, the name has to do.
  for (const char* symbol : {"NeuronRuntime_create", "Neuron_getVersion", "aclInit", "LiteRtCreateEnvironment"}) {
    Dl_info info{};
    void* address = find(symbol);
    if (address && ::dladdr(address, &info) != 0 && info.dli_fname) return info.dli_fname;
  }
  return name_;
}

Status DynamicLibrary::complete(const std::string& hint) const {
  if (missing_.empty()) return {};
  std::string list;
  for (const std::string& m : missing_) list += (list.empty() ? "" : ", ") + m;
  return Diag(diag::tool_missing, "the library lacks " + list, hint).in_file(name_);
}

}  // namespace npuport::runtime
