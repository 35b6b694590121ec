#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/diag_codes.h"
#include "pipelines/picture/picture.h"

// jpeglib.h needs <cstdio> before it.
#include <jpeglib.h>

namespace npuport {
namespace {

struct Failure {
  jpeg_error_mgr base;
  std::jmp_buf jump;
  char text[JMSG_LENGTH_MAX] = {};
};

[[noreturn]] void on_error(j_common_ptr c) {
  auto* f = reinterpret_cast<Failure*>(c->err);
  (*c->err->format_message)(c, f->text);
  std::longjmp(f->jump, 1);
}
void on_message(j_common_ptr) {}

struct Reader {
  Failure failure;
  jpeg_decompress_struct jpeg{};
  bool made = false, too_large = false;
  std::vector<uint8_t> samples;
  int components = 0;
  bool adobe = false;
  int orientation = 1;
  int64_t warnings = 0;
  ~Reader() {
    if (made) jpeg_destroy_decompress(&jpeg);
  }
};

// Tag 0x0112 of the first image directory (Exif 2.3, section 4.6.4); 1 where there is none.
int exif_orientation(const uint8_t* d, size_t n) {
  if (n < 14 || std::memcmp(d, "Exif\0\0", 6) != 0) return 1;
  const uint8_t* t = d + 6;
  const size_t size = n - 6;
  const bool little = t[0] == 'I';
  const auto u16 = [&](size_t at) {
    return at + 2 <= size ? (little ? t[at] | t[at + 1] << 8 : t[at] << 8 | t[at + 1]) : 0;
  };
  const auto u32 = [&](size_t at) {
    return little ? static_cast<uint32_t>(u16(at)) | static_cast<uint32_t>(u16(at + 2)) << 16
                  : static_cast<uint32_t>(u16(at)) << 16 | static_cast<uint32_t>(u16(at + 2));
  };
  const size_t ifd = u32(4);
  const int entries = u16(ifd);
  for (int i = 0; i < entries; ++i) {
    const size_t at = ifd + 2 + static_cast<size_t>(i) * 12;
    if (at + 12 > size) break;
    if (u16(at) == 0x0112) {
      const int v = u16(at + 8);
      return v >= 1 && v <= 8 ? v : 1;
    }
  }
  return 1;
}

bool decode(Reader& r, const std::string& bytes) {
  r.jpeg.err = jpeg_std_error(&r.failure.base);
  r.failure.base.error_exit = on_error;
  r.failure.base.output_message = on_message;
  if (setjmp(r.failure.jump)) return false;
  jpeg_create_decompress(&r.jpeg);
  r.made = true;
  jpeg_mem_src(&r.jpeg, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_save_markers(&r.jpeg, JPEG_APP0 + 1, 0xffff);
  jpeg_read_header(&r.jpeg, TRUE);
  if (int64_t{r.jpeg.image_width} * int64_t{r.jpeg.image_height} > kMaxPixels) {
    r.too_large = true;
    return false;
  }
  for (jpeg_saved_marker_ptr m = r.jpeg.marker_list; m; m = m->next)
    if (r.orientation == 1) r.orientation = exif_orientation(m->data, m->data_length);
  const bool four = r.jpeg.num_components == 4;
  if (four) r.jpeg.out_color_space = JCS_CMYK;
  r.adobe = r.jpeg.saw_Adobe_marker != 0;
  jpeg_start_decompress(&r.jpeg);
  r.components = r.jpeg.output_components;
  const size_t stride = static_cast<size_t>(r.jpeg.output_width) * static_cast<size_t>(r.components);
  r.samples.resize(stride * r.jpeg.output_height);
  while (r.jpeg.output_scanline < r.jpeg.output_height) {
    JSAMPROW row = r.samples.data() + stride * r.jpeg.output_scanline;
    jpeg_read_scanlines(&r.jpeg, &row, 1);
  }
  jpeg_finish_decompress(&r.jpeg);
  r.warnings = r.failure.base.num_warnings;
  return true;
}

// Without colour profiles: R = (1 − C)(1 − K) and so on. Adobe's files hold inverted values.
std::vector<uint8_t> rgb_of_cmyk(const std::vector<uint8_t>& in, bool inverted) {
  std::vector<uint8_t> out(in.size() / 4 * 3);
  for (size_t i = 0; i < in.size() / 4; ++i) {
    const auto ink = [&](size_t k) { return inverted ? in[4 * i + k] : 255 - in[4 * i + k]; };
    for (size_t k = 0; k < 3; ++k) out[3 * i + k] = static_cast<uint8_t>((ink(k) * ink(3) + 127) / 255);
  }
  return out;
}

// The picture as the camera's owner saw it: orientations 2 to 8 mirror, turn or swap.
void orient(Picture& p, int orientation) {
  if (orientation == 1) return;
  const bool swap = orientation >= 5;
  Picture out = p;
  if (swap) std::swap(out.width, out.height);
  const auto n = static_cast<size_t>(p.channels);
  for (int y = 0; y < out.height; ++y)
    for (int x = 0; x < out.width; ++x) {
      int sx = swap ? y : x, sy = swap ? x : y;
      if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8) sx = p.width - 1 - sx;
      if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7) sy = p.height - 1 - sy;
      const size_t to = static_cast<size_t>(y) * static_cast<size_t>(out.width) + static_cast<size_t>(x);
      const size_t from = static_cast<size_t>(sy) * static_cast<size_t>(p.width) + static_cast<size_t>(sx);
      std::memcpy(&out.pixels[to * n], &p.pixels[from * n], n);
    }
  out.changes.emplace_back("turned as its EXIF orientation says");
  p = std::move(out);
}

bool encode(const Picture& p, int quality, Failure& failure, unsigned char*& out, unsigned long& bytes) {
  jpeg_compress_struct jpeg{};
  jpeg.err = jpeg_std_error(&failure.base);
  failure.base.error_exit = on_error;
  failure.base.output_message = on_message;
  if (setjmp(failure.jump)) {
    jpeg_destroy_compress(&jpeg);
    return false;
  }
  jpeg_create_compress(&jpeg);
  jpeg_mem_dest(&jpeg, &out, &bytes);
  jpeg.image_width = static_cast<JDIMENSION>(p.width);
  jpeg.image_height = static_cast<JDIMENSION>(p.height);
  jpeg.input_components = p.channels;
  jpeg.in_color_space = p.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, quality, TRUE);
  jpeg_start_compress(&jpeg, TRUE);
  const size_t stride = static_cast<size_t>(p.width) * static_cast<size_t>(p.channels);
  while (jpeg.next_scanline < jpeg.image_height) {
    auto* row = const_cast<JSAMPROW>(p.pixels.data() + stride * jpeg.next_scanline);
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  return true;
}

}  // namespace

Result<Picture> parse_jpeg(const std::string& bytes, const std::string& name) {
  Reader r;
  if (!decode(r, bytes)) {
    if (r.too_large)
      return Diag(diag::too_large, "'" + name + "' has more than " + std::to_string(kMaxPixels) + " pixels",
                  "cut it into pieces first")
          .in_file(name);
    return Diag(diag::corrupt, "'" + name + "' is a damaged JPEG: " + r.failure.text, "save the picture again")
        .in_file(name);
  }
  // libjpeg fills missing data with gray and only warns.
  if (r.warnings > 0)
    return Diag(diag::truncated, "'" + name + "' is a JPEG with missing or damaged data", "save the picture again")
        .in_file(name);
  Picture p;
  p.width = static_cast<int>(r.jpeg.output_width);
  p.height = static_cast<int>(r.jpeg.output_height);
  p.channels = r.components == 1 ? 1 : 3;
  p.pixels = r.components == 4 ? rgb_of_cmyk(r.samples, r.adobe) : std::move(r.samples);
  if (r.components == 4) p.changes.emplace_back("CMYK was turned into RGB without colour profiles");
  orient(p, r.orientation);
  return p;
}

Result<std::string> encode_jpeg(const Picture& p, int quality) {
  Failure failure;
  unsigned char* data = nullptr;
  unsigned long bytes = 0;
  const bool ok = encode(p, quality, failure, data, bytes);
  std::string out(reinterpret_cast<const char*>(data), ok ? bytes : 0);
  std::free(data);
  if (!ok) return Diag(diag::internal, std::string("libjpeg: ") + failure.text);
  return out;
}

}  // namespace npuport
