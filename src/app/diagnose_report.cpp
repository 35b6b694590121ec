// The page and the terminal text of a diagnosis, from its JSON alone.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "app/diagnose_run.h"
#include "base/diag.h"
#include "base/text.h"

namespace npuport::app {
namespace {

constexpr const char* kStyle = R"css(
:root{--bg:#fff;--fg:#1b1f24;--dim:#57606a;--line:#d8dee4;--card:#f6f8fa;--pass:#1a7f37;--fail:#cf222e}
@media (prefers-color-scheme:dark){:root{--bg:#0d1117;--fg:#e6edf3;--dim:#9198a1;--line:#30363d;--card:#161b22;--pass:#3fb950;--fail:#f85149}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif}
main{max-width:1000px;margin:0 auto;padding:16px}h1{font-size:1.5rem;margin:.2em 0}h2{font-size:1.15rem;margin:1.6em 0 .5em;border-bottom:1px solid var(--line);padding-bottom:.2em}h3{font-size:1rem;margin:1.2em 0 .3em}
p{margin:.4em 0}.dim{color:var(--dim)}.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;vertical-align:top;padding:.35em .6em;border-bottom:1px solid var(--line);overflow-wrap:break-word}th{color:var(--dim);font-weight:600}
.PASS{color:var(--pass);font-weight:700}.FAIL{color:var(--fail);font-weight:700}.chosen{font-weight:700;color:var(--pass)}
pre{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.6em;overflow-x:auto;font-size:.8rem;margin:.3em 0}
details{border:1px solid var(--line);border-radius:6px;padding:.4em .8em;margin:.4em 0;background:var(--card)}summary{cursor:pointer;overflow-wrap:anywhere}
)css";

std::string plain(const Json& j, const char* key) {
  if (!j.is_object() || !j.contains(key)) return "";
  const Json& v = j[key];
  if (v.is_string()) return v.get<std::string>();
  if (v.is_boolean()) return v.get<bool>() ? "yes" : "no";
  if (v.is_number_integer()) return std::to_string(v.get<int64_t>());
  if (v.is_number()) return fmt::format("{:.3g}", v.get<double>());
  return "";
}
std::string text(const Json& j, const char* key) { return html_escape(plain(j, key)); }

std::string list(const Json& j, const char* key, const char* between = ", ") {
  std::string out;
  if (!j.contains(key) || !j[key].is_array()) return out;
  for (const Json& v : j[key])
    if (v.is_string()) out += (out.empty() ? "" : between) + v.get<std::string>();
  return out;
}
std::string html_list(const Json& j, const char* key) { return html_escape(list(j, key)); }

std::string kinds_text(const Json& kinds) {
  std::string out;
  for (const auto& [k, n] : kinds.items()) out += (out.empty() ? "" : ", ") + fmt::format("{} {}", k, n.get<int64_t>());
  return out;
}

std::string verdict(const Json& j) { return fmt::format("<td class=\"{0}\">{0}</td>", text(j, "verdict")); }

std::string table(const std::vector<std::string>& head, const std::string& rows) {
  if (rows.empty()) return "";
  std::string out = "<div class=\"scroll\"><table><tr>";
  for (const std::string& h : head) out += "<th>" + h + "</th>";
  return out + "</tr>" + rows + "</table></div>";
}

std::string steps(const Json& r) {
  std::string rows;
  int n = 0;
  for (const Json& s : r["steps"])
    rows += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>", ++n, text(s, "question"),
                        text(s, "result"), text(s, "decision"));
  return "<h2>The hunt, step by step</h2>" + table({"", "question", "result", "decision"}, rows);
}

std::string lint_table(const Json& r) {
  std::string rows;
  for (const Json& l : r["lint"])
    rows += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>", text(l, "rule"),
                        text(l, "count"), text(l, "what"), text(l, "cure"), html_list(l, "places"));
  return rows.empty() ? "" : "<h2>Known before any compile</h2>" + table({"", "places", "what", "cure", "where"}, rows);
}

std::string parts(const Json& round) {
  std::string rows;
  for (const Json& p : round["parts"])
    rows += fmt::format("<tr><td>{}</td>{}<td>{}</td><td>{}</td><td>{}</td></tr>", text(p, "module"), verdict(p),
                        text(p, "nodes"), html_escape(kinds_text(p["kinds"])), text(p, "reason"));
  return table({"module", "verdict", "nodes", "operators", "the compiler says"}, rows);
}

// Operator against module: a tick where it occurs; the last column says what is known of it.
std::string operator_table(const Json& r, const Json& round) {
  std::set<std::string> kinds, good, bad;
  for (const Json& p : round["parts"])
    for (const auto& [k, n] : p["kinds"].items()) kinds.insert(k);
  for (const Json& k : r["whitelist"]["kinds"]) good.insert(k.get<std::string>());
  for (const Json& k : r["refused_kinds"]) bad.insert(k.get<std::string>());
  std::string rows;
  std::vector<std::string> head{"operator"};
  for (const Json& p : round["parts"]) head.push_back(text(p, "module"));
  head.emplace_back("verdict");
  for (const std::string& k : kinds) {
    rows += "<tr><td>" + html_escape(k) + "</td>";
    for (const Json& p : round["parts"])
      rows += p["kinds"].contains(k) ? fmt::format("<td>{}</td>", p["kinds"][k].get<int64_t>())
                                     : "<td class=\"dim\">-</td>";
    rows += bad.contains(k)    ? "<td class=\"FAIL\">refused</td></tr>"
            : good.contains(k) ? "<td class=\"PASS\">passes</td></tr>"
                               : "<td class=\"dim\">not seen to pass</td></tr>";
  }
  return rows.empty() ? "" : "<details><summary>Operators by module</summary>" + table(head, rows) + "</details>";
}

std::string culprits(const Json& round) {
  std::string rows;
  for (const Json& c : round["culprits"])
    rows += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}: {}</td><td>{}</td><td>{}</td></tr>",
                        html_list(c, "nodes"), html_list(c, "operators"), html_list(c, "places"), text(c, "verdict"),
                        text(c, "reason"), text(c, "how"), text(c, "confirmation"));
  return rows.empty() ? ""
                      : "<h3>Culprits</h3>" +
                            table({"nodes", "operators", "where", "the compiler says", "found by", "confirmed"}, rows);
}

std::string cures(const Json& round) {
  std::string out;
  if (!round.contains("cures")) return out;
  for (const Json& c : round["cures"]) {
    std::string rows;
    for (const Json& a : c["alternatives"])
      rows += fmt::format("<tr{}><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                          a["chosen"].get<bool>() ? " class=\"chosen\"" : "", text(a, "name"), text(a, "class"),
                          text(a, "verdict"), html_list(a, "operators"), text(a, "argument"));
    out += fmt::format("<details><summary>{} ({}): {}</summary><p class=\"dim\">{}</p>{}</details>", text(c, "culprit"),
                       html_list(c, "operators"), text(c, "outcome"), html_list(c, "places"),
                       table({"alternative", "class", "verdict", "needs", "argument"}, rows));
  }
  return out.empty() ? "" : "<h3>Cures and their alternatives</h3>" + out;
}

std::string size(const Json& round) {
  if (!round.contains("size")) return "";
  const Json& s = round["size"];
  std::string rows;
  for (const Json& p : s["pieces"])
    rows += fmt::format("<tr><td>{}</td>{}<td>{}</td></tr>", text(p, "module"), verdict(p), text(p, "nodes"));
  return fmt::format(
             "<h3>It fails by size</h3><p>{} nodes in a row are refused ({} multiply-accumulates, {} bytes of "
             "constants), {} "
             "pass.</p>",
             text(s, "refused_nodes"), text(s, "refused_macs"), text(s, "refused_weight_bytes"),
             text(s, "passing_nodes")) +
         table({"piece", "verdict", "nodes"}, rows);
}

std::string rounds(const Json& r) {
  std::string out;
  int n = 0;
  for (const Json& round : r["rounds"]) {
    const Json& k = round["counts"];
    out += fmt::format(
        "<h2>Round {}: <span class=\"{}\">{}</span></h2><p>{}</p><p class=\"dim\">{} compiles, {} answered from "
        "earlier "
        "runs, {} inferred. For the same culprits plain prefix bisection takes {} compiles, ddmin {}.{}</p>",
        ++n, text(round, "verdict"), text(round, "verdict"), text(round, "first_error"), text(k, "compiles"),
        text(k, "from_cache"), text(k, "inferred"), text(k, "prefix_bisection_would_take"), text(k, "ddmin_would_take"),
        round["flaky"].get<bool>()
            ? " The compiler gave different answers to the same question; verdicts were voted on."
            : "");
    if (!round["complete"].get<bool>()) out += "<p class=\"FAIL\">Incomplete: " + text(round, "open") + "</p>";
    out += parts(round) + operator_table(r, round) + culprits(round) + size(round) + cures(round);
  }
  return out;
}

std::string merged(const Json& r) {
  if (!r.contains("merged")) return "";
  const Json& m = r["merged"];
  std::string out =
      fmt::format("<h2>The merged model</h2><p><code>{}</code>, {} nodes; parts chained = whole: {}. Operators: {}</p>",
                  text(m, "file"), text(m, "nodes"), text(m, "chained"), html_escape(kinds_text(m["operators"])));
  std::string rows;
  for (const Json& c : m["checks"])
    rows += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                        text(c, "sample"), text(c, "output"), text(c, "max_diff"), text(c, "relative"), text(c, "iou"),
                        text(c, "baseline_max_diff"));
  out += table({"sample", "output", "largest difference", "relative", "mask IoU", "against PyTorch"}, rows);
  rows.clear();
  for (const Json& h : m["host_steps"])
    rows += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>", text(h, "when"),
                        text(h, "file"), html_list(h, "inputs"), html_list(h, "outputs"), html_list(h, "code"),
                        text(h, "microseconds"));
  if (!rows.empty())
    out += "<h3>On the host</h3>" + table({"when", "file", "inputs", "outputs", "code", "microseconds"}, rows);
  out += "<h3>Ledger: every change</h3>";
  for (const Json& e : m["ledger"])
    out += fmt::format(
        "<details><summary>{}: {} ({})</summary><p>{}</p><p>{}</p><pre>{}</pre><p>becomes</p><pre>{}</pre></details>",
        text(e, "pass"), text(e, "rewrite"), text(e, "class"), text(e, "reason"), text(e, "argument"),
        text(e, "before"), text(e, "after"));
  return out;
}

}  // namespace

std::string diagnose_html(const Json& r) {
  std::string out = fmt::format(
      "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width, "
      "initial-scale=1\"><title>Diagnosis of {0}</title><style>{1}</style></head><body><main><h1>Diagnosis: {0} for "
      "{2}</h1><p><span "
      "class=\"{3}\">{3}</span> {4}</p><p class=\"dim\">{5} {6}; npuport {7}; {8} compiles</p>",
      text(r, "model"), kStyle, text(r, "target"), text(r, "verdict"), text(r, "sentence"), text(r["tool"], "driver"),
      text(r["tool"], "version"), text(r, "npuport"), text(r, "compiles"));
  if (r.contains("original"))
    out += fmt::format("<p>The file as given: <span class=\"{0}\">{0}</span> {1}</p>", text(r["original"], "verdict"),
                       text(r["original"], "reason"));
  out += steps(r) + lint_table(r) + rounds(r) + merged(r);
  out += "<h2>What this compiler takes</h2><p>" + html_escape(list(r["whitelist"], "kinds")) + "</p>";
  return out + "</main></body></html>\n";
}

std::string diagnose_text(const Json& r) {
  std::string out;
  int n = 0;
  for (const Json& s : r["steps"])
    out += fmt::format("{:2}. {}\n    {}\n    -> {}\n", ++n, plain(s, "question"), plain(s, "result"),
                       plain(s, "decision"));
  for (const Json& round : r["rounds"]) {
    if (round["parts"].empty()) continue;
    out += fmt::format("\n{:<28} {:<7} {:>5}  operators\n", "module", "verdict", "nodes");
    for (const Json& p : round["parts"])
      out += fmt::format("{:<28} {:<7} {:>5}  {}\n", plain(p, "module"), plain(p, "verdict"), plain(p, "nodes"),
                         kinds_text(p["kinds"]));
    for (const Json& c : round["culprits"]) {
      const std::string places = list(c, "places"), reason = plain(c, "reason");
      out += fmt::format("culprit {}: {}{}{}{}\n", list(c, "nodes"), list(c, "operators", "+"),
                         places.empty() || places.front() == ' ' ? places : " at " + places, reason.empty() ? "" : ": ",
                         reason);
    }
    const Json& k = round["counts"];
    out += fmt::format("compiles: {} (plain prefix bisection would take {}, ddmin {})\n", plain(k, "compiles"),
                       plain(k, "prefix_bisection_would_take"), plain(k, "ddmin_would_take"));
  }
  if (r.contains("merged"))
    for (const Json& c : r["merged"]["checks"])
      out += fmt::format("{}, {}: largest difference {}{}\n", plain(c, "sample"), plain(c, "output"),
                         plain(c, "max_diff"), c.contains("iou") ? ", mask IoU " + plain(c, "iou") : "");
  out += fmt::format("\n{}: {}\n", plain(r, "verdict"), plain(r, "sentence"));
  return escape_terminal(out);
}

}  // namespace npuport::app
