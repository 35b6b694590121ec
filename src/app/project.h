// A project: parts, target, samples and gates of one port (port.toml, or the command line for simple cases).
#pragma once

#include <optional>

#include "app/commands.h"
#include "passes/context.h"

namespace npuport::app {

struct ProjectPart {
  std::string name;
  std::string model;      // path, resolved
  std::string shape_tag;  // goes into file names; empty = made from the first input's shape
  std::vector<InputSpec> inputs;
  std::vector<std::string> shapes;  // --shape, until settle_shapes
  std::map<std::string, ValueRange> ranges;
  std::vector<std::string> samples;  // paths and patterns, resolved
  Gate gate;
};

// "encoder.out.0" → "decoder.audio"
struct ProjectLink {
  std::string from_part;
  size_t from_output = 0;
  std::string to_part, to_input;
};

struct ProjectTask {
  std::string kind;  // "asr", "nmt", "sr", "general"; empty = no task gate
  std::vector<std::string> samples;
  std::string decode;  // asr, nmt: JSON with tokens and suppress lists, resolved
  // sr: a pixel v of 0…255 enters as (v - mean) · scale and comes back as value / scale + mean; one number for all
  // channels or one per channel; empty = 0 and 1.
  std::vector<double> mean, scale;
  Gate gate;
};

struct Project {
  std::string name;
  std::string target;
  std::string file;  // port.toml, empty when made from the command line
  std::vector<ProjectPart> parts;
  std::vector<ProjectLink> links;
  ProjectTask task;

  const ProjectPart* part(std::string_view name) const;
};

// Reads port.toml; paths are relative to it. `unknown_key`, `syntax` with the line; links and names are checked.
Result<Project> read_project(const std::string& path);
// From `port MODEL` / `port encoder=e.pt decoder=d.pt` and its options.
Result<Project> project_from_arguments(const PortArgs& args);
// Turns the --shape options of a part into its inputs, in the model's order: looks at the model and its first sample.
Status settle_shapes(Project& p);
// The TOML text of a project, paths relative to `folder` where they lie below it.
std::string to_toml(const Project& p, const std::string& folder);

}  // namespace npuport::app
