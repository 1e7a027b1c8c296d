// The operations of one instruction-set level.
#include "vector-inl.h"
#include "pack-inl.h"
#include "rows-inl.h"
#include "score-inl.h"
#include "totals-inl.h"
#include "assign-inl.h"
#include "exact-inl.h"
#include "projections-inl.h"
#include "codes-inl.h"
#include "prune-inl.h"
#include "csr-inl.h"
#include "moments-inl.h"
#include "exp-inl.h"
#include "em-model-inl.h"
#include "em-score-inl.h"
#include "em-moments-inl.h"
#include "em-dense-inl.h"
#include "em-inl.h"
#include "covariance-inl.h"
#include "affine-inl.h"
#include "seed-inl.h"
#include "seed-bound-inl.h"
#include "seed-rounds-inl.h"
#include "widen-inl.h"
#include "narrow-inl.h"
#include "philox-inl.h"
#include "normal-inl.h"
#include "randn-inl.h"
#include "half-inl.h"
#include "mix-inl.h"
#include "noise-inl.h"
#include "quantile-inl.h"
#include "denoise-inl.h"
#include "group_norm-inl.h"

namespace unsup {
namespace UNSUP_ISA {
namespace {

template <class T>
Ops<T> ops() {
    return {assign<T>,   assign_csr<T>,  prune<T>,      means<T>,  project<T>,
            encode<T>,   moments<T>,     covariance<T>, affine<T>, seed<T>,
            seed_csr<T>, seed_rounds<T>, em<T>,         spread<T>};
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
