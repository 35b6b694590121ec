// Command line values with a syntax of their own: the first byte chooses the parser.
#include "app/samples.h"
#include "drivers/tool_run.h"
#include "fuzz.h"
#include "ir/npy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace npuport;
  if (size == 0) return 0;
  const std::string text = fuzz::text(data + 1, size - 1);
  switch (data[0]) {
    case 's':
      if (const auto spec = app::parse_shape_option(text)) {
        for (const int64_t d : spec->type.shape)
          if (d < 0) std::abort();
        FileFacts facts;
        facts.inputs = {InputSpec{"x", {DType::f32, {1, 3, 8, 8}, nullptr}, nullptr}, InputSpec{}};
        for (const bool complete : {true, false}) {
          facts.inputs_complete = complete;
          (void)app::input_specs(facts, nullptr, {text}).ok();
        }
      }
      break;
    case 'w':
      (void)split_words(text).ok();
      break;
    default: {
      const fuzz::MemoryFile file(data + 1, size - 1);
      const auto arrays = read_npz(file.path());
      if (!arrays) break;
      app::SampleFile sample{"fuzz", {}};
      for (const auto& [name, tensor] : *arrays) sample.arrays.emplace_back(name, tensor);
      (void)sample.baseline().ok();
      const std::vector<InputSpec> none;
      const auto specs = app::specs_from_sample(sample, none);
      (void)app::bind_inputs(sample, specs).ok();
    }
  }
  return 0;
}
