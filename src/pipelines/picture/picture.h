// Pictures in memory and on disk: PNG by libpng, JPEG by libjpeg.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace npuport {

// 8 bits a sample, rows from the top, samples interleaved.
struct Picture {
  int width = 0, height = 0;
  int channels = 3;             // 1 gray, 3 RGB
  std::vector<uint8_t> pixels;  // height · width · channels
  std::vector<uint8_t> alpha;   // height · width, empty when the picture is opaque
  // What reading changed: "16 bits per sample were rounded to 8", "CMYK was turned into RGB"; empty = nothing.
  std::vector<std::string> changes;

  size_t count() const { return static_cast<size_t>(width) * static_cast<size_t>(height); }
};

// Above this many pixels a picture is refused before anything is allocated (too_large).
inline constexpr int64_t kMaxPixels = int64_t{1} << 28;

// By the first bytes, not by the name. Palettes and gray below 8 bits are expanded, 16-bit samples rounded, CMYK and
// YCCK turned into RGB, alpha kept apart, the EXIF orientation of a JPEG applied. Errors: file_not_found, not_readable,
// unknown_format, corrupt, truncated, too_large.
Result<Picture> read_picture(const std::string& path);
// The same from bytes; `name` is for messages.
Result<Picture> parse_picture(const std::string& bytes, const std::string& name);

// The format follows the suffix: .png, .jpg, .jpeg (quality 1…100; no alpha: usage when the picture has some). Written
// aside and renamed. Errors: usage for other suffixes, not_writable.
Status write_picture(const Picture& picture, const std::string& path, int quality = 95);

// What follows the last dot, in small letters; empty without one.
std::string picture_suffix(const std::string& path);

// Rows of the formats, for `read_picture` and `write_picture`.
Result<Picture> parse_png(const std::string& bytes, const std::string& name);
Result<Picture> parse_jpeg(const std::string& bytes, const std::string& name);
Result<std::string> encode_png(const Picture& picture);
Result<std::string> encode_jpeg(const Picture& picture, int quality);

}  // namespace npuport
