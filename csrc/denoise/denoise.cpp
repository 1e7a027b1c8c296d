// denoise, for each instruction-set level.
#undef UNSUP_TARGET_INCLUDE
#define UNSUP_TARGET_INCLUDE "denoise/denoise.cpp"
#include "simd/foreach_target.hpp"

#include "denoise/denoise-inl.h"
#include "dispatch/level.hpp"

namespace unsup {
namespace UNSUP_ISA {

void add_denoise(Level& level) { level.denoise = denoise; }

}  // namespace UNSUP_ISA
}  // namespace unsup
