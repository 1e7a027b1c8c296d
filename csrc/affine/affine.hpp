// affine: an affine map of every row, in T.
//
//   out_ik = offset_k + sum_j (x_ij - shift_j) weights_kj
//
// Columns are added in order, each product fused where the instruction set can. With u the unit
// roundoff of T, |error of out_ik| <= (D + 3) u (|offset_k| + sum_j |x_ij - shift_j| |weights_kj|).
// The result does not depend on the threads.
//
// Cost: D multiply-adds for each output, 8 rows (4 with 16 registers) by up to 3 vectors of
// outputs in registers; the weights are packed once a call.
#pragma once

#include <cstdint>

namespace unsup {

template <class T>
struct Affine {
    int64_t n, d, k;
    const T* x;        // IN [N, D]
    const T* shift;    // IN [D]
    const T* weights;  // IN [K, D]
    const T* offset;   // IN [K]
    T* out;            // OUT [N, K]
};

}  // namespace unsup
