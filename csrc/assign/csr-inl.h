// Rows of a CSR matrix, and their distances from dense rows.
#if defined(UNSUP_ASSIGN_CSR_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_ASSIGN_CSR_INL_H_
#undef UNSUP_ASSIGN_CSR_INL_H_
#else
#define UNSUP_ASSIGN_CSR_INL_H_
#endif

#include <cstdint>

#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

template <class T, class I>
struct CsrRows {
    const T* data;
    const I* indices;
    const I* indptr;
};

// |x_i - c|^2 = |x|^2 - 2 x.c + |c|^2 in double.
template <class T, class I>
double csr_squared_distance(const CsrRows<T, I>& rows, int64_t i, const T* c, double norm) {
    double square = norm;
    for (I q = rows.indptr[i]; q < rows.indptr[i + 1]; ++q) {
        const double x = double(rows.data[q]);
        square += x * (x - 2 * double(c[rows.indices[q]]));
    }
    return square > 0 ? square : 0;
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
