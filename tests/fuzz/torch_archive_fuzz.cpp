#include "frontends/torch/archive.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace npuport;
  const auto archive = TorchArchive::open(MappedFile::from_bytes(fuzz::text(data, size), "fuzz"));
  if (!archive) return 0;
  const auto read = [&](const Pickle& pickle) {
    size_t left = 64;
    for (const PickleValue& v : pickle.values) {
      // Expanded tensors may be 256 MiB each: only their checks are run.
      if (!v.is(PickleValue::Kind::tensor) || left-- == 0) continue;
      const bool possible = archive->check_tensor(*v.tensor).ok();
      if (element_count(v.tensor->sizes) > 1 << 16) continue;
      const auto t = archive->tensor(v);
      if (t && !possible) __builtin_trap();
      if (t && (*t)->count() > 0) (void)get_double(**t, (*t)->count() - 1);
    }
  };
  read(archive->data_pickle());
  for (const std::string& name : archive->code_files()) {
    (void)archive->code(name).ok();
    (void)archive->debug(name).ok();
  }
  (void)archive->traced_inputs().ok();
  return 0;
}
