// Body of affine; the contract is in affine.hpp.
#if defined(UNSUP_AFFINE_AFFINE_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_AFFINE_AFFINE_INL_H_
#undef UNSUP_AFFINE_AFFINE_INL_H_
#else
#define UNSUP_AFFINE_AFFINE_INL_H_
#endif

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "affine/affine.hpp"
#include "memory/buffer.hpp"
#include "parallel/parallel.hpp"
#include "parallel/run.hpp"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

constexpr int kRows = kGroup;            // rows whose results are in registers together
constexpr int64_t kColumnsAtOnce = 512;  // columns of these rows that stay in cache

// Weights in panels of a vector's width: [panels][D][W], the last filled up with zeros.
template <class T>
struct Weights {
    static constexpr int W = lanes<T>;
    int64_t d, k, panels;
    Buffer<T> packed, offset;

    explicit Weights(const Affine<T>& m) : d(m.d), k(m.k), panels((m.k + W - 1) / W) {
        packed = buffer<T>(panels * d * W, T(0));
        offset = buffer<T>(panels * W, T(0));
        std::copy(m.offset, m.offset + k, offset.get());
        for (int64_t i = 0; i < k; ++i) {
            T* to = packed.get() + i / W * d * W + i % W;
            for (int64_t j = 0; j < d; ++j) to[j * W] = m.weights[i * d + j];
        }
    }
};

// out [kRows][P * W] (+)= rows [kRows][kColumnsAtOnce] times P panels, over `depth` columns.
template <class T, int P>
void map_rows(const T* rows, const T* weights, int64_t panel, int64_t depth, T* out) {
    constexpr int W = lanes<T>;
    Vec<T> sum[kRows][P];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
        for (int p = 0; p < P; ++p) sum[r][p] = load<T, W>(out + (r * P + p) * W);
    for (int64_t j = 0; j < depth; ++j) {
        Vec<T> weight[P];
#pragma GCC unroll 8
        for (int p = 0; p < P; ++p) weight[p] = load<T, W>(weights + p * panel + j * W);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
            for (int p = 0; p < P; ++p) sum[r][p] += weight[p] * rows[r * kColumnsAtOnce + j];
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
        for (int p = 0; p < P; ++p) store<T, W>(out + (r * P + p) * W, sum[r][p]);
}

// Maps at most kRows rows. shifted [kRows][kColumnsAtOnce] and sums [panels][kRows][W] are room.
template <class T>
void map_block(const Affine<T>& m, const Weights<T>& w, int64_t i0, int rows, T* shifted, T* sums) {
    constexpr int W = lanes<T>;
    const int64_t d = m.d, parts = (w.panels + kTileVectors - 1) / kTileVectors;
    for (int64_t j0 = 0; j0 == 0 || j0 < d; j0 += kColumnsAtOnce) {
        const int64_t depth = std::min(kColumnsAtOnce, d - j0);
        for (int r = 0; r < rows; ++r) {
            const T* x = m.x + (i0 + r) * d + j0;
            for (int64_t j = 0; j < depth; ++j)
                shifted[r * kColumnsAtOnce + j] = x[j] - m.shift[j0 + j];
        }
        for (int64_t t = 0; t < parts; ++t) {
            const int64_t v = t * w.panels / parts, width = (t + 1) * w.panels / parts - v;
            const T* weights = w.packed.get() + (v * d + j0) * W;
            T* to = sums + v * kRows * W;
            for (int r = 0; j0 == 0 && r < kRows; ++r)
                std::copy(&w.offset[v * W], &w.offset[v * W] + width * W, to + r * width * W);
            if (width == 1)
                map_rows<T, 1>(shifted, weights, d * W, depth, to);
            else if (width == 2 || kTileVectors == 2)
                map_rows<T, 2>(shifted, weights, d * W, depth, to);
            else
                map_rows<T, kTileVectors>(shifted, weights, d * W, depth, to);
            if (j0 + depth < d) continue;
            const int64_t k = std::min(m.k - v * W, width * W);
            for (int r = 0; r < rows; ++r)
                std::copy(to + r * width * W, to + r * width * W + k,
                          m.out + (i0 + r) * m.k + v * W);
        }
    }
}

template <class T>
void affine(const Affine<T>& m, const Run& run) {
    constexpr int64_t chunk_rows = 64 * kRows;
    const Weights<T> w(m);
    const int64_t chunks = (m.n + chunk_rows - 1) / chunk_rows;
    const int threads = int(std::max<int64_t>(1, std::min<int64_t>(run.threads, chunks)));
    std::vector<Buffer<T>> shifted, sums;
    for (int t = 0; t < threads; ++t) {
        shifted.push_back(buffer<T>(kRows * kColumnsAtOnce, T(0)));
        sums.push_back(buffer<T>(w.panels * kRows * lanes<T>, T(0)));
    }
    Stop stop(run);
    std::atomic<int64_t> next{0};
    in_parallel(threads, [&](int thread) {
        for (int64_t c; (c = next.fetch_add(1)) < chunks && !stop.poll(thread);)
            for (int64_t i = c * chunk_rows; i < std::min(m.n, (c + 1) * chunk_rows); i += kRows)
                map_block<T>(m, w, i, int(std::min<int64_t>(kRows, m.n - i)),
                             shifted[size_t(thread)].get(), sums[size_t(thread)].get());
    });
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
