// NumPy's .npy files.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/tensor.h"

namespace npuport {

// True when the bytes start as a .npy file does.
bool looks_like_npy(std::span<const std::byte> bytes);

// What a .npy file says of itself.
struct NpyHeader {
  DType dtype = DType::unknown;
  bool big_endian = false;
  bool fortran = false;  // the first axis varies fastest
  Shape shape;
  std::span<const std::byte> data;  // exactly the elements, as stored
};
// Errors of parse_npy. `void_pairs`: the type of elements NumPy calls V2 (it has no bfloat16 of its own); unknown
// refuses them.
Result<NpyHeader> parse_npy_header(std::span<const std::byte> bytes, DType void_pairs = DType::unknown);
// The array: points to `h.data` (kept alive by `owner`) where it lies as a Tensor wants it, else a dense copy.
Tensor npy_tensor(const NpyHeader& h, std::shared_ptr<const void> owner);

// Reads versions 1 to 3, either byte order, C or Fortran order, of f2 f4 f8 i1…i8 u1…u8 b1. Points into `bytes` (kept
// alive by `owner`) where it can. Errors: unknown_format, truncated,
// corrupt, too_large, newer_version, unsupported (strings, objects, complex, structures: by name).
Result<Tensor> parse_npy(std::span<const std::byte> bytes, std::shared_ptr<const void> owner);
// The same from a file; also file_not_found, not_readable.
Result<Tensor> read_npy(const std::string& path);

// What comes before the data of `t` in a .npy file (version 1, or 2 for huge shapes), a multiple of 64 bytes long.
// dtype_mismatch for bf16, i4, u4: NumPy has no such types.
Result<std::string> npy_header(const Tensor& t);
// Atomic; not_writable.
Status write_npy(const std::string& path, const Tensor& t);

}  // namespace npuport
