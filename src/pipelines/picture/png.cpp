#include <png.h>

#include <csetjmp>
#include <cstring>

#include "base/diag_codes.h"
#include "pipelines/picture/picture.h"

namespace npuport {
namespace {

struct Source {
  const std::string* bytes;
  size_t at = 0;
};

// What libpng's error callback leaves behind before it jumps.
struct Failure {
  char text[200] = {};
};

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  auto* f = static_cast<Failure*>(png_get_error_ptr(png));
  std::strncpy(f->text, message, sizeof f->text - 1);
  std::longjmp(png_jmpbuf(png), 1);
}
void on_warning(png_structp, png_const_charp) {}

void read_bytes(png_structp png, png_bytep out, size_t count) {
  auto* s = static_cast<Source*>(png_get_io_ptr(png));
  if (count > s->bytes->size() - s->at) png_error(png, "the file ends too early");
  std::memcpy(out, s->bytes->data() + s->at, count);
  s->at += count;
}

void write_bytes(png_structp png, png_bytep data, size_t count) {
  static_cast<std::string*>(png_get_io_ptr(png))->append(reinterpret_cast<const char*>(data), count);
}
void no_flush(png_structp) {}

// Everything that lives across libpng's jumps, outside of the functions that call setjmp.
struct Reader {
  Failure failure;
  Source source;
  png_structp png = nullptr;
  png_infop info = nullptr;
  png_uint_32 width = 0, height = 0;
  int depth = 0, colour = 0, channels = 0;
  bool has_alpha = false, too_large = false;
  std::vector<uint8_t> samples;
  std::vector<png_bytep> rows;

  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
};

void set_transforms(Reader& r) {
  if (r.colour == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(r.png);
  if (r.colour == PNG_COLOR_TYPE_GRAY && r.depth < 8) png_set_expand_gray_1_2_4_to_8(r.png);
  if (png_get_valid(r.png, r.info, PNG_INFO_tRNS)) png_set_tRNS_to_alpha(r.png);
  if (r.depth == 16) png_set_scale_16(r.png);
  png_set_interlace_handling(r.png);
  png_read_update_info(r.png, r.info);
  r.channels = png_get_channels(r.png, r.info);
  r.has_alpha = r.channels == 2 || r.channels == 4;
}

// False when libpng jumped out; the text is in r.failure.
bool decode(Reader& r) {
  if (setjmp(png_jmpbuf(r.png))) return false;
  png_set_user_limits(r.png, 1u << 24, 1u << 24);
  png_set_read_fn(r.png, &r.source, read_bytes);
  png_read_info(r.png, r.info);
  png_get_IHDR(r.png, r.info, &r.width, &r.height, &r.depth, &r.colour, nullptr, nullptr, nullptr);
  if (int64_t{r.width} * int64_t{r.height} > kMaxPixels) {
    r.too_large = true;
    return false;
  }
  set_transforms(r);
  const size_t stride = png_get_rowbytes(r.png, r.info);
  r.samples.resize(stride * r.height);
  r.rows.resize(r.height);
  for (size_t y = 0; y < r.height; ++y) r.rows[y] = r.samples.data() + y * stride;
  png_read_image(r.png, r.rows.data());
  png_read_end(r.png, nullptr);
  return true;
}

Picture picture_of(const Reader& r) {
  Picture p;
  p.width = static_cast<int>(r.width);
  p.height = static_cast<int>(r.height);
  p.channels = r.channels >= 3 ? 3 : 1;
  if (r.depth == 16) p.changes.emplace_back("16 bits per sample were rounded to 8");
  if (!r.has_alpha) {
    p.pixels = r.samples;
    return p;
  }
  p.pixels.reserve(p.count() * static_cast<size_t>(p.channels));
  p.alpha.reserve(p.count());
  for (size_t i = 0; i < r.samples.size(); i += static_cast<size_t>(r.channels)) {
    p.pixels.insert(p.pixels.end(), r.samples.begin() + static_cast<std::ptrdiff_t>(i),
                    r.samples.begin() + static_cast<std::ptrdiff_t>(i) + p.channels);
    p.alpha.push_back(r.samples[i + static_cast<size_t>(p.channels)]);
  }
  return p;
}

struct Writer {
  Failure failure;
  std::string out;
  png_structp png = nullptr;
  png_infop info = nullptr;
  ~Writer() { png_destroy_write_struct(&png, &info); }
};

bool encode(Writer& w, const Picture& p, const std::vector<uint8_t>& samples, int channels) {
  if (setjmp(png_jmpbuf(w.png))) return false;
  png_set_write_fn(w.png, &w.out, write_bytes, no_flush);
  const int types[] = {PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_RGB_ALPHA};
  png_set_IHDR(w.png, w.info, static_cast<png_uint_32>(p.width), static_cast<png_uint_32>(p.height), 8,
               types[channels - 1], PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(w.png, w.info);
  const size_t stride = static_cast<size_t>(p.width) * static_cast<size_t>(channels);
  for (size_t y = 0; y < static_cast<size_t>(p.height); ++y) png_write_row(w.png, samples.data() + y * stride);
  png_write_end(w.png, w.info);
  return true;
}

}  // namespace

Result<Picture> parse_png(const std::string& bytes, const std::string& name) {
  Reader r;
  r.source.bytes = &bytes;
  r.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &r.failure, on_error, on_warning);
  r.info = r.png ? png_create_info_struct(r.png) : nullptr;
  if (!r.info) return Diag(diag::internal, "libpng could not be set up");
  if (!decode(r)) {
    if (r.too_large)
      return Diag(diag::too_large,
                  "'" + name + "' has " + std::to_string(r.width) + "x" + std::to_string(r.height) +
                      " pixels, more than " + std::to_string(kMaxPixels),
                  "cut it into pieces first")
          .in_file(name);
    return Diag(diag::corrupt, "'" + name + "' is a damaged PNG: " + r.failure.text, "save the picture again")
        .in_file(name);
  }
  return picture_of(r);
}

Result<std::string> encode_png(const Picture& p) {
  Writer w;
  w.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &w.failure, on_error, on_warning);
  w.info = w.png ? png_create_info_struct(w.png) : nullptr;
  if (!w.info) return Diag(diag::internal, "libpng could not be set up");
  std::vector<uint8_t> mixed;
  int channels = p.channels;
  if (!p.alpha.empty()) {
    for (size_t i = 0; i < p.count(); ++i) {
      for (int k = 0; k < p.channels; ++k)
        mixed.push_back(p.pixels[i * static_cast<size_t>(p.channels) + static_cast<size_t>(k)]);
      mixed.push_back(p.alpha[i]);
    }
    ++channels;
  }
  if (!encode(w, p, p.alpha.empty() ? p.pixels : mixed, channels))
    return Diag(diag::internal, std::string("libpng: ") + w.failure.text);
  return std::move(w.out);
}

}  // namespace npuport
