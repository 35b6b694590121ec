#include "exec/baseline.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "support/paths.h"

namespace npuport {
namespace {

using testing::HasSubstr;

constexpr int64_t kRows = 4, kColumns = 5;

// Values 0 … 19 and the baseline of places 1, 7, 18.
Tensor whole() {
  Tensor t = Tensor::zeros(DType::f32, {kRows, kColumns});
  for (size_t i = 0; i < kRows * kColumns; ++i) t.mut<float>()[i] = static_cast<float>(i);
  return t;
}

NamedTensors sample(std::initializer_list<int64_t> index, std::initializer_list<int64_t> shape = {kRows, kColumns}) {
  std::vector<float> values;
  for (const int64_t i : index) values.push_back(static_cast<float>(i));
  const auto n = static_cast<int64_t>(index.size());
  return {{"in.0", Tensor::scalar(1.0F)},
          {"out.0", Tensor::of<float>({n}, std::span<const float>(values))},
          {"out.0.index", Tensor::of<int64_t>({n}, index)},
          {"out.0.shape", Tensor::of<int64_t>({static_cast<int64_t>(shape.size())}, shape)}};
}

Tensor changed(size_t at, float value) {
  Tensor t = whole();
  t.mut<float>()[at] = value;
  return t;
}

TEST(Baseline, ReadsWholeAndPartialOutputs) {
  NamedTensors arrays = sample({1, 7, 18});
  arrays.emplace_back("out.1", whole());
  arrays.emplace_back("out.3", whole());  // after a gap: not an output
  const auto read = read_baselines(arrays);
  ASSERT_TRUE(read.ok());
  ASSERT_EQ(read->size(), 2U);
  EXPECT_TRUE((*read)[0].index.has_value());
  EXPECT_EQ((*read)[0].shape, (Shape{kRows, kColumns}));
  EXPECT_FALSE((*read)[1].index.has_value());
}

TEST(Baseline, PartialComparesChosenElementsOnly) {
  const auto baseline = read_baselines(sample({1, 7, 18}));
  ASSERT_TRUE(baseline.ok());
  const auto verdict = [&](const Tensor& t) { return compare(t, (*baseline)[0], {}).verdict; };
  EXPECT_EQ(verdict(whole()), Verdict::pass);
  EXPECT_EQ(verdict(changed(2, 99)), Verdict::pass);
  EXPECT_EQ(verdict(changed(7, 7.5F)), Verdict::fail);
  EXPECT_EQ(compare(changed(18, 0), (*baseline)[0], {}).worst_index, 18);
}

TEST(Baseline, PartialStillLooksAtShapeAndNaNEverywhere) {
  const auto baseline = read_baselines(sample({1, 7, 18}));
  ASSERT_TRUE(baseline.ok());
  Tensor flat = whole();
  flat.shape = {kRows * kColumns};
  EXPECT_EQ(compare(flat, (*baseline)[0], {}).verdict, Verdict::fail);
  const Comparison nan = compare(changed(2, std::nanf("")), (*baseline)[0], {});
  EXPECT_EQ(nan.verdict, Verdict::fail);
  EXPECT_EQ(nan.worst_index, 2);
  EXPECT_THAT(nan.reason, HasSubstr("NaN"));
  EXPECT_EQ(compare(changed(19, std::numeric_limits<float>::infinity()), (*baseline)[0], {}).verdict, Verdict::fail);
}

TEST(Baseline, AllOutputsWorstWins) {
  NamedTensors arrays = sample({1, 7, 18});
  arrays.emplace_back("out.1", whole());
  const auto baseline = read_baselines(arrays);
  ASSERT_TRUE(baseline.ok());
  const Tensor good[] = {whole(), whole()};
  EXPECT_EQ(compare_all(good, *baseline, {}).verdict, Verdict::pass);
  const Tensor bad[] = {whole(), changed(3, 0)};
  const Comparison c = compare_all(bad, *baseline, {});
  EXPECT_EQ(c.verdict, Verdict::fail);
  EXPECT_THAT(c.reason, HasSubstr("output 1"));
  EXPECT_EQ(compare_all(std::span(good, 1), *baseline, {}).verdict, Verdict::fail);
  EXPECT_EQ(compare_all({}, std::span<const Baseline>{}, {}).verdict, Verdict::unverified);
}

TEST(Baseline, RefusesInconsistentPartials) {
  EXPECT_FALSE(read_baselines(sample({7, 1, 18})).ok());       // not ascending
  EXPECT_FALSE(read_baselines(sample({1, 1})).ok());           // twice
  EXPECT_FALSE(read_baselines(sample({1, 20})).ok());          // outside
  EXPECT_FALSE(read_baselines(sample({-1, 3})).ok());          // outside
  EXPECT_FALSE(read_baselines(sample({1, 7}, {-4, 5})).ok());  // no shape
  NamedTensors arrays = sample({1, 7});
  arrays.pop_back();
  EXPECT_FALSE(read_baselines(arrays).ok());  // shape missing
  arrays = sample({1, 7});
  arrays[2].second = Tensor::of<int64_t>({1}, {1});
  const auto short_index = read_baselines(arrays);
  ASSERT_FALSE(short_index.ok());
  EXPECT_THAT(short_index.error().message, HasSubstr("out.0"));
  arrays[2].second = Tensor::of<float>({2}, {1, 7});
  EXPECT_FALSE(read_baselines(arrays).ok());  // dtype
}

TEST(Baseline, ReadsTheWhisperDemo) {
  const auto arrays = read_npz(source_dir() + "/demo/whisper-nano/samples/decoder/000.npz");
  ASSERT_TRUE(arrays.ok());
  const auto baseline = read_baselines(*arrays);
  ASSERT_TRUE(baseline.ok());
  ASSERT_EQ(baseline->size(), 1U);
  EXPECT_EQ((*baseline)[0].shape, (Shape{1, 448, 51865}));
  EXPECT_GT((*baseline)[0].values.count(), 50000);
}

}  // namespace
}  // namespace npuport
