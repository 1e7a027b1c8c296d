// Bounds from codes of all columns, one row and one centroid at a time; the contract is in
// prune.hpp.
#if defined(UNSUP_PRUNE_FINE_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_PRUNE_FINE_INL_H_
#undef UNSUP_PRUNE_FINE_INL_H_
#else
#define UNSUP_PRUNE_FINE_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "memory/buffer.hpp"
#include "prune/products-inl.h"
#include "prune/prune.hpp"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

// Centroids as codes of all columns.
template <class Products>
struct Fine {
    const FineCodes& rows;
    Buffer<uint8_t> codes;   // [K, C] by slot: the codes plus the offset
    Buffer<double> unit;     // [K]
    Buffer<double> squares;  // [K]: |y_c|^2
    Buffer<double> slack;    // [K]: no less than |c' - y_c|

    Fine(const FineCodes& rows_, int64_t k)
        : rows(rows_),
          codes(buffer<uint8_t>(k * rows_.columns, uint8_t(0))),
          unit(buffer<double>(k, 0.0)),
          squares(buffer<double>(k, 0.0)),
          slack(buffer<double>(k, 0.0)) {}

    // A lower bound of the distance of row i from the centroid in slot `at`. What double rounds is
    // subtracted, so that it is never above the distance.
    double least(int64_t i, int64_t at) const {
        constexpr int64_t W = lanes<float>, bytes = UNSUP_VECTOR_BYTES;
        const int8_t* s = rows.codes + i * rows.columns;
        const uint8_t* c = codes.get() + at * rows.columns;
        Index<float> total[2] = {};
        for (int64_t j = 0; j < rows.columns; j += 2 * bytes) {
            Products::add(total[0], quads(c + j), quads(s + j));
            if (j + bytes < rows.columns)
                Products::add(total[1], quads(c + j + bytes), quads(s + j + bytes));
        }
        total[0] += total[1];
        int64_t products = -int64_t(Products::kOffset) * rows.sums[i];
        for (int64_t l = 0; l < W; ++l) products += total[0][l];
        const double all = rows.squares[i] + squares[size_t(at)],
                     squared = all * (1 - 1e-14) -
                               2 * double(products) * double(rows.unit[i]) * unit[size_t(at)];
        return std::sqrt(std::max(squared, 0.0)) * (1 - 1e-14) -
               (rows.slack[i] + slack[size_t(at)]) * (1 + 1e-14);
    }

  private:
    template <class Byte>
    UNSUP_INLINE_MEMBER static Index<float> quads(const Byte* p) {
        Index<float> v;
        __builtin_memcpy(&v, p, sizeof v);
        return v;
    }
};

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
