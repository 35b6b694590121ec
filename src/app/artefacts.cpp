#include "app/artefacts.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "base/hash.h"

namespace npuport::app {
namespace {

namespace fs = std::filesystem;
constexpr uint64_t kMetadataLimit = uint64_t{16} << 20;

bool has_text(const Json& j, const char* key, const std::string& text) {
  return j.is_object() && j.contains(key) && j[key].is_string() && j[key] == text;
}

// Replaces the entry of the same file, or adds one; sorted by name.
Status enter(Json& part, const std::string& folder, const std::string& file) {
  std::vector<Json> entries;
  if (part.contains("artefacts") && part["artefacts"].is_array())
    for (const Json& e : part["artefacts"])
      if (!has_text(e, "file", file)) entries.push_back(e);
  NPU_ASSIGN(const std::string sha256, sha256_file(folder + "/" + file));
  std::error_code ec;
  entries.push_back(Json{{"file", file}, {"sha256", sha256}, {"bytes", fs::file_size(folder + "/" + file, ec)}});
  std::sort(entries.begin(), entries.end(), [](const Json& a, const Json& b) { return a["file"] < b["file"]; });
  part["artefacts"] = entries;
  return {};
}

}  // namespace

Status enter_artefacts(OutputFolder& port, const std::string& metadata, const std::vector<Artefact>& list, bool only) {
  const std::string path = port.file(metadata);
  NPU_ASSIGN(const std::string text, read_file(path, kMetadataLimit));
  NPU_ASSIGN(Json j, parse_json(text, path));
  if (!j.is_object() || !j.contains("parts") || !j["parts"].is_array())
    return Diag(diag::corrupt, "these are no metadata of a port", "port the model again").in_file(path);
  for (Json& part : j["parts"]) {
    if (only && part.is_object()) part.erase("artefacts");
    for (const Artefact& a : list)
      if (has_text(part, "file", a.model)) NPU_TRY(enter(part, fs::path(path).parent_path().string(), a.compiled));
  }
  const std::string changed = dump_json(j);
  if (changed == text) return {};
  NPU_TRY(write_file(path, changed));
  return port.changed(metadata);
}

std::string metadata_of(const std::string& folder, const std::string& model) {
  const std::string name = fs::path(model).filename().string();
  const Result<std::string> hash = sha256_file(model);
  std::error_code ec;
  for (fs::directory_iterator it(folder, ec), end; hash && !ec && it != end; it.increment(ec)) {
    if (!it->path().filename().string().ends_with("_metadata.json")) continue;
    const Result<std::string> text = read_file(it->path().string(), kMetadataLimit);
    if (!text) continue;
    const Result<Json> j = parse_json(*text, it->path().string());
    if (!j || !j->is_object() || !j->contains("parts") || !(*j)["parts"].is_array()) continue;
    for (const Json& part : (*j)["parts"])
      if (has_text(part, "file", name) && has_text(part, "sha256", *hash)) return it->path().filename().string();
  }
  return {};
}

}  // namespace npuport::app
