#include "base/zip.h"

#include <fmt/core.h>
#include <zlib.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "base/byte_reader.h"
#include "base/diag_codes.h"

namespace npuport {
namespace {

// Signatures and layouts: APPNOTE.TXT 6.3 (PKWARE), sections 4.3 and 4.5.3.
constexpr uint32_t local_signature = 0x04034b50;
constexpr uint32_t central_signature = 0x02014b50;
constexpr uint32_t end_signature = 0x06054b50;
constexpr uint32_t end64_signature = 0x06064b50;
constexpr uint32_t locator64_signature = 0x07064b50;
constexpr size_t local_size = 30;
constexpr size_t central_size = 46;
constexpr size_t end_size = 22;
constexpr size_t end64_size = 56;
constexpr size_t locator64_size = 20;
constexpr uint32_t all32 = 0xFFFFFFFF;
constexpr uint16_t all16 = 0xFFFF;

Diag damaged(const std::string& file, std::string message) {
  return Diag(diag::corrupt, "the zip archive is damaged: " + std::move(message), "copy or download the file again")
      .in_file(file);
}

struct Directory {
  uint64_t offset = 0;
  uint64_t size = 0;
  uint64_t entries = 0;
};

// The end record sits at the very end, before an optional comment of at most 65535 bytes.
std::optional<size_t> find_end_record(std::span<const std::byte> bytes) {
  if (bytes.size() < end_size) return std::nullopt;
  const size_t last = bytes.size() - end_size;
  const size_t first = last > 65535 ? last - 65535 : 0;
  for (size_t at = last + 1; at-- > first;) {
    ByteReader r(bytes.subspan(at));
    if (r.u32() != end_signature) continue;
    r.skip(16);
    if (at + end_size + r.u16() == bytes.size()) return at;
  }
  return std::nullopt;
}

Result<Directory> read_end64(std::span<const std::byte> bytes, size_t end_at, const std::string& file) {
  if (end_at < locator64_size) return damaged(file, "no zip64 locator");
  ByteReader locator(bytes.subspan(end_at - locator64_size, locator64_size));
  if (locator.u32() != locator64_signature) return damaged(file, "no zip64 locator");
  locator.skip(4);
  const uint64_t at = locator.u64();
  if (at > end_at - locator64_size || end_at - locator64_size - at < end64_size)
    return damaged(file, "the zip64 end record lies outside");
  ByteReader r(bytes.subspan(at, end64_size));
  if (r.u32() != end64_signature) return damaged(file, "no zip64 end record");
  r.skip(8 + 2 + 2);
  const uint32_t disk = r.u32();
  const uint32_t directory_disk = r.u32();
  const uint64_t here = r.u64();
  Directory d;
  d.entries = r.u64();
  d.size = r.u64();
  d.offset = r.u64();
  if (disk != 0 || directory_disk != 0 || here != d.entries)
    return Diag(diag::unsupported, "the zip archive spans several disks", "join it into one file").in_file(file);
  if (d.offset > at || d.size > at - d.offset) return damaged(file, "the directory lies outside the file");
  return d;
}

Result<Directory> read_end(std::span<const std::byte> bytes, const std::string& file) {
  const auto at = find_end_record(bytes);
  if (!at)
    return Diag(diag::truncated, "the zip archive has no end record: the file is cut off",
                "copy or download the file again")
        .in_file(file);
  ByteReader r(bytes.subspan(*at));
  r.skip(4);
  const uint16_t disk = r.u16();
  const uint16_t directory_disk = r.u16();
  const uint16_t here = r.u16();
  Directory d;
  d.entries = r.u16();
  d.size = r.u32();
  d.offset = r.u32();
  if (d.entries == all16 || d.size == all32 || d.offset == all32) return read_end64(bytes, *at, file);
  if (disk != 0 || directory_disk != 0 || here != d.entries)
    return Diag(diag::unsupported, "the zip archive spans several disks", "join it into one file").in_file(file);
  if (d.offset > *at || d.size > *at - d.offset) return damaged(file, "the directory lies outside the file");
  return d;
}

// The zip64 extra field holds, in this order, only those values whose 32-bit field is all ones.
bool apply_zip64(std::span<const std::byte> extra, ZipEntry& e) {
  const bool wants_size = e.size == all32;
  const bool wants_stored = e.stored_size == all32;
  const bool wants_offset = e.header_offset == all32;
  if (!wants_size && !wants_stored && !wants_offset) return true;
  ByteReader r(extra);
  while (r.remaining() >= 4) {
    const uint16_t id = r.u16();
    const uint16_t size = r.u16();
    if (id != 1) {
      r.skip(size);
      continue;
    }
    ByteReader field(r.take(size));
    if (wants_size) e.size = field.u64();
    if (wants_stored) e.stored_size = field.u64();
    if (wants_offset) e.header_offset = field.u64();
    return !field.failed();
  }
  // All ones without the field are the literal value, which only a file of 4 GiB can mean.
  return true;
}

struct CentralRecord {
  ZipEntry entry;
  uint16_t flags = 0;
};

Result<CentralRecord> read_central(ByteReader& r, const std::string& file) {
  CentralRecord c;
  ZipEntry& e = c.entry;
  if (r.u32() != central_signature) return damaged(file, "a directory record has a wrong signature");
  r.skip(4);
  c.flags = r.u16();
  e.method = r.u16();
  r.skip(4);
  e.crc = r.u32();
  e.stored_size = r.u32();
  e.size = r.u32();
  const uint16_t name_size = r.u16();
  const uint16_t extra_size = r.u16();
  const uint16_t comment_size = r.u16();
  r.skip(2 + 2 + 4);
  e.header_offset = r.u32();
  e.name = r.text(name_size);
  const auto extra = r.take(extra_size);
  r.skip(comment_size);
  if (r.failed()) return damaged(file, "the directory ends in the middle of a record");
  if (e.name.empty() || e.name.find('\0') != std::string::npos) return damaged(file, "an entry has no valid name");
  if (!apply_zip64(extra, e)) return damaged(file, "an entry's zip64 sizes are cut off");
  return c;
}

// Checks the local header against the directory and finds where the contents start.
Status locate(std::span<const std::byte> bytes, uint64_t limit, ZipEntry& e, const std::string& file) {
  const auto bad = [&](std::string_view why) { return damaged(file, fmt::format("entry {} {}", e.name, why)); };
  if (e.header_offset > limit || limit - e.header_offset < local_size) return bad("lies outside the file");
  ByteReader r(bytes.subspan(e.header_offset, limit - e.header_offset));
  if (r.u32() != local_signature) return bad("has no local header");
  r.skip(4);
  const uint16_t method = r.u16();
  r.skip(16);
  const uint16_t name_size = r.u16();
  const uint16_t extra_size = r.u16();
  const std::string_view name = r.text(name_size);
  r.skip(extra_size);
  if (r.failed()) return bad("lies outside the file");
  if (name != e.name || method != e.method) return bad("differs between directory and local header");
  e.data_offset = e.header_offset + r.position();
  if (e.stored_size > limit - e.data_offset) return bad("lies outside the file");
  if (e.method == 0 && e.stored_size != e.size) return bad("is stored but has two sizes");
  return {};
}

Status check_overlaps(const std::vector<ZipEntry>& entries, const std::string& file) {
  std::vector<const ZipEntry*> sorted;
  sorted.reserve(entries.size());
  for (const ZipEntry& e : entries) sorted.push_back(&e);
  std::sort(sorted.begin(), sorted.end(),
            [](const ZipEntry* a, const ZipEntry* b) { return a->header_offset < b->header_offset; });
  for (size_t i = 1; i < sorted.size(); ++i) {
    const ZipEntry& before = *sorted[i - 1];
    if (before.data_offset + before.stored_size > sorted[i]->header_offset)
      return damaged(file, fmt::format("entries {} and {} overlap", before.name, sorted[i]->name));
  }
  return {};
}

uint32_t crc_of(std::span<const std::byte> bytes) {
  return static_cast<uint32_t>(
      ::crc32_z(0, reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<z_size_t>(bytes.size())));
}

// Raw deflate into exactly `size` bytes. The output grows with what really arrives, so that a lying size costs nothing.
bool inflate_exactly(std::span<const std::byte> from, uint64_t size, std::string& out) {
  z_stream stream = {};
  if (::inflateInit2(&stream, -MAX_WBITS) != Z_OK) return false;
  constexpr size_t most = size_t{1} << 30;  // zlib counts in 32 bits
  size_t in_pos = 0;
  size_t out_pos = 0;
  int code = Z_OK;
  while (code == Z_OK) {
    if (out_pos == out.size()) {
      // One byte more than promised tells an entry that is too long.
      const uint64_t wanted = std::max<uint64_t>(uint64_t{1} << 16, uint64_t{out_pos} * 2);
      out.resize(static_cast<size_t>(std::min<uint64_t>(wanted, size + 1)));
      if (out_pos == out.size()) break;
    }
    const size_t give = std::min(most, from.size() - in_pos);
    const size_t room = std::min(most, out.size() - out_pos);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(from.data() + in_pos));
    stream.avail_in = static_cast<uInt>(give);
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + out_pos);
    stream.avail_out = static_cast<uInt>(room);
    code = ::inflate(&stream, Z_NO_FLUSH);
    in_pos += give - stream.avail_in;
    out_pos += room - stream.avail_out;
    if (code == Z_OK && give == stream.avail_in && room == stream.avail_out) break;
  }
  ::inflateEnd(&stream);
  out.resize(out_pos);
  return code == Z_STREAM_END && out_pos == size;
}

}  // namespace

bool ZipReader::looks_like_zip(std::span<const std::byte> bytes) {
  ByteReader r(bytes);
  const uint32_t signature = r.u32();
  return signature == local_signature || signature == end_signature;
}

namespace {

// What is read of an archive may be all of it: a small file must not fill the memory.
Status check_inflation(std::span<const ZipEntry> entries, uint64_t file_size, const ZipLimits& limits,
                       const std::string& path) {
  uint64_t total = 0;
  for (const ZipEntry& e : entries)
    if (e.method != 0) total += std::min(e.size, UINT64_MAX - total);
  if (total <= limits.free_inflated || total / limits.max_total_ratio <= file_size) return {};
  return Diag(diag::too_large,
              fmt::format("the compressed entries claim {} bytes in a file of {} bytes", total, file_size),
              "this looks like a zip bomb; save the file again without compression")
      .in_file(path);
}

}  // namespace

Result<ZipReader> ZipReader::open(std::shared_ptr<const MappedFile> file, const ZipLimits& limits) {
  const auto bytes = file->bytes();
  const std::string& path = file->path();
  if (!looks_like_zip(bytes))
    return Diag(diag::unknown_format, "the file is no zip archive", "is this the right file?").in_file(path);
  NPU_ASSIGN(const Directory directory, read_end(bytes, path));
  if (directory.entries > limits.max_entries)
    return Diag(diag::too_large,
                fmt::format("the zip archive has {} entries, the limit is {}", directory.entries, limits.max_entries))
        .in_file(path);
  // Before anything is reserved: a record is at least 46 bytes and a one-letter name.
  if (directory.entries > directory.size / (central_size + 1))
    return damaged(path, "the directory is too short for its entries");
  ZipReader zip;
  zip.file_ = std::move(file);
  zip.limits_ = limits;
  zip.entries_.reserve(static_cast<size_t>(directory.entries));
  ByteReader r(bytes.subspan(directory.offset, directory.size));
  for (uint64_t i = 0; i < directory.entries; ++i) {
    NPU_ASSIGN(CentralRecord c, read_central(r, path));
    NPU_TRY(locate(bytes, directory.offset, c.entry, path));
    if (c.flags & 1)
      return Diag(diag::unsupported, fmt::format("entry {} is encrypted", c.entry.name), "save it without a password")
          .in_file(path);
    zip.entries_.push_back(std::move(c.entry));
  }
  NPU_TRY(check_overlaps(zip.entries_, path));
  NPU_TRY(check_inflation(zip.entries_, bytes.size(), limits, path));
  zip.by_name_.reserve(zip.entries_.size());
  for (size_t i = 0; i < zip.entries_.size(); ++i)
    if (!zip.by_name_.emplace(zip.entries_[i].name, i).second)
      return damaged(path, fmt::format("two entries are called {}", zip.entries_[i].name));
  return zip;
}

const ZipEntry* ZipReader::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &entries_[found->second];
}

Result<ZipBytes> ZipReader::read(const ZipEntry& e) const {
  const auto stored = file_->bytes().subspan(e.data_offset, e.stored_size);
  if (e.method == 0) return ZipBytes{stored, file_};
  if (e.method != 8)
    return Diag(diag::unsupported, fmt::format("entry {} uses compression method {}", e.name, e.method),
                "save the file again without compression")
        .in_file(path());
  if (e.size > limits_.max_inflated || e.size / limits_.max_ratio > e.stored_size)
    return Diag(diag::too_large,
                fmt::format("entry {} claims {} bytes from {} compressed ones", e.name, e.size, e.stored_size),
                "this looks like a zip bomb")
        .in_file(path());
  auto contents = std::make_shared<std::string>();
  if (!inflate_exactly(stored, e.size, *contents))
    return damaged(path(), fmt::format("the compressed data of entry {} is invalid", e.name));
  const auto inflated = as_bytes(*contents);
  if (crc_of(inflated) != e.crc) return damaged(path(), fmt::format("the checksum of entry {} is wrong", e.name));
  return ZipBytes{inflated, std::move(contents)};
}

Status ZipReader::check_crc(const ZipEntry& e) const {
  NPU_ASSIGN(const ZipBytes contents, read(e));
  if (e.method == 0 && crc_of(contents.bytes) != e.crc)
    return damaged(path(), fmt::format("the checksum of entry {} is wrong", e.name));
  return {};
}

namespace {

// 1980-01-01 00:00, the earliest date a zip can hold.
constexpr uint16_t fixed_date = (1 << 5) | 1;

void append(std::string& out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xFF);
}

uint64_t narrow(uint64_t value) { return std::min<uint64_t>(value, all32); }

std::string zip64_extra(std::initializer_list<uint64_t> values) {
  std::string out;
  append(out, 1, 2);
  append(out, 8 * values.size(), 2);
  for (const uint64_t v : values) append(out, v, 8);
  return out;
}

// version needed … extra size: the part local and central records share.
std::string common_fields(const ZipEntry& e, bool zip64, size_t extra_size) {
  std::string out;
  append(out, zip64 ? 45 : 20, 2);
  append(out, 0x0800, 2);  // names are UTF-8
  append(out, e.method, 2);
  append(out, 0, 2);
  append(out, fixed_date, 2);
  append(out, e.crc, 4);
  append(out, zip64 ? all32 : e.stored_size, 4);
  append(out, zip64 ? all32 : e.size, 4);
  append(out, e.name.size(), 2);
  append(out, extra_size, 2);
  return out;
}

std::string deflated(std::span<const std::byte> contents) {
  z_stream stream = {};
  if (contents.size() > (size_t{1} << 30) ||
      ::deflateInit2(&stream, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    return {};
  std::string out(::deflateBound(&stream, contents.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(contents.data()));
  stream.avail_in = static_cast<uInt>(contents.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const bool done = ::deflate(&stream, Z_FINISH) == Z_STREAM_END;
  out.resize(done ? stream.total_out : 0);
  ::deflateEnd(&stream);
  return out;
}

}  // namespace

Status ZipWriter::put(std::string_view bytes) {
  position_ += bytes.size();
  return sink_(as_bytes(bytes));
}

Status ZipWriter::add(std::string_view name, std::span<const std::byte> contents, const EntryOptions& options) {
  if (name.empty() || name.size() > all16) return Diag(diag::internal, "a zip entry needs a name of 1 to 65535 bytes");
  ZipEntry e;
  e.name = name;
  e.header_offset = position_;
  e.size = contents.size();
  e.crc = crc_of(contents);
  std::string packed;
  if (options.deflate) packed = deflated(contents);
  if (!packed.empty() && packed.size() < contents.size()) {
    e.method = 8;
    contents = as_bytes(packed);
  }
  e.stored_size = contents.size();
  const bool zip64 = e.size >= all32 || e.stored_size >= all32;
  std::string extra = zip64 ? zip64_extra({e.size, e.stored_size}) : std::string();
  if (options.align > 1) {
    const uint64_t start = position_ + local_size + name.size() + extra.size() + 4;
    const uint64_t padding = (options.align - start % options.align) % options.align;
    append(extra, 0x4246, 2);  // "FB", the id PyTorch pads with
    append(extra, padding, 2);
    extra.append(static_cast<size_t>(padding), 'Z');
  }
  std::string header;
  append(header, local_signature, 4);
  header += common_fields(e, zip64, extra.size());
  header += e.name;
  header += extra;
  NPU_TRY(put(header));
  e.data_offset = position_;
  NPU_TRY(put(as_text(contents)));
  entries_.push_back(std::move(e));
  return {};
}

Status ZipWriter::finish() {
  const uint64_t offset = position_;
  for (const ZipEntry& e : entries_) {
    const bool zip64 = e.size >= all32 || e.stored_size >= all32 || e.header_offset >= all32;
    const std::string extra = zip64 ? zip64_extra({e.size, e.stored_size, e.header_offset}) : std::string();
    std::string record;
    append(record, central_signature, 4);
    append(record, zip64 ? 45 : 20, 2);
    record += common_fields(e, zip64, extra.size());
    append(record, 0, 2 + 2 + 2);  // no comment, disk 0, no internal attributes
    append(record, 0, 4);
    append(record, zip64 ? all32 : e.header_offset, 4);
    NPU_TRY(put(record + e.name + extra));
  }
  const uint64_t size = position_ - offset;
  if (entries_.size() >= all16 || size >= all32 || offset >= all32) {
    std::string end64;
    append(end64, end64_signature, 4);
    append(end64, end64_size - 12, 8);
    append(end64, 45, 2);
    append(end64, 45, 2);
    append(end64, 0, 8);  // disks
    append(end64, entries_.size(), 8);
    append(end64, entries_.size(), 8);
    append(end64, size, 8);
    append(end64, offset, 8);
    append(end64, locator64_signature, 4);
    append(end64, 0, 4);
    append(end64, position_, 8);
    append(end64, 1, 4);
    NPU_TRY(put(end64));
  }
  std::string end;
  append(end, end_signature, 4);
  append(end, 0, 4);
  append(end, std::min<uint64_t>(entries_.size(), all16), 2);
  append(end, std::min<uint64_t>(entries_.size(), all16), 2);
  append(end, narrow(size), 4);
  append(end, narrow(offset), 4);
  append(end, 0, 2);
  return put(end);
}

}  // namespace npuport
