// Weighted sums of runs of elements, a few vectors at a time; the arithmetic of mix-inl.h.
#if defined(UNSUP_SAMPLES_MIX_RUN_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_SAMPLES_MIX_RUN_INL_H_
#undef UNSUP_SAMPLES_MIX_RUN_INL_H_
#else
#define UNSUP_SAMPLES_MIX_RUN_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "samples/element-inl.h"
#include "samples/mix.hpp"
#include "samples/samples.hpp"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

// Runs of elements that lie one after another.
template <class T, class U>
struct Runs {
    int n_sources;
    const T* source[kSources];
    const bool* hidden;       // [n_sources]
    const Compute<T>* drawn;  // or null
    U* out[kOuts];
    bool stream[kOuts], divided;
};

template <class T, class U, int O, bool Clip, int K>
UNSUP_INLINE void mix_block(const Runs<T, U>& runs, const MixWeights<Compute<T>>& w, int64_t i) {
    using C = Compute<T>;
    constexpr int W = lanes<C>, R = O + Clip;
    Vec<C> sum[R][K], v[K];
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int k = 0; k < K; ++k) sum[r][k] = Vec<C>{};
    for (int s = 0; s < runs.n_sources; ++s) {
#pragma GCC unroll 4
        for (int k = 0; k < K; ++k) v[k] = load_as(runs.source[s] + i + k * W);
        if constexpr (Clip) {
#pragma GCC unroll 4
            for (int k = 0; k < K; ++k) sum[O][k] += v[k] * w.of[O][s];
            if (runs.hidden[s]) continue;
        }
#pragma GCC unroll 4
        for (int o = 0; o < O; ++o)
#pragma GCC unroll 4
            for (int k = 0; k < K; ++k) sum[o][k] += v[k] * w.of[o][s];
    }
    if (runs.drawn != nullptr) {
#pragma GCC unroll 4
        for (int k = 0; k < K; ++k) v[k] = load<C, W>(runs.drawn + i + k * W);
#pragma GCC unroll 4
        for (int o = 0; o < O; ++o)
#pragma GCC unroll 4
            for (int k = 0; k < K; ++k) sum[o][k] += v[k] * w.of[o][kDrawn];
    }
    if constexpr (Clip) {
        const Vec<C> bound = Vec<C>{} + w.bound;
#pragma GCC unroll 4
        for (int k = 0; k < K; ++k) {
            v[k] = sum[O][k] > bound ? bound : sum[O][k];
            v[k] = v[k] < -bound ? -bound : v[k];
            if (runs.divided) v[k] = v[k] / bound;
        }
#pragma GCC unroll 4
        for (int o = 0; o < O; ++o)
#pragma GCC unroll 4
            for (int k = 0; k < K; ++k) sum[o][k] += v[k] * w.of[o][kClipped];
    }
#pragma GCC unroll 4
    for (int o = 0; o < O; ++o) {
        U* to = runs.out[o] + i;
#pragma GCC unroll 4
        for (int k = 0; k < K; ++k)
            runs.stream[o] ? stream_as(to + k * W, sum[o][k]) : store_as(to + k * W, sum[o][k]);
    }
}

// Less than a block, through copies of a block's length.
template <class T, class U, int O, bool Clip, int K>
void mix_rest(const Runs<T, U>& runs, const MixWeights<Compute<T>>& w, int64_t i, int64_t count) {
    constexpr int block = K * lanes<Compute<T>>;
    T source[kSources][block] = {};
    U out[O][block];
    Compute<T> drawn[block] = {};
    Runs<T, U> rest{};
    rest.n_sources = runs.n_sources;
    rest.hidden = runs.hidden;
    rest.divided = runs.divided;
    for (int s = 0; s < runs.n_sources; ++s) {
        std::copy(runs.source[s] + i, runs.source[s] + i + count, source[s]);
        rest.source[s] = source[s];
    }
    if (runs.drawn != nullptr) {
        std::copy(runs.drawn + i, runs.drawn + i + count, drawn);
        rest.drawn = drawn;
    }
    for (int o = 0; o < O; ++o) rest.out[o] = out[o];
    mix_block<T, U, O, Clip, K>(rest, w, 0);
    for (int o = 0; o < O; ++o) std::copy(out[o], out[o] + count, runs.out[o] + i);
}

template <class T, class U, int O, bool Clip>
void mix_run(Runs<T, U> runs, const MixWeights<Compute<T>>& w, int64_t count) {
    constexpr int K = O + Clip <= 2 || UNSUP_REGISTERS == 32 ? 4 : 2;
    constexpr int64_t block = K * lanes<Compute<T>>, line = 64 / int64_t(sizeof(U));
    int64_t i = 0;
    if (runs.stream[0]) {
        const int64_t past = int64_t(uintptr_t(runs.out[0]) / sizeof(U) % line);
        i = std::min(count, (line - past) % line);
        if (i > block) i = 0;
        if (i > 0) mix_rest<T, U, O, Clip, K>(runs, w, 0, i);
    }
    for (int o = 0; o < O; ++o)
        runs.stream[o] = runs.stream[o] && uintptr_t(runs.out[o] + i) % 64 == 0;
    for (; i + block <= count; i += block) mix_block<T, U, O, Clip, K>(runs, w, i);
    if (i < count) mix_rest<T, U, O, Clip, K>(runs, w, i, count - i);
}

template <class T, class U>
void mix_run(const Runs<T, U>& runs, int outs, bool clipped, const MixWeights<Compute<T>>& w,
             int64_t count) {
    if constexpr (std::is_same<T, U>::value) {
        if (outs == 3)
            return clipped ? mix_run<T, U, 3, true>(runs, w, count)
                           : mix_run<T, U, 3, false>(runs, w, count);
        if (outs == 2)
            return clipped ? mix_run<T, U, 2, true>(runs, w, count)
                           : mix_run<T, U, 2, false>(runs, w, count);
        if (clipped) return mix_run<T, U, 1, true>(runs, w, count);
    }
    mix_run<T, U, 1, false>(runs, w, count);
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
