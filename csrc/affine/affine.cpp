// affine, for each instruction-set level.
#undef UNSUP_TARGET_INCLUDE
#define UNSUP_TARGET_INCLUDE "affine/affine.cpp"
#include "simd/foreach_target.hpp"

#include "affine/affine-inl.h"
#include "dispatch/level.hpp"

namespace unsup {
namespace UNSUP_ISA {

void add_affine(Level& level) {
    level.f32.affine = affine<float>;
    level.f64.affine = affine<double>;
}

}  // namespace UNSUP_ISA
}  // namespace unsup
