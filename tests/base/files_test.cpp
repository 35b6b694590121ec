#include <fmt/core.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/byte_reader.h"
#include "base/diag_codes.h"
#include "base/hash.h"
#include "base/mapped_file.h"
#include "base/sha256.h"
#include "support/temp_folder.h"

namespace npuport {
namespace {

namespace fs = std::filesystem;
using testing::TempFolder;

TEST(MappedFile, MapsAndNamesErrors) {
  const TempFolder folder;
  ASSERT_TRUE(write_file(folder.path("a"), "hello").ok());
  const auto file = MappedFile::open(folder.path("a"));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(as_text((*file)->bytes()), "hello");
  EXPECT_TRUE((*file)->check_unchanged().ok());
  ASSERT_TRUE(write_file(folder.path("empty"), "").ok());
  EXPECT_TRUE((*MappedFile::open(folder.path("empty")))->bytes().empty());
  EXPECT_EQ(MappedFile::open(folder.path("none")).error().code, &diag::file_not_found);
  EXPECT_EQ(MappedFile::open(folder.path()).error().code, &diag::unknown_format);
  EXPECT_EQ(MappedFile::open("/dev/zero").error().code, &diag::unknown_format);
  EXPECT_EQ(MappedFile::open(folder.path("none")).error().where.file, folder.path("none"));
}

TEST(MappedFile, TellsChanges) {
  const TempFolder folder;
  const std::string path = folder.path("a");
  ASSERT_TRUE(write_file(path, std::string(10000, 'x')).ok());
  const auto shrunk = *MappedFile::open(path);
  fs::resize_file(path, 10);
  EXPECT_EQ(shrunk->check_unchanged().error().code, &diag::file_changed);
  const auto replaced = *MappedFile::open(path);
  ASSERT_TRUE(write_file(path, "0123456789").ok());
  EXPECT_EQ(replaced->check_unchanged().error().code, &diag::file_changed);
  const auto removed = *MappedFile::open(path);
  fs::remove(path);
  EXPECT_EQ(removed->check_unchanged().error().code, &diag::file_changed);
}

// Reads behind the new end of a file that shrank.
[[noreturn]] void read_shrunk(const std::string& path) {
  install_sigbus_handler();
  const auto file = *MappedFile::open(path);
  fs::resize_file(path, 10);
  volatile std::byte last = file->bytes()[file->bytes().size() - 1];
  (void)last;
  std::_Exit(77);
}

TEST(MappedFileDeathTest, SigbusBecomesExitCode2) {
  const TempFolder folder;
  const std::string path = folder.path("weights.pt");
  ASSERT_TRUE(write_file(path, std::string(100000, 'x')).ok());
  EXPECT_EXIT(read_shrunk(path), ::testing::ExitedWithCode(2), "NP0105.*became shorter[^~]*weights.pt");
}

TEST(AtomicFile, ReplacesAtOnceAndKeepsPermissions) {
  const TempFolder folder;
  const std::string path = folder.path("out put");
  ASSERT_TRUE(write_file(path, "old").ok());
  ::chmod(path.c_str(), 0640);
  auto file = AtomicFile::create(path);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file->write("new").ok());
  ASSERT_TRUE(file->align(8).ok());
  EXPECT_EQ(file->position(), 8U);
  EXPECT_EQ(*read_file(path), "old");
  ASSERT_TRUE(file->commit().ok());
  EXPECT_EQ(*read_file(path), std::string("new\0\0\0\0\0", 8));
  struct stat info = {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640U);
  EXPECT_EQ(folder.count(), 1U);
}

TEST(AtomicFile, LeavesNothingWithoutCommit) {
  const TempFolder folder;
  {
    auto file = AtomicFile::create(folder.path("a"));
    ASSERT_TRUE(file->write(std::string(size_t{3} << 20, 'x')).ok());
  }
  EXPECT_EQ(folder.count(), 0U);
}

TEST(AtomicFile, LargeStreamsAndPatches) {
  const TempFolder folder;
  auto file = AtomicFile::create(folder.path("a"));
  std::string expected;
  for (int i = 0; i < 300; ++i) {
    const std::string piece(static_cast<size_t>(i) * 97 + 1, static_cast<char>('a' + i % 26));
    expected += piece;
    ASSERT_TRUE(file->write(piece).ok());
  }
  const std::string big(size_t{2} << 20, 'B');
  expected += big + "tail";
  ASSERT_TRUE(file->write(big).ok());
  ASSERT_TRUE(file->write("tail").ok());
  for (const size_t at : {size_t{0}, size_t{12345}, expected.size() - 4}) {
    expected.replace(at, 4, "!!!!");
    ASSERT_TRUE(file->write_at(at, as_bytes("!!!!")).ok());
  }
  EXPECT_EQ(file->position(), expected.size());
  ASSERT_TRUE(file->commit(false).ok());
  EXPECT_TRUE(*read_file(folder.path("a")) == expected);
}

TEST(AtomicFile, PatchOutsideIsABug) {
  const TempFolder folder;
  auto file = AtomicFile::create(folder.path("a"));
  EXPECT_EQ(file->write_at(0, as_bytes("x")).error().code, &diag::internal);
}

TEST(AtomicFile, ErrorsExitWith3) {
  const TempFolder folder;
  for (const std::string& path : {folder.path("no/such/folder"), folder.path(), std::string()}) {
    const auto file = AtomicFile::create(path);
    ASSERT_FALSE(file.ok()) << path;
    EXPECT_EQ(file.error().code, &diag::not_writable);
    EXPECT_EQ(file.error().code->exit_code, 3);
  }
  EXPECT_FALSE(make_folders("/proc/none/such").ok());
  ASSERT_TRUE(write_file(folder.path("file"), "").ok());
  EXPECT_FALSE(make_folders(folder.path("file/below")).ok());
  EXPECT_FALSE(make_folders(folder.path("file")).ok());
  EXPECT_TRUE(make_folders(folder.path("a/b/c")).ok());
  EXPECT_TRUE(make_folders(folder.path("a/b/c")).ok());
}

TEST(AtomicFile, FullDiskIsReportedAndSticks) {
  auto file = AtomicFile::create("/dev/full");
  ASSERT_TRUE(file.ok());
  const std::string big(size_t{2} << 20, 'x');
  EXPECT_EQ(file->write(big).error().code, &diag::not_writable);
  EXPECT_EQ(file->write("x").error().code, &diag::not_writable);
  EXPECT_EQ(file->commit().error().code, &diag::not_writable);
}

TEST(AtomicFile, SizeLimitLeavesTheOldFile) {
  const TempFolder folder;
  ASSERT_TRUE(write_file(folder.path("a"), "old").ok());
  rlimit before = {};
  ::getrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{100000, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  const Status written = write_file(folder.path("a"), std::string(size_t{3} << 20, 'x'));
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, SIG_DFL);
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().code, &diag::not_writable);
  EXPECT_EQ(*read_file(folder.path("a")), "old");
  EXPECT_EQ(folder.count(), 1U);
}

TEST(AtomicFile, WritesThroughLinks) {
  const TempFolder folder;
  ASSERT_TRUE(write_file(folder.path("real"), "old").ok());
  fs::create_symlink("real", folder.path("link"));
  ASSERT_TRUE(write_file(folder.path("link"), "new").ok());
  EXPECT_TRUE(fs::is_symlink(folder.path("link")));
  EXPECT_EQ(*read_file(folder.path("real")), "new");
}

TEST(ReadFile, Limits) {
  const TempFolder folder;
  ASSERT_TRUE(write_file(folder.path("a"), "12345").ok());
  EXPECT_EQ(*read_file(folder.path("a"), 5), "12345");
  EXPECT_EQ(read_file(folder.path("a"), 4).error().code, &diag::too_large);
  EXPECT_EQ(read_file(folder.path("b")).error().code, &diag::file_not_found);
  EXPECT_EQ(read_file(folder.path()).error().code, &diag::unknown_format);
}

TEST(ByteReader, OrdersAndBounds) {
  const std::string data("\x01\x02\x03\x04\x05\x06", 6);
  ByteReader little(as_bytes(data));
  EXPECT_EQ(little.u16(), 0x0201);
  ByteReader big(as_bytes(data), std::endian::big);
  EXPECT_EQ(big.u32(), 0x01020304U);
  EXPECT_EQ(big.u32(), 0U);  // two bytes are left
  EXPECT_TRUE(big.failed());
  EXPECT_EQ(big.u8(), 0);
  EXPECT_EQ(big.status("the header").error().code, &diag::truncated);
  ByteReader seeker(as_bytes(data));
  seeker.seek(6);
  EXPECT_FALSE(seeker.failed());
  EXPECT_TRUE(seeker.take(SIZE_MAX).empty());
  EXPECT_TRUE(seeker.failed());
  ByteReader far(as_bytes(data));
  far.seek(UINT64_MAX);
  EXPECT_TRUE(far.failed());
}

TEST(Sha256, KnownAnswers) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Sha256 streamed;
  streamed.update("a");
  streamed.update("bc");
  EXPECT_EQ(streamed.hex(), sha256_hex("abc"));
  const TempFolder folder;
  ASSERT_TRUE(write_file(folder.path("a"), "abc").ok());
  EXPECT_EQ(*sha256_file(folder.path("a")), sha256_hex("abc"));
  EXPECT_EQ(sha256_file(folder.path("b")).error().code, &diag::file_not_found);
}

// Every length around the block size, in one piece and in two.
TEST(OwnSha256Test, EqualsOpenSsl) {
  std::string text;
  for (int n = 0; n < 300; ++n) {
    for (const size_t cut : {size_t{0}, text.size() / 3}) {
      OwnSha256 own;
      own.update(as_bytes(text).first(cut));
      own.update(as_bytes(text).subspan(cut));
      std::string hex;
      for (const unsigned char byte : own.digest()) hex += fmt::format("{:02x}", byte);
      ASSERT_EQ(hex, sha256_hex(text)) << n;
    }
    text += static_cast<char>(n * 7);
  }
}

}  // namespace
}  // namespace npuport
