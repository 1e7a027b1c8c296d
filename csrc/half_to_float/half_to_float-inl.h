// Body of widen; the contract is in widen.hpp.
#if defined(UNSUP_HALF_TO_FLOAT_HALF_TO_FLOAT_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_HALF_TO_FLOAT_HALF_TO_FLOAT_INL_H_
#undef UNSUP_HALF_TO_FLOAT_HALF_TO_FLOAT_INL_H_
#else
#define UNSUP_HALF_TO_FLOAT_HALF_TO_FLOAT_INL_H_
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "half_to_float/half_to_float.hpp"
#include "simd/float16-inl.h"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

void half_to_float(const HalfToFloat& w) {
    constexpr int N = lanes<float>;
    int64_t i = 0;
    for (; i + N <= w.n; i += N) half_to_float_vector(w.x + i, w.out + i);
    if (i == w.n) return;
    uint16_t x[N] = {};
    float out[N];
    std::memcpy(x, w.x + i, size_t(w.n - i) * sizeof *x);
    half_to_float_vector(x, out);
    std::memcpy(w.out + i, out, size_t(w.n - i) * sizeof *out);
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
