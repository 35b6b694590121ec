// Every vector kernel of every instruction set this machine has, against double arithmetic; then the overrides built on
// them against their rows.
#include "exec/simd/simd.h"

#include <gmock/gmock.h>

#include <functional>
#include <limits>

#include "support.h"

namespace npuport {
namespace {

using namespace npuport::testing;
using simd::Binary;
using simd::Table;
using simd::Unary;

std::vector<const Table*> all_tables() {
  const simd::Tables t = simd::tables();
  return {t.items, t.items + t.count};
}

struct UnaryCase {
  Unary f;
  std::function<double(double)> exact;
  double low, high;
  double relative, absolute;
  float a = 0, b = 0;
};

const double kInf = std::numeric_limits<double>::infinity();

std::vector<UnaryCase> unary_cases() {
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  const auto hard = [](double x) { return std::min(std::max(x + 3, 0.0), 6.0) / 6; };
  return {
      {Unary::neg, [](double x) { return -x; }, -9, 9, 0, 0},
      {Unary::abs, [](double x) { return std::abs(x); }, -9, 9, 0, 0},
      {Unary::square, [](double x) { return x * x; }, -9, 9, 2e-7, 0},
      {Unary::sqrt, [](double x) { return std::sqrt(x); }, 0, 100, 2e-7, 0},
      {Unary::rsqrt, [](double x) { return 1 / std::sqrt(x); }, 0.01, 100, 3e-7, 0},
      {Unary::reciprocal, [](double x) { return 1 / x; }, 0.1, 100, 2e-7, 0},
      {Unary::exp, [](double x) { return std::exp(x); }, -87, 88.7, 3e-7, 0},
      {Unary::log, [](double x) { return std::log(x); }, 1e-30, 1e5, 3e-7, 1e-7},
      {Unary::relu, [](double x) { return std::max(x, 0.0); }, -9, 9, 0, 0},
      {Unary::sigmoid, sigmoid, -40, 40, 4e-7, 0},
      {Unary::tanh, [](double x) { return std::tanh(x); }, -12, 12, 4e-7, 0},
      {Unary::erf, [](double x) { return std::erf(x); }, -6, 6, 4e-7, 0},
      {Unary::silu, [=](double x) { return x * sigmoid(x); }, -30, 30, 5e-7, 0},
      {Unary::gelu, [](double x) { return x * 0.5 * (1 + std::erf(x * 0.70710678118654752)); }, -9, 9, 4e-7, 8e-7},
      {Unary::gelu_tanh,
       [](double x) { return x * 0.5 * (1 + std::tanh(0.79788456080286536 * (x + 0.044715 * x * x * x))); }, -9, 9,
       4e-7, 8e-7},
      {Unary::hard_swish, [=](double x) { return x * hard(x); }, -9, 9, 5e-7, 0},
      {Unary::hard_sigmoid, hard, -9, 9, 3e-7, 1e-7},
      {Unary::leaky_relu, [](double x) { return x > 0 ? x : x * 0.01F; }, -9, 9, 2e-7, 0, 0.01F},
      {Unary::elu, [](double x) { return x > 0 ? x : 0.7F * std::expm1(x); }, -20, 9, 2e-7, 1e-7, 0.7F},
      {Unary::clamp, [](double x) { return std::min(std::max(x, -1.5), 2.25); }, -9, 9, 0, 0, -1.5F, 2.25F},
      {Unary::scale_shift, [](double x) { return x * 0.25 + 3; }, -9, 9, 2e-7, 2e-7, 0.25F, 3},
  };
}

TEST(Simd, UnaryAccuracyOnEveryInstructionSet) {
  for (const Table* t : all_tables()) {
    for (const UnaryCase& c : unary_cases()) {
      std::vector<float> x(4099), y(x.size());
      std::mt19937 gen(5);
      std::uniform_real_distribution<double> dist(c.low, c.high);
      for (float& v : x) v = static_cast<float>(dist(gen));
      // Small magnitudes and the ends too.
      for (size_t i = 0; i < 200; ++i) x[i] *= 1e-3F;
      x[200] = static_cast<float>(c.low), x[201] = static_cast<float>(c.high);
      if (c.low > 0) {
        for (size_t i = 0; i < 200; ++i) x[i] = std::max(x[i], static_cast<float>(c.low));
      }
      t->unary(c.f, x.data(), y.data(), static_cast<int64_t>(x.size()), c.a, c.b);
      for (size_t i = 0; i < x.size(); ++i) {
        const double want = c.exact(x[i]);
        ASSERT_LE(std::abs(y[i] - want), c.absolute + c.relative * std::abs(want))
            << t->isa << " " << static_cast<int>(c.f) << " at " << x[i] << ": " << y[i] << " for " << want;
      }
    }
  }
}

TEST(Simd, SpecialValues) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (const Table* t : all_tables()) {
    for (const UnaryCase& c : unary_cases()) {
      const float x[3] = {nan, nan, nan};
      float y[3];
      t->unary(c.f, x, y, 3, c.a, c.b);
      EXPECT_TRUE(std::isnan(y[0]) && std::isnan(y[2])) << t->isa << " hides NaN in " << static_cast<int>(c.f);
    }
    const auto one = [&](Unary f, float x) {
      float y = 0;
      t->unary(f, &x, &y, 1, 0, 0);
      return y;
    };
    EXPECT_EQ(one(Unary::exp, inf), inf);
    EXPECT_EQ(one(Unary::exp, 89), inf);
    EXPECT_EQ(one(Unary::exp, -inf), 0);
    EXPECT_EQ(one(Unary::exp, -200), 0);
    EXPECT_EQ(one(Unary::log, 0), -inf);
    EXPECT_EQ(one(Unary::log, inf), inf);
    EXPECT_TRUE(std::isnan(one(Unary::log, -1)));
    EXPECT_EQ(one(Unary::tanh, inf), 1);
    EXPECT_EQ(one(Unary::tanh, -inf), -1);
    EXPECT_EQ(one(Unary::erf, inf), 1);
    EXPECT_EQ(one(Unary::sigmoid, -inf), 0);
  }
}

TEST(Simd, RowKernels) {
  for (const Table* t : all_tables()) {
    for (const int64_t n : {1, 3, 16, 17, 100, 257}) {
      const Tensor x = random_tensor({n}, static_cast<unsigned>(n), -4, 4), w = random_tensor({n}, 7),
                   b = random_tensor({n}, 8);
      const auto v = x.as<float>();
      std::vector<float> y(static_cast<size_t>(n));
      double sum = 0, mean = 0, var = 0;
      for (const float f : v) sum += std::exp(static_cast<double>(f)), mean += f;
      EXPECT_NEAR(t->sum(v.data(), n), mean, 1e-5 * static_cast<double>(n));
      mean /= static_cast<double>(n);
      for (const float f : v) var += (f - mean) * (f - mean);
      var /= static_cast<double>(n);
      t->softmax(v.data(), y.data(), n, false);
      for (size_t i = 0; i < y.size(); ++i)
        EXPECT_NEAR(y[i], std::exp(static_cast<double>(v[i])) / sum, 5e-7) << t->isa;
      t->softmax(v.data(), y.data(), n, true);
      for (size_t i = 0; i < y.size(); ++i) EXPECT_NEAR(y[i], v[i] - std::log(sum), 2e-6) << t->isa;
      t->norm(v.data(), w.as<float>().data(), b.as<float>().data(), y.data(), n, 1e-5F, true);
      for (size_t i = 0; i < y.size(); ++i)
        EXPECT_NEAR(y[i], (v[i] - mean) / std::sqrt(var + 1e-5) * w.as<float>()[i] + b.as<float>()[i], 5e-6) << t->isa;
    }
  }
}

TEST(Simd, ProductAndSumsOfSquares) {
  for (const Table* t : all_tables()) {
    for (const int64_t rows : {1, 3, 6, 13}) {
      for (const int64_t columns : {16, 48, 64, 112}) {
        const int64_t depth = 205;
        const Tensor a = random_tensor({rows, depth}, 1), b = random_tensor({depth, columns}, 2);
        std::vector<float> c(static_cast<size_t>(rows * columns), 3);
        t->product(a.as<float>().data(), depth, b.as<float>().data(), columns, c.data(), columns, rows, columns, depth,
                   true);
        for (int64_t i = 0; i < rows * columns; ++i) {
          double want = 3;
          for (int64_t k = 0; k < depth; ++k)
            want += static_cast<double>(a.as<float>()[static_cast<size_t>(i / columns * depth + k)]) *
                    b.as<float>()[static_cast<size_t>(k * columns + i % columns)];
          ASSERT_NEAR(c[static_cast<size_t>(i)], want, 2e-5) << t->isa << " " << rows << "x" << columns;
        }
      }
    }
    const Tensor x = random_tensor({77}, 1), mean = random_tensor({77}, 2);
    std::vector<float> acc(77, 2);
    t->accumulate_squares(x.as<float>().data(), mean.as<float>().data(), acc.data(), 77);
    double squares = 0;
    for (size_t i = 0; i < acc.size(); ++i) {
      const double v = x.as<float>()[i], d = v - mean.as<float>()[i];
      EXPECT_NEAR(acc[i], 2 + d * d, 1e-6) << t->isa;
      squares += (v - 0.25) * (v - 0.25);
    }
    EXPECT_NEAR(t->squares(x.as<float>().data(), 77, 0.25F), squares, 1e-4) << t->isa;
  }
}

TEST(Simd, TransposeOfAnySize) {
  for (const Table* t : all_tables()) {
    for (const int64_t rows : {1, 4, 16, 17, 40}) {
      for (const int64_t columns : {1, 8, 16, 33}) {
        const Tensor x = random_tensor({rows, columns + 3}, 1);
        std::vector<float> y(static_cast<size_t>(columns * (rows + 2)), -7);
        t->transpose(x.as<float>().data(), columns + 3, y.data(), rows + 2, rows, columns);
        for (int64_t r = 0; r < rows + 2; ++r) {
          for (int64_t c = 0; c < columns; ++c) {
            const float want = r < rows ? x.as<float>()[static_cast<size_t>(r * (columns + 3) + c)] : -7;
            ASSERT_EQ(y[static_cast<size_t>(c * (rows + 2) + r)], want) << t->isa << " " << rows << "x" << columns;
          }
        }
      }
    }
  }
}

// Attention of one head in double, straight from the definition.
std::vector<double> attention_by_hand(const simd::Attention& a, int64_t rows) {
  std::vector<double> out(static_cast<size_t>(rows * a.value_depth));
  for (int64_t r = 0; r < rows; ++r) {
    std::vector<double> s(static_cast<size_t>(a.keys));
    double most = -kInf, sum = 0;
    for (int64_t j = 0; j < a.keys; ++j) {
      double x = 0;
      for (int64_t d = 0; d < a.depth; ++d)
        x += static_cast<double>(a.q[r * a.q_row + d * a.q_col]) * a.k[j * a.k_row + d * a.k_col];
      x = x * a.scale + (a.mask ? a.mask[r * a.mask_row + j * a.mask_col] : 0);
      s[static_cast<size_t>(j)] = x;
      most = std::max(most, x);
    }
    for (double& x : s) sum += x = std::exp(x - most);
    for (int64_t d = 0; d < a.value_depth; ++d) {
      double x = 0;
      for (int64_t j = 0; j < a.keys; ++j) x += s[static_cast<size_t>(j)] * a.v[j * a.v_row + d * a.v_col];
      out[static_cast<size_t>(r * a.value_depth + d)] = x / sum;
    }
  }
  return out;
}

TEST(Simd, AttentionOfAnySize) {
  for (const Table* t : all_tables()) {
    for (const int64_t keys : {1, 7, 64, 192, 193, 500}) {
      for (const int64_t depth : {1, 8, 20, 64}) {
        for (const bool masked : {false, true}) {
          const int64_t rows = std::min<int64_t>(t->attention_rows, 13), values = depth + 3;
          const Tensor q = random_tensor({rows, depth}, 1, -3, 3), k = random_tensor({keys, depth}, 2, -3, 3);
          const Tensor v = random_tensor({keys, values}, 3);
          Tensor mask = random_tensor({rows, keys}, 4);
          // Whole blocks masked out for some rows, first and last keys for others.
          for (int64_t j = 0; j < keys - 1; ++j) {
            if (j < 300) mask.mut<float>()[j] = -std::numeric_limits<float>::infinity();
            if (rows > 1 && j > 2) mask.mut<float>()[keys + j] = -std::numeric_limits<float>::infinity();
          }
          simd::Attention a{};
          a.depth = depth, a.value_depth = values, a.keys = keys;
          a.q = q.as<float>().data(), a.k = k.as<float>().data(), a.v = v.as<float>().data();
          a.mask = masked ? mask.as<float>().data() : nullptr;
          a.q_row = depth, a.q_col = 1, a.k_row = depth, a.k_col = 1, a.v_row = values, a.v_col = 1;
          a.mask_row = keys, a.mask_col = 1, a.out_row = values, a.scale = 0.3F;
          std::vector<float> packed(static_cast<size_t>(t->attention_packed(depth, values, keys)));
          std::vector<float> work(static_cast<size_t>(t->attention_work(depth, values)));
          std::vector<float> out(static_cast<size_t>(rows * values));
          t->attention_pack(a, packed.data());
          t->attention(a, packed.data(), rows, out.data(), work.data());
          const std::vector<double> want = attention_by_hand(a, rows);
          for (size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out[i], want[i], 3e-6) << t->isa << " keys " << keys;
        }
      }
    }
  }
}

TEST(SimdOverrides, UnaryOperators) {
  for (const std::string op : {"neg", "abs", "square", "exp", "relu", "tanh", "sigmoid", "erf", "silu", "hard_swish",
                               "hard_sigmoid", "gelu", "elu", "leaky_relu"}) {
    Net net;
    const ValueId x = net.input({3, 5, 7});
    net.finish({net.b.op(op, {x}), net.b.op(op, {net.b.transpose(x, {2, 0, 1})})});
    EXPECT_FALSE(expect_like_reference(net, 2e-6).used("reference")) << op;
  }
  Net net;
  const ValueId x = net.input({40});
  net.finish({net.b.op("clamp", {x}, {{"min", -0.5}}), net.b.op("gelu", {x}, {{"approximate", "tanh"}}),
              net.b.op("sqrt", {net.b.op("abs", {x})}), net.b.op("log", {net.b.op("abs", {x})}),
              net.b.op("pow", {x, net.b.scalar(2)})});
  EXPECT_FALSE(expect_like_reference(net, 2e-6).used("reference"));
}

TEST(SimdOverrides, BinaryBroadcasting) {
  const std::pair<Shape, Shape> shapes[] = {
      {{4, 5, 6}, {4, 5, 6}},    {{4, 5, 6}, {6}}, {{4, 5, 6}, {5, 1}}, {{4, 1, 6}, {5, 1}}, {{1}, {3, 4}},
      {{2, 3, 8, 9}, {3, 1, 1}}, {{7}, {7}},       {{}, {5, 2}},        {{3, 1}, {1, 4}},    {{64, 600}, {600}},
  };
  for (const auto& [a, b] : shapes) {
    for (const std::string op : {"add", "sub", "mul", "div", "maximum", "minimum"}) {
      Net net;
      const ValueId x = net.input(a), y = net.b.add(net.b.op("abs", {net.input(b)}), net.b.scalar(0.5));
      net.finish({net.b.op(op, {x, y}), net.b.op(op, {y, x})});
      EXPECT_FALSE(expect_like_reference(net, 1e-6).used("reference"));
    }
  }
}

TEST(SimdOverrides, BinaryOnViews) {
  Net net;
  const ValueId x = net.input({4, 6, 8});
  const ValueId turned = net.b.transpose(x, {2, 0, 1});
  const ValueId part =
      net.b.op("slice", {x}, {{"starts", Ints{1}}, {"ends", Ints{5}}, {"axes", Ints{2}}, {"steps", Ints{1}}});
  const ValueId wide = net.b.expand(net.input({4, 1, 1}), {4, 6, 4});
  net.finish({net.b.add(turned, turned), net.b.mul(part, wide), net.b.sub(turned, net.input({4, 6})),
              net.b.add(net.b.transpose(net.b.op("exp", {turned}), {1, 2, 0}), x)});
  expect_like_reference(net, 1e-6);
}

TEST(SimdOverrides, LinearOfOneRow) {
  for (const int64_t n : {1, 3, 8, 1001}) {
    for (const int64_t depth : {1, 15, 64, 257}) {
      Net net;
      const ValueId x = net.input({1, 1, depth});
      net.finish({net.b.op("linear", {x, net.scaled({n, depth}, depth), net.weight({n})}),
                  net.b.op("linear", {x, net.scaled({n, depth}, depth)})});
      EXPECT_TRUE(expect_like_reference(net, 2e-6).used("dots"));
    }
  }
}

TEST(SimdOverrides, Where) {
  Net net;
  const ValueId x = net.input({3, 4, 5});
  const ValueId mask = net.b.op("greater", {net.input({4, 5}), net.b.scalar(0)});
  net.finish(
      {net.b.op("where", {mask, x, net.b.scalar(-5)}), net.b.op("where", {mask, net.b.scalar(2), net.input({5})})});
  expect_like_reference(net, 0);
}

TEST(SimdOverrides, RowsOnAnyAxis) {
  for (const int64_t axis : {0, 1, 2, -1}) {
    Net net;
    const ValueId x = net.input({4, 17, 33});
    net.finish({net.b.op("softmax", {x}, {{"axis", axis}}),
                net.b.op("log_softmax", {net.b.transpose(x, {2, 0, 1})}, {{"axis", axis}})});
    EXPECT_FALSE(expect_like_reference(net, 2e-6).used("reference"));
  }
  Net net;
  const ValueId x = net.input({2, 9, 6, 40});
  net.finish({net.b.op("layer_norm", {x, net.weight({40}), net.weight({40})}),
              net.b.op("layer_norm", {x}, {{"normalized_rank", 2}}), net.b.op("rms_norm", {x, net.weight({40})}),
              net.b.op("layer_norm", {net.b.transpose(x, {0, 3, 2, 1}), net.weight({9}), net.weight({9})})});
  EXPECT_FALSE(expect_like_reference(net, 5e-6).used("reference"));
}

TEST(SimdOverrides, Means) {
  for (const Ints& axes : {Ints{3}, Ints{2, 3}, Ints{1}, Ints{0}, Ints{0, 1, 2, 3}, Ints{1, 2}, Ints{0, 2}}) {
    for (const bool keep : {false, true}) {
      Net net;
      const ValueId x = net.input({3, 4, 5, 6});
      const ValueId turned = net.b.transpose(x, {0, 3, 1, 2});
      net.finish({net.b.op("reduce_mean", {x}, {{"axes", axes}, {"keepdims", keep}}),
                  net.b.op("reduce_sum", {turned}, {{"axes", axes}, {"keepdims", keep}})});
      expect_like_reference(net, 2e-6);
    }
  }
}

TEST(SimdOverrides, BatchNormAlone) {
  for (const int64_t axis : {1, 3}) {
    Net net;
    const ValueId x = net.input({2, 6, 5, 6});
    net.finish({net.b.op("batch_norm", {x, net.weight({6}), net.weight({6}), net.weight({6}), net.weight({6}, 0.5, 2)},
                         {{"axis", axis}})});
    EXPECT_FALSE(expect_like_reference(net, 2e-6).used("reference"));
  }
}

TEST(SimdOverrides, Movement) {
  Net net;
  const ValueId x = net.input({2, 8, 4, 6}), y = net.input({2, 3, 4, 6});
  const ValueId nhwc = net.b.transpose(x, {0, 2, 3, 1});
  const ValueId back = net.b.transpose(net.b.op("exp", {nhwc}), {0, 3, 1, 2});
  std::vector<ValueId> out = {net.b.op("concat", {x, y, x}, {{"axis", 1}}),
                              net.b.op("concat", {back, y}, {{"axis", -3}}),
                              net.b.op("pad", {x}, {{"pads", Ints{0, 1, 2, 0, 1, 0, 3, 1}}, {"value", 2.5}}),
                              net.b.op("pad", {back}, {{"pads", Ints{0, 0, 1, 1, 0, 0, 1, 1}}})};
  for (const std::string mode : {"crd", "dcr"}) {
    out.push_back(net.b.op("depth_to_space", {x}, {{"block", 2}, {"mode", mode}}));
    out.push_back(net.b.op("depth_to_space", {back}, {{"block", 2}, {"mode", mode}}));
    out.push_back(net.b.op("depth_to_space", {nhwc}, {{"block", 2}, {"mode", mode}, {"layout", "nhwc"}}));
    out.push_back(net.b.op("space_to_depth", {x}, {{"block", 2}, {"mode", mode}}));
    out.push_back(net.b.op("space_to_depth", {nhwc}, {{"block", 2}, {"mode", mode}, {"layout", "nhwc"}}));
  }
  net.finish(out);
  EXPECT_FALSE(expect_like_reference(net, 1e-6).used("reference"));
}

TEST(SimdOverrides, GatherOfRows) {
  for (const int64_t axis : {0, 1, -1}) {
    Net net;
    const ValueId x = net.input({5, 40, 70});
    const ValueId turned = net.b.transpose(net.b.op("exp", {x}), {2, 0, 1});
    const ValueId wide = net.b.constant(Tensor::of<int64_t>({2, 3}, {0, -1, 4, 2, -5, 1}));
    const ValueId narrow = net.b.constant(Tensor::of<int32_t>({4}, {3, -2, 0, 1}));
    net.finish({net.b.op("gather", {x, wide}, {{"axis", axis}}), net.b.op("gather", {turned, narrow}, {{"axis", axis}}),
                net.b.op("embedding", {net.input({300, 512}), net.b.constant(Tensor::zeros(DType::i64, {1, 200}))})});
    const Ran r = expect_like_reference(net, 1e-6);
    EXPECT_TRUE(r.used("rows")) << r.kernels();
    EXPECT_FALSE(r.used("reference")) << r.kernels();
  }
}

TEST(SimdOverrides, GatherNamesABadIndexAsItsRowDoes) {
  std::vector<std::string> texts;
  for (const bool overrides : {true, false}) {
    Graph g;
    Builder b(g);
    const ValueId x = g.add_input("x", f32({4, 3})), i = g.add_input("i", {DType::i64, {2}, nullptr});
    g.set_outputs({b.op("gather", {x, i}, {{"axis", 0}})});
    Result<Executor> e = Executor::create(g, {.threads = 1, .overrides = overrides});
    ASSERT_TRUE(e.ok());
    const std::vector<Tensor> in = {random_tensor({4, 3}, 1), Tensor::of<int64_t>({2}, {1, 4})};
    const auto out = e->run(in);
    ASSERT_FALSE(out.ok());
    texts.push_back(to_text(out.error()));
  }
  EXPECT_EQ(texts[0], texts[1]);
  EXPECT_NE(texts[0].find("index 4 is out of range for size 4"), std::string::npos) << texts[0];
}

TEST(SimdOverrides, AttentionRunsAsOneStep) {
  for (const int64_t keys : {20, 200, 333}) {
    for (const int mask : {0, 1, 2}) {
      for (const bool flag : {false, true}) {
        Net net;
        const auto heads = [&](int64_t rows) {
          return net.b.transpose(net.b.reshape(net.input({1, rows, 4 * 24}), {1, rows, 4, 24}), {0, 2, 1, 3});
        };
        const ValueId q = heads(70), k = heads(keys), v = heads(keys);
        ValueId s = flag ? net.b.op("matmul", {q, k}, {{"transpose_b", true}})
                         : net.b.op("matmul", {q, net.b.transpose(k, {0, 1, 3, 2})});
        s = flag ? net.b.op("div", {s, net.b.scalar(4)}) : net.b.mul(net.b.scalar(0.25), s);
        if (mask == 1) s = net.b.add(s, net.weight({70, keys}, -3, 3));
        if (mask == 2) s = net.b.add(net.input({1, 1, 1, keys}), s);
        const ValueId y = net.b.op("matmul", {net.b.op("softmax", {s}, {{"axis", -1}}), v});
        net.finish({net.b.reshape(net.b.transpose(y, {0, 2, 1, 3}), {1, 70, 96})});
        const Ran r = expect_like_reference(net, 5e-6);
        EXPECT_TRUE(r.used("attention")) << r.kernels();
        EXPECT_EQ(r.steps(), 1U) << r.kernels();
      }
    }
  }
}

TEST(SimdOverrides, CausalAttention) {
  // What the mask hides is left out, but a NaN among it spreads to every row, as it does in the row's definition.
  for (const bool broken : {false, true}) {
    for (const int64_t rows : {100, 449}) {
      Net net;
      const ValueId q = net.input({2, rows, 16}), k = net.input({2, rows, 16}), v = net.input({2, rows, 20});
      const float inf = std::numeric_limits<float>::infinity();
      Tensor mask = Tensor::zeros(DType::f32, {rows, rows});
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t j = r + 1; j < rows; ++j) mask.mut<float>()[static_cast<size_t>(r * rows + j)] = -inf;
      if (broken) net.inputs[1].mut<float>().back() = std::numeric_limits<float>::quiet_NaN();
      const ValueId s = net.b.add(net.b.op("matmul", {q, k}, {{"transpose_b", true}}), net.b.constant(mask));
      net.finish({net.b.op("matmul", {net.b.op("softmax", {s}), v})});
      const Ran r = expect_like_reference(net, 5e-6);
      EXPECT_TRUE(r.used("attention")) << r.kernels();
      const auto count = std::count_if(r.outputs[0].as<float>().begin(), r.outputs[0].as<float>().end(),
                                       [](float x) { return std::isnan(x); });
      EXPECT_EQ(count, broken ? rows * 20 : 0);
    }
  }
}

TEST(SimdOverrides, MixedOrdersOfDimensions) {
  // Turned once, as whole operands, in the order that the readers take.
  Net net;
  const ValueId image = net.input({1, 40, 6, 50}), rows = net.weight({1, 300, 40});
  const ValueId x = net.b.transpose(net.b.reshape(net.b.op("exp", {image}), {1, 40, 300}), {0, 2, 1});
  const ValueId with = net.b.add(x, rows);
  const ValueId y = net.b.op("linear", {with, net.scaled({24, 40}, 40)}),
                z = net.b.op("linear", {x, net.scaled({24, 40}, 40)});
  net.finish({net.b.add(y, z), net.b.mul(x, rows)});
  const Ran r = expect_like_reference(net, 5e-6);
  EXPECT_FALSE(r.used("reference")) << r.kernels();
  const auto turned =
      std::count_if(r.profile.begin(), r.profile.end(), [](const NodeTime& t) { return t.op == "reorder"; });
  EXPECT_EQ(turned, 1) << r.kernels();
}

TEST(SimdOverrides, NanSurvivesEveryKernel) {
  // A NaN that a kernel hid could make a broken model pass its gate.
  Net net;
  const ValueId x = net.input({1, 2, 6, 8});
  net.inputs[0].mut<float>()[3] = std::numeric_limits<float>::quiet_NaN();
  const ValueId s = net.b.op("matmul", {x, x}, {{"transpose_b", true}});
  std::vector<ValueId> out = {net.b.op("matmul", {net.b.op("softmax", {s}), x}), net.b.op("softmax", {x}),
                              net.b.op("layer_norm", {x}), net.b.op("reduce_mean", {x}, {{"axes", Ints{3}}})};
  for (const std::string op : {"relu", "gelu", "sigmoid", "hard_swish", "silu"}) out.push_back(net.b.op(op, {x}));
  for (const std::string op : {"maximum", "minimum", "add", "mul"}) {
    out.push_back(net.b.op(op, {x, net.b.scalar(0.5)}));
    out.push_back(net.b.op(op, {net.b.scalar(0.5), x}));
  }
  net.finish(out);
  const Ran fast = run(net.g, net.inputs, {.threads = 1}),
            want = run(net.g, net.inputs, {.threads = 1, .overrides = false});
  for (size_t i = 0; i < out.size(); ++i) {
    for (int64_t k = 0; k < fast.outputs[i].count(); ++k) {
      const auto at = static_cast<size_t>(k);
      EXPECT_EQ(std::isnan(fast.outputs[i].as<float>()[at]), std::isnan(want.outputs[i].as<float>()[at]))
          << i << " " << k;
    }
  }
}

TEST(SimdOverrides, WhatLooksLikeAttentionButIsNot) {
  const auto build = [](int variant) {
    Net net;
    const ValueId q = net.input({2, 5, 8}), k = net.input({2, 8, 6}), v = net.input({2, 6, 7});
    const ValueId s = net.b.op("matmul", {q, k});
    ValueId w = net.b.op("softmax", {s}, {{"axis", variant == 0 ? 1 : 2}});
    if (variant == 1) w = net.b.op("relu", {w});
    const ValueId y = net.b.op("matmul", {w, v});
    std::vector<ValueId> out = {y};
    if (variant == 2) out.push_back(w);
    if (variant == 3) out.push_back(s);
    net.finish(out);
    return net;
  };
  for (int variant = 0; variant < 4; ++variant)
    EXPECT_FALSE(expect_like_reference(build(variant), 5e-6).used("attention")) << variant;
}

}  // namespace
}  // namespace npuport
