// nearest, for each instruction-set level.
#undef UNSUP_TARGET_INCLUDE
#define UNSUP_TARGET_INCLUDE "nearest/nearest.cpp"
#include "simd/foreach_target.hpp"

#include "dispatch/level.hpp"
#include "nearest/nearest-inl.h"

namespace unsup {
namespace UNSUP_ISA {

void add_nearest(Level& level) {
    level.f32.nearest = nearest<float>;
    level.f64.nearest = nearest<double>;
}

}  // namespace UNSUP_ISA
}  // namespace unsup
