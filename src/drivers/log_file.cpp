#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/diag_codes.h"
#include "drivers/tool_run.h"

namespace npuport {

Result<LogFile> LogFile::create(const std::string& path, uint64_t head, uint64_t tail) {
  LogFile f;
  f.path_ = path;
  f.head_ = head;
  f.tail_ = std::max<uint64_t>(tail, 1);
  f.fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (f.fd_ < 0)
    return Diag(diag::not_writable, std::string("cannot write the log: ") + std::strerror(errno),
                "choose another folder, or free some space")
        .in_file(path);
  return f;
}

LogFile::LogFile(LogFile&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      head_(other.head_),
      tail_(other.tail_),
      written_(other.written_),
      error_(other.error_) {}

LogFile::~LogFile() {
  if (fd_ >= 0) ::close(fd_);
}

bool LogFile::put(std::string_view text, uint64_t offset) {
  while (!text.empty() && error_ == 0) {
    const ssize_t n = ::pwrite(fd_, text.data(), text.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      error_ = n < 0 ? errno : ENOSPC;
      break;
    }
    text.remove_prefix(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return error_ == 0;
}

bool LogFile::write(std::string_view text) {
  if (written_ < head_) {
    const size_t n = static_cast<size_t>(std::min<uint64_t>(text.size(), head_ - written_));
    if (!put(text.substr(0, n), written_)) return false;
    written_ += n;
    text.remove_prefix(n);
  }
  while (!text.empty()) {
    const uint64_t at = (written_ - head_) % tail_;
    const size_t n = static_cast<size_t>(std::min<uint64_t>(text.size(), tail_ - at));
    if (!put(text.substr(0, n), head_ + at)) return false;
    written_ += n;
    text.remove_prefix(n);
  }
  return true;
}

Status LogFile::close() {
  if (fd_ < 0) return {};
  if (error_ == 0 && tail_ != 0 && written_ > head_ + tail_) {
    std::string ring(tail_, '\0');
    uint64_t got = 0;
    while (got < tail_) {
      const ssize_t n = ::pread(fd_, ring.data() + got, tail_ - got, static_cast<off_t>(head_ + got));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) break;
      got += static_cast<uint64_t>(n);
    }
    std::rotate(ring.begin(), ring.begin() + static_cast<std::ptrdiff_t>((written_ - head_) % tail_), ring.end());
    const std::string note = fmt::format("\n… {} bytes of log dropped here …\n", written_ - head_ - tail_);
    put(note + ring, head_);
  }
  if (::close(std::exchange(fd_, -1)) != 0 && error_ == 0) error_ = errno;
  if (error_ != 0)
    return Diag(diag::not_writable, std::string("the log cannot be written: ") + std::strerror(error_),
                "free some space or choose another folder")
        .in_file(path_);
  return {};
}

}  // namespace npuport
