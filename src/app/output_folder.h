// The output folder of a port: lock, state by hash, artefacts. Everything is written aside and renamed; a step that
// runs again first removes what it and later steps left.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace npuport::app {

class OutputFolder {
 public:
  // Creates the folder if needed and takes its lock (`locked` when another run holds it); removes temporary files of
  // killed runs. A run that leaves nothing in it leaves no folder either, unless that was there before.
  static Result<OutputFolder> open(const std::string& path);
  OutputFolder(OutputFolder&& other) noexcept;
  OutputFolder& operator=(OutputFolder&&) = delete;
  ~OutputFolder();

  const std::string& path() const { return path_; }
  std::string file(const std::string& relative) const { return path_ + "/" + relative; }

  // What step `id` recorded, if its key is still `key` and all its artefacts are unchanged; null otherwise.
  const Json* reusable(const std::string& id, const std::string& key) const;
  // Records a finished step; `artefacts` are relative paths that exist now.
  Status record(const std::string& id, int number, const std::string& key, Json result,
                const std::vector<std::string>& artefacts);
  // A later step changed this file of an earlier one: its record takes the hash of what is there now.
  Status changed(const std::string& relative);
  // Removes the artefacts and records of step `number` and all later ones; files outside the records are never
  // touched, nor is a page at the top level that a person edited.
  Status drop_from(int number);

 private:
  OutputFolder() = default;
  Status save();
  Status lock();
  void remove_if_unused();

  std::string path_;
  std::vector<std::string> made_;  // folders this run created, innermost first
  int lock_ = -1;
  struct Step {
    int number = 0;
    std::string key;
    Json result;
    std::map<std::string, std::string> artefacts;  // path → SHA-256
  };
  std::map<std::string, std::shared_ptr<Step>> steps_;
};

}  // namespace npuport::app
