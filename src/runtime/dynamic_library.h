// A vendor's shared library, opened at run time. Internal to the runtime.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace npuport::runtime {

class DynamicLibrary {
 public:
  // Tries `names` in order (paths or names the system's loader searches). tool_missing with what the loader said about
  // each, and `install` as the hint. The library stays loaded until the last copy goes.
  static Result<std::shared_ptr<DynamicLibrary>> open(std::span<const std::string> names, const std::string& install);
  ~DynamicLibrary();
  DynamicLibrary(const DynamicLibrary&) = delete;
  DynamicLibrary& operator=(const DynamicLibrary&) = delete;

  const std::string& name() const { return name_; }
  // File the loader took, where it tells; else name().
  std::string path() const;
  // Null when there is none.
  void* find(const char* symbol) const;

  // Sets `fn` to the symbol; remembers it as missing otherwise.
  template <class Fn>
  void need(Fn*& fn, const char* symbol) {
    fn = reinterpret_cast<Fn*>(find(symbol));
    if (!fn) missing_.push_back(symbol);
  }
  // The same for symbols one can do without.
  template <class Fn>
  void want(Fn*& fn, const char* symbol) const {
    fn = reinterpret_cast<Fn*>(find(symbol));
  }
  // tool_missing listing the symbols `need` did not find.
  Status complete(const std::string& hint) const;

 private:
  DynamicLibrary() = default;
  void* handle_ = nullptr;
  std::string name_;
  std::vector<std::string> missing_;
};

}  // namespace npuport::runtime
