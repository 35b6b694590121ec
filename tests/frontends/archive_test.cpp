#include "frontends/torch/archive.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "base/diag_codes.h"
#include "ir/npy.h"
#include "support/temp_folder.h"
#include "torch_fixture.h"

namespace npuport {
namespace {

using namespace testing;
using Kind = PickleValue::Kind;

class Archive : public ::testing::Test {
 protected:
  Result<TorchArchive> open(const std::string& bytes) {
    const std::string path = folder_.path("net.pt");
    EXPECT_TRUE(write_file(path, bytes).ok());
    return TorchArchive::open(path);
  }
  Result<TorchArchive> open(const Members& members, bool deflate = false) { return open(zip_bytes(members, deflate)); }
  TempFolder folder_;
};

std::string module_of(const std::vector<std::pair<std::string, std::string>>& attributes) {
  return pickle(op::object("__torch__.net", "Net", op::dict_of(attributes)));
}

// A script archive with one attribute `w` whose tensor and storage the test chooses.
Members with_tensor(const std::string& tensor, const std::string& storage, const std::string& root = "net/") {
  return {{root + "data/0", storage},
          {root + "data.pkl", module_of({{"w", tensor}})},
          {root + "code/__torch__/net.py", "class Net(Module):\n"},
          {root + "code/__torch__/net.py.debug_pkl", pickle(op::empty_tuple)},
          {root + "constants.pkl", pickle(op::empty_tuple)},
          {root + "version", "3\n"}};
}

Result<std::shared_ptr<const Tensor>> tensor_w(const TorchArchive& a) { return a.tensor(*a.data().find("w")); }

const std::string six = raw<float>({0, 1, 2, 3, 4, 5});

TEST_F(Archive, OpensAnyRootAndVersionPlace) {
  for (const char* root : {"net/", "archive/", "we ird.pt/", ""}) {
    auto members = with_tensor(op::tensor("FloatStorage", "0", 6, 0, {2, 3}, {3, 1}), six, root);
    const auto a = open(members);
    ASSERT_TRUE(a.ok()) << to_text(a.error());
    EXPECT_EQ(a->kind(), TorchFileKind::torchscript);
    EXPECT_EQ(a->version(), 3);
    EXPECT_EQ(a->data().text, "__torch__.net.Net");
    EXPECT_EQ(a->code_files(), std::vector<std::string>{"__torch__/net.py"});
    EXPECT_EQ(*a->code("__torch__/net.py"), "class Net(Module):\n");
    EXPECT_EQ(a->code("x.py").error().code, &diag::missing_entry);
    EXPECT_NE(*a->debug("__torch__/net.py"), nullptr);
    EXPECT_EQ(*a->debug("x.py"), nullptr);
    EXPECT_EQ(*a->traced_inputs(), nullptr);
    EXPECT_TRUE(a->has("version"));
  }
  auto members = with_tensor(op::none, "");
  members.back() = {"net/.data/version", "10"};
  EXPECT_EQ(open(members)->version(), 10);
  members.back() = {"net/.data/version", "11"};
  const auto newer = open(members);
  ASSERT_TRUE(newer.ok());
  ASSERT_EQ(newer->warnings().size(), 1U);
  EXPECT_EQ(newer->warnings()[0].severity, Severity::warning);
  members.back() = {"net/version", "x"};
  EXPECT_EQ(open(members).error().code, &diag::corrupt);
  members.back() = {"net/byteorder", "middle"};
  EXPECT_EQ(open(members).error().code, &diag::corrupt);
}

TEST_F(Archive, TensorsPointIntoTheFile) {
  auto a = open(with_tensor(op::tensor("FloatStorage", "0", 6, 0, {2, 3}, {3, 1}), six));
  const auto t = tensor_w(*a);
  ASSERT_TRUE(t.ok());
  EXPECT_TRUE(identical(**t, Tensor::of<float>({2, 3}, {0, 1, 2, 3, 4, 5})));
  EXPECT_EQ(reinterpret_cast<uintptr_t>((*t)->data) % 64, 0U);
  // They outlive the archive.
  const auto kept = *t;
  a = Diag(diag::internal, "gone");
  EXPECT_EQ(kept->as<float>()[5], 5.0F);
}

TEST_F(Archive, StridedOffsetAndExpandedTensors) {
  struct Case {
    int64_t offset;
    Shape sizes;
    std::vector<int64_t> strides;
    std::vector<float> values;
  };
  const Case cases[] = {{0, {3, 2}, {1, 3}, {0, 3, 1, 4, 2, 5}},  // transposed
                        {1, {2, 2}, {3, 1}, {1, 2, 4, 5}},        // a slice
                        {2, {2, 3}, {0, 1}, {2, 3, 4, 2, 3, 4}},  // expanded
                        {5, {}, {}, {5}},                         // scalar
                        {1, {1, 2, 1}, {99, 2, 77}, {1, 3}},      // strides of size-1 dimensions do not matter
                        {0, {2, 1, 3}, {3, 1000, 1}, {0, 1, 2, 3, 4, 5}},
                        {6, {0, 5}, {5, 1}, {}}};  // empty, may start at the end
  for (const Case& c : cases) {
    const auto a = open(with_tensor(op::tensor("FloatStorage", "0", 6, c.offset, c.sizes, c.strides), six));
    const auto t = tensor_w(*a);
    ASSERT_TRUE(t.ok()) << to_text(t.error());
    EXPECT_TRUE(identical(**t, Tensor::of<float>(c.sizes, std::span<const float>(c.values)))) << to_string(c.sizes);
  }
}

TEST_F(Archive, OutsideTheStorage) {
  struct Case {
    int64_t count, offset;
    Shape sizes;
    std::vector<int64_t> strides;
  };
  const Case cases[] = {{6, 1, {2, 3}, {3, 1}},
                        {6, 0, {2, 3}, {4, 1}},
                        {6, 7, {}, {}},
                        {7, 0, {7}, {1}},  // the file has six
                        {int64_t{1} << 45, 0, {2}, {int64_t{1} << 44}},
                        {6, 0, {3, 3}, {int64_t{1} << 62, int64_t{1} << 62}},
                        {6, INT64_MAX, {2}, {INT64_MAX}}};
  for (const Case& c : cases) {
    const auto a = open(with_tensor(op::tensor("FloatStorage", "0", c.count, c.offset, c.sizes, c.strides), six));
    ASSERT_TRUE(a.ok());
    EXPECT_EQ(tensor_w(*a).error().code, &diag::corrupt) << c.offset << " " << to_string(c.sizes);
    EXPECT_FALSE(a->check_tensor(*a->data().find("w")->tensor).ok());
  }
  const auto expanded = open(with_tensor(op::tensor("FloatStorage", "0", 6, 0, {1 << 20, 1 << 19}, {0, 0}), six));
  EXPECT_EQ(tensor_w(*expanded).error().code, &diag::too_large);
}

TEST_F(Archive, EveryElementType) {
  struct Case {
    std::string storage, bytes;
    DType dtype;
    double value;
  };
  const Case cases[] = {{"DoubleStorage", raw<double>({-2.5}), DType::f64, -2.5},
                        {"HalfStorage", raw<uint16_t>({0x3E00}), DType::f16, 1.5},
                        {"BFloat16Storage", raw<uint16_t>({0xBFC0}), DType::bf16, -1.5},
                        {"LongStorage", raw<int64_t>({-3}), DType::i64, -3},
                        {"IntStorage", raw<int32_t>({-4}), DType::i32, -4},
                        {"ShortStorage", raw<int16_t>({-5}), DType::i16, -5},
                        {"CharStorage", raw<int8_t>({-6}), DType::i8, -6},
                        {"ByteStorage", raw<uint8_t>({250}), DType::u8, 250},
                        {"BoolStorage", raw<uint8_t>({2}), DType::boolean, 1},
                        {"UInt16Storage", raw<uint16_t>({65000}), DType::u16, 65000},
                        {"QUInt8Storage", raw<uint8_t>({9}), DType::u8, 9}};
  for (const Case& c : cases) {
    const auto a = open(with_tensor(op::tensor(c.storage, "0", 1, 0, {1}, {1}), c.bytes));
    const auto t = tensor_w(*a);
    ASSERT_TRUE(t.ok()) << to_text(t.error());
    EXPECT_EQ((*t)->dtype, c.dtype);
    EXPECT_EQ(get_double(**t, 0), c.value) << c.storage;
    // The same bytes turned round, declared as big-endian.
    std::string turned = c.bytes;
    std::ranges::reverse(turned);
    auto members = with_tensor(op::tensor(c.storage, "0", 1, 0, {1}, {1}), turned);
    members.emplace_back("net/byteorder", "big");
    const auto big = open(members);
    EXPECT_TRUE(big->big_endian());
    EXPECT_EQ(get_double(**tensor_w(*big), 0), c.value) << c.storage;
  }
  for (const auto& [storage, word] : {std::pair{"ComplexFloatStorage", "complex64"},
                                      {"Float8_e4m3fnStorage", "float8_e4m3fn"},
                                      {"QUInt4x2Storage", "quint4x2"}}) {
    const auto a = open(with_tensor(op::tensor(storage, "0", 1, 0, {1}, {1}), std::string(16, '\0')));
    const auto t = tensor_w(*a);
    EXPECT_EQ(t.error().code, &diag::unsupported);
    EXPECT_NE(t.error().message.find(word), std::string::npos);
  }
}

TEST_F(Archive, ADeflatedStorageBeyondItsDeclaredSizeIsNotInflated) {
  const Members members = {{"net/data.pkl", module_of({{"a", op::tensor("FloatStorage", "0", 6, 0, {2, 3}, {3, 1})}})},
                           {"net/constants.pkl", pickle(op::tuple_of({}))},
                           {"net/data/0", six + std::string(size_t{1} << 20, '\0')}};
  const auto bomb = open(members, true);
  ASSERT_TRUE(bomb.ok()) << to_text(bomb.error());
  const auto refused = bomb->tensor(*bomb->data().find("a"));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, &diag::too_large);
  EXPECT_NE(refused.error().message.find("declares 24"), std::string::npos) << refused.error().message;
  const auto stored = open(members);  // costs nothing: it lies in the file
  ASSERT_TRUE(stored.ok()) << to_text(stored.error());
  EXPECT_TRUE(stored->tensor(*stored->data().find("a")).ok());
}

TEST_F(Archive, TiedWeightsAreOneTensor) {
  const auto f = [](int64_t offset, std::vector<int64_t> sizes, std::vector<int64_t> strides) {
    return op::tensor("FloatStorage", "0", 6, offset, sizes, strides);
  };
  for (const bool deflate : {false, true}) {
    const auto a = open({{"net/data.pkl", module_of({{"a", f(0, {2, 3}, {3, 1})},
                                                     {"b", f(0, {2, 3}, {3, 1})},
                                                     {"c", f(0, {3, 2}, {2, 1})},
                                                     {"d", f(3, {3}, {1})}})},
                         {"net/constants.pkl", pickle(op::tuple_of({f(0, {2, 3}, {3, 1})}))},
                         {"net/data/0", six + std::string(deflate ? 1000 : 0, '\0')},
                         {"net/constants/0", raw<float>({9, 9, 9, 9, 9, 9}) + std::string(deflate ? 1000 : 0, '\0')}},
                        deflate);
    ASSERT_TRUE(a.ok()) << to_text(a.error());
    const auto at = [&](const char* name) { return *a->tensor(*a->data().find(name)); };
    EXPECT_EQ(at("a"), at("b"));
    EXPECT_NE(at("a"), at("c"));
    EXPECT_EQ(at("a")->data, at("c")->data);  // still one storage
    EXPECT_EQ(at("d")->as<float>()[0], 3.0F);
    // constants/0 is another storage than data/0.
    ASSERT_EQ(a->constants().size(), 1U);
    EXPECT_EQ((*a->tensor(*a->constants()[0]))->as<float>()[0], 9.0F);
  }
}

TEST_F(Archive, MissingPieces) {
  auto members = with_tensor(op::tensor("FloatStorage", "0", 6, 0, {6}, {1}), six);
  members.erase(members.begin());
  const auto a = open(members);
  ASSERT_TRUE(a.ok());
  EXPECT_EQ(tensor_w(*a).error().code, &diag::missing_entry);
  EXPECT_NE(tensor_w(*a).error().message.find("data/0"), std::string::npos);
  EXPECT_EQ(open(Members{{"net/code/x.py", ""}}).error().code, &diag::unknown_format);
  EXPECT_EQ(open(std::string("no archive")).error().code, &diag::unknown_format);
  EXPECT_EQ(open(std::string()).error().code, &diag::unknown_format);
  EXPECT_EQ(TorchArchive::open(folder_.path("none")).error().code, &diag::file_not_found);
  EXPECT_EQ(open(Members{{"n/data.pkl", pickle(op::none)}, {"n/constants.pkl", pickle(op::none)}}).error().code,
            &diag::corrupt);
}

TEST_F(Archive, OldTensorFolder) {
  auto members = with_tensor(op::tensor("FloatStorage", "0", 6, 0, {6}, {1}), six);
  members[0].first = "net/tensors/0";
  EXPECT_EQ((*tensor_w(*open(members)))->as<float>()[5], 5.0F);
}

TEST_F(Archive, ScriptPicklesAreStrict) {
  const auto a = open(Members{{"n/data.pkl", pickle(op::call("os", "system", {op::s("x")}))},
                              {"n/constants.pkl", pickle(op::empty_tuple)}});
  ASSERT_FALSE(a.ok());
  EXPECT_EQ(a.error().code, &diag::unsafe_pickle);
  EXPECT_NE(a.error().where.file.find("net.pt"), std::string::npos);
  // The same in a checkpoint is recorded, not run.
  const auto c = open(Members{{"n/data.pkl", pickle(op::call("os", "system", {op::s("x")}))}});
  ASSERT_TRUE(c.ok());
  EXPECT_EQ(c->kind(), TorchFileKind::checkpoint);
  EXPECT_EQ(c->data_pickle().called, std::vector<std::string>{"os.system"});
}

TEST_F(Archive, ChecksumsAndChanges) {
  const auto members = with_tensor(op::tensor("FloatStorage", "0", 6, 0, {6}, {1}), six);
  const auto good = open(members);
  EXPECT_TRUE(good->verify_checksums().ok());
  std::string bytes = zip_bytes(members);
  bytes[bytes.find(six.substr(4, 8)) + 4] ^= 1;
  EXPECT_EQ(open(bytes)->verify_checksums().error().code, &diag::corrupt);
  EXPECT_EQ(good->check_unchanged().error().code, &diag::file_changed);
}

// Opening and reading every tensor must return whatever is cut off or flipped.
TEST_F(Archive, TruncationAndFlips) {
  const std::string whole = zip_bytes(with_tensor(op::tensor("FloatStorage", "0", 6, 0, {2, 3}, {3, 1}), six));
  for (size_t n = 0; n < whole.size(); n += 3) EXPECT_FALSE(open(whole.substr(0, n)).ok()) << n;
  for (size_t n = 0; n < whole.size(); ++n) {
    std::string flipped = whole;
    flipped[n] = static_cast<char>(flipped[n] ^ (1 << n % 8));
    const auto a = open(flipped);
    if (!a) continue;
    for (const PickleValue& v : a->data_pickle().values)
      if (v.is(Kind::tensor)) (void)a->tensor(v).ok();
    for (const std::string& name : a->code_files()) (void)a->debug(name).ok();
  }
}

TEST(ArchiveData, EveryPublishedArchiveOpens) {
  const std::string shared = shared_folder();
  if (shared.empty()) GTEST_SKIP() << "no shared folder (NPUPORT_SHARED)";
  size_t files = 0;
  size_t tensors = 0;
  for (const auto& entry : std::filesystem::directory_iterator(shared + "/data/torchscript")) {
    if (entry.path().extension() != ".pt") continue;
    ++files;
    const auto a = TorchArchive::open(entry.path().string());
    ASSERT_TRUE(a.ok()) << to_text(a.error());
    EXPECT_EQ(a->kind(), TorchFileKind::torchscript);
    EXPECT_TRUE(a->warnings().empty());
    EXPECT_FALSE(a->code_files().empty());
    for (const std::string& name : a->code_files()) {
      EXPECT_TRUE(a->code(name).ok());
      EXPECT_TRUE(a->debug(name).ok() && *a->debug(name));
    }
    EXPECT_TRUE(a->traced_inputs().ok());
    EXPECT_TRUE(a->verify_checksums().ok());
    const auto read = [&](const PickleValue& v) {
      if (!v.is(Kind::tensor)) return;
      const auto t = a->tensor(v);
      const bool complex = v.tensor->storage.dtype_name == "complex64";  // own_fno2d has one
      EXPECT_EQ(t.ok(), !complex) << entry.path() << (t ? "" : to_text(t.error()));
      tensors += t.ok();
    };
    for (const PickleValue& v : a->data_pickle().values) read(v);
    for (const PickleValue* v : a->constants()) read(*v);
  }
  EXPECT_EQ(files, 142U);
  EXPECT_GT(tensors, 4000U);
}

// PyTorch writes, we read, NumPy's copy of the same arrays decides.
TEST_F(Archive, AgreesWithPyTorch) {
  const auto made = run_torch(folder_.path(), R"(
import torch, numpy as np
torch.manual_seed(0)
w = torch.randn(3, 4, 5)
state = {'plain': w, 'turned': w.permute(2, 0, 1), 'slice': w[1:, ::2, 3:], 'half': w.half(), 'bf': w.bfloat16(),
         'long': torch.arange(7), 'bool': w > 0, 'scalar': torch.tensor(3.5), 'empty': torch.zeros(0, 3),
         'expanded': w[:1].expand(6, 4, 5), 'parameter': torch.nn.Parameter(w[0]), 'byte': torch.arange(256).byte(),
         'int16': torch.arange(-4, 4).short(), 'last': torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)}
state = {'t_' + k: v for k, v in state.items()}  # modules have methods called half, bool …
np.savez('state.npz', **{k: (v.float() if v.dtype == torch.bfloat16 else v).detach().numpy() for k, v in state.items()})
torch.save(state, 'zip.pt')
torch.save(state, 'old.pt', _use_new_zipfile_serialization=False)
torch.save(state, 'protocol4.pt', pickle_protocol=4)
class M(torch.nn.Module):
    def __init__(self):
        super().__init__()
        for k, v in state.items():
            if k != 't_parameter': self.register_buffer(k, v)
        self.t_parameter = state['t_parameter']
    def forward(self, x): return x + self.t_plain.sum()
torch.jit.trace(M(), torch.zeros(1)).save('script.pt')
)");
  if (!made) GTEST_SKIP() << "no Python with PyTorch (NPUPORT_TEST_TORCH_PYTHON)";
  ASSERT_TRUE(made->ok()) << made->err;
  const auto expected = read_npz(folder_.path("state.npz"));
  ASSERT_TRUE(expected.ok());
  ASSERT_EQ(expected->size(), 14U);
  for (const char* file : {"zip.pt", "old.pt", "protocol4.pt", "script.pt"}) {
    const auto a = TorchArchive::open(folder_.path(file));
    ASSERT_TRUE(a.ok()) << file << to_text(a.error());
    for (const auto& [name, values] : *expected) {
      const PickleValue* v = a->data().find(name);
      ASSERT_NE(v, nullptr) << name;
      const auto t = a->tensor(*v);
      ASSERT_TRUE(t.ok()) << to_text(t.error());
      EXPECT_TRUE(identical((*t)->dtype == DType::bf16 ? cast_tensor(**t, DType::f32) : **t, values)) << file << name;
    }
    EXPECT_EQ((*a->tensor(*a->data().find("t_bf")))->dtype, DType::bf16);
  }
  EXPECT_EQ(sniff_torch_file(folder_.path("old.pt")), TorchFileKind::legacy_checkpoint);
  EXPECT_EQ(sniff_torch_file(folder_.path("zip.pt")), TorchFileKind::checkpoint);
  EXPECT_EQ(sniff_torch_file(folder_.path("script.pt")), TorchFileKind::torchscript);
  EXPECT_EQ(sniff_torch_file(folder_.path("state.npz")), std::nullopt);
  // An old checkpoint cut anywhere.
  const std::string old = *read_file(folder_.path("old.pt"));
  for (size_t n = 0; n < old.size(); n += 13) {
    ASSERT_TRUE(write_file(folder_.path("cut.pt"), old.substr(0, n)).ok());
    EXPECT_FALSE(TorchArchive::open(folder_.path("cut.pt")).ok()) << n;
  }
}

}  // namespace
}  // namespace npuport
