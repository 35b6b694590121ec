#include "app/project.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "base/text.h"
#include "target/toml_reader.h"

namespace npuport::app {
namespace {

namespace fs = std::filesystem;

class ProjectReader : private TomlReader {
 public:
  explicit ProjectReader(const std::string& path) : TomlReader(path), folder_(fs::path(path).parent_path()) {}

  Result<Project> run() {
    NPU_ASSIGN(const std::string content, read_file(file(), uint64_t{4} << 20));
    NPU_ASSIGN(const toml::table root, parse(content));
    allow(root, "the project", {"version", "name", "target", "part", "link", "task"});
    check_version(root);
    p_.name = text(root, "name", true);
    p_.target = text(root, "target", false);
    p_.file = file();
    for (const toml::table* t : tables(root, "part")) part(*t);
    if (p_.parts.empty()) fail(&root, diag::syntax, "the project has no [[part]]");
    for (const toml::table* t : tables(root, "link")) link(*t);
    if (const toml::table* t = root["task"].as_table()) task(*t);
    check_names(root);
    if (failed()) return take_error();
    return std::move(p_);
  }

 private:
  std::string resolve(const std::string& path) const {
    return path.empty() || fs::path(path).is_absolute() ? path : (folder_ / path).lexically_normal().string();
  }

  std::vector<std::string> resolve_all(std::vector<std::string> paths) const {
    for (std::string& p : paths) p = resolve(p);
    return paths;
  }

  void part(const toml::table& t) {
    allow(t, "[[part]]", {"name", "model", "shape_tag", "inputs", "samples", "gate"});
    ProjectPart part;
    part.name = text(t, "name", true);
    part.model = resolve(text(t, "model", true));
    part.shape_tag = text(t, "shape_tag", false);
    for (const toml::table* in : tables(t, "inputs")) input(*in, part);
    part.samples = resolve_all(texts(t, "samples"));
    part.gate = gate(t);
    p_.parts.push_back(std::move(part));
  }

  void input(const toml::table& t, ProjectPart& part) {
    allow(t, "inputs", {"name", "shape", "dtype", "range"});
    InputSpec spec;
    spec.name = text(t, "name", true);
    spec.type.shape = integers(t, "shape");
    const std::string dtype = text(t, "dtype", false);
    const auto parsed = parse_dtype(dtype.empty() ? "float32" : dtype);
    if (!parsed) fail(t.get("dtype"), diag::syntax, "unknown dtype '" + dtype + "'");
    spec.type.dtype = parsed.value_or(DType::f32);
    if (const Status s = check_shape(spec.type.shape); !s) fail(t.get("shape"), diag::dynamic_shape, s.error().message);
    const std::vector<int64_t> range = integers(t, "range");
    if (t.contains("range")) {
      if (range.size() != 2 || range[0] > range[1])
        fail(t.get("range"), diag::syntax, "range must be [low, high]");
      else
        part.ranges[spec.name] = {static_cast<double>(range[0]), static_cast<double>(range[1]),
                                  is_integer(spec.type.dtype)};
    }
    part.inputs.push_back(std::move(spec));
  }

  Gate gate(const toml::table& owner) {
    Gate g;
    const toml::table* t = owner["gate"].as_table();
    if (!t) return g;
    allow(*t, "gate", {"kind", "peak", "max_diff", "threshold", "iou"});
    const Result<GateKind> kind = parse_gate_kind(text(*t, "kind", true));
    if (!kind) fail(t, diag::syntax, "gate kind must be general, image, mask or text");
    if (kind) g.kind = *kind;
    if (const auto peak = number(*t, "peak")) g.peak = *peak;
    if (const auto d = number(*t, "max_diff")) g.max_diff = *d;
    if (const auto d = number(*t, "threshold")) g.threshold = *d;
    if (const auto d = number(*t, "iou")) g.iou = *d;
    return g;
  }

  void link(const toml::table& t) {
    allow(t, "[[link]]", {"from", "to"});
    const std::string from = text(t, "from", true);
    const std::string to = text(t, "to", true);
    if (failed()) return;
    ProjectLink l;
    const size_t out = from.find(".out.");
    const size_t dot = to.find('.');
    const std::string number = out == std::string::npos ? "" : from.substr(out + 5);
    const auto [end, ec] = std::from_chars(number.data(), number.data() + number.size(), l.from_output);
    if (number.empty() || ec != std::errc() || end != number.data() + number.size())
      return fail(t.get("from"), diag::syntax, "a link starts at PART.out.N");
    if (dot == std::string::npos) return fail(t.get("to"), diag::syntax, "a link ends at PART.INPUT");
    l.from_part = from.substr(0, out);
    l.to_part = to.substr(0, dot);
    l.to_input = to.substr(dot + 1);
    if (!p_.part(l.from_part)) fail(t.get("from"), diag::syntax, "no part '" + l.from_part + "'");
    if (!p_.part(l.to_part)) fail(t.get("to"), diag::syntax, "no part '" + l.to_part + "'");
    p_.links.push_back(std::move(l));
  }

  void task(const toml::table& t) {
    allow(t, "[task]", {"kind", "samples", "decode", "mean", "scale", "gate"});
    p_.task.kind = text(t, "kind", true);
    const bool text_task = p_.task.kind == "asr" || p_.task.kind == "nmt";
    if (!text_task && p_.task.kind != "sr" && p_.task.kind != "general")
      fail(t.get("kind"), diag::syntax, "task kind must be asr, nmt, sr or general");
    p_.task.samples = resolve_all(texts(t, "samples"));
    p_.task.decode = resolve(text(t, "decode", text_task));
    p_.task.mean = numbers(t, "mean");
    p_.task.scale = numbers(t, "scale");
    p_.task.gate = gate(t);
  }

  // A number, or an array of numbers.
  std::vector<double> numbers(const toml::table& t, const char* key) {
    std::vector<double> out;
    const toml::node* node = t.get(key);
    if (!node) return out;
    if (const auto one = node->value<double>()) return {*one};
    if (const toml::array* all = node->as_array())
      for (const toml::node& v : *all) out.push_back(v.value<double>().value_or(std::nan("")));
    if (out.empty() || !std::all_of(out.begin(), out.end(), [](double v) { return std::isfinite(v); }))
      fail(node, diag::syntax, std::string(key) + " must be a number or a list of numbers");
    return out;
  }

  void check_names(const toml::table& root) {
    for (size_t i = 0; i < p_.parts.size(); ++i) {
      if (p_.parts[i].name != safe_file_name(p_.parts[i].name))
        fail(&root, diag::syntax, "part name '" + p_.parts[i].name + "' may hold A-Z a-z 0-9 . _ - only");
      for (size_t k = 0; k < i; ++k)
        if (p_.parts[k].name == p_.parts[i].name)
          fail(&root, diag::syntax, "two parts named '" + p_.parts[i].name + "'");
    }
    if (p_.name != safe_file_name(p_.name))
      fail(root.get("name"), diag::syntax, "the name may hold A-Z a-z 0-9 . _ - only");
  }

  fs::path folder_;
  Project p_;
};

// "part=path" → pair; without a known "part=" prefix the name is empty. A path may hold '=' itself.
std::pair<std::string, std::string> split_part(const std::string& text) {
  const size_t eq = text.find('=');
  if (eq == std::string::npos || eq == 0 || text.substr(0, eq).find('/') != std::string::npos) return {"", text};
  std::error_code ec;
  if (fs::exists(text, ec)) return {"", text};
  return {text.substr(0, eq), text.substr(eq + 1)};
}

std::string quoted(const std::string& s) {
  std::string out = "\"";
  for (const char c : s) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string gate_toml(const Gate& g) {
  static constexpr const char* kNames[] = {"general", "image", "mask", "text"};
  std::string out = std::string("gate = {kind = \"") + kNames[static_cast<size_t>(g.kind)] + "\"";
  if (g.peak) out += ", peak = " + to_text(AttrValue(*g.peak));
  return out + "}\n";
}

}  // namespace

const ProjectPart* Project::part(std::string_view wanted) const {
  for (const ProjectPart& p : parts)
    if (p.name == wanted) return &p;
  return nullptr;
}

Result<Project> read_project(const std::string& path) { return ProjectReader(path).run(); }

Result<Project> project_from_arguments(const PortArgs& args) {
  Project p;
  p.target = args.target;
  Gate gate;
  if (!args.gate.empty()) {
    NPU_ASSIGN(gate.kind, parse_gate_kind(args.gate));
  }
  for (const std::string& m : args.models) {
    auto [name, path] = split_part(m);
    if (name.empty() && args.models.size() > 1) return Diag(diag::usage, "several models need names: write PART=" + m);
    ProjectPart part;
    const std::string stem = safe_file_name(fs::path(path).stem().string());
    part.name = name.empty() ? "model" : safe_file_name(name);
    part.model = path;
    part.gate = gate;
    if (p.name.empty()) p.name = args.name.empty() ? stem : safe_file_name(args.name);
    p.parts.push_back(std::move(part));
  }
  if (p.parts.size() == 1 && p.parts[0].name == "model" && args.name.empty()) p.parts[0].name = "model";
  for (const std::string& s : args.samples) {
    const auto [name, path] = split_part(s);
    if (name.empty() && p.parts.size() > 1) return Diag(diag::usage, "several parts: write --samples PART=" + s);
    bool found = false;
    for (ProjectPart& part : p.parts)
      if (name.empty() || part.name == name) {
        part.samples.push_back(path);
        found = true;
      }
    if (!found) return Diag(diag::usage, "--samples " + s + ": there is no part '" + name + "'");
  }
  if (p.parts.size() == 1) {
    p.parts[0].shapes = args.shapes;
  } else if (!args.shapes.empty()) {
    return Diag(diag::usage, "--shape works with one model only", "give samples per part, or write a port.toml");
  }
  return p;
}

Status settle_shapes(Project& p) {
  for (ProjectPart& part : p.parts) {
    if (part.shapes.empty()) continue;
    NPU_ASSIGN(const Frontend* frontend, frontend_for(part.model));
    NPU_ASSIGN(const FileFacts facts, frontend->inspect(part.model));
    std::vector<SampleFile> first;
    if (!part.samples.empty()) {
      NPU_ASSIGN(const std::vector<std::string> paths, sample_paths(part.samples));
      NPU_ASSIGN(first, read_samples({paths.front()}));
    }
    Result<std::vector<InputSpec>> inputs = input_specs(facts, first.empty() ? nullptr : &first.front(), part.shapes);
    if (!inputs) return std::move(inputs).error().in_file(part.model);
    part.inputs = std::move(*inputs);
    part.shapes.clear();
  }
  return {};
}

std::string to_toml(const Project& p, const std::string& folder) {
  const auto relative = [&](const std::string& path) {
    std::error_code ec;
    const fs::path r = fs::relative(path, folder, ec);
    return quoted(ec || r.empty() ? path : r.generic_string());
  };
  const auto list = [&](const std::vector<std::string>& paths) {
    std::string out = "samples = [";
    for (size_t i = 0; i < paths.size(); ++i) out += (i ? ", " : "") + relative(paths[i]);
    return out + "]\n";
  };
  std::string out = "version = 1\nname = " + quoted(p.name) + "\ntarget = " + quoted(p.target) + "\n";
  for (const ProjectPart& part : p.parts) {
    out += "\n[[part]]\nname = " + quoted(part.name) + "\nmodel = " + relative(part.model) + "\n";
    if (!part.shape_tag.empty()) out += "shape_tag = " + quoted(part.shape_tag) + "\n";
    if (!part.inputs.empty()) {
      out += "inputs = [\n";
      for (const InputSpec& i : part.inputs) {
        out += "  {name = " + quoted(i.name) + ", shape = " + to_text(AttrValue(i.type.shape)) +
               ", dtype = " + quoted(std::string(long_name(i.type.dtype))) + "},\n";
      }
      out += "]\n";
    }
    out += list(part.samples) + gate_toml(part.gate);
  }
  for (const ProjectLink& l : p.links)
    out += "\n[[link]]\nfrom = " + quoted(l.from_part + ".out." + std::to_string(l.from_output)) +
           "\nto = " + quoted(l.to_part + "." + l.to_input) + "\n";
  if (!p.task.kind.empty()) {
    out += "\n[task]\nkind = " + quoted(p.task.kind) + "\n" + list(p.task.samples);
    if (!p.task.decode.empty()) out += "decode = " + relative(p.task.decode) + "\n";
    if (!p.task.mean.empty()) out += "mean = " + to_text(AttrValue(p.task.mean)) + "\n";
    if (!p.task.scale.empty()) out += "scale = " + to_text(AttrValue(p.task.scale)) + "\n";
    out += gate_toml(p.task.gate);
  }
  return out;
}

}  // namespace npuport::app
