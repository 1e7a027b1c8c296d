// Rows to tiles: (x - shift) * scale, transposed to [D][kTile].
#if defined(UNSUP_SIMD_PACK_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_SIMD_PACK_INL_H_
#undef UNSUP_SIMD_PACK_INL_H_
#else
#define UNSUP_SIMD_PACK_INL_H_
#endif

#include <cstdint>
#include <utility>

#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

// Exchange the S-wide off-diagonal blocks of two rows: one butterfly of a transposition.
template <class T, int S, int... L>
UNSUP_INLINE void butterfly(Vec<T>& a, Vec<T>& b, std::integer_sequence<int, L...>) {
    constexpr int W = lanes<T>;
    const Vec<T> low = __builtin_shufflevector(a, b, (L / S % 2 ? W + L - S : L)...);
    const Vec<T> high = __builtin_shufflevector(a, b, (L / S % 2 ? W + L : L + S)...);
    a = low;
    b = high;
}

template <class T, int S>
UNSUP_INLINE void transpose_stage(Vec<T>* r) {
#pragma GCC unroll 16
    for (int i = 0; i < lanes<T>; ++i)
        if (!(i & S)) butterfly<T, S>(r[i], r[i + S], std::make_integer_sequence<int, lanes<T>>());
}

template <class T, int S>
UNSUP_INLINE void transpose(Vec<T>* r) {
    if constexpr (S > 0) {
        transpose_stage<T, S>(r);
        transpose<T, S / 2>(r);
    }
}

// Fewer columns than lanes: a strided loop whose stride the compiler knows.
template <class T, int D>
void pack_narrow(const T* x, const T* shift, T scale, T* out) {
    for (int j = 0; j < D; ++j)
        for (int i = 0; i < kTile<T>; ++i)
            out[j * kTile<T> + i] = (x[i * D + j] - shift[j]) * scale;
}

template <class T>
void pack_any(const T* x, int rows, int64_t d, const T* shift, T scale, T* out) {
    for (int i = 0; i < rows; ++i)
        for (int64_t j = 0; j < d; ++j) out[j * kTile<T> + i] = (x[i * d + j] - shift[j]) * scale;
    for (int i = rows; i < kTile<T>; ++i)
        for (int64_t j = 0; j < d; ++j) out[j * kTile<T> + i] = T(0);
}

template <class T>
void pack_wide(const T* x, int64_t d, const T* end, const T* shift, T scale, T* out) {
    constexpr int W = lanes<T>;
    const Vec<T> s = Vec<T>{} + scale;
    for (int i0 = 0; i0 < kTile<T>; i0 += W) {
        const T* rows = x + i0 * d;
        for (int64_t j = 0; j < d; j += W) {
            const int columns = int(d - j < W ? d - j : W);
            Vec<T> r[W];
            if (columns == W || rows + (W - 1) * d + j + W <= end) {
                // The last vector of a row may run into the next row; those lanes are not stored.
                const Vec<T> origin = load<T, W>(shift + j);
#pragma GCC unroll 16
                for (int i = 0; i < W; ++i) r[i] = (load<T, W>(rows + i * d + j) - origin) * s;
            } else {
                for (int i = 0; i < W; ++i) {
                    T part[W] = {};
                    for (int q = 0; q < columns; ++q)
                        part[q] = (rows[i * d + j + q] - shift[j + q]) * scale;
                    r[i] = load<T, W>(part);
                }
            }
            transpose<T, W / 2>(r);
            T* to = out + j * kTile<T> + i0;
            if (columns == W) {
#pragma GCC unroll 16
                for (int q = 0; q < W; ++q) store<T, W>(to + q * kTile<T>, r[q]);
            } else {
                for (int q = 0; q < columns; ++q) store<T, W>(to + q * kTile<T>, r[q]);
            }
        }
    }
}

// IN x [rows, D], rows <= kTile; end: one past the last element that may be read; shift [D],
// readable to the next multiple of the vector width. OUT [D][kTile], missing rows filled with
// zeros.
template <class T>
void pack(const T* x, int rows, int64_t d, const T* end, const T* shift, T scale, T* out) {
    if (rows < kTile<T>) return pack_any(x, rows, d, shift, scale, out);
    if (d >= lanes<T>) return pack_wide(x, d, end, shift, scale, out);
    switch (d) {
        case 1:
            return pack_narrow<T, 1>(x, shift, scale, out);
        case 2:
            return pack_narrow<T, 2>(x, shift, scale, out);
        case 3:
            return pack_narrow<T, 3>(x, shift, scale, out);
        case 4:
            return pack_narrow<T, 4>(x, shift, scale, out);
        case 5:
            return pack_narrow<T, 5>(x, shift, scale, out);
        case 6:
            return pack_narrow<T, 6>(x, shift, scale, out);
        default:
            return pack_wide(x, d, end, shift, scale, out);
    }
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
