#include "frontends/pt2.h"
#include "fuzz.h"
#include "ops/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace npuport;
  ops::register_all();
  (void)import_pt2(MappedFile::from_bytes(fuzz::text(data, size), "fuzz"), {}).ok();
  return 0;
}
