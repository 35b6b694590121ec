#include "app/transcribe_baseline.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "base/text.h"

namespace npuport::app {
namespace {

namespace fs = std::filesystem;
constexpr uint64_t kLargest = uint64_t{256} << 20;

std::string stem(const std::string& file) { return fs::path(file).stem().string(); }

Status add_json(const std::string& path, std::map<std::string, BaselineText>& out) {
  NPU_ASSIGN(const std::string text, read_file(path, kLargest));
  NPU_ASSIGN(const Json j, parse_json(text, path));
  const Json rows = j.is_array() ? j : Json::array({j});
  for (const Json& row : rows) {
    if (!row.is_object() || !row.contains("file") || !row["file"].is_string() || !row.contains("text") ||
        !row["text"].is_string())
      return Diag(diag::corrupt, "a transcript needs the strings 'file' and 'text'").in_file(path);
    BaselineText b{row["text"].get<std::string>(), std::nullopt};
    if (row.contains("tokens") && row["tokens"].is_array()) {
      b.tokens.emplace();
      for (const Json& t : row["tokens"])
        if (t.is_number_integer()) b.tokens->push_back(t.get<int64_t>());
    }
    out[stem(row["file"].get<std::string>())] = std::move(b);
  }
  return {};
}

Status add_tsv(const std::string& path, std::map<std::string, BaselineText>& out) {
  NPU_ASSIGN(const std::string text, read_file(path, kLargest));
  for (const std::string_view raw : split(text, '\n')) {
    const std::string_view line = raw.ends_with('\r') ? raw.substr(0, raw.size() - 1) : raw;
    if (line.empty()) continue;
    const std::vector<std::string_view> columns = split(line, '\t');
    if (columns.size() != 3)
      return Diag(diag::corrupt, "a line has no three columns (file, reference, text)").in_file(path);
    out[stem(std::string(columns[0]))] = {std::string(trim(columns[2])), std::nullopt};
  }
  return {};
}

}  // namespace

Result<std::map<std::string, BaselineText>> read_baseline_texts(const std::string& path) {
  std::map<std::string, BaselineText> out;
  std::error_code ec;
  if (fs::is_directory(path, ec)) {
    std::vector<std::string> files;
    for (const fs::directory_entry& e : fs::directory_iterator(path, ec)) {
      const std::string name = e.path().filename().string();
      if (name.starts_with("baseline_") && name.ends_with(".json")) files.push_back(e.path().string());
    }
    std::sort(files.begin(), files.end());
    for (const std::string& f : files) NPU_TRY(add_json(f, out));
  } else if (path.ends_with(".tsv")) {
    NPU_TRY(add_tsv(path, out));
  } else {
    NPU_TRY(add_json(path, out));
  }
  if (out.empty()) return Diag(diag::bad_input_data, "holds no transcripts").in_file(path);
  return out;
}

Json compare_with_baseline(const BaselineText& expected, const std::string& text, const std::vector<int32_t>& tokens) {
  const TextMatch m = match_text(expected.text, text);
  Json j{
      {"expected", expected.text}, {"got", text}, {"match_percent", m.percent}, {"edits", m.edits}, {"diff", m.diff}};
  bool pass = m.edits == 0;
  if (expected.tokens) {
    const bool equal = std::equal(expected.tokens->begin(), expected.tokens->end(), tokens.begin(), tokens.end());
    j["tokens_equal"] = equal;
    pass = pass && equal;
  }
  j["verdict"] = pass ? "PASS" : "FAIL";
  return j;
}

std::string match_table(const Json& rows, const std::string& label) {
  std::string out = fmt::format("{:<24} {:>8}  {:<10}  {}\n", label, "match", "verdict", "difference");
  for (const Json& r : rows) {
    const Json& named = r[label];
    const std::string file = escape_terminal(named.is_string() ? stem(named.get<std::string>()) : named.dump());
    if (!r.contains("baseline")) {
      out += fmt::format("{:<24} {:>8}  {:<10}  {}\n", file, "-", "UNVERIFIED",
                         r.contains("error") ? "failed" : "no baseline");
      continue;
    }
    const Json& b = r["baseline"];
    std::string note = escape_terminal(b["diff"].get<std::string>());
    if (note.empty() && b.contains("tokens_equal") && !b["tokens_equal"].get<bool>()) note = "equal text, other tokens";
    out += fmt::format("{:<24} {:>7.2f}%  {:<10}  {}\n", file, b["match_percent"].get<double>(),
                       b["verdict"].get<std::string>(), note);
  }
  return out;
}

}  // namespace npuport::app
