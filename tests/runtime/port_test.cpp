// Ports from their metadata alone, and embedding tables.
#include <random>

#include "runtime/support.h"
#include "support/paths.h"

namespace npuport {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::SmallPort;
using testing::write_text;

class PortTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { npuport_runtime_host_register(); }
  rt::Error open_error() {
    const auto port = rt::Port::open(port_.folder());
    if (!port) return port.error();
    const auto s = port->open_part("", "host");
    return s ? rt::Error{NPUPORT_OK, "", "opened", "", "", ""} : s.error();
  }
  testing::TempFolder folder_;
  SmallPort port_{folder_.path("OUT")};
};

TEST_F(PortTest, OriginalInterfaceFromFolderOrMetadataAlone) {
  for (const std::string& path : {port_.folder(), port_.path("small_metadata.json"), port_.folder() + "/models"}) {
    const auto port = rt::Port::open(path);
    ASSERT_TRUE(port) << npuport_last_error(nullptr);
    EXPECT_THAT(port->parts(), ElementsAre("p"));
    EXPECT_TRUE(port->has("p"));
    auto s = port->open_part("p", "host");
    ASSERT_TRUE(s) << npuport_last_error(nullptr);
    EXPECT_EQ(s->input(0).dtype, NPUPORT_I64);
    EXPECT_THAT(s->output(0).shape, ElementsAre(1, 2, 1, 3));
    testing::run_small(*s);
  }
}

TEST_F(PortTest, RawInterface) {
  const auto port = rt::Port::open(port_.folder());
  ASSERT_TRUE(port);
  auto s = port->open_part("p", "host", {{"interface", "raw"}});
  ASSERT_TRUE(s) << npuport_last_error(nullptr);
  EXPECT_EQ(s->input(0).name, "token_embeddings");
  EXPECT_EQ(s->input(1).layout, NPUPORT_LAYOUT_PERMUTED);
  EXPECT_THAT(s->input(1).permutation, ElementsAre(0, 2, 3, 1));
  EXPECT_TRUE(s->run());
}

// Dims merged at the border: the contract says to which shape, the model's own interface stays.
TEST_F(PortTest, MergedDims) {
  auto& part = port_.metadata["parts"][0];
  part["io"]["version"] = 2;
  part["io"]["file_inputs"][1]["shape"] = {1, 1, 3, 2};
  part["inputs"][1]["layout"] = "merged";
  part["inputs"][1].erase("permutation");
  port_.save();
  const auto port = rt::Port::open(port_.folder());
  ASSERT_TRUE(port) << npuport_last_error(nullptr);
  auto s = port->open_part("p", "host");
  ASSERT_TRUE(s) << npuport_last_error(nullptr);
  testing::run_small(*s);
  const auto raw = port->open_part("p", "host", {{"interface", "raw"}});
  ASSERT_TRUE(raw) << npuport_last_error(nullptr);
  EXPECT_EQ(raw->input(1).layout, NPUPORT_LAYOUT_MERGED);
  EXPECT_TRUE(raw->input(1).permutation.empty());
  part["io"]["file_inputs"][1]["shape"] = {1, 3, 1, 2};  // as many elements, another shape than the file's
  port_.save();
  EXPECT_EQ(open_error().status, NPUPORT_BAD_FILE);
  part["io"]["file_inputs"][1]["shape"] = {1, 1, 3, 3};
  port_.save();
  EXPECT_EQ(open_error().status, NPUPORT_BAD_FILE);
}

TEST_F(PortTest, CompiledFilesBesideTheMetadata) {
  port_.metadata["parts"][0].erase("artefacts");
  port_.save();
  const auto port = rt::Port::open(port_.folder());
  ASSERT_TRUE(port);
  const rt::Options options = {{"library", standin_runtime() + "/libneuron_runtime.so"}};
  auto s = port->open_part("p", "neuron", options);
  ASSERT_TRUE(s) << npuport_last_error(nullptr);
  testing::run_small(*s);
  write_text(port_.path("p_small_2_MT6991.dla"), "another chip");
  const auto several = port->open_part("p", "neuron", options);
  ASSERT_FALSE(several);
  EXPECT_THAT(several.error().message, HasSubstr("several files *.dla"));
  rt::Options named = options;
  named.push_back({"file", "p_small_2_MT8371.dla"});
  EXPECT_TRUE(port->open_part("p", "neuron", named));
  named[1].value = "../p_small_2_MT8371.dla";
  EXPECT_EQ(port->open_part("p", "neuron", named).error().status, NPUPORT_NOT_FOUND);
}

TEST_F(PortTest, SessionsOutliveThePort) {
  auto port = rt::Port::open(port_.folder());
  auto s = port->open_part("p", "host");
  ASSERT_TRUE(s);
  port = rt::last_error();
  testing::run_small(*s);
}

TEST_F(PortTest, IdsOutsideTheTable) {
  const auto port = rt::Port::open(port_.folder());
  auto s = port->open_part("p", "host");
  ASSERT_TRUE(s);
  for (const int64_t bad : {int64_t{-1}, int64_t{4}, int64_t{1} << 40}) {
    const int64_t ids[] = {0, bad};
    ASSERT_TRUE(s->set_input<int64_t>(0, ids));
    const auto r = s->run();
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error().status, NPUPORT_BAD_INPUT);
    EXPECT_EQ(r.error().tensor, "ids");
    EXPECT_THAT(r.error().message, HasSubstr("id " + std::to_string(bad) + " at position 1"));
    EXPECT_FALSE(s->output_values<float>(0));
  }
}

TEST_F(PortTest, Metadata) {
  const auto port = rt::Port::open(port_.folder());
  ASSERT_TRUE(port);
  EXPECT_EQ(port->metadata("/task/kind"), "asr");
  EXPECT_EQ(port->metadata("/task/decode/a~1b~0c"), "7");
  EXPECT_EQ(port->metadata("/parts/0/inputs/1/permutation/3"), "1");
  EXPECT_EQ(port->metadata("/parts/1"), std::nullopt);
  EXPECT_EQ(port->metadata("task"), std::nullopt);
  EXPECT_THAT(*port->metadata(""), HasSubstr("\"version\":1"));
}

TEST_F(PortTest, RefusesWhatDisagrees) {
  const auto original = port_.metadata;
  const auto refused = [&](const std::string& part_of_message, npuport_status status = NPUPORT_BAD_FILE) {
    port_.save();
    const rt::Error e = open_error();
    EXPECT_EQ(e.status, status) << e.message;
    EXPECT_THAT(e.message, HasSubstr(part_of_message));
    port_.metadata = original;
  };
  port_.metadata["version"] = 2;
  refused("version 2");
  port_.metadata["parts"][0]["sha256"] = std::string(64, '0');
  refused("SHA-256");
  port_.metadata["parts"][0]["bytes"] = 12;
  refused("the metadata say 12");
  port_.metadata["parts"][0]["inputs"][0]["shape"] = {1, 2, 4};
  refused("f32[1,2,4]");
  port_.metadata["parts"][0]["outputs"][0]["dtype"] = "int32";
  refused("i32[1,1,3,2]");
  port_.metadata["parts"][0]["io"]["host_steps"][0]["sha256"] = std::string(64, '1');
  refused("SHA-256");
  port_.metadata["parts"][0]["io"]["version"] = 9;
  refused("version 9");
  port_.metadata["parts"][0]["file"] = "../p_small_2.tflite";
  refused("no plain file name");
  port_.metadata["parts"][0]["file"] = "gone.tflite";
  refused("not there", NPUPORT_NOT_FOUND);
  port_.metadata["parts"][0].erase("io");
  refused("no contract");
  port_.metadata["parts"] = Json::array();
  refused("no part");
  port_.metadata["parts"][0]["io"]["host_steps"][0]["kind"] = "alchemy";
  refused("unknown kind of host step 'alchemy'", NPUPORT_UNSUPPORTED);
  port_.save();
  EXPECT_EQ(open_error().status, NPUPORT_OK);
}

TEST_F(PortTest, EmbeddingInfoMustAgree) {
  const auto original = port_.info;
  for (const auto& [key, value] : std::vector<std::pair<const char*, Json>>{
           {"vocab_size", 5}, {"width", 2}, {"dtype", "float16"}, {"sha256", std::string(64, 'a')}, {"version", 3}}) {
    port_.info[key] = value;
    port_.save();
    EXPECT_EQ(open_error().status, NPUPORT_BAD_FILE) << key;
    port_.info = original;
  }
  port_.info.erase("width");
  port_.save();
  EXPECT_EQ(open_error().status, NPUPORT_BAD_FILE);
  std::filesystem::remove(port_.path("embedding_info.json"));
  EXPECT_EQ(open_error().status, NPUPORT_OK) << "the metadata alone are enough";
}

TEST_F(PortTest, GraphStepsRunOnTheHost) {
  write_text(port_.path("p_small_host0.tflite"), R"(graph "half" {
  input %y: f32[1,2,1,3]
  %h: f32[1,2,1,3] = add(%y, %y)
  output %h
}
)");
  Json step{{"kind", "graph"},
            {"when", "after"},
            {"inputs", {"y"}},
            {"outputs", {"twice"}},
            {"module", ""},
            {"file", "p_small_host0.tflite"},
            {"sha256", port_.hash("p_small_host0.tflite")}};
  port_.metadata["parts"][0]["io"]["host_steps"].push_back(step);
  port_.metadata["parts"][0]["io"]["outputs"][0]["name"] = "twice";
  port_.save();
  const auto port = rt::Port::open(port_.folder());
  auto s = port->open_part("p", "host");
  ASSERT_TRUE(s) << npuport_last_error(nullptr);
  ASSERT_TRUE(s->run()) << npuport_last_error(s->handle());
  EXPECT_THAT(*s->output_values<float>(0), ElementsAre(0, 2, 4, 0, 2, 4));
  write_text(port_.path("p_small_host0.tflite"), "changed");
  EXPECT_EQ(open_error().status, NPUPORT_BAD_FILE);
}

// Whatever bytes the metadata hold: an error or a port, never a crash.
TEST_F(PortTest, AFileOfAnotherKindIsNoPort) {
  write_text(port_.path("sound.wav"), "RIFF");
  const auto port = rt::Port::open(port_.path("sound.wav"));
  ASSERT_FALSE(port);
  EXPECT_EQ(port.error().message, "this file is no port");
  EXPECT_EQ(port.error().status, NPUPORT_BAD_INPUT);
}

TEST_F(PortTest, DamagedMetadata) {
  const std::string text = testing::read_text(port_.path("small_metadata.json"));
  std::mt19937 random(7);
  int opened = 0;
  for (int i = 0; i < 250; ++i) {
    std::string bad = text;
    for (int k = 0; k < 1 + i % 3; ++k) {
      const size_t at = random() % bad.size();
      switch (random() % 3) {
        case 0:
          bad[at] = static_cast<char>(random());
          break;
        case 1:
          bad.erase(at, random() % 40);
          break;
        default:
          bad.insert(at, bad.substr(random() % bad.size(), random() % 30));
      }
      if (bad.empty()) bad = "{";
    }
    write_text(port_.path("small_metadata.json"), bad);
    const rt::Error e = open_error();
    opened += e.status == NPUPORT_OK;
    EXPECT_NE(e.status, NPUPORT_INTERNAL) << e.message << bad;
  }
  EXPECT_LT(opened, 250);
}

class EmbeddingTest : public ::testing::Test {
 protected:
  // `values` as a 4 x 2 table of NumPy type `descr`.
  template <class T>
  std::string table(const char* descr, const std::vector<T>& values, bool fortran = false,
                    const char* shape = "(4, 2)") {
    std::string text = std::string("{'descr': '") + descr + "', 'fortran_order': " + (fortran ? "True" : "False") +
                       ", 'shape': " + shape + ", }";
    text.append(118 - text.size() - 1, ' ');
    text += '\n';
    std::string file("\x93NUMPY\x01\x00\x76\x00", 10);
    file += text;
    file.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
    write_text(folder_.path("t.npy"), file);
    return folder_.path("t.npy");
  }
  // Rows 3 and 1 of the table.
  std::vector<float> rows(const std::string& path, const char* info = nullptr) {
    npuport_embedding* e = nullptr;
    if (npuport_embedding_open(path.c_str(), info, &e) != NPUPORT_OK) return {};
    const int64_t ids[] = {3, 1};
    std::vector<float> out(4, -1);
    EXPECT_EQ(npuport_embed_tokens(e, ids, 2, out.data()), NPUPORT_OK);
    for (const int64_t bad : {int64_t{-1}, int64_t{4}}) {
      const int64_t wrong[] = {0, bad};
      std::vector<float> untouched(4, -1);
      EXPECT_EQ(npuport_embed_tokens(e, wrong, 2, untouched.data()), NPUPORT_BAD_INPUT);
      EXPECT_THAT(untouched, ::testing::Each(-1.0F));
    }
    EXPECT_EQ(npuport_embed_tokens(e, nullptr, 0, nullptr), NPUPORT_OK);
    EXPECT_EQ(npuport_embedding_close(e), NPUPORT_OK);
    return out;
  }
  testing::TempFolder folder_;
  const std::vector<float> values_ = {0, 1, 2, 3, 4, 5, 6, 7};
};

TEST_F(EmbeddingTest, EveryFloatTypeAndByteOrder) {
  const std::vector<float> wanted = {6, 7, 2, 3};
  EXPECT_EQ(rows(table("<f4", values_)), wanted);
  EXPECT_EQ(rows(table("<f8", std::vector<double>(values_.begin(), values_.end()))), wanted);
  EXPECT_EQ(rows(table("<f2", std::vector<Float16>(values_.begin(), values_.end()))), wanted);
  std::vector<uint32_t> swapped;
  for (const float v : values_) swapped.push_back(__builtin_bswap32(std::bit_cast<uint32_t>(v)));
  EXPECT_EQ(rows(table(">f4", swapped)), wanted);
  // bfloat16 is V2 to NumPy: the description tells.
  const std::string path = table("<V2", std::vector<BFloat16>(values_.begin(), values_.end()));
  EXPECT_TRUE(rows(path).empty());
  const Json info{
      {"version", 1}, {"vocab_size", 4}, {"width", 2}, {"dtype", "bfloat16"}, {"sha256", *sha256_file(path)}};
  write_text(folder_.path("info.json"), dump_json(info));
  EXPECT_EQ(rows(path, folder_.path("info.json").c_str()), wanted);
}

TEST_F(EmbeddingTest, Refusals) {
  const auto refused = [&](const std::string& path) {
    npuport_embedding* e = nullptr;
    EXPECT_NE(npuport_embedding_open(path.c_str(), nullptr, &e), NPUPORT_OK);
    EXPECT_EQ(e, nullptr);
    return std::string(npuport_last_error(nullptr));
  };
  EXPECT_THAT(refused(table("<f4", values_, true)), HasSubstr("Fortran"));
  EXPECT_THAT(refused(table("<f4", values_, false, "(8,)")), HasSubstr("two dimensions"));
  EXPECT_THAT(refused(table("<i4", std::vector<int32_t>(8))), HasSubstr("int32"));
  EXPECT_THAT(refused(table("<f4", values_, false, "(4, 3)")), HasSubstr("needs 48 bytes, 32 are there"));
  EXPECT_THAT(refused(table("<f4", values_, false, "(1099511627776, 1099511627776)")), HasSubstr("2^40"));
  EXPECT_THAT(refused(table("<f4", values_, false, "(-4, -2)")), HasSubstr("negative"));
  EXPECT_THAT(refused(folder_.path("none.npy")), HasSubstr("no such file"));
}

TEST_F(EmbeddingTest, DamagedTables) {
  const std::string good = testing::read_text(table("<f4", values_));
  std::mt19937 random(3);
  for (int i = 0; i < 300; ++i) {
    std::string bad = good.substr(0, i % 4 == 0 ? random() % good.size() : good.size());
    for (int k = 0; k < 3 && !bad.empty(); ++k) bad[random() % bad.size()] = static_cast<char>(random());
    write_text(folder_.path("bad.npy"), bad);
    npuport_embedding* e = nullptr;
    if (npuport_embedding_open(folder_.path("bad.npy").c_str(), nullptr, &e) != NPUPORT_OK) continue;
    int64_t count = 0, width = 0;
    npuport_dtype dtype = NPUPORT_UNKNOWN;
    ASSERT_EQ(npuport_embedding_shape(e, &count, &width, &dtype), NPUPORT_OK);
    std::vector<float> out(static_cast<size_t>(std::min<int64_t>(width, 64)));
    const int64_t last = count - 1;
    if (count > 0 && width <= 64) {
      EXPECT_EQ(npuport_embed_tokens(e, &last, 1, out.data()), NPUPORT_OK);
    }
    npuport_embedding_close(e);
  }
}

}  // namespace
}  // namespace npuport
