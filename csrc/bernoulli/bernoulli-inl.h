// Body of bernoulli; the contract is in bernoulli.hpp.
#if defined(UNSUP_BERNOULLI_BERNOULLI_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_BERNOULLI_BERNOULLI_INL_H_
#undef UNSUP_BERNOULLI_BERNOULLI_INL_H_
#else
#define UNSUP_BERNOULLI_BERNOULLI_INL_H_
#endif

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "bernoulli/bernoulli.hpp"
#include "parallel/parallel.hpp"
#include "parallel/run.hpp"
#include "randn/normal-inl.h"
#include "randn/philox-inl.h"
#include "samples/element-inl.h"
#include "simd/exp-inl.h"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

constexpr int64_t kBernoulliShare = 16384;        // elements that a thread is worth starting for
constexpr int kBernoulliBlock = kNormals<float>;  // words drawn together

using Words32 = vec<uint32_t, lanes<float>>;

// OUT words [kBernoulliBlock]: those of the groups from `group` on, in order.
UNSUP_INLINE void word_block(Draws& draws, uint64_t group, uint32_t* words) {
    constexpr int V = kNormalVectors, W = lanes<float>;
    const auto all = std::make_integer_sequence<int, lanes<double>>();
    Wide first[V], second[V];
    draws.template draw<V, false>(group, first, second);
    each<V>([&](int v) UNSUP_INLINE_LAMBDA {
        const Vec<double> a = (Vec<double>)first[v], b = (Vec<double>)second[v];
        store<uint32_t, W>(words + 2 * v * W, (Words32)in_turn<double, 0>(a, b, all));
        store<uint32_t, W>(words + (2 * v + 1) * W, (Words32)in_turn<double, 1>(a, b, all));
    });
}

UNSUP_INLINE Words32 bytes_to_words(const uint8_t* p) {
#if defined(__x86_64__) && UNSUP_VECTOR_BYTES == 64
    return (Words32)_mm512_maskz_cvtepu8_epi32(0xffff, _mm_loadu_si128((const __m128i*)p));
#elif defined(__x86_64__) && UNSUP_VECTOR_BYTES == 32
    return (Words32)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p));
#else
    return __builtin_convertvector(load<uint8_t, lanes<float>>(p), Words32);
#endif
}

// All bits set where a one is drawn.
UNSUP_INLINE Words32 ones(Words32 words, const uint8_t* p) {
    const Words32 intensity = bytes_to_words(p);
    return Words32(words < intensity * 0x01010101u) | Words32(intensity == 255u);
}
UNSUP_INLINE Words32 ones(Words32 words, const float* p) {
    constexpr int W = lanes<float>;
    const Vec<float> uniform = __builtin_convertvector((Index<float>)(words >> 8), Vec<float>);
    return Words32(uniform < load<float, W>(p) * 0x1p24f);
}

// OUT [kBernoulliBlock]: bits of the words drawn for them.
template <class P>
UNSUP_INLINE void compare(const uint32_t* words, const P* p, float* out) {
    constexpr int W = lanes<float>;
    const Words32 one = (Words32)(Vec<float>{} + 1.0f);
#pragma GCC unroll 8
    for (int i = 0; i < kBernoulliBlock; i += W)
        store<float, W>(out + i, (Vec<float>)(ones(load<uint32_t, W>(words + i), p + i) & one));
}

// OUT [count]: bits `first` ... `first` + count - 1 of what one seed draws.
template <class P>
void draw_bits(const Philox& philox, uint64_t first, int64_t count, const P* p, float* out) {
    constexpr uint64_t B = kBernoulliBlock;
    Draws draws(philox);
    uint32_t words[B];
    for (int64_t done = 0; done < count;) {
        const uint64_t index = first + uint64_t(done), lead = index % B;
        word_block(draws, index / B * (B / 4), words);
        const int64_t n = std::min<int64_t>(count - done, int64_t(B - lead));
        if (n == int64_t(B)) {
            compare(words, p + done, out + done);
        } else {
            P part[B] = {};
            float room[B];
            std::copy(p + done, p + done + n, part + lead);
            compare(words, part, room);
            std::copy(room + lead, room + lead + n, out + done);
        }
        done += n;
    }
}

template <class P>
void bernoulli(const Bernoulli& b, const P* p, const Run& run) {
    const int64_t least = std::max<int64_t>(1, kBernoulliShare / std::max<int64_t>(1, b.size));
    in_parts(run.threads, b.rows, least, [&](int64_t begin, int64_t end) {
        const int64_t step = b.draw.each ? 1 : end - begin;  // rows that one seed draws in turn
        for (int64_t r = begin; r < end; r += step) {
            const Philox philox(b.draw.seeds[b.draw.each ? r : 0], b.draw.stream);
            draw_bits(philox, b.draw.each ? 0 : uint64_t(r * b.size), step * b.size, p + r * b.size,
                      b.out + r * b.size);
        }
    });
}

void bernoulli(const Bernoulli& b, const Run& run) {
    if (b.intensities != nullptr)
        bernoulli(b, b.intensities, run);
    else
        bernoulli(b, b.probabilities, run);
}

// log(1 + e) for 0 <= e <= 1: 2 artanh(e / (2 + e)), whose argument is at most 1 / 3.
template <class C>
UNSUP_INLINE Vec<C> log_one_plus(Vec<C> e) {
    constexpr int terms = sizeof(C) == 4 ? 7 : 16;
    const Vec<C> t = e / (e + C(2)), square = t * t;
    Vec<C> series = Vec<C>{} + C(2.0 / (2 * terms + 1));
#pragma GCC unroll 16
    for (int i = terms - 1; i >= 0; --i) series = series * square + C(2.0 / (2 * i + 1));
    return series * t;
}

template <class C>
UNSUP_INLINE Vec<C> exp_of_minus_size(Vec<C> l) {
    return exp_negative<C>(l > C(0) ? -l : l);
}

// x l - log(1 + exp(l)).
template <class C>
UNSUP_INLINE Vec<C> term(Vec<C> l, Vec<C> x) {
    const Vec<C> zero{};
    const Vec<C> factor = l > zero ? x - C(1) : x;
    // No infinity is multiplied by zero, but a NaN stays.
    const Vec<C> product = ((factor != zero) | (l != l)) ? factor * l : zero;
    return product - log_one_plus<C>(exp_of_minus_size<C>(l));
}

// x - sigmoid(l).
template <class C>
UNSUP_INLINE Vec<C> residual(Vec<C> l, Vec<C> x) {
    const Vec<C> e = exp_of_minus_size<C>(l), r = C(1) / (e + C(1));
    const Vec<C> sigmoid = l > C(0) ? r : e * r;
    return x - (l == l ? sigmoid : l);
}

template <class T>
UNSUP_INLINE Vec<Compute<T>> part_of(const T* p, int64_t count) {
    T part[lanes<Compute<T>>] = {};
    std::memcpy(part, p, size_t(count) * sizeof(T));
    return load_as(part);
}

template <class T>
double log_prob_row(const T* logits, const Compute<T>* x, int64_t size) {
    using C = Compute<T>;
    constexpr int W = lanes<C>, K = 4;  // vectors computed together: each waits long
    vec<double, W> total{};
    int64_t i = 0;
    while (i + K * W <= size) {
        const int64_t last = std::min(size, i + K * W * kTerms);
        Vec<C> sum[K] = {};
        for (; i + K * W <= last; i += K * W)
#pragma GCC unroll 4
            for (int k = 0; k < K; ++k)
                sum[k] += term<C>(load_as(logits + i + k * W), load_as(x + i + k * W));
        total += to_double<C, W>((sum[0] + sum[1]) + (sum[2] + sum[3]));
    }
    for (; i + W <= size; i += W)
        total += to_double<C, W>(term<C>(load_as(logits + i), load_as(x + i)));
    double row = sum<W>(total);
    if (i < size) {
        const Vec<C> terms = term<C>(part_of(logits + i, size - i), part_of(x + i, size - i));
        for (int64_t l = 0; l < size - i; ++l) row += double(terms[l]);
    }
    return row;
}

template <class T>
void gradient_row(const T* logits, const Compute<T>* x, Compute<T> of_log_prob, int64_t size,
                  T* of_logits) {
    using C = Compute<T>;
    constexpr int W = lanes<C>, K = 4;
    int64_t i = 0;
    for (; i + K * W <= size; i += K * W)
#pragma GCC unroll 4
        for (int k = 0; k < K; ++k)
            store_as(
                of_logits + i + k * W,
                residual<C>(load_as(logits + i + k * W), load_as(x + i + k * W)) * of_log_prob);
    for (; i < size; i += W) {
        const int64_t count = std::min<int64_t>(W, size - i);
        T part[W];
        const Vec<C> of = residual<C>(part_of(logits + i, count), part_of(x + i, count));
        store_as(part, of * of_log_prob);
        std::memcpy(of_logits + i, part, size_t(count) * sizeof(T));
    }
}

template <class T>
void bernoulli_log_prob(const BernoulliLogProb& b, const Run& run) {
    using C = Compute<T>;
    constexpr int64_t kRows = 16;  // after which a thread looks whether to stop
    const int64_t worth = std::max<int64_t>(1, b.rows * b.size / kBernoulliShare);
    const int64_t chunks = (b.rows + kRows - 1) / kRows;
    const int threads = int(std::min<int64_t>({run.threads, worth, std::max<int64_t>(1, chunks)}));
    Stop stop(run);
    std::atomic<int64_t> next{0};
    in_parallel(threads, [&](int thread) {
        for (int64_t c; (c = next.fetch_add(1)) < chunks && !stop.poll(thread);)
            for (int64_t r = c * kRows; r < std::min(b.rows, (c + 1) * kRows); ++r) {
                const T* logits = (const T*)b.logits + r * b.size;
                const C* x = (const C*)b.x + r % b.x_rows * b.size;
                if (b.out != nullptr)
                    ((C*)b.out)[r] = C(log_prob_row<T>(logits, x, b.size));
                else
                    gradient_row<T>(logits, x, ((const C*)b.of_log_prob)[r], b.size,
                                    (T*)b.of_logits + r * b.size);
            }
    });
}

void bernoulli_log_prob(const BernoulliLogProb& b, const Run& run) {
    switch (b.element) {
        case Element::float32:
            return bernoulli_log_prob<float>(b, run);
        case Element::float64:
            return bernoulli_log_prob<double>(b, run);
        case Element::bfloat16:
            return bernoulli_log_prob<BFloat16>(b, run);
        case Element::float16:
            return bernoulli_log_prob<Float16>(b, run);
    }
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
