// Totals: sums of the rows of each cluster that rows enter and leave, bitwise the same in any
// order.
//
//   sums_kj = sum_{i: label_i = k} rint((x_ij - s_j) steps_j)        counts_k = #{i: label_i = k}
//
// steps_j is a power of two so large that rounding loses 2^-51 to 2^-33 of the column's largest
// magnitude max_i |x_ij - s_j|, and so small that N rows cannot overflow (kernels.totals).
// Whole numbers are added exactly: sums depend on the labels alone, not on the order, the threads,
// or how the rows came to have their labels, so a pass touches only rows whose label changed.
//
// Cost: D conversions and additions for each cluster that a row leaves or enters.
#pragma once

#include <cstdint>

namespace unsup {

struct Totals {
    int64_t stride;       // a multiple of 8, at least D
    const double* steps;  // IN [stride], zero past D
    int64_t* sums;        // IN/OUT [K, stride]
    int64_t* counts;      // IN/OUT [K]
};

// Where the centroids c go from totals, and what inertia they had: sum |x'|^2 is known, and
//
//   sum_i |x'_i - c'_{label_i}|^2 = sum |x'|^2 - 2 sum_k c'_k . S_k + sum_k n_k |c'_k|^2
//
// with S the sums. Each cluster's part is added up in one order and by itself.
template <class T>
struct Means {
    int64_t k, d;
    const T* centers;  // IN [K, D]
    const T* shift;    // IN [D]
    T* means;          // OUT [K, D]: shift + S / n, or c where there are no rows
    double* moved;     // OUT [K]: |mean - c|^2
    double* cross;     // OUT [K]: c' . S
    double* own;       // OUT [K]: n |c'|^2
};

}  // namespace unsup
