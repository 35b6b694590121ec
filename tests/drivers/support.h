// What the driver tests share: a small model, a request, an environment variable for the time of a test.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "base/atomic_file.h"
#include "drivers/driver.h"
#include "drivers/tool_run.h"
#include "ir/builder.h"
#include "support/temp_folder.h"
#include "writers/tflite_writer.h"

namespace npuport::testing {

class EnvScope {
 public:
  EnvScope(std::string name, const std::string& value) : name_(std::move(name)) {
    if (const char* v = std::getenv(name_.c_str())) before_ = v;
    ::setenv(name_.c_str(), value.c_str(), 1);
  }
  ~EnvScope() {
    if (before_)
      ::setenv(name_.c_str(), before_->c_str(), 1);
    else
      ::unsetenv(name_.c_str());
  }
  EnvScope(const EnvScope&) = delete;

 private:
  std::string name_;
  std::optional<std::string> before_;
};

// x → operators one after another (unary operators of the registry).
inline void write_chain(const std::string& path, const std::vector<std::string>& ops, Shape shape = {1, 4, 4, 8}) {
  Graph g;
  g.name = "chain";
  Builder b(g);
  ValueId y = g.add_input("x", {DType::f32, std::move(shape), nullptr});
  for (const std::string& op : ops) y = b.op(op, {y});
  g.set_outputs({y});
  ASSERT_FALSE(b.failed());
  TfliteOptions o;
  o.sync = false;
  const Status s = write_tflite(g, path, o);
  ASSERT_TRUE(s.ok()) << to_text(s.error());
}

class DriverTest : public ::testing::Test {
 protected:
  CompileRequest request(const std::string& model, const std::string& name = "out") {
    CompileRequest r;
    r.model = model;
    r.output = folder_.path(name + ".bin");
    r.log = folder_.path(name + ".log");
    r.work_folder = folder_.path(name + " work");
    r.timeout = std::chrono::seconds(60);
    return r;
  }
  static std::string contents(const std::string& path) {
    std::ifstream f(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(f), {}};
  }
  TempFolder folder_;
};

}  // namespace npuport::testing
