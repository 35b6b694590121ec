#include "pipelines/picture/quality.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/diag_codes.h"

namespace npuport {
namespace {

double decibel(double mse) {
  return mse > 0 ? 10 * std::log10(255.0 * 255.0 / mse) : std::numeric_limits<double>::infinity();
}

// A plane of one picture without its border.
struct Plane {
  std::vector<float> v;
  int width = 0, height = 0;
  float at(int y, int x) const {
    return v[static_cast<size_t>(y) * static_cast<size_t>(width) + static_cast<size_t>(x)];
  }
};

Plane cut(const std::vector<float>& all, const Picture& p, int border) {
  Plane out;
  out.width = p.width - 2 * border;
  out.height = p.height - 2 * border;
  for (int y = border; y < p.height - border; ++y) {
    const auto row = all.begin() + static_cast<std::ptrdiff_t>(y) * p.width;
    out.v.insert(out.v.end(), row + border, row + p.width - border);
  }
  return out;
}

double plane_mse(const Plane& a, const Plane& b) {
  double sum = 0;
  for (size_t i = 0; i < a.v.size(); ++i) sum += (a.v[i] - b.v[i]) * (a.v[i] - b.v[i]);
  return sum / static_cast<double>(a.v.size());
}

constexpr int kWindow = 11;

std::array<double, kWindow> gaussian() {
  std::array<double, kWindow> g{};
  double sum = 0;
  for (int i = 0; i < kWindow; ++i) sum += g[static_cast<size_t>(i)] = std::exp(-(i - 5) * (i - 5) / (2 * 1.5 * 1.5));
  for (double& v : g) v /= sum;
  return g;
}

// The window's five moments at (y, x): means, variances, covariance.
struct Moments {
  double ma = 0, mb = 0, aa = 0, bb = 0, ab = 0;
  void add(double w, double a, double b) {
    ma += w * a;
    mb += w * b;
    aa += w * a * a;
    bb += w * b * b;
    ab += w * a * b;
  }
  void add(double w, const Moments& m) {
    ma += w * m.ma;
    mb += w * m.mb;
    aa += w * m.aa;
    bb += w * m.bb;
    ab += w * m.ab;
  }
  double ssim() const {
    constexpr double c1 = (0.01 * 255) * (0.01 * 255), c2 = (0.03 * 255) * (0.03 * 255);
    const double va = aa - ma * ma, vb = bb - mb * mb, cov = ab - ma * mb;
    return (2 * ma * mb + c1) * (2 * cov + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2));
  }
};

double whole_ssim(const Plane& a, const Plane& b) {
  Moments m;
  for (size_t i = 0; i < a.v.size(); ++i) m.add(1.0 / static_cast<double>(a.v.size()), a.v[i], b.v[i]);
  return m.ssim();
}

double mean_ssim(const Plane& a, const Plane& b) {
  if (a.width < kWindow || a.height < kWindow) return whole_ssim(a, b);
  const auto g = gaussian();
  const int columns = a.width - kWindow + 1, rows = a.height - kWindow + 1;
  // The window is separable: sums along each row first, kept for the eleven rows a window spans.
  std::vector<std::vector<Moments>> kept(kWindow, std::vector<Moments>(static_cast<size_t>(columns)));
  double total = 0;
  for (int y = 0; y < a.height; ++y) {
    auto& line = kept[static_cast<size_t>(y % kWindow)];
    for (int x = 0; x < columns; ++x) {
      Moments m;
      for (int k = 0; k < kWindow; ++k) m.add(g[static_cast<size_t>(k)], a.at(y, x + k), b.at(y, x + k));
      line[static_cast<size_t>(x)] = m;
    }
    if (y < kWindow - 1) continue;
    for (size_t x = 0; x < static_cast<size_t>(columns); ++x) {
      Moments m;
      for (int k = 0; k < kWindow; ++k)
        m.add(g[static_cast<size_t>(k)], kept[static_cast<size_t>((y - kWindow + 1 + k) % kWindow)][x]);
      total += m.ssim();
    }
  }
  return total / (static_cast<double>(columns) * rows);
}

}  // namespace

std::vector<float> luma(const Picture& p) {
  std::vector<float> out(p.count());
  for (size_t i = 0; i < out.size(); ++i) {
    if (p.channels == 1) {
      out[i] = p.pixels[i];
      continue;
    }
    // ITU-R BT.601, 8-bit studio range.
    const uint8_t* c = &p.pixels[3 * i];
    out[i] = 16.0f + (65.481f * c[0] + 128.553f * c[1] + 24.966f * c[2]) / 255.0f;
  }
  return out;
}

Result<PictureQuality> compare_pictures(const Picture& a, const Picture& b, int border) {
  if (a.width != b.width || a.height != b.height || a.channels != b.channels)
    return Diag(diag::shape_mismatch, "pictures of " + std::to_string(a.width) + "x" + std::to_string(a.height) + "x" +
                                          std::to_string(a.channels) + " and " + std::to_string(b.width) + "x" +
                                          std::to_string(b.height) + "x" + std::to_string(b.channels) +
                                          " cannot be compared");
  if (border < 0 || a.width <= 2 * border || a.height <= 2 * border)
    return Diag(diag::shape_mismatch, "a border of " + std::to_string(border) + " leaves nothing of the picture");
  double sum = 0;
  size_t n = 0;
  const auto channels = static_cast<size_t>(a.channels);
  for (int y = border; y < a.height - border; ++y) {
    const size_t row = static_cast<size_t>(y) * static_cast<size_t>(a.width);
    for (size_t i = (row + static_cast<size_t>(border)) * channels;
         i < (row + static_cast<size_t>(a.width - border)) * channels; ++i, ++n) {
      const double d = double{1} * a.pixels[i] - b.pixels[i];
      sum += d * d;
    }
  }
  const Plane la = cut(luma(a), a, border), lb = cut(luma(b), b, border);
  return PictureQuality{decibel(sum / static_cast<double>(n)), decibel(plane_mse(la, lb)), mean_ssim(la, lb)};
}

}  // namespace npuport
