// Super-resolution: a picture through a ported network, tile by tile.
#pragma once

#include <functional>
#include <optional>

#include "pipelines/picture/picture.h"
#include "pipelines/picture/tiles.h"
#include "runtime/npuport_runtime.hpp"

namespace npuport {

struct UpscaleOptions {
  std::string part;            // empty: the port's only one
  std::string backend;         // empty: by the file
  rt::Options runtime;         // options of npuport_session_open
  std::optional<int> overlap;  // pixels of context around what a tile gives; default: what the network sees
};

struct Upscaled {
  Picture picture;
  int tiles = 0;
  double seconds = 0;               // everything between the two pictures
  std::vector<double> tile_millis;  // the network alone, one entry per tile
};

// An opened super-resolution port: input float32 [1, C, h, w], output float32 [1, C, s·h, s·w], C = 1 (luma) or 3
// (RGB).
class Upscaler {
 public:
  // `path`: a port's output folder or its *_metadata.json. Pixels v of 0…255 enter as (v - mean) · scale per channel
  // and come back as value / scale + mean; mean and scale are the metadata's (/task/mean, /task/scale; 0 and 1
  // without). Errors: those of the runtime; bad_input_data when the model is no such network.
  static Result<Upscaler> open(const std::string& path, const UpscaleOptions& options);

  // Results are rounded and clamped to 0…255. Pictures larger than the network's input go in tiles that overlap by
  // `context()`: no seams where that is at least what the network sees. Smaller ones are padded by their edge pixels.
  // Alpha, and the colours of a luma network, are enlarged bicubically. too_large when the result has more than
  // kMaxPixels. `progress` gets the share done, may be empty.
  Result<Upscaled> run(const Picture& picture, const std::function<void(double)>& progress = {});

  int factor() const { return factor_; }
  int tile_width() const { return static_cast<int>(width_); }
  int tile_height() const { return static_cast<int>(height_); }
  int channels() const { return static_cast<int>(channels_); }
  int context() const { return context_; }
  // True when tiles are known to join exactly: the context covers the network's receptive field.
  bool seamless() const { return seamless_; }
  std::string backend() const { return session_.backend(); }

 private:
  explicit Upscaler(rt::Session session) : session_(std::move(session)) {}
  Status read_interface(const std::string& path);
  Status read_numbers(const rt::Port& port, size_t part, const std::optional<int>& overlap);
  Status run_tile(const std::vector<uint8_t>& pixels, int width, int height, int x0, int y0, Upscaled& out);
  Status keep_tile(const TileSpan& across, const TileSpan& down, const Picture& small, Picture& large);

  rt::Session session_;
  int64_t channels_ = 0, height_ = 0, width_ = 0;
  int factor_ = 0, context_ = 0, step_ = 1;
  bool seamless_ = false;
  std::vector<float> mean_, scale_;
};

}  // namespace npuport
