#include "exec/compare.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace npuport {
namespace {

using testing::HasSubstr;

Tensor random_tensor(Shape shape, unsigned seed, float scale = 1, float offset = 0) {
  Tensor t = Tensor::zeros(DType::f32, std::move(shape));
  std::mt19937 gen(seed);
  std::normal_distribution<float> dist(offset, scale);
  for (float& v : t.mut<float>()) v = dist(gen);
  return t;
}

// A copy of `t` with element `at` moved by `delta`.
Tensor moved(const Tensor& t, size_t at, double delta) {
  Tensor out = Tensor::zeros(DType::f64, t.shape);
  for (size_t i = 0; i < out.mut<double>().size(); ++i) out.mut<double>()[i] = get_double(t, static_cast<int64_t>(i));
  out.mut<double>()[at] += delta;
  return out;
}

Verdict general(const Tensor& got, const Tensor& base) { return compare(got, base, {}).verdict; }

TEST(Compare, GeneralBoundaryOfMaxDiff) {
  // Large spread, so that only the absolute bound decides.
  const Tensor base = cast_tensor(random_tensor({4, 50}, 1, 10), DType::f64);
  Tensor zero_at = base;
  zero_at = moved(base, 7, -base.as<double>()[7]);
  EXPECT_EQ(general(moved(zero_at, 7, 0.99e-3), zero_at), Verdict::pass);
  EXPECT_EQ(general(moved(zero_at, 7, -0.99e-3), zero_at), Verdict::pass);
  EXPECT_EQ(general(moved(zero_at, 7, 1.0e-3), zero_at), Verdict::fail);
  const Comparison c = compare(moved(zero_at, 7, -1.0e-3), zero_at, {});
  EXPECT_EQ(c.verdict, Verdict::fail);
  EXPECT_EQ(c.worst_index, 7);
  EXPECT_DOUBLE_EQ(c.max_diff, 1.0e-3);
  EXPECT_THAT(c.reason, HasSubstr("index 7"));
}

TEST(Compare, GeneralBoundaryOfRelativeNorm) {
  // ±1e-2 around a large mean: ‖baseline − mean‖ is 1e-2·√n, and the mean must not hide a deviation.
  Tensor base = Tensor::zeros(DType::f64, {100});
  for (size_t i = 0; i < 100; ++i) base.mut<double>()[i] = 5 + (i % 2 == 0 ? 1e-2 : -1e-2);
  const auto shifted = [&](double by) {
    Tensor t = Tensor::of<double>({100}, base.as<double>());
    for (double& v : t.mut<double>()) v += by;
    return t;
  };
  EXPECT_EQ(general(shifted(1.01e-5), base), Verdict::fail);
  EXPECT_EQ(general(shifted(0.99e-5), base), Verdict::pass);
}

TEST(Compare, ZerosShuffledAndOtherSampleFail) {
  for (const GateKind kind : {GateKind::general, GateKind::image, GateKind::mask}) {
    Gate gate{.kind = kind, .threshold = 0.5};
    Tensor base = random_tensor({1, 3, 16, 16}, 2, 0.2F, 0.5F);
    for (float& v : base.mut<float>()) v = std::clamp(v, 0.0F, 1.0F);
    EXPECT_EQ(compare(base, base, gate).verdict, Verdict::pass);
    EXPECT_EQ(compare(Tensor::zeros(DType::f32, base.shape), base, gate).verdict, Verdict::fail) << name(kind);
    Tensor shuffled = Tensor::of<float>(base.shape, base.as<float>());
    std::mt19937 gen(3);
    std::ranges::shuffle(shuffled.mut<float>(), gen);
    EXPECT_EQ(compare(shuffled, base, gate).verdict, Verdict::fail) << name(kind);
    EXPECT_EQ(compare(random_tensor(base.shape, 4, 0.2F, 0.5F), base, gate).verdict, Verdict::fail) << name(kind);
  }
}

TEST(Compare, SmallOutputsCannotHideBehindTheAbsoluteBound) {
  const Tensor base = random_tensor({64}, 5, 1e-5F);
  EXPECT_EQ(general(Tensor::zeros(DType::f32, {64}), base), Verdict::fail);
}

TEST(Compare, ConstantBaselineIsAbsoluteOnly) {
  Tensor base = Tensor::zeros(DType::f32, {10}), off = Tensor::zeros(DType::f32, {10});
  std::ranges::fill(base.mut<float>(), 0.1F);
  std::ranges::fill(off.mut<float>(), 0.1009F);
  EXPECT_EQ(general(off, base), Verdict::pass);
  std::ranges::fill(off.mut<float>(), 0.1011F);
  EXPECT_EQ(general(off, base), Verdict::fail);
}

TEST(Compare, AllZeroBaselineProvesNothing) {
  const Tensor zero = Tensor::zeros(DType::f32, {10});
  EXPECT_EQ(general(zero, zero), Verdict::unverified);
  EXPECT_EQ(general(moved(zero, 0, 2e-3), zero), Verdict::fail);
  EXPECT_EQ(compare(zero, zero, {.kind = GateKind::image}).verdict, Verdict::unverified);
  EXPECT_EQ(general(Tensor::zeros(DType::f32, {0}), Tensor::zeros(DType::f32, {0})), Verdict::unverified);
}

TEST(Compare, NonFiniteNeverPasses) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const Tensor good = random_tensor({5}, 6);
  for (const GateKind kind : {GateKind::general, GateKind::image, GateKind::mask}) {
    for (const float bad : {nan, inf, -inf}) {
      Tensor t = Tensor::of<float>({5}, good.as<float>());
      t.mut<float>()[3] = bad;
      const Gate gate{.kind = kind};
      EXPECT_EQ(compare(t, good, gate).verdict, Verdict::fail);
      EXPECT_EQ(compare(good, t, gate).verdict, Verdict::fail);
      EXPECT_EQ(compare(t, t, gate).verdict, Verdict::fail);
      EXPECT_EQ(compare(t, good, gate).worst_index, 3);
    }
  }
}

TEST(Compare, ShapeClassAndCountMismatchFail) {
  const Tensor a = random_tensor({2, 3}, 7), b = random_tensor({3, 2}, 7);
  EXPECT_EQ(general(a, b), Verdict::fail);
  EXPECT_EQ(general(random_tensor({6}, 7), a), Verdict::fail);
  EXPECT_EQ(general(cast_tensor(a, DType::i32), cast_tensor(a, DType::f32)), Verdict::fail);
  EXPECT_EQ(general(cast_tensor(a, DType::boolean), cast_tensor(a, DType::i32)), Verdict::fail);
  const std::vector<Tensor> one = {a}, two = {a, a}, none;
  EXPECT_EQ(compare_all(one, two, {}).verdict, Verdict::fail);
  EXPECT_EQ(compare_all(none, none, {}).verdict, Verdict::unverified);
  EXPECT_EQ(compare_all(two, two, {}).verdict, Verdict::pass);
}

TEST(Compare, IntegersAndBooleansMustBeEqual) {
  const Tensor a = Tensor::of<int64_t>({3}, {1, 2, int64_t{1} << 60});
  const Tensor b = Tensor::of<int64_t>({3}, {1, 2, (int64_t{1} << 60) + 1});
  EXPECT_EQ(general(a, a), Verdict::pass);
  EXPECT_EQ(general(b, a), Verdict::fail);
  EXPECT_EQ(general(Tensor::of<int32_t>({2}, {1, 2}), Tensor::of<int64_t>({2}, {1, 2})), Verdict::pass);
  EXPECT_EQ(general(Tensor::of<bool>({2}, {true, false}), Tensor::of<bool>({2}, {true, true})), Verdict::fail);
  EXPECT_EQ(compare(b, a, {.kind = GateKind::image}).verdict, Verdict::fail);
}

TEST(Compare, ImageBoundaryAndPeak) {
  const Tensor base = Tensor::of<double>({2}, {1.0, 0.5});
  const Gate gate{.kind = GateKind::image};
  EXPECT_EQ(compare(Tensor::of<double>({2}, {0.9901, 0.4901}), base, gate).verdict, Verdict::pass);
  EXPECT_EQ(compare(Tensor::of<double>({2}, {0.9899, 0.4899}), base, gate).verdict, Verdict::fail);
  // The same in 0 … 255: one hundred times the error is within 40 dB there, and a stated peak of 1 refuses it.
  const Tensor wide = Tensor::of<double>({2}, {255.0, 127.0}), near = Tensor::of<double>({2}, {253.0, 125.0});
  EXPECT_EQ(compare(near, wide, gate).verdict, Verdict::pass);
  EXPECT_EQ(compare(near, wide, {.kind = GateKind::image, .peak = 1.0}).verdict, Verdict::fail);
  const Comparison c = compare(near, wide, gate);
  EXPECT_NEAR(c.psnr, 20 * std::log10(255.0 / 2), 1e-9);
  const Tensor beyond = Tensor::of<double>({2}, {300.0, 1.0});
  EXPECT_EQ(compare(beyond, beyond, gate).verdict, Verdict::unverified);
  EXPECT_EQ(compare(beyond, beyond, {.kind = GateKind::image, .peak = 1023.0}).verdict, Verdict::pass);
}

TEST(Compare, MaskIoU) {
  const Gate gate{.kind = GateKind::mask};
  Tensor base = Tensor::zeros(DType::f32, {200});
  for (size_t i = 0; i < 200; ++i) base.mut<float>()[i] = i < 100 ? 3.0F : -2.0F;
  const auto drop = [&](size_t n) {
    Tensor t = Tensor::of<float>({200}, base.as<float>());
    for (size_t i = 0; i < n; ++i) t.mut<float>()[i] = 0.0F;  // not above the threshold
    return t;
  };
  EXPECT_EQ(compare(drop(1), base, gate).verdict, Verdict::pass);  // exactly 0.99
  EXPECT_EQ(compare(drop(2), base, gate).verdict, Verdict::fail);
  const Tensor empty = Tensor::zeros(DType::f32, {4});
  const Comparison c = compare(empty, empty, gate);
  EXPECT_EQ(c.verdict, Verdict::pass);
  EXPECT_EQ(c.iou, 1.0);
  EXPECT_EQ(compare(Tensor::of<bool>({2}, {true, false}), Tensor::of<bool>({2}, {true, false}), gate).verdict,
            Verdict::pass);
}

TEST(Compare, TextAndTokens) {
  const Gate gate{.kind = GateKind::text};
  const Tensor ids = Tensor::of<int64_t>({3}, {5, 6, 7});
  EXPECT_EQ(compare(ids, ids, gate).verdict, Verdict::pass);
  const Comparison shorter = compare(Tensor::of<int64_t>({2}, {5, 6}), ids, gate);
  EXPECT_EQ(shorter.verdict, Verdict::fail);
  EXPECT_EQ(shorter.worst_index, 2);
  EXPECT_NEAR(shorter.match, 2.0 / 3, 1e-12);
  EXPECT_EQ(compare(Tensor::of<float>({1}, {1.0F}), Tensor::of<float>({1}, {1.0F}), gate).verdict, Verdict::fail);
  EXPECT_EQ(compare_text("Grüße", "Grüße").verdict, Verdict::pass);
  const Comparison c = compare_text("Grüße, Welt", "Grüße Welt");
  EXPECT_EQ(c.verdict, Verdict::fail);
  EXPECT_EQ(c.worst_index, 5);
  EXPECT_NEAR(c.match, 10.0 / 11, 1e-12);
  EXPECT_EQ(compare_text("\xc3", "\xc3").verdict, Verdict::fail);
  EXPECT_EQ(compare_text("\xc0\xaf", "\xc0\xaf").verdict, Verdict::fail);
  EXPECT_EQ(compare_text("", "").verdict, Verdict::pass);
}

TEST(Compare, VerdictsAndNames) {
  EXPECT_EQ(worst(Verdict::pass, Verdict::skip), Verdict::skip);
  EXPECT_EQ(worst(Verdict::unverified, Verdict::skip), Verdict::unverified);
  EXPECT_EQ(worst(Verdict::unverified, Verdict::fail), Verdict::fail);
  EXPECT_EQ(name(Verdict::unverified), "UNVERIFIED");
  EXPECT_EQ(*parse_gate_kind("mask"), GateKind::mask);
  EXPECT_FALSE(parse_gate_kind("psnr"));
}

}  // namespace
}  // namespace npuport
