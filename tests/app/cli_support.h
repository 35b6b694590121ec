// Runs the built program as a user would: arguments in, exit code, stdout and stderr out.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/json.h"
#include "base/subprocess.h"
#include "support/paths.h"
#include "support/temp_folder.h"

namespace npuport::testing {

struct Ran {
  int code = -1;  // -1: killed by a signal or stopped at the time limit
  std::string out, err;
  double seconds = 0;
};

inline std::string binary() { return binary_dir() + "/npuport"; }
inline std::string demo(const std::string& name) { return source_dir() + "/demo/" + name; }

inline Ran npuport_run(std::vector<std::string> args, std::map<std::string, std::string> env = {},
                       const std::string& cwd = {}, uint64_t memory_limit = 0) {
  ProcessOptions options;
  options.argv = std::move(args);
  options.argv.insert(options.argv.begin(), binary());
  options.env = std::move(env);
  options.cwd = cwd;
  options.memory_limit = memory_limit;
  options.timeout = std::chrono::seconds(300);
  const Result<ProcessResult> r = run_process(options);
  if (!r) return {-2, "", to_text(r.error())};
  return {r->signal || r->timed_out ? -1 : r->exit_code, r->out, r->err, r->seconds};
}

// The one JSON document that stdout must be.
inline Json document(const Ran& r) {
  Json j = Json::parse(r.out, nullptr, false);
  EXPECT_FALSE(j.is_discarded()) << "stdout is no single JSON document:\n" << r.out.substr(0, 500);
  return j;
}

inline std::string contents(const std::string& path) {
  std::ifstream f(path, std::ios::binary);
  std::ostringstream s;
  s << f.rdbuf();
  return s.str();
}
inline void put(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

// Relative path → SHA-256 of every regular file below `folder`.
inline std::map<std::string, std::string> tree(const std::string& folder) {
  std::map<std::string, std::string> out;
  std::error_code ec;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder, ec))
    if (entry.is_regular_file(ec))
      out[std::filesystem::relative(entry.path(), folder).string()] = sha256_file(entry.path().string()).value();
  return out;
}

// Models, broken files and samples, made once per process by cli_models.py; empty where PyTorch is missing.
inline const std::string& made_files() {
  static TempFolder folder;
  static const std::string path = [] {
    ProcessOptions options;
    options.argv = {torch_python(), source_dir() + "/tests/app/cli_models.py", folder.path("m")};
    options.env["PYTHONDONTWRITEBYTECODE"] = "1";
    options.timeout = std::chrono::seconds(300);
    const Result<ProcessResult> r = run_process(options);
    return r && r->ok() ? folder.path("m") : std::string();
  }();
  return path;
}
inline std::string made(const std::string& name) { return made_files() + "/" + name; }

// Skips every test of a suite where the models cannot be made.
class WithModels : public ::testing::Test {
 protected:
  void SetUp() override {
    if (made_files().empty()) GTEST_SKIP() << torch_python() << " has no PyTorch: the models cannot be made";
  }
  TempFolder out_;
};

}  // namespace npuport::testing
