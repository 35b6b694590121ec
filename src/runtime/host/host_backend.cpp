// Backend "host": npuport's executor on models of every format the readers know.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "base/diag_codes.h"
#include "exec/executor.h"
#include "frontends/frontend.h"
#include "ops/manifest.h"
#include "runtime/backend.h"
#include "runtime/npuport_runtime_host.h"

namespace npuport::runtime {
namespace {

// Readers take paths: a model in memory gets an anonymous one for as long as it is read.
class MemoryFile {
 public:
  ~MemoryFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  Result<std::string> write(std::span<const std::byte> bytes) {
    fd_ = ::memfd_create("npuport-model", MFD_CLOEXEC);
    while (fd_ >= 0 && !bytes.empty()) {
      const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
      if (n <= 0) break;
      bytes = bytes.subspan(static_cast<size_t>(n));
    }
    if (fd_ < 0 || !bytes.empty())
      return Diag(diag::not_readable, std::string("cannot read the model from memory: ") + std::strerror(errno));
    return "/proc/self/fd/" + std::to_string(fd_);
  }

 private:
  int fd_ = -1;
};

std::vector<IoInfo> infos(const Graph& g, const std::vector<ValueId>& values) {
  std::vector<IoInfo> out;
  for (const ValueId v : values) out.push_back({g.value(v).name, g.type(v), NPUPORT_LAYOUT_MODEL, {}});
  return out;
}

class HostModel : public Model {
 public:
  HostModel(const Graph& g, Executor executor) : executor_(std::move(executor)) {
    inputs_ = infos(g, g.inputs());
    outputs_ = infos(g, g.outputs());
  }

  Status run(std::span<const Tensor> inputs, std::span<Tensor> outputs) override {
    NPU_ASSIGN(std::vector<Tensor> out, executor_.run(inputs));
    for (size_t i = 0; i < out.size() && i < outputs.size(); ++i) {
      outputs[i] = std::move(out[i]);
      if (outputs[i].owner) continue;
      // An input handed through is the caller's memory, which may change before the output is read.
      Tensor copy = Tensor::zeros(outputs[i].dtype, outputs[i].shape);
      if (copy.bytes() > 0) std::memcpy(copy.mutable_data(), outputs[i].data, static_cast<size_t>(copy.bytes()));
      outputs[i] = std::move(copy);
    }
    return {};
  }

  Json details() const override {
    Json operators = Json::array();
    for (const NodeTime& t : executor_.profile())
      operators.push_back(Json{{"op", t.op}, {"kernel", t.kernel}, {"milliseconds", t.milliseconds}});
    return Json{{"arena_bytes", executor_.arena_bytes()}, {"operators", std::move(operators)}};
  }

 private:
  Executor executor_;
};

Diag opaque(const std::vector<OpaqueOperator>& operators) {
  std::string list;
  for (const OpaqueOperator& o : operators) list += (list.empty() ? "" : ", ") + o.foreign;
  return Diag(diag::unsupported_op, "operators without a mapping: " + list, "port the model first: `npuport port`");
}

Result<std::unique_ptr<Model>> load(const ModelSource& source, const Options& options) {
  NPU_ASSIGN(const int64_t threads, options.integer("threads", 0, 0, 1024));
  NPU_ASSIGN(const int64_t profile, options.integer("profile", 0, 0, 1));
  NPU_ASSIGN(const int64_t reference, options.integer("reference", 0, 0, 1));
  MemoryFile memory;
  std::string path = source.path;
  if (path.empty()) {
    NPU_ASSIGN(path, memory.write(source.bytes));
  }
  auto imported = import_model(path, {});
  if (!imported) {
    Diag d = std::move(imported).error();
    if (source.path.empty()) d.where.file = source.name();
    return d;
  }
  if (!imported->opaque.empty()) return opaque(imported->opaque).in_file(source.name());
  ExecOptions exec;
  exec.threads = static_cast<int>(threads);
  exec.profile = profile == 1;
  exec.overrides = reference == 0;
  NPU_ASSIGN(Executor executor, Executor::create(imported->graph, exec));
  return std::unique_ptr<Model>(std::make_unique<HostModel>(imported->graph, std::move(executor)));
}

Json probe(const Options&) {
  std::string formats;
  for (const Frontend& f : frontends())
    if (f.import) formats += (formats.empty() ? "" : ", ") + std::string(f.format);
  return Json{{"usable", true},
              {"library", ""},
              {"version", npuport_runtime_version()},
              {"detail", "reads " + formats},
              {"hint", ""}};
}

constexpr std::string_view option_names[] = {"profile", "reference"};
constexpr Backend row{"host", "npuport's executor on this machine's processor", option_names, "", load, probe};

}  // namespace
}  // namespace npuport::runtime

void npuport_runtime_host_register(void) {
  npuport::ops::register_all();
  npuport::runtime::add_backend(npuport::runtime::row);
}
