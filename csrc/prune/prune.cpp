// prune, and rows as it scores them, for each instruction-set level.
#undef UNSUP_TARGET_INCLUDE
#define UNSUP_TARGET_INCLUDE "prune/prune.cpp"
#include "simd/foreach_target.hpp"

#include "dispatch/level.hpp"
#include "prune/codes-inl.h"
#include "prune/projections-inl.h"
#include "prune/prune-inl.h"

namespace unsup {
namespace UNSUP_ISA {

void add_prune(Level& level) {
    level.f32.prune = prune<float>;
    level.f32.project = project<float>;
    level.f32.encode = encode<float>;
    level.f64.prune = prune<double>;
    level.f64.project = project<double>;
    level.f64.encode = encode<double>;
}

}  // namespace UNSUP_ISA
}  // namespace unsup
