// Zip archives over mapped bytes. Stored entries are handed out in place; deflated ones are inflated within limits.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"

namespace npuport {

struct ZipEntry {
  std::string name;
  uint64_t header_offset = 0;  // local header
  uint64_t data_offset = 0;    // first byte of the contents
  uint64_t stored_size = 0;    // bytes in the file
  uint64_t size = 0;           // bytes when inflated
  uint32_t crc = 0;            // CRC-32 of the contents
  uint16_t method = 0;         // 0 stored, 8 deflated
};

struct ZipLimits {
  size_t max_entries = size_t{1} << 20;
  uint64_t max_inflated = uint64_t{4} << 30;  // bytes of one inflated entry; a stored one is limited by the file
  uint64_t max_ratio = 1100;                  // inflated : deflated; deflate itself cannot exceed 1032
  // All deflated entries together, against the file's size; below free_inflated bytes they may be as they like.
  uint64_t max_total_ratio = 100;
  uint64_t free_inflated = uint64_t{256} << 20;
};

// Contents of an entry; `owner` keeps them alive.
struct ZipBytes {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;
};

class ZipReader {
 public:
  ZipReader(ZipReader&&) = default;
  ZipReader& operator=(ZipReader&&) = default;

  // True when the bytes start with a local file header or an empty archive's end record.
  static bool looks_like_zip(std::span<const std::byte> bytes);

  // Reads the central directory (zip64 included) and checks every entry: inside the file, no overlap with another entry
  // or with the directory, no duplicate name, local header agrees. Errors: unknown_format (no zip), truncated, corrupt,
  // too_large, unsupported (several disks).
  static Result<ZipReader> open(std::shared_ptr<const MappedFile> file, const ZipLimits& limits = {});

  std::span<const ZipEntry> entries() const { return entries_; }  // in the directory's order
  const ZipEntry* find(std::string_view name) const;
  const std::string& path() const { return file_->path(); }
  const std::shared_ptr<const MappedFile>& file() const { return file_; }

  // In place for stored entries. corrupt (damaged deflate data, wrong size), too_large (limits), unsupported (other
  // methods, encryption). Inflated contents are checked against their CRC, stored ones are not.
  Result<ZipBytes> read(const ZipEntry& entry) const;
  // Compares the CRC of the contents; corrupt when it differs.
  Status check_crc(const ZipEntry& entry) const;

 private:
  ZipReader() = default;
  std::shared_ptr<const MappedFile> file_;
  ZipLimits limits_;
  std::vector<ZipEntry> entries_;
  std::unordered_map<std::string_view, size_t> by_name_;  // names live in entries_
};

// Writes an archive in one pass, the same bytes for the same calls: no times, no attributes.
class ZipWriter {
 public:
  using Sink = std::function<Status(std::span<const std::byte>)>;
  struct EntryOptions {
    uint64_t align = 1;    // contents start at a multiple of this (by padding in the extra field, as PyTorch does)
    bool deflate = false;  // only kept when it is smaller
  };

  explicit ZipWriter(Sink sink) : sink_(std::move(sink)) {}
  Status add(std::string_view name, std::span<const std::byte> contents, const EntryOptions& options);
  Status add(std::string_view name, std::span<const std::byte> contents) { return add(name, contents, {}); }
  // Writes the central directory; call once, last.
  Status finish();

 private:
  Status put(std::string_view bytes);
  Sink sink_;
  uint64_t position_ = 0;
  std::vector<ZipEntry> entries_;
};

}  // namespace npuport
