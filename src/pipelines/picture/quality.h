// How alike two pictures are.
#pragma once

#include "pipelines/picture/picture.h"

namespace npuport {

struct PictureQuality {
  double psnr = 0;    // dB over all channels, peak 255; infinity for equal pictures
  double psnr_y = 0;  // dB of the luma (BT.601, 16…235), the figure of super-resolution papers
  double ssim = 0;    // of the luma, 1 for equal pictures
};

// PSNR = 10·log10(255² / mean squared error). SSIM: Wang, Bovik, Sheikh, Simoncelli, "Image Quality Assessment: From
// Error Visibility to Structural Similarity", IEEE TIP 13(4), 2004: Gaussian window 11x11 of sigma 1.5, K1 0.01,
// K2 0.03, mean over all full windows (smaller pictures: one window over the whole). `border` pixels are left out at
// each edge. shape_mismatch when the sizes or channels differ or nothing is left.
Result<PictureQuality> compare_pictures(const Picture& a, const Picture& b, int border = 0);

// Luma of BT.601 in studio range, 16…235, one value a pixel; gray pictures: their samples.
std::vector<float> luma(const Picture& p);

}  // namespace npuport
