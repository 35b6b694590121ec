// The container of a .pt2 file: where the program's JSON and the weights are.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/zip.h"
#include "frontends/torch/archive.h"

namespace npuport {

class Pt2Archive {
 public:
  // True when the listing has the entries of either container. Never fails.
  static bool looks_like(const std::string& path);
  // Reads the listing and the program's JSON; weights stay where they are.
  static Result<Pt2Archive> open(std::shared_ptr<const MappedFile> file);

  const Json& program() const { return program_; }
  // "PT2 archive" or "zip of PyTorch 2.1 to 2.7".
  const std::string& container() const { return container_; }
  uint64_t file_bytes() const;
  // Names of parameters, buffers and constants that the file holds.
  std::vector<std::string> weights() const;
  // The tensor called `name`; missing_entry, corrupt, unsupported (element types we lack; payloads that are objects).
  Result<std::shared_ptr<const Tensor>> weight(const std::string& name);
  // Elements and bytes of `name` as the file describes them, without reading it.
  Result<TensorType> weight_type(const std::string& name) const;

 private:
  Pt2Archive() = default;
  Status open_flat();
  Status open_archive(const std::string& root);
  Status add_pickled(const std::string& entry);
  Status add_payload(const std::string& folder, const std::string& config);
  Result<ZipBytes> read(const std::string& entry) const;

  // A weight stored as raw bytes, described by JSON; or one inside a pickled dict.
  struct Payload {
    std::string entry;
    TensorRecord record;
    const TorchArchive* pickled = nullptr;
  };

  std::shared_ptr<ZipReader> zip_;
  std::string path_, container_;
  Json program_;
  std::map<std::string, Payload, std::less<>> weights_;
  std::vector<std::unique_ptr<TorchArchive>> pickles_;
  bool big_endian_ = false;
};

// ---- the schema's JSON, read with checks: `corrupt` naming the key ----

// PyTorch's export numbers element types differently from ATen (FLOAT = 7).
std::optional<DType> dtype_of_export_type(int64_t number);
// The member `key` of an object.
Result<const Json*> json_member(const Json& j, const char* key);
Result<std::string> json_string(const Json& j, const char* key);
// A union is an object with one member that is set ({"as_int": 3}, with or without null siblings): its tag and value.
Result<std::pair<std::string, const Json*>> json_union(const Json& j);
// A size that is a number, or the hint of a symbol with `symbolic` set.
Result<int64_t> json_size(const Json& j, bool& symbolic);

}  // namespace npuport
