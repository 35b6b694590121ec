#include "pipelines/whisper/audio.h"

#include <fmt/format.h>
#include <sndfile.h>
#include <soxr.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/diag_codes.h"
#include "pipelines/whisper/cut_files.h"

namespace npuport::whisper {
namespace {

constexpr int kLowestRate = 1000, kHighestRate = 1536000;
constexpr size_t kBlock = 1 << 14;  // samples read at once, all channels together

Status check_file(const std::string& path) {
  struct stat info = {};
  if (::stat(path.c_str(), &info) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return Diag(diag::file_not_found, "no such file").in_file(path);
    return Diag(diag::not_readable, std::strerror(errno)).in_file(path);
  }
  if (S_ISDIR(info.st_mode)) return Diag(diag::unknown_format, "is a folder, not a sound file").in_file(path);
  if (!S_ISREG(info.st_mode))
    return Diag(diag::unknown_format, "is no regular file; a sound is read twice", "save it to a file first")
        .in_file(path);
  if (info.st_size == 0) return Diag(diag::bad_input_data, "the sound file is empty (0 bytes)").in_file(path);
  return {};
}

Diag open_failure(const std::string& path) {
  const char* hint = "WAV, FLAC and OGG always work, MP3 with libsndfile 1.1 and newer; convert others first";
  const std::string why = sf_strerror(nullptr);
  switch (sf_error(nullptr)) {
    case SF_ERR_SYSTEM:
      return Diag(diag::not_readable, "cannot be opened: " + why).in_file(path);
    case SF_ERR_MALFORMED_FILE:
      return Diag(diag::corrupt, "is a damaged sound file: " + why, hint).in_file(path);
    default:
      return Diag(diag::unknown_format, "is no sound file libsndfile reads: " + why, hint).in_file(path);
  }
}

void average(const float* frames, size_t count, size_t channels, float* mono) {
  if (channels == 1) {
    std::copy_n(frames, count, mono);
    return;
  }
  const float scale = 1.0f / static_cast<float>(channels);
  for (size_t i = 0; i < count; ++i) {
    float sum = 0;
    for (size_t c = 0; c < channels; ++c) sum += frames[i * channels + c];
    mono[i] = sum * scale;
  }
}

// Exponent bits all set: NaN or infinite. No early end, so that the compiler takes many at once.
bool all_finite(const float* v, size_t count) {
  uint32_t bad = 0;
  for (size_t i = 0; i < count; ++i) bad |= (std::bit_cast<uint32_t>(v[i]) & 0x7F800000U) == 0x7F800000U;
  return bad == 0;
}

class SoundFile : public SampleSource {
 public:
  static Result<std::unique_ptr<SampleSource>> open(const std::string& path) {
    NPU_TRY(check_file(path));
    NPU_TRY(check_not_cut(path));
    std::unique_ptr<SoundFile> s(new SoundFile(path));
    s->file_.reset(sf_open(path.c_str(), SFM_READ, &s->info_));
    if (!s->file_) return open_failure(path);
    const int rate = s->info_.samplerate;
    if (rate < kLowestRate || rate > kHighestRate || s->info_.channels < 1)
      return Diag(diag::bad_input_data, fmt::format("a sound of {} Hz and {} channels cannot be used; {} to {} Hz can",
                                                    rate, s->info_.channels, kLowestRate, kHighestRate))
          .in_file(path);
    s->frames_.resize(std::max<size_t>(1, kBlock / static_cast<size_t>(s->info_.channels)) *
                      static_cast<size_t>(s->info_.channels));
    if (rate != kSampleRate) {
      soxr_error_t error = nullptr;
      s->resampler_.reset(soxr_create(rate, kSampleRate, 1, &error, nullptr, nullptr, nullptr));
      if (!s->resampler_) return Diag(diag::internal, fmt::format("soxr: {}", soxr_strerror(error))).in_file(path);
    }
    return std::unique_ptr<SampleSource>(std::move(s));
  }

  Result<size_t> read(std::span<float> out) override {
    size_t done = 0;
    while (done < out.size()) {
      if (position_ == mono_.size()) {
        if (ended_ && (!resampler_ || drained_)) break;
        NPU_TRY(resampler_ ? refill_resampled() : refill());
        continue;
      }
      const size_t n = std::min(out.size() - done, mono_.size() - position_);
      for (size_t i = 0; i < n; ++i) out[done + i] = std::clamp(mono_[position_ + i], -1.0f, 1.0f);
      done += n;
      position_ += n;
    }
    return done;
  }

 private:
  explicit SoundFile(const std::string& path) : path_(path) {}

  // 16-bit samples, the usual ones, are turned to float here: libsndfile does it one by one, with the same result.
  sf_count_t read_frames(sf_count_t count) {
    if ((info_.format & SF_FORMAT_SUBMASK) != SF_FORMAT_PCM_16)
      return sf_readf_float(file_.get(), frames_.data(), count);
    shorts_.resize(frames_.size());
    const sf_count_t got = sf_readf_short(file_.get(), shorts_.data(), count);
    const size_t samples = got > 0 ? static_cast<size_t>(got) * static_cast<size_t>(info_.channels) : 0;
    for (size_t i = 0; i < samples; ++i) frames_[i] = static_cast<float>(shorts_[i]) * (1.0f / 32768.0f);
    return got;
  }

  // The next block of the file, channels averaged, into mono_; ended_ at the end.
  Status refill() {
    const auto channels = static_cast<size_t>(info_.channels);
    mono_.clear();
    position_ = 0;
    const sf_count_t got = read_frames(static_cast<sf_count_t>(frames_.size() / channels));
    if (got <= 0) {
      ended_ = true;
      if (sf_error(file_.get()) != SF_ERR_NO_ERROR)
        return Diag(diag::corrupt,
                    fmt::format("decoding stopped after {:.2f} s: {}", seconds(0), sf_strerror(file_.get())))
            .in_file(path_);
      if (read_ == 0) return Diag(diag::bad_input_data, "the sound holds no samples").in_file(path_);
      if (length_is_exact() && read_ < static_cast<uint64_t>(info_.frames))
        return cut_short(path_, seconds(0), static_cast<double>(info_.frames) / info_.samplerate);
      return {};
    }
    const auto count = static_cast<size_t>(got);
    mono_.resize(count);
    average(frames_.data(), count, channels, mono_.data());
    const bool good = all_finite(mono_.data(), count);
    for (size_t i = 0; i < count && !good; ++i)
      if (!std::isfinite(mono_[i]))
        return Diag(diag::bad_input_data, fmt::format("the sample at {:.4f} s is NaN or infinite", seconds(i)),
                    "repair the recording: every sample must be a number")
            .in_file(path_);
    read_ += static_cast<uint64_t>(got);
    return {};
  }

  // MP3 has only an estimate, a stream none (SF_COUNT_MAX).
  bool length_is_exact() const {
    return (info_.format & SF_FORMAT_TYPEMASK) != SF_FORMAT_MPEG && info_.frames < SF_COUNT_MAX;
  }

  // The same at 16 kHz; after the file's end the resampler gives what it still holds.
  Status refill_resampled() {
    if (!ended_) NPU_TRY(refill());
    const std::vector<float> in = std::move(mono_);
    mono_.clear();
    position_ = 0;
    std::vector<float> piece(kBlock);
    size_t used = 0;
    while (true) {
      size_t taken = 0, given = 0;
      const soxr_error_t error =
          soxr_process(resampler_.get(), ended_ ? nullptr : in.data() + used, ended_ ? 0 : in.size() - used, &taken,
                       piece.data(), piece.size(), &given);
      if (error) return Diag(diag::internal, fmt::format("soxr: {}", soxr_strerror(error))).in_file(path_);
      used += taken;
      mono_.insert(mono_.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(given));
      if (ended_ && given == 0) drained_ = true;
      if (given < piece.size() && (ended_ || used == in.size())) return {};
    }
  }

  double seconds(size_t more) const {
    return static_cast<double>(read_ + more) / static_cast<double>(info_.samplerate);
  }

  struct CloseFile {
    void operator()(SNDFILE* f) const { sf_close(f); }
  };
  struct CloseResampler {
    void operator()(soxr* r) const { soxr_delete(r); }
  };

  std::string path_;
  std::unique_ptr<SNDFILE, CloseFile> file_;
  SF_INFO info_ = {};
  std::unique_ptr<soxr, CloseResampler> resampler_;
  std::vector<float> frames_;  // interleaved, as read
  std::vector<short> shorts_;  // the same before it is float
  std::vector<float> mono_;    // ready to hand out from position_ on
  size_t position_ = 0;
  uint64_t read_ = 0;  // frames of the file so far
  bool ended_ = false, drained_ = false;
};

class MemorySource : public SampleSource {
 public:
  explicit MemorySource(std::span<const float> samples) : left_(samples) {}
  Result<size_t> read(std::span<float> out) override {
    const size_t n = std::min(out.size(), left_.size());
    std::copy_n(left_.begin(), n, out.begin());
    left_ = left_.subspan(n);
    return n;
  }

 private:
  std::span<const float> left_;
};

}  // namespace

Result<std::unique_ptr<SampleSource>> open_sound(const std::string& path) { return SoundFile::open(path); }

std::unique_ptr<SampleSource> sound_from_samples(std::span<const float> samples) {
  return std::make_unique<MemorySource>(samples);
}

}  // namespace npuport::whisper
