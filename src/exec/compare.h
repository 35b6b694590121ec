// Gates: the tests a step must pass (design: "Gates, exactly").
#pragma once

#include <string>
#include <vector>

#include "ir/tensor.h"

namespace npuport {

enum class Verdict { pass, skip, unverified, fail };  // FAIL > UNVERIFIED > SKIP > PASS
std::string_view name(Verdict v);                     // "PASS" …
Verdict worst(Verdict a, Verdict b);

enum class GateKind { general, image, mask, text };

struct Gate {
  GateKind kind = GateKind::general;
  double max_diff = 1e-3;      // general: max|Δ| must be below
  double relative = 1e-3;      // general: ‖Δ‖ / ‖baseline − mean‖ must be below
  double psnr = 40.0;          // image: above …
  double mse = 1e-4;           // … or MSE below
  std::optional<double> peak;  // image: both sides divided by it; default the smaller of 1, 255 that is ≥ max(baseline)
  double iou = 0.99;           // mask: at least
  double threshold = 0.0;      // mask: value above which a pixel belongs
};
// "general", "image", "mask", "text"; `usage` otherwise.
Result<GateKind> parse_gate_kind(std::string_view text);

struct Comparison {
  Verdict verdict = Verdict::pass;
  double max_diff = 0;  // largest |Δ|; NaN/Inf reported through `reason`
  double relative = 0;
  double psnr = 0, mse = 0;  // image only
  double iou = 0;            // mask only
  int64_t worst_index = -1;  // flat index of the largest |Δ|
  std::string reason;        // one sentence with the figures, for FAIL and UNVERIFIED
};

// One output. Integers and booleans must be equal under every gate but mask; NaN, Inf, shape or dtype-class mismatch
// FAIL.
Comparison compare(const Tensor& got, const Tensor& baseline, const Gate& gate);
// All outputs of a sample: the worst one. Count mismatch FAILs.
Comparison compare_all(std::span<const Tensor> got, std::span<const Tensor> baseline, const Gate& gate);

}  // namespace npuport
