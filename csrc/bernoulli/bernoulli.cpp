// bernoulli, for each instruction-set level.
#undef UNSUP_TARGET_INCLUDE
#define UNSUP_TARGET_INCLUDE "bernoulli/bernoulli.cpp"
#include "simd/foreach_target.hpp"

#include "bernoulli/bernoulli-inl.h"
#include "dispatch/level.hpp"

namespace unsup {
namespace UNSUP_ISA {

void add_bernoulli(Level& level) {
    level.bernoulli = bernoulli;
    level.bernoulli_log_prob = bernoulli_log_prob;
}

}  // namespace UNSUP_ISA
}  // namespace unsup
