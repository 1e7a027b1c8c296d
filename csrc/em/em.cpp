// em, for each instruction-set level.
#undef UNSUP_TARGET_INCLUDE
#define UNSUP_TARGET_INCLUDE "em/em.cpp"
#include "simd/foreach_target.hpp"

#include "dispatch/level.hpp"
#include "em/em-inl.h"

namespace unsup {
namespace UNSUP_ISA {

void add_em(Level& level) {
    level.f32.em = em<float>;
    level.f64.em = em<double>;
}

}  // namespace UNSUP_ISA
}  // namespace unsup
