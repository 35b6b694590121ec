// Compiled files in a port's metadata: parts[].artefacts, which the runtime checks before it gives a file to a driver.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "app/output_folder.h"

namespace npuport::app {

// One compiled file: both are plain names beside the metadata.
struct Artefact {
  std::string model;     // the part's written file, what was compiled
  std::string compiled;  // what came of it
};

// Enters name, SHA-256 and size of each compiled file into the part it was made from; `only` = no others stay listed.
// `metadata` is relative to the port's folder, which learns the file's new hash. Nothing is written when nothing
// changes. corrupt when the metadata are none.
Status enter_artefacts(OutputFolder& port, const std::string& metadata, const std::vector<Artefact>& list, bool only);

// Where `folder` is models/ of a port that wrote the file `model` (same name, same contents): the metadata's name in
// it; else empty.
std::string metadata_of(const std::string& folder, const std::string& model);

}  // namespace npuport::app
