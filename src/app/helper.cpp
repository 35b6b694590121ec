#include "app/helper.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/diag_codes.h"

namespace npuport::app {
namespace {

namespace fs = std::filesystem;

Result<std::string> helper_folder() {
  if (const char* set = std::getenv("NPUPORT_HELPER")) return std::string(set);
  std::error_code ec;
  const fs::path binary = fs::read_symlink("/proc/self/exe", ec).parent_path();
  for (const char* candidate : {"../python", "../share/npuport/python", "python"}) {
    const fs::path folder = (binary / candidate).lexically_normal();
    if (fs::exists(folder / "npuport_torch" / "__main__.py", ec)) return folder.string();
  }
  return Diag(diag::tool_missing, "the Python helper npuport_torch is not beside the binary",
              "set NPUPORT_HELPER to the folder that holds npuport_torch");
}

}  // namespace

Result<ProcessResult> run_helper(const App& app, const std::string& tool, const std::vector<std::string>& args,
                                 std::chrono::seconds timeout, bool forward_stderr) {
  const std::string python = tool_path(app, tool);
  if (python.empty()) {
    const std::string variable = tool_variable(tool);
    return Diag(diag::tool_missing, "no Python interpreter is configured for '" + tool + "'",
                "give --tool " + tool + "=PATH or set " + variable);
  }
  NPU_ASSIGN(const std::string folder, helper_folder());
  ProcessOptions p;
  p.argv = {python, "-m", "npuport_torch"};
  p.argv.insert(p.argv.end(), args.begin(), args.end());
  p.env["PYTHONPATH"] = folder;
  p.timeout = timeout;
  p.keep = size_t{64} << 20;
  if (forward_stderr && !app.quiet)
    p.on_output = [](std::string_view text, bool is_stderr) {
      if (is_stderr) std::fputs(escape_terminal(text).c_str(), stderr);
    };
  return run_process(p);
}

}  // namespace npuport::app
