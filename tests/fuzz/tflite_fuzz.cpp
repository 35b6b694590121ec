#include "frontends/tflite.h"
#include "fuzz.h"
#include "ir/text.h"
#include "ops/manifest.h"

// Anything that claims to be a TFLite file; what is read must print.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace npuport;
  ops::register_all();
  const auto model = import_tflite(MappedFile::from_bytes(fuzz::text(data, size), "fuzz"), {});
  if (model) (void)print(model->graph);
  return 0;
}
