// assign: nearest centroid of every row, fused with the sums that move the centroids.
//
//   label_i = argmin_k |x_i - c_k|^2 = argmax_k  x'_i . c'_k - |c'_k|^2 / 2,   x' = x - s, c' = c -
//   s sums_k += sum w_i x'_i    weights_k += sum w_i    inertia += sum w_i |x'_i - c'_{label_i}|^2
//
// Layout: a block of rows is transposed into tiles of P points, [D][P], less the shift s and times
// a power of two that brings the largest centroid near one (so nothing over- or underflows); the
// centroids are packed [K / C][D][C]. The inner loop keeps P x C scores in registers, started at
// -|c'|^2 / 2; only the running maximum and its index leave them.
//
// Types: scores and differences in T; sums, weights and inertia in double. Scores carry a relative
// error of at most (D + 4) u (|x'| |c'| + |c'|^2), u the unit roundoff of T; labels are exact where
// the two nearest squared distances differ by more than four times that
// (kernels.assign.error_bound).
//
// Ties: among equal scores the lowest k wins. `Best::update` and the scores of CSR rows say so
// here, `settle` in csrc/prune, and `_best_two` and `nearest` in kernels/assign/triton_scores.py;
// they must agree.
//
// Order: rows enter sums, weights and inertia in an order that depends on N, K and D alone, so the
// result is bitwise the same for any number of threads.
//
// Cost: D multiply-adds and a comparison for each pair of row and centroid, D additions a row for
// the sums. C = 8 with 32 registers, else 4; P = 3 vectors of rows, 2 of 128 bits on x86.
#pragma once

#include <cstdint>

namespace unsup {

template <class T>
struct AssignOut {
    int32_t* labels;    // IN/OUT [N]: labels of the pass before, then the new ones
    double* sums;       // IN/OUT [K, D], added to; null: no update
    double* weights;    // IN/OUT [K], added to; null: no update
    T* distances;       // OUT [N] squared distance to the nearest centroid; null: not wanted
    bool labels_only;   // IN: neither inertia nor what is null above is wanted
    bool labelled;      // IN: the labels are right already; only what they lead to is wanted
    double inertia;     // OUT, zero if labels_only
    int64_t n_changed;  // OUT
};

template <class T>
struct AssignIn {
    int64_t n, d, k;
    const T* x;        // IN [N, D], dense rows; null for CSR
    const T* centers;  // IN [K, D]
    const T* weight;   // IN [N] or null for ones
    const T* shift;    // IN [D] or null for zeros
};

// IN: a CSR matrix; exactly one of the two index widths is set.
template <class T>
struct Csr {
    const T* data;             // [nnz]
    const int32_t* indices32;  // [nnz]
    const int32_t* indptr32;   // [N + 1]
    const int64_t* indices64;
    const int64_t* indptr64;
};

}  // namespace unsup
