// The passes of prune over a block of rows, and the bounds they keep.
#if defined(UNSUP_PRUNE_PRUNER_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_PRUNE_PRUNER_INL_H_
#undef UNSUP_PRUNE_PRUNER_INL_H_
#else
#define UNSUP_PRUNE_PRUNER_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "assign/score-inl.h"
#include "memory/buffer.hpp"
#include "prune/exact-inl.h"
#include "prune/greatest-inl.h"
#include "prune/prune.hpp"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

// A centroid that the projected columns do not rule out for a row of the block.
struct Survivor {
    int32_t row, slot;
};

// A product or sum of few lengths in T times this is rounded to the safe side.
template <class T>
constexpr T kUp = T(1 + 4 * double(std::numeric_limits<T>::epsilon()));
template <class T>
constexpr T kDown = T(1 - 4 * double(std::numeric_limits<T>::epsilon()));

constexpr int kBlockRows = 128;  // rows whose groups are scored together

// Working memory of one thread for a block of rows.
template <class T>
struct PruneSpace {
    Buffer<T> row;                    // [stride]: x' of one row, times the scale of the centroids
    std::vector<int32_t> touched;     // rows that some bound no longer protects
    std::vector<int32_t> count;       // [B]: how many rows of a bound are active
    std::vector<uint8_t> active;      // [B][kBlockRows]: which
    std::vector<Survivor> survivors;  // by group; with room for more
    size_t n_survivors = 0;
    std::vector<Survivor> sorted;       // the same by row
    std::vector<Candidate> candidates;  // of a row
    std::vector<Candidate> close;       // candidates within rounding of the nearest
    int64_t tightened = 0, scored = 0, refined = 0, survived = 0;
    // Of each row of the block:
    int32_t own[kBlockRows];   // its centroid
    double known[kBlockRows];  // squared distance to that
    int32_t slot[kBlockRows];  // of its centroid
    T limit[kBlockRows];       // projected scores below this rule out
    T square[kBlockRows];      // |y|^2 less the errors that do not depend on the score
    T slack[kBlockRows];
};

// Y: Projections or Codes of the centroids.
template <class T, class Y>
struct Pruner {
    static constexpr double u = double(std::numeric_limits<T>::epsilon()) / 2;
    static constexpr double kRelative = 2 * u;  // of a score, times R + 9
    // M rows are scored at once against V vectors of centroids.
    static constexpr int W = lanes<T>, V = kNear / W, M = V < 8 ? 8 / V : 1;
    static constexpr double kUnknown = -1;  // squared distance to a centroid that has not moved
    static constexpr T kInfinity = std::numeric_limits<T>::infinity();

    const AssignIn<T>& in;
    const Bounds<T>& b;
    const Centroids<T>& c;  // all columns
    const Y& y;             // projected, by slot
    const int32_t* slot;    // [K]: of each centroid
    const T* displacement;  // [K] by slot: how far each centroid has moved, rounded up
    const T* moved;         // [B]: b.moved rounded up
    int64_t bounds;
    bool fresh;  // no bounds are known

    // Largest difference between a computed and a true difference of two squared distances
    // (error_bound of kernels.assign) for a row of length `x`.
    double rounding(double x) const {
        return 4 * double(c.d + 4) * u * (x * *b.max_norm + *b.max_norm * *b.max_norm);
    }

    // The error of a squared distance as squared_gap computes it, relative to it.
    double blur() const { return 2 * double(c.d + 8) * u; }

    double length(int64_t i) const { return std::sqrt(b.squares[i]) + b.slack[i]; }

    // The distance that a centroid must keep so as not to be nearest.
    T upper(int64_t i, double squared) const {
        return T(std::sqrt(squared * (1 + blur()) + rounding(length(i)))) * kUp<T>;
    }

    // A lower bound of a distance, as stored for bound q; NaN, which protects from nothing, where
    // it overflows: infinity would outlast all displacements of the centroids.
    UNSUP_INLINE_MEMBER Vec<T> stored(Vec<T> distance, Vec<T> moved_by) const {
        const Vec<T> up = Vec<T>{} + kUp<T>, down = Vec<T>{} + kDown<T>;
        const Vec<T> bound = distance * (distance > 0 ? down : up) + moved_by;
        const Vec<T> none = Vec<T>{} + std::numeric_limits<T>::quiet_NaN();
        return bound < kInfinity ? bound * (bound > 0 ? down : up) : none;
    }
    T stored(double distance, int64_t q) const {
        return stored(Vec<T>{} + T(distance), Vec<T>{} + moved[q])[0];
    }

    // Row i less the shift, times the scale of the centroids. Row `next` is fetched into cache.
    void take(int64_t i, int64_t next, T* row) const {
        const T* x = in.x + i * c.d;
        const T* ahead = in.x + next * c.d;
        int64_t j = 0;
        for (; j + W <= c.d; j += W) {
            __builtin_prefetch(ahead + j);
            store<T, W>(row + j, (load<T, W>(x + j) - load<T, W>(&c.shift[j])) * c.scale);
        }
        for (; j < c.d; ++j) row[j] = (x[j] - c.shift[j]) * c.scale;
    }

    double squared_distance(const T* row, int64_t k) const {
        const double unit = double(b.scale) / double(c.scale);
        return squared_gap<T>(row, c.rows.get() + k * c.stride, c.stride) * unit * unit + lost();
    }

    // How far a squared distance may be off by underflow, which is added to it.
    double lost() const {
        const double unit = double(b.scale) / double(c.scale);
        return double(c.d) * double(std::numeric_limits<T>::min()) * unit * unit;
    }

    // Bounds [q, q + W) of a row that do not rule their centroids out.
    UNSUP_INLINE_MEMBER Index<T> broken(const T* lower, T upper, int64_t q) const {
        return ~(load<T, W>(lower + q) - load<T, W>(moved + q) > Vec<T>{} + upper);
    }

    // Whether there is such a bound.
    bool unprotected(const T* lower, T upper) const {
        Index<T> some = Index<T>{};
        for (int64_t q = 0; q < b.width; q += W) some |= broken(lower, upper, q);
        return any<T>(some);
    }

    // Enters row r of the block in the lists of those bounds.
    void list_active(const T* lower, T upper, int r, PruneSpace<T>& space) const {
        int32_t* count = space.count.data();
        uint8_t* active = space.active.data();
        for (int64_t q = 0; q < b.width; q += W) {
            const Index<T> some = broken(lower, upper, q);
            if (!any<T>(some)) continue;
            typename index_of<T>::type lane[W];
            __builtin_memcpy(lane, &some, sizeof lane);
            for (int l = 0; l < W; ++l) {  // entered in any case, counted if it is so
                active[(q + l) * kBlockRows + count[q + l]] = uint8_t(r);
                count[q + l] -= int32_t(lane[l]);
            }
        }
    }

    // Labels rows [i0, i1), at most a block: calls on_change(row, label) where the label is new.
    template <class OnChange>
    void label_block(int64_t i0, int64_t i1, const int32_t* labels, PruneSpace<T>& space,
                     const OnChange& on_change) const {
        const int rows = int(i1 - i0);
        if (fresh) guess(i0, rows, space);
        space.touched.clear();
        std::fill(space.count.begin(), space.count.end(), 0);
        for (int r = 0; r < rows; ++r) {
            const int64_t i = i0 + r;
            if (!fresh) {
                space.own[r] = labels[i];
                const T moved_by = displacement[slot[labels[i]]];
                if (moved_by > 0) {
                    b.upper[i] = (b.upper[i] + moved_by) * kUp<T>;
                    b.tight[i] = 0;
                }
                if (!unprotected(b.lower + i * b.width, b.upper[i] * kUp<T>)) continue;
                if (b.tight[i]) {
                    space.known[r] = kUnknown;
                    enter(i, r, space);
                    continue;
                }
            }
            space.touched.push_back(r);
        }
        for (size_t at = 0; at < space.touched.size(); ++at) {
            const int32_t r = space.touched[at];
            const int32_t next = space.touched[std::min(at + 2, space.touched.size() - 1)];
            tighten(i0 + r, i0 + next, r, space);
        }
        space.n_survivors = 0;
        for (int64_t q = 0; q < bounds; ++q)
            if (space.count[size_t(q)] > 0) sift(i0, q, space);
        settle_block(i0, rows, labels, space, on_change);
    }

    // Computes the distance of row i to its own centroid, and enters it; fetches row `next`
    // meanwhile.
    void tighten(int64_t i, int64_t next, int r, PruneSpace<T>& space) const {
        ++space.tightened;
        T* row = space.row.get();
        take(i, next, row);
        const int32_t k = space.own[r];
        space.known[r] = squared_distance(row, k);
        b.upper[i] = upper(i, space.known[r]);
        b.tight[i] = 1;
        enter(i, r, space);
    }

    // Enters row i in the lists of the bounds that do not protect it.
    void enter(int64_t i, int r, PruneSpace<T>& space) const {
        space.slot[r] = slot[space.own[r]];
        const double square = b.squares[i], slack = b.slack[i] + y.slack;
        const double distance = double(b.upper[i]) + slack,
                     farthest = std::sqrt(square) + y.longest;
        const double error = kRelative * double(y.columns + 8) * farthest * y.longest;
        const double half = (square - distance * distance) / 2;
        const double least = half - error - kRelative * double(y.columns + 8) * std::abs(half);
        // Nothing is ruled out by scores that may overflow.
        const bool sure = farthest * farthest < double(std::numeric_limits<T>::max()) / 2;
        space.limit[r] =
            sure && least == least ? T(least) * (least > 0 ? kDown<T> : kUp<T>) : -kInfinity;
        space.square[r] = T(square - 2 * error - 8 * u * square);
        space.slack[r] = T(slack) * kUp<T>;
        if (fresh)
            list_guessed(b.lower + i * b.width, r, space);
        else
            list_active(b.lower + i * b.width, b.upper[i] * kUp<T>, r, space);
    }

    // Lower bounds of distances, as stored, from the highest scores.
    UNSUP_INLINE_MEMBER Vec<T> bound_of(Vec<T> score, Vec<T> square, Vec<T> slack,
                                        Vec<T> moved_by) const {
        const T relative = T(4 * double(y.columns + 12) * u);
        const Vec<T> twice = 2 * score,
                     squared = square - twice - relative * (twice > 0 ? twice : -twice);
        Vec<T> root = squared > 0 ? squared : Vec<T>{};
        for (int l = 0; l < W; ++l) root[l] = std::sqrt(root[l]);
        const Vec<T> bound = stored(root * kDown<T> - slack, moved_by);
        return score == -kInfinity ? Vec<T>{} + kInfinity : bound;
    }

    // In sift-inl.h.
    void guess(int64_t i0, int rows, PruneSpace<T>& space) const;
    void list_guessed(T* lower, int r, PruneSpace<T>& space) const;
    void sift(int64_t i0, int64_t q, PruneSpace<T>& space) const;
    template <int Rows>
    UNSUP_INLINE_MEMBER void others(const Vec<T> (&score)[Rows][V], const int32_t* own,
                                    T (&most)[Rows]) const;
    T rule_out(const Vec<T> (&score)[V], int64_t first, int32_t r, PruneSpace<T>& space) const;

    // In settle-inl.h.
    template <class OnChange>
    void settle_block(int64_t i0, int rows, const int32_t* labels, PruneSpace<T>& space,
                      const OnChange& on_change) const;
    bool refine(int64_t i, int32_t slot, PruneSpace<T>& space) const;
    int32_t settle(int64_t i, T* lower, PruneSpace<T>& space) const;
    Candidate highest(const T* row, std::vector<Candidate>& close) const;
};

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
