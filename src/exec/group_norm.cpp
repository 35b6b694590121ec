// group_norm and instance_norm on channels-first and channels-last memory.
#include <algorithm>
#include <cmath>

#include "exec/parallel.h"
#include "exec/simd/simd.h"
#include "exec/simd_overrides.h"

namespace npuport {

namespace {

// Lengths of f32 sums, which then add up in double: neither the threads nor the size of a group show in the digits.
constexpr int64_t kPiece = 4096;
constexpr int64_t kPixels = 256;

int64_t pieces_of(int64_t n, int64_t piece) { return (n + piece - 1) / piece; }

class GroupNormKernel : public Kernel {
 public:
  // channels_last: memory is [batch, pixels, channels], else [batch, channels, pixels].
  GroupNormKernel(const PrepareCall& call, int64_t axis, bool channels_last) : last_(channels_last) {
    name = simd::table().isa;
    const Shape& shape = call.graph.shape(call.inputs[0]);
    const AttrView attr = call.head().attr();
    batch_ = shape[0];
    channels_ = shape[static_cast<size_t>(axis)];
    pixels_ = element_count(shape) / batch_ / channels_;
    groups_ = attr.has("groups") ? attr.i("groups") : channels_;
    eps_ = attr.f("eps");
    share_input = 0;
    const int64_t sums = last_ ? batch_ * pieces_of(pixels_, kPixels) * channels_ : batch_ * groups_ * pieces() * 2;
    scratch_bytes = (sums + batch_ * channels_ * 3) * static_cast<int64_t>(sizeof(float));
  }

  Status run(const RunCall& call) override {
    const float* x = call.in[0].as<float>();
    auto* partial = reinterpret_cast<double*>(call.scratch);
    const int64_t sums = last_ ? batch_ * pieces_of(pixels_, kPixels) * channels_ : batch_ * groups_ * pieces() * 2;
    Channels c;
    c.mean = reinterpret_cast<float*>(partial) + sums;
    c.scale = c.mean + batch_ * channels_;
    c.shift = c.scale + batch_ * channels_;
    const int threads = batch_ * channels_ * pixels_ < 16384 ? 1 : call.threads;
    const auto count = static_cast<double>(group_length());
    std::vector<double> totals(static_cast<size_t>(batch_ * groups_));
    sum_up(x, nullptr, partial, threads, totals);
    for (int64_t i = 0; i < batch_ * channels_; ++i) c.mean[i] = static_cast<float>(totals[group_of(i)] / count);
    sum_up(x, c.mean, partial, threads, totals);
    const float* weight = call.in.size() > 1 && call.in[1].present() ? call.in[1].as<float>() : nullptr;
    const float* bias = call.in.size() > 2 && call.in[2].present() ? call.in[2].as<float>() : nullptr;
    for (int64_t i = 0; i < batch_ * channels_; ++i) {
      const int64_t channel = i % channels_;
      c.scale[i] = static_cast<float>((weight ? weight[channel] : 1.0) / std::sqrt(totals[group_of(i)] / count + eps_));
      c.shift[i] = bias ? bias[channel] : 0.0F;
    }
    apply(x, c, call.out[0].as<float>(), threads);
    return {};
  }

 private:
  // Per batch element and channel.
  struct Channels {
    float *mean, *scale, *shift;
  };

  size_t group_of(int64_t i) const {
    return static_cast<size_t>(i / channels_ * groups_ + i % channels_ / (channels_ / groups_));
  }
  int64_t group_length() const { return channels_ / groups_ * pixels_; }
  int64_t pieces() const { return pieces_of(group_length(), kPiece); }

  // Per group the sum of x, or of (x − mean)² where the channels' means are given.
  void sum_up(const float* x, const float* mean, double* partial, int threads, std::vector<double>& totals) const {
    std::fill(totals.begin(), totals.end(), 0.0);
    if (last_) {
      const int64_t blocks = pieces_of(pixels_, kPixels);
      auto* sums = reinterpret_cast<float*>(partial);
      parallel_for(threads, batch_ * blocks, 1, [&](int64_t begin, int64_t end) {
        for (int64_t b = begin; b < end; ++b)
          sum_pixels(x, mean, b / blocks, b % blocks * kPixels, sums + b * channels_);
      });
      for (int64_t i = 0; i < batch_ * blocks * channels_; ++i)
        totals[group_of(i / (blocks * channels_) * channels_ + i % channels_)] += sums[i];
      return;
    }
    const int64_t size = channels_ / groups_;
    parallel_for(threads, batch_ * groups_ * pieces(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t g = i / pieces(), first = i % pieces() * kPiece, some = std::min(kPiece, group_length() - first);
        const float* from = x + g * group_length() + first;
        partial[i] = mean ? simd::table().squares(from, some, mean[g * size]) : simd::table().sum(from, some);
      }
    });
    for (int64_t i = 0; i < batch_ * groups_ * pieces(); ++i) totals[static_cast<size_t>(i / pieces())] += partial[i];
  }

  void sum_pixels(const float* x, const float* mean, int64_t n, int64_t first, float* to) const {
    std::fill_n(to, channels_, 0.0F);
    for (int64_t p = first; p < std::min(first + kPixels, pixels_); ++p) {
      const float* from = x + (n * pixels_ + p) * channels_;
      if (mean)
        simd::table().accumulate_squares(from, mean + n * channels_, to, channels_);
      else
        simd::table().accumulate(from, to, channels_);
    }
  }

  // The mean goes first: with few elements or a mean far from zero, x · scale − mean · scale would cancel.
  void apply(const float* x, const Channels& c, float* y, int threads) const {
    using simd::Binary;
    const simd::Table& t = simd::table();
    if (!last_) {
      parallel_for(threads, batch_ * channels_, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          for (int64_t p = 0; p < pixels_; p += kPiece) {
            const int64_t at = i * pixels_ + p, n = std::min(kPiece, pixels_ - p);
            t.binary(Binary::sub, x + at, 1, c.mean + i, 0, y + at, n);
            t.unary(simd::Unary::scale_shift, y + at, y + at, n, c.scale[i], c.shift[i]);
          }
        }
      });
      return;
    }
    parallel_for(threads, batch_ * pixels_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t n = i / pixels_ * channels_;
        float* to = y + i * channels_;
        t.binary(Binary::sub, x + i * channels_, 1, c.mean + n, 1, to, channels_);
        t.binary(Binary::mul, to, 1, c.scale + n, 1, to, channels_);
        t.binary(Binary::add, to, 1, c.shift + n, 1, to, channels_);
      }
    });
  }

  bool last_;
  int64_t batch_ = 0, channels_ = 0, pixels_ = 0, groups_ = 0;
  double eps_ = 0;
};

bool accepts(const Graph& g, NodeId id) {
  const Node& n = g.node(id);
  const auto fits = [&](ValueId v) {
    return !v.valid() || (g.type(v).dtype == DType::f32 && element_count(g.shape(v)) > 0);
  };
  return std::all_of(n.inputs.begin(), n.inputs.end(), fits);
}

std::unique_ptr<Kernel> prepare(const PrepareCall& call) {
  const Shape& shape = call.graph.shape(call.inputs[0]);
  const auto rank = static_cast<int64_t>(shape.size());
  int64_t axis = call.head().attr().i("axis");
  if (axis < 0) axis += rank;
  if (axis != 1 && (axis != rank - 1 || axis == 0)) return nullptr;
  Ints order;
  for (int64_t i = 0; i < rank; ++i) {
    if (i != axis) order.push_back(i);
  }
  order.push_back(axis);
  // As it comes where that is one of the two orders, else plain.
  const LayoutPtr channels_last = ordered_layout(shape, order);
  const bool last = (rank > 2 && axis == rank - 1) || (channels_last && same_layout(call.layouts[0], channels_last));
  auto kernel = std::make_unique<GroupNormKernel>(call, axis, last);
  kernel->in_layouts = {last ? channels_last : nullptr};
  kernel->out_layouts = kernel->in_layouts;
  return kernel;
}

constexpr Override kRows[] = {
    {"group_norm", "simd", accepts, nullptr, prepare},
    {"instance_norm", "simd", accepts, nullptr, prepare},
};

}  // namespace

std::span<const Override> group_norm_overrides() { return kRows; }

}  // namespace npuport
