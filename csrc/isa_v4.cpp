// x86-64-v4. The pragma stands after the system headers, so no function of theirs is compiled for
// this level and picked by the linker for the baseline.
#if defined(__x86_64__)
#include "isa-deps.hpp"

#if defined(__clang__)
#pragma clang attribute push(                                                             \
    __attribute__((target("avx2,fma,bmi2,avx512f,avx512bw,avx512cd,avx512dq,avx512vl"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target( \
    "avx2,fma,bmi2,avx512f,avx512bw,avx512cd,avx512dq,avx512vl,prefer-vector-width=512")
#endif

#define UNSUP_ISA v4
#define UNSUP_VECTOR_BYTES 64
#define UNSUP_FMA 1
#define UNSUP_REGISTERS 32
#include "isa-inl.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

namespace unsup {
Level level_v4() {
    return {"v4",      v4::ops<float>(), v4::ops<double>(), v4::widen,
            v4::randn, v4::noise,        v4::denoise,       v4::group_norm};
}
}  // namespace unsup
#endif
