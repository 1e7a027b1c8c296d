// mix, for each instruction-set level and each type of tensors; denoise sums halfs in float32 too.
#undef UNSUP_TARGET_INCLUDE
#define UNSUP_TARGET_INCLUDE "samples/samples.cpp"
#include "simd/foreach_target.hpp"

#include "parallel/run.hpp"
#include "samples/mix-inl.h"
#include "samples/mix.hpp"
#include "samples/samples.hpp"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {

template void mix_samples(const Mix<float, float>&, const Run&, WeightsOf<float>, const void*);
template void mix_samples(const Mix<double, double>&, const Run&, WeightsOf<double>, const void*);
template void mix_samples(const Mix<BFloat16, BFloat16>&, const Run&, WeightsOf<float>,
                          const void*);
template void mix_samples(const Mix<BFloat16, float>&, const Run&, WeightsOf<float>, const void*);
template void mix_samples(const Mix<Float16, Float16>&, const Run&, WeightsOf<float>, const void*);
template void mix_samples(const Mix<Float16, float>&, const Run&, WeightsOf<float>, const void*);

}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();
