// The baseline of the architecture: SSE2 on x86-64, NEON on AArch64.
#include "isa-deps.hpp"

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
#include "isa-inl.h"

namespace unsup {
Level level_base() {
    return {"base",      base::ops<float>(), base::ops<double>(), base::widen,
            base::randn, base::noise,        base::denoise,       base::group_norm};
}
}  // namespace unsup
