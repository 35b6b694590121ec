// What `inspect` says of any file: checkpoints of every age, archives, and all other formats by their frontends.
#include "frontends/frontend.h"
#include "frontends/torch/checkpoint.h"
#include "fuzz.h"
#include "ops/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace npuport;
  ops::register_all();
  const fuzz::MemoryFile file(data, size);
  if (accepts_checkpoint(file.path())) (void)inspect_checkpoint(file.path()).ok();
  for (const Frontend& f : frontends())
    if (f.accepts(file.path())) (void)f.inspect(file.path()).ok();
  return 0;
}
