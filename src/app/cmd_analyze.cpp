#include <fmt/format.h>

#include "app/commands.h"
#include "app/prepare_part.h"
#include "app/rewrites_file.h"
#include "base/atomic_file.h"
#include "target/legality.h"

namespace npuport::app {

CommandResult analyze(const App& app, const AnalyzeArgs& args) {
  NPU_ASSIGN(const Target target, load_target(args.target));
  NPU_ASSIGN(const Runnable model, Runnable::open(app, args.model, args.options, /*allow_opaque=*/true));
  const ImportedModel& imported = model.model();
  Ledger ledger;
  Analysis analysis;
  if (!imported.opaque.empty()) {
    analysis = opaque_analysis("model", imported, target);
  } else {
    Graph g = imported.graph;
    IoContract contract = model.contract();
    PrepareRequest request{target, {}, {}};
    request.options.io_layout = target.nhwc_io ? IoLayout::channels_last : IoLayout::keep;
    request.options.preferred = target.prefer;
    NPU_ASSIGN(request.options.rewrites, read_rewrites(args.rewrites));
    request.measure = request.options.rewrites != nullptr;
    NPU_ASSIGN(const Fit fit, fit_graph(app, g, contract, ledger, request));
    const Target fitting = at_opset(target, fit.opset);
    analysis = analyse("model", imported.graph, fitting, format_mapper(fitting), ledger, g, fit.left);
  }
  Outcome o;
  o.exit_code = analysis.feasible() ? 0 : 1;
  o.json = analysis_json({analysis}, target);
  o.text = analysis_markdown({analysis}, target, {&ledger});
  if (!args.output.empty()) {
    NPU_TRY(make_folders(args.output));
    NPU_TRY(write_file(args.output + "/operator_analysis.md", o.text));
    NPU_TRY(write_file(args.output + "/operator_analysis.json", dump_json(o.json)));
    o.text = fmt::format("{}/operator_analysis.md\n", args.output);
  }
  return o;
}

}  // namespace npuport::app
