// noise: samples at times of the forward process, and the targets of training.
//
//   out_b = signal_b x0_b + sigma_b eps_b
//   target_b: eps_b, signal_b eps_b - sigma_b x0_b, or eps_b - x0_b
//
// in float32, in float64 for float64, from coefficients cast once; each result is rounded once.
// With u the unit roundoff of the arithmetic, the error is at most 3 u (|signal x0| + |sigma eps|)
// and that of the rounding. Normals are those of randn.hpp, not rounded before they are used.
// An output may be an input, or share nothing with one. Threads change no bit.
//
// Cost: two multiplications and an addition for each output; what is read and written sets the
// time, or where noise is drawn what randn costs. Outputs of 4 MiB and more that are not inputs are
// stored past the caches.
#pragma once

#include "samples/samples.hpp"

namespace unsup {

enum class Target { none, eps, v, flow };

struct Noise {
    Grid grid;
    Samples x0;                    // IN
    Samples eps;                   // IN or null
    Draw draw;                     // where there is no eps
    const double *signal, *sigma;  // IN [B]
    Target target;
    Samples out;         // OUT
    Samples out_target;  // OUT, null where there is no target
};

}  // namespace unsup
