// group_norm, for each instruction-set level.
#undef UNSUP_TARGET_INCLUDE
#define UNSUP_TARGET_INCLUDE "group_norm/group_norm.cpp"
#include "simd/foreach_target.hpp"

#include "dispatch/level.hpp"
#include "group_norm/group_norm-inl.h"

namespace unsup {
namespace UNSUP_ISA {

void add_group_norm(Level& level) { level.group_norm = group_norm; }

}  // namespace UNSUP_ISA
}  // namespace unsup
