// A folder of its own for each test, with a blank and a non-ASCII letter in its name; removed at the end.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "support/paths.h"

namespace npuport::testing {

class TempFolder {
 public:
  TempFolder() {
    static std::atomic<int> number{0};
    path_ = std::filesystem::temp_directory_path() /
            ("npuport tést " + std::to_string(::getpid()) + "." + std::to_string(number++));
    std::filesystem::create_directories(path_);
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  std::string path(const std::string& name = "") const {
    return name.empty() ? path_.string() : (path_ / name).string();
  }
  size_t count() const {
    size_t n = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(path_)) ++n;
    return n;
  }

 private:
  std::filesystem::path path_;
};

// The folder of models and data beside the source tree; empty when it is not there (tests skip).
inline std::string shared_folder() {
  const char* chosen = std::getenv("NPUPORT_SHARED");
  const std::filesystem::path folder =
      chosen && *chosen ? std::filesystem::path(chosen) : std::filesystem::path(source_dir()) / ".." / "shared";
  std::error_code ignored;
  return std::filesystem::is_directory(folder, ignored) ? folder.string() : std::string();
}

inline std::string torch_python() {
  const char* chosen = std::getenv("NPUPORT_TEST_TORCH_PYTHON");
  return chosen && *chosen ? chosen : "/usr/bin/python3";
}

// An interpreter with PyTorch 1.8, which written archives must still satisfy; empty = none here.
inline std::string old_torch_python() {
  const char* chosen = std::getenv("NPUPORT_TEST_OLD_TORCH_PYTHON");
  return chosen && std::string(chosen) != "none" ? chosen : "";
}

}  // namespace npuport::testing
