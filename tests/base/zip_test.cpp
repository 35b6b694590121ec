#include "base/zip.h"

#include <gtest/gtest.h>

#include "base/atomic_file.h"
#include "base/byte_reader.h"
#include "base/diag_codes.h"
#include "base/subprocess.h"
#include "support/temp_folder.h"

namespace npuport {
namespace {

struct Member {
  std::string name, contents;
  bool deflate = false;
};

std::string zip_of(const std::vector<Member>& members, uint64_t align = 64) {
  std::string out;
  ZipWriter writer([&](std::span<const std::byte> b) {
    out += as_text(b);
    return Status();
  });
  for (const Member& m : members) EXPECT_TRUE(writer.add(m.name, as_bytes(m.contents), {align, m.deflate}).ok());
  EXPECT_TRUE(writer.finish().ok());
  return out;
}

Result<ZipReader> open(std::string bytes, const ZipLimits& limits = {}) {
  return ZipReader::open(MappedFile::from_bytes(std::move(bytes), "x.zip"), limits);
}

const DiagCode* code_of(std::string bytes, const ZipLimits& limits = {}) {
  const auto zip = open(std::move(bytes), limits);
  return zip.ok() ? nullptr : zip.error().code;
}

std::string text_of(const ZipReader& zip, std::string_view name) {
  const ZipEntry* e = zip.find(name);
  if (!e) return "<none>";
  const auto bytes = zip.read(*e);
  return bytes ? std::string(as_text(bytes->bytes)) : to_text(bytes.error());
}

void put16(std::string& s, size_t at, uint16_t v) {
  s[at] = static_cast<char>(v & 0xFF);
  s[at + 1] = static_cast<char>(v >> 8);
}
void put32(std::string& s, size_t at, uint32_t v) {
  put16(s, at, static_cast<uint16_t>(v));
  put16(s, at + 2, static_cast<uint16_t>(v >> 16));
}
size_t central(const std::string& s, int nth = 0) {
  size_t at = s.find("PK\1\2");
  while (nth-- > 0) at = s.find("PK\1\2", at + 1);
  return at;
}
size_t end_record(const std::string& s) { return s.rfind("PK\5\6"); }

const std::vector<Member> two = {{"a/data.pkl", "hello"}, {"a/ü", std::string(5000, 'x'), true}};

TEST(Zip, WritesAndReads) {
  const auto zip = open(zip_of(two));
  ASSERT_TRUE(zip.ok()) << to_text(zip.error());
  ASSERT_EQ(zip->entries().size(), 2U);
  EXPECT_EQ(zip->entries()[0].data_offset % 64, 0U);
  EXPECT_EQ(zip->entries()[1].method, 8);
  EXPECT_EQ(text_of(*zip, "a/data.pkl"), "hello");
  EXPECT_EQ(text_of(*zip, "a/ü"), std::string(5000, 'x'));
  EXPECT_EQ(zip->find("a"), nullptr);
  for (const ZipEntry& e : zip->entries()) EXPECT_TRUE(zip->check_crc(e).ok());
  const auto stored = zip->read(zip->entries()[0]);
  EXPECT_EQ(stored->bytes.data(), zip->file()->bytes().data() + zip->entries()[0].data_offset);  // no copy
}

TEST(Zip, SameBytesForTheSameMembers) { EXPECT_EQ(zip_of(two), zip_of(two)); }

TEST(Zip, EmptyArchive) {
  const auto zip = open(zip_of({}));
  ASSERT_TRUE(zip.ok());
  EXPECT_TRUE(zip->entries().empty());
}

TEST(Zip, ArchiveComment) {
  std::string s = zip_of(two);
  put16(s, s.size() - 2, 5);
  s += "note!";
  EXPECT_TRUE(open(s).ok());
  s.pop_back();
  EXPECT_FALSE(open(s).ok());
}

TEST(Zip, EveryTruncationIsAnError) {
  const std::string whole = zip_of(two);
  for (size_t n = 0; n < whole.size(); ++n) EXPECT_FALSE(open(whole.substr(0, n)).ok()) << n;
  EXPECT_EQ(code_of(whole.substr(0, whole.size() / 2)), &diag::truncated);
  EXPECT_EQ(code_of("not a zip"), &diag::unknown_format);
  EXPECT_EQ(code_of(""), &diag::unknown_format);
}

// A flipped bit is either refused, or harmless for structure; contents are then told by their CRC.
TEST(Zip, BitFlipsNeverGiveWrongContentsUnnoticed) {
  const std::string whole = zip_of(two);
  for (size_t i = 0; i < whole.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string s = whole;
      s[i] = static_cast<char>(s[i] ^ (1 << bit));
      const auto zip = open(s);
      if (!zip) continue;
      for (const ZipEntry& e : zip->entries()) {
        const auto bytes = zip->read(e);
        if (!bytes || !zip->check_crc(e).ok()) continue;
        const std::string text(as_text(bytes->bytes));
        EXPECT_TRUE(text == two[0].contents || text == two[1].contents) << i << " " << bit;
      }
    }
  }
}

TEST(Zip, RefusesDuplicatesAndOverlaps) {
  EXPECT_EQ(code_of(zip_of({{"a", "1"}, {"a", "2"}})), &diag::corrupt);
  // The second directory record points at the first member.
  std::string s = zip_of({{"a", "1"}, {"b", "2"}});
  const size_t second = central(s, 1);
  put32(s, second + 42, 0);
  s[second + 46] = 'a';
  EXPECT_EQ(code_of(s), &diag::corrupt);
  // A member that claims the next one's bytes.
  s = zip_of({{"a", "1"}, {"b", "2"}});
  put32(s, central(s) + 20, 60);
  put32(s, central(s) + 24, 60);
  EXPECT_EQ(code_of(s), &diag::corrupt);
}

TEST(Zip, RefusesWhatLiesOutside) {
  const std::string whole = zip_of(two);
  const size_t at = central(whole);
  for (const uint32_t offset : {0xFFFFFFF0U, 0xFFFFFFFFU, static_cast<uint32_t>(whole.size()), 1U}) {
    std::string s = whole;
    put32(s, at + 42, offset);
    EXPECT_EQ(code_of(s), &diag::corrupt) << offset;
  }
  std::string s = whole;
  put32(s, at + 20, 0x7FFFFFFF);
  put32(s, at + 24, 0x7FFFFFFF);
  EXPECT_EQ(code_of(s), &diag::corrupt);
  s = whole;
  put32(s, end_record(s) + 16, 0x7FFFFFFF);
  EXPECT_EQ(code_of(s), &diag::corrupt);
  s = whole;
  put16(s, end_record(s) + 8, 60000);
  put16(s, end_record(s) + 10, 60000);
  EXPECT_EQ(code_of(s), &diag::corrupt);
  s = whole;
  put16(s, end_record(s) + 4, 1);
  EXPECT_EQ(code_of(s), &diag::unsupported);
}

TEST(Zip, LocalHeaderMustAgree) {
  std::string s = zip_of(two);
  s[s.find("a/data.pkl")] = 'b';
  EXPECT_EQ(code_of(s), &diag::corrupt);
  s = zip_of(two);
  put16(s, 8, 8);  // method in the first local header
  EXPECT_EQ(code_of(s), &diag::corrupt);
}

TEST(Zip, BombsAreRefused) {
  const std::string zeros(size_t{4} << 20, '\0');
  const std::string s = zip_of({{"bomb", zeros, true}});
  EXPECT_EQ(text_of(*open(s), "bomb").size(), zeros.size());
  ZipLimits limits;
  limits.max_inflated = 1 << 20;
  const auto small = open(s, limits);
  EXPECT_EQ(small->read(small->entries()[0]).error().code, &diag::too_large);
  limits = {};
  limits.max_ratio = 100;
  const auto flat = open(s, limits);
  EXPECT_EQ(flat->read(flat->entries()[0]).error().code, &diag::too_large);
  limits = {};
  limits.free_inflated = 1 << 20;
  EXPECT_EQ(code_of(s, limits), &diag::too_large);  // 4 MB from 4 KB
  limits.max_total_ratio = 2000;
  EXPECT_TRUE(open(s, limits).ok());
  limits = {};
  limits.max_entries = 1;
  EXPECT_EQ(code_of(zip_of(two), limits), &diag::too_large);
}

TEST(Zip, LyingSizesAreRefused) {
  for (const uint32_t size : {4999U, 5001U, 0U}) {
    std::string s = zip_of(two);
    put32(s, central(s, 1) + 24, size);
    const auto zip = open(s);
    ASSERT_TRUE(zip.ok());
    EXPECT_EQ(zip->read(zip->entries()[1]).error().code, &diag::corrupt) << size;
  }
  std::string s = zip_of(two);
  put32(s, central(s, 1) + 24, 0x0FFFFFFF);
  EXPECT_EQ(open(s)->read(open(s)->entries()[1]).error().code, &diag::too_large);
  put32(s, central(s, 1) + 24, 0x7FFFFFFF);
  EXPECT_EQ(code_of(s), &diag::too_large);
}

TEST(Zip, UnknownMethodsAndEncryption) {
  std::string s = zip_of({{"a", "1"}}, 1);
  put16(s, 8, 12);
  put16(s, central(s) + 10, 12);
  const auto zip = open(s);
  ASSERT_TRUE(zip.ok());
  EXPECT_EQ(zip->read(zip->entries()[0]).error().code, &diag::unsupported);
  s = zip_of({{"a", "1"}}, 1);
  put16(s, central(s) + 8, 1);
  EXPECT_EQ(code_of(s), &diag::unsupported);
}

TEST(Zip, ManyEntriesUseZip64) {
  std::vector<Member> members;
  for (int i = 0; i < 66000; ++i) members.push_back({std::to_string(i), "x"});
  const std::string s = zip_of(members, 1);
  EXPECT_NE(s.find("PK\6\6"), std::string::npos);
  const auto zip = open(s);
  ASSERT_TRUE(zip.ok()) << to_text(zip.error());
  EXPECT_EQ(zip->entries().size(), 66000U);
  EXPECT_NE(zip->find("65999"), nullptr);
  std::string bad = s;
  bad[bad.rfind("PK\6\7") + 8 + 4] = '\x7F';  // the locator points far behind the file
  EXPECT_EQ(code_of(bad), &diag::corrupt);
}

// Python's zip64 entries (sizes in the extra field), compression and comments.
TEST(Zip, AgreesWithPython) {
  const testing::TempFolder folder;
  ProcessOptions run;
  run.cwd = folder.path();
  run.argv = {testing::torch_python(), "-c", R"(
import zipfile
with zipfile.ZipFile('p.zip', 'w') as z:
    with z.open(zipfile.ZipInfo('big'), 'w', force_zip64=True) as f: f.write(b'123')
    z.writestr(zipfile.ZipInfo('d'), b'y' * 100, zipfile.ZIP_DEFLATED)
    z.comment = b'PK\x05\x06 not the end'
)"};
  const auto made = run_process(run);
  if (!made) GTEST_SKIP() << "no Python (NPUPORT_TEST_TORCH_PYTHON)";
  ASSERT_TRUE(made->ok()) << made->err;
  const auto zip = ZipReader::open(*MappedFile::open(folder.path("p.zip")));
  ASSERT_TRUE(zip.ok()) << to_text(zip.error());
  EXPECT_EQ(text_of(*zip, "big"), "123");
  EXPECT_EQ(text_of(*zip, "d"), std::string(100, 'y'));
  ASSERT_TRUE(write_file(folder.path("ours.zip"), zip_of(two)).ok());
  run.argv[2] =
      "import zipfile; z = zipfile.ZipFile('ours.zip'); assert z.testzip() is None; "
      "assert z.read('a/ü') == b'x' * 5000 and z.namelist() == ['a/data.pkl', 'a/ü'], z.namelist()";
  const auto read = run_process(run);
  EXPECT_TRUE(read->ok()) << read->err;
}

}  // namespace
}  // namespace npuport
