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

// OUT: the words of the groups of V vectors, in the lower halves of lanes.
template <int V>
UNSUP_INLINE void philox(const Philox& p, const Wide (&group)[V], Wide (&word)[V][4]) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
        word[v][0] = group[v];
        word[v][1] = group[v] >> 32;
        word[v][2] = Wide{} + p.stream[0];
        word[v][3] = Wide{} + p.stream[1];
    }
#pragma GCC unroll 10
    for (int r = 0; r < kRounds; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) {
            Wide(&w)[4] = word[v];
            const Wide even = product(w[0], 0xd2511f53u), odd = product(w[2], 0xcd9e8d57u);
            w[0] = odd >> 32 ^ w[1] ^ p.keys[r][0];
            w[1] = odd;
            w[2] = even >> 32 ^ w[3] ^ p.keys[r][1];
            w[3] = even;
        }
    }
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
