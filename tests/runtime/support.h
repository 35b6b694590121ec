// Models and ports for the runtime's tests.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "base/hash.h"
#include "base/json.h"
#include "base/npy.h"
#include "runtime/npuport_runtime.hpp"
#include "runtime/npuport_runtime_host.h"
#include "support/temp_folder.h"

namespace npuport::testing {

// Sets an environment variable for one test.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) { ::setenv(name, value.c_str(), 1); }
  ~Variable() { ::unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

inline void write_text(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
inline std::string read_text(const std::string& path) {
  std::ifstream f(path);
  return {std::istreambuf_iterator<char>(f), {}};
}

// What a stand-in compiler writes: a name of 16 bytes, a 64-bit size, the model.
inline std::string wrapped(std::string magic, const std::string& model) {
  magic.resize(16);
  const uint64_t size = model.size();
  magic.append(reinterpret_cast<const char*>(&size), sizeof size);
  return magic + model;
}

// ids [1,2] i64 and image [1,2,1,3] f32 → y [1,2,1,3], a model of IR text behind an embedding table of `rows` rows, an
// NHWC border and the sum y = image + mean of the rows. `folder` gets the port's files.
class SmallPort {
 public:
  explicit SmallPort(const std::string& folder) : folder_(folder) {
    std::filesystem::create_directories(folder + "/models");
    write_text(path("p_small_2.tflite"), R"(graph "p" {
  input %token_embeddings: f32[1,2,3]
  input %image: f32[1,1,3,2]
  %t: f32[1,3,2] = transpose(%token_embeddings) perm=[0,2,1]
  %r: f32[1,1,3,2] = reshape(%t) shape=[1,1,3,2]
  %y: f32[1,1,3,2] = add(%image, %r)
  output %y
}
)");
    write_text(path("p_small_2_MT8371.dla"), wrapped("STANDIN-DLA", read_text(path("p_small_2.tflite"))));
    write_text(path("p_small_2_Ascend310B1.om"), wrapped("STANDIN-OM", read_text(path("p_small_2.tflite"))));
    EXPECT_TRUE(write_npy(path("token_embedding.npy"),
                          Tensor::of<float>({4, 3}, {0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32})));
    info = Json{{"version", 1},
                {"vocab_size", 4},
                {"width", 3},
                {"dtype", "float32"},
                {"file", "token_embedding.npy"},
                {"sha256", hash("token_embedding.npy")},
                {"part", "p"}};
    Json io{{"version", 1},
            {"inputs", Json::array()},
            {"outputs", Json::array()},
            {"file_inputs", Json::array()},
            {"file_outputs", Json::array()},
            {"host_steps", Json::array()}};
    io["inputs"].push_back(Json{{"name", "ids"}, {"dtype", "int64"}, {"shape", {1, 2}}});
    io["inputs"].push_back(Json{{"name", "image"}, {"dtype", "float32"}, {"shape", {1, 2, 1, 3}}});
    io["outputs"].push_back(Json{{"name", "y"}, {"dtype", "float32"}, {"shape", {1, 2, 1, 3}}});
    io["file_inputs"].push_back(Json{{"name", "token_embeddings"}});
    io["file_inputs"].push_back(Json{{"name", "image"}, {"permutation", {0, 2, 3, 1}}});
    io["file_outputs"].push_back(Json{{"name", "y"}, {"permutation", {0, 2, 3, 1}}});
    io["host_steps"].push_back(Json{{"kind", "embedding_lookup"},
                                    {"when", "before"},
                                    {"inputs", {"ids"}},
                                    {"outputs", {"token_embeddings"}},
                                    {"module", "embed"},
                                    {"file", "token_embedding.npy"},
                                    {"sha256", hash("token_embedding.npy")}});
    Json part{{"name", "p"}, {"file", "p_small_2.tflite"}, {"sha256", hash("p_small_2.tflite")}};
    part["inputs"].push_back(Json{{"name", "token_embeddings"}, {"dtype", "float32"}, {"shape", {1, 2, 3}}});
    part["inputs"].push_back(
        Json{{"name", "image"}, {"dtype", "float32"}, {"shape", {1, 1, 3, 2}}, {"permutation", {0, 2, 3, 1}}});
    part["outputs"].push_back(
        Json{{"name", "y"}, {"dtype", "float32"}, {"shape", {1, 1, 3, 2}}, {"permutation", {0, 2, 3, 1}}});
    part["io"] = io;
    for (const char* f : {"p_small_2_MT8371.dla", "p_small_2_Ascend310B1.om"})
      part["artefacts"].push_back(Json{{"file", f}, {"sha256", hash(f)}});
    metadata = Json{{"version", 1},
                    {"name", "small"},
                    {"parts", Json::array({part})},
                    {"task", {{"kind", "asr"}, {"decode", {{"language", "en"}, {"a/b~c", 7}}}}}};
    save();
  }

  void save() {
    write_text(path("small_metadata.json"), dump_json(metadata));
    write_text(path("embedding_info.json"), dump_json(info));
  }
  std::string path(const std::string& name) const { return folder_ + "/models/" + name; }
  std::string folder() const { return folder_; }
  std::string hash(const std::string& name) const { return *sha256_file(path(name)); }

  Json metadata, info;

 private:
  std::string folder_;
};

// Sets ids {2, 0} and image 100…105, runs, and gives y: image[c][0][w] + row of ids[c] at w.
inline void run_small(rt::Session& s) {
  const int64_t ids[] = {2, 0};
  const float image[] = {100, 101, 102, 103, 104, 105};
  ASSERT_EQ(s.input_count(), 2U);
  auto set = s.set_input<int64_t>(0, ids);
  ASSERT_TRUE(set) << set.error().message;
  ASSERT_TRUE(s.set_input<float>(1, image));
  for (int k = 0; k < 2; ++k) {
    auto r = s.run();
    ASSERT_TRUE(r) << npuport_last_error(s.handle());
    auto y = s.output_values<float>(0);
    ASSERT_TRUE(y);
    EXPECT_THAT(*y, ::testing::ElementsAre(120, 122, 124, 103, 105, 107));
  }
}

}  // namespace npuport::testing
