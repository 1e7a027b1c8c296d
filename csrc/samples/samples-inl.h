// mix, as noise and denoise call it. It is compiled in samples.cpp, once for both.
#if defined(UNSUP_SAMPLES_SAMPLES_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_SAMPLES_SAMPLES_INL_H_
#undef UNSUP_SAMPLES_SAMPLES_INL_H_
#else
#define UNSUP_SAMPLES_SAMPLES_INL_H_
#endif

#include <cstdint>

#include "parallel/run.hpp"
#include "samples/mix.hpp"
#include "simd/target-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {

template <class T, class U>
void mix_samples(const Mix<T, U>& m, const Run& run, WeightsOf<Compute<T>> weights_of,
                 const void* from);

namespace {

// weights_of(b, w) fills the weights of sample b.
template <class T, class U, class Fill>
void mix(const Mix<T, U>& m, const Run& run, const Fill& weights_of) {
    const WeightsOf<Compute<T>> fill = [](const void* from, int64_t b, MixWeights<Compute<T>>& w) {
        (*static_cast<const Fill*>(from))(b, w);
    };
    mix_samples<T, U>(m, run, fill, &weights_of);
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
