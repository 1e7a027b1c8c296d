// The moments of em: weighted sums and products of a block's rows about the means of components.
#if defined(UNSUP_EM_MOMENTS_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_EM_MOMENTS_INL_H_
#undef UNSUP_EM_MOMENTS_INL_H_
#else
#define UNSUP_EM_MOMENTS_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "em/em.hpp"
#include "em/model-inl.h"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

// to [lanes] += v, in double.
template <class T>
UNSUP_INLINE void add_lanes(Vec<T> v, double* to) {
    T part[lanes<T>];
    store<T, lanes<T>>(part, v);
#pragma GCC unroll 8
    for (int i = 0; i < lanes<T>; i += kDoubles)
        store<double, kDoubles>(to + i, load<double, kDoubles>(to + i) +
                                            to_double<T, kDoubles>(load<T, kDoubles>(part + i)));
}

// to [I][V lanes], with rows of `width`, += sum over rows of a_i b_j, columns of the same matrix.
template <class T, int I, int V>
void add_products(const T* a, const T* b, int64_t rows, int64_t width, double* to) {
    constexpr int W = lanes<T>;
    Vec<T> sum[I][V] = {};
    for (int64_t r = 0; r < rows; ++r, a += width, b += width) {
        Vec<T> column[V];
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) column[v] = load<T, W>(b + v * W);
#pragma GCC unroll 8
        for (int i = 0; i < I; ++i)
#pragma GCC unroll 8
            for (int v = 0; v < V; ++v) sum[i][v] += column[v] * a[i];
    }
    for (int i = 0; i < I; ++i)
        for (int v = 0; v < V; ++v) add_lanes<T>(sum[i][v], to + i * width + v * W);
}

// Rows [i, i + I) of the products, from the vector that the diagonal is in.
template <class T, int I>
void add_row_products(const T* y, int64_t rows, int64_t width, int64_t columns, int64_t i,
                      double* to) {
    constexpr int W = lanes<T>;
    int64_t j = i / W * W;
    const auto add = [&](auto vectors) {
        constexpr int V = decltype(vectors)::value;
        add_products<T, I, V>(y + i, y + j, rows, width, to + i * width + j);
        j += V * W;
    };
    while (columns - j > (kTileVectors - 1) * W) add(std::integral_constant<int, kTileVectors>());
    if (columns - j > W) add(std::integral_constant<int, 2>());
    if (columns > j) add(std::integral_constant<int, 1>());
}

// to [columns][width] += sum over rows of y y^T, y [rows][width]; of the lower half only what
// shares a vector with the diagonal.
template <class T>
void add_symmetric(const T* y, int64_t rows, int64_t width, int64_t columns, double* to) {
    int64_t i = 0;
    for (; i + kGroup <= columns; i += kGroup)
        add_row_products<T, kGroup>(y, rows, width, columns, i, to);
    if (columns - i >= 4 && kGroup > 4) {
        add_row_products<T, 4>(y, rows, width, columns, i, to);
        i += 4;
    }
    if (columns - i >= 2) {
        add_row_products<T, 2>(y, rows, width, columns, i, to);
        i += 2;
    }
    if (columns > i) add_row_products<T, 1>(y, rows, width, columns, i, to);
}

// Rows of a block and what share of them something has.
template <class T>
struct Shares {
    const int32_t* rows;
    const T* share;
    int64_t count;
};

// rows, share [lanes] = the numbers and values of those lanes of r, the first of them row `first`,
// that are above zero; returns how many. What stands behind them is overwritten.
#if UNSUP_VECTOR_BYTES == 64
// The compiler's vectors have no compression.
UNSUP_INLINE int list_positive(Vec<float> r, int32_t first, int32_t* rows, float* share) {
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __mmask16 some = _mm512_cmp_ps_mask((__m512)r, _mm512_setzero_ps(), _CMP_GT_OQ);
    if (some == 0) return 0;
    const __m512i row = _mm512_add_epi32(lane, _mm512_set1_epi32(first));
    _mm512_storeu_si512(rows, _mm512_maskz_compress_epi32(some, row));
    _mm512_storeu_ps(share, _mm512_maskz_compress_ps(some, (__m512)r));
    return __builtin_popcount(some);
}
UNSUP_INLINE int list_positive(Vec<double> r, int32_t first, int32_t* rows, double* share) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __mmask8 some = _mm512_cmp_pd_mask((__m512d)r, _mm512_setzero_pd(), _CMP_GT_OQ);
    if (some == 0) return 0;
    const __m256i row = _mm256_add_epi32(lane, _mm256_set1_epi32(first));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(rows), _mm256_maskz_compress_epi32(some, row));
    _mm512_storeu_pd(share, _mm512_maskz_compress_pd(some, (__m512d)r));
    return __builtin_popcount(some);
}
#else
template <class R, class T>
UNSUP_INLINE int list_positive(R r, int32_t first, int32_t* rows, T* share) {
    int count = 0;
    for (int i = 0; i < lanes<T>; ++i) {
        rows[count] = first + i;
        share[count] = r[i];
        count += r[i] > 0;
    }
    return count;
}
#endif

// share [count] becomes its square root.
template <class T>
void take_roots(int64_t count, T* share) {
    for (int64_t r = 0; r < count; ++r) share[r] = std::sqrt(share[r]);
}

// OUT y [count][width] = (x - origin) root; sums [width] += y root. `of` has roots of shares, so
// that the products of y with itself are those that are wanted.
template <class To, class T>
void gather(const T* x, const Shares<To>& of, int64_t width, const T* origin, To* y, double* sums) {
    constexpr int W = lanes<To>;
    for (int64_t j = 0; j < width; j += W) {
        const auto load_to = [](const T* p) UNSUP_INLINE_LAMBDA {
            if constexpr (sizeof(T) == sizeof(To))
                return load<T, W>(p);
            else
                return to_double<T, W>(load<T, W>(p));
        };
        const Vec<To> from = load_to(origin + j);
        Vec<To> even{}, odd{};
        const auto put = [&](int64_t r) UNSUP_INLINE_LAMBDA {
            const Vec<To> mine = (load_to(x + of.rows[r] * width + j) - from) * of.share[r];
            store<To, W>(y + r * width + j, mine);
            return mine * of.share[r];
        };
        int64_t r = 0;
        for (; r + 2 <= of.count; r += 2) {
            even += put(r);
            odd += put(r + 1);
        }
        if (r < of.count) even += put(r);
        add_lanes<To>(even + odd, sums + j);
    }
}

// sums [width] += sum of share * e, squares [width] += sum of share * e^2 unless null, e = x -
// origin.
template <class T, bool Squares>
void add_diagonal(const T* x, const Shares<T>& of, int64_t width, const T* origin, double* sums,
                  double* squares) {
    constexpr int W = lanes<T>;
    for (int64_t j = 0; j < width; j += W) {
        const Vec<T> from = load<T, W>(origin + j);
        Vec<T> sum[2] = {}, square[2] = {};
        const auto add = [&](int64_t r, int at) UNSUP_INLINE_LAMBDA {
            const Vec<T> e = load<T, W>(x + of.rows[r] * width + j) - from, mine = e * of.share[r];
            sum[at] += mine;
            if (Squares) square[at] += mine * e;
        };
        int64_t r = 0;
        for (; r + 2 <= of.count; r += 2) {
            add(r, 0);
            add(r + 1, 1);
        }
        if (r < of.count) add(r, 0);
        add_lanes<T>(sum[0] + sum[1], sums + j);
        if (Squares) add_lanes<T>(square[0] + square[1], squares + j);
    }
}

// Where the sums of one thread stand in one array.
struct SumsLayout {
    int64_t width, sums, second, each, size;  // each: of one component's second moment

    SumsLayout(int64_t k, int64_t width_, CovarianceType covariance) : width(width_) {
        sums = round_up(k, 8);
        second = sums + k * width;
        const bool matrix =
            covariance == CovarianceType::full || covariance == CovarianceType::tied;
        each = matrix ? width * width : width;
        size = second + (covariance == CovarianceType::tied ? 1 : k) * each;
    }
};

// Rows that are summed in T before their sum goes on in double.
template <class T>
int64_t run_rows(int64_t width) {
    return std::clamp<int64_t>((32 << 10) / (width * int64_t(sizeof(T))), 32, 248);
}

// OUT second [D, D] of tied, from products about s: x - mu = (x - s) - g with g = mu - s.
template <class T>
void finish_tied(const EmModel<T>& m, const EmIn<T>& in, const double* shares,
                 const double* products, EmOut<T>& out) {
    const int64_t d = m.d;
    const double unscale = 1 / m.scale;
    const auto gap = [&](int64_t c, int64_t j) {
        return in.means[c * d + j] * m.scale - double(m.origin[j]);
    };
    for (int64_t i = 0; i < d; ++i)
        for (int64_t j = i; j < d; ++j) {
            double value = products[i * m.width + j];
            for (int64_t c = 0; c < m.k; ++c) {
                if (shares[c] == 0) continue;
                const double a = out.sums[c * d + i] * m.scale, b = out.sums[c * d + j] * m.scale;
                value -= a * gap(c, j) + gap(c, i) * b + shares[c] * gap(c, i) * gap(c, j);
            }
            out.second[i * d + j] = out.second[j * d + i] = value * unscale * unscale;
        }
}

// Sums about the rounded means to sums about the means, out of the scale, [.., D].
template <class T>
void finish_moments(const EmModel<T>& m, const EmIn<T>& in, const SumsLayout& at,
                    const double* total, EmOut<T>& out) {
    const int64_t d = m.d;
    const double unscale = 1 / m.scale;
    for (int64_t c = 0; c < m.k; ++c) {
        const double share = total[c], *sums = total + at.sums + c * m.width;
        const double *second = total + at.second + c * at.each, *low = m.low.get() + c * d;
        out.resp_sums[c] = share;
        for (int64_t j = 0; j < d; ++j)
            out.sums[c * d + j] = share == 0 ? 0 : (sums[j] - share * low[j]) * unscale;
        const auto about_mean = [&](double product, int64_t i, int64_t j) {
            if (share == 0) return 0.0;
            const double moved = sums[i] * low[j] + low[i] * sums[j] - share * low[i] * low[j];
            return (product - moved) * unscale * unscale;
        };
        if (in.covariance == CovarianceType::full) {
            for (int64_t i = 0; i < d; ++i)
                for (int64_t j = i; j < d; ++j)
                    out.second[(c * d + i) * d + j] = out.second[(c * d + j) * d + i] =
                        about_mean(second[i * m.width + j], i, j);
        } else if (in.covariance != CovarianceType::tied) {
            double trace = 0;
            for (int64_t j = 0; j < d; ++j) {
                const double value = std::max(about_mean(second[j], j, j), 0.0);
                trace += value;
                if (in.covariance == CovarianceType::diag) out.second[c * d + j] = value;
            }
            if (in.covariance == CovarianceType::spherical) out.second[c] = trace;
        }
    }
    if (in.covariance == CovarianceType::tied) finish_tied<T>(m, in, total, total + at.second, out);
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
