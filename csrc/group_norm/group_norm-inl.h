// Body of group_norm; the contract is in group_norm.hpp.
#if defined(UNSUP_GROUP_NORM_GROUP_NORM_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_GROUP_NORM_GROUP_NORM_INL_H_
#undef UNSUP_GROUP_NORM_GROUP_NORM_INL_H_
#else
#define UNSUP_GROUP_NORM_GROUP_NORM_INL_H_
#endif

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "group_norm/channels-inl.h"
#include "group_norm/group_norm.hpp"
#include "memory/buffer.hpp"
#include "parallel/parallel.hpp"
#include "parallel/run.hpp"
#include "samples/element-inl.h"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

// Between which float32 sums of squares have lost nothing to its range.
constexpr double kSmall = 1e-30, kLarge = 1e36;

// One sample's channels, with room for a whole vector from any of them on.
template <class T>
class Channels {
    using C = Compute<T>;
    static constexpr int W = lanes<C>;

  public:
    Channels(const GroupNorm& g)
        : g_(g),
          channels_(g.grid.channels),
          width_((g.grid.channels + 2 * W - 1) / W * W),
          sums_(buffer<double>(2 * width_, 0)),
          of_(buffer<C>(6 * width_, 0)) {
        mean_ = of_.get();
        inverse_ = mean_ + width_;
        gain_ = inverse_ + width_;
        offset_ = gain_ + width_;
        along_ = offset_ + width_;
        level_ = along_ + width_;
    }

    void operator()(int64_t b, int64_t begin, int64_t end) {
        begin_ = begin;
        end_ = end;
        const int64_t n = g_.grid.positions * channels_;
        const T* x = (const T*)g_.x + b * n;
        statistics(x);
        modulation(b);
        if (g_.out != nullptr)
            g_.silu ? write<true>(x, (T*)g_.out + b * n) : write<false>(x, (T*)g_.out + b * n);
        if (g_.of_out == nullptr) return;
        const T* of_out = (const T*)g_.of_out + b * n;
        T* of_x = (T*)g_.of_x + b * n;
        g_.silu ? gradient<true>(b, x, of_out, of_x) : gradient<false>(b, x, of_out, of_x);
    }

  private:
    const GroupNorm& g_;
    int64_t channels_, width_, begin_ = 0, end_ = 0;
    Buffer<double> sums_;
    Buffer<C> of_;
    C *mean_, *inverse_, *gain_, *offset_, *along_, *level_;

    // sums [N][C] of N terms that `terms` computes at each position.
    template <int N, class Terms>
    UNSUP_INLINE_MEMBER void add_up(const Terms& terms) {
        in_lots<C>(begin_, end_, [&](int64_t c, auto lot, int count) UNSUP_INLINE_LAMBDA {
            constexpr int K = decltype(lot)::value;
            double* to = sums_.get() + c;
            for (int i = 0; i < N; ++i) std::fill(to + i * width_, to + i * width_ + K * W, 0.0);
            for (int64_t p = 0; p < g_.grid.positions; p += kSummed) {
                Vec<C> sum[N][K] = {};
                const int64_t last = std::min(g_.grid.positions, p + kSummed);
                for (int64_t q = p; q < last; ++q) terms(q * channels_ + c, c, count, sum);
                for (int i = 0; i < N; ++i)
                    for (int k = 0; k < K; ++k)
                        for (int l = 0; l < W; ++l)
                            to[i * width_ + k * W + l] += double(sum[i][k][l]);
            }
        });
    }

    // A sum over a group in float64, of `term` of each element: where the sums above
    // have left the range of float32.
    template <class Term>
    double wide_sum(const T* x, int64_t begin, int64_t end, const Term& term) const {
        double total = 0;
        for (int64_t p = 0; p < g_.grid.positions; ++p)
            for (int64_t c = begin; c < end; c += W) {
                const int count = int(std::min<int64_t>(W, end - c));
                Vec<C> v[1];
                take<T, 1>(x + p * channels_ + c, count, v);
                for (int l = 0; l < count; ++l) total += term(double(v[0][l]));
            }
        return total;
    }

    void statistics(const T* x) {
        constexpr bool kShort = std::is_same_v<C, float>;
        const int64_t size = channels_ / g_.groups;
        const double n = double(size * g_.grid.positions);
        double* sums = sums_.get();
        add_up<1>([&](int64_t at, int64_t, int count, auto& sum) UNSUP_INLINE_LAMBDA {
            constexpr int K = sizeof(sum[0]) / sizeof(Vec<C>);
            Vec<C> v[K];
            take<T, K>(x + at, count, v);
#pragma GCC unroll 4
            for (int k = 0; k < K; ++k) sum[0][k] += v[k];
        });
        for (int64_t c = begin_; c < end_; c += size) {
            double total = 0;
            for (int64_t j = c; j < c + size; ++j) total += sums[j];
            if (kShort && !std::isfinite(total))
                total = wide_sum(x, c, c + size, [](double v) { return v; });
            std::fill(mean_ + c, mean_ + c + size, C(total / n));
        }
        add_up<2>([&](int64_t at, int64_t c, int count, auto& sum) UNSUP_INLINE_LAMBDA {
            constexpr int K = sizeof(sum[0]) / sizeof(Vec<C>);
            Vec<C> v[K];
            take<T, K>(x + at, count, v);
#pragma GCC unroll 4
            for (int k = 0; k < K; ++k) {
                const Vec<C> centered = v[k] - load<C, W>(mean_ + c + k * W);
                sum[0][k] += centered;
                sum[1][k] += centered * centered;
            }
        });
        const double* squares = sums + width_;
        for (int64_t c = begin_; c < end_; c += size) {
            double off = 0, total = 0;
            for (int64_t j = c; j < c + size; ++j) {
                off += sums[j] / n;  // of the mean from mean_
                total += squares[j] / n;
            }
            if (kShort && !(total + g_.eps > kSmall && total < kLarge)) {
                const double mean = double(mean_[c]);
                off = wide_sum(x, c, c + size, [=](double v) { return v - mean; }) / n;
                total =
                    wide_sum(x, c, c + size, [=](double v) { return (v - mean) * (v - mean); }) / n;
            }
            const double inverse = 1 / std::sqrt(std::max(total - off * off, 0.0) + g_.eps);
            std::fill(inverse_ + c, inverse_ + c + size, C(inverse));
            std::fill(level_ + c, level_ + c + size, C(-off * inverse));
        }
    }

    // v = (x - mean) along + offset, u = (x - mean) inverse + level.
    void modulation(int64_t b) {
        const auto at = [](const void* p, int64_t i, C without) {
            return p == nullptr ? without : ((const C*)p)[i];
        };
        for (int64_t c = begin_; c < end_; ++c) {
            const C scale = 1 + at(g_.scale, b * channels_ + c, 0);
            const C shift = at(g_.shift, b * channels_ + c, 0);
            gain_[c] = at(g_.weight, c, 1) * scale;
            along_[c] = inverse_[c] * gain_[c];
            offset_[c] = at(g_.bias, c, 0) * scale + shift + level_[c] * gain_[c];
        }
    }

    template <bool Silu>
    void write(const T* x, T* out) {
        in_lots<C>(begin_, end_, [&](int64_t c, auto lot, int count) UNSUP_INLINE_LAMBDA {
            constexpr int K = decltype(lot)::value;
            Vec<C> mean[K], along[K], offset[K];
            for (int k = 0; k < K; ++k) {
                mean[k] = load<C, W>(mean_ + c + k * W);
                along[k] = load<C, W>(along_ + c + k * W);
                offset[k] = load<C, W>(offset_ + c + k * W);
            }
            for (int64_t p = 0; p < g_.grid.positions; ++p) {
                Vec<C> v[K];
                take<T, K>(x + p * channels_ + c, count, v);
#pragma GCC unroll 4
                for (int k = 0; k < K; ++k) {
                    v[k] = (v[k] - mean[k]) * along[k] + offset[k];
                    if constexpr (Silu) v[k] = v[k] * sigmoid<C>(v[k]);
                }
                put<T, K>(out + p * channels_ + c, count, v);
            }
        });
    }

    // u and dv of K vectors at a position.
    template <bool Silu, int K>
    UNSUP_INLINE_MEMBER void retrace(const T* x, const T* of_out, int64_t c, int count,
                                     Vec<C> (&u)[K], Vec<C> (&dv)[K]) const {
        take<T, K>(x, count, u);
        take<T, K>(of_out, count, dv);
#pragma GCC unroll 4
        for (int k = 0; k < K; ++k) {
            const int64_t i = c + k * W;
            u[k] = u[k] - load<C, W>(mean_ + i);
            if constexpr (Silu) {
                const Vec<C> v = u[k] * load<C, W>(along_ + i) + load<C, W>(offset_ + i);
                const Vec<C> s = sigmoid<C>(v);
                dv[k] = dv[k] * (s * (C(1) + v * (C(1) - s)));
            }
            u[k] = u[k] * load<C, W>(inverse_ + i) + load<C, W>(level_ + i);
        }
    }

    // of_x = inverse (gain dv - mean of gain dv - u (mean of gain dv u)), means over the group.
    template <bool Silu>
    void gradient(int64_t b, const T* x, const T* of_out, T* of_x) {
        const int64_t size = channels_ / g_.groups;
        const double n = double(size * g_.grid.positions);
        add_up<2>([&](int64_t at, int64_t c, int count, auto& sum) UNSUP_INLINE_LAMBDA {
            constexpr int K = sizeof(sum[0]) / sizeof(Vec<C>);
            Vec<C> u[K], dv[K];
            retrace<Silu, K>(x + at, of_out + at, c, count, u, dv);
#pragma GCC unroll 4
            for (int k = 0; k < K; ++k) {
                sum[0][k] += dv[k];
                sum[1][k] += dv[k] * u[k];
            }
        });
        const double *shift = sums_.get(), *gain = shift + width_;
        for (int64_t c = begin_; c < end_; c += size) {
            double flat = 0, tilted = 0;
            for (int64_t j = c; j < c + size; ++j) {
                flat += double(gain_[j]) * shift[j];
                tilted += double(gain_[j]) * gain[j];
            }
            for (int64_t j = c; j < c + size; ++j) {
                ((C*)g_.of_shift)[b * channels_ + j] = C(shift[j]);
                ((C*)g_.of_gain)[b * channels_ + j] = C(gain[j]);
                // sums_ has been read, up to this group, and has room for what the pass below
                // takes.
                sums_[size_t(j)] = flat / n;
                sums_[size_t(width_ + j)] = tilted / n;
            }
        }
        in_lots<C>(begin_, end_, [&](int64_t c, auto lot, int count) UNSUP_INLINE_LAMBDA {
            constexpr int K = decltype(lot)::value;
            Vec<C> gain_of[K], flat[K], tilted[K], inverse[K];
            for (int k = 0; k < K; ++k) {
                gain_of[k] = load<C, W>(gain_ + c + k * W);
                inverse[k] = load<C, W>(inverse_ + c + k * W);
                for (int l = 0; l < W; ++l) {
                    flat[k][l] = C(sums_[size_t(c + k * W + l)]);
                    tilted[k][l] = C(sums_[size_t(width_ + c + k * W + l)]);
                }
            }
            for (int64_t p = 0; p < g_.grid.positions; ++p) {
                const int64_t at = p * channels_ + c;
                Vec<C> u[K], dv[K];
                retrace<Silu, K>(x + at, of_out + at, c, count, u, dv);
#pragma GCC unroll 4
                for (int k = 0; k < K; ++k)
                    dv[k] = (dv[k] * gain_of[k] - flat[k] - u[k] * tilted[k]) * inverse[k];
                put<T, K>(of_x + at, count, dv);
            }
        });
    }
};

template <class T>
void group_norm(const GroupNorm& g, const Run& run) {
    const int64_t size = g.grid.channels / g.groups;
    // Groups of a sample are shared among threads where there are too few samples for them.
    const int64_t wanted = g.grid.samples < 4 * run.threads ? run.threads : 1;
    const int64_t parts = std::min(g.groups, wanted), items = g.grid.samples * parts;
    const int threads = int(std::max<int64_t>(1, std::min<int64_t>(run.threads, items)));
    std::vector<Channels<T>> rooms;
    for (int t = 0; t < threads; ++t) rooms.emplace_back(g);
    Stop stop(run);
    std::atomic<int64_t> next{0};
    in_parallel(threads, [&](int thread) {
        for (int64_t i; (i = next.fetch_add(1)) < items && !stop.poll(thread);) {
            const int64_t part = i % parts;
            rooms[size_t(thread)](i / parts, part * g.groups / parts * size,
                                  (part + 1) * g.groups / parts * size);
        }
    });
}

void group_norm(const GroupNorm& g, const Run& run) {
    switch (g.grid.element) {
        case Element::float32:
            return group_norm<float>(g, run);
        case Element::float64:
            return group_norm<double>(g, run);
        case Element::bfloat16:
            return group_norm<BFloat16>(g, run);
        case Element::float16:
            return group_norm<Float16>(g, run);
    }
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
