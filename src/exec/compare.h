// Gates: the tests a step must pass (design: "Gates, exactly").
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/tensor.h"

namespace npuport {

enum class Verdict { pass, skip, unverified, fail };  // FAIL > UNVERIFIED > SKIP > PASS
std::string_view name(Verdict v);                     // "PASS" …
Verdict worst(Verdict a, Verdict b);

enum class GateKind { general, image, mask, text };

struct Gate {
  GateKind kind = GateKind::general;
  double max_diff = 1e-3;  // general: max|Δ| must be below
  double relative = 1e-3;  // general: ‖Δ‖ / ‖baseline − mean‖ must be below
  double psnr = 40.0;      // image: above …
  double mse = 1e-4;       // … or MSE below
  std::optional<double> peak =
      {};                  // image: both sides divided by it; default the smaller of 1, 255 that is ≥ max(baseline)
  double iou = 0.99;       // mask: at least
  double threshold = 0.0;  // mask: value above which a pixel belongs
};
// "general", "image", "mask", "text"; `usage` otherwise.
Result<GateKind> parse_gate_kind(std::string_view text);
std::string_view name(GateKind kind);

struct Comparison {
  Verdict verdict = Verdict::pass;
  double max_diff = 0;  // largest |Δ|; NaN/Inf reported through `reason`
  double relative = 0;
  double psnr = 0, mse = 0;  // image only; psnr is +inf for equal images
  double iou = 0;            // mask only
  double match = 0;          // text only: 1 − edit distance / length of the longer side
  int64_t worst_index = -1;  // flat index of the largest |Δ| (text: of the first difference)
  std::string reason;        // one sentence with the figures, for FAIL and UNVERIFIED
};

// One output. Integers and booleans must be equal under every gate but mask; NaN, Inf, shape or dtype-class mismatch
// FAIL. What proves nothing is UNVERIFIED: no elements, an all-zero float baseline (general, image), an image baseline
// above 255 without `peak`. The text gate takes integers (token ids) or u8 (bytes) only; sequences may be compared
// whatever their length, a difference in length FAILs like any other.
Comparison compare(const Tensor& got, const Tensor& baseline, const Gate& gate);
// All outputs of a sample: the worst one. Count mismatch FAILs, no outputs at all are UNVERIFIED.
Comparison compare_all(std::span<const Tensor> got, std::span<const Tensor> baseline, const Gate& gate);
// The rule behind it: `one(i)` compares output i of `got` outputs where the baseline has `wanted`.
Comparison worst_of(size_t got, size_t wanted, const std::function<Comparison(size_t)>& one);
// Token ids of one sequence, equal in length and in each position.
Comparison compare_tokens(std::span<const int64_t> got, std::span<const int64_t> baseline);
// Texts: equal bytes; invalid UTF-8 on either side FAILs. `match` counts code points.
Comparison compare_text(std::string_view got, std::string_view baseline);

// True when `a` is the worse result: by verdict, then by the figure that decides its gate (max_diff, PSNR, IoU, match).
bool worse(const Comparison& a, const Comparison& b);

}  // namespace npuport
