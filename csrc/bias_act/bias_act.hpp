// bias_act: a bias for each channel, leaky ReLU and a gain; and the map of its derivatives, which
// is the same one with the signs of an earlier result. Rows of channels, [N][C].
//
//   v_nc = x_nc + bias_c
//   out_nc = gain v_nc if s_nc > 0, else gain slope v_nc,     s = v, or the tensor `sign`
//   sums_c = sum over n of out_nc
//
// in float32, in float64 for float64; each result is rounded once, and errs by at most 3 u |out|
// before that, u the unit roundoff. Sums run in that type over at most kAdded terms, in float64
// beyond: they err by at most (kAdded + 4) u sum |out|. A NaN in s counts as not positive. Threads
// change no bit.
//
// Cost: an addition, a comparison and a product an element; x and sign are read, and out is
// written, once. Large results are written past the caches.
#pragma once

#include <cstdint>

#include "samples/samples.hpp"

namespace unsup {

constexpr int64_t kAdded = 64;

struct BiasAct {
    Element element;  // of x, sign and out
    int64_t rows, channels;
    double slope, gain;
    const void* x;     // IN [rows][channels]
    const void* bias;  // IN [channels] in the type of the arithmetic, or null
    const void* sign;  // IN [rows][channels], or null
    void* out;         // OUT [rows][channels]
    void* sums;        // OUT [channels] in the type of the arithmetic, or null
};

}  // namespace unsup
