// The spread of rows about one of them, from which the scale of k-means++ follows.
#if defined(UNSUP_KMEANS_PLUSPLUS_SPREAD_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_KMEANS_PLUSPLUS_SPREAD_INL_H_
#undef UNSUP_KMEANS_PLUSPLUS_SPREAD_INL_H_
#else
#define UNSUP_KMEANS_PLUSPLUS_SPREAD_INL_H_
#endif

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>

#include "memory/buffer.hpp"
#include "parallel/parallel.hpp"
#include "parallel/run.hpp"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

// The largest difference of any value from that of row `origin` in its column.
template <class T>
T spread(const T* x, int64_t n, int64_t d, int64_t origin, const Run& run) {
    constexpr int64_t chunk_rows = 1024;
    const int64_t chunks = (n + chunk_rows - 1) / chunk_rows;
    const Buffer<T> largest = buffer<T>(chunks, T(0));
    Stop stop(run);
    std::atomic<int64_t> next{0};
    in_parallel(int(std::min<int64_t>(run.threads, chunks)), [&](int thread) {
        for (int64_t c; (c = next.fetch_add(1)) < chunks && !stop.poll(thread);) {
            Vec<T> most{};
            T rest = 0;
            for (int64_t i = c * chunk_rows; i < std::min(n, (c + 1) * chunk_rows); ++i) {
                const T *row = x + i * d, *from = x + origin * d;
                int64_t j = 0;
                for (; j + lanes<T> <= d; j += lanes<T>) {
                    const Vec<T> gap = load<T, lanes<T>>(row + j) - load<T, lanes<T>>(from + j);
                    const Vec<T> size = gap < Vec<T>{} ? -gap : gap;
                    most = size > most ? size : most;
                }
                for (; j < d; ++j) rest = std::max(rest, std::abs(row[j] - from[j]));
            }
            for (int l = 0; l < lanes<T>; ++l) rest = std::max(rest, most[l]);
            largest[c] = rest;
        }
    });
    return *std::max_element(largest.get(), largest.get() + chunks);
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
