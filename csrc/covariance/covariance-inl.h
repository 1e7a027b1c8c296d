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
constexpr int kPackedRows = 8;           // rows that are packed together
// Groups that are multiplied by the same panels in turn. With 16 registers a vector that is loaded
// serves 4 products, too few to load it from the second cache each time.
constexpr int64_t kGroupsTogether = UNSUP_REGISTERS == 32 ? 1 : int64_t(1) << 40;

// How columns are cut: panels of a vector's width, groups of kGroup columns. Groups are multiplied
// by the panels up to their own.
template <class T>
struct Panels {
    static constexpr int W = lanes<T>;
    int64_t d, panels, groups;

    explicit Panels(int64_t columns)
        : d(columns), panels((columns + W - 1) / W), groups((columns + kGroup - 1) / kGroup) {}

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

// Packs R rows of a panel, whose sums [W] they are added to. `Whole`: all its columns are in X.
template <class T, int R, bool Whole>
UNSUP_INLINE void pack_rows(const T* x, int64_t d, int width, const T* end, const T* shift,
                            const T* scale, T* out, T* sums) {
    constexpr int W = lanes<T>;
    const Vec<T> origin = load<T, W>(shift), factor = load<T, W>(scale), zero{};
    Vec<T> sum = load<T, W>(sums);
    Index<T> inside;
    for (int l = 0; l < W; ++l) inside[l] = l < width ? -1 : 0;
    const bool readable = Whole || x + (R - 1) * d + W <= end;
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r, x += d) {
        Vec<T> value{};
        if (readable)
            value = load<T, W>(x);
        else
            for (int j = 0; j < width; ++j) value[j] = x[j];
        value = (value - origin) * factor;
        if (!Whole) value = inside ? value : zero;
        store<T, W>(out + r * W, value);
        sum += value;
    }
    store<T, W>(sums, sum);
}

template <class T, int R>
void pack_some(const T* x, const Panels<T>& cut, const T* end, const T* shift, const T* scale,
               T* out, T* sums) {
    constexpr int W = lanes<T>;
    constexpr int64_t step = kBlockRowsSyrk * W, line = 64 / int64_t(sizeof(T));
    const int64_t whole = cut.d / W;
    const T* ahead = x + R * cut.d;
    for (int64_t v = 0; v < cut.panels; ++v, x += W, out += step, sums += W) {
        if (v + 1 < cut.panels)  // lines of several panels lie in the same set of the cache
            for (int64_t i = 0; i < R * W; i += line) __builtin_prefetch(out + step + i, 1);
        for (int64_t i = 0; i < R * W; i += line) __builtin_prefetch(ahead + v * R * W + i, 0, 2);
        if (v < whole)
            pack_rows<T, R, true>(x, cut.d, W, end, shift + v * W, scale + v * W, out, sums);
        else
            pack_rows<T, R, false>(x, cut.d, int(cut.d % W), end, shift + v * W, scale + v * W, out,
                                   sums);
    }
}

// Rows [rows, D] to panels [panels][kBlockRowsSyrk][W], and their sums to sums [panels][W]; end:
// one past the last element of X.
template <class T>
void pack_panels(const T* x, int64_t rows, const Panels<T>& cut, const T* end, const T* shift,
                 const T* scale, T* out, T* sums) {
    constexpr int W = lanes<T>, R = kPackedRows;
    std::fill(sums, sums + cut.panels * W, T(0));
    for (; rows >= R; rows -= R, x += R * cut.d, out += R * W)
        pack_some<T, R>(x, cut, end, shift, scale, out, sums);
    for (; rows > 0; --rows, x += cut.d, out += W)
        pack_some<T, 1>(x, cut, end, shift, scale, out, sums);
}

// to [count] = values, or += if `more`. A function of its own: in line, GCC would keep the products
// on the stack to halve them there.
template <class T>
__attribute__((noinline)) void add_values(const T* values, int count, bool more, double* to) {
    for (int i = 0; i < count; i += kDoubles) {
        vec<double, kDoubles> sum = to_double<T, kDoubles>(load<T, kDoubles>(values + i));
        if (more) sum += load<double, kDoubles>(to + i);
        store<double, kDoubles>(to + i, sum);
    }
}

// The products of P panels and G columns, of one group or of several that begin with a panel: those
// of a group to [P][kGroup][W], `stride` from those of the group before.
template <class T, int G, int P>
void add_products(const T* panels, const T* group, int64_t rows, NextRows& next, bool more,
                  int64_t stride, double* to) {
    constexpr int W = lanes<T>, columns = std::min(G, kGroup), groups = G / columns;
    constexpr int64_t step = kBlockRowsSyrk * W;
    for (int q = 0; q < groups; ++q)
        for (int i = 0; i < P * kGroup * W; i += 8) __builtin_prefetch(to + q * stride + i, 1);
    Vec<T> product[G][P] = {};
    for (int64_t r0 = 0; r0 < rows; r0 += kSteps) {
        next.fetch();
        const int64_t r1 = std::min(rows, r0 + kSteps);
        for (int64_t r = r0; r < r1; ++r) {
            Vec<T> row[P];
#pragma GCC unroll 8
            for (int p = 0; p < P; ++p) row[p] = load<T, W>(panels + p * step + r * W);
#pragma GCC unroll 16
            for (int g = 0; g < G; ++g) {
#pragma GCC unroll 8
                for (int p = 0; p < P; ++p)
                    product[g][p] += row[p] * group[g / W * step + r * W + g % W];
            }
        }
    }
    T values[groups][P][columns][W];
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p)
#pragma GCC unroll 16
        for (int g = 0; g < G; ++g) store<T, W>(values[g / columns][p][g % columns], product[g][p]);
    for (int q = 0; q < groups; ++q)
        for (int p = 0; p < P; ++p)
            add_values<T>(values[q][p][0], columns * W, more, to + q * stride + p * kGroup * W);
}

template <class T, int G>
void add_group(const T* panels, int64_t width, const T* group, int64_t rows, NextRows& next,
               bool more, double* to) {
    if (width == 1)
        add_products<T, G, 1>(panels, group, rows, next, more, 0, to);
    else if (width == 2 || kTileVectors == 2)
        add_products<T, G, 2>(panels, group, rows, next, more, 0, to);
    else
        add_products<T, G, kTileVectors>(panels, group, rows, next, more, 0, to);
}

// products = those of a packed block, or += if there are `more` in its chunk.
template <class T>
void add_block(const T* packed, int64_t rows, const Panels<T>& cut, const int64_t* offsets,
               NextRows next, bool more, double* products) {
    constexpr int W = lanes<T>;
    constexpr int64_t step = kBlockRowsSyrk * W;
    // One vector by one group is too little to keep the multipliers busy.
    constexpr bool paired = W >= 2 * kGroup && UNSUP_REGISTERS == 16;
    constexpr int pair = paired ? 2 * kGroup : kGroup;
    for (int64_t g0 = 0; g0 < cut.groups; g0 += kGroupsTogether) {
        const int64_t g1 = std::min(cut.groups, g0 + kGroupsTogether), count = cut.count(g1 - 1);
        const int64_t parts = (count + kTileVectors - 1) / kTileVectors;
        for (int64_t t = 0; t < parts; ++t) {
            const int64_t v = t * count / parts, most = (t + 1) * count / parts - v;
            for (int64_t g = std::max(g0, v * W / kGroup); g < g1; ++g) {
                const int64_t j = g * kGroup, left = cut.d - j;
                const int64_t width = std::min(most, cut.count(g) - v);
                const T* group = packed + j / W * step + j % W;
                double* to = products + offsets[g] + v * kGroup * W;
                if (paired && width == 1 && j % W == 0 && g + 1 < g1) {
                    add_products<T, pair, 1>(packed + v * step, group, rows, next, more,
                                             offsets[g + 1] - offsets[g], to);
                    ++g;
                } else if (left <= kGroup / 4) {
                    add_group<T, kGroup / 4>(packed + v * step, width, group, rows, next, more, to);
                } else if (left <= kGroup / 2) {
                    add_group<T, kGroup / 2>(packed + v * step, width, group, rows, next, more, to);
                } else {
                    add_group<T, kGroup>(packed + v * step, width, group, rows, next, more, to);
                }
            }
        }
    }
}

template <class T>
void covariance(const Covariance<T>& m, const Run& run) {
    constexpr int W = lanes<T>;
    constexpr int64_t block = kBlockRowsSyrk;
    const int64_t n = m.n, d = m.d;
    const Panels<T> cut(d);
    const std::vector<int64_t> offsets = cut.offsets();
    const int64_t at_sums = offsets.back(), size = at_sums + cut.panels * W;
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
    std::vector<Buffer<T>> packed, block_sums;
    for (int t = 0; t < threads; ++t) {
        own.push_back(buffer<double>(size, 0.0));
        packed.push_back(buffer<T>(cut.panels * block * W, T(0)));
        block_sums.push_back(buffer<T>(cut.panels * W, T(0)));
    }
    Stop stop(run);
    std::atomic<int64_t> next{0}, merged{0};
    in_parallel(threads, [&](int thread) {
        double* mine = own[size_t(thread)].get();
        T* rows = packed[size_t(thread)].get();
        T* sums = block_sums[size_t(thread)].get();
        for (int64_t c; (c = next.fetch_add(1)) < chunks;) {
            const int64_t i0 = c * chunk_rows, i1 = std::min(n, i0 + chunk_rows);
            for (int64_t i = i0; i < i1; i += block) {
                if (stop.poll(thread)) return;
                const int64_t count = std::min(block, i1 - i);
                pack_panels<T>(m.x + i * d, count, cut, m.x + n * d, shift.get(), scale.get(), rows,
                               sums);
                const int64_t after = std::min(n, i + count + block) - (i + count);
                const NextRows following(m.x + (i + count) * d, after * d);
                add_values<T>(sums, int(cut.panels * W), i > i0, mine + at_sums);
                add_block<T>(rows, count, cut, offsets.data(), following, i > i0, mine);
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
    std::copy(&total[at_sums], &total[at_sums] + d, m.sums);
    for (int64_t j = 0; j < d; ++j) {
        const double* from = total.get() + offsets[j / kGroup] + j % kGroup * W;
        for (int64_t i = 0; i <= j; ++i)
            m.products[i * d + j] = m.products[j * d + i] = from[i / W * kGroup * W + i % W];
    }
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
