// The moments of em where a component has a share of most rows of a tile: rows stay in the lanes,
// and nothing is gathered.
#if defined(UNSUP_EM_DENSE_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_EM_DENSE_INL_H_
#undef UNSUP_EM_DENSE_INL_H_
#else
#define UNSUP_EM_DENSE_INL_H_
#endif

#include <cstdint>

#include "simd/pack-inl.h"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

// kSquare x kSquare products stay in registers, of one lane for each row of a vector.
#if UNSUP_REGISTERS == 32
constexpr int kSquare = 4;
#else
constexpr int kSquare = 2;
#endif

// Calls use(i, total) with the total over the lanes of each of `count` vectors.
template <class T, class Use>
UNSUP_INLINE void total_lanes(const Vec<T>* vectors, int count, const Use& use) {
    constexpr int W = lanes<T>;
    for (int i = 0; i < count; i += W) {
        Vec<T> r[W];
#pragma GCC unroll 16
        for (int q = 0; q < W; ++q) r[q] = i + q < count ? vectors[i + q] : Vec<T>{};
        transpose<T, W / 2>(r);
#pragma GCC unroll 4
        for (int step = W / 2; step > 0; step /= 2)
#pragma GCC unroll 8
            for (int q = 0; q < step; ++q) r[q] += r[q + step];
        for (int q = 0; q < W && i + q < count; ++q) use(i + q, r[0][q]);
    }
}

// Tiles that a component has a share of most rows of.
template <class T>
struct DenseTiles {
    const int32_t* list;
    int64_t count;
    const T* tiles;  // [..][D][kTile]
    int64_t tile_step;
    const T* shares;  // [..][K][kTile], of this component
    int64_t share_step;
    const T* high;  // [width]
};

// second [I][width] += products of the columns [i0, i0 + I) and [j0, j0 + J), and on the diagonal
// sums [I] += sums of the columns.
template <class T, int I, int J, bool Diagonal>
void add_square(const DenseTiles<T>& of, int64_t i0, int64_t j0, int64_t width, double* sums,
                double* second) {
    constexpr int W = lanes<T>;
    Vec<T> product[I * J] = {}, sum[I] = {};
    for (int64_t t = 0; t < of.count; ++t) {
        const T* const tile = of.tiles + of.list[t] * of.tile_step;
        const T* const share = of.shares + of.list[t] * of.share_step;
#pragma GCC unroll 8
        for (int p = 0; p < kTileVectors; ++p) {
            Vec<T> row[I], column[J];
            const Vec<T> r = load<T, W>(share + p * W);
#pragma GCC unroll 8
            for (int j = 0; j < J; ++j)
                column[j] = load<T, W>(tile + (j0 + j) * kTile<T> + p * W) - of.high[j0 + j];
#pragma GCC unroll 8
            for (int i = 0; i < I; ++i) {
                row[i] = Diagonal
                             ? column[i]
                             : load<T, W>(tile + (i0 + i) * kTile<T> + p * W) - of.high[i0 + i];
                row[i] *= r;
                if (Diagonal) sum[i] += row[i];
#pragma GCC unroll 8
                for (int j = Diagonal ? i : 0; j < J; ++j) product[i * J + j] += row[i] * column[j];
            }
        }
    }
    double* const to = second + i0 * width + j0;
    total_lanes<T>(product, I * J,
                   [&](int p, T total) { to[p / J * width + p % J] += double(total); });
    if (Diagonal) total_lanes<T>(sum, I, [&](int i, T total) { sums[i0 + i] += double(total); });
}

// Whether a row without a share adds zero: not if it has infinity or NaN.
template <class T>
bool all_finite(const T* tile, int64_t d) {
    Vec<T> zeros{};
    for (int64_t i = 0; i < d * kTile<T>; i += lanes<T>)
        zeros += load<T, lanes<T>>(tile + i) * T(0);
    bool finite = true;
    for (int i = 0; i < lanes<T>; ++i) finite = finite && zeros[i] == 0;
    return finite;
}

// Rows as wide as that are better gathered.
template <class T>
bool dense_pays(int64_t d) {
    return d <= 2 * lanes<T>;
}

// sums [D] += sum w r (x - high), second [D][width] += upper half of the products.
template <class T>
void add_dense(const DenseTiles<T>& of, int64_t d, int64_t width, double* sums, double* second) {
    if (of.count == 0) return;
    const int64_t whole = d / kSquare * kSquare;
    for (int64_t i = 0; i < whole; i += kSquare) {
        add_square<T, kSquare, kSquare, true>(of, i, i, width, sums, second);
        int64_t j = i + kSquare;
        for (; j < whole; j += kSquare)
            add_square<T, kSquare, kSquare, false>(of, i, j, width, sums, second);
        for (; j < d; ++j) add_square<T, kSquare, 1, false>(of, i, j, width, sums, second);
    }
    for (int64_t i = whole; i < d; ++i) {
        add_square<T, 1, 1, true>(of, i, i, width, sums, second);
        for (int64_t j = i + 1; j < d; ++j)
            add_square<T, 1, 1, false>(of, i, j, width, sums, second);
    }
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
