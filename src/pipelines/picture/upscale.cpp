#include "pipelines/picture/upscale.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/diag_codes.h"
#include "base/json.h"
#include "pipelines/picture/resample.h"
#include "pipelines/picture/tiles.h"
#include "pipelines/runtime_error.h"

namespace npuport {
namespace {

using Clock = std::chrono::steady_clock;

double millis_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

std::string shape_text(const rt::TensorInfo& t) {
  std::string out = std::string(npuport_dtype_name(t.dtype)) + " [";
  for (size_t i = 0; i < t.shape.size(); ++i) out += (i ? "," : "") + std::to_string(t.shape[i]);
  return out + "]";
}

// Numbers of a metadata entry: one for all channels, or one per channel.
Result<std::vector<float>> per_channel(const rt::Port& port, const std::string& pointer, int64_t channels,
                                       float fallback) {
  const auto text = port.metadata(pointer);
  if (!text) return std::vector<float>(static_cast<size_t>(channels), fallback);
  NPU_ASSIGN(const Json j, parse_json(*text, pointer));
  std::vector<float> out;
  for (const Json& v : j.is_array() ? j : Json::array({j})) {
    if (!v.is_number() || !std::isfinite(v.get<double>()))
      return Diag(diag::corrupt, "the port's metadata " + pointer + " must be numbers");
    out.push_back(v.get<float>());
  }
  if (out.size() == 1) out.assign(static_cast<size_t>(channels), out[0]);
  if (out.size() != static_cast<size_t>(channels))
    return Diag(diag::corrupt, "the port's metadata " + pointer + " has " + std::to_string(out.size()) +
                                   " numbers for " + std::to_string(channels) + " channels");
  return out;
}

// JFIF: full-range BT.601.
constexpr float kLuma[3] = {0.299f, 0.587f, 0.114f};

uint8_t to_byte(float v) { return static_cast<uint8_t>(std::lround(std::clamp(v, 0.0f, 255.0f))); }

std::vector<uint8_t> gray_of(const Picture& p) {
  std::vector<uint8_t> out(p.count());
  for (size_t i = 0; i < out.size(); ++i) {
    const uint8_t* c = &p.pixels[3 * i];
    out[i] = to_byte(kLuma[0] * c[0] + kLuma[1] * c[1] + kLuma[2] * c[2]);
  }
  return out;
}

std::vector<uint8_t> repeated(const std::vector<uint8_t>& gray) {
  std::vector<uint8_t> out;
  out.reserve(3 * gray.size());
  for (const uint8_t v : gray) out.insert(out.end(), 3, v);
  return out;
}

// Puts the enlarged colour differences of `source` onto the new luma.
void colour(Picture& out, const Picture& source, int factor) {
  std::vector<float> rgb(3 * out.count());
  for (size_t k : {size_t{0}, size_t{2}}) {  // R - Y and B - Y; G follows from the three
    std::vector<float> difference(source.count());
    for (size_t i = 0; i < difference.size(); ++i) {
      const uint8_t* c = &source.pixels[3 * i];
      difference[i] = c[k] - (kLuma[0] * c[0] + kLuma[1] * c[1] + kLuma[2] * c[2]);
    }
    const std::vector<float> large = enlarge(difference, source.width, source.height, factor);
    for (size_t i = 0; i < large.size(); ++i) rgb[3 * i + k] = out.pixels[i] + large[i];
  }
  std::vector<uint8_t> pixels(3 * out.count());
  for (size_t i = 0; i < out.count(); ++i) {
    const float r = rgb[3 * i], b = rgb[3 * i + 2];
    pixels[3 * i] = to_byte(r);
    pixels[3 * i + 1] = to_byte((out.pixels[i] - kLuma[0] * r - kLuma[2] * b) / kLuma[1]);
    pixels[3 * i + 2] = to_byte(b);
  }
  out.channels = 3;
  out.pixels = std::move(pixels);
}

void enlarge_alpha(Picture& out, const Picture& source, int factor) {
  if (source.alpha.empty()) return;
  const std::vector<float> plane(source.alpha.begin(), source.alpha.end());
  for (const float v : enlarge(plane, source.width, source.height, factor)) out.alpha.push_back(to_byte(v));
}

}  // namespace

Status Upscaler::read_interface(const std::string& path) {
  const auto refuse = [&](const std::string& what) {
    return Diag(diag::bad_input_data, "'" + path + "' is no super-resolution model: " + what,
                "upscale takes float32 [1,C,h,w] and gives float32 [1,C,s*h,s*w], C = 1 or 3")
        .in_file(path);
  };
  if (session_.input_count() != 1 || session_.output_count() != 1)
    return refuse(std::to_string(session_.input_count()) + " inputs and " + std::to_string(session_.output_count()) +
                  " outputs");
  const rt::TensorInfo in = session_.input(0), out = session_.output(0);
  if (in.dtype != NPUPORT_F32 || in.shape.size() != 4 || in.shape[0] != 1 || (in.shape[1] != 1 && in.shape[1] != 3))
    return refuse("its input is " + shape_text(in));
  channels_ = in.shape[1];
  height_ = in.shape[2];
  width_ = in.shape[3];
  if (out.dtype != NPUPORT_F32 || out.shape.size() != 4 || out.shape[1] != channels_ || out.shape[2] % height_ != 0 ||
      out.shape[2] / height_ != out.shape[3] / width_ || out.shape[3] % width_ != 0 || out.shape[2] < height_)
    return refuse("from " + shape_text(in) + " it makes " + shape_text(out));
  factor_ = static_cast<int>(out.shape[2] / height_);
  return {};
}

Status Upscaler::read_numbers(const rt::Port& port, size_t part, const std::optional<int>& overlap) {
  NPU_ASSIGN(mean_, per_channel(port, "/task/mean", channels_, 0));
  NPU_ASSIGN(scale_, per_channel(port, "/task/scale", channels_, 1));
  if (std::find(scale_.begin(), scale_.end(), 0.0f) != scale_.end())
    return Diag(diag::corrupt, "the port's metadata /task/scale holds a zero");
  const auto field = port.metadata("/parts/" + std::to_string(part) + "/receptive_field");
  // Without a known field (attention, global pooling) nothing can join exactly: an eighth of the tile hides most of it.
  context_ = static_cast<int>(std::min(height_, width_) / 8);
  std::optional<int> seen;
  if (field) {
    NPU_ASSIGN(const Json j, parse_json(*field, "receptive_field"));
    if (!j.is_object() || !j.value("radius", Json()).is_number_unsigned() ||
        !j.value("step", Json()).is_number_unsigned())
      return Diag(diag::corrupt, "the port's metadata receptive_field must hold radius and step");
    seen = static_cast<int>(std::min<uint64_t>(j["radius"].get<uint64_t>(), 1u << 20));
    step_ = static_cast<int>(std::clamp<uint64_t>(j["step"].get<uint64_t>(), 1, 1u << 20));
    // A tile narrower than the field still has to move on by a quarter of itself.
    context_ = std::min(*seen, static_cast<int>(std::min(height_, width_) * 3 / 8));
  }
  if (overlap) {
    if (*overlap < 0 || 2 * *overlap >= std::min(height_, width_))
      return Diag(diag::usage,
                  "--overlap " + std::to_string(*overlap) + " does not fit into tiles of " + std::to_string(width_) +
                      "x" + std::to_string(height_),
                  "give less than half the tile");
    context_ = *overlap;
  }
  seamless_ = seen && context_ >= *seen;
  return {};
}

Result<Upscaler> Upscaler::open(const std::string& path, const UpscaleOptions& options) {
  auto port = rt::Port::open(path);
  if (!port) return diag_of(port.error());
  const std::string kind = port->metadata("/task/kind").value_or("");
  if (kind == "asr")
    return Diag(diag::bad_input_data, "'" + path + "' is a port of a speech model", "use `npuport transcribe`")
        .in_file(path);
  auto session = port->open_part(options.part, options.backend, options.runtime);
  if (!session) return diag_of(session.error());
  Upscaler u(std::move(*session));
  NPU_TRY(u.read_interface(path));
  const std::vector<std::string> parts = port->parts();
  const auto at = std::find(parts.begin(), parts.end(), options.part);
  NPU_TRY(u.read_numbers(*port, at == parts.end() ? 0 : static_cast<size_t>(at - parts.begin()), options.overlap));
  return u;
}

// The tile's pixels into the network's input: NCHW, edge pixels repeated outside the picture.
Status Upscaler::run_tile(const std::vector<uint8_t>& pixels, int width, int height, int x0, int y0, Upscaled& out) {
  auto input = session_.input_values<float>(0);
  if (!input) return diag_of(input.error());
  const auto channels = static_cast<size_t>(channels_);
  float* to = input->data();
  for (size_t c = 0; c < channels; ++c)
    for (int y = 0; y < height_; ++y) {
      const uint8_t* row =
          &pixels[static_cast<size_t>(std::min(y0 + y, height - 1)) * static_cast<size_t>(width) * channels];
      for (int x = 0; x < width_; ++x) {
        const float v = row[static_cast<size_t>(std::min(x0 + x, width - 1)) * channels + c];
        *to++ = (v - mean_[c]) * scale_[c];
      }
    }
  const auto start = Clock::now();
  if (auto ran = session_.run(); !ran) return diag_of(ran.error());
  out.tile_millis.push_back(millis_since(start));
  ++out.tiles;
  return {};
}

// The part of the last result that counts, as bytes of the large picture.
Status Upscaler::keep_tile(const TileSpan& across, const TileSpan& down, const Picture& small, Picture& large) {
  auto result = session_.output_values<float>(0);
  if (!result) return diag_of(result.error());
  const int x_end = std::min(across.end, small.width) * factor_, y_end = std::min(down.end, small.height) * factor_;
  const auto wide = static_cast<size_t>(width_ * factor_), plane = wide * static_cast<size_t>(height_ * factor_);
  const auto channels = static_cast<size_t>(channels_);
  for (size_t k = 0; k < channels; ++k)
    for (int y = down.begin * factor_; y < y_end; ++y) {
      const float* from = result->data() + k * plane + static_cast<size_t>(y - down.start * factor_) * wide;
      uint8_t* to = &large.pixels[static_cast<size_t>(y) * static_cast<size_t>(large.width) * channels + k];
      for (int x = across.begin * factor_; x < x_end; ++x) {
        const float v = from[x - across.start * factor_] / scale_[k] + mean_[k];
        if (!std::isfinite(v))
          return Diag(diag::gate_failed,
                      "the network gave NaN or infinity in the tile at " + std::to_string(across.start) + "," +
                          std::to_string(down.start),
                      "check the port's gates");
        to[static_cast<size_t>(x) * channels] = to_byte(v);
      }
    }
  return {};
}

Result<Upscaled> Upscaler::run(const Picture& picture, const std::function<void(double)>& progress) {
  const auto start = Clock::now();
  Upscaled out;
  Picture& p = out.picture;
  if (static_cast<int64_t>(picture.count()) * factor_ * factor_ > kMaxPixels)
    return Diag(diag::too_large, "the enlarged picture would have more than " + std::to_string(kMaxPixels) + " pixels",
                "cut it into pieces first");
  p.width = picture.width * factor_;
  p.height = picture.height * factor_;
  p.channels = static_cast<int>(channels_);
  p.pixels.resize(p.count() * static_cast<size_t>(channels_));
  const bool to_gray = channels_ == 1 && picture.channels == 3, to_rgb = channels_ == 3 && picture.channels == 1;
  std::vector<uint8_t> converted;
  if (to_gray) converted = gray_of(picture);
  if (to_rgb) converted = repeated(picture.pixels);
  const std::vector<uint8_t>& pixels = converted.empty() ? picture.pixels : converted;

  // With a stride the last tile may stand out over the edge; its surplus is padding.
  const auto rounded = [&](int length, int64_t tile) {
    const int over = static_cast<int>((length - tile) % step_);
    return length > tile && over ? length + step_ - over : length;
  };
  NPU_ASSIGN(const auto columns, tile_axis(rounded(picture.width, width_), static_cast<int>(width_), context_, step_));
  NPU_ASSIGN(const auto rows, tile_axis(rounded(picture.height, height_), static_cast<int>(height_), context_, step_));
  const size_t all = rows.size() * columns.size();
  for (const TileSpan& r : rows)
    for (const TileSpan& c : columns) {
      NPU_TRY(run_tile(pixels, picture.width, picture.height, c.start, r.start, out));
      NPU_TRY(keep_tile(c, r, picture, p));
      if (progress) progress(static_cast<double>(out.tiles) / static_cast<double>(all));
    }
  if (to_gray) colour(p, picture, factor_);
  enlarge_alpha(p, picture, factor_);
  out.seconds = millis_since(start) / 1000;
  return out;
}

}  // namespace npuport
