// seed: greedy k-means++ (Arthur & Vassilvitskii 2007), all rounds or one.
//
// Round k draws candidates c_t = min {i : sum_{j <= i} w_j closest_j >= uniform[k, t] * potential},
// scores each by potential_t = sum_i w_i min(closest_i, |x_i - x_(c_t)|^2), keeps the best, the
// first among equals, and lowers `closest` to its distances.
//
// A distance is computed from differences of x * scale in T, so it is zero between equal rows; its
// order of operations depends on D alone: over vectors of columns, or, for fewer than two vectors
// of them, column by column. Potentials are summed in double over fixed blocks of rows, merged in
// order; draws search the blocks, then the rows of one.
//
// With rows projected by an orthonormal basis (prune.hpp), a pair is computed only if its bound,
// less all rounding, is below closest_i; the others cannot change it. So rows, potentials and
// distances are bitwise the same with and without bounds, and for any number of threads.
//
// Cost of a round: D multiply-adds for each pair of row and candidate that is computed, and with
// bounds `leading` for each pair. The rows come from memory once a round.
#pragma once

#include <cstdint>

namespace unsup {

// One round with the candidates passed in, for rows that come in pieces or as CSR.
template <class T>
struct KMeansPlusPlus {
    int64_t n, d, t;
    const T* x;           // IN [N, D], dense rows; null for CSR
    const T* candidates;  // IN [T, D]
    const T* closest;     // IN [N] or null for infinity
    const T* weight;      // IN [N] or null for ones
    T scale;              // IN power of two that rows and candidates are multiplied by; not CSR
    T* distances;         // OUT [T, N]: min(closest_i, |x_i - candidate_t|^2)
    double* potentials;   // OUT [T]: sum_i w_i distances[t, i]
};

// Rows in few columns, for bounds.
template <class T>
struct KMeansPlusPlusBounds {
    int64_t columns;      // R + 1, a multiple of 16
    int64_t leading;      // columns of the first bound, the last of them a tail; at most `columns`
    const T* rows;        // IN [N, R + 1]: y of every row, at the scale of the seeding
    const double* slack;  // IN [N]: how far y may be off
};

// Rounds [first, last).
template <class T>
struct KMeansPlusPlusRounds {
    int64_t n, d, t, first, last;
    const T* x;             // IN [N, D]
    const T* weight;        // IN [N] or null for ones
    T scale;                // IN power of two that brings differences of rows near one
    const double* uniform;  // IN [K, T] in [0, 1)
    const KMeansPlusPlusBounds<T>* bounds;  // IN or null
    int64_t* chosen;     // IN [0, max(first, 1)), OUT the rounds': indices of rows
    T* closest;          // IN unless first = 0, OUT [N]: distances to the rows chosen
    double* potentials;  // OUT [K], the rounds': sum_i w_i closest_i after each
    int64_t scored;      // OUT: pairs whose distance was computed
};

}  // namespace unsup
