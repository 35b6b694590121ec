#include "base/zip.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace npuport;
  ZipLimits limits;
  limits.max_inflated = uint64_t{1} << 20;
  const auto zip = ZipReader::open(MappedFile::from_bytes(fuzz::text(data, size), "fuzz"), limits);
  if (!zip) return 0;
  size_t left = 32;
  for (const ZipEntry& e : zip->entries()) {
    if (left-- == 0) break;
    (void)zip->check_crc(e).ok();
    const auto bytes = zip->read(e);
    if (bytes && bytes->bytes.size() != e.size) __builtin_trap();
    if (zip->find(e.name) != &e) __builtin_trap();
  }
  return 0;
}
