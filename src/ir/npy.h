// NumPy's .npz files: archives of .npy.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/npy.h"
#include "base/zip.h"

namespace npuport {

// Arrays by name, in the file's order.
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

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
