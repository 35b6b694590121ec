// The recurrent rows against their unrolled form, and against values worked out by hand.
#include "ops/rnn.h"

#include <cmath>

#include "ops/nn_support.h"

namespace npuport {
namespace {

using nn_test::failure;
using nn_test::max_diff;
using nn_test::random_tensor;
using nn_test::try_run;

struct Weights {
  Tensor x, w_ih, w_hh, b_ih, b_hh, h0, c0, w_hr;
};

Weights weights(int64_t gates, int64_t projected) {
  const int64_t steps = 5, batch = 3, inputs = 4, hidden = 6, out = projected ? projected : hidden;
  return {random_tensor({steps, batch, inputs}, 1), random_tensor({gates * hidden, inputs}, 2),
          random_tensor({gates * hidden, out}, 3),  random_tensor({gates * hidden}, 4),
          random_tensor({gates * hidden}, 5),       random_tensor({batch, out}, 6),
          random_tensor({batch, hidden}, 7),        random_tensor({projected, hidden}, 8)};
}

std::vector<Tensor> unrolled(std::string_view op, const std::vector<const Tensor*>& in,
                             const std::vector<Attr>& attrs) {
  Graph g;
  Builder b(g, true, int64_t{1} << 40);
  std::vector<ValueId> ids;
  for (const Tensor* t : in) ids.push_back(t ? b.constant(*t) : ValueId{});
  const std::vector<ValueId> out = expand_rnn(b, op, ids, attrs);
  const Status s = b.take_status();
  EXPECT_TRUE(s.ok()) << (s.ok() ? "" : s.error().message);
  std::vector<Tensor> results;
  for (const ValueId v : out) results.push_back(*b.constant_of(v));
  return results;
}

void expect_equal(std::string_view op, const std::vector<const Tensor*>& in, std::vector<Attr> attrs) {
  for (const bool reverse : {false, true}) {
    for (const Ints& lengths : {Ints{}, Ints{5, 2, 0}}) {
      std::vector<Attr> all = attrs;
      all.emplace_back("reverse", reverse);
      all.emplace_back("lengths", lengths);
      const Result<std::vector<Tensor>> row = try_run(op, in, all);
      ASSERT_TRUE(row.ok()) << row.error().message;
      const std::vector<Tensor> simple = unrolled(op, in, all);
      ASSERT_EQ(row->size(), simple.size());
      for (size_t i = 0; i < simple.size(); ++i)
        EXPECT_LT(max_diff((*row)[i], simple[i]), 2e-6) << op << " output " << i;
      if (!lengths.empty()) {
        // Nothing comes out behind a sequence, and an empty one leaves its state alone.
        const int64_t width = (*row)[0].shape[2];
        EXPECT_EQ(get_double((*row)[0], (4 * 3 + 1) * width), 0);
        EXPECT_EQ(get_double((*row)[1], 2 * width), in[5] ? get_double(*in[5], 2 * width) : 0.0);
      }
    }
  }
}

TEST(Rnn, UnrolledFormGivesTheSame) {
  const Weights l = weights(4, 0), p = weights(4, 2), g = weights(3, 0), r = weights(1, 0);
  expect_equal("lstm", {&l.x, &l.w_ih, &l.w_hh, &l.b_ih, &l.b_hh, &l.h0, &l.c0}, {});
  expect_equal("lstm", {&l.x, &l.w_ih, &l.w_hh, nullptr, nullptr, nullptr, nullptr}, {});
  expect_equal("lstm", {&p.x, &p.w_ih, &p.w_hh, &p.b_ih, &p.b_hh, &p.h0, &p.c0, &p.w_hr}, {});
  expect_equal("gru", {&g.x, &g.w_ih, &g.w_hh, &g.b_ih, &g.b_hh, &g.h0}, {});
  expect_equal("rnn", {&r.x, &r.w_ih, &r.w_hh, &r.b_ih, &r.b_hh, &r.h0}, {});
  expect_equal("rnn", {&r.x, &r.w_ih, &r.w_hh, &r.b_ih, &r.b_hh, &r.h0}, {{"nonlinearity", "relu"}});
}

TEST(Rnn, OneUnitByHand) {
  const Tensor x = Tensor::of<float>({2, 1, 1}, {1, 2}), w = Tensor::of<float>({4, 1}, {0.1F, 0.2F, 0.3F, 0.4F}),
               u = Tensor::of<float>({4, 1}, {0.5F, 0.6F, 0.7F, 0.8F});
  const auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
  double h = 0, c = 0;
  for (const double v : {1.0, 2.0}) {
    const double i = sigmoid(0.1 * v + 0.5 * h), f = sigmoid(0.2 * v + 0.6 * h), g = std::tanh(0.3 * v + 0.7 * h),
                 o = sigmoid(0.4 * v + 0.8 * h);
    c = f * c + i * g;
    h = o * std::tanh(c);
  }
  const Result<std::vector<Tensor>> out = try_run("lstm", {&x, &w, &u});
  ASSERT_TRUE(out.ok());
  EXPECT_NEAR(get_double((*out)[0], 1), h, 1e-6);
  EXPECT_NEAR(get_double((*out)[1], 0), h, 1e-6);
  EXPECT_NEAR(get_double((*out)[2], 0), c, 1e-6);
}

TEST(Rnn, RefusesWhatDoesNotFit) {
  const Weights l = weights(4, 0), g = weights(3, 0);
  EXPECT_THAT(failure("lstm", {&l.x, &l.w_ih, &g.w_hh}), testing::HasSubstr("w_hh is f32[18,6]"));
  EXPECT_THAT(failure("gru", {&l.x, &l.w_hh, &l.w_hh}), testing::HasSubstr("for x f32[5,3,4]"));
  EXPECT_THAT(failure("lstm", {&l.x, &l.w_ih, &l.w_hh}, {{"lengths", Ints{1, 2}}}), testing::HasSubstr("batch 3"));
  EXPECT_THAT(failure("lstm", {&l.x, &l.w_ih, &l.w_hh}, {{"lengths", Ints{1, 2, 6}}}), testing::HasSubstr("5 steps"));
}

}  // namespace
}  // namespace npuport
