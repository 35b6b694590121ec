#include "app/port_files.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "app/model_file.h"
#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "base/hash.h"
#include "base/text.h"
#include "ir/npy.h"
#include "passes/receptive_field.h"

namespace npuport::app {
namespace {

namespace fs = std::filesystem;

// Last component of a module path: "decoder.token_embedding" → "token_embedding".
std::string leaf(const std::string& module) {
  const size_t dot = module.rfind('.');
  return dot == std::string::npos ? module : module.substr(dot + 1);
}

// The file of a part before `p` that holds the same table (two decoders of one model share their embedding).
std::string same_table(const PortContext& c, const PartRun& p, const HostStep& step) {
  for (const PartRun& other : c.run.parts) {
    if (&other == &p) break;
    for (const HostStep& o : other.contract.host_steps)
      if (o.table && o.sha256 == step.sha256) return o.file;
  }
  return {};
}

Status write_table(PortContext& c, PartRun& p, HostStep& step, PortStep& s) {
  std::string stem = safe_file_name(leaf(step.module).empty() ? step.outputs.front() : leaf(step.module));
  if (std::find(s.files.begin(), s.files.end(), "models/" + stem + ".npy") != s.files.end())
    stem = safe_file_name(p.spec->name + "_" + stem);  // two parts with tables of one name
  step.file = stem + ".npy";
  const std::string relative = "models/" + step.file;
  NPU_TRY(write_npy(c.run.path(relative), *step.table));
  NPU_ASSIGN(step.sha256, sha256_file(c.run.path(relative)));
  if (const std::string same = same_table(c, p, step); !same.empty()) {
    std::error_code ec;
    fs::remove(c.run.path(relative), ec);
    step.file = same;
    return {};
  }
  s.files.push_back(relative);
  const std::string info_name = stem == "token_embedding" ? "embedding_info.json" : stem + "_info.json";
  const Json info{{"version", 1},
                  {"vocab_size", step.table->shape[0]},
                  {"width", step.table->shape[1]},
                  {"dtype", std::string(long_name(step.table->dtype))},
                  {"file", step.file},
                  {"sha256", step.sha256},
                  {"part", p.spec->name}};
  NPU_TRY(write_file(c.run.path("models/" + info_name), dump_json(info)));
  s.files.push_back("models/" + info_name);
  return {};
}

Status write_step_graph(PortContext& c, PartRun& p, HostStep& step, size_t index, PortStep& s) {
  step.file = safe_file_name(p.spec->name + "_" + c.run.project.name + "_host" + std::to_string(index)) +
              model_ending(c.run.target);
  const std::string relative = "models/" + step.file;
  NPU_TRY(write_model_file(c.run.app, *step.graph, c.run.path(relative), {.opset = p.opset}));
  NPU_ASSIGN(step.sha256, sha256_file(c.run.path(relative)));
  s.files.push_back(relative);
  return {};
}

Json ports_json(const std::vector<IoBinding>& bindings, const Graph& g, const std::vector<ValueId>& values) {
  Json out = Json::array();
  for (size_t i = 0; i < values.size(); ++i) {
    const Value& v = g.value(values[i]);
    Json j{{"name", v.name},
           {"dtype", std::string(long_name(v.type.dtype))},
           {"shape", v.type.shape},
           {"carries", bindings[i].name}};
    const bool merged = !bindings[i].shape.empty();  // how: "io", by the name it carries
    j["layout"] = merged ? "merged" : bindings[i].permutation.empty() ? "as in the model" : "permuted";
    if (!merged && !bindings[i].permutation.empty()) j["permutation"] = bindings[i].permutation;
    out.push_back(std::move(j));
  }
  return out;
}

Json gates_json(const PortRun& run, const PortStep& write_step, const std::string& part) {
  Json out = Json::array();
  const auto add = [&](const PortStep& s) {
    for (const Proof& p : s.proofs)
      if (p.part == part || p.part.empty())
        out.push_back(Json{{"step", s.id},
                           {"what", p.what},
                           {"sample", p.sample},
                           {"gate", p.gate},
                           {"verdict", std::string(name(p.result.verdict))}});
  };
  for (const PortStep& s : run.steps) add(s);
  add(write_step);
  return out;
}

Result<Json> part_json(PortContext& c, PartRun& p, const PortStep& s) {
  Json j{{"name", p.spec->name}, {"file", fs::path(p.file_name).filename().string()}};
  NPU_ASSIGN(const std::string hash, sha256_file(c.run.path(p.file_name)));
  std::error_code ec;
  j["sha256"] = hash;
  j["bytes"] = fs::file_size(c.run.path(p.file_name), ec);
  if (p.opset != 0) j["opset"] = p.opset;
  if (!p.opset_tries.empty()) j["opset_tries"] = p.opset_tries;
  j["source"] = Json{{"file", fs::path(p.spec->model).filename().string()}, {"sha256", p.model_hash}};
  j["inputs"] = ports_json(p.contract.file_inputs, p.rewritten, p.rewritten.inputs());
  j["outputs"] = ports_json(p.contract.file_outputs, p.rewritten, p.rewritten.outputs());
  j["io"] = to_json(p.contract);
  // What tiles of a picture must overlap by; networks without such a limit have no entry.
  if (const auto field = receptive_field(p.rewritten))
    j["receptive_field"] = Json{{"radius", field->radius}, {"step", field->step}};
  j["gates"] = gates_json(c.run, s, p.spec->name);
  return j;
}

// The vocabulary and tokenisers that the decoding rules name, files beside them, go beside the metadata.
Status carry_text_files(PortContext& c, Json& task, PortStep& s) {
  const Json decode = task["decode"];  // a copy: entries are added to `task`
  for (const char* const key : kTextFiles) {
    if (!decode.is_object() || !decode.contains(key) || !decode[key].is_string()) continue;
    const std::string name = decode[key].get<std::string>();
    if (name != safe_file_name(name))
      return Diag(diag::corrupt, std::string("'") + key + "' must be a file name of A-Z a-z 0-9 . _ -")
          .in_file(c.run.project.task.decode);
    NPU_ASSIGN(const std::string text,
               read_file((fs::path(c.run.project.task.decode).parent_path() / name).string(), uint64_t{64} << 20));
    const std::string relative = "models/" + name;
    NPU_TRY(write_file(c.run.path(relative), text));
    s.files.push_back(relative);
    task[key] = Json{{"file", name}, {"sha256", sha256_hex(std::string_view(text))}};
  }
  return {};
}

}  // namespace

Status write_host_files(PortContext& c, PartRun& p, PortStep& s) {
  for (size_t i = 0; i < p.contract.host_steps.size(); ++i) {
    HostStep& step = p.contract.host_steps[i];
    if (step.table) {
      NPU_TRY(write_table(c, p, step, s));
    } else if (step.graph) {
      NPU_TRY(write_step_graph(c, p, step, i, s));
    }
  }
  return {};
}

Status write_metadata(PortContext& c, PortStep& s) {
  const PortRun& run = c.run;
  Json j{{"version", 1},
         {"name", run.project.name},
         {"tool", "npuport " + version()},
         {"target", Json{{"name", run.target.name}, {"identity", run.target.identity}}},
         {"parts", Json::array()},
         {"links", Json::array()}};
  for (PartRun& p : c.run.parts) {
    NPU_ASSIGN(Json part, part_json(c, p, s));
    j["parts"].push_back(std::move(part));
  }
  for (const ProjectLink& l : run.project.links)
    j["links"].push_back(
        Json{{"from", l.from_part + ".out." + std::to_string(l.from_output)}, {"to", l.to_part + "." + l.to_input}});
  if (!run.project.task.kind.empty()) {
    j["task"] = Json{{"kind", run.project.task.kind}};
    if (!run.project.task.mean.empty()) j["task"]["mean"] = run.project.task.mean;
    if (!run.project.task.scale.empty()) j["task"]["scale"] = run.project.task.scale;
    if (!run.project.task.decode.empty()) {
      NPU_ASSIGN(const std::string text, read_file(run.project.task.decode, uint64_t{16} << 20));
      NPU_ASSIGN(j["task"]["decode"], parse_json(text, run.project.task.decode));
      NPU_TRY(carry_text_files(c, j["task"], s));
    }
  }
  const std::string relative = "models/" + run.project.name + "_metadata.json";
  NPU_TRY(write_file(run.path(relative), dump_json(j)));
  s.files.push_back(relative);
  return {};
}

}  // namespace npuport::app
