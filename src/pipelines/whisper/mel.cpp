#include "pipelines/whisper/mel.h"

#include <algorithm>
#include <cmath>
#include <thread>

#include "base/diag_codes.h"

namespace npuport::whisper {
namespace {

constexpr size_t kCentre = kWindow / 2;  // a frame's window begins this many samples before the frame
constexpr size_t kChunk = 512;           // frames computed at once
// Frames kept together, [group][band][kLanes]: two windows of 30 s and a little. What is not written costs nothing, and
// large pieces are what the allocator keeps for the next sound.
constexpr size_t kSlab = 12 * kChunk;
constexpr size_t kBlock = 64;             // frames handed out at once
constexpr size_t kKeptFrames = 30000;     // sounds up to 5 minutes are read once
constexpr size_t kFramesPerThread = 256;  // fewer are not worth a thread
constexpr float kRange = 8.0f;            // decades kept below the loudest

double hz_to_mel(double f) { return f < 1000.0 ? f * 3.0 / 200.0 : 15.0 + std::log(f / 1000.0) * 27.0 / std::log(6.4); }
double mel_to_hz(double m) { return m < 15.0 ? m * 200.0 / 3.0 : 1000.0 * std::exp((m - 15.0) * std::log(6.4) / 27.0); }

}  // namespace

MelFilters mel_filters(size_t n_mels) {
  std::vector<double> edges(n_mels + 2);
  const double top = hz_to_mel(kSampleRate / 2.0);
  for (size_t i = 0; i < edges.size(); ++i)
    edges[i] = mel_to_hz(top * static_cast<double>(i) / static_cast<double>(n_mels + 1));
  MelFilters out;
  for (size_t m = 0; m < n_mels; ++m) {
    const double low = edges[m], middle = edges[m + 1], high = edges[m + 2];
    constexpr double spacing = static_cast<double>(kSampleRate) / kWindow;  // Hz between bins
    MelFilters::Band band{static_cast<size_t>(low / spacing), 0};
    for (size_t k = band.first; k < kBins; ++k) {
      const double hz = static_cast<double>(k) * spacing;
      if (hz >= high) break;
      const double height = std::min((hz - low) / (middle - low), (high - hz) / (high - middle));
      const float w = static_cast<float>(height * 2.0 / (high - low));
      if (w <= 0 && band.count == 0) {
        ++band.first;
        continue;
      }
      out.weights.push_back(std::max(0.0f, w));
      ++band.count;
    }
    out.bands.push_back(band);
  }
  return out;
}

// log10 mel power of consecutive frames of one sound, before the loudest value is known.
class MelWindows::Stream {
 public:
  Stream(std::unique_ptr<SampleSource> source, size_t n_mels, int threads)
      : source_(std::move(source)),
        n_mels_(n_mels),
        threads_(threads),
        filters_(mel_filters(n_mels)),
        buffer_(std::make_unique_for_overwrite<float[]>(kBuffered)) {}

  std::unique_ptr<float[]> spare;  // the memory of a slab that was forgotten, for the next

  uint64_t samples() const { return samples_; }
  bool ended() const { return ended_; }

  float loudest() const { return *std::max_element(loudest_.begin(), loudest_.end()); }

  // The next kChunk frames; behind the end of the sound they hold its zeros.
  Status next(float* out) {
    NPU_TRY(fill());
    const size_t workers = std::clamp<size_t>(kChunk / kFramesPerThread, 1, static_cast<size_t>(std::max(1, threads_)));
    const size_t share = (kChunk / kLanes + workers - 1) / workers * kLanes;
    loudest_.resize(std::max(loudest_.size(), workers * kLanes), kSilence);
    std::vector<std::thread> pool;
    for (size_t w = 0; w < workers; ++w) {
      const size_t from = std::min(kChunk, w * share), to = std::min(kChunk, (w + 1) * share);
      const auto work = [this, from, to, w, out] { compute(from, to, out, loudest_.data() + w * kLanes); };
      if (w + 1 < workers) {
        pool.emplace_back(work);
      } else {
        work();
      }
    }
    for (std::thread& t : pool) t.join();
    return {};
  }

 private:
  static constexpr size_t kShared = kWindow - kHop;  // samples that a chunk's last window and the next's first share
  static constexpr size_t kBuffered = kChunk * kHop + kShared;

  // buffer_ starts at the next frame's window. The sound is reflected before its beginning and followed by zeros.
  Status fill() {
    float* b = buffer_.get();
    if (started_) {
      std::copy_n(b + kChunk * kHop, kShared, b);
      return read({b + kShared, kBuffered - kShared});
    }
    started_ = true;
    NPU_TRY(read({b + kCentre, kBuffered - kCentre}));
    for (size_t i = 1; i <= kCentre; ++i) b[kCentre - i] = b[kCentre + i];
    return {};
  }

  Status read(std::span<float> out) {
    size_t got = 0;
    if (!ended_) {
      NPU_ASSIGN(got, source_->read(out));
      ended_ = got < out.size();
      samples_ += got;
    }
    std::fill(out.begin() + static_cast<std::ptrdiff_t>(got), out.end(), 0.0f);
    return {};
  }

  // Frames [from, to) relative to the buffer, both multiples of kLanes.
  void compute(size_t from, size_t to, float* out, float* loudest) const {
    alignas(64) float power[kBins * kLanes];
    for (size_t f = from; f < to; f += kLanes) {
      spectrum_.compute(buffer_.get() + f * kHop, power);
      log_mel(power, filters_, out + f * n_mels_, loudest);
    }
  }

  std::unique_ptr<SampleSource> source_;
  size_t n_mels_;
  int threads_;
  PowerSpectrum spectrum_;
  MelFilters filters_;
  std::unique_ptr<float[]> buffer_;
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
  bool kept = true;
  size_t computed = 0;
  // Frames whose window still touches the sound count too: two behind its last sample.
  while (!stream.ended() || computed < stream.samples() / kHop + 3) {
    if (kept || w.slabs_.empty()) w.make_room(computed);
    NPU_TRY(stream.next(w.slabs_.back().get() + computed % kSlab * n_mels));
    computed += kChunk;
    if (computed > kKeptFrames) kept = false;
  }
  if (!kept) w.slabs_.clear();
  w.samples_ = stream.samples();
  w.content_ = static_cast<size_t>(w.samples_ / kHop);
  w.loudest_ = stream.loudest();
  if (!kept) {
    NPU_ASSIGN(std::unique_ptr<SampleSource> again, w.factory_());
    w.stream_ = std::make_shared<Stream>(std::move(again), n_mels, threads);
  }
  return w;
}

// Another slab where frame `next` begins one.
void MelWindows::make_room(size_t next) {
  if (next % kSlab != 0) return;
  const bool used = stream_ && stream_->spare;
  slabs_.push_back(used ? std::move(stream_->spare) : std::make_unique_for_overwrite<float[]>(kSlab * n_mels_));
}

Status MelWindows::fetch_until(size_t frame) {
  if (!stream_) return {};
  while (fetched_ < frame) {
    make_room(fetched_);
    NPU_TRY(stream_->next(slabs_.back().get() + fetched_ % kSlab * n_mels_));
    fetched_ += kChunk;
    if (stream_->ended() && stream_->samples() != samples_)
      return Diag(diag::file_changed, "the sound changed while it was read");
  }
  return {};
}

Status MelWindows::forget_before(size_t frame) {
  if (!stream_) return {};
  if (frame < first_) return Diag(diag::internal, "windows of a long sound go forward only");
  while (frame >= first_ + kSlab) {
    NPU_TRY(fetch_until(first_ + kSlab));
    stream_->spare = std::move(slabs_.front());
    slabs_.pop_front();
    first_ += kSlab;
  }
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
  // In blocks of a few groups of lanes, which stay in the cache while all bands are read from them.
  for (size_t f = 0; f < known;) {
    const size_t at = start - first_ + f;
    const size_t n = std::min(kBlock - at % kBlock, known - f);
    const float* slab = slabs_[at / kSlab].get();
    for (size_t m = 0; m < n_mels_; ++m) {
      float* row = out.data() + m * kFrames + f;
      for (size_t done = 0; done < n;) {
        const size_t in = at % kSlab + done, lane = in % kLanes, piece = std::min(kLanes - lane, n - done);
        const float* from = slab + ((in - lane) * n_mels_ + m * kLanes + lane);
        if (piece == kLanes) {
          for (size_t j = 0; j < kLanes; ++j) row[done + j] = scaled(from[j]);
        } else {
          for (size_t j = 0; j < piece; ++j) row[done + j] = scaled(from[j]);
        }
        done += piece;
      }
    }
    f += n;
  }
  for (size_t m = 0; m < n_mels_; ++m)
    std::fill(out.begin() + static_cast<std::ptrdiff_t>(m * kFrames + known),
              out.begin() + static_cast<std::ptrdiff_t>((m + 1) * kFrames), filler);
  return {};
}

}  // namespace npuport::whisper
