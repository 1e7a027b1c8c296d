// Bounds of seed: which candidates may be nearer to a row than the rows chosen so far.
//
// For |y_x - y_c| <= |x - c| + slack_x + slack_c and s = sqrt(closest) + slack_x, rounding of the
// distance included, a candidate that improves on `closest` has, for any eta > 0,
//
//   |y_x - y_c|^2 <= (s + slack_c)^2 <= (1 + eta) s^2 + (1 + 1 / eta) slack_c^2
//   y_x . y_c - |y_c|^2 / 2 + (1 + 1 / eta) slack_c^2 / 2 >= (|y_x|^2 - (1 + eta) s^2) / 2
//
// so the left side starts a score, and the right is a limit that changes with `closest` alone. The
// rounding of both, at most gamma_(R + 2) (|y_x|^2 + |y_c|^2 + s^2), is split likewise.
#if defined(UNSUP_KMEANS_PLUSPLUS_BOUNDS_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_KMEANS_PLUSPLUS_BOUNDS_INL_H_
#undef UNSUP_KMEANS_PLUSPLUS_BOUNDS_INL_H_
#else
#define UNSUP_KMEANS_PLUSPLUS_BOUNDS_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "assign/score-inl.h"
#include "kmeans_plusplus/distances-inl.h"
#include "kmeans_plusplus/kmeans_plusplus.hpp"
#include "memory/buffer.hpp"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

// The candidates of a group in few columns.
template <class T>
struct BoundGroup {
    Buffer<T> packed;          // [kCandidateGroup / kGroup][leading][kGroup]
    T start[kCandidateGroup];  // of scores; minus infinity for missing members
    Buffer<T> rows;            // [kCandidateGroup, columns]
    T slack[kCandidateGroup];
    int members;  // bits

    explicit BoundGroup(const KMeansPlusPlusBounds<T>& bounds)
        : packed(buffer<T>(kCandidateGroup * bounds.leading, T(0))),
          rows(buffer<T>(kCandidateGroup * bounds.columns, T(0))) {}
};

// Rows of a block with the members that may improve on their distance, as bits.
struct Improvable {
    int count = 0;
    int32_t row[kSumBlock];
    int32_t members[kSumBlock];
};

template <class T>
struct CandidatePruner {
    const KMeansPlusPlusRounds<T>& s;
    const KMeansPlusPlusBounds<T>& bounds;
    Buffer<T> tiles;   // [N / kTile][leading][kTile]
    Buffer<T> limit;   // [N]: members with lower scores are out
    Buffer<T> radius;  // [N]: s

    static constexpr double u = double(std::numeric_limits<T>::epsilon()) / 2;
    double eta, score_error, distance_error, lost;

    CandidatePruner(const KMeansPlusPlusRounds<T>& rounds)
        : s(rounds),
          bounds(*rounds.bounds),
          tiles(allocate<T>(padded() * bounds.leading)),
          limit(allocate<T>(padded())),
          radius(allocate<T>(padded())),
          eta(std::cbrt(u)),
          score_error(2 * double(bounds.leading + 8) * u),
          distance_error(2 * double(s.d + 8) * u),
          lost(double(s.d) * double(std::numeric_limits<T>::min())) {}

    int64_t padded() const { return (s.n + kSumBlock - 1) / kSumBlock * kSumBlock; }

    // OUT: a row's first columns and the length of the rest, at steps of `stride`.
    void lead(int64_t i, T* out, int64_t stride) const {
        const T* y = bounds.rows + i * bounds.columns;
        const int64_t last = bounds.leading - 1;
        for (int64_t j = 0; j < last; ++j) out[j * stride] = y[j];
        double rest = 0;
        for (int64_t j = last; j < bounds.columns; ++j) rest += double(y[j]) * double(y[j]);
        out[last * stride] = bounds.leading == bounds.columns ? y[last] : T(std::sqrt(rest));
    }
    double square(int64_t i) const {
        const T* y = bounds.rows + i * bounds.columns;
        double total = 0;
        for (int64_t j = 0; j < bounds.columns; ++j) total += double(y[j]) * double(y[j]);
        return total;
    }
    // The rounding of the last leading column included.
    double slack(int64_t i, double square) const {
        return bounds.slack[i] + 2 * u * std::sqrt(square);
    }

    // Packs the rows of a block and sets their limits.
    void prepare(int64_t i0, int64_t rows) const {
        T* block = tiles.get() + i0 * bounds.leading;
        if (rows < kSumBlock) std::fill(block, block + kSumBlock * bounds.leading, T(0));
        for (int64_t r = 0; r < rows; ++r) {
            lead(i0 + r, block + r / kTile<T> * kTile<T> * bounds.leading + r % kTile<T>, kTile<T>);
            lower(i0 + r);
        }
        for (int64_t r = rows; r < kSumBlock; ++r)
            limit[i0 + r] = std::numeric_limits<T>::infinity();
    }

    // Takes note of a new closest_i.
    void lower(int64_t i) const {
        if (s.closest[i] == 0) {
            limit[i] = std::numeric_limits<T>::infinity();
            radius[i] = 0;
            return;
        }
        const double y = square(i);
        const double far =
            std::sqrt((double(s.closest[i]) + lost) * (1 + distance_error)) + slack(i, y);
        const double score = (y - (1 + eta) * far * far) / 2 - score_error * (y + far * far);
        limit[i] = score == score ? T(score) : -std::numeric_limits<T>::infinity();
        radius[i] = T(far * (1 + 2 * u));
    }

    void set(BoundGroup<T>& group, const int64_t* candidates, int count) const {
        group.members = (1 << count) - 1;
        for (int g = 0; g < kCandidateGroup; ++g) {
            group.start[g] = -std::numeric_limits<T>::infinity();
            if (g >= count) continue;
            const int64_t i = candidates[g];
            lead(i, group.packed.get() + g / kGroup * kGroup * bounds.leading + g % kGroup, kGroup);
            const T* y = bounds.rows + i * bounds.columns;
            std::copy(y, y + bounds.columns, group.rows.get() + g * bounds.columns);
            const double squared = square(i), off = slack(i, squared);
            group.start[g] = T(-squared / 2 + (1 + 1 / eta) * off * off / 2 +
                               score_error * (squared + (1 + 1 / eta) * off * off));
            group.slack[g] = T(off * (1 + 2 * u));
        }
    }

    // By the leading columns.
    void scan(int64_t i0, int64_t rows, const BoundGroup<T>& group, Improvable& out) const {
        using Bits = typename index_of<T>::type;
        out.count = 0;
        for (int64_t r = 0; r < rows; r += kTile<T>) {
            const T* tile = tiles.get() + (i0 + r) * bounds.leading;
            Vec<T> least[kTileVectors];
            __builtin_memcpy(least, limit.get() + i0 + r, sizeof least);
            Index<T> members[kTileVectors] = {};
            for (int g0 = 0; g0 < kCandidateGroup && group.members >> g0; g0 += kGroup) {
                Scores<T, kGroup> score;
                start<T, kGroup>(group.start + g0, score);
                multiply<T, kGroup>(tile, group.packed.get() + g0 * bounds.leading, bounds.leading,
                                    score);
#pragma GCC unroll 8
                for (int g = 0; g < kGroup; ++g)
#pragma GCC unroll 8
                    for (int p = 0; p < kTileVectors; ++p)
                        members[p] |= ~(score[g][p] < least[p]) & (Bits(1) << (g0 + g));
            }
            for (int p = 0; p < kTileVectors; ++p) {
                if (!any<T>(members[p])) continue;
                Bits of[lanes<T>];
                __builtin_memcpy(of, &members[p], sizeof of);
                for (int l = 0; l < lanes<T>; ++l) {
                    const int64_t row = r + p * lanes<T> + l;
                    const int32_t bits = int32_t(of[l]) & group.members;
                    out.row[out.count] = int32_t(row);
                    out.members[out.count] = bits;
                    out.count += bits != 0 && row < rows;
                }
            }
        }
    }

    // |y_x - y_c|^2 in all columns.
    T projected_gap(const T* x, const T* c) const {
        constexpr int W = lanes<T>;
        Vec<T> total{};
        for (int64_t j = 0; j < bounds.columns; j += W) {
            const Vec<T> gap = load<T, W>(x + j) - load<T, W>(c + j);
            total += gap * gap;
        }
        return fold_segments<T, W>(total)[0];
    }

    // Leaves the survivors of the bound in all columns.
    void refine(int64_t i0, const BoundGroup<T>& group, Improvable& out) const {
        if (bounds.leading == bounds.columns) return;
        const T error = T(1 + 8 * double(bounds.columns + 8) * u);
        int count = 0;
        for (int q = 0; q < out.count; ++q) {
            const int64_t i = i0 + out.row[q];
            int32_t members = out.members[q];
            if (q + 4 < out.count)
                fetch(bounds.rows + (i0 + out.row[q + 4]) * bounds.columns, bounds.columns);
            for (int32_t left = members; left != 0; left &= left - 1) {
                const int g = __builtin_ctz(unsigned(left));
                const T far = radius[i] + group.slack[g];
                if (projected_gap(bounds.rows + i * bounds.columns,
                                  group.rows.get() + g * bounds.columns) > far * far * error)
                    members &= ~(1 << g);
            }
            out.row[count] = out.row[q];
            out.members[count] = members;
            count += members != 0;
        }
        out.count = count;
    }
};

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
