#include "base/atomic_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/byte_reader.h"
#include "base/diag_codes.h"

namespace npuport {
namespace {

constexpr size_t buffer_size = size_t{1} << 20;

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Writing through a symbolic link changes what it points to, as with any other program.
std::string resolve_links(const std::string& path) {
  std::error_code error;
  const auto resolved = std::filesystem::weakly_canonical(path, error);
  return error ? path : resolved.string();
}

std::string temporary_name(const std::string& target, int attempt) {
  const std::string folder = folder_of(target);
  const size_t slash = target.rfind('/');
  std::string leaf = slash == std::string::npos ? target : target.substr(slash + 1);
  leaf.resize(std::min<size_t>(leaf.size(), 200));  // keeps the name below the usual limit of 255
  return fmt::format("{}/.{}.{}.{}.tmp", folder, leaf, ::getpid(), attempt);
}

std::string_view advice(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return "free space on the disk or choose another output folder";
    case EACCES:
    case EPERM:
    case EROFS:
      return "choose an output folder you may write to";
    case ENOENT:
    case ENOTDIR:
      return "create the output folder first";
    default:
      return "choose another output";
  }
}

}  // namespace

Diag AtomicFile::failure(std::string_view what, int error) const {
  return Diag(diag::not_writable, fmt::format("{}: {}", what, std::strerror(error)), std::string(advice(error)))
      .in_file(path_);
}

Result<AtomicFile> AtomicFile::create(const std::string& path) {
  AtomicFile file;
  file.path_ = path;
  file.target_ = resolve_links(path);
  if (path.empty()) return file.failure("cannot write a file without a name", ENOENT);
  struct stat info = {};
  const bool exists = ::stat(path.c_str(), &info) == 0;
  if (exists && S_ISDIR(info.st_mode)) return file.failure("cannot write the file", EISDIR);
  if (exists && !S_ISREG(info.st_mode)) {
    file.direct_ = true;
    file.fd_ = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (file.fd_ < 0) return file.failure("cannot write the file", errno);
    return file;
  }
  // A file without a name vanishes with the process. Not every file system has them.
  file.fd_ = ::open(folder_of(file.target_).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
  for (int attempt = 0; file.fd_ < 0 && attempt < 100; ++attempt) {
    if (errno == EACCES || errno == ENOSPC || errno == EROFS || errno == EDQUOT) break;
    file.temporary_ = temporary_name(file.target_, attempt);
    file.fd_ = ::open(file.temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file.fd_ < 0) file.temporary_.clear();
    if (file.fd_ < 0 && errno != EEXIST) break;
  }
  if (file.fd_ < 0) return file.failure("cannot write the file", errno);
  if (exists) {
    // Best effort: the new file keeps the old one's permissions; without the right to do so it has the default ones.
    [[maybe_unused]] const int ignored = ::fchmod(file.fd_, info.st_mode & 0777);
  }
  return file;
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept { *this = std::move(other); }

AtomicFile& AtomicFile::operator=(AtomicFile&& other) noexcept {
  if (this == &other) return *this;
  discard();
  path_ = std::move(other.path_);
  target_ = std::move(other.target_);
  temporary_ = std::exchange(other.temporary_, {});
  buffer_ = std::move(other.buffer_);
  position_ = other.position_;
  flushed_ = other.flushed_;
  fd_ = std::exchange(other.fd_, -1);
  direct_ = other.direct_;
  error_ = std::move(other.error_);
  return *this;
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::discard() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  temporary_.clear();
}

Status AtomicFile::put(std::span<const std::byte> bytes, int64_t offset) {
  while (!bytes.empty()) {
    const size_t piece = std::min<size_t>(bytes.size(), size_t{1} << 30);
    const ssize_t n =
        offset < 0 ? ::write(fd_, bytes.data(), piece) : ::pwrite(fd_, bytes.data(), piece, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      error_ = failure("cannot write the file", n == 0 ? ENOSPC : errno);
      return error_;
    }
    bytes = bytes.subspan(static_cast<size_t>(n));
    if (offset >= 0) offset += n;
  }
  return {};
}

Status AtomicFile::flush() {
  if (!error_) return error_;
  NPU_TRY(put(as_bytes(buffer_), -1));
  flushed_ += buffer_.size();
  buffer_.clear();
  return {};
}

Status AtomicFile::write(std::span<const std::byte> bytes) {
  if (!error_) return error_;
  position_ += bytes.size();
  if (buffer_.size() + bytes.size() <= buffer_size) {
    buffer_.append(as_text(bytes));
    return {};
  }
  NPU_TRY(flush());
  if (bytes.size() < buffer_size / 4) {
    buffer_.append(as_text(bytes));
    return {};
  }
  NPU_TRY(put(bytes, -1));
  flushed_ += bytes.size();
  return {};
}

Status AtomicFile::write(std::string_view text) { return write(as_bytes(text)); }

Status AtomicFile::zeros(uint64_t count) {
  static constexpr std::array<std::byte, 4096> block{};
  while (count > 0) {
    const auto piece = static_cast<size_t>(std::min<uint64_t>(count, block.size()));
    NPU_TRY(write(std::span(block).first(piece)));
    count -= piece;
  }
  return {};
}

Status AtomicFile::align(uint64_t alignment) { return zeros((alignment - position_ % alignment) % alignment); }

Status AtomicFile::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  if (!error_) return error_;
  if (offset > position_ || bytes.size() > position_ - offset)
    return error_ = Diag(diag::internal, "a patch lies outside what was written").in_file(path_);
  if (offset >= flushed_) {
    std::memcpy(buffer_.data() + (offset - flushed_), bytes.data(), bytes.size());
    return {};
  }
  NPU_TRY(flush());
  return put(bytes, static_cast<int64_t>(offset));
}

Status AtomicFile::commit(bool sync) {
  NPU_TRY(flush());
  if (direct_) {
    const int fd = std::exchange(fd_, -1);
    if (::close(fd) != 0) return error_ = failure("cannot write the file", errno);
    return {};
  }
  if (sync && ::fsync(fd_) != 0) return error_ = failure("cannot write the file", errno);
  const std::string unnamed = fmt::format("/proc/self/fd/{}", fd_);
  for (int attempt = 0; temporary_.empty(); ++attempt) {
    const std::string name = temporary_name(target_, attempt);
    if (::linkat(AT_FDCWD, unnamed.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0) {
      temporary_ = name;
    } else if (errno != EEXIST || attempt > 100) {
      return error_ = failure("cannot write the file", errno);
    }
  }
  if (::close(std::exchange(fd_, -1)) != 0) return error_ = failure("cannot write the file", errno);
  if (::rename(temporary_.c_str(), target_.c_str()) != 0)
    return error_ = failure("cannot put the finished file in place", errno);
  temporary_.clear();
  if (sync) {
    const int folder = ::open(folder_of(target_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) {
      // The file is in place; a folder that cannot be synced (some network file systems) is no reason to fail.
      [[maybe_unused]] const int ignored = ::fsync(folder);
      ::close(folder);
    }
  }
  return {};
}

Status write_file(const std::string& path, std::string_view contents) {
  NPU_ASSIGN(auto file, AtomicFile::create(path));
  NPU_TRY(file.write(contents));
  return file.commit(false);
}

Result<std::string> read_file(const std::string& path, uint64_t limit) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const auto fail = [&](int error) {
    if (error == ENOENT || error == ENOTDIR)
      return Diag(diag::file_not_found, "no such file", "check the path").in_file(path);
    if (error == EISDIR) return Diag(diag::unknown_format, "this is a folder, not a file", "name a file").in_file(path);
    return Diag(diag::not_readable, fmt::format("cannot read the file: {}", std::strerror(error)),
                "check the file's permissions")
        .in_file(path);
  };
  if (fd < 0) return fail(errno);
  std::string contents;
  std::array<char, 65536> block;
  for (;;) {
    const ssize_t n = ::read(fd, block.data(), block.size());
    if (n < 0 && errno == EINTR) continue;
    const int error = errno;
    if (n <= 0) ::close(fd);
    if (n < 0) return fail(error);
    if (n == 0) return contents;
    if (contents.size() + static_cast<size_t>(n) > limit) {
      ::close(fd);
      return Diag(diag::too_large, fmt::format("the file is larger than {} bytes", limit), "is this the right file?")
          .in_file(path);
    }
    contents.append(block.data(), static_cast<size_t>(n));
  }
}

Status make_folders(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  // create_directories reports no error for a path that is a file in some library versions
  if (!error && !std::filesystem::is_directory(path, error)) error = std::make_error_code(std::errc::not_a_directory);
  if (!error) return {};
  return Diag(diag::not_writable, fmt::format("cannot create the folder: {}", error.message()),
              std::string(advice(error.value())))
      .in_file(path);
}

}  // namespace npuport
