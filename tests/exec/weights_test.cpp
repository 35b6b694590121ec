// Weights in a mapped file: once a kernel has packed its own copy, the file's pages leave the process's memory.
#include <cstdio>
#include <fstream>

#include "base/atomic_file.h"
#include "base/mapped_file.h"
#include "support.h"
#include "support/temp_folder.h"

namespace npuport {
namespace {

using namespace npuport::testing;

// Resident kilobytes of the map that holds `data`.
int64_t resident_kb(const std::byte* data) {
  std::ifstream maps("/proc/self/smaps");
  std::string line;
  bool ours = false;
  while (std::getline(maps, line)) {
    unsigned long long begin = 0, end = 0;
    long long kb = 0;
    const auto at = reinterpret_cast<unsigned long long>(data);
    if (std::sscanf(line.c_str(), "%llx-%llx ", &begin, &end) == 2) ours = begin <= at && at < end;
    if (ours && std::sscanf(line.c_str(), "Rss: %lld kB", &kb) == 1) return kb;
  }
  return -1;
}

TEST(Weights, PackedCopiesReplaceTheMap) {
  const TempFolder folder;
  const Tensor weight = random_tensor({1024, 512}, 3, -0.05F, 0.05F);
  ASSERT_TRUE(
      write_file(folder.path("w"), {reinterpret_cast<const char*>(weight.data), static_cast<size_t>(weight.bytes())})
          .ok());
  const auto file = MappedFile::open(folder.path("w"));
  ASSERT_TRUE(file.ok());
  Tensor mapped = weight;
  mapped.owner = *file;
  mapped.data = (*file)->bytes().data();
  EXPECT_TRUE(identical(mapped, weight));  // reads every page
  EXPECT_GE(resident_kb(mapped.data), 2048);
  Net net;
  const ValueId x = net.input({40, 512});
  net.finish({net.b.op("linear", {x, net.b.constant(mapped)})});
  Result<Executor> e = Executor::create(net.g, {.threads = 1});
  ASSERT_TRUE(e.ok());
  EXPECT_LE(resident_kb(mapped.data), 64);
  // Whoever looks again reads the file again.
  const Ran want = run(net.g, net.inputs, {.threads = 1, .overrides = false});
  const auto got = e->run(net.inputs);
  ASSERT_TRUE(got.ok());
  EXPECT_LE(largest_difference((*got)[0], want.outputs[0]), 1e-5);
  EXPECT_TRUE(identical(mapped, weight));
}

}  // namespace
}  // namespace npuport
