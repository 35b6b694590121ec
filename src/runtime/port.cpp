#include "runtime/port.h"

#include <algorithm>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "base/hash.h"
#include "base/mapped_file.h"

namespace npuport::runtime {
namespace {

namespace fs = std::filesystem;
constexpr int64_t kVersion = 1;
constexpr uint64_t kMetadataLimit = uint64_t{16} << 20;

Result<std::string> find_metadata(const std::string& path) {
  std::error_code ec;
  if (!fs::is_directory(path, ec)) {
    if (fs::is_regular_file(path, ec) && !path.ends_with(".json"))
      return Diag(diag::bad_input_data, "this file is no port",
                  "give the output folder of `npuport port`, or its *_metadata.json")
          .in_file(path);
    return path;
  }
  const fs::path models = fs::path(path) / "models";
  const fs::path folder = fs::is_directory(models, ec) ? models : fs::path(path);
  std::vector<std::string> found;
  for (fs::directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec))
    if (it->path().filename().string().ends_with("_metadata.json")) found.push_back(it->path().string());
  if (found.size() == 1) return found.front();
  return Diag(found.empty() ? diag::file_not_found : diag::bad_input_data,
              "the folder holds " + std::to_string(found.size()) + " files *_metadata.json of a port",
              "give the output folder of `npuport port`, or one *_metadata.json")
      .in_file(path);
}

// Untrusted JSON: every access checks its kind; the first mistake sticks.
class Reader {
 public:
  explicit Reader(std::string file) : file_(std::move(file)) {}

  Result<std::vector<PortPart>> parts(const Json& j) {
    if (!j.is_object() || !j.contains("version") || !j["version"].is_number_integer()) return bad("no version");
    if (j["version"].get<int64_t>() > kVersion)
      return Diag(diag::newer_version,
                  "the metadata have version " + std::to_string(j["version"].get<int64_t>()) + ", this runtime reads " +
                      std::to_string(kVersion),
                  "use a newer runtime, or port again with this version")
          .in_file(file_);
    std::vector<PortPart> out;
    for (const Json& p : list(j, "parts")) {
      out.push_back(part(p));
      if (out.back().contract.file_inputs.size() != out.back().inputs.size() ||
          out.back().contract.file_outputs.size() != out.back().outputs.size())
        fail("part " + out.back().name + ": its contract and its inputs and outputs differ in number");
      if (error_) return std::move(*error_);
    }
    if (error_) return std::move(*error_);
    if (out.empty()) return bad("no part");
    return out;
  }

 private:
  Diag bad(const std::string& what) const {
    return Diag(diag::corrupt, "these are no metadata of a port: " + what, "port the model again").in_file(file_);
  }
  void fail(const std::string& what) {
    if (!error_) error_ = bad(what);
  }
  const Json& list(const Json& j, const char* key) {
    static const Json empty = Json::array();
    if (j.is_object() && j.contains(key) && j[key].is_array()) return j[key];
    fail(std::string("no list ") + key);
    return empty;
  }
  std::string text(const Json& j, const char* key) {
    if (j.is_object() && j.contains(key) && j[key].is_string()) return j[key].get<std::string>();
    fail(std::string("no text ") + key);
    return {};
  }
  Shape integers(const Json& j, const char* key) {
    Shape out;
    for (const Json& v : list(j, key)) {
      if (!v.is_number_integer()) fail(std::string(key) + " holds something else than integers");
      out.push_back(v.is_number_integer() ? v.get<int64_t>() : 0);
    }
    return out;
  }
  PartFile file(const Json& j) {
    PartFile f{text(j, "file"), text(j, "sha256"), -1};
    if (f.sha256.size() != 64) fail("the SHA-256 of '" + f.file + "' is none");
    if (j.is_object() && j.contains("bytes") && j["bytes"].is_number_integer()) f.bytes = j["bytes"].get<int64_t>();
    // The files lie beside the metadata: a path would let them name anything.
    if (f.file.empty() || f.file.find('/') != std::string::npos || f.file.starts_with('.'))
      fail("'" + f.file + "' is no plain file name");
    return f;
  }
  IoInfo io(const Json& j) {
    IoInfo i;
    i.name = text(j, "name");
    i.type.dtype = parse_dtype(text(j, "dtype")).value_or(DType::unknown);
    i.type.shape = integers(j, "shape");
    if (i.type.dtype == DType::unknown) fail("'" + i.name + "' has an unknown dtype");
    if (const Status s = check_shape(i.type.shape); !s) fail("'" + i.name + "': " + s.error().message);
    if (j.is_object() && j.contains("layout") && j["layout"] == "merged") i.layout = NPUPORT_LAYOUT_MERGED;
    if (j.is_object() && j.contains("permutation")) {
      i.layout = NPUPORT_LAYOUT_PERMUTED;
      i.permutation = integers(j, "permutation");
      if (i.permutation.size() != i.type.shape.size()) fail("'" + i.name + "' has a permutation of another rank");
    }
    return i;
  }
  PortPart part(const Json& j) {
    PortPart p;
    p.name = text(j, "name");
    p.files.push_back(file(j));
    for (const Json& i : list(j, "inputs")) p.inputs.push_back(io(i));
    for (const Json& o : list(j, "outputs")) p.outputs.push_back(io(o));
    if (j.is_object() && j.contains("artefacts"))
      for (const Json& a : list(j, "artefacts")) p.files.push_back(file(a));
    if (!j.is_object() || !j.contains("io")) {
      fail("part " + p.name + " has no contract (io)");
      return p;
    }
    Result<IoContract> c = io_contract_from_json(j["io"]);
    if (c) {
      p.contract = std::move(*c);
    } else if (!error_) {
      error_ = std::move(c).error().in_file(file_);
    }
    return p;
  }

  std::string file_;
  std::optional<Diag> error_;
};

std::string names(const std::vector<PortPart>& parts) {
  std::string out;
  for (const PortPart& p : parts) out += (out.empty() ? "" : ", ") + p.name;
  return out;
}

Status check_file(const std::string& path, const PartFile& f, bool hash) {
  std::error_code ec;
  const auto size = fs::file_size(path, ec);
  if (ec)
    return Diag(diag::file_not_found, "the port's file is not there", "copy the whole folder models/").in_file(path);
  if (f.bytes >= 0 && static_cast<uint64_t>(f.bytes) != size)
    return Diag(diag::corrupt,
                "the file has " + std::to_string(size) + " bytes, the metadata say " + std::to_string(f.bytes),
                "port the model again, or restore the file")
        .in_file(path);
  if (!hash) return {};
  NPU_ASSIGN(const std::string sha256, sha256_file(path));
  if (sha256 != f.sha256)
    return Diag(diag::corrupt, "the file is not the one the port wrote (SHA-256 differs)",
                "port the model again, or restore the file")
        .in_file(path);
  return {};
}

// "graph" steps are .tflite files of their own: run by the host backend where it is linked in, else by LiteRT.
Result<std::map<std::string, std::shared_ptr<Model>>> load_graph_steps(const IoContract& c, const std::string& folder,
                                                                       const Options& options) {
  std::map<std::string, std::shared_ptr<Model>> out;
  for (const HostStep& step : c.host_steps) {
    if (step.kind != "graph" || out.contains(step.file)) continue;
    const Backend* backend = find_backend("host");
    if (!backend) backend = find_backend("litert");
    if (!backend) return Diag(diag::unsupported, "no backend can run host steps");
    ModelSource source;
    source.path = folder + "/" + step.file;
    Options of_step;
    if (const std::string threads = options.get("threads"); !threads.empty()) of_step.set("threads", threads);
    auto model = backend->load(source, of_step);
    if (!model) {
      Diag d = std::move(model).error();
      d.with_note(
          Diag(diag::unsupported, "a part of the model runs on the host before or after the device (host step '" +
                                      step.file + "'): it needs the host backend or LiteRT"));
      return d;
    }
    out[step.file] = std::move(*model);
  }
  return out;
}

}  // namespace

Result<const Backend*> choose_backend(std::string_view name, std::string_view path) {
  if (name.empty()) {
    name = path.ends_with(".dla")  ? "neuron"
           : path.ends_with(".om") ? "ascend"
           : find_backend("host")  ? "host"
                                   : "litert";
  }
  if (const Backend* b = find_backend(name)) return b;
  std::string list;
  for (const Backend* b : backends()) list += (list.empty() ? "" : ", ") + std::string(b->name);
  return Diag(diag::usage, "there is no backend '" + std::string(name) + "', only: " + list,
              name == "host" ? "link npuport_runtime_host and call npuport_runtime_host_register()" : "");
}

Status check_options(const Options& options, const Backend& backend, std::span<const std::string_view> known) {
  for (const auto& [key, value] : options.values()) {
    const bool common = key == "threads" || std::find(known.begin(), known.end(), key) != known.end();
    if (common || std::find(backend.options.begin(), backend.options.end(), key) != backend.options.end()) continue;
    std::string list = "threads";
    for (const std::string_view k : known) list += ", " + std::string(k);
    for (const std::string_view k : backend.options) list += ", " + std::string(k);
    return Diag(diag::usage, "backend " + std::string(backend.name) + " knows no option '" + key + "', only: " + list);
  }
  return {};
}

Result<std::shared_ptr<PortFolder>> PortFolder::open(const std::string& path) {
  auto p = std::make_shared<PortFolder>();
  NPU_ASSIGN(p->path_, find_metadata(path));
  p->folder_ = fs::path(p->path_).parent_path().string();
  if (p->folder_.empty()) p->folder_ = ".";
  NPU_ASSIGN(const std::string text, read_file(p->path_, kMetadataLimit));
  NPU_ASSIGN(p->json_, parse_json(text, p->path_));
  NPU_TRY(p->read_parts());
  return p;
}

Status PortFolder::read_parts() {
  NPU_ASSIGN(parts_, Reader(path_).parts(json_));
  return {};
}

Result<const PortPart*> PortFolder::part(const char* name) const {
  for (const PortPart& p : parts_)
    if (name ? p.name == name : parts_.size() == 1) return &p;
  return Diag(diag::missing_entry,
              name ? "the port has no part '" + std::string(name) + "', only: " + names(parts_)
                   : "the port has several parts: " + names(parts_),
              "name one of them")
      .in_file(path_);
}

// Compiled files that came after the metadata: `port` names them {stem of the written model}_{chip}{suffix}.
std::vector<PartFile> PortFolder::compiled_files(const PortPart& part, std::string_view suffix) const {
  std::vector<PartFile> out;
  const std::string stem = fs::path(part.files.front().file).stem().string() + "_";
  std::error_code ec;
  for (fs::directory_iterator it(folder_, ec), end; !ec && it != end; it.increment(ec)) {
    const std::string name = it->path().filename().string();
    const bool listed =
        std::any_of(part.files.begin(), part.files.end(), [&](const PartFile& f) { return f.file == name; });
    if (!listed && name.starts_with(stem) && name.ends_with(suffix)) out.push_back({name, "", -1});
  }
  std::sort(out.begin(), out.end(), [](const PartFile& x, const PartFile& y) { return x.file < y.file; });
  return out;
}

Result<PartFile> PortFolder::choose_file(const PortPart& part, const Options& options, std::string_view suffix) const {
  const std::string wanted = options.get("file");
  if (wanted.empty() && suffix.empty()) return part.files.front();
  std::vector<PartFile> files = part.files;
  if (!suffix.empty())
    for (PartFile& f : compiled_files(part, suffix)) files.push_back(std::move(f));
  std::vector<PartFile> fitting;
  std::string list;
  for (const PartFile& f : files) {
    if (wanted.empty() ? f.file.ends_with(suffix) : f.file == wanted) fitting.push_back(f);
    list += (list.empty() ? "" : ", ") + f.file;
  }
  if (fitting.size() == 1) return std::move(fitting.front());
  if (fitting.size() > 1)
    return Diag(diag::usage, "part '" + part.name + "' has several files *" + std::string(suffix) + ": " + list,
                "name one by option file")
        .in_file(path_);
  return Diag(diag::missing_entry,
              "part '" + part.name + "' has no file " + (wanted.empty() ? "*" + std::string(suffix) : wanted) +
                  ", only: " + list,
              wanted.empty() ? "compile it: `npuport port` with the vendor's compiler configured" : "")
      .in_file(path_);
}

Result<std::shared_ptr<Session>> PortFolder::open_part(const PortPart& part, std::string_view backend_name,
                                                       const Options& options) const {
  static constexpr std::string_view known[] = {"interface", "verify", "file"};
  static constexpr std::string_view interfaces[] = {"model", "raw"};
  const std::string wanted_file = options.get("file");
  NPU_ASSIGN(const Backend* backend,
             choose_backend(backend_name, wanted_file.empty() ? part.files.front().file : wanted_file));
  NPU_TRY(check_options(options, *backend, known));
  NPU_ASSIGN(const std::string interface_name, options.choice("interface", interfaces));
  NPU_ASSIGN(const int64_t verify, options.integer("verify", 1, 0, 1));
  NPU_ASSIGN(const PartFile file, choose_file(part, options, backend->suffix));

  ModelSource source;
  source.path = folder_ + "/" + file.file;
  source.inputs = part.inputs;
  source.outputs = part.outputs;
  NPU_TRY(check_file(source.path, file, verify == 1 && !file.sha256.empty()));
  std::optional<Interface> interface;
  if (interface_name == "model") {
    interface.emplace();
    interface->contract = part.contract;
    NPU_TRY(load_host_tables(interface->contract, folder_, verify == 1));
    NPU_ASSIGN(interface->step_models, load_graph_steps(interface->contract, folder_, options));
  }
  NPU_ASSIGN(auto session, Session::open(*backend, source, options, std::move(interface)));
  return session;
}

Result<const char*> PortFolder::metadata(std::string_view pointer) {
  const std::lock_guard lock(mutex_);
  const std::string key(pointer);
  const auto known = texts_.find(key);
  if (known != texts_.end()) return known->second.c_str();
  const Json* at = &json_;
  std::string_view rest = pointer;
  while (!rest.empty()) {
    if (rest[0] != '/') return Diag(diag::usage, "'" + key + "' is no JSON pointer: each step begins with /");
    rest.remove_prefix(1);
    const size_t end = std::min(rest.find('/'), rest.size());
    std::string step;
    for (size_t i = 0; i < end; ++i) {
      const bool escape = rest[i] == '~' && i + 1 < end && (rest[i + 1] == '0' || rest[i + 1] == '1');
      step += escape ? (rest[++i] == '0' ? '~' : '/') : rest[i];
    }
    rest.remove_prefix(end);
    const Json* next = nullptr;
    if (at->is_object() && at->contains(step)) next = &(*at)[step];
    if (at->is_array() && !step.empty() && step.size() < 10 &&
        std::all_of(step.begin(), step.end(), [](char c) { return c >= '0' && c <= '9'; })) {
      const size_t i = std::stoul(step);
      if (i < at->size()) next = &(*at)[i];
    }
    if (!next) return Diag(diag::missing_entry, "the metadata have no entry " + key).in_file(path_);
    at = next;
  }
  const std::string text = at->is_string() ? at->get<std::string>() : dump_json(*at, -1);
  return texts_.emplace(key, text).first->second.c_str();
}

}  // namespace npuport::runtime
