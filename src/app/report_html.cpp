#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "app/report.h"
#include "base/text.h"

namespace npuport::app {
namespace {

constexpr const char* kStyle = R"css(
:root{--bg:#fff;--fg:#1b1f24;--dim:#57606a;--line:#d8dee4;--card:#f6f8fa;--pass:#1a7f37;--fail:#cf222e;--unv:#9a6700;--skip:#57606a}
@media (prefers-color-scheme:dark){:root{--bg:#0d1117;--fg:#e6edf3;--dim:#9198a1;--line:#30363d;--card:#161b22;--pass:#3fb950;--fail:#f85149;--unv:#d29922;--skip:#9198a1}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif}
main{max-width:1000px;margin:0 auto;padding:16px}h1{font-size:1.5rem;margin:.2em 0}h2{font-size:1.15rem;margin:1.6em 0 .5em;border-bottom:1px solid var(--line);padding-bottom:.2em}
p{margin:.4em 0}.dim{color:var(--dim)}.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;vertical-align:top;padding:.35em .6em;border-bottom:1px solid var(--line);overflow-wrap:break-word}th{color:var(--dim);font-weight:600;white-space:nowrap}
th.n,td.n{text-align:right}td.n{white-space:nowrap;font-variant-numeric:tabular-nums}.v{font-weight:700;white-space:nowrap}
.PASS{color:var(--pass)}.FAIL{color:var(--fail)}.UNVERIFIED{color:var(--unv)}.SKIP{color:var(--skip)}
pre{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.6em;overflow-x:auto;font-size:.8rem;margin:.3em 0}
details{border:1px solid var(--line);border-radius:6px;padding:.4em .8em;margin:.4em 0;background:var(--card)}summary{cursor:pointer;overflow-wrap:anywhere}
.cards{display:flex;flex-wrap:wrap;gap:8px;margin:.8em 0}.card{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.5em .9em;min-width:120px}
.card b{display:block;font-size:1.1rem}code{font-size:.9em;overflow-wrap:anywhere}.w{min-width:8em;overflow-wrap:anywhere}
)css";

std::string text_of(const Json& j, const char* key) {
  return j.contains(key) && j[key].is_string() ? html_escape(j[key].get<std::string>()) : std::string();
}

std::string figure(const Json& j, const char* key) {
  if (!j.contains(key)) return "";
  if (j[key].is_number()) return fmt::format("{:.3g}", j[key].get<double>());
  return text_of(j, key);
}

std::string verdict_cell(const Json& j) { return fmt::format("<td class=\"v {0}\">{0}</td>", text_of(j, "verdict")); }

std::string card(const std::string& label, const std::string& value) {
  return fmt::format("<div class=\"card\"><span class=\"dim\">{}</span><b>{}</b></div>", label, value);
}

std::string header(const Json& r) {
  const Json& h = r["header"];
  std::string out = fmt::format("<h1>{0} for {1}</h1><p><span class=\"v {2}\">{2}</span> <span class=\"dim\">",
                                text_of(h, "model"), text_of(h, "target_title"), text_of(r, "verdict"));
  const std::string verdict = text_of(r, "verdict") + " ";
  for (const Json& line : r["open"]) {
    const std::string text = html_escape(line.get<std::string>());
    out += (text.starts_with(verdict) ? text.substr(verdict.size()) : text) + "<br>";
  }
  out += "</span></p><div class=\"cards\">";
  if (h.contains("identity"))
    for (const auto& [key, value] : h["identity"].items())
      out += card(html_escape(key), html_escape(value.get<std::string>()));
  for (const Json& p : h["parts"]) {
    const auto read = p["operators_imported"].get<int64_t>(), written = p["operators_written"].get<int64_t>();
    out += card(text_of(p, "name"),
                fmt::format("{}{} operators{}", read, written > 0 ? fmt::format(" → {}", written) : "",
                            p.contains("opset") ? fmt::format(", ONNX opset {}", p["opset"].get<int64_t>()) : ""));
  }
  if (r.contains("measurements")) {
    const Json& m = r["measurements"];
    out += card("time", fmt::format("{:.1f} s", m["seconds_total"].get<double>())) +
           card("peak memory", format_bytes(m["peak_memory_bytes"].get<uint64_t>())) +
           card("date", text_of(m, "date")) + card("machine", text_of(m, "machine"));
  }
  return out + card("made by", text_of(h, "tool")) + "</div>";
}

std::string steps(const Json& r) {
  std::string out =
      "<h2>1. Result of each step</h2><div "
      "class=\"scroll\"><table><tr><th>step</th><th>verdict</th><th>proof</th><th>remark</th></tr>";
  for (const Json& s : r["steps"]) {
    std::string remark = text_of(s, "reason");
    if (s.contains("reused") && s["reused"].get<bool>())
      remark += remark.empty() ? "unchanged since the last run" : " (unchanged since the last run)";
    out += fmt::format("<tr><td>{} {}</td>{}<td>{}</td><td>{}</td></tr>", s["number"].get<int>(), text_of(s, "title"),
                       verdict_cell(s), text_of(s, "gate"), remark);
  }
  return out + "</table></div>";
}

// Comparisons of one kind differ in their sample, or in the debug file that was reloaded.
bool reloaded(const Json& c) { return text_of(c, "what").ends_with(" reloaded"); }
std::string group_title(const Json& c) { return reloaded(c) ? "debug outputs reloaded" : text_of(c, "what"); }
std::string comparison_group(const Json& c) {
  return text_of(c, "part") + "\n" + group_title(c) + "\n" + text_of(c, "gate");
}

std::string comparison_table(const std::vector<const Json*>& rows, const std::map<std::string, size_t>& counts) {
  std::string out =
      "<div class=\"scroll\"><table><tr><th>verdict</th><th>part</th><th>what</th><th>sample</th><th class=\"n\">max "
      "diff</th><th class=\"n\">relative</th><th class=\"n\">PSNR</th><th>gate</th></tr>";
  for (const Json* c : rows) {
    const auto n = counts.find(comparison_group(*c));
    const std::string sample = n != counts.end() && n->second > 1 ? fmt::format("worst of {}", n->second) : "";
    out += fmt::format(
        "<tr>{}<td>{}</td><td class=\"w\">{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td "
        "class=\"n\">{}</td><td>{}</td></tr>",
        verdict_cell(*c), text_of(*c, "part"), sample.empty() ? text_of(*c, "what") : group_title(*c),
        sample.empty() ? text_of(*c, "sample") : sample, figure(*c, "max_diff"), figure(*c, "relative"),
        figure(*c, "psnr"), text_of(*c, "gate"));
  }
  return out + "</table></div>";
}

int severity_of(const Json& c) {
  const std::string v = text_of(c, "verdict");
  return v == "FAIL" ? 3 : v == "UNVERIFIED" ? 2 : v == "SKIP" ? 1 : 0;
}

bool worse_than(const Json& a, const Json& b) {
  const auto diff = [](const Json& c) {
    return c.contains("max_diff") && c["max_diff"].is_number() ? c["max_diff"].get<double>() : 0.0;
  };
  return std::pair(severity_of(a), diff(a)) > std::pair(severity_of(b), diff(b));
}

// One row for each kind of comparison, its worst; every one below, folded away.
std::string comparisons(const Json& r) {
  std::vector<const Json*> all, worst;
  std::map<std::string, size_t> counts;
  for (const Json& c : r["comparisons"]) {
    all.push_back(&c);
    const std::string group = comparison_group(c);
    if (++counts[group] == 1) {
      worst.push_back(&c);
      continue;
    }
    for (const Json*& w : worst)
      if (comparison_group(*w) == group && worse_than(c, *w)) w = &c;
  }
  std::string out = "<h2>2. Comparison data</h2>";
  if (all.empty()) return out + "<p>None was made.</p>";
  out += comparison_table(worst, counts);
  if (worst.size() < all.size())
    out += fmt::format("<details><summary>all {} comparisons</summary>{}</details>", all.size(),
                       comparison_table(all, {}));
  return out;
}

std::string files(const Json& r) {
  std::string out = "<h2>3. Files and sizes</h2>";
  if (r["files"]["list"].empty()) return out + "<p>None was written.</p>";
  out += "<div class=\"scroll\"><table><tr><th>file</th><th class=\"n\">size</th><th class=\"n\">bytes</th></tr>";
  for (const Json& f : r["files"]["list"]) {
    const auto bytes = f["bytes"].get<uint64_t>();
    out += fmt::format("<tr><td><code>{}</code></td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
                       text_of(f, "file"), format_bytes(bytes), bytes);
  }
  const auto total = r["files"]["total_bytes"].get<uint64_t>();
  return out + fmt::format("<tr><th>total</th><th class=\"n\">{}</th><th class=\"n\">{}</th></tr></table></div>",
                           format_bytes(total), total);
}

// Step 7: what the compiler was told and why, and how large its files are.
std::string compiled(const Json& r) {
  for (const Json& s : r["steps"]) {
    if (text_of(s, "id") != "compile" || !s.contains("details") || !s["details"].contains("sizes")) continue;
    const Json& d = s["details"];
    std::string out =
        "<h2>Compiled files</h2><div "
        "class=\"scroll\"><table><tr><th>part</th><th class=\"n\">TFLite</th><th class=\"n\">compiled</th><th "
        "class=\"n\">share</th></tr>";
    uint64_t before = 0, after = 0;
    for (const Json& z : d["sizes"]) {
      before += z["bytes"].get<uint64_t>(), after += z["compiled_bytes"].get<uint64_t>();
      out += fmt::format(
          "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}{}</td><td class=\"n\">{:.1f} %</td></tr>",
          text_of(z, "part"), format_bytes(z["bytes"].get<uint64_t>()), z["estimate"].get<bool>() ? "about " : "",
          format_bytes(z["compiled_bytes"].get<uint64_t>()), z["percent"].get<double>());
    }
    if (d["sizes"].size() > 1 && before > 0)
      out += fmt::format(
          "<tr><th>total</th><th class=\"n\">{}</th><th class=\"n\">{}</th><th class=\"n\">{:.1f} %</th></tr>",
          format_bytes(before), format_bytes(after), 100.0 * static_cast<double>(after) / static_cast<double>(before));
    out += "</table></div>";
    for (const Json& z : d["sizes"])
      if (z["estimate"].get<bool>()) {
        out += "<p class=\"dim\">Compiled sizes are an " + text_of(z, "note") + ".</p>";
        break;
      }
    if (r["header"].contains("identity")) {
      out += "<p>Hardware:";
      for (const auto& [key, value] : r["header"]["identity"].items())
        out += " " + html_escape(key) + " " + html_escape(value.get<std::string>()) + ";";
      out.back() = '.';
      out += "</p>";
    }
    if (d.contains("flags") && d["flags"].is_array())
      for (const Json& f : d["flags"])
        out += "<p><code>" + text_of(f, "flag") + "</code> " + text_of(f, "why") + "</p>";
    return out;
  }
  return "";
}

std::string problems(const Json& r) {
  std::string out = "<h2>4. Problems and solutions</h2>";
  if (r["problems"].empty()) return out + "<p>None.</p>";
  out += "<div class=\"scroll\"><table><tr><th>problem</th><th>where</th><th>what to do</th></tr>";
  for (const Json& p : r["problems"]) {
    std::string where = text_of(p, "node");
    for (const char* key : {"tensor", "source", "file"})
      if (!text_of(p, key).empty()) where += (where.empty() ? "" : "<br>") + text_of(p, key);
    const std::string codes = text_of(p, "code") + (text_of(p, "lesson").empty() ? "" : " " + text_of(p, "lesson"));
    out += fmt::format("<tr><td>{} <span class=\"dim\">{}</span></td><td>{}</td><td>{}</td></tr>",
                       text_of(p, "message"), codes, where, text_of(p, "next"));
  }
  return out + "</table></div>";
}

std::string changes(const Json& r) {
  std::string out = "<h2>5. What was changed in the model, and why</h2>";
  if (r["changes"].empty()) return out + "<p>Nothing.</p>";
  struct Group {
    std::string title, argument, reason, klass, body;
    size_t count = 0;
  };
  std::vector<Group> groups;
  for (const Json& c : r["changes"]) {
    const std::string rewrite = text_of(c, "rewrite").empty() ? text_of(c, "pass") : text_of(c, "rewrite");
    const std::string title = text_of(c, "part") + ": " + rewrite;
    auto it = std::find_if(groups.begin(), groups.end(), [&](const Group& g) { return g.title == title; });
    if (it == groups.end()) {
      groups.push_back({title, text_of(c, "argument"), text_of(c, "reason"), text_of(c, "class"), "", 0});
      it = groups.end() - 1;
    }
    if (++it->count > 3) continue;  // three examples show the pattern; the JSON holds all
    it->body += "<p class=\"dim\">";
    for (const Json& p : c["places"]) it->body += html_escape(p.get<std::string>()) + " ";
    it->body += fmt::format("</p><pre>{}</pre>→<pre>{}</pre>", text_of(c, "before"), text_of(c, "after"));
  }
  for (const Group& g : groups) {
    out += fmt::format("<details><summary><b>{}</b> ×{} <span class=\"dim\">{}</span></summary><p>{}</p><p>{}</p>{}",
                       g.title, g.count, g.klass, g.reason, g.argument, g.body);
    if (g.count > 3) out += fmt::format("<p class=\"dim\">… and {} more in report.json</p>", g.count - 3);
    out += "</details>";
  }
  return out;
}

std::string lessons(const Json& r) {
  if (!r.contains("lessons") || r["lessons"].empty()) return "";
  std::string out = "<h2>Lessons that apply</h2>";
  for (const Json& l : r["lessons"]) {
    out += fmt::format(
        "<details><summary><b>{}</b> {}</summary><p>{}</p><p>Cause: {}</p><p>Do: {}</p><p class=\"dim\">",
        text_of(l, "id"), text_of(l, "title"), text_of(l, "situation"), text_of(l, "cause"), text_of(l, "do"));
    for (const Json& b : l["because"]) out += html_escape(b.get<std::string>()) + "<br>";
    out += "</p></details>";
  }
  return out;
}

// "[1, 2, 3]": the blanks let narrow screens break the line.
std::string id_list(const Json& ids) {
  std::string out = dump_json(ids, -1);
  for (size_t at = out.find(','); at != std::string::npos; at = out.find(',', at + 2)) out.insert(at + 1, " ");
  return html_escape(out);
}

// What the model is for: token ids expected and got, or how near the pictures are.
std::string task(const Json& r) {
  if (!r.contains("task") || !r["task"].is_array() || r["task"].empty()) return "";
  const bool ids =
      std::any_of(r["task"].begin(), r["task"].end(), [](const Json& t) { return t.contains("expected"); });
  std::string out = "<h2>The job itself</h2><div class=\"scroll\"><table><tr><th>sample</th><th>verdict</th><th>" +
                    std::string(ids ? "expected</th><th>got" : "PSNR, dB") + "</th></tr>";
  for (const Json& t : r["task"]) {
    const auto list = [&](const char* key) { return t.contains(key) ? id_list(t[key]) : std::string(); };
    const std::string loop = text_of(t, "loop") == "kv" ? ", cached decoder" : "";
    const std::string expected = list("expected"), got = list("got");
    out += fmt::format("<tr><td>{}{}</td>{}<td>{}</td></tr>", text_of(t, "sample"), loop, verdict_cell(t),
                       ids ? expected + "</td><td>" + (got == expected ? "the same" : got) : figure(t, "psnr"));
  }
  return out + "</table></div>";
}

// What step 8 left, if the run came so far.
std::string debug_outputs(const Json& r) {
  const Json& list = r["files"]["list"];
  const bool any =
      std::any_of(list.begin(), list.end(), [](const Json& f) { return text_of(f, "file").starts_with("test/"); });
  const std::string out = "<h2>6. Debug outputs</h2>";
  if (!any) return out + "<p>None: the run stopped before them, or no samples were given.</p>";
  return out + "<p>Inputs and outputs of every part as <code>.npy</code>: <code>" + text_of(r, "debug") +
         "</code>; PyTorch's: <code>test/outputs/baseline</code>.</p>";
}

}  // namespace

std::string report_html(const Json& r) {
  std::string out =
      "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width,initial-scale=1\">";
  out += "<title>" + text_of(r["header"], "model") + " for " + text_of(r["header"], "target_title") +
         "</title><style>" + kStyle + "</style></head><body><main>";
  out += header(r) + steps(r) + task(r) + comparisons(r) + files(r) + compiled(r) + problems(r) + changes(r);
  out += debug_outputs(r) + lessons(r);
  out += "<h2>Ready for the next step</h2>";
  if (r["ready"].empty()) out += "<p>Nothing yet: a gate is not met.</p>";
  for (const Json& f : r["ready"]) out += "<p><code>" + html_escape(f.get<std::string>()) + "</code></p>";
  return out + "</main></body></html>\n";
}

}  // namespace npuport::app
