// covariance: sums of the columns and of the products of each two of them, in one pass.
//
//   x' = (x - shift) * scale,   sums_j = sum_i x'_ij,   products_jk = sum_i x'_ij x'_ik
//
// Products are symmetric, so half of them are computed. x' and blocks of 256 rows are in T; blocks
// are added up in double in a chunk, chunks in order. The cut depends on N and D alone: the result
// does not depend on the threads. With u the unit roundoff of T,
//
//   |error of products_jk| <= 260 u sum_i |x'_ij| |x'_ik|,  |error of sums_j| <= 260 u sum_i
//   |x'_ij|
//
// unless a product overflows or vanishes; scale brings columns near one to prevent that. A value
// that is not finite makes the sum and the square of its column not finite.
//
// Cost: about D / 2 multiply-adds for each value of X, 8 columns (4 with 16 registers) by up to 3
// vectors of products in registers. With 16 registers 3 panels of columns stay in the first cache
// while all groups of columns are multiplied by them.
#pragma once

#include <cstdint>

namespace unsup {

template <class T>
struct Covariance {
    int64_t n, d;
    const T* x;        // IN [N, D]
    const T* shift;    // IN [D]
    const T* scale;    // IN [D] powers of two
    double* sums;      // OUT [D]
    double* products;  // OUT [D, D]
};

}  // namespace unsup
