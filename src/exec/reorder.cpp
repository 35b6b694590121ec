// Conversions between plain and strided layouts, for every dtype of whole bytes.
#include <algorithm>
#include <cstring>

#include "exec/onednn_overrides.h"
#include "exec/parallel.h"
#include "exec/simd/simd.h"

namespace npuport {

namespace {

struct Dim {
  int64_t size, from, to;  // strides in elements
};

// Dimensions outermost first in the order of the destination, sizes of 1 dropped, neighbours that are contiguous on
// both sides merged.
std::vector<Dim> loop_order(std::span<const int64_t> shape, std::span<const int64_t> from,
                            std::span<const int64_t> to) {
  std::vector<Dim> dims;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] != 1) dims.push_back({shape[i], from[i], to[i]});
  }
  std::stable_sort(dims.begin(), dims.end(), [](const Dim& a, const Dim& b) { return a.to > b.to; });
  std::vector<Dim> merged;
  for (const Dim& d : dims) {
    if (!merged.empty() && merged.back().from == d.from * d.size && merged.back().to == d.to * d.size) {
      merged.back() = {merged.back().size * d.size, d.from, d.to};
    } else {
      merged.push_back(d);
    }
  }
  return merged;
}

constexpr int64_t kTile = 16;
constexpr int64_t kCut = 64;  // rows of a plane that one thread takes at a time

// A few interleaved columns (the three colours of an image) against long rows, either way round.
template <int kFew, class T>
void copy_few(const T* from, T* to, const Dim& many, const Dim& few) {
  for (int64_t i = 0; i < many.size; ++i) {
    for (int k = 0; k < kFew; ++k) to[i * many.to + k * few.to] = from[i * many.from + k * few.from];
  }
}

template <class T>
bool copy_few(const T* from, T* to, const Dim& many, const Dim& few) {
  if (few.size == 2) copy_few<2>(from, to, many, few);
  if (few.size == 3) copy_few<3>(from, to, many, few);
  if (few.size == 4) copy_few<4>(from, to, many, few);
  return few.size >= 2 && few.size <= 4;
}

// One plane: rows × columns, destination contiguous in columns, source contiguous (or not) in rows.
template <class T>
void copy_plane(const T* from, T* to, const Dim& row, const Dim& col) {
  if (col.from == 1 && col.to == 1) {
    for (int64_t r = 0; r < row.size; ++r) std::memcpy(to + r * row.to, from + r * row.from, sizeof(T) * col.size);
    return;
  }
  if (copy_few(from, to, row, col) || copy_few(from, to, col, row)) return;
  if constexpr (sizeof(T) == sizeof(float)) {
    if (row.from == 1 && col.to == 1) {
      simd::table().transpose(reinterpret_cast<const float*>(from), col.from, reinterpret_cast<float*>(to), row.to,
                              col.size, row.size);
      return;
    }
  }
  for (int64_t r0 = 0; r0 < row.size; r0 += kTile) {
    const int64_t r1 = std::min(row.size, r0 + kTile);
    for (int64_t c0 = 0; c0 < col.size; c0 += kTile) {
      const int64_t c1 = std::min(col.size, c0 + kTile);
      for (int64_t r = r0; r < r1; ++r) {
        for (int64_t c = c0; c < c1; ++c) to[r * row.to + c * col.to] = from[r * row.from + c * col.from];
      }
    }
  }
}

class StridedCopy : public Kernel {
 public:
  StridedCopy(const TensorType& type, const std::vector<int64_t>& from, const std::vector<int64_t>& to)
      : width_(bits(type.dtype) / 8) {
    name = "strided copy";
    std::vector<Dim> dims = loop_order(type.shape, from, to);
    empty_ = element_count(type.shape) == 0;
    // The plane: the innermost destination dimension, and the one the source is most contiguous in.
    while (dims.size() < 2) dims.insert(dims.begin(), Dim{1, 0, 0});
    col_ = dims.back();
    dims.pop_back();
    const auto row = std::min_element(dims.begin(), dims.end(), [](const Dim& a, const Dim& b) {
      return (a.from == 0 ? INT64_MAX : a.from) < (b.from == 0 ? INT64_MAX : b.from);
    });
    row_ = *row;
    dims.erase(row);
    outer_ = std::move(dims);
  }

  Status run(const RunCall& call) override {
    if (empty_) return {};
    switch (width_) {
      case 1:
        copy<uint8_t>(call);
        break;
      case 2:
        copy<uint16_t>(call);
        break;
      case 4:
        copy<uint32_t>(call);
        break;
      default:
        copy<uint64_t>(call);
    }
    return {};
  }

 private:
  template <class T>
  void copy(const RunCall& call) const {
    const T* from = call.in[0].as<T>();
    T* to = call.out[0].as<T>();
    int64_t planes = 1;
    for (const Dim& d : outer_) planes *= d.size;
    // Few planes: cut their rows instead, some at a time.
    const int64_t cuts = planes >= call.threads ? 1 : (row_.size + kCut - 1) / kCut;
    const int64_t small = planes * row_.size * col_.size;
    parallel_for(small < 16384 ? 1 : call.threads, planes * cuts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        int64_t rest = i / cuts, a = 0, b = 0;
        for (size_t d = outer_.size(); d-- > 0; rest /= outer_[d].size) {
          a += rest % outer_[d].size * outer_[d].from;
          b += rest % outer_[d].size * outer_[d].to;
        }
        Dim row = row_;
        const int64_t first = cuts == 1 ? 0 : i % cuts * kCut;
        if (cuts != 1) row.size = std::min(kCut, row_.size - first);
        copy_plane(from + a + first * row.from, to + b + first * row.to, row, col_);
      }
    });
  }

  int width_;
  bool empty_ = false;
  Dim row_, col_;
  std::vector<Dim> outer_;
};

}  // namespace

std::unique_ptr<Kernel> prepare_reorder(const TensorType& type, const LayoutPtr& from, const LayoutPtr& to) {
  if (auto blocked = onednn::prepare_blocked_reorder(type, from, to)) return blocked;
  return prepare_copy(type, strides_in(type.shape, from), strides_in(type.shape, to));
}

std::unique_ptr<Kernel> prepare_copy(const TensorType& type, const std::vector<int64_t>& from,
                                     const std::vector<int64_t>& to) {
  return std::make_unique<StridedCopy>(type, from, to);
}

}  // namespace npuport
