// What a row adds to its cluster: weighted values, weight, and squared distance, in one sweep.
//
// Sums have a row of [stride] doubles for each cluster. If D is not a whole number of vectors,
// stride > D: column D collects the weight, the rest is padding, so that a row is one and the
// weight costs nothing more. Otherwise stride = D, and the weights stand behind the sums, [K].
#if defined(UNSUP_ASSIGN_ROWS_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_ASSIGN_ROWS_INL_H_
#undef UNSUP_ASSIGN_ROWS_INL_H_
#else
#define UNSUP_ASSIGN_ROWS_INL_H_
#endif

#include <cstdint>

#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

inline int64_t sums_stride(int64_t d) {
    return d + 1 <= 4 && kDoubles > 4 ? 4 : (d + kDoubles - 1) / kDoubles * kDoubles;
}
inline int64_t sums_size(int64_t k, int64_t d, int64_t stride) {
    return k * stride + (stride == d ? k : 0);
}
inline int64_t weight_offset(int64_t i, int64_t k, int64_t d, int64_t stride) {
    return stride == d ? k * stride + i : i * stride + d;
}

template <class T, int N>
struct RowAdder {
    using Mask = vec<typename index_of<T>::type, N>;
    const T* shift;  // [stride]
    vec<T, N> scale;
    int64_t whole;     // columns in whole vectors
    int64_t columns;   // D
    Mask inside;       // lanes of the last vector that are columns
    vec<T, N> weight;  // the power of two in the lane of column D of the last vector

    RowAdder(const T* shift_, T scale_, int64_t d)
        : shift(shift_), scale(vec<T, N>{} + scale_), whole(d / N * N), columns(d) {
        for (int i = 0; i < N; ++i) {
            inside[i] = i < d - whole ? -1 : 0;
            weight[i] = i == d - whole ? scale_ : T(0);
        }
    }

    // The last, partial vector of a row. Where more rows follow, lanes past its end are read too.
    template <bool Overrun>
    UNSUP_INLINE_MEMBER vec<T, N> last(const T* x) const {
        if constexpr (Overrun) return load<T, N>(x + whole);
        vec<T, N> v{};
        for (int i = 0; whole + i < columns; ++i) v[i] = x[whole + i];
        return v;
    }

    // sums [stride] += w * (x - shift) * scale, weight += w * scale; returns lanes of
    // |(x - shift) * scale - c|^2. c [stride] is zero past D.
    template <bool Overrun>
    UNSUP_INLINE_MEMBER vec<T, N> add(const T* x, double w, const T* c, double* sums,
                                      double* total_weight) const {
        vec<T, N> squared{};
        for (int64_t j = 0; j < whole; j += N) {
            const vec<T, N> row = (load<T, N>(x + j) - load<T, N>(shift + j)) * scale;
            const vec<T, N> gap = row - load<T, N>(c + j);
            squared += gap * gap;
            store<double, N>(sums + j, load<double, N>(sums + j) + to_double<T, N>(row) * w);
        }
        if (whole == columns) {
            *total_weight += w * double(scale[0]);
            return squared;
        }
        const vec<T, N> zero{};
        const vec<T, N> row = (last<Overrun>(x) - load<T, N>(shift + whole)) * scale;
        const vec<T, N> gap = inside ? row - load<T, N>(c + whole) : zero;
        const vec<T, N> value = inside ? row : weight;
        store<double, N>(sums + whole, load<double, N>(sums + whole) + to_double<T, N>(value) * w);
        return squared + gap * gap;
    }

    template <bool Overrun>
    UNSUP_INLINE_MEMBER vec<T, N> distance(const T* x, const T* c) const {
        vec<T, N> squared{};
        for (int64_t j = 0; j < whole; j += N) {
            const vec<T, N> gap =
                (load<T, N>(x + j) - load<T, N>(shift + j)) * scale - load<T, N>(c + j);
            squared += gap * gap;
        }
        if (whole == columns) return squared;
        const vec<T, N> row = (last<Overrun>(x) - load<T, N>(shift + whole)) * scale;
        const vec<T, N> zero{};
        const vec<T, N> gap = inside ? row - load<T, N>(c + whole) : zero;
        return squared + gap * gap;
    }
};

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
