#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/helper.h"
#include "base/text.h"

namespace npuport::app {

CommandResult trace(const App& app, const TraceArgs& args) {
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
