// moments, for each instruction-set level.
#undef UNSUP_TARGET_INCLUDE
#define UNSUP_TARGET_INCLUDE "moments/moments.cpp"
#include "simd/foreach_target.hpp"

#include "dispatch/level.hpp"
#include "moments/moments-inl.h"

namespace unsup {
namespace UNSUP_ISA {

void add_moments(Level& level) {
    level.f32.moments = moments<float>;
    level.f64.moments = moments<double>;
}

}  // namespace UNSUP_ISA
}  // namespace unsup
