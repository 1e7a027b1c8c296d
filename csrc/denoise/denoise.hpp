// denoise: one row of a sampler's table, in one pass.
//
//   m      = uncond + GUIDANCE (output - uncond)      (output where there is no uncond)
//   x0     = X0_X x + X0_OUTPUT m, clipped to +-CLIP, or thresholded
//   d      = KEEP_X x + KEEP_X0 x0                                                  -> keep
//   next   = NEXT_X x + NEXT_KEEP d + NEXT_ANCHOR anchor
//            + sum_j NEXT_HISTORY[j] history[j] + NEXT_NOISE z                      -> out
//   anchor = ANCHOR_X x + ANCHOR_KEEP d + ANCHOR_ANCHOR anchor
//            + sum_j ANCHOR_HISTORY[j] history[j]                                   -> anchor_out
//
// Coefficients are multiplied out in float64 as far as clipping allows and cast once, to float32,
// or float64 for float64. A tensor whose coefficients are all zero is not read, and noise not
// drawn. With u the unit roundoff of the arithmetic and k <= 10 terms, the error of a result is at
// most (k + 2) u times the sum of the terms' magnitudes, and that of the one rounding.
//
// Thresholding (Saharia et al. 2022, section 2.3): s is the quantile of |x0| in a sample, between
// order statistics by linear interpolation, not below 1 nor above `greatest`; x0 is clipped to +-s
// and divided by s. A NaN makes the sample NaN; an infinity is one of the sizes.
//
// An output may be an input, or share nothing with one. Threads change no bit.
//
// Cost: a multiply-add for each term of each output; what is read and written sets the time.
// Outputs of 4 MiB and more that are not inputs are stored past the caches. Thresholding computes
// x0 twice.
#pragma once

#include "samples/samples.hpp"

namespace unsup {

struct Row {  // kernels/sampler_terms.py
    double guidance, x0_x, x0_output, clip, keep_x, keep_x0;
    double next_x, next_keep, next_anchor, next_history[4], next_noise;
    double anchor_x, anchor_keep, anchor_anchor, anchor_history[4];
};

struct Denoise {
    Grid grid;
    Row row;
    Samples x, output;       // IN
    Samples uncond, anchor;  // IN or null
    Samples history[4];      // IN or null
    Samples noise;           // IN or null
    Draw draw;               // where there is no noise
    bool thresholded;
    double quantile, greatest;
    Samples out;               // OUT
    Samples keep, anchor_out;  // OUT or null
};

}  // namespace unsup
