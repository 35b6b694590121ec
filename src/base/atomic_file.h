// Files that are either complete or not there: written aside in the same folder, then renamed over the target.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace npuport {

// An output in the making. Destroyed without `commit` it leaves nothing behind; where the file system allows it (most
// on Linux) not even a killed process does. A target that is a device or pipe (/dev/stdout) is written to directly.
class AtomicFile {
 public:
  // not_writable when the folder is missing or not writable, or the target is a folder.
  static Result<AtomicFile> create(const std::string& path);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&& other) noexcept;
  ~AtomicFile();

  // Appends. Small pieces are gathered; large ones go out at once. not_writable on a full disk and so on; the error
  // sticks, so only `commit` has to be checked.
  Status write(std::span<const std::byte> bytes);
  Status write(std::string_view text);
  Status zeros(uint64_t count);
  // Zeros up to the next multiple of `alignment` (a power of two).
  Status align(uint64_t alignment);
  // Overwrites bytes written before.
  Status write_at(uint64_t offset, std::span<const std::byte> bytes);
  uint64_t position() const { return position_; }  // bytes written so far

  // Puts the file in place. `sync`: on the disk before it returns.
  Status commit(bool sync = true);

 private:
  AtomicFile() = default;
  Status flush();
  Status put(std::span<const std::byte> bytes, int64_t offset);
  Diag failure(std::string_view what, int error) const;
  void discard();

  std::string path_;       // as the caller named it
  std::string target_;     // symbolic links resolved
  std::string temporary_;  // empty while the file has no name yet
  std::string buffer_;
  uint64_t position_ = 0;
  uint64_t flushed_ = 0;
  int fd_ = -1;
  bool direct_ = false;
  Status error_;
};

// One call for small files.
Status write_file(const std::string& path, std::string_view contents);
// Whole contents; file_not_found, unknown_format (a folder), not_readable, too_large above `limit` bytes.
Result<std::string> read_file(const std::string& path, uint64_t limit = uint64_t{1} << 30);
// mkdir -p; not_writable.
Status make_folders(const std::string& path);

}  // namespace npuport
