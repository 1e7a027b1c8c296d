// group_norm: group normalisation with the modulation and the activation that follow it, and its
// gradient; images with the channels last, [B][P][C].
//
//   u = (x - mean_bg) / sqrt(var_bg + eps)        over the positions and channels of a group
//   v = (u weight_c + bias_c) (1 + scale_bc) + shift_bc
//   out = v, or v sigmoid(v)
//
// and from of_out = d loss / d out, with dv = of_out d out / d v:
//
//   of_x,   of_shift_bc = sum of dv over positions,   of_gain_bc = sum of dv u over positions
//
// in float32, in float64 for float64; each result is rounded once. Sums run in that type over at
// most kSummed positions, in float64 beyond, and the variance is that of deviations from the mean,
// so u has an error of a few unit roundoffs of max |x - mean| / sqrt(var + eps). Groups whose sums
// leave float32's range are summed in float64 throughout: what is needed is |x| < 1e38 and
// sqrt(var + eps) > 1e-38, in float64 their 1e154 and 1e-154. An infinity or a NaN makes its group
// NaN. Threads change no bit.
//
// Cost: x is read three times, for the mean, the variance and the result, the gradient reads x and
// of_out twice more; the sigmoid is an exponential and a division for each value.
#pragma once

#include <cstdint>

#include "samples/samples.hpp"

namespace unsup {

constexpr int64_t kSummed = 64;

struct GroupNorm {
    Grid grid;
    int64_t groups;  // divides the channels
    double eps;
    bool silu;
    // In the type of the arithmetic.
    const void *weight, *bias;  // IN [C] or null
    const void *scale, *shift;  // IN [B][C] or null
    const void* x;              // IN
    void* out;                  // OUT, or null where the gradient is asked for
    const void* of_out;         // IN or null
    void* of_x;                 // OUT or null
    void *of_gain, *of_shift;   // OUT [B][C] in the type of the arithmetic, or null
};

}  // namespace unsup
