// The metadata of a port: what npuport_port_open reads. Internal to the runtime.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runtime/session.h"

namespace npuport::runtime {

// A file a part can be run from.
struct PartFile {
  std::string file;    // plain name, beside the metadata
  std::string sha256;  // empty: compiled after the metadata were written
  int64_t bytes = -1;  // -1: not recorded
};

struct PortPart {
  std::string name;
  std::vector<PartFile> files;          // the written model first, then compiled ones ("artefacts")
  std::vector<IoInfo> inputs, outputs;  // of the files
  IoContract contract;
};

class PortFolder {
 public:
  // `path`: OUT, OUT/models or a *_metadata.json. file_not_found, bad_input_data (several), corrupt, newer_version.
  static Result<std::shared_ptr<PortFolder>> open(const std::string& path);

  const std::string& folder() const { return folder_; }
  const std::vector<PortPart>& parts() const { return parts_; }
  // Null name: the only part. missing_entry listing the parts.
  Result<const PortPart*> part(const char* name) const;
  Result<std::shared_ptr<Session>> open_part(const PortPart& part, std::string_view backend,
                                             const Options& options) const;
  // Stable text of the entry at a JSON pointer; missing_entry when there is none, usage for a malformed pointer.
  Result<const char*> metadata(std::string_view pointer);

 private:
  std::vector<PartFile> compiled_files(const PortPart& part, std::string_view suffix) const;
  Result<PartFile> choose_file(const PortPart& part, const Options& options, std::string_view suffix) const;
  Status read_parts();

  std::string path_, folder_;
  Json json_;
  std::vector<PortPart> parts_;
  std::mutex mutex_;                          // of texts_
  std::map<std::string, std::string> texts_;  // by pointer; nodes never move
};

// "" → by the file's suffix: .dla neuron, .om ascend, else host when linked in, else litert; usage for unknown names.
Result<const Backend*> choose_backend(std::string_view name, std::string_view path);
// Refuses keys neither the runtime (`known`) nor the backend knows.
Status check_options(const Options& options, const Backend& backend, std::span<const std::string_view> known);

}  // namespace npuport::runtime
