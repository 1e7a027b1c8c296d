// randn, for each instruction-set level.
#undef UNSUP_TARGET_INCLUDE
#define UNSUP_TARGET_INCLUDE "randn/randn.cpp"
#include "simd/foreach_target.hpp"

#include "dispatch/level.hpp"
#include "randn/randn-inl.h"

namespace unsup {
namespace UNSUP_ISA {

void add_randn(Level& level) { level.randn = randn; }

}  // namespace UNSUP_ISA
}  // namespace unsup
