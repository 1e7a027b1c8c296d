// nearest: the m nearest centroids of every row, in one pass.
//
//   labels_i = the m first k in the order of (|x_i - c_k|^2, k),  distances_ij = |x_i - c_k|^2
//
// Scores, tiles, types and error are those of assign (assign/assign.hpp), so the first label is
// assign's. A point holds its m best scores, falling; most scores fail the one comparison with the
// m-th. Those that pass are inserted lane by lane: they enter behind equal scores, whose k is
// lower.
//
// Distances are computed from differences, in T, once the labels are known. Labels are in the order
// of their scores, so distances rise up to the error of these.
//
// Cost: that of assign's scores without the maximum's selections; m + m log(K / m) insertions a row
// of m steps each if centroids come in random order, and m D for the distances.
#pragma once

#include <cstdint>

namespace unsup {

template <class T>
struct NearestOut {
    int64_t m;        // IN: 1 <= m <= K
    int32_t* labels;  // OUT [N, m]
    T* distances;     // OUT [N, m]; null: not wanted
};

}  // namespace unsup
