// NumPy's .npy and .npz files.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/zip.h"
#include "ir/tensor.h"

namespace npuport {

// Arrays by name, in the file's order.
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

// True when the bytes start as a .npy file does.
bool looks_like_npy(std::span<const std::byte> bytes);

// Reads versions 1 to 3, either byte order, C or Fortran order, of f2 f4 f8 i1…i8 u1…u8 b1. Points into `bytes` (kept
// alive by `owner`) where they lie as a Tensor wants them, else a dense copy. Errors: unknown_format, truncated,
// corrupt, too_large, newer_version, unsupported (strings, objects, complex, structures: by name).
Result<Tensor> parse_npy(std::span<const std::byte> bytes, std::shared_ptr<const void> owner);
// The same from a file; also file_not_found, not_readable.
Result<Tensor> read_npy(const std::string& path);

// What comes before the data of `t` in a .npy file (version 1, or 2 for huge shapes), a multiple of 64 bytes long.
// dtype_mismatch for bf16, i4, u4: NumPy has no such types.
Result<std::string> npy_header(const Tensor& t);
// Atomic; not_writable.
Status write_npy(const std::string& path, const Tensor& t);

// An open .npz: arrays are read one by one, so that foreign members (strings, objects) do no harm.
class NpzReader {
 public:
  // Errors of ZipReader::open.
  static Result<NpzReader> open(const std::string& path);
  static Result<NpzReader> open(std::shared_ptr<const MappedFile> file);

  std::vector<std::string> names() const;  // without ".npy", in the file's order
  bool has(std::string_view name) const;
  // missing_entry when there is no such array; errors of parse_npy.
  Result<Tensor> read(std::string_view name) const;
  const std::string& path() const { return zip_.path(); }

 private:
  explicit NpzReader(ZipReader zip) : zip_(std::move(zip)) {}
  ZipReader zip_;
};

// All arrays of a .npz.
Result<NamedTensors> read_npz(const std::string& path);
// Stored, 64-byte aligned, the same bytes for the same arrays; atomic. bad_input_data for equal or empty names.
Status write_npz(const std::string& path, std::span<const std::pair<std::string, Tensor>> arrays);

}  // namespace npuport
