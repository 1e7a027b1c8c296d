// Body of bias_act; the contract is in bias_act.hpp.
//
// Rows are taken so many at a time that their elements, a period, fill whole blocks of kBlock: the
// bias and the sums are repeated over a period, so that no row needs a loop for its last channels.
#if defined(UNSUP_BIAS_ACT_BIAS_ACT_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_BIAS_ACT_BIAS_ACT_INL_H_
#undef UNSUP_BIAS_ACT_BIAS_ACT_INL_H_
#else
#define UNSUP_BIAS_ACT_BIAS_ACT_INL_H_
#endif

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include "bias_act/bias_act.hpp"
#include "memory/buffer.hpp"
#include "parallel/parallel.hpp"
#include "parallel/run.hpp"
#include "samples/element-inl.h"
#include "samples/mix.hpp"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

constexpr int64_t kBlock = 16;              // elements: a whole number of vectors of any type
constexpr int64_t kLeastPeriod = 128;       // so that a sum is not waited for
constexpr int64_t kBiasActChunk = 1 << 15;  // elements that a thread takes at a time

// How rows are cut: none of it depends on the threads or on the level.
struct Periods {
    int64_t rows, size, chunk, chunks;  // rows and elements of a period; of a chunk; their number

    explicit Periods(const BiasAct& a) {
        rows = kBlock / std::gcd(a.channels, kBlock);
        while (rows * a.channels < kLeastPeriod) rows *= 2;
        size = rows * a.channels;
        chunk = std::max<int64_t>(1, kBiasActChunk / size) * size;
        chunks = (a.rows * a.channels + chunk - 1) / chunk;
    }
};

// What a thread works with.
template <class T>
class Chunks {
    using C = Compute<T>;
    static constexpr int W = lanes<C>, K = int(kBlock) / W;

  public:
    Chunks(const BiasAct& a, const Periods& periods)
        : a_(a),
          periods_(periods),
          stream_(a.rows * a.channels * int64_t(sizeof(T)) >= kStreamBytes &&
                  uintptr_t(a.out) % 64 == 0),
          bias_(buffer<C>(periods.size, 0)),
          sums_(buffer<C>(a.sums == nullptr ? 0 : periods.size, 0)),
          totals_(buffer<double>(a.sums == nullptr ? 0 : periods.size, 0)) {
        if (a.bias != nullptr)
            for (int64_t r = 0; r < periods.rows; ++r)
                std::copy_n((const C*)a.bias, a.channels, bias_.get() + r * a.channels);
    }

    // OUT sums [channels], if they are asked for.
    void operator()(int64_t chunk, double* sums) {
        const int64_t begin = chunk * periods_.chunk;
        const int64_t end = std::min(begin + periods_.chunk, a_.rows * a_.channels);
        if (a_.sums == nullptr)
            return a_.sign == nullptr ? run<false, false>(begin, end)
                                      : run<true, false>(begin, end);
        std::fill_n(totals_.get(), periods_.size, 0.0);
        a_.sign == nullptr ? run<false, true>(begin, end) : run<true, true>(begin, end);
        std::fill_n(sums, a_.channels, 0.0);
        for (int64_t r = 0; r < periods_.rows; ++r)
            for (int64_t c = 0; c < a_.channels; ++c)
                sums[c] += totals_[size_t(r * a_.channels + c)];
    }

  private:
    const BiasAct& a_;
    const Periods& periods_;
    const bool stream_;
    Buffer<C> bias_, sums_;
    Buffer<double> totals_;

    template <bool Signed, bool Summed>
    void run(int64_t begin, int64_t end) {
        const bool stream = stream_;
        int64_t added = 0;
        for (int64_t at = begin; at < end; at += periods_.size) {
            const int64_t past = std::min(end - at, periods_.size);
            int64_t i = 0;
            for (; i + kBlock <= past; i += kBlock) {
                Vec<C> v[K];
                block<Signed>((const T*)a_.x + at + i, (const T*)a_.sign + at + i, i, v);
                T* out = (T*)a_.out + at + i;
#pragma GCC unroll 8
                for (int k = 0; k < K; ++k)
                    stream ? stream_as(out + k * W, v[k]) : store_as(out + k * W, v[k]);
                if constexpr (Summed) add(i, v);
            }
            if (i < past) rest<Signed, Summed>(at + i, past - i, i);
            if (Summed && (++added == kAdded || at + periods_.size >= end)) {
                settle();
                added = 0;
            }
        }
    }

    // v = the results for a block of x and sign, whose first element is number i of its period.
    template <bool Signed>
    UNSUP_INLINE_MEMBER void block(const T* x, const T* sign, int64_t i, Vec<C> (&v)[K]) const {
        const Vec<C> up = Vec<C>{} + C(a_.gain), down = Vec<C>{} + C(a_.gain * a_.slope);
#pragma GCC unroll 8
        for (int k = 0; k < K; ++k) {
            v[k] = load_as(x + k * W) + load<C, W>(bias_.get() + i + k * W);
            const Vec<C> s = Signed ? load_as(sign + k * W) : v[k];
            v[k] *= s > C(0) ? up : down;
        }
    }

    UNSUP_INLINE_MEMBER void add(int64_t i, const Vec<C> (&v)[K]) {
        C* sums = sums_.get() + i;
#pragma GCC unroll 8
        for (int k = 0; k < K; ++k) store<C, W>(sums + k * W, load<C, W>(sums + k * W) + v[k]);
    }

    // The last elements of all, less than a block.
    template <bool Signed, bool Summed>
    void rest(int64_t at, int64_t count, int64_t i) {
        T x[kBlock] = {}, sign[kBlock] = {}, out[kBlock];
        std::copy_n((const T*)a_.x + at, count, x);
        if (Signed) std::copy_n((const T*)a_.sign + at, count, sign);
        Vec<C> v[K];
        block<Signed>(x, sign, i, v);
        for (int k = 0; k < K; ++k) store_as(out + k * W, v[k]);
        std::copy_n(out, count, (T*)a_.out + at);
        if (Summed)
            for (int64_t j = 0; j < count; ++j) sums_[size_t(i + j)] += v[j / W][j % W];
    }

    void settle() {
        for (int64_t i = 0; i < periods_.size; ++i) {
            totals_[size_t(i)] += double(sums_[size_t(i)]);
            sums_[size_t(i)] = 0;
        }
    }
};

template <class T>
void bias_act(const BiasAct& a, const Run& run) {
    using C = Compute<T>;
    const Periods periods(a);
    const int threads = int(std::max<int64_t>(1, std::min<int64_t>(run.threads, periods.chunks)));
    std::vector<Chunks<T>> rooms;
    for (int t = 0; t < threads; ++t) rooms.emplace_back(a, periods);
    const int64_t each = a.sums == nullptr ? 0 : a.channels;
    const Buffer<double> sums(allocate<double>(periods.chunks * each));
    Stop stop(run);
    std::atomic<int64_t> next{0};
    in_parallel(threads, [&](int thread) {
        for (int64_t i; (i = next.fetch_add(1)) < periods.chunks && !stop.poll(thread);)
            rooms[size_t(thread)](i, sums.get() + i * each);
        stream_end();
    });
    for (int64_t c = 0; c < each; ++c) {
        double total = 0;
        for (int64_t i = 0; i < periods.chunks; ++i) total += sums[size_t(i * each + c)];
        ((C*)a.sums)[c] = C(total);
    }
}

void bias_act(const BiasAct& a, const Run& run) {
    switch (a.element) {
        case Element::float32:
            return bias_act<float>(a, run);
        case Element::float64:
            return bias_act<double>(a, run);
        case Element::bfloat16:
            return bias_act<BFloat16>(a, run);
        case Element::float16:
            return bias_act<Float16>(a, run);
    }
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
