// bias_act, for each instruction-set level.
#undef UNSUP_TARGET_INCLUDE
#define UNSUP_TARGET_INCLUDE "bias_act/bias_act.cpp"
#include "simd/foreach_target.hpp"

#include "bias_act/bias_act-inl.h"
#include "dispatch/level.hpp"

namespace unsup {
namespace UNSUP_ISA {

void add_bias_act(Level& level) { level.bias_act = bias_act; }

}  // namespace UNSUP_ISA
}  // namespace unsup
