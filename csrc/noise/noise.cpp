// noise, for each instruction-set level.
#undef UNSUP_TARGET_INCLUDE
#define UNSUP_TARGET_INCLUDE "noise/noise.cpp"
#include "simd/foreach_target.hpp"

#include "dispatch/level.hpp"
#include "noise/noise-inl.h"

namespace unsup {
namespace UNSUP_ISA {

void add_noise(Level& level) { level.noise = noise; }

}  // namespace UNSUP_ISA
}  // namespace unsup
