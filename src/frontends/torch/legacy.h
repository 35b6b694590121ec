// torch.save before PyTorch 1.6 (and `_use_new_zipfile_serialization=False`): five pickles, then raw storages.
#pragma once

#include <map>
#include <string>

#include "base/mapped_file.h"
#include "base/result.h"
#include "frontends/torch/pickle.h"

namespace npuport {

struct LegacyStorage {
  size_t offset = 0;  // in the file
  size_t size = 0;    // bytes
};

struct LegacyCheckpoint {
  Pickle data;
  bool big_endian = false;
  std::map<std::string, LegacyStorage, std::less<>> storages;  // by key
};

bool looks_like_legacy_checkpoint(std::span<const std::byte> bytes);
// unknown_format when it is none; unsupported for the tar files of PyTorch 0.1; truncated, corrupt.
Result<LegacyCheckpoint> read_legacy_checkpoint(const MappedFile& file);

}  // namespace npuport
