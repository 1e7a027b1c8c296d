// Members of Pruner that score centroids as bounds see them, a group at a time.
#if defined(UNSUP_PRUNE_SIFT_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_PRUNE_SIFT_INL_H_
#undef UNSUP_PRUNE_SIFT_INL_H_
#else
#define UNSUP_PRUNE_SIFT_INL_H_
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "prune/greatest-inl.h"
#include "prune/pruner-inl.h"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

// Own centroids to start from: the caller's guesses, else those of the highest projected scores.
// The lower bounds hold the highest score of each bound for now.
template <class T, class Y>
inline void Pruner<T, Y>::guess(int64_t i0, int rows, PruneSpace<T>& space) const {
    std::fill(b.lower + i0 * b.width, b.lower + (i0 + rows) * b.width, -kInfinity);
    for (int r0 = 0; r0 < rows; r0 += M) {
        int64_t row[M];
        for (int m = 0; m < M; ++m) row[m] = i0 + std::min(r0 + m, rows - 1);
        Vec<T> most[M][V];
        Index<T> whose[M][V] = {};
        for (int m = 0; m < M; ++m)
            for (int v = 0; v < V; ++v) most[m][v] = Vec<T>{} - kInfinity;
        for (int64_t g = 0; g < y.groups; ++g) {
            Vec<T> score[M][V];
            y.template score<M>(row, g, score);
            T group[M];
            greatest<T, M, V>(score, group);
            for (int m = 0; m < M; ++m) {
                T& bound = b.lower[row[m] * b.width + g / b.span];
                bound = std::max(bound, group[m]);
                for (int v = 0; v < V; ++v) {
                    const auto better = score[m][v] > most[m][v];
                    most[m][v] = better ? score[m][v] : most[m][v];
                    whose[m][v] = better ? Index<T>{} + typename index_of<T>::type(g) : whose[m][v];
                }
            }
        }
        for (int m = 0; m < M && r0 + m < rows; ++m) {
            int64_t at = 0;
            T best = -kInfinity;
            for (int l = 0; l < kNear; ++l)
                if (most[m][l / W][l % W] > best) {
                    best = most[m][l / W][l % W];
                    at = int64_t(whose[m][l / W][l % W]) * kNear + l;
                }
            const int32_t guessed = b.guess == nullptr ? -1 : b.guess[row[m]];
            space.own[r0 + m] = guessed < 0 ? b.cluster[at] : guessed;
        }
    }
}

// Computes bounds from the scores that `guess` left, and enters row r in the lists of those
// that must be scored again: the own centroid's, and those with survivors.
template <class T, class Y>
inline void Pruner<T, Y>::list_guessed(T* lower, int r, PruneSpace<T>& space) const {
    const int64_t own = space.slot[r] / (kNear * b.span);
    for (int64_t q = 0; q < bounds; ++q)
        if (q == own || !(lower[q] < space.limit[r]))
            space.active[size_t(q * kBlockRows + space.count[size_t(q)]++)] = uint8_t(r);
    const Vec<T> square = Vec<T>{} + space.square[r], slack = Vec<T>{} + space.slack[r];
    for (int64_t q = 0; q < b.width; q += W)
        store<T, W>(lower + q,
                    bound_of(load<T, W>(lower + q), square, slack, load<T, W>(moved + q)));
}

// Renews bound q for the rows that are active in it, from their scores in the projected
// columns; centroids that these do not rule out survive.
template <class T, class Y>
inline void Pruner<T, Y>::sift(int64_t i0, int64_t q, PruneSpace<T>& space) const {
    const uint8_t* active = space.active.data() + q * kBlockRows;
    const int count = space.count[size_t(q)];
    const int64_t end = std::min(y.groups, (q + 1) * b.span);
    T best[kBlockRows + M], square[kBlockRows + W], slack[kBlockRows + W];
    std::fill(best, best + kBlockRows + M, -kInfinity);
    for (int64_t g = q * b.span; g < end; ++g)
        for (int a = 0; a < count; a += M) {
            int64_t row[M];
            int32_t own[M];
            for (int m = 0; m < M; ++m) {
                const int32_t r = active[std::min(a + m, count - 1)];
                row[m] = i0 + r;
                own[m] = space.slot[r] - int32_t(g * kNear);
            }
            Vec<T> score[M][V];
            y.template score<M>(row, g, score);
            T most[M];
            others<M>(score, own, most);
            for (int m = 0; m < M && a + m < count; ++m) {
                const int32_t r = active[a + m];
                if (!(most[m] < space.limit[r])) most[m] = rule_out(score[m], g * kNear, r, space);
                best[a + m] = most[m] > best[a + m] ? most[m] : best[a + m];
            }
        }
    space.scored += count * (end - q * b.span);
    for (int a = 0; a < count; ++a) {
        square[a] = space.square[active[a]];
        slack[a] = space.slack[active[a]];
    }
    std::fill(square + count, square + count + W, T(0));
    std::fill(slack + count, slack + count + W, T(0));
    for (int a = 0; a < count; a += W)
        store<T, W>(best + a, bound_of(load<T, W>(best + a), load<T, W>(square + a),
                                       load<T, W>(slack + a), Vec<T>{} + moved[q]));
    for (int a = 0; a < count; ++a) b.lower[(i0 + active[a]) * b.width + q] = best[a];
}

// OUT: the greatest score of each row but that of its own centroid, which is lane `own`.
template <class T, class Y>
template <int Rows>
UNSUP_INLINE_MEMBER void Pruner<T, Y>::others(const Vec<T> (&score)[Rows][V], const int32_t* own,
                                              T (&most)[Rows]) const {
    typename index_of<T>::type lane[W];
    for (int l = 0; l < W; ++l) lane[l] = l;
    Index<T> at;
    __builtin_memcpy(&at, lane, sizeof at);
    Vec<T> other[Rows][V];
#pragma GCC unroll 8
    for (int m = 0; m < Rows; ++m)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) {
            const auto is_own = at == Index<T>{} + typename index_of<T>::type(own[m] - v * W);
            other[m][v] = is_own ? Vec<T>{} - kInfinity : score[m][v];
        }
    greatest<T, Rows, V>(other, most);
}

// Appends the centroids that scores do not rule out for row r to the survivors; returns the
// greatest score of the others but the row's own.
template <class T, class Y>
inline T Pruner<T, Y>::rule_out(const Vec<T> (&score)[V], int64_t first, int32_t r,
                                PruneSpace<T>& space) const {
    using Lane = typename index_of<T>::type;
    Lane number[W];
    for (int l = 0; l < W; ++l) number[l] = l;
    Index<T> at;
    __builtin_memcpy(&at, number, sizeof at);
    const Lane own = Lane(space.slot[r] - first),
               end = Lane(std::min<int64_t>(in.k - first, kNear));
    Vec<T> rest[1][V];
    Lane survives[kNear];  // -1 or 0
    for (int v = 0; v < V; ++v, at += W) {
        const Index<T> other = (at != own) & (at < end), below = score[v] < space.limit[r];
        rest[0][v] = (other & below) != 0 ? score[v] : Vec<T>{} - kInfinity;
        const Index<T> left = other & ~below;
        __builtin_memcpy(survives + v * W, &left, sizeof left);
    }
    auto& all = space.survivors;
    if (all.size() < space.n_survivors + kNear) all.resize(2 * all.size() + kNear);
    for (int l = 0; l < kNear; ++l) {  // entered in any case, counted if it is so
        all[space.n_survivors] = {r, int32_t(first + l)};
        space.n_survivors += size_t(-survives[l]);
    }
    T most[1];
    greatest<T, 1, V>(rest, most);
    return most[0];
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
