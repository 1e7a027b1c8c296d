// Totals as Python holds them.
#pragma once

#include "common.hpp"
#include "totals/totals.hpp"

namespace unsup {

// The arrays of a Totals, which live as long as it.
struct TotalsArrays {
    In<double> quanta;   // IN [S]
    In<int64_t> sums;    // IN/OUT [K, S]
    In<int64_t> counts;  // IN/OUT [K]

    // Throws unless they are those of K clusters in D columns.
    void require_shape(int64_t k, int64_t d) const {
        require(quanta.size() >= d && counts.size() == k, "totals: wrong size");
    }

    Totals view() {
        return {quanta.size(), quanta.data(), sums.mutable_data(), counts.mutable_data()};
    }
};

// The totals that rows with these labels, -1 or a centroid each, move between.
inline Totals moving(TotalsArrays& totals, const In<int32_t>& labels, const int64_t n,
                     const int64_t k, const int64_t d) {
    totals.require_shape(k, d);
    require(labels.size() == n, "labels: wrong length");
    const int32_t* label = labels.data();
    for (int64_t i = 0; i < n; ++i)
        require(label[i] >= -1 && label[i] < k, "labels: not a centroid");
    return totals.view();
}

}  // namespace unsup
