#include "frontends/torch/pickle.h"
#include "frontends/torch/weights.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace npuport;
  PickleOptions options;
  for (const bool record : {false, true}) {
    options.record_unknown = record;
    const auto pickle = read_pickle(fuzz::bytes(data, size), options);
    if (!pickle) continue;
    if (!record && !pickle->called.empty()) __builtin_trap();
    (void)describe(*pickle->root);
    (void)find_model(*pickle->root);
    const auto weights = collect_weights(*pickle->root);
    (void)count_weights(weights, false);
    (void)guess_input_channels(weights);
  }
  return 0;
}
