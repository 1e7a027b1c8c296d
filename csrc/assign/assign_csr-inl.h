// assign on CSR rows. Zeros cost nothing, so there is no shift: subtracting one would fill the
// rows.
#if defined(UNSUP_ASSIGN_ASSIGN_CSR_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_ASSIGN_ASSIGN_CSR_INL_H_
#undef UNSUP_ASSIGN_ASSIGN_CSR_INL_H_
#else
#define UNSUP_ASSIGN_ASSIGN_CSR_INL_H_
#endif

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "assign/assign.hpp"
#include "assign/chunks-inl.h"
#include "assign/csr-inl.h"
#include "memory/buffer.hpp"
#include "parallel/run.hpp"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

template <class T>
struct CsrCentroids {
    int64_t d, padded;
    Buffer<T> columns;         // [D][padded]: column j of all centroids
    Buffer<T> half_norm;       // [padded]: -|c|^2 / 2, minus infinity for padding
    std::vector<double> norm;  // [K]: |c|^2
};

constexpr int kCsrVectors = 8;  // scores of a row in registers

template <class T>
CsrCentroids<T> csr_centroids(const T* centers, int64_t k, int64_t d) {
    constexpr int64_t block = kCsrVectors * lanes<T>;
    CsrCentroids<T> c;
    c.d = d;
    c.padded = (k + block - 1) / block * block;
    c.columns = buffer<T>(d * c.padded, T(0));
    c.half_norm = buffer<T>(c.padded, -std::numeric_limits<T>::infinity());
    c.norm.resize(size_t(k));
    for (int64_t i = 0; i < k; ++i) {
        double squared = 0;
        for (int64_t j = 0; j < d; ++j) {
            const T value = centers[i * d + j];
            c.columns[j * c.padded + i] = value;
            squared += double(value) * double(value);
        }
        c.half_norm[i] = T(-squared / 2);
        c.norm[size_t(i)] = squared;
    }
    return c;
}

template <class T, class I>
int32_t csr_nearest(const CsrRows<T, I>& rows, int64_t i, const CsrCentroids<T>& c) {
    constexpr int W = lanes<T>;
    T best = -std::numeric_limits<T>::infinity();
    int64_t nearest = 0;
    for (int64_t k = 0; k < c.padded; k += kCsrVectors * W) {
        Vec<T> score[kCsrVectors];
#pragma GCC unroll 8
        for (int v = 0; v < kCsrVectors; ++v) score[v] = load<T, W>(c.half_norm.get() + k + v * W);
        for (I q = rows.indptr[i]; q < rows.indptr[i + 1]; ++q) {
            const T* column = c.columns.get() + int64_t(rows.indices[q]) * c.padded + k;
            const T x = rows.data[q];
#pragma GCC unroll 8
            for (int v = 0; v < kCsrVectors; ++v) score[v] += load<T, W>(column + v * W) * x;
        }
        for (int v = 0; v < kCsrVectors; ++v)
            for (int l = 0; l < W; ++l)
                if (score[v][l] > best) {
                    best = score[v][l];
                    nearest = k + v * W + l;
                }
    }
    return int32_t(nearest);
}

template <class T, class I>
void assign_csr_rows(const AssignIn<T>& in, const CsrRows<T, I>& rows, AssignOut<T>& out,
                     const Run& run) {
    const CsrCentroids<T> c = csr_centroids(in.centers, in.k, in.d);
    Stop stop(run);
    const auto label = [&](int64_t i0, int64_t i1, int thread) {
        int64_t changed = 0;
        if (out.labelled) return stop.poll(thread), changed;
        for (int64_t i = i0; i < i1; ++i) {
            if (i % 8 == 0 && stop.poll(thread)) break;
            const int32_t nearest = csr_nearest<T, I>(rows, i, c);
            changed += nearest != out.labels[i];
            out.labels[i] = nearest;
        }
        return changed;
    };
    const auto add = [&](int64_t i0, int64_t i1, int stripe, int stripes, Sums& to) {
        if (out.labels_only) return;
        for (int64_t i = i0; i < i1; ++i) {
            const int64_t k = out.labels[i];
            if (stripes > 1 && k % stripes != stripe) continue;
            const double w = in.weight != nullptr ? double(in.weight[i]) : 1.0;
            if (to.sums != nullptr) {
                double* sums = to.sums + k * (in.d + 1);
                for (I q = rows.indptr[i]; q < rows.indptr[i + 1]; ++q)
                    sums[rows.indices[q]] += w * double(rows.data[q]);
                sums[in.d] += w;
            }
            const double squared =
                csr_squared_distance<T, I>(rows, i, in.centers + k * in.d, c.norm[size_t(k)]);
            to.inertia += w * squared;
            if (out.distances != nullptr) out.distances[i] = T(squared);
        }
    };
    assign_chunks<T>(in.n, 256, true, in.k, in.d, in.d + 1, out, run, stop, label, add);
}

template <class T>
void assign_csr(const AssignIn<T>& in, const Csr<T>& csr, AssignOut<T>& out, const Run& run) {
    if (csr.indices32 != nullptr)
        assign_csr_rows<T, int32_t>(in, {csr.data, csr.indices32, csr.indptr32}, out, run);
    else
        assign_csr_rows<T, int64_t>(in, {csr.data, csr.indices64, csr.indptr64}, out, run);
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
