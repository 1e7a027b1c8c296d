// The E-step of em: log densities of tiles of rows, then responsibilities written over them.
#if defined(UNSUP_EM_SCORE_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_EM_SCORE_INL_H_
#undef UNSUP_EM_SCORE_INL_H_
#else
#define UNSUP_EM_SCORE_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <limits>

#include "assign/score-inl.h"
#include "em/em.hpp"
#include "em/model-inl.h"
#include "simd/exp-inl.h"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

template <class T>
using Tile = Vec<T>[kTileVectors];

// z of the columns [j0, j0 + G) of one panel of U. `gap` [D][kTile] holds x - high of the columns
// before j0, and gets those of the panel if others follow.
template <class T, int G>
UNSUP_INLINE void project_panel(const T* tile, const T* high, const T* u, const T* start,
                                int64_t j0, bool last, T* gap, Scores<T, G>& z) {
    constexpr int W = lanes<T>;
    unsup::UNSUP_ISA::start<T, G>(start + j0, z);
    multiply<T, G>(gap, u, j0, z);
    u += j0 * kGroup;
#pragma GCC unroll 8
    for (int i = 0; i < G; ++i) {
        Tile<T> e;
#pragma GCC unroll 8
        for (int p = 0; p < kTileVectors; ++p) {
            const int64_t at = (j0 + i) * kTile<T> + p * W;
            e[p] = load<T, W>(tile + at) - high[j0 + i];
            if (!last) store<T, W>(gap + at, e[p]);
        }
#pragma GCC unroll 8
        for (int g = i; g < G; ++g)
#pragma GCC unroll 8
            for (int p = 0; p < kTileVectors; ++p) z[g][p] += e[p] * u[i * kGroup + g];
    }
}

// Calls use(j0, z) with z of each panel in turn; the columns of z past D are zero.
template <class T, int G = kGroup, class Use>
UNSUP_INLINE void project_last(const T* tile, const T* high, const T* u, const T* start, int64_t j0,
                               int64_t columns, T* gap, const Use& use) {
    if (G > 1 && columns < G)
        return project_last<T, G == 1 ? 1 : G - 1>(tile, high, u, start, j0, columns, gap, use);
    Scores<T, G> z;
    project_panel<T, G>(tile, high, u, start, j0, true, gap, z);
    use(j0, z);
}
template <class T, class Use>
UNSUP_INLINE void project_tile(const Triangle<T>& triangle, const T* tile, const T* high,
                               const T* u, const T* start, T* gap, const Use& use) {
    int64_t j0 = 0;
    for (; j0 + kGroup < triangle.d; j0 += kGroup) {
        Scores<T, kGroup> z;
        project_panel<T, kGroup>(tile, high, u, start, j0, false, gap, z);
        use(j0, z);
        u += (j0 + kGroup) * kGroup;
    }
    project_last<T>(tile, high, u, start, j0, triangle.d - j0, gap, use);
}

// OUT l [kTile] = constant - squares / 2; what is not a number has overflowed before.
template <class T>
UNSUP_INLINE void put_density(const Tile<T>& squares, T constant, T* l) {
#pragma GCC unroll 8
    for (int p = 0; p < kTileVectors; ++p) {
        const Vec<T> least = Vec<T>{} - std::numeric_limits<T>::max();
        const Vec<T> value = constant - squares[p] * T(0.5);
        store<T, lanes<T>>(l + p * lanes<T>, value >= least ? value : Vec<T>{} - kInfinity<T>);
    }
}

// OUT l [kTile] of one component.
template <class T>
void full_density(const EmModel<T>& m, int64_t k, const T* tile, T* gap, T* l) {
    Tile<T> squares{};
    project_tile<T>(m.triangle, tile, m.high.get() + k * m.width,
                    m.factors.get() + k * m.triangle.size,
                    m.start.get() + k * m.triangle.panels * kGroup, gap,
                    [&](int64_t, const auto& z) UNSUP_INLINE_LAMBDA {
                        constexpr int G = int(sizeof(z) / sizeof(z[0]));
#pragma GCC unroll 8
                        for (int g = 0; g < G; ++g)
#pragma GCC unroll 8
                            for (int p = 0; p < kTileVectors; ++p) squares[p] += z[g][p] * z[g][p];
                    });
    put_density<T>(squares, m.constant[k], l);
}

// IN/OUT tile [D][kTile]: x becomes (x - s) U.
template <class T>
void project_rows(const EmModel<T>& m, T* tile, T* gap) {
    project_tile<T>(m.triangle, tile, m.origin.get(), m.factors.get(), m.start.get(), gap,
                    [&](int64_t j0, const auto& z) UNSUP_INLINE_LAMBDA {
                        __builtin_memcpy(tile + j0 * kTile<T>, &z, sizeof z);
                    });
}

// OUT l [kPair][kTile], of which `count` are written, of components with diagonal factors.
template <class T>
void diagonal_densities(const EmModel<T>& m, int64_t k, int count, const T* tile, T* l) {
    constexpr int W = lanes<T>;
    Tile<T> squares[kPair] = {};
    const T* of = m.diagonals.get() + k * m.d * 3;
    for (int64_t j = 0; j < m.d; ++j, tile += kTile<T>, of += 3 * kPair) {
        Tile<T> x;
#pragma GCC unroll 8
        for (int p = 0; p < kTileVectors; ++p) x[p] = load<T, W>(tile + p * W);
#pragma GCC unroll 8
        for (int g = 0; g < kPair; ++g)
#pragma GCC unroll 8
            for (int p = 0; p < kTileVectors; ++p) {
                const Vec<T> z = (x[p] - of[g]) * of[kPair + g] + of[2 * kPair + g];
                squares[g][p] += z * z;
            }
    }
    for (int g = 0; g < count; ++g) put_density<T>(squares[g], m.constant[k + g], l + g * kTile<T>);
}

// What is known of a tile's rows.
template <class T>
struct TileRows {
    int rows;            // the others are padding
    int64_t first;       // row of X
    T weight[kTile<T>];  // zero for padding

    // Rows [i, i1), at most a tile.
    TileRows(const EmIn<T>& in, int64_t i, int64_t i1)
        : rows(int(std::min<int64_t>(kTile<T>, i1 - i))), first(i) {
        std::fill(weight, weight + kTile<T>, T(0));
        if (in.weight == nullptr)
            std::fill(weight, weight + rows, T(1));
        else
            std::copy(in.weight + i, in.weight + i + rows, weight);
    }
};

// IN/OUT r [K][kTile]: l becomes w r, zero where r is below the least share. Returns sum w log p.
template <class T>
double share(const EmModel<T>& m, const TileRows<T>& rows, const EmOut<T>& out, T* r) {
    constexpr int W = lanes<T>;
    const Vec<T> zero{};
    Tile<T> most, total{}, scale, weight;
    for (int p = 0; p < kTileVectors; ++p) most[p] = zero - kInfinity<T>;
    for (int64_t k = 0; k < m.k; ++k)
#pragma GCC unroll 8
        for (int p = 0; p < kTileVectors; ++p) {
            const Vec<T> l = load<T, W>(r + k * kTile<T> + p * W);
            most[p] = l > most[p] ? l : most[p];
        }
    if (out.labels != nullptr)
        for (int i = 0; i < rows.rows; ++i) {
            int32_t best = 0;
            for (int64_t k = 1; k < m.k; ++k)
                if (r[k * kTile<T> + i] > r[best * kTile<T> + i]) best = int32_t(k);
            out.labels[rows.first + i] = best;
        }
    for (int p = 0; p < kTileVectors; ++p) most[p] = most[p] > zero - kInfinity<T> ? most[p] : zero;
    for (int64_t k = 0; k < m.k; ++k)
#pragma GCC unroll 8
        for (int p = 0; p < kTileVectors; ++p) {
            T* const at = r + k * kTile<T> + p * W;
            const Vec<T> e = exp_negative<T>(load<T, W>(at) - most[p]);
            store<T, W>(at, e);
            total[p] += e;
        }
    const vec<double, kDoubles> none{};
    vec<double, kDoubles> log_likelihood{};
    T log_prob[kTile<T>];
    for (int p = 0; p < kTileVectors; ++p) {
        store<T, W>(log_prob + p * W, most[p] + log_positive<T>(total[p]));
        scale[p] = total[p] > zero ? T(1) / total[p] : zero;
        weight[p] = load<T, W>(rows.weight + p * W);
    }
    for (int i = 0; i < kTile<T>; i += kDoubles) {
        const vec<double, kDoubles> w = to_double<T, kDoubles>(load<T, kDoubles>(rows.weight + i));
        const vec<double, kDoubles> row =
            to_double<T, kDoubles>(load<T, kDoubles>(log_prob + i)) + m.largest;
        log_likelihood += w > none ? w * row : none;
    }
    if (out.log_prob != nullptr)
        for (int i = 0; i < rows.rows; ++i)
            out.log_prob[rows.first + i] = T(double(log_prob[i]) + m.largest);
    if (out.resp != nullptr) {
        T inverse[kTile<T>];
        __builtin_memcpy(inverse, scale, sizeof inverse);
        for (int i = 0; i < rows.rows; ++i)
            for (int64_t k = 0; k < m.k; ++k)
                out.resp[(rows.first + i) * m.k + k] = r[k * kTile<T> + i] * inverse[i];
    }
    if (out.resp_sums == nullptr) return sum<kDoubles>(log_likelihood);
    for (int64_t k = 0; k < m.k; ++k) {
        const Vec<T> least = zero + m.least[k];
#pragma GCC unroll 8
        for (int p = 0; p < kTileVectors; ++p) {
            T* const at = r + k * kTile<T> + p * W;
            const Vec<T> mine = load<T, W>(at) * scale[p];
            store<T, W>(at, mine >= least ? mine * weight[p] : zero);
        }
    }
    return sum<kDoubles>(log_likelihood);
}

// OUT r [K][kTile]: w r from the input.
template <class T>
void input_share(const EmIn<T>& in, const TileRows<T>& rows, T* r) {
    for (int64_t k = 0; k < in.k; ++k)
        for (int i = 0; i < kTile<T>; ++i) {
            const int64_t row = rows.first + i;
            const T mine = i >= rows.rows       ? T(0)
                           : in.resp != nullptr ? in.resp[row * in.k + k]
                                                : T(in.labels[row] == k);
            r[k * kTile<T> + i] = mine * rows.weight[i];
        }
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
