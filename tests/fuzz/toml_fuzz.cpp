// Every TOML file and expression a user can hand in: the first byte chooses the reader.
#include "app/project.h"
#include "app/rewrites_file.h"
#include "fuzz.h"
#include "ir/registry.h"
#include "ops/manifest.h"
#include "target/target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace npuport;
  ops::register_all();
  if (size == 0) return 0;
  const std::string text = fuzz::text(data + 1, size - 1);
  const auto as_file = [&] { return fuzz::MemoryFile(data + 1, size - 1); };
  switch (data[0]) {
    case 't':
      if (const auto t = parse_target(text, "fuzz.toml")) (void)target_fingerprint(*t);
      break;
    case 'p': {
      const auto file = as_file();
      if (const auto p = app::read_project(file.path())) (void)app::to_toml(*p, "/");
      break;
    }
    case 'r': {
      const auto file = as_file();
      (void)app::read_rewrites(file.path()).ok();
      break;
    }
    default:
      (void)Expr::parse(text, &op("conv2d")).ok();
  }
  return 0;
}
