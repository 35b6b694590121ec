#include "drivers/driver.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "base/hash.h"
#include "drivers/tool_run.h"

namespace npuport {
namespace {

namespace fs = std::filesystem;

constexpr std::pair<CompileVerdict, std::string_view> kVerdicts[] = {
    {CompileVerdict::accepted, "accepted"},   {CompileVerdict::refused, "refused"},
    {CompileVerdict::crashed, "crashed"},     {CompileVerdict::timed_out, "timed-out"},
    {CompileVerdict::no_output, "no-output"}, {CompileVerdict::misplaced, "misplaced"},
    {CompileVerdict::skipped, "skipped"}};
constexpr std::pair<Cure, std::string_view> kCures[] = {{Cure::none, "none"},
                                                        {Cure::rewrite, "rewrite"},
                                                        {Cure::file, "file"},
                                                        {Cure::environment, "environment"},
                                                        {Cure::options, "options"}};

std::string absolute(const std::string& path) {
  std::error_code ec;
  const fs::path p = fs::absolute(path, ec);
  return ec ? path : p.lexically_normal().string();
}

// A verdict that says something about model and tool, not about the moment: a missing licence or a full disk is gone
// when someone has seen to it.
bool lasting(const CompileOutcome& o) {
  return o.cure != Cure::environment &&
         (o.verdict == CompileVerdict::accepted || o.verdict == CompileVerdict::refused ||
          o.verdict == CompileVerdict::misplaced);
}

void add(Sha256& hash, std::string_view text) { hash.update(fmt::format("{}:{}", text.size(), text)); }

// Inputs, arguments, tool: never the artefact's bytes, which differ from run to run with some compilers.
Result<std::string> cache_key(const Driver& d, const ToolFacts& tool, const Target& target, const CompileRequest& r,
                              const std::string& model_hash) {
  Sha256 hash;
  add(hash, "npuport compile 2");  // a new number when verdicts are made in another way
  add(hash, d.name);
  add(hash, tool.path);
  add(hash, tool.version);
  add(hash, tool.digest);
  add(hash, model_hash);
  CompileRequest neutral = r;  // where the files lie does not matter
  neutral.look_into = r.readable_model();
  neutral.model = "MODEL";
  neutral.output = "OUTPUT" + driver_suffix(d, target);
  neutral.work_folder = "WORK";
  neutral.log = "LOG";
  NPU_ASSIGN(const auto commands, d.commands(tool, target, neutral));
  for (const auto& argv : commands)
    for (const std::string& word : argv) add(hash, word);
  for (const auto& [key, value] : d.added_environment(tool)) add(hash, key + "=" + value);
  if (d.files) {
    NPU_ASSIGN(const auto files, d.files(target, neutral));
    for (const auto& [file, text] : files) add(hash, file + "=" + text);
  }
  for (const auto& [key, value] : r.options) add(hash, key + "=" + value);
  for (const LogPattern& p : target.compiler.log) add(hash, p.kind + p.pattern);
  return hash.hex();
}

Status copy_file(const std::string& from, const std::string& to) {
  std::error_code ec;
  const std::string aside = fmt::format("{}.{}.tmp", to, ::getpid());
  fs::copy_file(from, aside, fs::copy_options::overwrite_existing, ec);
  if (!ec) fs::rename(aside, to, ec);
  if (!ec) return {};
  std::error_code ignored;
  fs::remove(aside, ignored);
  return Diag(diag::not_writable, "cannot copy " + from + " here: " + ec.message(),
              "free some space or choose another folder")
      .in_file(to);
}

// The outcome kept under `entry`, its files copied to where the request wants them.
std::optional<CompileOutcome> from_cache(const std::string& entry, const CompileRequest& r) {
  const Result<std::string> text = read_file(entry + "/outcome.json", uint64_t{64} << 20);
  if (!text) return std::nullopt;
  const Result<Json> json = parse_json(*text);
  if (!json) return std::nullopt;
  Result<CompileOutcome> o = outcome_from_json(*json);
  if (!o) return std::nullopt;
  if (!copy_file(entry + "/log.txt", r.log)) return std::nullopt;
  if (!o->artefact.empty()) {
    const Result<std::string> digest = sha256_file(entry + "/artefact");
    if (!digest || !json->contains("artefact_sha256") || (*json)["artefact_sha256"] != *digest) return std::nullopt;
    if (!copy_file(entry + "/artefact", r.output)) return std::nullopt;
    o->artefact = r.output;
  }
  o->log = r.log;
  o->cached = true;
  return std::move(*o);
}

// A cache that cannot be written costs time, nothing else.
void to_cache(const std::string& cache, const std::string& key, const CompileOutcome& o) {
  static std::atomic<unsigned> counter = 0;
  const std::string aside = fmt::format("{}/.{}.{}.{}.tmp", cache, key.substr(0, 16), ::getpid(), counter++);
  std::error_code ec;
  if (!make_folders(aside)) return;
  Json j = to_json(o);
  bool ok = copy_file(o.log, aside + "/log.txt").ok();
  if (ok && !o.artefact.empty()) {
    ok = copy_file(o.artefact, aside + "/artefact").ok();
    const Result<std::string> digest = sha256_file(aside + "/artefact");
    ok = ok && digest;
    if (ok) j["artefact_sha256"] = *digest;
  }
  ok = ok && write_file(aside + "/outcome.json", dump_json(j)).ok();
  if (ok) fs::rename(aside, cache + "/" + key, ec);  // fails when another run was first: the same result
  fs::remove_all(aside, ec);
}

}  // namespace

std::string_view name(CompileVerdict v) {
  for (const auto& [value, text] : kVerdicts)
    if (value == v) return text;
  return "";
}

std::string_view name(Cure c) {
  for (const auto& [value, text] : kCures)
    if (value == c) return text;
  return "";
}

std::span<const Driver> drivers() {
  static const std::array list = {ncc_tflite_driver, mtk_converter_driver, atc_driver,    amct_onnx_driver,
                                  vela_driver,       rknn_driver,          generic_driver};
  return list;
}

const Driver* find_driver(std::string_view name) {
  for (const Driver& d : drivers())
    if (d.name == name) return &d;
  return nullptr;
}

Result<const Driver*> driver_for(const Target& target, std::string_view format) {
  if (target.compiler.driver.empty())
    return Diag(diag::usage, "target " + target.name + " has no compiler",
                "name a target that has one: `npuport targets`");
  const Driver* own = find_driver(target.compiler.driver);
  if (!own)
    return Diag(diag::usage, "target " + target.name + " names the driver '" + target.compiler.driver +
                                 "', which npuport does not have")
        .in_file(target.file);
  if (own->input.empty() || own->input == format) return own;
  if (own->name == "ncc-tflite")
    if (const Driver* converter = find_driver("mtk_converter"); converter && converter->input == format)
      return converter;
  return Diag(diag::usage, fmt::format("{} compiles {} files, not {}", own->name, own->input, format),
              "convert it first: `npuport convert MODEL -o model." + std::string(own->input) + " --target " +
                  target.name + "`");
}

std::string driver_tool(const Driver& d, const Target& target) {
  if (!d.tool.empty()) return std::string(d.tool);
  const Result<std::vector<std::string>> words = split_words(target.compiler.command);
  return words && !words->empty() ? words->front() : std::string();
}

std::string driver_suffix(const Driver& d, const Target& target) {
  if (!d.suffix.empty()) return std::string(d.suffix);
  return target.compiler.suffix.empty() ? ".bin" : target.compiler.suffix;
}

Result<CompileOutcome> compile(const Driver& d, const ToolFacts& tool, const Target& target, CompileRequest r,
                               const std::string& cache) {
  for (std::string* path : {&r.model, &r.output, &r.log, &r.work_folder}) *path = absolute(*path);
  NPU_ASSIGN(const std::string model_hash, sha256_file(r.model));
  NPU_TRY(make_folders(r.work_folder));
  for (const std::string* path : {&r.output, &r.log}) NPU_TRY(make_folders(fs::path(*path).parent_path().string()));
  std::error_code ec;
  fs::remove(r.output, ec);  // what an earlier run left must not pass for this one's
  std::string key;
  if (!cache.empty()) {
    NPU_ASSIGN(key, cache_key(d, tool, target, r, model_hash));
    if (std::optional<CompileOutcome> known = from_cache(cache + "/" + key, r)) {
      // The commands of this request; those of the run that was kept name other folders.
      NPU_ASSIGN(auto commands, d.commands(tool, target, r));
      commands.resize(std::min(commands.size(), known->commands.size()));
      known->commands = std::move(commands);
      return std::move(*known);
    }
  }
  if (d.files) {
    NPU_ASSIGN(const auto files, d.files(target, r));
    for (const auto& [file, text] : files) NPU_TRY(write_file(r.work_folder + "/" + file, text));
  }
  NPU_ASSIGN(CompileOutcome o, d.run(tool, target, r));
  o.env = d.added_environment(tool);
  o.log = r.log;
  const bool kept = o.verdict == CompileVerdict::accepted || o.verdict == CompileVerdict::misplaced;
  // A compiler that failed may leave half a file, and nobody must take it for a model.
  if (!kept) fs::remove(r.output, ec);
  o.artefact = kept && fs::exists(r.output, ec) ? r.output : "";
  if (!cache.empty() && lasting(o)) to_cache(cache, key, o);
  return o;
}

Json to_json(const CompileOutcome& o) {
  Json j{{"verdict", std::string(name(o.verdict))},
         {"reason", o.reason},
         {"cure", std::string(name(o.cure))},
         {"commands", o.commands},
         {"environment", o.env},
         {"artefact", o.artefact},
         {"log", o.log},
         {"findings", Json::array()},
         {"metrics", o.metrics},
         {"placement", o.placement},
         {"seconds", o.seconds},
         {"cached", o.cached}};
  for (const CompilerFinding& f : o.findings)
    j["findings"].push_back(
        Json{{"operator", f.op}, {"node", f.node}, {"tensor", f.tensor}, {"reason", f.reason}, {"code", f.code}});
  return j;
}

Result<CompileOutcome> outcome_from_json(const Json& j) {
  CompileOutcome o;
  try {
    const std::string verdict = j.at("verdict").get<std::string>(), cure = j.at("cure").get<std::string>();
    for (const auto& [value, text] : kVerdicts)
      if (text == verdict) o.verdict = value;
    for (const auto& [value, text] : kCures)
      if (text == cure) o.cure = value;
    o.reason = j.at("reason").get<std::string>();
    o.commands = j.at("commands").get<std::vector<std::vector<std::string>>>();
    o.env = j.at("environment").get<std::map<std::string, std::string>>();
    o.artefact = j.at("artefact").get<std::string>();
    o.log = j.at("log").get<std::string>();
    for (const Json& f : j.at("findings"))
      o.findings.push_back({f.at("operator").get<std::string>(), f.at("node").get<std::string>(),
                            f.at("tensor").get<std::string>(), f.at("reason").get<std::string>(),
                            f.at("code").get<std::string>()});
    o.metrics = j.at("metrics").get<std::map<std::string, std::string>>();
    o.placement = j.at("placement");
    o.seconds = j.at("seconds").get<double>();
    o.cached = j.at("cached").get<bool>();
  } catch (const nlohmann::json::exception& e) {
    return Diag(diag::corrupt, std::string("the recorded compile is damaged: ") + e.what());
  }
  return o;
}

Judge make_judge(const Driver& d, ToolFacts tool, Target target, CompileRequest base, std::string cache) {
  return [&d, tool = std::move(tool), target = std::move(target), base = std::move(base), cache = std::move(cache)](
             const std::string& model, const std::string& folder) -> Result<CompileOutcome> {
    CompileRequest r = base;
    r.model = model;
    r.output = folder + "/compiled" + driver_suffix(d, target);
    r.log = folder + "/compiler.log";
    r.work_folder = folder + "/work";
    return compile(d, tool, target, std::move(r), cache);
  };
}

}  // namespace npuport
