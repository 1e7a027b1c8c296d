// Single rounds of k-means++; the contract is in kmeans_plusplus.hpp.
#if defined(UNSUP_KMEANS_PLUSPLUS_KMEANS_PLUSPLUS_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_KMEANS_PLUSPLUS_KMEANS_PLUSPLUS_INL_H_
#undef UNSUP_KMEANS_PLUSPLUS_KMEANS_PLUSPLUS_INL_H_
#else
#define UNSUP_KMEANS_PLUSPLUS_KMEANS_PLUSPLUS_INL_H_
#endif

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "assign/assign.hpp"
#include "assign/csr-inl.h"
#include "kmeans_plusplus/distances-inl.h"
#include "kmeans_plusplus/kmeans_plusplus.hpp"
#include "memory/buffer.hpp"
#include "parallel/parallel.hpp"
#include "parallel/run.hpp"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

// Calls distances(i0, rows, t0, count, values) for each block and group of candidates.
template <class T, class Distances>
void for_blocks(const KMeansPlusPlus<T>& s, const Run& run, const Distances& distances) {
    const int64_t blocks = (s.n + kSumBlock - 1) / kSumBlock;
    const int threads = int(std::max<int64_t>(1, std::min<int64_t>(run.threads, blocks)));
    const Buffer<double> partial = buffer<double>(s.t * blocks, 0.0);  // [T][blocks]
    Stop stop(run);
    std::atomic<int64_t> next{0};
    in_parallel(threads, [&](int thread) {
        BlockDistances<T> values;
        for (int64_t b; (b = next.fetch_add(1)) < blocks && !stop.poll(thread);) {
            const int64_t i0 = b * kSumBlock, rows = std::min(s.n - i0, kSumBlock);
            for (int64_t t = 0; t < s.t; t += kCandidateGroup) {
                const int count = int(std::min<int64_t>(kCandidateGroup, s.t - t));
                distances(i0, rows, t, count, values);
                for (int g = 0; g < count; ++g) {
                    T* out = s.distances + (t + g) * s.n + i0;
                    for (int64_t r = 0; r < rows; ++r)
                        out[r] = s.closest != nullptr ? std::min(values[g][r], s.closest[i0 + r])
                                                      : values[g][r];
                    partial[(t + g) * blocks + b] =
                        block_sum<T>(out, s.weight != nullptr ? s.weight + i0 : nullptr, rows);
                }
            }
        }
    });
    for (int64_t t = 0; t < s.t; ++t) {
        s.potentials[t] = 0;
        for (int64_t b = 0; b < blocks; ++b) s.potentials[t] += partial[t * blocks + b];
    }
}

template <class T>
void kmeans_plusplus(const KMeansPlusPlus<T>& s, const Run& run) {
    std::vector<CandidateGroup<T>> groups;
    for (int64_t t = 0; t < s.t; ++t) {
        if (t % kCandidateGroup == 0) groups.emplace_back(s.d, s.scale);
        groups.back().set(groups.back().count++, s.candidates + t * s.d);
    }
    for_blocks<T>(s, run, [&](int64_t i0, int64_t rows, int64_t t, int, BlockDistances<T>& values) {
        block_distances<T>(s.x + i0 * s.d, s.x + s.n * s.d, rows,
                           groups[size_t(t / kCandidateGroup)], values);
    });
}

template <class T, class I>
void kmeans_plusplus_csr_rows(const KMeansPlusPlus<T>& s, const CsrRows<T, I>& rows,
                              const Run& run) {
    std::vector<double> norm(size_t(s.t), 0.0);  // |candidate|^2
    for (int64_t t = 0; t < s.t; ++t)
        for (int64_t j = 0; j < s.d; ++j) {
            const double value = double(s.candidates[t * s.d + j]);
            norm[size_t(t)] += value * value;
        }
    for_blocks<T>(
        s, run, [&](int64_t i0, int64_t count, int64_t t0, int members, BlockDistances<T>& values) {
            for (int g = 0; g < members; ++g) {
                const int64_t t = t0 + g;
                for (int64_t r = 0; r < count; ++r)
                    values[g][r] = T(csr_squared_distance<T, I>(
                        rows, i0 + r, s.candidates + t * s.d, norm[size_t(t)]));
            }
        });
}

template <class T>
void kmeans_plusplus_csr(const KMeansPlusPlus<T>& s, const Csr<T>& csr, const Run& run) {
    if (csr.indices32 != nullptr)
        kmeans_plusplus_csr_rows<T, int32_t>(s, {csr.data, csr.indices32, csr.indptr32}, run);
    else
        kmeans_plusplus_csr_rows<T, int64_t>(s, {csr.data, csr.indices64, csr.indptr64}, run);
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
