// Body of moments; the contract is in moments.hpp.
#if defined(UNSUP_MOMENTS_MOMENTS_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_MOMENTS_MOMENTS_INL_H_
#undef UNSUP_MOMENTS_MOMENTS_INL_H_
#else
#define UNSUP_MOMENTS_MOMENTS_INL_H_
#endif

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "memory/buffer.hpp"
#include "moments/moments.hpp"
#include "parallel/parallel.hpp"
#include "parallel/run.hpp"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

template <class T, int N>
UNSUP_INLINE void add_deviation(const T* x, const double* origin, double* s1, double* s2,
                                double* low, double* high) {
    const vec<double, N> value = to_double<T, N>(load<T, N>(x));
    const vec<double, N> gap = value - load<double, N>(origin);
    const vec<double, N> least = load<double, N>(low), most = load<double, N>(high);
    store<double, N>(s1, load<double, N>(s1) + gap);
    store<double, N>(s2, load<double, N>(s2) + gap * gap);
    store<double, N>(low, value < least ? value : least);
    store<double, N>(high, value > most ? value : most);
}

// s1, s2 [width] += sums of (x - origin) and (x - origin)^2 over rows of `width` values, whose
// minima and maxima go to low and high [width].
template <class T>
void add_deviations(const T* x, int64_t rows, int64_t width, const double* origin, double* s1,
                    double* s2, double* low, double* high) {
    constexpr int N = UNSUP_VECTOR_BYTES / int(sizeof(double));
    for (int64_t i = 0; i < rows; ++i, x += width) {
        int64_t j = 0;
        for (; j + N <= width; j += N)
            add_deviation<T, N>(x + j, origin + j, s1 + j, s2 + j, low + j, high + j);
        for (; j < width; ++j)
            add_deviation<T, 1>(x + j, origin + j, s1 + j, s2 + j, low + j, high + j);
    }
}

template <class T>
void moments(Moments<T>& m, const Run& run) {
    const int64_t n = m.n, d = m.d;
    // Narrow rows are taken several at a time, as rows of at least 64 values.
    const int64_t fold = d < 64 ? (64 + d - 1) / d : 1, width = fold * d;
    const int64_t most = std::max<int64_t>(1, std::min<int64_t>(1024, (int64_t(8) << 20) / d));
    const int64_t chunk_rows = std::max<int64_t>(4096, (n + most - 1) / most);
    const int64_t chunks = (n + chunk_rows - 1) / chunk_rows;
    const Buffer<double> partial = buffer<double>(chunks * 4 * d, 0.0);  // [chunks][4][D]
    const int threads = int(std::max<int64_t>(1, std::min<int64_t>(run.threads, chunks)));
    std::vector<Buffer<double>> work;
    for (int t = 0; t < threads; ++t) work.push_back(buffer<double>(5 * width, 0.0));
    Stop stop(run);
    std::atomic<int64_t> next{0};

    in_parallel(threads, [&](int thread) {
        double* origin = work[size_t(thread)].get();
        double *s1 = origin + width, *s2 = s1 + width, *low = s2 + width, *high = low + width;
        for (int64_t c; (c = next.fetch_add(1)) < chunks && !stop.poll(thread);) {
            const int64_t i0 = c * chunk_rows, rows = std::min(n, i0 + chunk_rows) - i0;
            const T* x = m.x + i0 * d;
            for (int64_t j = 0; j < width; ++j) origin[j] = low[j] = high[j] = double(x[j % d]);
            std::fill(s1, s1 + 2 * width, 0.0);
            add_deviations<T>(x, rows / fold, width, origin, s1, s2, low, high);
            add_deviations<T>(x + rows / fold * width, rows % fold, d, origin, s1, s2, low, high);
            double* mean = partial.get() + c * 4 * d;
            double* square = mean + d;  // sum of squares about the mean
            double *least = square + d, *most = least + d;
            for (int64_t j = 0; j < d; ++j) {
                double a = 0, b = 0;
                least[j] = most[j] = origin[j];
                for (int64_t q = j; q < width; q += d) {
                    a += s1[q];
                    b += s2[q];
                    least[j] = std::min(least[j], low[q]);
                    most[j] = std::max(most[j], high[q]);
                }
                mean[j] = origin[j] + a / double(rows);
                square[j] = b - a * (a / double(rows));
            }
        }
    });
    if (stop.requested()) return;

    bool finite = true;
    for (int64_t j = 0; j < d; ++j) {
        double mean = 0, square = 0, count = 0;
        for (int64_t c = 0; c < chunks; ++c) {
            const double rows = double(std::min(n, (c + 1) * chunk_rows) - c * chunk_rows);
            const double gap = partial[(4 * c) * d + j] - mean, total = count + rows;
            mean += gap * (rows / total);
            square += partial[(4 * c + 1) * d + j] + gap * gap * (count / total) * rows;
            count = total;
        }
        m.mean[j] = mean;
        m.variance[j] = std::max(square, 0.0) / double(n);
        m.minimum[j] = partial[2 * d + j];
        m.maximum[j] = partial[3 * d + j];
        for (int64_t c = 1; c < chunks; ++c) {
            m.minimum[j] = std::min(m.minimum[j], partial[(4 * c + 2) * d + j]);
            m.maximum[j] = std::max(m.maximum[j], partial[(4 * c + 3) * d + j]);
        }
        finite = finite && std::isfinite(mean) && std::isfinite(square);
    }
    m.bad = -1;
    for (int64_t i = 0; !finite && i < n * d; ++i)
        if (!std::isfinite(m.x[i])) {
            m.bad = i;
            for (double* out : {m.mean, m.variance, m.minimum, m.maximum})
                std::fill(out, out + d, std::numeric_limits<double>::quiet_NaN());
            break;
        }
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
