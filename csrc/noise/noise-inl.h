// Body of noise; the contract is in noise.hpp.
#if defined(UNSUP_NOISE_NOISE_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_NOISE_NOISE_INL_H_
#undef UNSUP_NOISE_NOISE_INL_H_
#else
#define UNSUP_NOISE_NOISE_INL_H_
#endif

#include <cstdint>

#include "noise/noise.hpp"
#include "parallel/run.hpp"
#include "samples/mix.hpp"
#include "samples/samples-inl.h"
#include "samples/samples.hpp"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

template <class T>
void noise(const Noise& f, const Run& run) {
    using C = Compute<T>;
    Mix<T, T> m{};
    m.grid = f.grid;
    m.draw = f.draw;
    m.source[0] = f.x0;
    m.source[1] = f.eps;
    m.n_sources = f.eps.data == nullptr ? 1 : 2;
    m.out[0] = f.out;
    m.out[1] = f.out_target;
    m.n_outs = f.target == Target::none ? 1 : 2;
    stream_outs(m);
    const int eps = f.eps.data == nullptr ? kDrawn : 1;
    mix(m, run, [&](int64_t b, MixWeights<C>& w) {
        const C signal = C(f.signal[b]), sigma = C(f.sigma[b]);
        w.of[0][0] = signal;
        w.of[0][eps] = sigma;
        w.of[1][0] = f.target == Target::v ? -sigma : C(f.target == Target::flow ? -1 : 0);
        w.of[1][eps] = f.target == Target::v ? signal : C(1);
    });
}

void noise(const Noise& f, const Run& run) {
    switch (f.grid.element) {
        case Element::float32:
            return noise<float>(f, run);
        case Element::float64:
            return noise<double>(f, run);
        case Element::bfloat16:
            return noise<BFloat16>(f, run);
        case Element::float16:
            return noise<Float16>(f, run);
    }
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
