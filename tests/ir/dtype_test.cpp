#include "ir/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "ir/tensor.h"

namespace npuport {
namespace {

// The nearest half to `f`, found by search over all 65536 values: an oracle that shares no code with the conversion.
uint16_t nearest_half(float f) {
  uint16_t best = 0;
  double best_distance = std::numeric_limits<double>::infinity();
  for (uint32_t raw = 0; raw < 0x7C00; ++raw) {
    Float16 h;
    h.raw = static_cast<uint16_t>(raw);
    const double distance = std::fabs(static_cast<double>(static_cast<float>(h)) - std::fabs(static_cast<double>(f)));
    if (distance < best_distance || (distance == best_distance && (raw & 1U) == 0)) {
      best_distance = distance;
      best = static_cast<uint16_t>(raw);
    }
  }
  return static_cast<uint16_t>(best | (std::signbit(f) ? 0x8000U : 0U));
}

TEST(Float16Test, RoundsToNearestEven) {
  for (const float f : {0.0F, -0.0F, 1.0F, -2.5F, 0.1F, 65504.0F, 6.1e-5F, 5.96e-8F, 2.98e-8F, 2.9802325e-8F,
                        1.0009765F, 1.00048828125F, 1.00146484375F, 3.14159F, 1e-7F})
    EXPECT_EQ(Float16(f).raw, nearest_half(f)) << f;
  EXPECT_EQ(Float16(65520.0F).raw, 0x7C00);
  EXPECT_EQ(Float16(65519.9F).raw, 0x7BFF);
  EXPECT_TRUE(std::isnan(static_cast<float>(Float16(NAN))));
  EXPECT_EQ(Float16(-INFINITY).raw, 0xFC00);
}

TEST(Float16Test, EveryValueSurvivesTheRoundTrip) {
  for (uint32_t raw = 0; raw < 0x10000; ++raw) {
    Float16 h;
    h.raw = static_cast<uint16_t>(raw);
    const float f = static_cast<float>(h);
    if (std::isnan(f)) continue;
    EXPECT_EQ(Float16(f).raw, raw);
  }
}

TEST(BFloat16Test, RoundsToNearestEven) {
  EXPECT_EQ(BFloat16(1.0F).raw, 0x3F80);
  EXPECT_EQ(BFloat16(std::bit_cast<float>(0x3F808000U)).raw, 0x3F80);
  EXPECT_EQ(BFloat16(std::bit_cast<float>(0x3F818000U)).raw, 0x3F82);
  EXPECT_TRUE(std::isnan(static_cast<float>(BFloat16(NAN))));
}

TEST(DTypeTest, NamesRoundTrip) {
  for (int i = 1; i < 16; ++i) {
    const auto t = static_cast<DType>(i);
    EXPECT_EQ(parse_dtype(name(t)), t);
    EXPECT_EQ(parse_dtype(long_name(t)), t);
  }
  EXPECT_EQ(parse_dtype("float"), std::nullopt);
  EXPECT_EQ(byte_size(DType::i4, 3), 2);
}

TEST(TensorTest, CastFollowsPyTorch) {
  const Tensor f = Tensor::of<float>({4}, {-1.9F, 0.0F, 2.7F, 300.0F});
  const Tensor i = cast_tensor(f, DType::i32);
  EXPECT_EQ(get_int(i, 0), -1);
  EXPECT_EQ(get_int(i, 2), 2);
  const Tensor b = cast_tensor(f, DType::boolean);
  EXPECT_EQ(get_int(b, 1), 0);
  EXPECT_EQ(get_int(b, 0), 1);
}

TEST(TensorTest, ShapesAreChecked) {
  EXPECT_FALSE(check_shape(Shape{1 << 30, 1 << 30, 1 << 30}));
  EXPECT_FALSE(check_shape(Shape{-1}));
  EXPECT_TRUE(check_shape(Shape{0, 1 << 30, 1 << 30}));
  EXPECT_FALSE(check_shape(Shape{0, int64_t{1} << 40, int64_t{1} << 40}));  // strides would overflow
  EXPECT_EQ(*broadcast_shapes(Shape{3, 1}, Shape{2, 1, 4}), (Shape{2, 3, 4}));
  EXPECT_FALSE(broadcast_shapes(Shape{3}, Shape{2}));
  EXPECT_EQ(*normalise_axis(-1, 3), 2);
  EXPECT_FALSE(normalise_axis(3, 3));
}

}  // namespace
}  // namespace npuport
