#include "ir/npy.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/byte_reader.h"
#include "base/diag_codes.h"
#include "base/subprocess.h"

namespace npuport {
namespace {

class Npy : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("npuport npy " + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::filesystem::path folder_;
};

std::string npy(const std::string& descr, bool fortran, const std::string& shape, const std::string& data,
                char major = 1) {
  std::string text =
      "{'descr': " + descr + ", 'fortran_order': " + (fortran ? "True" : "False") + ", 'shape': " + shape + ", }\n";
  std::string out = "\x93NUMPY";
  out += {major, '\0', static_cast<char>(text.size() & 0xFF), static_cast<char>(text.size() >> 8)};
  if (major > 1) out += std::string(2, '\0');
  return out + text + data;
}

Result<Tensor> parse(const std::string& bytes) { return parse_npy(as_bytes(bytes), nullptr); }

const DiagCode* code_of(const std::string& bytes) {
  const auto t = parse(bytes);
  return t.ok() ? nullptr : t.error().code;
}

template <class T>
void round_trip(const std::string& file, std::initializer_list<T> values) {
  const Tensor t = Tensor::of<T>({static_cast<int64_t>(values.size()), 1}, values);
  ASSERT_TRUE(write_npy(file, t).ok());
  const auto back = read_npy(file);
  ASSERT_TRUE(back.ok());
  EXPECT_TRUE(identical(t, *back)) << name(t.dtype);
}

TEST_F(Npy, EveryTypeComesBack) {
  round_trip<float>(path("a.npy"), {1.5F, -0.0F, 3e38F});
  round_trip<double>(path("a.npy"), {1e300, -2});
  round_trip<Float16>(path("a.npy"), {Float16(0.5F), Float16(-65504.0F)});
  round_trip<int8_t>(path("a.npy"), {-128, 127});
  round_trip<uint8_t>(path("a.npy"), {0, 255});
  round_trip<int16_t>(path("a.npy"), {-32768});
  round_trip<uint16_t>(path("a.npy"), {65535});
  round_trip<int32_t>(path("a.npy"), {INT32_MIN});
  round_trip<uint32_t>(path("a.npy"), {UINT32_MAX});
  round_trip<int64_t>(path("a.npy"), {INT64_MIN, 7});
  round_trip<uint64_t>(path("a.npy"), {UINT64_MAX});
  round_trip<bool>(path("a.npy"), {true, false});
}

TEST_F(Npy, ScalarsAndEmptyArraysComeBack) {
  for (const Shape& shape : {Shape{}, Shape{0}, Shape{3, 0, 2}, Shape{1, 1, 1, 1, 1, 1}}) {
    const Tensor t = Tensor::zeros(DType::f32, shape);
    ASSERT_TRUE(write_npy(path("s.npy"), t).ok());
    const auto back = read_npy(path("s.npy"));
    ASSERT_TRUE(back.ok()) << to_text(back.error());
    EXPECT_EQ(back->shape, shape);
  }
}

TEST(NpyHeader, IsWhatNumpyWrites) {
  const auto header = npy_header(Tensor::zeros(DType::f32, {3, 4}));
  ASSERT_TRUE(header.ok());
  EXPECT_EQ(header->size() % 64, 0U);
  EXPECT_EQ(header->substr(10, 60), "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } ");
  EXPECT_EQ(header->back(), '\n');
  EXPECT_NE(npy_header(Tensor::zeros(DType::u8, {5}))->find("'|u1'"), std::string::npos);
  EXPECT_NE(npy_header(Tensor::zeros(DType::u8, {5}))->find("(5,)"), std::string::npos);
  EXPECT_EQ(npy_header(Tensor::zeros(DType::bf16, {1})).error().code, &diag::dtype_mismatch);
}

TEST(NpyParse, FortranOrderAndByteOrder) {
  const auto f = parse(npy("'|u1'", true, "(2, 3)", {'\1', '\2', '\3', '\4', '\5', '\6'}));
  ASSERT_TRUE(f.ok());
  EXPECT_TRUE(identical(*f, Tensor::of<uint8_t>({2, 3}, {1, 3, 5, 2, 4, 6})));
  const auto big = parse(npy("'>i2'", false, "(2,)", std::string("\x01\x02\xFF\xFE", 4)));
  ASSERT_TRUE(big.ok());
  EXPECT_TRUE(identical(*big, Tensor::of<int16_t>({2}, {0x0102, -2})));
  const auto both = parse(npy("'>i2'", true, "(2, 2)", std::string("\0\1\0\2\0\3\0\4", 8)));
  ASSERT_TRUE(both.ok());
  EXPECT_TRUE(identical(*both, Tensor::of<int16_t>({2, 2}, {1, 3, 2, 4})));
}

TEST(NpyParse, OddButValidHeaders) {
  EXPECT_TRUE(parse(npy("'<f4'", false, "()", std::string(4, '\0'))).ok());
  EXPECT_TRUE(parse(npy("\"<f4\"", false, "(1L,)", std::string(4, '\0'))).ok());
  EXPECT_TRUE(parse(npy("'?'", false, "(1,)", "\x02")).ok());
  EXPECT_EQ(get_int(*parse(npy("'?'", false, "(1,)", "\x02")), 0), 1);
  EXPECT_TRUE(parse(npy("'<f4'", false, "(1,)", std::string(4, '\0'), 2)).ok());
  EXPECT_TRUE(parse(npy("'<f4'", false, "(1,)", std::string(4, '\0'), 3)).ok());
}

TEST(NpyParse, HostileHeaders) {
  EXPECT_EQ(code_of(""), &diag::unknown_format);
  EXPECT_EQ(code_of("PK"), &diag::unknown_format);
  EXPECT_EQ(code_of(npy("'<f4'", false, "(1,)", std::string(4, '\0'), 4)), &diag::newer_version);
  EXPECT_EQ(code_of(npy("'<f4'", false, "(2,)", std::string(7, '\0'))), &diag::truncated);
  EXPECT_EQ(code_of(npy("'|O'", false, "(1,)", "x")), &diag::bad_input_data);
  EXPECT_EQ(code_of(npy("'<U5'", false, "(1,)", "x")), &diag::bad_input_data);
  EXPECT_EQ(code_of(npy("'<c8'", false, "(1,)", "x")), &diag::bad_input_data);
  EXPECT_EQ(code_of(npy("[('a', '<f4')]", false, "(1,)", "x")), &diag::bad_input_data);
  EXPECT_EQ(code_of(npy("'<f4'", false, "(-1,)", "")), &diag::shape_mismatch);
  EXPECT_EQ(code_of(npy("'<f4'", false, "(1099511627777,)", "")), &diag::too_large);
  EXPECT_EQ(code_of(npy("'<f4'", false, "(4611686018427387904, 4611686018427387904)", "")), &diag::too_large);
  EXPECT_EQ(code_of(npy("'<f4'", false, "(0, 4611686018427387904, 4611686018427387904)", "")), &diag::too_large);
  EXPECT_EQ(code_of(npy("'<f4'", false, "(99999999999999999999,)", "")), &diag::corrupt);
  EXPECT_EQ(code_of(npy("'<f4'", false, "(1 2)", "")), &diag::corrupt);
  EXPECT_EQ(code_of(npy("'<f4', 'descr': '<f4'", false, "(1,)", "")), &diag::corrupt);
  EXPECT_EQ(code_of(npy("'<f4', 'x': 1", false, "(1,)", "")), &diag::corrupt);
  EXPECT_EQ(code_of(npy("'<f4'", false, "(1,), 'y", "")), &diag::corrupt);
}

TEST(NpyParse, EveryTruncationIsAnError) {
  const std::string whole = npy("'<f4'", false, "(3,)", std::string(12, 'x'));
  for (size_t n = 0; n < whole.size(); ++n) EXPECT_FALSE(parse(whole.substr(0, n)).ok()) << n;
  EXPECT_TRUE(parse(whole).ok());
}

TEST_F(Npy, NpzKeepsOrderAndPointsIntoTheFile) {
  const NamedTensors arrays = {{"in.0", Tensor::of<float>({2}, {1, 2})},
                               {"a/b c", Tensor::of<int64_t>({}, {-5})},
                               {"flag", Tensor::of<bool>({3}, {true, false, true})},
                               {"ümlaut", Tensor::of<Float16>({1}, {Float16(2.0F)})}};
  ASSERT_TRUE(write_npz(path("a.npz"), arrays).ok());
  const auto back = read_npz(path("a.npz"));
  ASSERT_TRUE(back.ok()) << to_text(back.error());
  ASSERT_EQ(back->size(), arrays.size());
  for (size_t i = 0; i < arrays.size(); ++i) {
    EXPECT_EQ((*back)[i].first, arrays[i].first);
    EXPECT_TRUE(identical((*back)[i].second, arrays[i].second));
    EXPECT_EQ(reinterpret_cast<uintptr_t>((*back)[i].second.data) % 64, 0U);
  }
  const auto once = read_file(path("a.npz"));
  ASSERT_TRUE(write_npz(path("b.npz"), arrays).ok());
  EXPECT_EQ(*once, *read_file(path("b.npz")));
}

TEST_F(Npy, NpzErrors) {
  const Tensor t = Tensor::of<float>({1}, {1});
  EXPECT_EQ(write_npz(path("a.npz"), NamedTensors{{"x", t}, {"x", t}}).error().code, &diag::bad_input_data);
  EXPECT_FALSE(std::filesystem::exists(path("a.npz")));
  EXPECT_EQ(read_npz(path("none.npz")).error().code, &diag::file_not_found);
  ASSERT_TRUE(write_npz(path("a.npz"), NamedTensors{{"x", t}}).ok());
  EXPECT_EQ(NpzReader::open(path("a.npz"))->read("y").error().code, &diag::missing_entry);
  const std::string whole = *read_file(path("a.npz"));
  std::string flipped = whole;
  flipped[whole.find("NUMPY") + 130] ^= 1;  // inside the array's data
  ASSERT_TRUE(write_file(path("flipped.npz"), flipped).ok());
  EXPECT_EQ(read_npz(path("flipped.npz")).error().code, &diag::corrupt);
  for (size_t n = 0; n < whole.size(); ++n) {
    ASSERT_TRUE(write_file(path("cut.npz"), whole.substr(0, n)).ok());
    EXPECT_FALSE(read_npz(path("cut.npz")).ok()) << n;
  }
}

std::string python() {
  const char* chosen = std::getenv("NPUPORT_TEST_TORCH_PYTHON");
  return chosen && *chosen ? chosen : "/usr/bin/python3";
}

// NumPy reads what we write and we read what NumPy writes, compressed or not.
TEST_F(Npy, AgreesWithNumpy) {
  ProcessOptions probe;
  probe.argv = {python(), "-c", "import numpy"};
  const auto there = run_process(probe);
  if (!there || !there->ok()) GTEST_SKIP() << "no Python with NumPy (NPUPORT_TEST_TORCH_PYTHON)";
  ASSERT_TRUE(write_npz(path("ours.npz"), NamedTensors{{"f", Tensor::of<float>({2, 2}, {1, 2, 3, 4})},
                                                       {"h", Tensor::of<Float16>({1}, {Float16(0.1F)})},
                                                       {"b", Tensor::of<bool>({2}, {true, false})},
                                                       {"s", Tensor::of<int64_t>({}, {-7})}})
                  .ok());
  ASSERT_TRUE(write_npy(path("ours.npy"), Tensor::of<int32_t>({3}, {1, -2, 3})).ok());
  ProcessOptions run;
  run.cwd = folder_.string();
  run.argv = {python(), "-c", R"(
import numpy as np
z = np.load('ours.npz')
assert z.files == ['f', 'h', 'b', 's'], z.files
assert (z['f'] == [[1, 2], [3, 4]]).all() and z['f'].dtype == np.float32
assert z['h'][0] == np.float16(0.1) and z['b'].tolist() == [True, False] and z['s'] == -7 and z['s'].shape == ()
assert np.load('ours.npy').tolist() == [1, -2, 3]
a = np.arange(24, dtype='>f8').reshape(2, 3, 4)
np.savez('plain.npz', a=a, f=np.asfortranarray(a.astype('<i4')), b=np.array([[True], [False]]), t=np.array(['x']))
np.savez_compressed('small.npz', a=a, f=a.astype('f2').T, zeros=np.zeros((500, 500)))
)"};
  const auto done = run_process(run);
  ASSERT_TRUE(done.ok() && done->ok()) << (done ? done->err : to_text(done.error()));
  const auto plain = NpzReader::open(path("plain.npz"));
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(plain->names(), (std::vector<std::string>{"a", "f", "b", "t"}));
  for (const char* name : {"a", "f"}) {
    const auto t = plain->read(name);
    ASSERT_TRUE(t.ok());
    EXPECT_EQ(t->shape, (Shape{2, 3, 4}));
    for (int64_t i = 0; i < 24; ++i) EXPECT_EQ(get_double(*t, i), static_cast<double>(i)) << name;
  }
  EXPECT_EQ(plain->read("t").error().code, &diag::bad_input_data);
  const auto small = read_npz(path("small.npz"));
  ASSERT_TRUE(small.ok()) << to_text(small.error());
  EXPECT_EQ((*small)[1].second.shape, (Shape{4, 3, 2}));
  EXPECT_EQ(get_double((*small)[1].second, 1), 12.0);
  EXPECT_EQ((*small)[2].second.count(), 250000);
}

}  // namespace
}  // namespace npuport
