// Bundled models ported once per process, and the runtimes that tests of the pipelines run them on.
#pragma once

#include "app/cli_support.h"

namespace npuport::testing {

// The output folder of a demo's port without samples: the proofs have tests of their own.
inline const std::string& ported_demo(const std::string& name) {
  static TempFolder folder;
  static std::map<std::string, std::string> done;
  const auto [it, fresh] = done.try_emplace(name, folder.path(name + "-out"));
  if (!fresh) return it->second;
  std::string plain;
  std::istringstream lines(contents(demo(name + "/port.toml")));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("samples")) line = "samples = []";
    plain += line + "\n";
  }
  std::filesystem::copy(demo(name), folder.path(name), std::filesystem::copy_options::recursive);
  put(folder.path(name + "/port.toml"), plain);
  const Ran r = npuport_run({"port", folder.path(name + "/port.toml"), "-o", it->second});
  EXPECT_EQ(r.code, 0) << r.err;
  return it->second;
}

// libLiteRt.so of the interpreter's ai_edge_litert; empty where there is none.
inline std::string litert_library() {
  if (const char* named = std::getenv("NPUPORT_LITERT_LIBRARY"); named && *named) return named;
  const char* python = std::getenv("NPUPORT_TEST_LITERT_PYTHON");
  if (!python || !*python || std::string(python) == "none") return {};
  ProcessOptions options;
  options.argv = {
      python, "-c",
      "import os,ai_edge_litert as a;print(os.path.join(os.path.dirname(a.__file__),'libLiteRt.so'),end='')"};
  const Result<ProcessResult> r = run_process(options);
  return r && r->ok() && std::filesystem::exists(r->out) ? r->out : std::string();
}

// A copy of a port's models/ with what the stand-in compiler would make of them beside: its mark, the size, the model.
inline void copy_with_standin_dlas(const std::string& models, const std::string& to) {
  std::filesystem::copy(models, to, std::filesystem::copy_options::recursive);
  for (const auto& e : std::filesystem::directory_iterator(models)) {
    if (e.path().extension() != ".tflite") continue;
    const std::string model = contents(e.path().string());
    const uint64_t size = model.size();
    std::string dla = "STANDIN-DLA";
    dla.resize(16);
    dla.append(reinterpret_cast<const char*>(&size), sizeof size);
    put(to + "/" + e.path().stem().string() + "_MT8371.dla", dla + model);
  }
}

}  // namespace npuport::testing
