// The instruction-set level that what follows is compiled for, as UNSUP_TARGET says.
//
// Files that end in -inl.h are included once for each level (foreach_target.hpp), into a namespace
// of that level. UNSUP_TARGET_TOGGLE changes between the levels, so a guard of the form below lets
// a file in once a level, in whatever order files include each other. The instruction set is raised
// from UNSUP_BEFORE_NAMESPACE to UNSUP_AFTER_NAMESPACE alone: what other headers define, the
// standard library's above all, is never compiled for a level that a machine may not have.
#if defined(UNSUP_SIMD_TARGET_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_SIMD_TARGET_INL_H_
#undef UNSUP_SIMD_TARGET_INL_H_
#else
#define UNSUP_SIMD_TARGET_INL_H_
#endif

#define UNSUP_TARGET_BASE 1  // of the architecture: SSE2 on x86-64, NEON on AArch64
#define UNSUP_TARGET_V3 3    // x86-64-v3: AVX2, FMA, BMI2, F16C
#define UNSUP_TARGET_V4 4    // x86-64-v4: AVX-512 F, BW, CD, DQ, VL

#ifndef UNSUP_TARGET
#define UNSUP_TARGET UNSUP_TARGET_BASE  // a header by itself, as an editor parses it
#endif

#undef UNSUP_ISA
#undef UNSUP_VECTOR_BYTES
#undef UNSUP_FMA
#undef UNSUP_REGISTERS
#undef UNSUP_INSTRUCTIONS
#undef UNSUP_PRAGMA
#undef UNSUP_PRAGMA_TEXT
#undef UNSUP_BEFORE_NAMESPACE
#undef UNSUP_AFTER_NAMESPACE

#define UNSUP_PRAGMA_TEXT(x) _Pragma(#x)
#define UNSUP_PRAGMA(x) UNSUP_PRAGMA_TEXT(x)

#if UNSUP_TARGET == UNSUP_TARGET_V4
#define UNSUP_ISA v4
#if defined(__clang__)
#define UNSUP_INSTRUCTIONS "avx2,fma,bmi2,avx512f,avx512bw,avx512cd,avx512dq,avx512vl"
#else
#define UNSUP_INSTRUCTIONS \
    "avx2,fma,bmi2,avx512f,avx512bw,avx512cd,avx512dq,avx512vl,prefer-vector-width=512"
#endif
#define UNSUP_VECTOR_BYTES 64
#define UNSUP_FMA 1
#define UNSUP_REGISTERS 32
#elif UNSUP_TARGET == UNSUP_TARGET_V3
#define UNSUP_ISA v3
#define UNSUP_INSTRUCTIONS "avx2,fma,bmi2,f16c"
#define UNSUP_VECTOR_BYTES 32
#define UNSUP_FMA 1
#define UNSUP_REGISTERS 16
#else
#define UNSUP_ISA base
#define UNSUP_VECTOR_BYTES 16
#if defined(__FMA__) || defined(__aarch64__)
#define UNSUP_FMA 1
#else
#define UNSUP_FMA 0
#endif
#if defined(__aarch64__)
#define UNSUP_REGISTERS 32
#else
#define UNSUP_REGISTERS 16
#endif
#endif

#if UNSUP_TARGET == UNSUP_TARGET_BASE
#define UNSUP_BEFORE_NAMESPACE() static_assert(true, "")
#define UNSUP_AFTER_NAMESPACE() static_assert(true, "")
#elif defined(__clang__)
#define UNSUP_BEFORE_NAMESPACE()                                                                \
    UNSUP_PRAGMA(                                                                               \
        clang attribute push(__attribute__((target(UNSUP_INSTRUCTIONS))), apply_to = function)) \
    static_assert(true, "")
#define UNSUP_AFTER_NAMESPACE() UNSUP_PRAGMA(clang attribute pop) static_assert(true, "")
#else
#define UNSUP_BEFORE_NAMESPACE()   \
    UNSUP_PRAGMA(GCC push_options) \
    UNSUP_PRAGMA(GCC target(UNSUP_INSTRUCTIONS)) static_assert(true, "")
#define UNSUP_AFTER_NAMESPACE() UNSUP_PRAGMA(GCC pop_options) static_assert(true, "")
#endif

#endif
