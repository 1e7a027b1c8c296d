// em: log densities of rows under a Gaussian mixture, responsibilities, and the moments for the
// next mixture, in one pass.
//
//   z_ik = U_k^T (x_i - mu_k)
//   l_ik = log pi_k + log det U_k - D/2 log(2 pi) - |z_ik|^2 / 2
//   log p_i = log sum_k exp l_ik                   log_likelihood = sum w_i log p_i
//   r_ik = exp(l_ik - log p_i)                     resp_sums_k = sum w_i r_ik
//   sums_k = sum w_i r_ik (x_i - mu_k)
//   second_k = sum w_i r_ik (x_i - mu_k) (x_i - mu_k)^T
//
// Layout: a block of rows that fits in cache is transposed into tiles of P rows, [D][P], so rows
// are in the lanes and U_k, upper triangular, is broadcast: D (D + 1) / 2 multiply-adds a row and
// component (full), D (diagonal); tied projects a row once for all components. For the moments, the
// rows of a block that a component has a share of are gathered, [rows][D], each times the root of
// its share, and the upper half of their products is added up with columns in the lanes.
//
// Types: z, l and r in T; log p_i is summed in double; products are summed in T over at most 248
// rows, then in double. With u the unit roundoff of T:
//
// - x is taken from mu rounded to T, which errs by no more than u |x - mu|; what the rounding took
//   from mu is put back into z and, in double, into the sums. With g = |x - mu| + u |mu|
//   |dz_j| <= (j + 4) u sum_i |U_ij| g_i for the j-th of full and for diagonal; tied is the same
//   with g = |x - s|, s the mean of the means, plus 4 u |z_j|.
// - |dl| <= sum_j (2 |z_j| + |dz_j|) |dz_j| / 2 + (D + 4) u |z|^2 + 2 u (c - c_k), c_k the constant
//   terms of l and c the largest of them, which is in double. exp and log err by less than 2
//   ulps; exp is zero below the smallest normal number.
// - Sums err by at most 260 u sum w r g_i, products by 260 u sum w r g_i g_j, plus what r errs by.
//   The second moment of tied is summed in double, about s, and moved to the means at the end,
//   where it loses what the means' distances from s, squared, have in digits over the spread.
//
// Rows and parameters are multiplied by a power of two that brings the spreads near one, so values
// neither over- nor underflow between 1e-15 and 1e15 times the typical spread in float.
//
// A share r_ik < pi_k u / 64 adds nothing. Where |z|^2 overflows l is minus infinity; if that is so
// for all k (or if the row has a NaN) log p_i is minus infinity and r_i zero.
//
// Order: rows enter sums in an order that depends on N, D and K alone, so the result is bitwise the
// same for any number of threads. Memory: one set of sums a thread (K D^2 doubles; threads are
// left out where all would take more than 4 GiB), and one block.
//
// Cost for each row and component: the multiply-adds above for z, an exponential, and for each pair
// with a share D (D + 1) / 2 multiply-adds (full), D (diag, spherical); tied has them once a row.
#pragma once

#include <cstdint>

namespace unsup {

enum class CovarianceType { full, tied, diag, spherical };

template <class T>
struct EmIn {
    int64_t n, d, k;
    CovarianceType covariance;
    const T* x;                 // IN [N, D]
    const double* log_weights;  // IN [K]; null if resp or labels are inputs
    const double* means;        // IN [K, D]
    const double* factors;      // IN U: [K, D, D], tied [D, D], diag [K, D], spherical [K]; or null
    const T* weight;            // IN [N] or null for ones
    const T* resp;              // IN [N, K] or null: r_ik
    const int32_t* labels;      // IN [N] or null: r_ik = 1 for k = label_i
};

template <class T>
struct EmOut {
    double* resp_sums;      // OUT [K]; null: no moments are wanted
    double* sums;           // OUT [K, D]
    double* second;         // OUT [K, D, D], tied [D, D], diag [K, D], spherical [K]
    T* log_prob;            // OUT [N] or null
    T* resp;                // OUT [N, K] or null
    int32_t* labels;        // OUT [N] or null: the k of the largest l_ik
    double log_likelihood;  // OUT
};

}  // namespace unsup
