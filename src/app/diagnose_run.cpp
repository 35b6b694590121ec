#include "app/diagnose_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <mutex>

#include "app/diagnose_json.h"
#include "app/diagnose_proof.h"
#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "base/hash.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "drivers/diagnose/host_code.h"
#include "drivers/diagnose/lint.h"
#include "ir/cost.h"
#include "ir/npy.h"
#include "passes/pipeline.h"
#include "target/legality.h"
#include "writers/tflite_writer.h"

namespace npuport::app {
namespace {

namespace fs = std::filesystem;
using namespace diagnose;

constexpr size_t kMostBundles = 64;                           // culprits that get a folder
constexpr int64_t kReferenceMacs = 2'000'000'000;             // parts are chained by reference kernels up to here
constexpr uint64_t kLogHead = 1U << 20, kLogTail = 1U << 18;  // of each question's log

class Session {
 public:
  Session(const App& app, DiagnoseRequest& r) : app_(app), r_(r), mapper_(format_mapper(*r.target)) {
    kinds_ = [this](const Graph& g, NodeId id) { return kinds(g, id); };
  }

  Result<DiagnoseResult> run() {
    for (const char* f : {"", "/work", "/logs", "/cache", "/parts", "/culprits"}) NPU_TRY(make_folders(r_.folder + f));
    NPU_TRY(load_whitelist());
    NPU_ASSIGN(DiagnoseProof proof, DiagnoseProof::create(app_, r_));
    proof_ = std::make_unique<DiagnoseProof>(std::move(proof));
    begin_report();
    NPU_TRY(compile_original());
    NPU_TRY(rounds());
    NPU_TRY(finish());
    DiagnoseResult out;
    out.compiles = compiles_;
    out.cured = compiles_ && cured_;
    out.sentence = report_["sentence"].get<std::string>();
    out.report = report_;
    return out;
  }

 private:
  std::string path(const std::string& relative) const { return r_.folder + "/" + relative; }

  std::vector<std::string> kinds(const Graph& g, NodeId id) {
    const std::string key = node_signature(g, id);
    const std::lock_guard guard(lock_);
    if (const auto it = known_kinds_.find(key); it != known_kinds_.end()) return it->second;
    return known_kinds_[key] = mapper_(g, id).operators;
  }

  void say(const HuntStep& s) {
    keep(s);
    show(s);
  }
  void keep(const HuntStep& s) {
    report_["steps"].push_back(Json{{"question", s.question}, {"result", s.result}, {"decision", s.decision}});
  }
  void show(const HuntStep& s) const {
    app_.log(0, fmt::format("{}  {}", s.question, s.result));
    app_.log(1, "  -> " + s.decision);
  }

  std::string whitelist_file() const { return r_.whitelist.empty() ? path("whitelist.json") : r_.whitelist; }

  Status load_whitelist() {
    whitelist_.target = r_.target->name;
    whitelist_.tool = tool_label();
    if (!fs::exists(whitelist_file())) return {};
    NPU_ASSIGN(const std::string text, read_file(whitelist_file()));
    NPU_ASSIGN(const Json j, parse_json(text, whitelist_file()));
    NPU_ASSIGN(const Whitelist known, Whitelist::from_json(j, whitelist_file()));
    if (known.target == whitelist_.target && known.tool == whitelist_.tool) {
      whitelist_.merge(known);
    } else {
      app_.log(0, fmt::format("{} is of {} with {}: not used here", whitelist_file(), known.target, known.tool));
    }
    return {};
  }

  std::string tool_label() const {
    const std::string version = r_.tool.version.empty() ? r_.tool.digest.substr(0, 12) : r_.tool.version;
    return std::string(r_.driver->name) + (version.empty() ? "" : " " + version);
  }

  void begin_report() {
    report_ = Json{
        {"version", 1},
        {"model", r_.name},
        {"target", r_.target->name},
        {"tool", Json{{"driver", std::string(r_.driver->name)}, {"path", r_.tool.path}, {"version", r_.tool.version}}},
        {"npuport", version()},
        {"verdict", ""},
        {"sentence", ""},
        {"steps", Json::array()},
        {"lint", Json::array()},
        {"rounds", Json::array()}};
    for (const Lint& l : lint(r_.imported))
      report_["lint"].push_back(Json{{"rule", l.rule},
                                     {"what", l.what},
                                     {"cure", l.cure},
                                     {"count", l.count},
                                     {"places", origins_json(l.places)}});
    if (!report_["lint"].empty())
      say({"What is known to trouble compilers, before any of them runs?",
           fmt::format("{} kinds of construction", report_["lint"].size()), "listed with their lines and cures"});
  }

  // ---- compiling

  CompileRequest request(const std::string& label) const {
    CompileRequest q;
    q.model = path("work/" + label + model_suffix(*r_.target));
    q.output = path("work/" + label + ".out");
    q.log = path("logs/" + label + ".log");
    q.work_folder = path("work/" + label + ".d");
    q.extra = r_.compiler_arguments;
    q.timeout = r_.timeout;
    q.log_head = kLogHead;
    q.log_tail = kLogTail;
    return q;
  }

  Result<CompileOutcome> compile_graph(const Graph& g, const std::string& label, int attempt) {
    const CompileRequest q = request(label);
    if (const Status s = write_for_target(app_, *r_.target, g, q.model); !s) {
      if (s.error().code != &diag::not_representable) return s.error();
      CompileOutcome o;
      o.verdict = CompileVerdict::refused;
      o.reason = "the file format cannot express it: " + s.error().message;
      return o;
    }
    const std::string cache = path(attempt == 0 ? "cache" : fmt::format("cache/repeat{}", attempt));
    Result<CompileOutcome> o = compile(*r_.driver, r_.tool, *r_.target, q, cache);
    std::error_code ec;
    fs::remove(q.model, ec);
    fs::remove(q.output, ec);
    fs::remove_all(q.work_folder, ec);
    if (o && o->verdict == CompileVerdict::accepted) fs::remove(q.log, ec);
    return o;
  }

  GraphJudge judge(const std::string& prefix) {
    return [this, prefix](const Graph& g, const std::string& label, int attempt) {
      return compile_graph(g, prefix + label, attempt);
    };
  }

  // The user's own file, when the compiler reads its format: its first error is kept.
  Status compile_original() {
    if (r_.original.empty()) return {};
    CompileRequest q = request("original");
    q.model = r_.original;
    NPU_ASSIGN(const CompileOutcome o, compile(*r_.driver, r_.tool, *r_.target, q, path("cache")));
    const bool taken = o.verdict == CompileVerdict::accepted;
    Json findings = Json::array();
    for (const CompilerFinding& f : o.findings)
      findings.push_back(
          Json{{"operator", f.op}, {"node", f.node}, {"tensor", f.tensor}, {"reason", f.reason}, {"code", f.code}});
    report_["original"] = Json{{"verdict", taken ? "PASS" : "FAIL"},
                               {"reason", o.reason},
                               {"findings", findings},
                               {"log", "logs/original.log"}};
    say({"Does the compiler take the file as it was given?",
         taken ? "yes" : fmt::format("no ({}): {}", in_words(o.verdict), o.reason),
         "read it, write it again, and see"});
    std::error_code ec;
    fs::remove(q.output, ec);
    fs::remove_all(q.work_folder, ec);
    return {};
  }

  // ---- rounds

  Status rounds() {
    for (int round = 1; round <= r_.rounds; ++round) {
      const Graph snapshot = r_.graph;
      const Order order(snapshot);
      OracleOptions options;
      options.jobs = app_.jobs;
      options.repeats = r_.repeats;
      if (r_.max_compiles > 0) {
        if (spent_ >= r_.max_compiles) break;
        options.max_compiles = r_.max_compiles - spent_;
      }
      Oracle oracle(order, judge(fmt::format("r{}_", round)), options);
      HuntOptions how;
      how.cuts = r_.cuts;
      how.kinds = [&](NodeId id) { return kinds_(snapshot, id); };
      how.suspects = suspects(snapshot);
      how.log = [this](const HuntStep& s) { show(s); };
      NPU_ASSIGN(const Hunt h, hunt(oracle, how));
      for (const HuntStep& s : h.steps) keep(s);
      spent_ += h.counts.compiles;
      NPU_TRY(learn(oracle, h, kinds_, whitelist_, refusals_));
      Json j = hunt_json(order, h);
      if (round == 1) NPU_TRY(write_parts(order, h));
      NPU_TRY(write_culprits(order, h, round, j));
      if (!h.passes && (h.culprits.empty() || !r_.cure)) {
        last_ = h.refuses_everything ? h.open : h.open.empty() && !h.sizes.empty() ? size_sentence(h) : h.open;
        if (last_.empty() && !r_.cure)
          last_ = fmt::format("{} culprits found, and no cure was asked for", h.culprits.size());
        report_["rounds"].push_back(std::move(j));
        return {};
      }
      if (h.passes) {
        compiles_ = true;
        report_["rounds"].push_back(std::move(j));
        return {};
      }
      NPU_ASSIGN(const std::vector<CureRecord> cures, cure_round(order, h, round));
      j["cures"] = Json::array();
      size_t done = 0;
      uncured_.clear();
      for (const CureRecord& c : cures) {
        j["cures"].push_back(cure_json(c));
        done += !c.chosen.empty();
        if (c.chosen.empty()) uncured_.push_back(fmt::format("{} ({})", c.culprit, join(c.kinds, "+")));
      }
      report_["rounds"].push_back(std::move(j));
      cured_ = cured_ || done > 0;
      if (done == 0) {
        last_ = "no alternative is left for " + join(uncured_, ", ");
        return {};
      }
    }
    last_ = r_.max_compiles > 0 && spent_ >= r_.max_compiles
                ? fmt::format("the budget of {} compiles is used up", r_.max_compiles)
                : fmt::format("still refused after {} rounds", r_.rounds);
    return {};
  }

  static std::string size_sentence(const Hunt& h) {
    const SizeLimit& s = h.sizes[0];
    return fmt::format(
        "the compiler refuses {} nodes in a row whatever they are, and takes {}: run the model as {} models",
        s.refused_nodes, s.passing_nodes, s.pieces.size());
  }

  // Rules of the target, and what earlier rounds or runs saw refused.
  std::vector<std::pair<NodeId, std::string>> suspects(const Graph& g) {
    std::vector<std::pair<NodeId, std::string>> out;
    const TargetLegality rules(*r_.target);
    for (const NodeId id : g.topological()) {
      if (refusals_.refuses(g, id, kinds_)) {
        out.emplace_back(id, "refused in an earlier round");
      } else if (!whitelist_.covers(g, id, kinds_)) {
        if (const auto findings = rules.check(g, id); !findings.empty()) out.emplace_back(id, findings.front().message);
      }
    }
    return out;
  }

  Result<std::vector<CureRecord>> cure_round(const Order& order, const Hunt& h, int round) {
    const TargetLegality rules(*r_.target);
    NPU_ASSIGN(const Target host_format, load_target("generic-tflite"));
    const TargetLegality host_rules(host_format);
    CureOptions o;
    o.host_rules = &host_rules;
    o.passes = r_.passes;
    o.rules = &rules;
    o.kinds = kinds_;
    o.judge = judge(fmt::format("r{}_", round));
    // A change that cannot be run is not proven, and that is all.
    o.prove = [this](const Graph& g, const IoContract& io, Numerics n) -> Result<Evidence> {
      Result<Evidence> e = proof_->prove(g, io, n);
      return e ? std::move(e) : Evidence{false, std::nullopt, "it cannot be run: " + e.error().message};
    };
    o.magnitude = [this](const Graph& g, ValueId v) { return magnitude(g, v); };
    o.log = [this](const HuntStep& s) { say(s); };
    return cure(r_.graph, r_.io, r_.ledger, order, h, whitelist_, refusals_, o, spent_);
  }

  std::optional<double> magnitude(const Graph& g, ValueId v) const {
    const std::string& name = g.value(v).name;
    const auto values = proof_->values(g, r_.io, {name}, false);
    if (!values || !values->contains(name)) return std::nullopt;
    const Tensor& t = values->at(name);
    double m = 0;
    for (int64_t i = 0; i < t.count(); ++i) m = std::max(m, std::abs(get_double(t, i)));
    return m;
  }

  Json hunt_json(const Order& order, const Hunt& h) {
    Json j{{"nodes", order.size()},
           {"verdict", h.passes ? "PASS" : "FAIL"},
           {"first_error", h.whole.reason},
           {"complete", h.complete},
           {"open", h.open},
           {"flaky", h.flaky},
           {"parts", Json::array()},
           {"kinds_only_in_failing", json_strings(h.kinds_only_in_failing)},
           {"culprits", Json::array()},
           {"counts", Json{{"compiles", h.counts.compiles},
                           {"from_cache", h.counts.from_cache},
                           {"inferred", h.counts.inferred},
                           {"flaky", h.counts.flaky},
                           {"refused_only_when_cut_out", h.counts.only_cut_out},
                           {"prefix_bisection_would_take", h.others.prefix_bisection},
                           {"ddmin_would_take", h.others.ddmin}}}};
    for (const PartRow& p : h.parts) j["parts"].push_back(row_json(p));
    for (const Culprit& c : h.culprits) {
      Json names = Json::array();
      std::vector<Origin> origins;
      for (const uint32_t p : c.nodes) {
        names.push_back(order.name(p));
        const auto& o = order.at(p).origins;
        origins.insert(origins.end(), o.begin(), o.end());
      }
      j["culprits"].push_back(Json{{"nodes", names},
                                   {"operators", json_strings(c.kinds)},
                                   {"places", origins_json(origins)},
                                   {"verdict", std::string(name(c.verdict))},
                                   {"reason", c.reason},
                                   {"how", c.how},
                                   {"minimal", c.minimal},
                                   {"confirmed", c.confirmed},
                                   {"confirmation", c.confirmation}});
    }
    for (const SizeLimit& s : h.sizes) {
      Json pieces = Json::array();
      for (const PartRow& p : s.pieces) pieces.push_back(row_json(p));
      j["size"] = Json{{"refused_nodes", s.refused_nodes},
                       {"passing_nodes", s.passing_nodes},
                       {"refused_macs", s.refused_macs},
                       {"refused_weight_bytes", s.refused_weights},
                       {"pieces", pieces}};
    }
    return j;
  }

  // ---- files

  // Each part as a model with its inputs, and the proof that the chained parts are the whole.
  Status write_parts(const Order& order, const Hunt& h) {
    if (h.parts.empty()) return {};
    std::vector<Set> sets;
    for (const PartRow& p : h.parts) sets.push_back(p.nodes);
    NPU_ASSIGN(const std::string same,
               chain(order, sets, [&](size_t k, const Graph& part, std::span<const Tensor> in) -> Status {
                 const std::string file = fmt::format("parts/part{}{}", k + 1, model_suffix(*r_.target));
                 if (const Status s = write_for_target(app_, *r_.target, part, path(file)); !s) {
                   app_.log(1, file + ": " + s.error().message);
                   return {};
                 }
                 return write_inputs(part, in, path(fmt::format("parts/part{}_inputs.npz", k + 1)));
               }));
    report_["parts_chained"] = same;
    say({"Are the chained parts the whole model?", same, "their verdicts speak of the model"});
    return {};
  }

  static Status write_inputs(const Graph& g, std::span<const Tensor> in, const std::string& file) {
    NamedTensors arrays;
    for (size_t k = 0; k < in.size() && k < g.inputs().size(); ++k)
      arrays.emplace_back(g.value(g.inputs()[k]).name, in[k]);
    return arrays.empty() ? Status() : write_npz(file, arrays);
  }

  // Runs pieces one after the other on the first sample, each fed by the ones before; says how the result compares.
  Result<std::string> chain(const Order& order, const std::vector<Set>& sets,
                            const std::function<Status(size_t, const Graph&, std::span<const Tensor>)>& each) {
    const Graph& g = order.graph();
    NPU_ASSIGN(const std::vector<Tensor> in, proof_->file_inputs(r_.io));
    ExecOptions options;
    options.threads = app_.threads;
    options.overrides = total_macs(g) > kReferenceMacs;
    std::map<std::string, Tensor> values;
    for (size_t k = 0; k < in.size() && k < g.inputs().size(); ++k) values[g.value(g.inputs()[k]).name] = in[k];
    NPU_ASSIGN(const std::vector<Tensor> whole, execute(g, in, options));
    for (size_t k = 0; k < sets.size(); ++k) {
      NPU_ASSIGN(const Graph part, subgraph(order, sets[k]));
      std::vector<Tensor> part_in;
      for (const ValueId v : part.inputs()) part_in.push_back(values.at(part.value(v).name));
      NPU_TRY(each(k, part, part_in));
      NPU_ASSIGN(const std::vector<Tensor> out, execute(part, part_in, options));
      for (size_t i = 0; i < out.size(); ++i) values[part.value(part.outputs()[i]).name] = out[i];
    }
    double worst = 0;
    bool same = true;
    for (size_t k = 0; k < whole.size(); ++k) {
      const auto it = values.find(g.value(g.outputs()[k]).name);
      if (it == values.end()) continue;  // an output that is a constant
      same = same && identical(whole[k], it->second);
      for (int64_t i = 0; i < whole[k].count() && !same; ++i)
        worst = std::max(worst, std::abs(get_double(whole[k], i) - get_double(it->second, i)));
    }
    return same ? fmt::format("yes, bit for bit ({} parts)", sets.size())
                : fmt::format("up to {:.2g} ({} parts)", worst, sets.size());
  }

  // A folder per culprit that someone else can run: the smallest model, inputs, command, log, versions.
  Status write_culprits(const Order& order, const Hunt& h, int round, Json& j) {
    std::set<std::string> names;
    for (size_t i = 0; i < h.culprits.size() && i < kMostBundles; ++i)
      for (const uint32_t p : h.culprits[i].nodes)
        for (const ValueId v : order.at(p).inputs)
          if (v.valid()) names.insert(order.graph().value(v).name);
    if (names.empty()) return {};
    NPU_ASSIGN(const auto values, proof_->values(order.graph(), r_.io, names, false));
    for (size_t i = 0; i < h.culprits.size() && i < kMostBundles; ++i) {
      const Culprit& c = h.culprits[i];
      const std::string folder =
          fmt::format("culprits/{}_{:02}_{}", round, i + 1, safe_file_name(order.name(c.nodes[0])));
      NPU_TRY(make_folders(path(folder)));
      NPU_ASSIGN(const Graph model, subgraph(order, c.nodes));
      const std::string file = "model" + model_suffix(*r_.target);
      if (Status s = write_for_target(app_, *r_.target, model, path(folder + "/" + file)); !s) {
        if (s.error().code != &diag::not_representable) return s;
        NPU_TRY(write_file(path(folder + "/model.txt"), print(model, {true, true})));
      }
      NamedTensors in;
      for (const ValueId v : model.inputs())
        if (const auto it = values.find(model.value(v).name); it != values.end())
          in.emplace_back(it->first, it->second);
      if (!in.empty()) NPU_TRY(write_npz(path(folder + "/inputs.npz"), in));
      NPU_TRY(write_case(folder, file, c));
      j["culprits"][i]["folder"] = folder;
    }
    return {};
  }

  Status write_case(const std::string& folder, const std::string& file, const Culprit& c) {
    CompileRequest q = request("x");
    q.model = file;
    q.output = "model.out";
    q.work_folder = ".";
    q.log = "log.txt";
    std::string text = "# run in this folder\n";
    if (const auto commands = r_.driver->commands(r_.tool, *r_.target, q))
      for (const auto& argv : *commands) text += shell_quote(argv) + "\n";
    NPU_TRY(write_file(path(folder + "/command.sh"), text));
    std::string log = c.reason + "\n";
    const std::string kept = log_of(c);
    if (!kept.empty())
      if (const auto whole = read_file(kept)) log = *whole;
    NPU_TRY(write_file(path(folder + "/log.txt"), log));
    const Json about{{"operators", json_strings(c.kinds)},
                     {"verdict", std::string(name(c.verdict))},
                     {"reason", c.reason},
                     {"how_found", c.how},
                     {"minimal", c.minimal},
                     {"confirmation", c.confirmation},
                     {"target", r_.target->name},
                     {"tool", tool_label()},
                     {"tool_sha256", r_.tool.digest},
                     {"npuport", version()}};
    return write_file(path(folder + "/about.json"), dump_json(about));
  }
  static std::string log_of(const Culprit& c) {
    std::error_code ec;
    return !c.log.empty() && fs::exists(c.log, ec) ? c.log : std::string();
  }

  Status finish() {
    Status s = save_whitelist();
    if (!s) return s;
    if (compiles_) NPU_TRY(merged());
    report_["verdict"] = compiles_ ? "PASS" : "FAIL";
    report_["sentence"] =
        compiles_ ? (cured_ ? fmt::format("cured: the compiler takes the model with {} changes, {} compiles",
                                          cure_entries(), spent_)
                            : "the compiler takes the model as npuport writes it")
                  : "not cured: " + (last_.empty() ? "no way was found" : last_);
    report_["compiles"] = spent_;
    report_["whitelist"] = Json{{"file", fs::path(whitelist_file()).filename().string()},
                                {"kinds", json_strings(whitelist_.kinds())},
                                {"entries", whitelist_.size()}};
    Json refused = Json::array();
    for (const std::string& k : refusals_.kinds) refused.push_back(k);
    report_["refused_kinds"] = refused;
    std::error_code ec;
    fs::remove_all(path("work"), ec);
    NPU_TRY(write_file(path("report.json"), dump_json(report_)));
    return write_file(path("report.html"), diagnose_html(report_));
  }

  size_t cure_entries() const {
    return static_cast<size_t>(std::count_if(r_.ledger.entries().begin(), r_.ledger.entries().end(),
                                             [](const LedgerEntry& e) { return e.pass == "diagnose"; }));
  }

  Status save_whitelist() { return write_file(whitelist_file(), dump_json(whitelist_.to_json())); }

  // The one model with every fix: host parts beside it, proven against the imported model, its ledger.
  Status merged() {
    const std::string stem = safe_file_name(fs::path(r_.name).stem().string());
    Json j;
    Json hosts = Json::array();
    for (HostStep& step : r_.io.host_steps) {
      NPU_ASSIGN(Json entry, write_host_step(step, stem));
      hosts.push_back(std::move(entry));
    }
    set_io_contract(r_.graph, r_.io);
    const std::string file = stem + "_npu" + model_suffix(*r_.target);
    NPU_TRY(write_for_target(app_, *r_.target, r_.graph, path(file)));
    NPU_ASSIGN(const std::vector<OutputCheck> checks, proof_->check(r_.graph, r_.io));
    j["file"] = file;
    j["nodes"] = r_.graph.node_count();
    j["samples"] = proof_->made_up() ? "made up" : fmt::format("{}", proof_->samples());
    j["checks"] = Json::array();
    double worst = 0, iou = 1;
    for (const OutputCheck& c : checks) {
      Json k{{"sample", c.sample}, {"output", c.output}, {"max_diff", c.max_diff}, {"relative", c.relative}};
      if (c.iou) k["iou"] = *c.iou, iou = std::min(iou, *c.iou);
      if (c.baseline_diff) k["baseline_max_diff"] = *c.baseline_diff;
      worst = std::max(worst, c.max_diff);
      j["checks"].push_back(std::move(k));
    }
    j["host_steps"] = hosts;
    std::map<std::string, int> count;
    for (const NodeId id : r_.graph.topological())
      for (const std::string& k : kinds_(r_.graph, id)) ++count[k];
    j["operators"] = Json::object();
    for (const auto& [k, n] : count) j["operators"][k] = n;
    const Order order(r_.graph);
    const std::vector<Set> parts = order.partition(std::clamp<size_t>(order.size() / 50, 2, 8), r_.cuts);
    NPU_ASSIGN(j["chained"],
               chain(order, parts, [](size_t, const Graph&, std::span<const Tensor>) { return Status(); }));
    NPU_TRY(write_file(path(stem + "_npu_ledger.json"), dump_json(ledger_json(r_.ledger))));
    j["ledger"] = ledger_json(r_.ledger);
    say({"Is the cured model still the same?",
         fmt::format("largest difference {:.3g}{}", worst,
                     iou < 1 || has_iou(checks) ? fmt::format(", mask IoU {:.6g}", iou) : ""),
         file + " is the merged model"});
    report_["merged"] = std::move(j);
    return {};
  }
  static bool has_iou(const std::vector<OutputCheck>& checks) {
    return std::any_of(checks.begin(), checks.end(), [](const OutputCheck& c) { return c.iou.has_value(); });
  }

  Result<Json> write_host_step(HostStep& step, const std::string& stem) {
    Json j{{"kind", step.kind},
           {"when", step.suffix ? "after" : "before"},
           {"inputs", json_strings(step.inputs)},
           {"outputs", json_strings(step.outputs)}};
    step.file = safe_file_name(stem + "_" + (step.suffix ? "after_" : "before_") + step.outputs.front()) +
                (step.table ? ".npy" : ".tflite");
    if (step.table) {
      NPU_TRY(write_npy(path(step.file), *step.table));
    } else {
      NPU_TRY(write_tflite(*step.graph, path(step.file)));
      const std::string base = fs::path(step.file).stem().string();
      if (const Result<HostCode> code = host_code(*step.graph, "compute_" + base)) {
        NPU_TRY(write_file(path(base + ".py"), code->python));
        NPU_TRY(write_file(path(base + ".cpp"), code->cpp));
        j["code"] = Json::array({base + ".py", base + ".cpp"});
      } else {
        j["no_code"] = code.error().message;
      }
      NPU_ASSIGN(const double seconds, host_seconds(*step.graph));
      j["microseconds"] = seconds * 1e6;
    }
    NPU_ASSIGN(step.sha256, sha256_file(path(step.file)));
    j["file"] = step.file;
    return j;
  }

  const App& app_;
  DiagnoseRequest& r_;
  FormatMapper mapper_;
  Kinds kinds_;
  std::mutex lock_;
  std::map<std::string, std::vector<std::string>> known_kinds_;
  std::unique_ptr<DiagnoseProof> proof_;
  Whitelist whitelist_;
  Refusals refusals_;
  Json report_;
  size_t spent_ = 0;
  bool compiles_ = false, cured_ = false;
  std::string last_;
  std::vector<std::string> uncured_;
};

}  // namespace

Result<DiagnoseResult> run_diagnosis(const App& app, DiagnoseRequest request) { return Session(app, request).run(); }

}  // namespace npuport::app
