// Sound files of every kind, good and bad, as 16 kHz mono; log-mel in windows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sndfile.h>
#include <sys/resource.h>

#include <cmath>
#include <fstream>
#include <numbers>

#include "base/diag_codes.h"
#include "pipelines/whisper/cut_files.h"
#include "pipelines/whisper/mel.h"
#include "support/temp_folder.h"
#include "support/whisper_files.h"

namespace npuport::whisper {
namespace {

using npuport::testing::TempFolder;
using ::testing::HasSubstr;

struct Sound : ::testing::Test {
  // A file of `samples` (interleaved); false when this libsndfile does not write the format.
  bool write(const std::string& name, int format, int rate, int channels, const std::vector<float>& samples) {
    SF_INFO info = {};
    info.samplerate = rate;
    info.channels = channels;
    info.format = format;
    if (!sf_format_check(&info)) return false;
    SNDFILE* f = sf_open(folder.path(name).c_str(), SFM_WRITE, &info);
    if (!f) return false;
    sf_writef_float(f, samples.data(), static_cast<sf_count_t>(samples.size()) / channels);
    sf_close(f);
    return true;
  }
  Result<std::vector<float>> read(const std::string& name) {
    NPU_ASSIGN(const std::unique_ptr<SampleSource> source, open_sound(folder.path(name)));
    std::vector<float> all, piece(5000);
    while (true) {
      NPU_ASSIGN(const size_t n, source->read(piece));
      all.insert(all.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(n));
      if (n < piece.size()) return all;
    }
  }
  std::string bytes_of(const std::string& name) {
    std::ifstream in(folder.path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void expect_fault(const std::string& name, const DiagCode& code, const std::string& words) {
    const auto r = read(name);
    ASSERT_FALSE(r) << name;
    EXPECT_EQ(r.error().code->id, code.id) << r.error().message;
    EXPECT_EQ(r.error().code->exit_code, code.exit_code);
    EXPECT_THAT(r.error().message, HasSubstr(words));
    EXPECT_THAT(r.error().where.file, HasSubstr(name));
  }
  static std::vector<float> tone(int rate, double seconds, int channels, double hz = 440) {
    std::vector<float> out;
    for (int i = 0; i < static_cast<int>(rate * seconds); ++i)
      for (int c = 0; c < channels; ++c)
        out.push_back(static_cast<float>(0.5 * std::sin(2 * std::numbers::pi * hz * i / rate)));
    return out;
  }
  static double worst_against_tone(const std::vector<float>& got, double hz = 440) {
    double worst = 0;
    for (size_t i = got.size() / 4; i < got.size() * 3 / 4; ++i)
      worst = std::max(worst,
                       std::abs(got[i] - 0.5 * std::sin(2 * std::numbers::pi * hz * static_cast<double>(i) / 16000)));
    return worst;
  }
  TempFolder folder;
};

constexpr int kWav16 = SF_FORMAT_WAV | SF_FORMAT_PCM_16;
constexpr int kWavFloat = SF_FORMAT_WAV | SF_FORMAT_FLOAT;

TEST_F(Sound, SixteenBitMonoAt16kHzIsExact) {
  SF_INFO info = {};
  info.samplerate = 16000;
  info.channels = 1;
  info.format = kWav16;
  SNDFILE* f = sf_open(folder.path("a.wav").c_str(), SFM_WRITE, &info);
  ASSERT_NE(f, nullptr);
  const short values[] = {0, 16384, -32768, 1};
  sf_write_short(f, values, 4);
  sf_close(f);
  EXPECT_EQ(*read("a.wav"), (std::vector<float>{0.0f, 0.5f, -1.0f, 1.0f / 32768}));
}

TEST_F(Sound, ChannelsAreAveraged) {
  ASSERT_TRUE(write("a.wav", kWavFloat, 16000, 2, {0.0f, 0.5f, 0.25f, -0.25f}));
  EXPECT_EQ(*read("a.wav"), (std::vector<float>{0.25f, 0.0f}));
}

TEST_F(Sound, LouderThanFullScaleIsCut) {
  ASSERT_TRUE(write("a.wav", kWavFloat, 16000, 1, {2.0f, -3e30f, 0.5f}));
  EXPECT_EQ(*read("a.wav"), (std::vector<float>{1.0f, -1.0f, 0.5f}));
}

TEST_F(Sound, AnyRateAndChannelCount) {
  for (const int rate : {1000, 8000, 11025, 22050, 44100, 48000, 96000, 192000})
    for (const int channels : {1, 2, 8}) {
      const double hz = rate < 4000 ? 100 : 440;
      ASSERT_TRUE(write("a.wav", kWavFloat, rate, channels, tone(rate, 0.5, channels, hz)));
      const auto got = read("a.wav");
      ASSERT_TRUE(got) << got.error().message;
      EXPECT_NEAR(static_cast<double>(got->size()), 8000, 16000.0 / rate + 2) << rate;
      EXPECT_LT(worst_against_tone(*got, hz), 2e-3) << rate << " Hz, " << channels << " channels";
    }
}

TEST_F(Sound, FlacOggAndMp3) {
  const std::vector<float> samples = tone(44100, 0.5, 2);
  ASSERT_TRUE(write("a.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_24, 44100, 2, samples));
  ASSERT_TRUE(write("a.ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS, 44100, 2, samples));
  EXPECT_LT(worst_against_tone(*read("a.flac")), 2e-3);
  EXPECT_LT(worst_against_tone(*read("a.ogg")), 5e-2);
  if (!write("a.mp3", SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III, 44100, 2, samples))
    GTEST_SKIP() << "this libsndfile writes no MP3";
  const auto mp3 = read("a.mp3");
  ASSERT_TRUE(mp3) << mp3.error().message;
  EXPECT_NEAR(static_cast<double>(mp3->size()), 8000, 1500);  // the codec's delay
}

TEST_F(Sound, BadFilesAreNamed) {
  std::ofstream(folder.path("empty.wav"));
  std::ofstream(folder.path("text.wav")) << "this is no sound at all";
  std::ofstream(folder.path("riff.wav")) << "RIFF";
  std::filesystem::create_directory(folder.path("dir.wav"));
  ASSERT_TRUE(write("none.wav", kWav16, 16000, 1, {}));
  ASSERT_TRUE(write("none8k.wav", kWav16, 8000, 1, {}));
  std::vector<float> broken = tone(16000, 0.1, 1);
  broken[800] = NAN;
  ASSERT_TRUE(write("nan.wav", kWavFloat, 16000, 1, broken));
  broken[800] = INFINITY;
  ASSERT_TRUE(write("inf.wav", kWavFloat, 44100, 1, broken));
  ASSERT_TRUE(write("slow.wav", kWav16, 100, 1, {0.1f, 0.2f}));
  expect_fault("missing.wav", diag::file_not_found, "no such file");
  expect_fault("empty.wav", diag::bad_input_data, "empty");
  expect_fault("text.wav", diag::unknown_format, "no sound file");
  EXPECT_FALSE(read("riff.wav"));
  expect_fault("dir.wav", diag::unknown_format, "folder");
  expect_fault("none.wav", diag::bad_input_data, "no samples");
  expect_fault("none8k.wav", diag::bad_input_data, "no samples");
  expect_fault("nan.wav", diag::bad_input_data, "0.0500 s");
  expect_fault("inf.wav", diag::bad_input_data, "infinite");
  expect_fault("slow.wav", diag::bad_input_data, "100 Hz");
  expect_fault("missing.wav/x.wav", diag::file_not_found, "no such file");
}

// Half a text without a word about it would be wrong.
TEST_F(Sound, CutFilesAreNotPlayedAsIfWhole) {
  ASSERT_TRUE(write("a.wav", kWav16, 16000, 1, tone(16000, 1, 1)));
  ASSERT_TRUE(write("a.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 8000, 1, tone(8000, 2, 1)));
  for (const std::string name : {"a.wav", "a.flac"}) {
    std::ifstream in(folder.path(name), std::ios::binary);
    const std::string all((std::istreambuf_iterator<char>(in)), {});
    std::ofstream(folder.path("cut_" + name), std::ios::binary) << all.substr(0, all.size() / 2);
    expect_fault("cut_" + name, diag::truncated, "its header promises");
    EXPECT_TRUE(read(name));
    if (name == "a.flac") continue;
    // A recorder that was stopped never filled the size in: that promises nothing.
    for (const std::string& size : {std::string(4, '\xFF'), std::string("\x24\0\0\x80", 4)}) {
      std::string open_ended = all.substr(0, 16044);
      open_ended.replace(40, 4, size);
      std::ofstream(folder.path("open.wav"), std::ios::binary) << open_ended;
      const auto r = read("open.wav");
      ASSERT_TRUE(r) << r.error().message;
      EXPECT_EQ(r->size(), 8000u);
    }
  }
}

// Ogg and MPEG have no length to compare with at the front: pages and frames are counted.
TEST_F(Sound, OggAndMp3CutInsideAPageOrFrame) {
  ASSERT_TRUE(write("a.ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS, 16000, 1, tone(16000, 4, 1)));
  ASSERT_TRUE(read("a.ogg"));
  const std::string ogg = bytes_of("a.ogg");
  for (const size_t n : {ogg.size() - 1, ogg.size() / 2, ogg.rfind("OggS") + 20, ogg.rfind("OggS") + 2}) {
    std::ofstream(folder.path("cut.ogg"), std::ios::binary) << ogg.substr(0, n);
    expect_fault("cut.ogg", diag::truncated, "inside the Ogg page");
  }
  // Behind a whole page, or before bytes that are no page: that may be a recorder's, or a tag.
  std::ofstream(folder.path("page.ogg"), std::ios::binary) << ogg.substr(0, ogg.rfind("OggS"));
  EXPECT_TRUE(check_not_cut(folder.path("page.ogg")));
  std::ofstream(folder.path("tag.ogg"), std::ios::binary) << ogg << "TAG and more";
  EXPECT_TRUE(read("tag.ogg"));
}

// Frames of silence by the standard's formula: 144 · 64000 / 48000 = 192 bytes (MPEG 1, layer III, mono), 24 ms each.
std::string mpeg_frames(size_t count, const std::string& first_body = {}) {
  std::string all;
  for (size_t i = 0; i < count; ++i) {
    std::string frame("\xFF\xFB\x54\xC0", 4);
    if (i == 0) frame += first_body;
    frame.resize(192, '\0');
    all += frame;
  }
  return all;
}

TEST_F(Sound, MpegFramesAreCounted) {
  const auto check = [&](const std::string& bytes) {
    std::ofstream(folder.path("a.mp3"), std::ios::binary) << bytes;
    return check_not_cut(folder.path("a.mp3"));
  };
  const auto says = [&](const std::string& bytes, const std::string& words) {
    const Status s = check(bytes);
    ASSERT_FALSE(s) << words;
    EXPECT_EQ(s.error().code->id, diag::truncated.id);
    EXPECT_THAT(s.error().message, HasSubstr(words));
  };
  const std::string plain = mpeg_frames(100), id3("ID3\3\0\0\0\0\1\x48", 10);
  EXPECT_TRUE(check(plain));
  EXPECT_TRUE(check(id3 + std::string(200, '\0') + plain));
  EXPECT_TRUE(check(plain + "TAG" + std::string(125, ' ')));
  EXPECT_TRUE(check(plain + std::string(1000, '\0')));
  EXPECT_TRUE(check(plain.substr(0, 300))) << "one frame and a piece of another prove nothing";
  says(plain.substr(0, plain.size() - 1), "ends after 2.38 s, inside an MPEG frame");
  says(id3 + std::string(200, '\0') + plain.substr(0, 192 * 25 + 50), "ends after 0.60 s, inside an MPEG frame");
  // 99 frames and its own.
  const std::string xing = mpeg_frames(100, std::string(17, '\0') + std::string("Xing\0\0\0\1\0\0\0\x63", 12));
  EXPECT_TRUE(check(xing));
  EXPECT_TRUE(check(xing + plain)) << "more than promised is no cut";
  says(xing.substr(0, 192 * 50), "ends after 1.20 s, its header promises 2.38 s");
  says(xing.substr(0, 192 * 50 + 7), "its header promises 2.38 s");
  EXPECT_TRUE(check(xing.substr(0, 192 * 50) + "TAG" + std::string(125, ' ')))
      << "shortened by a program that left its tag";
}

TEST_F(Sound, CutMp3) {
  if (!write("a.mp3", SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III, 22050, 1, tone(22050, 3, 1)))
    GTEST_SKIP() << "this libsndfile writes no MP3";
  ASSERT_TRUE(read("a.mp3"));
  std::ofstream(folder.path("cut.mp3"), std::ios::binary) << bytes_of("a.mp3").substr(0, bytes_of("a.mp3").size() / 2);
  expect_fault("cut.mp3", diag::truncated, "the file was cut or damaged");
}

TEST_F(Sound, CutFilesGiveWhatTheyHoldOrAnError) {
  ASSERT_TRUE(write("a.wav", kWav16, 16000, 1, tone(16000, 1, 1)));
  ASSERT_TRUE(write("a.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 16000, 1, tone(16000, 1, 1)));
  for (const std::string name : {"a.wav", "a.flac"}) {
    std::ifstream in(folder.path(name), std::ios::binary);
    const std::string all((std::istreambuf_iterator<char>(in)), {});
    for (size_t n = 0; n < all.size(); n += all.size() / 40 + 1) {
      std::ofstream(folder.path("cut"), std::ios::binary) << all.substr(0, n);
      const auto r = read("cut");
      if (r) {
        EXPECT_LE(r->size(), 16000u);
      }
    }
  }
}

TEST(MelTest, FiltersAreSlaneys) {
  const auto weight = [](const MelFilters& f, size_t band, size_t bin) {
    size_t at = 0;
    for (size_t m = 0; m < band; ++m) at += f.bands[m].count;
    const auto [first, count] = f.bands[band];
    return bin < first || bin >= first + count ? 0.0f : f.weights[at + bin - first];
  };
  // Values of librosa.filters.mel(sr=16000, n_fft=400), as openai-whisper ships them.
  const MelFilters f = mel_filters(80);
  EXPECT_FLOAT_EQ(weight(f, 0, 1), 0.02486259490251541f);
  EXPECT_FLOAT_EQ(weight(f, 1, 2), 0.022871771827340126f);
  for (const size_t n : {size_t{80}, size_t{128}}) {
    const MelFilters all = mel_filters(n);
    ASSERT_EQ(all.bands.size(), n);
    for (size_t m = n * 3 / 4; m < n; ++m) {
      double area = 0;
      for (size_t k = 0; k < kBins; ++k) area += 40.0 * weight(all, m, k);
      EXPECT_NEAR(area, 1.0, 0.05);  // triangles of area 1 over Hz
    }
  }
}

MelWindows windows_of(std::span<const float> samples, size_t n_mels = 80) {
  return *MelWindows::open([samples]() -> Result<std::unique_ptr<SampleSource>> { return sound_from_samples(samples); },
                           n_mels, 2);
}

TEST(MelTest, LengthsAroundAFrame) {
  for (const size_t n : {size_t{1}, size_t{159}, size_t{160}, size_t{161}, size_t{479999}, size_t{480001}}) {
    const std::vector<float> samples(n, 0.25f);
    MelWindows w = windows_of(samples);
    EXPECT_EQ(w.content_frames(), n / 160);
    std::vector<float> out(80 * kFrames);
    ASSERT_TRUE(w.window(0, std::min(kFrames, w.content_frames()), Padding::silence, out));
    for (const float v : out) ASSERT_TRUE(std::isfinite(v));
  }
}

TEST(MelTest, SilenceAndPaddings) {
  const std::vector<float> samples(16000, 0.0f);
  MelWindows w = windows_of(samples, 128);
  std::vector<float> out(128 * kFrames);
  ASSERT_TRUE(w.window(0, 100, Padding::silence, out));
  for (const float v : out) ASSERT_FLOAT_EQ(v, -1.5f);  // (-10 + 4) / 4
  ASSERT_TRUE(w.window(0, 100, Padding::zero, out));
  EXPECT_FLOAT_EQ(out[99], -1.5f);
  EXPECT_FLOAT_EQ(out[100], 0.0f);
}

TEST(MelTest, OnlyWhispersBinCounts) {
  const std::vector<float> samples(160, 0.0f);
  EXPECT_FALSE(
      MelWindows::open([&]() -> Result<std::unique_ptr<SampleSource>> { return sound_from_samples(samples); }, 64, 1));
}

// A sound of any length that is never in memory.
class Endless : public SampleSource {
 public:
  explicit Endless(uint64_t samples) : left_(samples) {}
  Result<size_t> read(std::span<float> out) override {
    const auto n = static_cast<size_t>(std::min<uint64_t>(out.size(), left_));
    for (size_t i = 0; i < n; ++i) out[i] = static_cast<float>((position_ + i) % 97) / 200.0f;
    position_ += n;
    left_ -= n;
    return n;
  }

 private:
  uint64_t left_, position_ = 0;
};

int64_t peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

TEST(MelTest, ALongSoundNeedsLittleMemoryAndGivesTheSameWindows) {
  const uint64_t samples = uint64_t{16000} * 60 * 40;
  const SourceFactory factory = [&]() -> Result<std::unique_ptr<SampleSource>> {
    return std::unique_ptr<SampleSource>(new Endless(samples));
  };
  const int64_t before = peak_memory();
  MelWindows w = *MelWindows::open(factory, 80, 2);
  EXPECT_EQ(w.content_frames(), samples / 160);
  std::vector<float> out(80 * kFrames), again(80 * kFrames);
  for (size_t seek = 0; seek < w.content_frames(); seek += 2750) {
    ASSERT_TRUE(w.window(seek, std::min(kFrames, w.content_frames() - seek), Padding::zero, out));
    ASSERT_TRUE(w.window(seek, std::min(kFrames, w.content_frames() - seek), Padding::zero, again));
    ASSERT_EQ(out, again);
  }
  EXPECT_LT(peak_memory() - before, int64_t{40} << 20);  // the features alone have 77 MB
  EXPECT_FALSE(w.window(0, 100, Padding::zero, out)) << "going back would need the sound a third time";
  // Away from the beginning every window of this periodic sound is alike, wherever it was cut from.
  MelWindows kept = *MelWindows::open(
      [&]() -> Result<std::unique_ptr<SampleSource>> {
        return std::unique_ptr<SampleSource>(new Endless(uint64_t{16000} * 120));
      },
      80, 1);
  MelWindows streamed = *MelWindows::open(factory, 80, 1);
  for (const size_t seek : {size_t{0}, size_t{1}, size_t{3000}, size_t{7003}}) {
    ASSERT_TRUE(kept.window(seek, kFrames, Padding::zero, out));
    ASSERT_TRUE(streamed.window(seek, kFrames, Padding::zero, again));
    ASSERT_EQ(out, again) << seek;
  }
}

}  // namespace
}  // namespace npuport::whisper
