#include "pipelines/whisper/mel.h"

#include <algorithm>
#include <cmath>
#include <thread>

#include "base/diag_codes.h"

namespace npuport::whisper {
namespace {

constexpr size_t kCentre = kWindow / 2;   // a frame's window begins this many samples before the frame
constexpr size_t kChunk = 512;            // frames computed at once
constexpr size_t kKeptFrames = 30000;     // sounds up to 5 minutes are read once
constexpr size_t kFramesPerThread = 256;  // fewer are not worth a thread
constexpr float kRange = 8.0f;            // decades kept below the loudest

double hz_to_mel(double f) { return f < 1000.0 ? f * 3.0 / 200.0 : 15.0 + std::log(f / 1000.0) * 27.0 / std::log(6.4); }
double mel_to_hz(double m) { return m < 15.0 ? m * 200.0 / 3.0 : 1000.0 * std::exp((m - 15.0) * std::log(6.4) / 27.0); }

}  // namespace

std::vector<float> mel_filters(size_t n_mels) {
  std::vector<double> edges(n_mels + 2);
  const double top = hz_to_mel(kSampleRate / 2.0);
  for (size_t i = 0; i < edges.size(); ++i)
    edges[i] = mel_to_hz(top * static_cast<double>(i) / static_cast<double>(n_mels + 1));
  std::vector<float> out(n_mels * kBins);
  for (size_t m = 0; m < n_mels; ++m) {
    const double low = edges[m], middle = edges[m + 1], high = edges[m + 2];
    for (size_t k = 0; k < kBins; ++k) {
      const double hz = static_cast<double>(k) * kSampleRate / kWindow;
      const double height = std::max(0.0, std::min((hz - low) / (middle - low), (high - hz) / (high - middle)));
      out[m * kBins + k] = static_cast<float>(height * 2.0 / (high - low));
    }
  }
  return out;
}

// log10 mel power of consecutive frames of one sound, before the loudest value is known. Frames come in groups of
// kLanes: [group][band][kLanes].
class MelWindows::Stream {
 public:
  Stream(std::unique_ptr<SampleSource> source, size_t n_mels, int threads)
      : source_(std::move(source)), n_mels_(n_mels), threads_(threads) {
    const std::vector<float> dense = mel_filters(n_mels);
    for (size_t m = 0; m < n_mels; ++m) {
      MelFilter f;
      for (size_t k = 0; k < kBins; ++k) {
        const float w = dense[m * kBins + k];
        if (w == 0) continue;
        if (f.weights.empty()) f.first = k;
        f.weights.resize(k - f.first + 1);
        f.weights.back() = w;
      }
      filters_.push_back(std::move(f));
    }
  }

  uint64_t samples() const { return samples_; }
  bool ended() const { return ended_; }

  float loudest() const { return *std::max_element(loudest_.begin(), loudest_.end()); }

  // Appends the next kChunk frames to `groups`; behind the end of the sound they hold its zeros.
  Status append(std::vector<float>& groups) {
    NPU_TRY(fill((kChunk - 1) * kHop + kWindow));
    const size_t start = groups.size();
    groups.resize(start + kChunk * n_mels_);
    const size_t workers = std::clamp<size_t>(kChunk / kFramesPerThread, 1, static_cast<size_t>(std::max(1, threads_)));
    const size_t share = (kChunk / kLanes + workers - 1) / workers * kLanes;
    loudest_.resize(std::max(loudest_.size(), workers * kLanes), kSilence);
    std::vector<std::thread> pool;
    for (size_t w = 0; w < workers; ++w) {
      const size_t from = std::min(kChunk, w * share), to = std::min(kChunk, (w + 1) * share);
      const auto work = [this, from, to, w, out = groups.data() + start] {
        compute(from, to, out, loudest_.data() + w * kLanes);
      };
      if (w + 1 < workers) {
        pool.emplace_back(work);
      } else {
        work();
      }
    }
    for (std::thread& t : pool) t.join();
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(kChunk * kHop));
    return {};
  }

 private:
  // buffer_ starts at the next frame's window. The sound is reflected before its beginning and followed by zeros.
  Status fill(size_t wanted) {
    if (!started_) {
      started_ = true;
      std::vector<float> head(kCentre + 1);
      NPU_ASSIGN(const size_t got, read(head));
      (void)got;
      for (size_t i = kCentre; i > 0; --i) buffer_.push_back(head[i]);
      buffer_.insert(buffer_.end(), head.begin(), head.end());
    }
    if (buffer_.size() >= wanted) return {};
    const size_t have = buffer_.size();
    buffer_.resize(wanted);
    NPU_ASSIGN(const size_t got, read(std::span(buffer_).subspan(have)));
    (void)got;
    return {};
  }

  Result<size_t> read(std::span<float> out) {
    size_t got = 0;
    if (!ended_) {
      NPU_ASSIGN(got, source_->read(out));
      ended_ = got < out.size();
      samples_ += got;
    }
    std::fill(out.begin() + static_cast<std::ptrdiff_t>(got), out.end(), 0.0f);
    return got;
  }

  // Frames [from, to) relative to the buffer, both multiples of kLanes.
  void compute(size_t from, size_t to, float* out, float* loudest) const {
    alignas(64) float power[kBins * kLanes];
    for (size_t f = from; f < to; f += kLanes) {
      spectrum_.compute(buffer_.data() + f * kHop, power);
      log_mel(power, filters_, out + f * n_mels_, loudest);
    }
  }

  std::unique_ptr<SampleSource> source_;
  size_t n_mels_;
  int threads_;
  PowerSpectrum spectrum_;
  std::vector<MelFilter> filters_;
  std::vector<float> buffer_;
  std::vector<float> loudest_ = std::vector<float>(kLanes, kSilence);  // per worker and lane
  uint64_t samples_ = 0;
  bool started_ = false, ended_ = false;
};

Result<MelWindows> MelWindows::open(SourceFactory factory, size_t n_mels, int threads) {
  if (n_mels != 80 && n_mels != 128)
    return Diag(diag::bad_input_data, "Whisper has 80 or 128 mel bins, not " + std::to_string(n_mels));
  MelWindows w;
  w.factory_ = std::move(factory);
  w.n_mels_ = n_mels;
  w.threads_ = threads;
  NPU_ASSIGN(std::unique_ptr<SampleSource> source, w.factory_());
  Stream stream(std::move(source), n_mels, threads);
  w.rows_.reserve((kFrames + kChunk) * n_mels);  // most sounds end within one window
  bool kept = true;
  size_t computed = 0;
  // Frames whose window still touches the sound count too: two behind its last sample.
  while (!stream.ended() || computed < stream.samples() / kHop + 3) {
    if (!kept) w.rows_.clear();
    NPU_TRY(stream.append(w.rows_));
    computed += kChunk;
    if (computed > kKeptFrames) kept = false;
  }
  if (!kept) w.rows_ = {};
  w.samples_ = stream.samples();
  w.content_ = static_cast<size_t>(w.samples_ / kHop);
  w.loudest_ = stream.loudest();
  if (!kept) {
    NPU_ASSIGN(std::unique_ptr<SampleSource> again, w.factory_());
    w.stream_ = std::make_shared<Stream>(std::move(again), n_mels, threads);
  }
  return w;
}

Status MelWindows::fetch_until(size_t frame) {
  if (!stream_) return {};
  while (first_ + rows_.size() / n_mels_ < frame) {
    NPU_TRY(stream_->append(rows_));
    if (stream_->ended() && stream_->samples() != samples_)
      return Diag(diag::file_changed, "the sound changed while it was read");
  }
  return {};
}

Status MelWindows::forget_before(size_t frame) {
  if (!stream_) return {};
  if (frame < first_) return Diag(diag::internal, "windows of a long sound go forward only");
  NPU_TRY(fetch_until(frame));
  const size_t gone = (frame - first_) / kLanes * kLanes;
  rows_.erase(rows_.begin(), rows_.begin() + static_cast<std::ptrdiff_t>(gone * n_mels_));
  first_ += gone;
  return {};
}

Status MelWindows::window(size_t start, size_t frames, Padding padding, std::span<float> out) {
  if (frames > kFrames || out.size() != n_mels_ * kFrames)
    return Diag(diag::internal, "a mel window has " + std::to_string(kFrames) + " frames");
  const size_t touched = content_ + 3;  // frames that may hold more than silence
  const size_t wanted = padding == Padding::silence ? kFrames : frames;
  const size_t end = std::min(start + wanted, std::max(start, touched));
  NPU_TRY(forget_before(start));
  NPU_TRY(fetch_until(end));
  const float lowest = loudest_ - kRange;
  const auto scaled = [&](float v) { return (std::max(v, lowest) + 4.0f) / 4.0f; };
  const float filler = padding == Padding::zero ? 0.0f : scaled(kSilence);
  const size_t known = end - start;
  for (size_t m = 0; m < n_mels_; ++m) {
    float* row = out.data() + m * kFrames;
    for (size_t f = 0; f < known;) {
      const size_t at = start - first_ + f, lane = at % kLanes, n = std::min(kLanes - lane, known - f);
      const float* from = rows_.data() + ((at - lane) * n_mels_ + m * kLanes + lane);
      for (size_t j = 0; j < n; ++j) row[f + j] = scaled(from[j]);
      f += n;
    }
    std::fill(row + known, row + kFrames, filler);
  }
  return {};
}

}  // namespace npuport::whisper
