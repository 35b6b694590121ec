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

// |DFT(hann · x)|² of real windows: a real transform of 400 as a complex one of 200 (8 · 5 · 5, decimated in
// frequency, the last step together with the split into the real one's bins).
// float32 throughout; the tables are made in double. Immutable after construction, so threads may share one.
class PowerSpectrum {
 public:
  PowerSpectrum();

  // Window j starts at samples[160·j] for j < kLanes; reads samples[0 .. 160·15 + 399].
  // power[kBins][kLanes]: bin k of window j at power[k · kLanes + j].
  void compute(const float* samples, float* power) const;

 private:
  std::array<float, kWindow> hann_{};                 // periodic: sin²(π n / 400), halved
  std::vector<float> first_, second_;                 // turns between the steps: per butterfly and output, re and im
  std::array<float, kBins> split_re_{}, split_im_{};  // e^(-2πi k / 400)
};

// Bands: weights of consecutive bins, all bands' one after the other.
struct MelFilters {
  struct Band {
    size_t first, count;  // bins
  };
  std::vector<Band> bands;
  std::vector<float> weights;
};

inline constexpr float kFloor = 1e-10f;    // power below this counts as this
inline constexpr float kSilence = -10.0f;  // log10(kFloor)

// out[bands][kLanes] = log10 of the weighted sums of `power`, kSilence at least; `loudest[kLanes]` is raised to the
// largest of each window. log10 as e·log10(2) + log10(m) by the series of 2·artanh((m-1)/(m+1)), within 1e-6.
void log_mel(const float* power, const MelFilters& filters, float* out, float* loudest);

}  // namespace npuport::whisper
