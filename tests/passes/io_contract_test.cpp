#include "passes/io_contract.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/diag_codes.h"

namespace npuport {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A file whose graph takes an embedded, NHWC form of what the model took.
IoContract example() {
  IoContract c;
  c.inputs = {{"ids", {DType::i64, {1, 2}, nullptr}}, {"image", {DType::f32, {1, 2, 1, 3}, nullptr}}};
  c.outputs = {{"y", {DType::f32, {1, 2, 1, 3}, nullptr}}};
  c.file_inputs = {{"embeddings", {}, DType::unknown}, {"image", {0, 2, 3, 1}, DType::unknown}};
  c.file_outputs = {{"y", {0, 2, 3, 1}, DType::unknown}};
  HostStep s;
  s.kind = "embedding_lookup";
  s.inputs = {"ids"};
  s.outputs = {"embeddings"};
  s.table = std::make_shared<const Tensor>(Tensor::of<float>({3, 2}, {0, 1, 10, 11, 20, 21}));
  c.host_steps = {s};
  return c;
}

TEST(IoContractTest, RunsHostStepsAndPermutesBothWays) {
  const IoContract c = example();
  const Tensor inputs[] = {Tensor::of<int64_t>({1, 2}, {2, 0}), Tensor::of<float>({1, 2, 1, 3}, {1, 2, 3, 4, 5, 6})};
  std::vector<Tensor> seen;
  HostRunner runner;
  runner.run = [&](std::span<const Tensor> in) -> Result<std::vector<Tensor>> {
    seen.assign(in.begin(), in.end());
    return std::vector<Tensor>{in[1]};
  };
  const auto out = run_original_interface(c, inputs, runner);
  ASSERT_TRUE(out) << to_text(out.error());
  EXPECT_EQ(seen[0].shape, (Shape{1, 2, 2}));
  EXPECT_THAT(seen[0].as<float>(), ElementsAre(20, 21, 0, 1));
  EXPECT_EQ(seen[1].shape, (Shape{1, 1, 3, 2}));
  EXPECT_THAT(seen[1].as<float>(), ElementsAre(1, 4, 2, 5, 3, 6));
  EXPECT_TRUE(identical(out->front(), inputs[1]));
}

// A cache [layers, heads, rows, width] that the file holds as [layers, rows, heads * width].
IoContract cache_example() {
  IoContract c;
  c.inputs = {{"past", {DType::f32, {1, 2, 3, 2}, nullptr}}};
  c.outputs = {{"new", {DType::f32, {1, 2, 3, 2}, nullptr}}};
  c.file_inputs = {{"past", {0, 2, 1, 3}, DType::unknown, {1, 3, 4}}};
  c.file_outputs = {{"new", {0, 2, 1, 3}, DType::unknown, {1, 3, 4}}};
  return c;
}

TEST(IoContractTest, MergedDimsGoBothWays) {
  const IoContract c = cache_example();
  EXPECT_FALSE(c.identity());
  const Tensor past = Tensor::of<float>({1, 2, 3, 2}, {0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15});
  std::vector<Tensor> seen;
  HostRunner runner;
  runner.run = [&](std::span<const Tensor> in) -> Result<std::vector<Tensor>> {
    seen.assign(in.begin(), in.end());
    return seen;
  };
  const auto out = run_original_interface(c, std::span(&past, 1), runner);
  ASSERT_TRUE(out) << to_text(out.error());
  EXPECT_EQ(seen[0].shape, (Shape{1, 3, 4}));
  EXPECT_THAT(seen[0].as<float>(), ElementsAre(0, 1, 10, 11, 2, 3, 12, 13, 4, 5, 14, 15));
  EXPECT_TRUE(identical(out->front(), past));
  // A file that gives another number of elements is refused.
  runner.run = [](std::span<const Tensor>) -> Result<std::vector<Tensor>> {
    return std::vector<Tensor>{Tensor::zeros(DType::f32, {1, 3, 5})};
  };
  EXPECT_FALSE(run_original_interface(c, std::span(&past, 1), runner));
}

TEST(IoContractTest, MergedDimsInJson) {
  const Json j = to_json(cache_example());
  EXPECT_EQ(j["version"], 2);  // who does not know of shapes must not read past them
  EXPECT_EQ(to_json(example())["version"], 1);
  const auto back = io_contract_from_json(j);
  ASSERT_TRUE(back) << to_text(back.error());
  EXPECT_EQ(to_json(*back), j);
  for (const Json& shape : {Json{1, 3, 5}, Json{-1, 3, 4}, Json{"1"}, Json(3)}) {
    Json bad = j;
    bad["file_inputs"][0]["shape"] = shape;
    EXPECT_FALSE(io_contract_from_json(bad)) << shape;
  }
  Json other = j;
  other["file_outputs"][0]["name"] = "past";  // no output of the model
  EXPECT_FALSE(io_contract_from_json(other));
}

TEST(IoContractTest, IdsOutsideTheTableAreRefused) {
  const IoContract c = example();
  HostRunner runner;
  for (const int64_t id : {int64_t{-1}, int64_t{3}}) {
    const Tensor inputs[] = {Tensor::of<int64_t>({1, 2}, {0, id}), Tensor::zeros(DType::f32, {1, 2, 1, 3})};
    const auto r = to_file_inputs(c, inputs, runner);
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error().code, &diag::index_range);
    EXPECT_THAT(r.error().message, HasSubstr("id " + std::to_string(id) + " at position 1"));
  }
}

TEST(IoContractTest, CastsRefuseWhatDoesNotFit) {
  IoContract c;
  c.inputs = {{"n", {DType::i64, {1}, nullptr}}};
  c.file_inputs = {{"n", {}, DType::i32}};
  const Tensor fits[] = {Tensor::of<int64_t>({1}, {-7})};
  const auto ok = to_file_inputs(c, fits, {});
  ASSERT_TRUE(ok);
  EXPECT_EQ(ok->front().dtype, DType::i32);
  const Tensor large[] = {Tensor::of<int64_t>({1}, {int64_t{1} << 40})};
  EXPECT_FALSE(to_file_inputs(c, large, {}));
}

TEST(IoContractTest, JsonRoundTrip) {
  const IoContract c = example();
  const auto back = io_contract_from_json(to_json(c));
  ASSERT_TRUE(back) << to_text(back.error());
  EXPECT_EQ(dump_json(to_json(*back)), dump_json(to_json(c)));
}

TEST(IoContractTest, IdentityLeavesNoMetadata) {
  Graph g;
  const ValueId x = g.add_input("x", {DType::f32, {2}, nullptr});
  g.set_outputs({x});
  IoContract c = *io_contract(g);
  EXPECT_TRUE(c.identity());
  set_io_contract(g, c);
  EXPECT_TRUE(g.metadata.empty());
}

TEST(IoContractTest, HostileMetadataAreErrors) {
  Graph g;
  const ValueId x = g.add_input("x", {DType::f32, {2}, nullptr});
  g.set_outputs({x});
  const auto message = [&](const std::string& text) {
    g.metadata[kIoContractKey] = text;
    const auto c = io_contract(g);
    return c ? std::string("accepted") : c.error().message;
  };
  EXPECT_THAT(message("{"), HasSubstr("line"));
  EXPECT_THAT(message("[]"), HasSubstr("no version"));
  EXPECT_THAT(message(R"({"version":99})"), HasSubstr("version 99"));
  EXPECT_THAT(message(R"({"version":1,"file_inputs":[{"name":"x","permutation":[0,0]}]})"),
              HasSubstr("no permutation"));
  EXPECT_THAT(message(R"({"version":1,"inputs":[{"name":"x","dtype":"float32","shape":[-1]}]})"),
              HasSubstr("negative"));
  EXPECT_THAT(
      message(
          R"({"version":1,"host_steps":[{"kind":"graph","when":"before","inputs":["a"],"outputs":["b"],"module":"","file":"../../etc/passwd","sha256":""}]})"),
      HasSubstr("no plain file name"));
  EXPECT_THAT(message(R"({"version":1})"), HasSubstr("0 inputs"));
}

}  // namespace
}  // namespace npuport
