// assign, on dense rows and on CSR rows, for each instruction-set level.
#undef UNSUP_TARGET_INCLUDE
#define UNSUP_TARGET_INCLUDE "assign/assign.cpp"
#include "simd/foreach_target.hpp"

#include "assign/assign-inl.h"
#include "assign/assign_csr-inl.h"
#include "dispatch/level.hpp"

namespace unsup {
namespace UNSUP_ISA {

void add_assign(Level& level) {
    level.f32.assign = assign<float>;
    level.f32.assign_csr = assign_csr<float>;
    level.f64.assign = assign<double>;
    level.f64.assign_csr = assign_csr<double>;
}

}  // namespace UNSUP_ISA
}  // namespace unsup
