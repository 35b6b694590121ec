// Runs a model for the test doubles of vendor libraries, in a process of its own, by reference kernels. Started by
// client.h with the model's path: a stand-in compiler's file (16 bytes "STANDIN-…", 64-bit size, the original model) or
// any model file. Talks over stdin and stdout; see client.h.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "exec/executor.h"
#include "frontends/frontend.h"
#include "ops/manifest.h"

namespace {

using npuport::Tensor;

bool read_all(void* data, size_t bytes) { return bytes == 0 || std::fread(data, 1, bytes, stdin) == bytes; }
void write_all(const void* data, size_t bytes) {
  if (bytes > 0 && std::fwrite(data, 1, bytes, stdout) != bytes) std::exit(3);
}
void put(uint32_t v) { write_all(&v, sizeof v); }
void put(const std::string& s) {
  put(static_cast<uint32_t>(s.size()));
  write_all(s.data(), s.size());
}

[[noreturn]] void refuse(const npuport::Diag& d) {
  put(UINT32_MAX);
  put(npuport::to_text(d));
  std::fflush(stdout);
  std::exit(1);
}

// The path of the model inside a stand-in's file, or the file's own.
std::string unwrap(const std::string& path) {
  const auto file = npuport::MappedFile::open(path);
  if (!file) refuse(file.error());
  const std::span<const std::byte> bytes = (*file)->bytes();
  constexpr size_t head = 16 + 8;
  if (bytes.size() < head || std::memcmp(bytes.data(), "STANDIN-", 8) != 0) return path;
  uint64_t size = 0;
  std::memcpy(&size, bytes.data() + 16, sizeof size);
  if (size != bytes.size() - head) refuse(npuport::Diag());
  const int fd = ::memfd_create("standin-model", 0);
  if (fd < 0 || ::write(fd, bytes.data() + head, size) != static_cast<ssize_t>(size)) std::exit(3);
  return "/proc/self/fd/" + std::to_string(fd);
}

void describe(const npuport::Graph& g, const std::vector<npuport::ValueId>& values) {
  for (const npuport::ValueId v : values) {
    put(g.value(v).name);
    put(static_cast<uint32_t>(g.type(v).dtype));
    put(static_cast<uint32_t>(g.type(v).shape.size()));
    for (const int64_t d : g.type(v).shape) put(static_cast<uint32_t>(d));
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  npuport::ops::register_all();
  auto model = npuport::import_model(unwrap(argv[1]), {});
  if (!model) refuse(model.error());
  npuport::ExecOptions options;
  options.threads = 1;
  auto executor = npuport::Executor::create(model->graph, options);
  if (!executor) refuse(executor.error());
  const npuport::Graph& g = model->graph;
  put(static_cast<uint32_t>(g.inputs().size()));
  put(static_cast<uint32_t>(g.outputs().size()));
  describe(g, g.inputs());
  describe(g, g.outputs());
  std::fflush(stdout);
  for (char go = 0; read_all(&go, 1);) {
    std::vector<Tensor> in;
    for (const npuport::ValueId v : g.inputs()) {
      in.push_back(Tensor::zeros(g.type(v).dtype, g.type(v).shape));
      if (!read_all(in.back().mutable_data(), static_cast<size_t>(in.back().bytes()))) return 3;
    }
    const auto out = executor->run(in);
    put(out ? 0U : 1U);
    if (out)
      for (const Tensor& t : *out) write_all(t.data, static_cast<size_t>(t.bytes()));
    std::fflush(stdout);
  }
  return 0;
}
