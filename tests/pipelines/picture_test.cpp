#include "pipelines/picture/picture.h"

#include <gtest/gtest.h>
#include <jpeglib.h>
#include <png.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>
#include <random>

#include "base/diag_codes.h"
#include "pipelines/picture/quality.h"
#include "pipelines/picture/resample.h"
#include "pipelines/picture/tiles.h"

namespace npuport {
namespace {

Picture noise(int width, int height, int channels, unsigned seed = 1) {
  Picture p{width, height, channels, {}, {}, {}};
  std::mt19937 random(seed);
  for (size_t i = 0; i < p.count() * static_cast<size_t>(channels); ++i)
    p.pixels.push_back(static_cast<uint8_t>(random() & 255));
  return p;
}

Picture smooth(int width, int height) {
  Picture p{width, height, 3, {}, {}, {}};
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c)
        p.pixels.push_back(static_cast<uint8_t>(127 + 100 * std::sin(0.07 * x + 0.05 * y * (c + 1))));
  return p;
}

// A PNG of any depth and colour type, written by libpng's own functions.
std::string png_of(int width, int height, int depth, int type, const std::vector<uint8_t>& rows, int interlace = 0) {
  char* data = nullptr;
  size_t size = 0;
  FILE* f = open_memstream(&data, &size);
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_init_io(png, f);
  png_set_IHDR(png, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height), depth, type, interlace, 0,
               0);
  if (type == PNG_COLOR_TYPE_PALETTE) {
    png_color colours[4] = {{255, 0, 0}, {0, 255, 0}, {0, 0, 255}, {9, 8, 7}};
    png_set_PLTE(png, info, colours, 4);
    png_byte alpha[2] = {255, 128};
    png_set_tRNS(png, info, alpha, 2, nullptr);
  }
  png_write_info(png, info);
  std::vector<png_bytep> at;
  const size_t stride = png_get_rowbytes(png, info);
  for (int y = 0; y < height; ++y) at.push_back(const_cast<png_bytep>(rows.data() + static_cast<size_t>(y) * stride));
  png_write_image(png, at.data());
  png_write_end(png, nullptr);
  png_destroy_write_struct(&png, &info);
  std::fclose(f);
  std::string out(data, size);
  std::free(data);
  return out;
}

std::string jpeg_of(int width, int height, int components, J_COLOR_SPACE space, const std::vector<uint8_t>& samples,
                    bool adobe) {
  jpeg_compress_struct c{};
  jpeg_error_mgr err{};
  c.err = jpeg_std_error(&err);
  jpeg_create_compress(&c);
  unsigned char* data = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&c, &data, &size);
  c.image_width = static_cast<JDIMENSION>(width);
  c.image_height = static_cast<JDIMENSION>(height);
  c.input_components = components;
  c.in_color_space = space;
  jpeg_set_defaults(&c);
  jpeg_set_quality(&c, 100, TRUE);
  c.write_Adobe_marker = adobe;
  jpeg_start_compress(&c, TRUE);
  while (c.next_scanline < c.image_height) {
    auto* row =
        const_cast<JSAMPROW>(samples.data() + size_t{c.next_scanline} * static_cast<size_t>(width * components));
    jpeg_write_scanlines(&c, &row, 1);
  }
  jpeg_finish_compress(&c);
  jpeg_destroy_compress(&c);
  std::string out(reinterpret_cast<char*>(data), size);
  std::free(data);
  return out;
}

TEST(Picture, PngRoundTripKeepsEveryByte) {
  for (const int channels : {1, 3})
    for (const bool alpha : {false, true}) {
      Picture p = noise(37, 21, channels);
      if (alpha) p.alpha = noise(37, 21, 1, 7).pixels;
      const auto bytes = encode_png(p);
      ASSERT_TRUE(bytes.ok());
      const auto back = parse_picture(*bytes, "p.png");
      ASSERT_TRUE(back.ok()) << to_text(back.error());
      EXPECT_EQ(back->channels, channels);
      EXPECT_EQ(back->pixels, p.pixels);
      EXPECT_EQ(back->alpha, p.alpha);
      EXPECT_EQ(*encode_png(p), *bytes) << "the same picture must give the same bytes";
    }
}

TEST(Picture, PngOfOtherKinds) {
  // 16 bits: big-endian, 0x80ff is nearer to 0x81 than to 0x80.
  auto p = parse_picture(png_of(2, 1, 16, PNG_COLOR_TYPE_GRAY, {0x80, 0xff, 0x01, 0x00}), "deep.png");
  ASSERT_TRUE(p.ok());
  EXPECT_EQ(p->pixels, (std::vector<uint8_t>{0x80, 1}));
  EXPECT_EQ(p->changes.size(), 1u);
  p = parse_picture(png_of(4, 1, 2, PNG_COLOR_TYPE_PALETTE, {0b00011011}), "palette.png");
  ASSERT_TRUE(p.ok());
  EXPECT_EQ(p->pixels, (std::vector<uint8_t>{255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7}));
  EXPECT_EQ(p->alpha, (std::vector<uint8_t>{255, 128, 255, 255}));
  p = parse_picture(png_of(8, 1, 1, PNG_COLOR_TYPE_GRAY, {0b10100001}), "bits.png");
  ASSERT_TRUE(p.ok());
  EXPECT_EQ(p->pixels, (std::vector<uint8_t>{255, 0, 255, 0, 0, 0, 0, 255}));
  const Picture n = noise(9, 7, 3);
  p = parse_picture(png_of(9, 7, 8, PNG_COLOR_TYPE_RGB, n.pixels, PNG_INTERLACE_ADAM7), "interlaced.png");
  ASSERT_TRUE(p.ok());
  EXPECT_EQ(p->pixels, n.pixels);
}

TEST(Picture, Jpeg) {
  const Picture p = smooth(64, 48);
  const auto bytes = encode_jpeg(p, 98);
  ASSERT_TRUE(bytes.ok());
  const auto back = parse_picture(*bytes, "p.jpg");
  ASSERT_TRUE(back.ok()) << to_text(back.error());
  EXPECT_GT(compare_pictures(p, *back)->psnr, 38);
  const Picture gray{4, 4, 1, std::vector<uint8_t>(16, 200), {}, {}};
  const auto g = parse_picture(*encode_jpeg(gray, 95), "g.jpg");
  ASSERT_TRUE(g.ok());
  EXPECT_EQ(g->channels, 1);
  EXPECT_NEAR(g->pixels[5], 200, 1);
}

TEST(Picture, CmykBecomesRgb) {
  // Plain CMYK: full cyan, no black = (0,255,255). Adobe's files store the inverse.
  for (const bool adobe : {false, true}) {
    std::vector<uint8_t> samples;
    for (int i = 0; i < 64; ++i)
      for (const int ink : {255, 0, 0, 0}) samples.push_back(static_cast<uint8_t>(adobe ? 255 - ink : ink));
    const auto p = parse_picture(jpeg_of(8, 8, 4, JCS_CMYK, samples, adobe), "cmyk.jpg");
    ASSERT_TRUE(p.ok()) << to_text(p.error());
    ASSERT_EQ(p->channels, 3);
    EXPECT_NEAR(p->pixels[0], 0, 3);
    EXPECT_NEAR(p->pixels[1], 255, 3);
    EXPECT_NEAR(p->pixels[2], 255, 3);
    EXPECT_EQ(p->changes.size(), 1u);
  }
}

TEST(Picture, ExifOrientationIsApplied) {
  // Left half dark, right half light; orientation 6 = turn by 90 degrees clockwise: dark half on top.
  Picture p{32, 16, 1, {}, {}, {}};
  for (int y = 0; y < 16; ++y)
    for (int x = 0; x < 32; ++x) p.pixels.push_back(x < 16 ? 0 : 255);
  std::string bytes = *encode_jpeg(p, 100);
  const std::string exif{
      "\xff\xe1\x00\x22"
      "Exif\0\0"
      "II\x2a\0\x08\0\0\0"
      "\x01\0"
      "\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"
      "\0\0\0\0",
      36};
  bytes.insert(2, exif);
  const auto turned = parse_picture(bytes, "turned.jpg");
  ASSERT_TRUE(turned.ok()) << to_text(turned.error());
  EXPECT_EQ(turned->width, 16);
  EXPECT_EQ(turned->height, 32);
  EXPECT_LT(turned->pixels[3], 20);
  EXPECT_GT(turned->pixels[16 * 31 + 3], 235);
}

TEST(Picture, BadFilesAreErrors) {
  EXPECT_EQ(read_picture("/nowhere/x.png").error().code, &diag::file_not_found);
  EXPECT_EQ(parse_picture("", "e").error().code, &diag::truncated);
  EXPECT_EQ(parse_picture("GIF89a", "e").error().code, &diag::unknown_format);
  const std::string png = *encode_png(noise(40, 40, 3)), jpeg = *encode_jpeg(smooth(64, 64), 95);
  for (const std::string* whole : {&png, &jpeg})
    for (size_t cut = 9; cut < whole->size(); cut += whole->size() / 23) {
      const auto p = parse_picture(whole->substr(0, cut), "cut");
      ASSERT_FALSE(p.ok()) << "cut at " << cut << " of " << whole->size();
      EXPECT_EQ(p.error().code->exit_code, 2);
    }
  // A header that promises 100000 x 100000 pixels is refused before anything is allocated.
  std::string huge = png_of(1, 1, 8, PNG_COLOR_TYPE_GRAY, {0});
  std::string ihdr = "IHDR";
  for (const int v : {0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0, 8, 0, 0, 0, 0}) ihdr += static_cast<char>(v);
  uint32_t crc = 0xffffffffu;
  for (const char c : ihdr) {
    crc ^= static_cast<uint8_t>(c);
    for (int k = 0; k < 8; ++k) crc = crc & 1 ? 0xedb88320u ^ (crc >> 1) : crc >> 1;
  }
  crc = ~crc;
  for (int k = 3; k >= 0; --k) ihdr += static_cast<char>(crc >> (8 * k) & 255);
  huge.replace(12, 21, ihdr);
  EXPECT_EQ(parse_picture(huge, "huge.png").error().code, &diag::too_large);
}

TEST(Picture, RandomDamageNeverCrashes) {
  std::mt19937 random(5);
  const std::string png = *encode_png(noise(16, 16, 3)), jpeg = *encode_jpeg(smooth(32, 32), 90);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes = i % 2 ? png : jpeg;
    for (int k = 0; k < 3; ++k) bytes[4 + random() % (bytes.size() - 4)] = static_cast<char>(random() & 255);
    const auto p = parse_picture(bytes, "damaged");
    if (p.ok()) {
      EXPECT_EQ(p->pixels.size(), p->count() * static_cast<size_t>(p->channels));
    }
  }
}

TEST(Picture, WritingByTheName) {
  const std::string folder = testing::TempDir() + "picture_" + std::to_string(getpid());
  std::filesystem::create_directory(folder);
  Picture p = noise(5, 5, 3);
  ASSERT_TRUE(write_picture(p, folder + "/a.PNG").ok());
  EXPECT_EQ(read_picture(folder + "/a.PNG")->pixels, p.pixels);
  ASSERT_TRUE(write_picture(p, folder + "/a.jpeg").ok());
  EXPECT_EQ(write_picture(p, folder + "/a.bmp").error().code, &diag::usage);
  p.alpha.assign(25, 255);
  EXPECT_EQ(write_picture(p, folder + "/b.jpg").error().code, &diag::usage);
  EXPECT_EQ(write_picture(p, folder + "/none/b.png").error().code, &diag::not_writable);
  std::filesystem::remove_all(folder);
}

TEST(Quality, KnownValues) {
  const Picture a = smooth(40, 30);
  Picture b = a;
  auto q = compare_pictures(a, b);
  ASSERT_TRUE(q.ok());
  EXPECT_EQ(q->psnr, std::numeric_limits<double>::infinity());
  EXPECT_DOUBLE_EQ(q->ssim, 1);
  for (uint8_t& v : b.pixels) v = static_cast<uint8_t>(v + 5);
  // Mean squared error 25: 10·log10(65025 / 25) = 34.1514 dB; luma moves by 5·219/255: 35.4730 dB.
  q = compare_pictures(a, b);
  EXPECT_NEAR(q->psnr, 34.1514, 1e-3);
  EXPECT_NEAR(q->psnr_y, 35.4730, 1e-3);
  EXPECT_LT(q->ssim, 1);
  EXPECT_GT(q->ssim, 0.98);
  EXPECT_LT(compare_pictures(a, noise(40, 30, 3))->ssim, 0.2);
  EXPECT_EQ(compare_pictures(a, smooth(41, 30)).error().code, &diag::shape_mismatch);
  EXPECT_EQ(compare_pictures(a, b, 15).error().code, &diag::shape_mismatch);
  // Only the border differs: without it the pictures are equal.
  Picture c = a;
  c.pixels[0] = static_cast<uint8_t>(c.pixels[0] ^ 255);
  EXPECT_LT(compare_pictures(a, c)->psnr, 100);
  EXPECT_EQ(compare_pictures(a, c, 1)->psnr, std::numeric_limits<double>::infinity());
}

TEST(Resample, KeepsConstantsAndLinearRampsInside) {
  const std::vector<float> flat(12, 7.0f);
  for (const float v : enlarge(flat, 4, 3, 3)) EXPECT_NEAR(v, 7, 1e-5);
  std::vector<float> ramp;
  for (int i = 0; i < 10; ++i) ramp.push_back(static_cast<float>(i));
  const auto large = enlarge(ramp, 10, 1, 2);
  ASSERT_EQ(large.size(), 40u);
  for (int i = 4; i < 16; ++i) EXPECT_NEAR(large[static_cast<size_t>(i)], (i + 0.5) / 2 - 0.5, 1e-5);
}

TEST(Tiles, EveryPixelOnceWithItsContext) {
  for (const int tile : {8, 17, 96})
    for (const int context : {0, 1, 3})
      for (const int step : {1, 2, 4})
        for (int length = 1; length < 300; ++length) {
          const auto spans = tile_axis(length, tile, context, step);
          if (length > tile && (length - tile) % step != 0) {
            EXPECT_FALSE(spans.ok());
            continue;
          }
          if (!spans.ok()) {
            EXPECT_LT((tile - 2 * context) / step, 1) << tile << " " << context << " " << step;
            continue;
          }
          int at = 0;
          for (const TileSpan& s : *spans) {
            ASSERT_EQ(s.begin, at);
            ASSERT_LT(s.begin, s.end);
            ASSERT_EQ(s.start % step, 0);
            ASSERT_TRUE(s.begin == 0 || s.begin - s.start >= context);
            ASSERT_TRUE(s.end == length || s.start + tile - s.end >= context);
            ASSERT_TRUE(length <= tile || s.start + tile <= length);
            at = s.end;
          }
          ASSERT_EQ(at, length);
        }
  EXPECT_EQ(tile_axis(100, 16, 8).error().code, &diag::shape_mismatch);
}

}  // namespace
}  // namespace npuport
