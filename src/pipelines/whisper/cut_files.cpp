#include "pipelines/whisper/cut_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <optional>

#include "base/diag_codes.h"

namespace npuport::whisper {
namespace {

constexpr const char* kCutHint = "get the whole file, or convert what is left of it";

uint32_t little_endian(const char* p) {
  uint32_t v = 0;
  for (int i = 3; i >= 0; --i) v = v << 8 | static_cast<unsigned char>(p[i]);
  return v;
}

uint32_t big_endian(const char* p) {
  uint32_t v = 0;
  for (int i = 0; i < 4; ++i) v = v << 8 | static_cast<unsigned char>(p[i]);
  return v;
}

// Small pieces of a file, read in order through one buffer.
class Pieces {
 public:
  explicit Pieces(const std::string& path) : in_(path, std::ios::binary | std::ios::ate) {
    if (in_) size_ = static_cast<uint64_t>(std::max<std::streamoff>(0, in_.tellg()));
  }
  uint64_t size() const { return size_; }
  // `count` (≤ 4096) bytes at `at`; nullptr when the file ends before.
  const char* get(uint64_t at, size_t count) {
    if (at > size_ || count > size_ - at) return nullptr;
    if (at < from_ || at + count > from_ + have_) {
      in_.clear();
      in_.seekg(static_cast<std::streamoff>(at));
      in_.read(buffer_.data(), static_cast<std::streamsize>(buffer_.size()));
      from_ = at;
      have_ = static_cast<size_t>(in_.gcount());
      if (have_ < count) return nullptr;
    }
    return buffer_.data() + (at - from_);
  }

 private:
  std::ifstream in_;
  uint64_t size_ = 0, from_ = 0;
  size_t have_ = 0;
  std::array<char, 1 << 14> buffer_{};
};

// Sizes that a recorder never came to fill in (about 2 or 4 GB) promise nothing.
Status check_wav(Pieces& file, const std::string& path) {
  double bytes_per_second = 0;
  uint64_t at = 12;
  for (int chunks = 0; chunks < 1000; ++chunks) {
    const char* head = file.get(at, 8);
    if (!head) return {};
    const uint64_t length = little_endian(head + 4);
    const bool data = std::memcmp(head, "data", 4) == 0, format = std::memcmp(head, "fmt ", 4) == 0;
    at += 8;
    if (data) {
      const bool filled_in = length < 0x7FFFF000U;
      const bool between = length > 0x80000FFFU && length < 0xFFFFF000U;
      if (bytes_per_second > 0 && (filled_in || between) && length > file.size() - at)
        return cut_short(path, static_cast<double>(file.size() - at) / bytes_per_second,
                         static_cast<double>(length) / bytes_per_second);
      return {};
    }
    if (format && length >= 16)
      if (const char* fields = file.get(at, 16)) bytes_per_second = little_endian(fields + 8);
    at += length + (length & 1);
  }
  return {};
}

// RFC 3533, section 6: pages follow each other without gaps. One without the end-of-stream flag may be a recorder's
// last.
Status check_ogg(Pieces& file, const std::string& path) {
  constexpr size_t kHead = 27;
  uint64_t at = 0;
  const auto cut = [&] {
    return Diag(diag::truncated,
                fmt::format(
                    "the file ends at byte {}, inside the Ogg page that begins at byte {}: it was cut or damaged",
                    file.size(), at),
                kCutHint)
        .in_file(path);
  };
  while (at < file.size()) {
    const size_t mark = std::min<uint64_t>(4, file.size() - at);
    const char* begin = file.get(at, mark);
    if (!begin || std::memcmp(begin, "OggS", mark) != 0) return {};
    const char* head = file.get(at, kHead);
    if (!head) return cut();
    const auto segments = static_cast<size_t>(static_cast<unsigned char>(head[26]));
    const char* lengths = file.get(at + kHead, segments);
    if (!lengths) return cut();
    uint64_t end = at + kHead + segments;
    for (size_t i = 0; i < segments; ++i) end += static_cast<unsigned char>(lengths[i]);
    if (end > file.size()) return cut();
    at = end;
  }
  return {};
}

// The header of an MPEG audio frame: ISO 11172-3 section 2.4.1.3, ISO 13818-3 section 2.4.2.3, and "2.5" for half its
// rates.
struct MpegFrame {
  uint32_t kind = 0;  // version, layer and rate: the same in all frames of a stream
  uint32_t rate = 0, samples = 0, bytes = 0;
  bool low_rate = false, mono = false;
};

std::optional<MpegFrame> mpeg_frame(const char* p) {
  const uint32_t h = big_endian(p);
  const uint32_t version = h >> 19 & 3, layer = 4 - (h >> 17 & 3), speed = h >> 12 & 15, rate = h >> 10 & 3;
  if (h >> 21 != 0x7FF || version == 1 || layer == 4 || speed == 0 || speed == 15 || rate == 3) return std::nullopt;
  static constexpr uint32_t kRates[] = {44100, 48000, 32000};
  // kbit/s: the first version's layers I, II, III; the later ones' I, then II and III.
  static constexpr uint32_t kSpeeds[5][15] = {{0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448},
                                              {0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},
                                              {0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},
                                              {0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},
                                              {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160}};
  MpegFrame f;
  f.kind = h & 0xFFFE0C00U;
  f.low_rate = version != 3;
  f.mono = (h >> 6 & 3) == 3;
  f.rate = kRates[rate] >> (version == 3 ? 0 : version == 2 ? 1 : 2);
  const uint32_t bits = 1000 * kSpeeds[f.low_rate ? (layer == 1 ? 3 : 4) : layer - 1][speed], padding = h >> 9 & 1;
  f.samples = layer == 1 ? 384 : layer == 3 && f.low_rate ? 576 : 1152;
  f.bytes = layer == 1 ? (12 * bits / f.rate + padding) * 4 : f.samples / 8 * bits / f.rate + padding;
  return f;
}

// The number of frames in a Xing or Info header (behind the side information of layer III), 0 where there is none.
uint32_t promised_frames(Pieces& file, uint64_t at, const MpegFrame& f) {
  const uint64_t tag = at + 4 + (f.low_rate ? (f.mono ? 9 : 17) : (f.mono ? 17 : 32));
  const char* p = file.get(tag, 12);
  if (!p || (std::memcmp(p, "Xing", 4) != 0 && std::memcmp(p, "Info", 4) != 0) || !(big_endian(p + 4) & 1)) return 0;
  return big_endian(p + 8);
}

uint64_t behind_id3(Pieces& file) {
  uint64_t at = 0;
  for (int tags = 0; tags < 100; ++tags) {
    const char* p = file.get(at, 10);
    if (!p || std::memcmp(p, "ID3", 3) != 0) break;
    uint64_t size = 0;
    for (int i = 6; i < 10; ++i) size = size << 7 | (static_cast<unsigned char>(p[i]) & 0x7F);
    at += 10 + size + (p[5] & 0x10 ? 10 : 0);
  }
  return at;
}

// From frame to frame. A walk that ends anywhere but at the end of the file (a tag, padding, damage) says nothing.
Status check_mpeg(Pieces& file, const std::string& path) {
  uint64_t at = behind_id3(file);
  const char* begin = file.get(at, 4);
  const std::optional<MpegFrame> first = begin ? mpeg_frame(begin) : std::nullopt;
  if (!first) return {};
  const uint64_t promised = promised_frames(file, at, *first);
  uint64_t frames = 0;
  const auto seconds = [&](uint64_t count) { return static_cast<double>(count * first->samples) / first->rate; };
  while (at < file.size()) {
    const char* p = file.get(at, 4);
    if (!p) return {};
    const std::optional<MpegFrame> f = mpeg_frame(p);
    if (!f || f->kind != first->kind) return {};
    if (f->bytes > file.size() - at) {
      if (frames < 2) return {};  // too few to be sure that it is MPEG audio at all
      if (promised > frames) return cut_short(path, seconds(frames), seconds(promised));
      return Diag(diag::truncated,
                  fmt::format("the sound ends after {:.2f} s, inside an MPEG frame: the file was cut or damaged",
                              seconds(frames)),
                  kCutHint)
          .in_file(path);
    }
    at += f->bytes;
    ++frames;
  }
  // Some writers count the header's own frame, some do not.
  if (frames >= 2 && promised > frames) return cut_short(path, seconds(frames), seconds(promised));
  return {};
}

}  // namespace

Diag cut_short(const std::string& path, double has_seconds, double promised_seconds) {
  return Diag(diag::truncated,
              fmt::format("the sound ends after {:.2f} s, its header promises {:.2f} s: the file was cut or damaged",
                          has_seconds, promised_seconds),
              kCutHint)
      .in_file(path);
}

Status check_not_cut(const std::string& path) {
  Pieces file(path);
  const char* p = file.get(0, 12);
  if (!p) return {};
  if (std::memcmp(p, "RIFF", 4) == 0 && std::memcmp(p + 8, "WAVE", 4) == 0) return check_wav(file, path);
  if (std::memcmp(p, "OggS", 4) == 0) return check_ogg(file, path);
  return check_mpeg(file, path);
}

}  // namespace npuport::whisper
