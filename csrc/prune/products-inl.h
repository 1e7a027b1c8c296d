// Products of four bytes of 32-bit lanes, as the level and the processor have them.
#if defined(UNSUP_PRUNE_PRODUCTS_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_PRUNE_PRODUCTS_INL_H_
#undef UNSUP_PRUNE_PRODUCTS_INL_H_
#else
#define UNSUP_PRUNE_PRODUCTS_INL_H_
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

// Each of these adds to the lanes of `total` the products of four bytes of a centroid (lanes of
// `c`, the code plus kOffset) with four codes of a row: those of the lanes of `s`, or those at s
// for all lanes.

typedef int32_t FourCodes __attribute__((may_alias));
UNSUP_INLINE Index<float> four_codes(const int8_t* s) {
    return Index<float>{} + *reinterpret_cast<const FourCodes*>(s);
}

// One by one.
struct PlainProducts {
    static constexpr int kOffset = 128;
    UNSUP_INLINE_MEMBER static void add(Index<float>& total, Index<float> c, Index<float> s) {
        for (int q = 0; q < 32; q += 8) total += (c >> q & 255) * (s << (24 - q) >> 24);
    }
    UNSUP_INLINE_MEMBER static void add(Index<float>& total, Index<float> c, const int8_t* s) {
        add(total, c, four_codes(s));
    }
};

#if UNSUP_TARGET != UNSUP_TARGET_BASE

// Two at a time into 16 bits (vpmaddubsw), which hold 2 x 255 x kMostPairedCode; then the pairs.
struct PairProducts {
    static constexpr int kOffset = 128;
    UNSUP_INLINE_MEMBER static void add(Index<float>& total, Index<float> c, Index<float> s) {
#if UNSUP_VECTOR_BYTES == 64
        const __m512i pairs = _mm512_maddubs_epi16(__m512i(c), __m512i(s));
        total += Index<float>(_mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
#else
        const __m256i pairs = _mm256_maddubs_epi16(__m256i(c), __m256i(s));
        total += Index<float>(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
#endif
    }
    UNSUP_INLINE_MEMBER static void add(Index<float>& total, Index<float> c, const int8_t* s) {
        add(total, c, four_codes(s));
    }
};

// All four in one instruction: AVX-512 VNNI, or AVX-VNNI.
struct FourProducts {
    static constexpr int kOffset = 128;
#if UNSUP_VECTOR_BYTES == 64
    UNSUP_INLINE_MEMBER static void add(Index<float>& total, Index<float> c, Index<float> s) {
        asm("vpdpbusd %2, %1, %0" : "+v"(total) : "v"(c), "v"(s));
    }
    UNSUP_INLINE_MEMBER static void add(Index<float>& total, Index<float> c, const int8_t* s) {
        asm("vpdpbusd %2%{1to16%}, %1, %0"
            : "+v"(total)
            : "v"(c), "m"(*reinterpret_cast<const FourCodes*>(s)));
    }
#else
    UNSUP_INLINE_MEMBER static void add(Index<float>& total, Index<float> c, Index<float> s) {
        asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(total) : "x"(c), "x"(s));
    }
    UNSUP_INLINE_MEMBER static void add(Index<float>& total, Index<float> c, const int8_t* s) {
        add(total, c, four_codes(s));
    }
#endif
};

#elif defined(__aarch64__)

// The assembler's: instructions of the compiler stay those of the baseline.
#if defined(__clang__)
#define UNSUP_DOT_PRODUCT ".arch_extension dotprod\n\t"
#else
#define UNSUP_DOT_PRODUCT ".arch armv8.2-a+dotprod\n\t"
#endif

// All four in one instruction, signed by signed: the dot product of Armv8.2.
struct FourProducts {
    static constexpr int kOffset = 0;
    UNSUP_INLINE_MEMBER static void add(Index<float>& total, Index<float> c, Index<float> s) {
        asm(UNSUP_DOT_PRODUCT "sdot %0.4s, %1.16b, %2.16b" : "+w"(total) : "w"(c), "w"(s));
    }
    UNSUP_INLINE_MEMBER static void add(Index<float>& total, Index<float> c, const int8_t* s) {
        add(total, c, four_codes(s));
    }
};

#endif

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
