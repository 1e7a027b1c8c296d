// Distances and scores of single rows and centroids in all columns, for prune.
#if defined(UNSUP_PRUNE_EXACT_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_PRUNE_EXACT_INL_H_
#undef UNSUP_PRUNE_EXACT_INL_H_
#else
#define UNSUP_PRUNE_EXACT_INL_H_
#endif

#include <cstdint>

#include "assign/score-inl.h"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

// A centroid whose distance to a row is known.
struct Candidate {
    int32_t k, slot;
    double squared;
};

// |x - c|^2 over whole vectors, with as many partial sums as lanes times four.
template <class T>
UNSUP_INLINE double squared_gap(const T* x, const T* c, int64_t stride) {
    constexpr int W = lanes<T>;
    Vec<T> total[4] = {};
    int64_t j = 0;
    for (; j + 4 * W <= stride; j += 4 * W)
#pragma GCC unroll 4
        for (int q = 0; q < 4; ++q) {
            const Vec<T> gap = load<T, W>(x + j + q * W) - load<T, W>(c + j + q * W);
            total[q] += gap * gap;
        }
    for (; j < stride; j += W) {
        const Vec<T> gap = load<T, W>(x + j) - load<T, W>(c + j);
        total[0] += gap * gap;
    }
    const Vec<T> all = (total[0] + total[1]) + (total[2] + total[3]);
    T lane[W];
    __builtin_memcpy(lane, &all, sizeof lane);
    for (int width = W / 2; width > 0; width /= 2)
        for (int l = 0; l < width; ++l) lane[l] += lane[l + width];
    return double(lane[0]);
}

// a b + c, fused exactly where the compiler fuses the products of assign: left to itself, it may
// vectorise this loop and round the products.
UNSUP_INLINE float multiply_add(float a, float b, float c) {
#if UNSUP_FMA
    return __builtin_fmaf(a, b, c);
#else
    return a * b + c;
#endif
}
UNSUP_INLINE double multiply_add(double a, double b, double c) {
#if UNSUP_FMA
    return __builtin_fma(a, b, c);
#else
    return a * b + c;
#endif
}

// The scores of four centroids in the order of assign: one sum each, started at -|c'|^2 / 2,
// columns in turn. x [D] is less the shift, times the scale.
template <class T>
void exact_scores(const T* x, const Centroids<T>& c, const Candidate* four, T* out) {
    const T* rows[4];
    for (int q = 0; q < 4; ++q) {
        rows[q] = c.rows.get() + four[q].k * c.stride;
        out[q] = c.half_norm[four[q].k];
    }
    for (int64_t j = 0; j < c.d; ++j)
        for (int q = 0; q < 4; ++q) out[q] = multiply_add(rows[q][j], x[j], out[q]);
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
