// Power spectra of 400-sample windows, eight windows at a time: the size Whisper's features are made of.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

namespace npuport::whisper {

inline constexpr size_t kWindow = 400;            // samples: 25 ms at 16 kHz
inline constexpr size_t kHop = 160;               // samples: 10 ms
inline constexpr size_t kBins = kWindow / 2 + 1;  // 0 .. 8000 Hz
inline constexpr size_t kLanes = 8;               // windows per call

// |DFT(hann · x)|² of real windows: a real transform of 400 as a complex one of 200 (Stockham, radices 4, 2, 5, 5).
// float32 throughout; the tables are made in double. Immutable after construction, so threads may share one.
class PowerSpectrum {
 public:
  PowerSpectrum();

  // Window j starts at samples[160·j] for j < kLanes; reads samples[0 .. 160·7 + 399].
  // power[kBins][kLanes]: bin k of window j at power[k · kLanes + j].
  void eight(const float* samples, float* power) const;

 private:
  std::array<float, kWindow> hann_{};                 // periodic: sin²(π n / 400)
  std::vector<float> twiddle_re_, twiddle_im_;        // per stage, per position p, per output k
  std::array<float, kBins> split_re_{}, split_im_{};  // e^(-2πi k / 400)
};

}  // namespace npuport::whisper
