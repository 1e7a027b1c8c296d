// covariance, for each instruction-set level.
#undef UNSUP_TARGET_INCLUDE
#define UNSUP_TARGET_INCLUDE "covariance/covariance.cpp"
#include "simd/foreach_target.hpp"

#include "covariance/covariance-inl.h"
#include "dispatch/level.hpp"

namespace unsup {
namespace UNSUP_ISA {

void add_covariance(Level& level) {
    level.f32.covariance = covariance<float>;
    level.f64.covariance = covariance<double>;
}

}  // namespace UNSUP_ISA
}  // namespace unsup
