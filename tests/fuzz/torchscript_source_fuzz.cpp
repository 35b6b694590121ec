#include "frontends/torch/script_parser.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  (void)npuport::script::parse_module(npuport::fuzz::text(data, size));
  return 0;
}
