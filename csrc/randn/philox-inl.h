// Philox 4x32-10 (Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC
// 2011), one counter in each 64-bit lane.
//
//   round:  (c0, c1, c2, c3) <- (high(M1 c2) ^ c1 ^ k0, low(M1 c2), high(M0 c0) ^ c3 ^ k1, low(M0
//   c0))
//           (k0, k1) <- (k0 + W0, k1 + W1)
//
// A counter is (low, high of the group's number, low, high of the stream's), a key (low, high of
// the seed). The upper half of a lane is not cleared: a product reads the lower halves alone.
#if defined(UNSUP_RANDN_PHILOX_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_RANDN_PHILOX_INL_H_
#undef UNSUP_RANDN_PHILOX_INL_H_
#else
#define UNSUP_RANDN_PHILOX_INL_H_
#endif

#include <cstdint>
#include <utility>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

using Wide = vec<uint64_t, lanes<double>>;

constexpr int kRounds = 10;
constexpr uint32_t kEvenFactor = 0xd2511f53u, kOddFactor = 0xcd9e8d57u;  // M0, M1

// One stream of one seed.
struct Philox {
    uint64_t keys[kRounds][2];
    uint64_t stream[2];

    Philox(uint64_t seed, uint64_t stream_) : stream{stream_ & 0xffffffffu, stream_ >> 32} {
        uint32_t low = uint32_t(seed), high = uint32_t(seed >> 32);
        for (auto& key : keys) {
            key[0] = low;
            key[1] = high;
            low += 0x9e3779b9u;
            high += 0xbb67ae85u;
        }
    }
};

// Product of the lower halves of lanes.
UNSUP_INLINE Wide product(Wide a, uint32_t b) {
    const Wide factor = Wide{} + b;
#if defined(__x86_64__) && UNSUP_VECTOR_BYTES == 64
    return (Wide)_mm512_maskz_mul_epu32(0xff, (__m512i)a, (__m512i)factor);
#elif defined(__x86_64__) && UNSUP_VECTOR_BYTES == 32
    return (Wide)_mm256_mul_epu32((__m256i)a, (__m256i)factor);
#elif defined(__x86_64__)
    return (Wide)_mm_mul_epu32((__m128i)a, (__m128i)factor);
#else
    return (a & 0xffffffffu) * factor;
#endif
}

template <int... L>
UNSUP_INLINE Wide group_of_lane(std::integer_sequence<int, L...>) {
    return Wide{uint64_t(L / 2 + L % 2 * int(sizeof...(L)) / 2)...};
}

// OUT: two words of each group in a 64-bit lane, and the other two: words 0 and 2, 1 and 3 if
// `Alternate`, else 0 and 1, 2 and 3. A vector holds as many groups as it has such lanes, in the
// order of `group_of_lane`; the first of the V vectors begins with `group`.
template <int V, bool Alternate>
UNSUP_INLINE void philox(const Philox& p, uint64_t group, Wide (&first)[V], Wide (&second)[V]) {
    Wide word[V][4];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
        const Wide number = group_of_lane(std::make_integer_sequence<int, lanes<double>>()) +
                            (group + uint64_t(v * lanes<double>));
        word[v][0] = number;
        word[v][1] = number >> 32;
        word[v][2] = Wide{} + p.stream[0];
        word[v][3] = Wide{} + p.stream[1];
    }
#pragma GCC unroll 10
    for (int r = 0; r < kRounds; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) {
            Wide(&w)[4] = word[v];
            const Wide even = product(w[0], kEvenFactor), odd = product(w[2], kOddFactor);
            w[0] = odd >> 32 ^ w[1] ^ p.keys[r][0];
            w[1] = odd;
            w[2] = even >> 32 ^ w[3] ^ p.keys[r][1];
            w[3] = even;
        }
    }
    constexpr int other = Alternate ? 2 : 1;
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
        first[v] = (word[v][0] & 0xffffffffu) | word[v][other] << 32;
        second[v] = (word[v][3 - other] & 0xffffffffu) | word[v][3] << 32;
    }
}

#if defined(__x86_64__) && UNSUP_VECTOR_BYTES == 32
// The same with a counter in each 32-bit lane, which takes half of the registers and seven
// instructions for eight: AVX2 has 16 registers and no exclusive or of three.
using Words = vec<uint32_t, lanes<float>>;

UNSUP_INLINE Words low_words(Words a, uint32_t b) {
    return (Words)_mm256_mullo_epi32((__m256i)a, (__m256i)(Words{} + b));
}
// Upper or lower halves of products. Lanes 1 and 2 of each four change places; after the next
// product they are in order again.
template <bool Upper>
UNSUP_INLINE Words crossed_words(Words a, uint32_t b) {
    const Wide even = product((Wide)a, b), odd = product((Wide)a >> 32, b);
    return (Words)_mm256_shuffle_ps((__m256)even, (__m256)odd,
                                    Upper ? _MM_SHUFFLE(3, 1, 3, 1) : _MM_SHUFFLE(2, 0, 2, 0));
}
template <bool Upper>
UNSUP_INLINE Wide word_pairs(Words a, Words b) {
    return (Wide)(Upper ? _mm256_unpackhi_epi32((__m256i)a, (__m256i)b)
                        : _mm256_unpacklo_epi32((__m256i)a, (__m256i)b));
}

class Draws {
  public:
    explicit Draws(const Philox& p) : p_(p) {
        for (int r = 0; r < kRounds; ++r)
            for (int which = 0; which < 2; ++which)
                key_[r][which] = Words{} + uint32_t(p.keys[r][which]);
        set(0);
    }

    template <int V, bool Alternate>
    UNSUP_INLINE_MEMBER void draw(uint64_t group, Wide (&first)[V], Wide (&second)[V]) {
        constexpr int N = V / 2, other = Alternate ? 2 : 1;
        if (uint32_t(group >> 32) != high_) set(uint32_t(group >> 32));
        Words word[N][4];
#pragma GCC unroll 2
        for (int n = 0; n < N; ++n) {  // rounds 0 and 1
            Words(&w)[4] = word[n];
            const Words zero = Words{0, 2, 4, 6, 1, 3, 5, 7} + uint32_t(group + uint64_t(8 * n));
            const Words two = crossed_words<true>(zero, kEvenFactor) ^ two_;
            w[2] = low_words(zero, kEvenFactor) ^ even_high_;
            w[0] = crossed_words<true>(two, kOddFactor) ^ odd_low_;
            w[1] = low_words(two, kOddFactor);
            w[3] = even_low_;
        }
#pragma GCC unroll 10
        for (int r = 2; r < kRounds; ++r) {
#pragma GCC unroll 2
            for (int n = 0; n < N; ++n) {
                Words(&w)[4] = word[n];
                const Words zero = w[0], two = w[2];
                w[2] = crossed_words<true>(zero, kEvenFactor) ^ w[3];
                w[0] = crossed_words<true>(two, kOddFactor) ^ w[1] ^ key_[r][0];
                if (r > 2) w[2] ^= key_[r][1];  // in even_low_
                const bool last = r == kRounds - 1;
                w[1] = last ? crossed_words<false>(two, kOddFactor) : low_words(two, kOddFactor);
                w[3] =
                    last ? crossed_words<false>(zero, kEvenFactor) : low_words(zero, kEvenFactor);
            }
        }
#pragma GCC unroll 2
        for (int n = 0; n < N; ++n) {
            const Words(&w)[4] = word[n];
            first[2 * n] = word_pairs<false>(w[0], w[other]);
            first[2 * n + 1] = word_pairs<true>(w[0], w[other]);
            second[2 * n] = word_pairs<false>(w[3 - other], w[3]);
            second[2 * n + 1] = word_pairs<true>(w[3 - other], w[3]);
        }
    }

  private:
    // What rounds 0 to 2 make of words that all counters of a block have in common: only the lowest
    // bits of the number of a group differ.
    void set(uint32_t high) {
        high_ = high;
        const uint64_t odd = uint64_t(kOddFactor) * p_.stream[0];
        const uint64_t even = uint64_t(kEvenFactor) * uint32_t(odd >> 32 ^ high ^ p_.keys[0][0]);
        two_ = key_[0][1] ^ uint32_t(p_.stream[1]);
        odd_low_ = key_[1][0] ^ uint32_t(odd);
        even_high_ = key_[1][1] ^ uint32_t(even >> 32);
        even_low_ = key_[2][1] ^ uint32_t(even);
    }

    const Philox& p_;
    Words key_[kRounds][2];
    Words two_, odd_low_, even_high_, even_low_;
    uint32_t high_;
};
#else
class Draws {
  public:
    explicit Draws(const Philox& p) : p_(p) {}
    template <int V, bool Alternate>
    UNSUP_INLINE_MEMBER void draw(uint64_t group, Wide (&first)[V], Wide (&second)[V]) const {
        philox<V, Alternate>(p_, group, first, second);
    }

  private:
    const Philox& p_;
};
#endif

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
