// A file mapped read-only. Weights point into it, so it stays mapped as long as anybody holds it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

namespace npuport {

class MappedFile {
 public:
  // Errors: file_not_found, unknown_format (a folder, a device), not_readable (permission, an I/O error). An empty file
  // maps to no bytes.
  static Result<std::shared_ptr<const MappedFile>> open(const std::string& path);
  // Wraps bytes already in memory (tests, fuzzers, inflated archive members); check_unchanged always succeeds.
  static std::shared_ptr<const MappedFile> from_bytes(std::string bytes, std::string name);

  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

  // file_changed when size, modification time or inode differ from what `open` saw. Call it before writing anything
  // derived from the map, and after a long read.
  Status check_unchanged() const;
  // Tells the kernel that the whole file will be read soon, in order.
  void will_read_all() const;

 private:
  MappedFile() = default;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  std::string path_;
  std::string heap_;  // from_bytes only
  int fd_ = -1;
  uint64_t inode_ = 0;
  int64_t mtime_ns_ = 0;
};

// Gives the memory of these bytes back where they lie in a mapped file (whole pages only; anything else is left alone):
// they are read from the file again when somebody looks at them. For weights of which a packed copy has been made.
void release_pages(std::span<const std::byte> bytes);

// For the command line's main: a read behind the end of a file that shrank under its map raises SIGBUS. The handler
// writes one message with the file's name to stderr and ends the process with exit code 2. Faults outside our maps keep
// the default action.
void install_sigbus_handler();

}  // namespace npuport
