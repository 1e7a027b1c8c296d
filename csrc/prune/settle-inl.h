// Members of Pruner that decide among the centroids that no bound rules out, in all columns.
#if defined(UNSUP_PRUNE_SETTLE_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_PRUNE_SETTLE_INL_H_
#undef UNSUP_PRUNE_SETTLE_INL_H_
#else
#define UNSUP_PRUNE_SETTLE_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "prune/exact-inl.h"
#include "prune/greatest-inl.h"
#include "prune/pruner-inl.h"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

// Settles the rows that have survivors. These come by group and are wanted by row.
template <class T, class Y>
template <class OnChange>
inline void Pruner<T, Y>::settle_block(int64_t i0, int rows, const int32_t* labels,
                                       PruneSpace<T>& space, const OnChange& on_change) const {
    const auto& all = space.survivors;
    int32_t end[kBlockRows + 1] = {}, next[kBlockRows];
    const size_t count = space.n_survivors;
    for (size_t s = 0; s < count; ++s) ++end[all[s].row + 1];
    for (int r = 0; r < kBlockRows; ++r) end[r + 1] += end[r];
    space.sorted.resize(count);
    std::copy(end, end + kBlockRows, next);
    for (size_t s = 0; s < count; ++s) space.sorted[size_t(next[all[s].row]++)] = all[s];
    for (int r = 0; r < rows; ++r) {
        const int64_t i = i0 + r;
        int32_t k = space.own[r];
        space.candidates.clear();
        for (int32_t s = end[r]; s < end[r + 1]; ++s) {
            const int32_t at = space.sorted[size_t(s)].slot;
            if (refine(i, at, space)) space.candidates.push_back({b.cluster[at], at, 0});
        }
        if (!space.candidates.empty()) {
            space.survived += int64_t(space.candidates.size());
            take(i, i, space.row.get());
            if (space.known[r] == kUnknown) space.known[r] = squared_distance(space.row.get(), k);
            space.candidates.push_back({k, space.slot[r], space.known[r]});
            std::swap(space.candidates.front(), space.candidates.back());
            k = settle(i, b.lower + i * b.width, space);
        }
        if (k != labels[i]) on_change(i, k);
    }
}

// Lowers what is stored for a bound. NaN, which protects from nothing, stays until the bound is
// computed anew: a later number could be above one that it took the place of.
template <class T>
UNSUP_INLINE void lower_to(T& stored, T bound) {
    if (stored == stored && !(bound >= stored)) stored = bound;
}

// Whether fine codes, if there are any, leave the centroid in this slot to row i; one that they
// rule out enters the bounds.
template <class T, class Y>
inline bool Pruner<T, Y>::refine(int64_t i, int32_t slot, PruneSpace<T>& space) const {
    if constexpr (Y::kHasFine) {
        if (b.fine.codes == nullptr) return true;
        ++space.refined;
        const double least = y.fine.least(i, slot);
        if (!(least > double(b.upper[i]) * double(kUp<T>))) return true;
        const int64_t q = slot / (kNear * b.span);
        T& lower = b.lower[i * b.width + q];
        const T bound = stored(least, q);
        lower_to(lower, bound);
        return false;
    }
    return true;
}

// The label of row i among its candidates; all others of them enter the bounds.
template <class T, class Y>
inline int32_t Pruner<T, Y>::settle(int64_t i, T* lower, PruneSpace<T>& space) const {
    const T* row = space.row.get();
    auto& all = space.candidates;
    double nearest = all[0].squared;
    for (size_t q = 1; q < all.size(); ++q) {
        all[q].squared = squared_distance(row, all[q].k);
        nearest = std::min(nearest, all[q].squared);
    }
    // Candidates that could be best in assign's order of operations. Where squares overflow or
    // are no numbers these are all.
    const double limit = nearest * (1 + 2 * blur()) + rounding(length(i));
    auto& close = space.close;
    close.clear();
    for (const Candidate& candidate : all)
        if (!(candidate.squared > limit)) close.push_back(candidate);
    Candidate winner = close.empty() ? all[0] : close[0];
    if (close.size() > 1) {
        std::sort(close.begin(), close.end(),
                  [](const Candidate& a, const Candidate& z) { return a.k < z.k; });
        winner = highest(row, close);
    }
    if (winner.k != all[0].k) b.upper[i] = upper(i, winner.squared);
    for (const Candidate& other : all) {
        if (other.k == winner.k) continue;
        const int64_t q = other.slot / (kNear * b.span);
        const double least = other.squared * (1 - blur()) - 2 * lost();
        const T bound = stored(std::sqrt(std::max(least, 0.0)), q);
        lower_to(lower[q], bound);
    }
    return winner.k;
}

// The first of the candidates, by rising index, whose score in assign's order is highest.
template <class T, class Y>
inline Candidate Pruner<T, Y>::highest(const T* row, std::vector<Candidate>& close) const {
    const size_t count = close.size();
    close.resize((count + 3) / 4 * 4, close[0]);
    T four[4] = {};
    T best = -kInfinity;
    Candidate winner = close[0];
    for (size_t q = 0; q < count; ++q) {
        if (q % 4 == 0) exact_scores<T>(row, c, close.data() + q, four);
        if (four[q % 4] > best) {
            best = four[q % 4];
            winner = close[q];
        }
    }
    return winner;
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
