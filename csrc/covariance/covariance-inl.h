// Body of covariance; the contract is in covariance.hpp.
#if defined(UNSUP_COVARIANCE_COVARIANCE_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_COVARIANCE_COVARIANCE_INL_H_
#undef UNSUP_COVARIANCE_COVARIANCE_INL_H_
#else
#define UNSUP_COVARIANCE_COVARIANCE_INL_H_
#endif

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "covariance/covariance.hpp"
#include "memory/buffer.hpp"
#include "parallel/parallel.hpp"
#include "parallel/run.hpp"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

constexpr int64_t kBlockRowsSyrk = 256;  // rows that are added up in T
constexpr int64_t kFetched = 256 << 10;  // bytes of a block that is fetched ahead
constexpr int kSteps = 16, kLines = 8;   // a few rows, after which as many lines are fetched

// How columns are cut: panels of a vector's width, a column of ones behind the last, whose products
// are the sums; groups of kGroup columns are multiplied by the panels up to their own.
template <class T>
struct Panels {
    static constexpr int W = lanes<T>;
    int64_t d, panels, groups;

    explicit Panels(int64_t columns)
        : d(columns), panels(columns / W + 1), groups((columns + kGroup) / kGroup) {}

    // Panels that group g is multiplied by, and where its products [panels][kGroup][W] begin.
    int64_t count(int64_t g) const { return std::min(panels, (g * kGroup + kGroup - 1) / W + 1); }
    std::vector<int64_t> offsets() const {
        std::vector<int64_t> at{0};
        for (int64_t g = 0; g < groups; ++g) at.push_back(at.back() + count(g) * kGroup * W);
        return at;
    }
};

// The next block's rows, fetched into cache a line at a time where a block is small compared with
// the cache.
struct NextRows {
    const char* from;
    const char* end;

    template <class T>
    NextRows(const T* x, int64_t values)
        : from(reinterpret_cast<const char*>(x)), end(reinterpret_cast<const char*>(x + values)) {
        if (end - from > kFetched) from = end;
    }
    UNSUP_INLINE_MEMBER void fetch() {
        for (int line = 0; line < kLines && from < end; ++line, from += 64)
            __builtin_prefetch(from, 0, 2);
    }
};

// Rows [rows, D] to panels [panels][kBlockRowsSyrk][W]; end: one past the last element of X.
template <class T>
void pack_panels(const T* x, int64_t rows, const Panels<T>& cut, const T* end, const T* shift,
                 const T* scale, T* out) {
    constexpr int W = lanes<T>;
    const int64_t d = cut.d, whole = d / W;
    Vec<T> one{};
    Index<T> inside;
    for (int l = 0; l < W; ++l) inside[l] = whole * W + l < d ? -1 : 0;
    one[d - whole * W] = T(1);
    const Vec<T> zero{};
    const Vec<T> last_shift = load<T, W>(shift + whole * W);
    const Vec<T> last_scale = load<T, W>(scale + whole * W);
    for (int64_t r = 0; r < rows; ++r, x += d) {
        T* to = out + r * W;
        for (int64_t v = 0; v < whole; ++v)
            store<T, W>(
                to + v * kBlockRowsSyrk * W,
                (load<T, W>(x + v * W) - load<T, W>(shift + v * W)) * load<T, W>(scale + v * W));
        Vec<T> last{};
        if (x + (whole + 1) * W <= end) {
            last = load<T, W>(x + whole * W);
        } else {
            for (int64_t j = whole * W; j < d; ++j) last[j - whole * W] = x[j];
        }
        last = inside ? (last - last_shift) * last_scale : zero;
        store<T, W>(to + whole * kBlockRowsSyrk * W, last + one);
    }
}

// A function of its own: in line, GCC would keep the products on the stack to halve them there.
template <class T, bool First>
__attribute__((noinline)) void add_values(const T* values, int count, double* to) {
    for (int i = 0; i < count; i += kDoubles) {
        vec<double, kDoubles> sum = to_double<T, kDoubles>(load<T, kDoubles>(values + i));
        if (!First) sum += load<double, kDoubles>(to + i);
        store<double, kDoubles>(to + i, sum);
    }
}

// to [P][kGroup][W] += products of P panels and the first G columns of a group.
template <class T, int G, int P, bool First>
UNSUP_INLINE void add_products(const T* panels, const T* group, int64_t rows, NextRows& next,
                               double* to) {
    constexpr int W = lanes<T>;
    constexpr int64_t step = kBlockRowsSyrk * W;
    Vec<T> product[G][P] = {};
    for (int64_t r0 = 0; r0 < rows; r0 += kSteps) {
        next.fetch();
        const int64_t r1 = std::min(rows, r0 + kSteps);
        for (int64_t r = r0; r < r1; ++r) {
            Vec<T> row[P];
#pragma GCC unroll 8
            for (int p = 0; p < P; ++p) row[p] = load<T, W>(panels + p * step + r * W);
#pragma GCC unroll 8
            for (int g = 0; g < G; ++g) {
#pragma GCC unroll 8
                for (int p = 0; p < P; ++p)
                    product[g][p] += row[p] * group[g / W * step + r * W + g % W];
            }
        }
    }
    T values[P][kGroup][W];
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p)
#pragma GCC unroll 8
        for (int g = 0; g < G; ++g) store<T, W>(values[p][g], product[g][p]);
    for (int p = 0; p < P; ++p) add_values<T, First>(values[p][0], G * W, to + p * kGroup * W);
}

template <class T, int G, bool First>
void add_group(const T* packed, int64_t count, const T* group, int64_t rows, NextRows& next,
               double* to) {
    constexpr int64_t step = kBlockRowsSyrk * lanes<T>, size = kGroup * lanes<T>;
    const int64_t parts = (count + kTileVectors - 1) / kTileVectors;
    for (int64_t t = 0; t < parts; ++t) {
        const int64_t v = t * count / parts, width = (t + 1) * count / parts - v;
        const T* from = packed + v * step;
        double* at = to + v * size;
        if (width == 1)
            add_products<T, G, 1, First>(from, group, rows, next, at);
        else if (width == 2 || kTileVectors == 2)
            add_products<T, G, 2, First>(from, group, rows, next, at);
        else
            add_products<T, G, kTileVectors, First>(from, group, rows, next, at);
    }
}

// products += those of a packed block, or = if it is the first of a chunk.
template <class T, bool First>
void add_block(const T* packed, int64_t rows, const Panels<T>& cut, const int64_t* offsets,
               NextRows next, double* products) {
    constexpr int W = lanes<T>;
    constexpr int64_t step = kBlockRowsSyrk * W;
    for (int64_t g = 0; g < cut.groups; ++g) {
        const int64_t j = g * kGroup, left = cut.d + 1 - j;
        const T* group = packed + j / W * step + j % W;
        double* to = products + offsets[g];
        if (left <= kGroup / 4)
            add_group<T, kGroup / 4, First>(packed, cut.count(g), group, rows, next, to);
        else if (left <= kGroup / 2)
            add_group<T, kGroup / 2, First>(packed, cut.count(g), group, rows, next, to);
        else
            add_group<T, kGroup, First>(packed, cut.count(g), group, rows, next, to);
    }
}

template <class T>
void covariance(const Covariance<T>& m, const Run& run) {
    constexpr int W = lanes<T>;
    constexpr int64_t block = kBlockRowsSyrk;
    const int64_t n = m.n, d = m.d;
    const Panels<T> cut(d);
    const std::vector<int64_t> offsets = cut.offsets();
    const int64_t size = offsets.back();
    // Sixteen chunks, or a multiple, which most numbers of threads share evenly.
    const int64_t shares = 16 * std::max<int64_t>(1, n / (16 * 4096));
    const int64_t chunk_rows =
        std::max<int64_t>(1024, ((n + shares - 1) / shares + block - 1) / block * block);
    const int64_t chunks = (n + chunk_rows - 1) / chunk_rows;
    const int64_t room = std::max<int64_t>(1, (int64_t(64) << 20) / size);  // 512 MiB of products
    const int threads = int(std::max<int64_t>(1, std::min({int64_t(run.threads), chunks, room})));

    const Buffer<T> shift = buffer<T>(d + 2 * W, T(0)), scale = buffer<T>(d + 2 * W, T(0));
    std::copy(m.shift, m.shift + d, shift.get());
    std::copy(m.scale, m.scale + d, scale.get());
    const Buffer<double> total = buffer<double>(size, 0.0);
    std::vector<Buffer<double>> own;
    std::vector<Buffer<T>> packed;
    for (int t = 0; t < threads; ++t) {
        own.push_back(buffer<double>(size, 0.0));
        packed.push_back(buffer<T>(cut.panels * block * W, T(0)));
    }
    Stop stop(run);
    std::atomic<int64_t> next{0}, merged{0};
    in_parallel(threads, [&](int thread) {
        double* mine = own[size_t(thread)].get();
        T* rows = packed[size_t(thread)].get();
        for (int64_t c; (c = next.fetch_add(1)) < chunks;) {
            const int64_t i0 = c * chunk_rows, i1 = std::min(n, i0 + chunk_rows);
            for (int64_t i = i0; i < i1; i += block) {
                if (stop.poll(thread)) return;
                const int64_t count = std::min(block, i1 - i);
                pack_panels<T>(m.x + i * d, count, cut, m.x + n * d, shift.get(), scale.get(),
                               rows);
                const int64_t after = std::min(n, i + count + block) - (i + count);
                const NextRows following(m.x + (i + count) * d, after * d);
                if (i == i0)
                    add_block<T, true>(rows, count, cut, offsets.data(), following, mine);
                else
                    add_block<T, false>(rows, count, cut, offsets.data(), following, mine);
            }
            while (merged.load(std::memory_order_acquire) != c) {
                if (stop.poll(thread)) return;
                std::this_thread::yield();
            }
            for (int64_t i = 0; i < size; ++i) total[i] += mine[i];
            merged.store(c + 1, std::memory_order_release);
        }
    });
    if (stop.requested()) return;
    for (int64_t j = 0; j <= d; ++j) {
        const double* from = total.get() + offsets[j / kGroup] + j % kGroup * W;
        for (int64_t i = 0; i <= std::min(j, d - 1); ++i) {
            const double value = from[i / W * kGroup * W + i % W];
            if (j == d)
                m.sums[i] = value;
            else
                m.products[i * d + j] = m.products[j * d + i] = value;
        }
    }
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
