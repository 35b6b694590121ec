#include "exec/onednn_upsample.h"

#include <algorithm>
#include <cstring>

#include "base/diag_codes.h"
#include "exec/parallel.h"

namespace npuport::onednn {

namespace {

using dnnl::memory;
using MatmulPd = dnnl::matmul::primitive_desc;

// Floats of the product that one piece computes before they are copied: small enough to still lie in the cache.
constexpr int64_t kPieceFloats = 65536;
constexpr int64_t kAlign = 64;

memory::desc matrix(int64_t rows, int64_t cols, int64_t row_step, int64_t col_step) {
  return {{rows, cols}, memory::data_type::f32, memory::dims{row_step, col_step}};
}

class UpsampleKernel : public Kernel {
 public:
  UpsampleKernel(const Upsampling& u, int64_t piece, const MatmulPd& pd, memory weights, memory bias, int threads)
      : u_(u),
        piece_(piece),
        pixels_(u.images * u.height * u.width),
        columns_(u.tile_h * u.tile_w * u.out_channels),
        threads_(threads),
        pd_(pd),
        product_(pd),
        weights_(std::move(weights)),
        bias_(std::move(bias)) {
    const auto whole = [](int64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; };
    result_bytes_ = whole(piece_ * columns_ * static_cast<int64_t>(sizeof(float)));
    part_bytes_ = result_bytes_ + whole(static_cast<int64_t>(pd.scratchpad_desc().get_size()));
    scratch_bytes = threads_ * part_bytes_;
    name = std::string("onednn ") + pd.impl_info_str() + " and tiles";
  }

  Status run(const RunCall& call) override {
    const int parts = std::min(call.threads, threads_);
    const int64_t pieces = (pixels_ + piece_ - 1) / piece_;
    std::vector<std::string> failures(static_cast<size_t>(parts));
    parallel_for(parts, parts, 1, [&](int64_t begin, int64_t end) {
      const ThreadCount one(1);
      for (int64_t part = begin; part < end; ++part) {
        try {
          for (int64_t k = pieces * part / parts; k < pieces * (part + 1) / parts; ++k) {
            run_piece(call, k * piece_, call.scratch + part * part_bytes_);
          }
        } catch (const dnnl::error& e) {
          failures[static_cast<size_t>(part)] = e.what();
        }
      }
    });
    for (const std::string& f : failures) {
      if (!f.empty()) return Diag(diag::internal, "oneDNN failed: " + f);
    }
    return {};
  }

 private:
  // Pixels from `first` on. The last piece starts earlier, so that all have one size, and copies only what is new.
  void run_piece(const RunCall& call, int64_t first, std::byte* work) const {
    const int64_t start = std::min(first, pixels_ - piece_);
    const float* x = call.in[0].as<float>() + start * (u_.pixels_inner ? 1 : u_.channels);
    std::unordered_map<int, memory> args = {
        {DNNL_ARG_SRC, memory(pd_.src_desc(), engine(), const_cast<float*>(x))},
        {DNNL_ARG_WEIGHTS, weights_},
        {DNNL_ARG_DST, memory(pd_.dst_desc(), engine(), work)},
        {DNNL_ARG_SCRATCHPAD, memory(pd_.scratchpad_desc(), engine(), work + result_bytes_)}};
    if (bias_) args.insert_or_assign(DNNL_ARG_BIAS, bias_);
    product_.execute(stream(), args);
    stream().wait();
    const auto* rows = reinterpret_cast<const float*>(work) + (first - start) * columns_;
    copy_tiles(rows, first, std::min(first + piece_, pixels_), call.out[0].as<float>());
  }

  // `rows`: the tiles [tile_h][tile_w][out_channels] of pixels [first, last).
  void copy_tiles(const float* rows, int64_t first, int64_t last, float* y) const {
    const int64_t run = u_.tile_w * u_.out_channels, line_size = u_.width * run;
    for (int64_t p = first; p < last;) {
      const int64_t line = p / u_.width, column = p % u_.width;
      const int64_t count = std::min(last - p, u_.width - column);
      for (int64_t i = 0; i < u_.tile_h; ++i) {
        const float* from = rows + (p - first) * columns_ + i * run;
        float* to = y + (line * u_.tile_h + i) * line_size + column * run;
        for (int64_t k = 0; k < count; ++k) {
          std::memcpy(to + k * run, from + k * columns_, static_cast<size_t>(run) * sizeof(float));
        }
      }
      p += count;
    }
  }

  Upsampling u_;
  int64_t piece_, pixels_, columns_;
  int threads_;
  int64_t result_bytes_ = 0, part_bytes_ = 0;
  MatmulPd pd_;
  dnnl::matmul product_;
  memory weights_, bias_;
};

// Equal pieces of about kPieceFloats; never chosen by the number of threads.
int64_t piece_of(int64_t pixels, int64_t columns) {
  const int64_t most = std::clamp<int64_t>(kPieceFloats / columns, 16, 1024);
  const int64_t pieces = (pixels + most - 1) / most;
  return (pixels + pieces - 1) / pieces;
}

}  // namespace

std::unique_ptr<Kernel> upsample_by_product(const Upsampling& u, const memory& weights, const float* bias,
                                            const dnnl::primitive_attr& attr, int threads) {
  const int64_t pixels = u.images * u.height * u.width, tile = u.tile_h * u.tile_w, columns = tile * u.out_channels;
  const int64_t piece = piece_of(pixels, columns);
  const memory::desc a =
      u.pixels_inner ? matrix(piece, u.channels, 1, pixels) : matrix(piece, u.channels, u.channels, 1);
  const memory::desc c = matrix(piece, columns, columns, 1), row = matrix(1, columns, columns, 1);
  const memory::desc packed({u.channels, columns}, memory::data_type::f32, memory::format_tag::any);
  const ThreadCount one(1);  // each piece belongs to one thread
  try {
    const MatmulPd pd(bias ? dnnl::matmul::desc(a, packed, row, c) : dnnl::matmul::desc(a, packed, c), attr, engine());
    if (std::string_view(pd.impl_info_str()).find("ref") != std::string_view::npos) return nullptr;
    memory repeated;
    if (bias) {
      repeated = memory(row, engine());
      for (int64_t t = 0; t < tile; ++t) {
        std::copy_n(bias, u.out_channels, static_cast<float*>(repeated.get_data_handle()) + t * u.out_channels);
      }
    }
    return std::make_unique<UpsampleKernel>(
        u, piece, pd, pack(weights.get_data_handle(), matrix(u.channels, columns, columns, 1), pd.weights_desc()),
        std::move(repeated), std::max(threads, 1));
  } catch (const dnnl::error&) {
    return nullptr;  // not on this machine, or not with these post-ops
  }
}

}  // namespace npuport::onednn
