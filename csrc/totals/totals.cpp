// means of totals, for each instruction-set level.
#undef UNSUP_TARGET_INCLUDE
#define UNSUP_TARGET_INCLUDE "totals/totals.cpp"
#include "simd/foreach_target.hpp"

#include "dispatch/level.hpp"
#include "totals/totals-inl.h"

namespace unsup {
namespace UNSUP_ISA {

void add_totals(Level& level) {
    level.f32.means = means<float>;
    level.f64.means = means<double>;
}

}  // namespace UNSUP_ISA
}  // namespace unsup
