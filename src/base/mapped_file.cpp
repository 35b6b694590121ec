#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/diag_codes.h"

namespace npuport {
namespace {

// What the SIGBUS handler may look at: no allocation, no locks. A slot is in use while `path` is not null.
struct LiveMap {
  std::atomic<uintptr_t> begin{0};
  std::atomic<uintptr_t> end{0};
  std::atomic<const char*> path{nullptr};
};
std::array<LiveMap, 256> live_maps;

void remember(const std::byte* data, size_t size, const char* path) {
  const auto begin = reinterpret_cast<uintptr_t>(data);
  for (LiveMap& slot : live_maps) {
    const char* expected = nullptr;
    if (!slot.path.compare_exchange_strong(expected, path)) continue;
    slot.begin = begin;
    slot.end = begin + size;
    return;
  }
}

void forget(const char* path) {
  for (LiveMap& slot : live_maps) {
    if (slot.path != path) continue;
    slot.end = 0;
    slot.begin = 0;
    slot.path = nullptr;
    return;
  }
}

void write_all(const char* text) {
  size_t left = std::strlen(text);
  while (left > 0) {
    const ssize_t n = ::write(STDERR_FILENO, text, left);
    if (n <= 0) return;
    text += n;
    left -= static_cast<size_t>(n);
  }
}

void on_sigbus(int signal_number, siginfo_t* info, void*) {
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  for (const LiveMap& slot : live_maps) {
    const char* path = slot.path;
    if (!path || address < slot.begin || address >= slot.end) continue;
    write_all("error[NP0105]: the file became shorter while it was read\n  file: ");
    write_all(path);
    write_all("\n  next: do not write to the file during the run; start again\n");
    ::_exit(diag::file_changed.exit_code);
  }
  // Not one of ours: the faulting instruction runs again under the default action.
  struct sigaction standard = {};
  standard.sa_handler = SIG_DFL;
  ::sigaction(signal_number, &standard, nullptr);
}

Diag open_error(const std::string& path, int error) {
  if (error == ENOENT || error == ENOTDIR)
    return Diag(diag::file_not_found, "no such file", "check the path").in_file(path);
  return Diag(diag::not_readable, std::string("cannot read the file: ") + std::strerror(error),
              "check the file's permissions")
      .in_file(path);
}

int64_t mtime_of(const struct stat& info) {
  return int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
}

}  // namespace

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return open_error(path, errno);
  std::shared_ptr<MappedFile> file(new MappedFile);
  file->fd_ = fd;
  file->path_ = path;
  struct stat info = {};
  if (::fstat(fd, &info) != 0) return open_error(path, errno);
  if (!S_ISREG(info.st_mode))
    return Diag(diag::unknown_format,
                S_ISDIR(info.st_mode) ? "this is a folder, not a file" : "this is no regular file", "name a file")
        .in_file(path);
  file->inode_ = info.st_ino;
  file->mtime_ns_ = mtime_of(info);
  const auto size = static_cast<size_t>(info.st_size);
  if (size > 0) {
    void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (address == MAP_FAILED) return open_error(path, errno);
    file->data_ = static_cast<const std::byte*>(address);
    file->size_ = size;
    remember(file->data_, size, file->path_.c_str());
  }
  return std::shared_ptr<const MappedFile>(std::move(file));
}

std::shared_ptr<const MappedFile> MappedFile::from_bytes(std::string bytes, std::string name) {
  std::shared_ptr<MappedFile> file(new MappedFile);
  file->heap_ = std::move(bytes);
  file->path_ = std::move(name);
  file->data_ = reinterpret_cast<const std::byte*>(file->heap_.data());
  file->size_ = file->heap_.size();
  return file;
}

MappedFile::~MappedFile() {
  if (fd_ < 0) return;
  if (data_) {
    forget(path_.c_str());
    ::munmap(const_cast<std::byte*>(data_), size_);
  }
  ::close(fd_);
}

Status MappedFile::check_unchanged() const {
  if (fd_ < 0) return {};
  struct stat now = {};
  struct stat named = {};
  const bool same_content =
      ::fstat(fd_, &now) == 0 && static_cast<size_t>(now.st_size) == size_ && mtime_of(now) == mtime_ns_;
  // A file replaced by rename is harmless for the map, but the name no longer stands for what was read.
  const bool same_name = ::stat(path_.c_str(), &named) == 0 && named.st_ino == inode_;
  if (same_content && same_name) return {};
  return Diag(diag::file_changed, "the file changed while it was read",
              "do not write to the file during the run; start again")
      .in_file(path_);
}

void MappedFile::will_read_all() const {
  if (fd_ >= 0 && data_) ::madvise(const_cast<std::byte*>(data_), size_, MADV_WILLNEED);
}

void release_pages(std::span<const std::byte> bytes) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(bytes.data()), end = begin + bytes.size();
  for (const LiveMap& slot : live_maps) {
    if (!slot.path.load() || begin < slot.begin || end > slot.end) continue;
    const uintptr_t first = (begin + page - 1) / page * page, last = end / page * page;
    if (first < last) ::madvise(const_cast<std::byte*>(bytes.data()) + (first - begin), last - first, MADV_DONTNEED);
    return;
  }
}

void install_sigbus_handler() {
  struct sigaction action = {};
  action.sa_sigaction = on_sigbus;
  action.sa_flags = SA_SIGINFO;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace npuport
