// seed: one round of greedy k-means++ (Arthur & Vassilvitskii 2007).
//
//   distances[t, i] = min(closest_i, |x_i - candidate_t|^2)    potentials[t] = sum_i w_i
//   distances[t, i]
//
// Distances come from differences in T, so a dense row has distance zero to its equal; potentials
// are summed in double over fixed chunks of rows, merged in order.
#pragma once

#include <cstdint>

#include "assign.hpp"
#include "parallel.hpp"

namespace unsup {

template <class T>
struct Seed {
    int64_t n, d, t;
    const T* x;           // IN [N, D], dense rows; null for CSR
    const T* candidates;  // IN [T, D]
    const T* closest;     // IN [N] or null for infinity
    const T* weight;      // IN [N] or null for ones
    T* distances;         // OUT [T, N]
    double* potentials;   // OUT [T]
};

}  // namespace unsup
