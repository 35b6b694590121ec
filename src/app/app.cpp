#include "app/app.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/lessons.h"

namespace npuport::app {

void App::log(int level, const std::string& line) const {
  if (quiet || level > verbose) return;
  std::fprintf(stderr, "%s\n", escape_terminal(line).c_str());
}

void App::warn(const Diag& d) const {
  // One of several inputs that failed is said in any case.
  if (!quiet || d.severity == Severity::error) std::fputs(to_text(d).c_str(), stderr);
}

Json diag_json(const Diag& d) {
  Json j;
  j["code"] = d.code ? std::string(d.code->id) : "";
  j["kind"] = d.code ? std::string(d.code->slug) : "";
  j["severity"] = d.severity == Severity::error ? "error" : d.severity == Severity::warning ? "warning" : "note";
  j["message"] = d.message;
  const auto put = [&](const char* key, const std::string& v) {
    if (!v.empty()) j[key] = v;
  };
  put("file", d.where.file);
  put("node", d.where.node);
  put("tensor", d.where.tensor);
  put("source", d.where.source);
  put("next", d.hint);
  if (const Lesson* l = lesson_of(d)) j["lesson"] = std::string(l->id);
  for (const Diag& note : d.notes) j["notes"].push_back(diag_json(note));
  return j;
}

std::string tool_variable(std::string_view name) {
  std::string variable = "NPUPORT_";
  for (const char c : name)
    variable += std::isalnum(static_cast<unsigned char>(c)) ? static_cast<char>(std::toupper(c)) : '_';
  return variable;
}

std::string tool_path(const App& app, const std::string& name) {
  const auto it = app.tools.find(name);
  const char* value = std::getenv(tool_variable(name).c_str());
  const std::string path = it != app.tools.end() ? it->second : value ? value : "";
  // Tools run in folders of their own: "./ncc-tflite" is meant from here.
  std::error_code ec;
  const std::filesystem::path absolute = std::filesystem::absolute(path, ec);
  return path.find('/') == std::string::npos || ec ? path : absolute.lexically_normal().string();
}

std::string version() { return NPUPORT_VERSION; }

}  // namespace npuport::app
