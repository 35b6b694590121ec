#include "fuzz.h"
#include "ir/npy.h"

// .npy and .npz: told apart by their first bytes, as everywhere.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace npuport;
  const auto file = MappedFile::from_bytes(fuzz::text(data, size), "fuzz");
  if (const auto t = parse_npy(file->bytes(), file); t && t->count() > 0) (void)get_double(*t, t->count() - 1);
  if (!ZipReader::looks_like_zip(file->bytes())) return 0;
  const auto npz = NpzReader::open(file);
  if (!npz) return 0;
  size_t left = 32;
  for (const std::string& name : npz->names()) {
    if (left-- == 0) break;
    if (const auto t = npz->read(name); t && t->count() > 0) (void)get_double(*t, t->count() - 1);
  }
  return 0;
}
