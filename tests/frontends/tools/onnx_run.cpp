// onnx_run FOLDER [NAME…]: a line "name, operator, verdict, why" (tabs) for each case of tests/support/onnx_cases.py.
#include <algorithm>
#include <cstdio>

#include "frontends/onnx_suite.h"
#include "ops/manifest.h"

int main(int argc, char** argv) {
  using namespace npuport;
  if (argc < 2) return 2;
  ops::register_all();
  const std::vector<std::string> only(argv + 2, argv + argc);
  for (const testing::OnnxCase& c : testing::read_onnx_cases(argv[1])) {
    if (!only.empty() && std::find(only.begin(), only.end(), c.name) == only.end()) continue;
    const testing::OnnxVerdict v = testing::run_onnx_case(argv[1], c);
    const char* word = v.kind == testing::OnnxVerdict::passed    ? "passed"
                       : v.kind == testing::OnnxVerdict::refused ? "refused"
                                                                 : "WRONG";
    std::printf("%s\t%s\t%s\t%s\n", c.name.c_str(), c.op.c_str(), word, escape_terminal(v.why).c_str());
    std::fflush(stdout);
  }
  return 0;
}
