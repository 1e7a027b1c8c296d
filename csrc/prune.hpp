// prune: the labels of assign, with most centroids of a row ruled out by a few projected columns.
//
// For an orthonormal basis Q of R directions, z = Q^T x' and t = |x' - Q z| (the tail),
//
//   |x' - c'|^2 >= |z_x - z_c|^2 + (t_x - t_c)^2 = |y_x - y_c|^2,   y = (z, t)
//
// so a centroid is out if its bound in R + 1 columns exceeds the distance to some centroid already
// known, here that of the row's old label. The bounds of a tile come from the kernel of assign on
// y; the survivors are scored in all D columns.
//
// Exact: y is known up to `slack`, the bounds' own rounding is added, and a centroid is only ruled
// out if assign's score of it could not be the best. Survivors whose scores differ by less than
// their rounding are scored again in assign's order of operations. So labels, and with them sums,
// weights and inertia, are those of assign to the bit.
#pragma once

#include "assign.hpp"

namespace unsup {

// Columns of rows in a basis: z = Q^T x' and |x'|^2, x' = (x - shift) * scale.
template <class T>
struct Project {
    int64_t n, d, r;
    const T* x;           // IN [N, D]
    const T* directions;  // IN [R, D]
    const T* shift;       // IN [D]
    T scale;              // IN a power of two that brings the rows near one
    T* rows;              // OUT [N, R + 1]: z; the last column is left alone
    T* squares;           // OUT [N]: |x'|^2
};

template <class T>
struct Projection {
    int64_t columns;        // R + 1
    T scale;                // IN of project
    const T* rows;          // IN [N, R + 1]: y of every row
    const T* centers;       // IN [K, R + 1]: y of every centroid
    const double* squares;  // IN [N]: |y|^2
    const double*
        slack;          // IN [N]: how far a row's y may be off, the largest of a centroid included
    int64_t survivors;  // OUT: row-centroid pairs that were scored in all columns
};

}  // namespace unsup
