// x86-64-v3. The pragma stands after the system headers, so no function of theirs is compiled for
// this level and picked by the linker for the baseline.
#if defined(__x86_64__)
#include "isa-deps.hpp"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,bmi2,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,bmi2,f16c")
#endif

#define UNSUP_ISA v3
#define UNSUP_VECTOR_BYTES 32
#define UNSUP_FMA 1
#define UNSUP_REGISTERS 16
#include "isa-inl.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

namespace unsup {
Level level_v3() {
    return {"v3",      v3::ops<float>(), v3::ops<double>(), v3::widen,
            v3::randn, v3::noise,        v3::denoise,       v3::group_norm};
}
}  // namespace unsup
#endif
