#include "app/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "app/latency.h"
#include "base/text.h"

namespace npuport::app {
namespace {

namespace fs = std::filesystem;

std::string text_of(const Json& j, const char* key) {
  return j.contains(key) && j[key].is_string() ? j[key].get<std::string>() : std::string();
}

Json number(double v) { return std::isfinite(v) ? Json(v) : Json(v > 0 ? "inf" : std::isnan(v) ? "nan" : "-inf"); }

Json proof_json(const Proof& p, const PortStep& step) {
  Json j{{"step", step.id},    {"part", p.part}, {"what", p.what},
         {"sample", p.sample}, {"gate", p.gate}, {"verdict", std::string(name(p.result.verdict))}};
  if (p.gate != "text") j["max_diff"] = number(p.result.max_diff), j["relative"] = number(p.result.relative);
  if (p.gate == "image") j["psnr"] = number(p.result.psnr), j["mse"] = number(p.result.mse);
  if (p.gate == "mask") j["iou"] = number(p.result.iou);
  if (!p.result.reason.empty()) j["reason"] = p.result.reason;
  return j;
}

// The worst proof of a step in one phrase.
std::string gate_value(const PortStep& s) {
  const Proof* worst = nullptr;
  for (const Proof& p : s.proofs)
    if (!worst || p.result.verdict > worst->result.verdict ||
        (p.result.verdict == worst->result.verdict && p.result.max_diff > worst->result.max_diff))
      worst = &p;
  if (!worst) return "";
  if (worst->gate == "text") return fmt::format("{} texts compared", s.proofs.size());
  std::string v = fmt::format("max diff {:.2e}", worst->result.max_diff);
  if (worst->gate == "image") v = fmt::format("PSNR {:.1f} dB, ", worst->result.psnr) + v;
  return v + fmt::format(" (worst of {})", s.proofs.size());
}

Json header_json(const PortRun& run) {
  Json h{{"model", run.project.name},
         {"target", run.target.name},
         {"target_title", run.target.title},
         {"tool", "npuport " + version()},
         {"parts", Json::array()}};
  for (const auto& [key, value] : run.target.identity) h["identity"][key] = value;
  for (const PartRun& p : run.parts) {
    h["parts"].push_back(Json{{"name", p.spec->name},
                              {"model", fs::path(p.spec->model).filename().string()},
                              {"sha256", p.model_hash},
                              {"operators_imported", p.operators_imported},
                              {"operators_written", p.operators_written},
                              {"weight_bytes", p.weight_bytes}});
    if (p.opset != 0) h["parts"].back()["opset"] = p.opset;
  }
  return h;
}

// A date only where it does not make the bytes differ from run to run by itself: it belongs to the measurements.
Json measurements_json(const PortRun& run) {
  Json m;
  const std::time_t now = std::time(nullptr);
  char date[32];
  std::strftime(date, sizeof date, "%Y-%m-%d %H:%M UTC", std::gmtime(&now));
  m["date"] = date;
  m["machine"] = machine_name();
  double total = 0;
  for (const PortStep& s : run.steps) {
    m["seconds"][s.id] = s.seconds;
    total += s.seconds;
  }
  m["seconds_total"] = total;
  m["peak_memory_bytes"] = peak_memory_bytes();
  return m;
}

Json step_json(const PortStep& s) {
  Json j{{"number", s.number},    {"id", s.id},        {"title", s.title}, {"verdict", std::string(name(s.verdict))},
         {"gate", gate_value(s)}, {"reused", s.reused}};
  if (!s.reason.empty()) j["reason"] = s.reason;
  if (!s.details.is_null()) j["details"] = s.details;
  return j;
}

Json files_json(const PortRun& run) {
  Json files = Json::array();
  uint64_t total = 0;
  for (const PortStep& s : run.steps)
    for (const std::string& f : s.files) {
      std::error_code ec;
      const auto bytes = fs::file_size(run.path(f), ec);
      if (ec) continue;
      files.push_back(Json{{"file", f}, {"bytes", bytes}, {"step", s.id}});
      total += bytes;
    }
  return Json{{"list", files}, {"total_bytes", total}};
}

Json changes_json(const PortRun& run) {
  Json out = Json::array();
  for (const PartRun& p : run.parts)
    for (const LedgerEntry& e : p.ledger.entries()) {
      Json places = Json::array();
      for (const Origin& o : e.origins) places.push_back(o.source + (o.scope.empty() ? "" : " in " + o.scope));
      Json j{{"part", p.spec->name}, {"pass", e.pass},
             {"rewrite", e.rewrite}, {"class", std::string(name(e.numerics))},
             {"reason", e.reason},   {"argument", e.argument},
             {"before", e.before},   {"after", e.after},
             {"places", places}};
      if (e.max_diff) j["max_diff"] = number(*e.max_diff);
      out.push_back(std::move(j));
    }
  return out;
}

// What the run followed or ran into: the plan's lessons, proofs, the compile step, problems.
Json lessons_json(const PortRun& run) {
  CitedLessons cited;
  for (const PartRun& p : run.parts)
    for (const Citation& l : p.analysis.lessons) cited.add(*l.lesson, "plan of " + p.spec->name, l.because);
  for (const PortStep& s : run.steps) {
    const std::string step = fmt::format("step {} {}", s.number, s.title);
    if (!s.proofs.empty()) cited.add(lesson("NPU-V01"), step, gate_value(s));
    if (s.id == "compile" && s.verdict != Verdict::pass) cited.add(lesson("NPU-T01"), step, s.reason);
    for (const Diag& d : s.problems)
      if (const Lesson* l = lesson_of(d)) cited.add(*l, step, d.message);
  }
  return cited.json();
}

}  // namespace

Verdict PortRun::verdict() const {
  Verdict v = Verdict::pass;
  for (const PortStep& s : steps) v = worst(v, s.verdict);
  return v;
}

Json report_json(const PortRun& run) {
  Json r{{"version", 1}, {"header", header_json(run)}, {"verdict", std::string(name(run.verdict()))}};
  r["open"] = Json::array();
  for (const PortStep& s : run.steps)
    if (s.verdict != Verdict::pass && s.id != "quantise")
      r["open"].push_back(std::string(name(s.verdict)) + " " + s.id + (s.reason.empty() ? "" : ": " + s.reason));
  r["steps"] = Json::array();
  r["comparisons"] = Json::array();
  r["problems"] = Json::array();
  for (const PortStep& s : run.steps) {
    r["steps"].push_back(step_json(s));
    for (const Proof& p : s.proofs) r["comparisons"].push_back(proof_json(p, s));
    for (const Diag& d : s.problems) {
      Json j = diag_json(d);
      j["step"] = s.id;
      r["problems"].push_back(std::move(j));
    }
  }
  r["lessons"] = lessons_json(run);
  r["task"] = run.task_results;
  r["files"] = files_json(run);
  r["changes"] = changes_json(run);
  r["debug"] = "test/outputs/debug";
  // Ready = written and proven; an unmet gate cannot show here.
  r["ready"] = Json::array();
  bool proven = true;
  for (const PortStep& s : run.steps) proven = proven && s.verdict != Verdict::fail && s.verdict != Verdict::unverified;
  if (proven)
    for (const PartRun& p : run.parts)
      if (!p.file_name.empty()) r["ready"].push_back(p.file_name);
  if (!std::getenv("SOURCE_DATE_EPOCH")) r["measurements"] = measurements_json(run);
  return r;
}

std::string output_readme(const Json& report) {
  const Json& h = report["header"];
  const Json& list = report["files"]["list"];
  const auto written = [&](std::string_view start) {
    return std::any_of(list.begin(), list.end(), [&](const Json& f) { return text_of(f, "file").starts_with(start); });
  };
  std::string out = fmt::format(
      "# {} for {}\n\nMade by {}. Verdict: {}. Details: `report.html`, `report.json`{}.\n\n| "
      "step | verdict | proof |\n|---|---|---|\n",
      markdown_cell(text_of(h, "model")), markdown_cell(text_of(h, "target_title")), text_of(h, "tool"),
      text_of(report, "verdict"), written("operator_analysis.md") ? ", `operator_analysis.md`" : "");
  for (const Json& s : report["steps"]) {
    const bool reason = text_of(s, "gate").empty() || text_of(s, "verdict") == "FAIL";
    const std::string proof = text_of(s, reason ? "reason" : "gate");
    out += fmt::format("| {} {} | {} | {} |\n", s["number"].get<int>(), markdown_cell(text_of(s, "title")),
                       text_of(s, "verdict"), markdown_cell(proof));
  }
  if (!written("models/")) return out + "\nNo model was written; `report.html` says what to do.\n";
  out += "\nFiles:\n\n";
  size_t shown = 0;
  for (const Json& f : list) {
    const std::string file = text_of(f, "file");
    if (!file.starts_with("models/") && !file.starts_with("scripts/")) continue;
    if (++shown > 24) break;
    out += fmt::format("- `{}` ({})\n", file, format_bytes(f["bytes"].get<uint64_t>()));
  }
  out += "\nRun a part: `npuport run . --part NAME --samples FILE.npz -o result.npz` in this folder.\n";
  return out;
}

}  // namespace npuport::app
