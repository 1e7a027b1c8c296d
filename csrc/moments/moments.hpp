// moments: mean, variance (divided by N), minimum and maximum of every column, in one pass.
//
// A chunk of rows is summed in double about its first row, sum (x - r) and sum (x - r)^2, so there
// is no cancellation far from the origin; chunks are merged in order by Chan, Golub & LeVeque's
// formula. The chunks depend on N and D alone: the result does not depend on the threads.
//
// With u the unit roundoff of double, m the rows of a chunk, c the chunks and R = max |x - mean|,
// to first order in u,
//
//   |error of mean| <= u (2 (m + 4 c) R + (c + 1) |mean|)
//   |error of variance| <= 12 u (m + 4 c) R^2 + 8 R |error of mean|
//
// Minima and maxima are exact. A value that is not finite makes all four of all columns NaN.
//
// Cost: a conversion, a subtraction, an addition, a multiply-add and two comparisons for each
// value; memory sets the time.
#pragma once

#include <cstdint>

namespace unsup {

template <class T>
struct Moments {
    int64_t n, d;
    const T* x;        // IN [N, D]
    double* mean;      // OUT [D]
    double* variance;  // OUT [D]
    double* minimum;   // OUT [D]
    double* maximum;   // OUT [D]
    int64_t bad;       // OUT flat index of the first NaN or infinity, -1 if there is none
};

}  // namespace unsup
