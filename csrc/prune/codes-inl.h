// Rows and centroids as bytes; the contract is in prune.hpp.
#if defined(UNSUP_PRUNE_CODES_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_PRUNE_CODES_INL_H_
#undef UNSUP_PRUNE_CODES_INL_H_
#else
#define UNSUP_PRUNE_CODES_INL_H_
#endif

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "assign/score-inl.h"
#include "memory/buffer.hpp"
#include "parallel/parallel.hpp"
#include "parallel/run.hpp"
#include "prune/fine-inl.h"
#include "prune/greatest-inl.h"
#include "prune/products-inl.h"
#include "prune/prune.hpp"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

// OUT: codes [columns] of x' [stride], of size `most_code` at most, and their unit; squares |y|^2,
// slack >= |x' - y|. x' is padded with zeros to whole vectors.
template <class T>
void encode_row(const T* x, int64_t stride, int64_t columns, int most_code, int8_t* codes, T* unit,
                double* squares, double* slack) {
    constexpr int W = lanes<T>;
    Vec<T> most = {}, wrong = {};
    for (int64_t j = 0; j < stride; j += W) {
        const Vec<T> v = load<T, W>(x + j), size = v < 0 ? -v : v;
        most = size > most ? size : most;
        wrong += v - v;  // stays zero where all are finite
    }
    T largest = 0;
    for (int l = 0; l < W; ++l)
        largest = wrong[l] == 0 ? std::max(largest, most[l]) : std::numeric_limits<T>::infinity();
    // No number, or so large that squares overflow: nothing is known of the row.
    const bool usable = largest < std::sqrt(std::numeric_limits<T>::max()) / T(columns);
    // Products of units may underflow, which puts scores off by less than this squared.
    const double least = 1e-18 * std::sqrt(double(columns));
    std::memset(codes, 0, size_t(columns));
    *unit = usable ? largest / T(most_code) : T(0);
    if (*unit < std::numeric_limits<T>::min()) *unit = 0;  // 1 / unit could overflow
    *squares = 0;
    if (!usable || *unit == 0) {
        *slack = usable ? double(largest) * std::sqrt(double(columns)) + least
                        : std::numeric_limits<double>::infinity();
        return;
    }
    // Adding and subtracting this rounds to a whole number.
    const T whole = T(3) * T(int64_t(1) << (std::numeric_limits<T>::digits - 2));
    const T inverse = 1 / *unit;
    Vec<T> lost = {};  // in units, squared
    Index<T> total = {};
    for (int64_t j = 0; j < stride; j += W) {
        const Vec<T> v = load<T, W>(x + j) * inverse;
        Vec<T> code = (v + whole) - whole;
        code = code > T(most_code) ? Vec<T>{} + T(most_code) : code;
        code = code < -T(most_code) ? Vec<T>{} - T(most_code) : code;
        lost += (v - code) * (v - code);
        const Index<T> number = __builtin_convertvector(code, Index<T>);
        total += number * number;
        const vec<int8_t, W> byte = __builtin_convertvector(number, vec<int8_t, W>);
        if (j + W <= columns)
            store<int8_t, W>(codes + j, byte);
        else
            std::memcpy(codes + j, &byte, size_t(columns - j));
    }
    double all_lost = 0;
    int64_t all = 0;
    for (int l = 0; l < W; ++l) {
        all_lost += double(lost[l]);
        all += total[l];
    }
    *squares = double(all) * double(*unit) * double(*unit);
    // A gap is off by less than 256 roundings of a unit, their sum by one for each that is added.
    const double u = double(std::numeric_limits<T>::epsilon()) / 2;
    const double rounding = 4 * u * double(largest) * std::sqrt(double(columns));
    *slack =
        (std::sqrt(all_lost) * double(*unit) + rounding) * (1 + 1e-6 + double(stride) * u) + least;
}

// Centroids as codes, for scoring rows that are codes against a group of them.
template <class Products>
struct Codes {
    static constexpr int W = lanes<float>, V = kNear / W;
    static constexpr bool kHasFine = true;
    const Bounds<float>& b;
    Fine<Products> fine;
    int64_t columns, groups;
    Buffer<int32_t> packed;   // [groups][C / 4][kNear]: four unsigned bytes in each
    Buffer<float> half_norm;  // [groups][kNear]: -|y_c|^2 / 2, minus infinity for padding
    Buffer<float> unit;       // [groups][kNear]
    Buffer<float> tail;       // [groups][kNear]
    double longest = 0;       // max |y_c|
    double slack = 0;         // how far any y_c may be off

    Codes(const Bounds<float>& b_, const Centroids<float>& c, int threads)
        : b(b_), fine(b_.fine, b_.fine.codes == nullptr ? 0 : c.k), columns(b_.columns) {
        groups = (c.k + kNear - 1) / kNear;
        packed = buffer<int32_t>(groups * columns / 4 * kNear, 0);
        half_norm = buffer<float>(groups * kNear, -std::numeric_limits<float>::infinity());
        unit = buffer<float>(groups * kNear, 0.0f);
        tail = buffer<float>(groups * kNear, 0.0f);
        const int64_t most = std::max(columns, b.fine.columns), stride = (most + W - 1) / W * W;
        std::vector<double> squares(size_t(c.k)), off(size_t(c.k));
        // An allocation that fails in a parallel region would end the process.
        std::vector<Buffer<float>> rows;
        std::vector<Buffer<int8_t>> codes;
        for (int t = 0; t < threads; ++t) {
            rows.push_back(buffer<float>(std::max(stride, c.stride), 0.0f));
            codes.push_back(buffer<int8_t>(most, int8_t(0)));
        }
        std::atomic<size_t> parts{0};  // there are as many as threads at most
        in_parts(threads, c.k, (int64_t(1) << 15) / most + 1, [&](int64_t begin, int64_t end) {
            const size_t part = parts.fetch_add(1);
            for (int64_t at = begin; at < end; ++at) {
                encode_slot(c, at, rows[part].get(), codes[part].get(), squares[size_t(at)],
                            off[size_t(at)]);
                if (b.fine.codes != nullptr)
                    encode_fine(c, at, rows[part].get(), codes[part].get());
            }
        });
        for (int64_t at = 0; at < c.k; ++at) {
            longest = std::max(longest, squares[size_t(at)]);
            slack = std::max(slack, off[size_t(at)]);
        }
        longest = std::sqrt(longest) * (1 + 1e-6);
        slack = (slack + b.centers_slack) * (1 + 1e-6);
    }

    // Encodes the centroid in slot `at`.
    void encode_slot(const Centroids<float>& c, int64_t at, float* row, int8_t* codes,
                     double& squares, double& off) {
        int64_t stride = c.stride;
        if (b.centers != nullptr) {
            stride = (columns + W - 1) / W * W;
            const float* y = b.centers + at * b.projected;
            std::fill(std::copy(y, y + b.projected - 1, row), row + stride, 0.0f);
            tail[size_t(at)] = y[b.projected - 1];
        } else {
            take(c, at, row);
        }
        encode_row<float>(row, stride, columns, kMostCode, codes, &unit[size_t(at)], &squares,
                          &off);
        squares += double(tail[size_t(at)]) * double(tail[size_t(at)]);
        auto* to = reinterpret_cast<uint8_t*>(packed.get() + at / kNear * columns / 4 * kNear +
                                              at % kNear);
        for (int64_t j = 0; j < columns; ++j)
            to[j / 4 * kNear * 4 + j % 4] = uint8_t(codes[j] + Products::kOffset);
        half_norm[size_t(at)] = float(-squares / 2);
    }

    // Encodes the same in all columns.
    void encode_fine(const Centroids<float>& c, int64_t at, float* row, int8_t* codes) {
        take(c, at, row);
        const int64_t columns = b.fine.columns;
        float unit = 0;
        encode_row<float>(row, c.stride, columns, kMostCode, codes, &unit,
                          &fine.squares[size_t(at)], &fine.slack[size_t(at)]);
        fine.unit[size_t(at)] = unit;
        for (int64_t j = 0; j < columns; ++j)
            fine.codes[size_t(at * columns + j)] = uint8_t(codes[j] + Products::kOffset);
    }

    // The centroid in slot `at`, in the units of the rows.
    void take(const Centroids<float>& c, int64_t at, float* row) const {
        const double ratio = double(b.scale) / double(c.scale);
        for (int64_t j = 0; j < c.stride; ++j)
            row[j] = float(double(c.rows[size_t(b.cluster[at] * c.stride + j)]) * ratio);
    }

    // OUT: y.c - |c|^2 / 2 of M rows and the centroids of a group. Inlined, GCC keeps the sums in
    // memory.
    template <int M>
    __attribute__((noinline)) void score(const int64_t* rows, int64_t group,
                                         Vec<float> (&out)[M][V]) const {
        const int32_t* c = packed.get() + group * (columns / 4) * kNear;
        Index<float> total[M][V];
        const int8_t* codes[M];
#pragma GCC unroll 8
        for (int m = 0; m < M; ++m) {
            codes[m] = b.codes + rows[m] * columns;
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v)
                total[m][v] = Index<float>{} - Products::kOffset * b.sums[rows[m]];
        }
        for (int64_t j = 0; j < columns; j += 4, c += kNear) {
            Index<float> centroid[V];
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v) centroid[v] = load<int32_t, W>(c + v * W);
#pragma GCC unroll 8
            for (int m = 0; m < M; ++m)
#pragma GCC unroll 4
                for (int v = 0; v < V; ++v) Products::add(total[m][v], centroid[v], codes[m] + j);
        }
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) {
            const int64_t at = group * kNear + v * W;
            const Vec<float> half = load<float, W>(half_norm.get() + at),
                             units = load<float, W>(unit.get() + at),
                             tails = load<float, W>(tail.get() + at);
#pragma GCC unroll 8
            for (int m = 0; m < M; ++m) {
                const float own = b.tail == nullptr ? 0.0f : b.tail[rows[m]];
                out[m][v] =
                    half + tails * own +
                    units * b.unit[rows[m]] * __builtin_convertvector(total[m][v], Vec<float>);
            }
        }
    }
};

template <class T>
void encode(const Encode<T>& e, const Run& run) {
    constexpr int64_t chunk_rows = 512;
    const int64_t chunks = (e.n + chunk_rows - 1) / chunk_rows;
    const int threads = int(std::max<int64_t>(1, std::min<int64_t>(run.threads, chunks)));
    const int64_t coded = e.tail == nullptr ? e.d : e.d - 1;
    const int64_t stride = (coded + lanes<T> - 1) / lanes<T> * lanes<T>;
    std::vector<Buffer<T>> rows;
    for (int t = 0; t < threads; ++t) rows.push_back(buffer<T>(stride, T(0)));
    Stop stop(run);
    std::atomic<int64_t> next{0};
    in_parallel(threads, [&](int thread) {
        T* row = rows[size_t(thread)].get();
        for (int64_t c; (c = next.fetch_add(1)) < chunks && !stop.poll(thread);)
            for (int64_t i = c * chunk_rows; i < std::min(e.n, (c + 1) * chunk_rows); ++i) {
                const T* x = e.x + i * e.d;
                for (int64_t j = 0; j < coded; ++j) row[j] = (x[j] - e.shift[j]) * e.scale;
                int8_t* codes = e.codes + i * e.columns;
                encode_row<T>(row, stride, e.columns, e.largest, codes, e.unit + i, e.squares + i,
                              e.slack + i);
                int32_t total = 0;
                for (int64_t j = 0; j < e.columns; ++j) total += codes[j];
                e.sums[i] = total;
                if (e.tail == nullptr) continue;
                e.tail[i] = (x[coded] - e.shift[coded]) * e.scale;
                e.squares[i] += double(e.tail[i]) * double(e.tail[i]);
            }
    });
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
