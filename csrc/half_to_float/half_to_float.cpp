// half_to_float, for each instruction-set level.
#undef UNSUP_TARGET_INCLUDE
#define UNSUP_TARGET_INCLUDE "half_to_float/half_to_float.cpp"
#include "simd/foreach_target.hpp"

#include "dispatch/level.hpp"
#include "half_to_float/half_to_float-inl.h"

namespace unsup {
namespace UNSUP_ISA {

void add_half_to_float(Level& level) { level.half_to_float = half_to_float; }

}  // namespace UNSUP_ISA
}  // namespace unsup
