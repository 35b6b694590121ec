// Log-mel spectra of 400-sample windows, sixteen windows at a time: the size Whisper's features are made of.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

namespace npuport::whisper {

inline constexpr size_t kWindow = 400;            // samples: 25 ms at 16 kHz
inline constexpr size_t kHop = 160;               // samples: 10 ms
inline constexpr size_t kBins = kWindow / 2 + 1;  // 0 .. 8000 Hz
inline constexpr size_t kLanes = 16;              // windows per call

// |DFT(hann · x)|² of real windows: a real transform of 400 as a complex one of 200 (Stockham, radices 4, 2, 5, 5).
// float32 throughout; the tables are made in double. Immutable after construction, so threads may share one.
class PowerSpectrum {
 public:
  PowerSpectrum();

  // Window j starts at samples[160·j] for j < kLanes; reads samples[0 .. 160·15 + 399].
  // power[kBins][kLanes]: bin k of window j at power[k · kLanes + j].
  void compute(const float* samples, float* power) const;

 private:
  std::array<float, kWindow> hann_{};                 // periodic: sin²(π n / 400)
  std::vector<float> twiddle_re_, twiddle_im_;        // per stage, per position p, per output k
  std::array<float, kBins> split_re_{}, split_im_{};  // e^(-2πi k / 400)
};

// One band: weights of consecutive bins.
struct MelFilter {
  size_t first = 0;  // bin of weights[0]
  std::vector<float> weights;
};

inline constexpr float kFloor = 1e-10f;    // power below this counts as this
inline constexpr float kSilence = -10.0f;  // log10(kFloor)

// out[filters][kLanes] = log10 of the weighted sums of `power`, kSilence at least; `loudest[kLanes]` is raised to the
// largest of each window. log10 as e·log10(2) + log10(m) by the series of 2·artanh((m-1)/(m+1)), within 1e-6.
void log_mel(const float* power, const std::vector<MelFilter>& filters, float* out, float* loudest);

}  // namespace npuport::whisper
