#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/helper.h"
#include "base/text.h"

namespace npuport::app {

namespace {

constexpr const char* kHelp =
    "npuport trace CKPT --template NAME|FILE.py|FILE.toml -o DIR [...]: checkpoint to TorchScript, samples, baseline "
    "and "
    "port.toml.\n"
    "Runs the Python helper; give --tool python=PATH (a Python with PyTorch) or NPUPORT_PYTHON before asking it for "
    "all\n"
    "options.\n"
    "Examples:\n"
    "  npuport --tool python=/usr/bin/python3 trace model.pt --template whisper -o traced/\n"
    "  npuport --tool python=/usr/bin/python3 trace net.pth --template my_net.py --shape input=1x3x96x160 -o traced/\n"
    "  npuport --tool python=/usr/bin/python3 trace --help\n";

}  // namespace

CommandResult trace(const App& app, const TraceArgs& args) {
  const bool help = std::find(args.helper_args.begin(), args.helper_args.end(), "--help") != args.helper_args.end();
  if (help && tool_path(app, "python").empty()) return Outcome{0, Json{{"help", kHelp}}, kHelp};
  std::vector<std::string> helper_args{"trace"};
  if (app.json) helper_args.push_back("--json");
  helper_args.insert(helper_args.end(), args.helper_args.begin(), args.helper_args.end());
  NPU_ASSIGN(const ProcessResult r,
             run_helper(app, "python", helper_args, std::chrono::hours(6), /*forward_stderr=*/true));
  Outcome o;
  o.exit_code = r.signal != 0 ? 4 : r.exit_code;
  o.text = r.out;
  const Result<Json> json = parse_json(r.out, "helper output");
  o.json = json ? *json : Json{{"output", valid_utf8(r.out)}};
  return o;
}

}  // namespace npuport::app
