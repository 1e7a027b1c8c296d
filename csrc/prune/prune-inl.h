// Body of prune; the contract is in prune.hpp.
#if defined(UNSUP_PRUNE_PRUNE_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_PRUNE_PRUNE_INL_H_
#undef UNSUP_PRUNE_PRUNE_INL_H_
#else
#define UNSUP_PRUNE_PRUNE_INL_H_
#endif

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <memory>
#include <vector>

#include "assign/score-inl.h"
#include "memory/buffer.hpp"
#include "parallel/parallel.hpp"
#include "parallel/run.hpp"
#include "prune/codes-inl.h"
#include "prune/greatest-inl.h"
#include "prune/projections-inl.h"
#include "prune/prune.hpp"
#include "prune/pruner-inl.h"
#include "prune/settle-inl.h"
#include "prune/sift-inl.h"
#include "simd/vector-inl.h"
#include "totals/totals-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

// How far each centroid has moved less the shift, times the scale of the rows, by slot, rounded
// up.
template <class T>
void displacements(const AssignIn<T>& in, const Bounds<T>& b, const T* shift, T* displacement,
                   int64_t begin, int64_t end) {
    constexpr int N = kDoubles;
    const double scale = double(b.scale);
    for (int64_t at = begin; at < end; ++at) {
        const T* now = in.centers + b.cluster[at] * in.d;
        const T* then = b.before + b.cluster[at] * in.d;
        vec<double, N> squares{};
        int64_t j = 0;
        for (; j + N <= in.d; j += N) {
            const vec<T, N> origin = load<T, N>(shift + j);
            const vec<double, N> gap = (to_double<T, N>(load<T, N>(now + j) - origin) -
                                        to_double<T, N>(load<T, N>(then + j) - origin)) *
                                       scale;
            squares += gap * gap;
        }
        double squared = sum<N>(squares);
        for (; j < in.d; ++j) {
            const double gap =
                (double(T(now[j] - shift[j])) - double(T(then[j] - shift[j]))) * scale;
            squared += gap * gap;
        }
        displacement[at] = T(std::sqrt(squared) * (1 + 1e-6)) * kUp<T>;
    }
}

template <class T, class Y>
void prune_with(const AssignIn<T>& in, Bounds<T>& b, int32_t* labels, int64_t* n_changed,
                Totals* totals, const Run& run) {
    const Centroids<T> c(in, run.threads, true);
    const Y y(b, c, run.threads);
    double most = 0;
    for (int64_t k = 0; k < in.k; ++k) most = std::max(most, -2 * double(c.half_norm[k]));
    const double max_norm = std::sqrt(most) / double(c.scale) * (1 + 1e-6) * double(b.scale);
    const int64_t bounds = (y.groups + b.span - 1) / b.span;
    const Buffer<T> displacement = buffer<T>(in.k, T(0)), moved = buffer<T>(b.width, T(0));
    std::vector<int32_t> slot(size_t(in.k));
    for (int64_t at = 0; at < in.k; ++at) slot[size_t(b.cluster[at])] = int32_t(at);
    const bool fresh = b.before == nullptr;
    if (!fresh)
        in_parts(run.threads, in.k, (int64_t(1) << 15) / in.d + 1, [&](int64_t begin, int64_t end) {
            displacements<T>(in, b, c.shift.get(), displacement.get(), begin, end);
        });
    for (int64_t at = 0; at < in.k; at += kNear * b.span) {
        const int64_t end = std::min(in.k, at + kNear * b.span), q = at / (kNear * b.span);
        // The whole sum is rounded up: it must grow by displacements below its last bit.
        b.moved[q] += double(*std::max_element(displacement.get() + at, displacement.get() + end));
        b.moved[q] *= 1 + 1e-15;
        moved[q] = T(b.moved[q]) * kUp<T>;
    }
    // Rounding grows with the longest centroid: bounds computed with a shorter one no longer hold.
    const bool farther = fresh || !(max_norm <= *b.max_norm);
    if (farther) *b.max_norm = 1.5 * max_norm;
    if (farther && !fresh) {
        std::fill(b.upper, b.upper + in.n, std::numeric_limits<T>::infinity());
        std::fill(b.tight, b.tight + in.n, uint8_t(0));
    }
    const Pruner<T, Y> pruner{in,          b,      c,    y, slot.data(), displacement.get(),
                              moved.get(), bounds, fresh};

    const int64_t blocks = (in.n + kBlockRows - 1) / kBlockRows;
    const int threads = int(std::max<int64_t>(1, std::min<int64_t>(run.threads, blocks)));
    std::unique_ptr<Mover<T>> mover;
    if (totals != nullptr) mover.reset(new Mover<T>(in, *totals, threads));
    std::vector<PruneSpace<T>> spaces(static_cast<size_t>(threads));
    for (auto& space : spaces) {
        space.row = buffer<T>(c.stride, T(0));
        space.count.resize(size_t(b.width));
        space.active.resize(size_t(b.width * kBlockRows));
    }
    Stop stop(run);
    std::atomic<int64_t> next{0}, changed{0};
    in_parallel(threads, [&](int thread) {
        int64_t here = 0;
        PruneSpace<T>& space = spaces[size_t(thread)];
        try {  // candidates may need more memory than there is
            for (int64_t t; (t = next.fetch_add(1)) < blocks && !stop.poll(thread);)
                pruner.label_block(t * kBlockRows, std::min(in.n, (t + 1) * kBlockRows), labels,
                                   space, [&](int64_t i, int32_t k) {
                                       if (mover) mover->move(thread, i, labels[i], k);
                                       labels[i] = k;
                                       ++here;
                                   });
        } catch (...) {
            stop.fail(std::current_exception());
        }
        changed += here;
    });
    if (mover) mover->finish();
    stop.rethrow();
    *n_changed = changed;
    for (const auto& space : spaces) {
        b.tightened += space.tightened;
        b.scored += space.scored;
        b.refined += space.refined;
        b.survivors += space.survived;
    }
}

template <class T>
void prune(const AssignIn<T>& in, Bounds<T>& b, int32_t* labels, int64_t* n_changed, Totals* totals,
           const Run& run) {
    if constexpr (sizeof(T) == sizeof(float)) {
#if UNSUP_TARGET != UNSUP_TARGET_BASE || defined(__aarch64__)
        if (b.codes != nullptr && byte_products() == 4)
            return prune_with<T, Codes<FourProducts>>(in, b, labels, n_changed, totals, run);
#endif
#if UNSUP_TARGET != UNSUP_TARGET_BASE
        if (b.codes != nullptr)
            return prune_with<T, Codes<PairProducts>>(in, b, labels, n_changed, totals, run);
#else
        if (b.codes != nullptr)
            return prune_with<T, Codes<PlainProducts>>(in, b, labels, n_changed, totals, run);
#endif
    }
    prune_with<T, Projections<T>>(in, b, labels, n_changed, totals, run);
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
