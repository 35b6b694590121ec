// What torch.jit.save and torch.save write: a zip with pickles and raw storages, or the older formats of torch.save.
// Storages stay in the mapped file; nothing in a pickle is executed.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"
#include "frontends/torch/pickle.h"
#include "ir/tensor.h"

namespace npuport {

enum class TorchFileKind : uint8_t {
  torchscript,        // zip with data.pkl, constants.pkl and code/
  checkpoint,         // zip of torch.save: data.pkl, no code
  legacy_checkpoint,  // torch.save before 1.6: five pickles, then storages; or the tar of 0.1
};

// Cheap look at a file: which kind, or nullopt for anything else (unreadable included). pt2 archives of torch.export
// are not torch files in this sense.
std::optional<TorchFileKind> sniff_torch_file(const std::string& path);

// An opened file. Copies share the state. Not safe for use from two threads at once. PickleValue pointers stay valid as
// long as any copy lives; Tensors keep the mapped file alive by themselves.
class TorchArchive {
 public:
  // Reads the listing, data.pkl and constants.pkl; storages are not touched. TorchScript pickles are read strictly
  // (unsafe_pickle for a class off the closed list); torch.save files record unknown classes instead.
  // Errors: file_not_found, not_readable, unknown_format, truncated, corrupt, missing_entry, unsafe_pickle, too_large.
  static Result<TorchArchive> open(const std::string& path);
  static Result<TorchArchive> open(std::shared_ptr<const MappedFile> file);

  const std::string& path() const;
  uint64_t file_bytes() const;
  TorchFileKind kind() const;
  int64_t version() const;                    // archive format (3 for PyTorch 1.6 to today); 0 when the file says none
  bool big_endian() const;                    // byte order of the storages
  const std::vector<Diag>& warnings() const;  // newer version …

  // Root of data.pkl: for TorchScript the module object, its attributes in `state`.
  const PickleValue& data() const;
  // The constants CONSTANTS.c0, c1 …: items of constants.pkl; empty when there is none.
  std::span<const PickleValue* const> constants() const;
  // The whole data.pkl (class list and so on).
  const Pickle& data_pickle() const;

  // Names below code/, sorted: "__torch__.py", "__torch__/torch/nn/modules/conv.py" … (without .debug_pkl files).
  std::vector<std::string> code_files() const;
  // Text of one of them; missing_entry when there is none.
  Result<std::string> code(std::string_view name) const;
  // The pickle NAME.debug_pkl beside a code file (tuples of strings and integers); nullptr when the archive has none.
  // Cached.
  Result<const Pickle*> debug(std::string_view name) const;
  // traced_inputs.pkl: a dict of method name → list of the example inputs; nullptr when the archive has none. Cached.
  Result<const PickleValue*> traced_inputs() const;

  // The dense little-endian tensor a `tensor` value describes. The same storage, offset, sizes, strides and dtype give
  // the same object (tied weights). Contiguous ones point into the mapped file. Quantised tensors give their integers.
  // Errors: missing_entry, corrupt (outside its storage), unsupported (complex, float8 … by name), too_large.
  Result<std::shared_ptr<const Tensor>> tensor(const PickleValue& v) const;
  Result<std::shared_ptr<const Tensor>> tensor(const TensorRecord& r) const;
  // Only the checks of `tensor`, and whether the bytes are there.
  Status check_tensor(const TensorRecord& r) const;

  // Entry names relative to the archive's root folder, in file order.
  std::vector<std::string> entries() const;
  bool has(std::string_view entry) const;
  // Contents of an entry, inflated when compressed; missing_entry otherwise.
  Result<std::string> read(std::string_view entry) const;

  // CRC-32 of every entry (reads the whole file); corrupt naming the first bad one.
  Status verify_checksums() const;
  // file_changed when the file was modified since `open`.
  Status check_unchanged() const;

 private:
  struct State;
  explicit TorchArchive(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace npuport
