// kmeans_plusplus: single rounds, all rounds, and the spread of rows, for each instruction-set
// level.
#undef UNSUP_TARGET_INCLUDE
#define UNSUP_TARGET_INCLUDE "kmeans_plusplus/kmeans_plusplus.cpp"
#include "simd/foreach_target.hpp"

#include "dispatch/level.hpp"
#include "kmeans_plusplus/kmeans_plusplus-inl.h"
#include "kmeans_plusplus/rounds-inl.h"
#include "kmeans_plusplus/spread-inl.h"

namespace unsup {
namespace UNSUP_ISA {

void add_kmeans_plusplus(Level& level) {
    level.f32.kmeans_plusplus = kmeans_plusplus<float>;
    level.f32.kmeans_plusplus_csr = kmeans_plusplus_csr<float>;
    level.f32.kmeans_plusplus_rounds = kmeans_plusplus_rounds<float>;
    level.f32.spread = spread<float>;
    level.f64.kmeans_plusplus = kmeans_plusplus<double>;
    level.f64.kmeans_plusplus_csr = kmeans_plusplus_csr<double>;
    level.f64.kmeans_plusplus_rounds = kmeans_plusplus_rounds<double>;
    level.f64.spread = spread<double>;
}

}  // namespace UNSUP_ISA
}  // namespace unsup
