// Body of assign; the contract is in assign.hpp.
#if defined(UNSUP_ASSIGN_ASSIGN_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_ASSIGN_ASSIGN_INL_H_
#undef UNSUP_ASSIGN_ASSIGN_INL_H_
#else
#define UNSUP_ASSIGN_ASSIGN_INL_H_
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "assign/assign.hpp"
#include "assign/chunks-inl.h"
#include "assign/rows-inl.h"
#include "assign/score-inl.h"
#include "parallel/run.hpp"
#include "simd/vector-inl.h"
#include "totals/totals-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

// Adds rows [i0, i1) of the clusters k with k % stripes == stripe. Plain: all clusters, weights of
// one, no distances wanted.
template <class T, int N, bool Overrun, bool Update, bool Plain>
void add_some_rows(const AssignIn<T>& in, const Centroids<T>& c, const RowAdder<T, N>& adder,
                   AssignOut<T>& out, int64_t i0, int64_t i1, int stripe, int stripes, Sums& to) {
    const double unscale = 1.0 / double(c.scale);
    const int64_t d = c.d, stride = sums_stride(d), row_stride = c.stride, copy_mask = to.copy_mask,
                  copy_size = to.copy_size;
    const int32_t* const labels = out.labels;
    const T* const centroids = c.rows.get();
    const T* x = in.x + i0 * d;
    const int64_t weights_at = weight_offset(0, c.k, d, stride),
                  weight_step = stride == d ? 1 : stride;
    double* const sums = to.sums;
    vec<double, N> inertia{};
    for (int64_t i = i0; i < i1; ++i, x += d) {
        const int64_t k = labels[i];
        if (!Plain && stripes > 1 && k % stripes != stripe) continue;
        const double w = !Plain && in.weight != nullptr ? double(in.weight[i]) : 1.0;
        vec<T, N> lane;
        if (Update) {
            double* const copy = sums + (i & copy_mask) * copy_size;
            lane =
                adder.template add<Overrun>(x, w * unscale, centroids + k * row_stride,
                                            copy + k * stride, copy + weights_at + k * weight_step);
        } else {
            lane = adder.template distance<Overrun>(x, centroids + k * row_stride);
        }
        const vec<double, N> squared = to_double<T, N>(lane);
        inertia += squared * w;
        if (!Plain && out.distances != nullptr)
            out.distances[i] = T(sum<N>(squared) * unscale * unscale);
    }
    to.inertia += sum<N>(inertia);
}

template <class T, int N>
void add_rows(const AssignIn<T>& in, const Centroids<T>& c, AssignOut<T>& out, int64_t i0,
              int64_t i1, int stripe, int stripes, Sums& to) {
    const RowAdder<T, N> adder(c.shift.get(), c.scale, c.d);
    // Rows before this have as many values behind them as a vector may overrun.
    const int64_t end = std::clamp(in.n - (N + c.d - 1) / c.d, i0, i1);
    const auto add = [&](auto update) {
        constexpr bool kUpdate = decltype(update)::value;
        if (stripes == 1 && in.weight == nullptr && out.distances == nullptr)
            add_some_rows<T, N, true, kUpdate, true>(in, c, adder, out, i0, end, stripe, stripes,
                                                     to);
        else
            add_some_rows<T, N, true, kUpdate, false>(in, c, adder, out, i0, end, stripe, stripes,
                                                      to);
        add_some_rows<T, N, false, kUpdate, false>(in, c, adder, out, end, i1, stripe, stripes, to);
    };
    if (to.sums != nullptr)
        add(std::true_type());
    else if (!out.labels_only)
        add(std::false_type());
}

// Runs label(i0, i1, thread) -> labels changed over all rows and adds them up.
template <class T, class Label>
void add_assigned(const AssignIn<T>& in, const Centroids<T>& c, const Plan<T>& plan,
                  AssignOut<T>& out, const Run& run, Stop& stop, const Label& label) {
    const auto add = [&](int64_t i0, int64_t i1, int stripe, int stripes, Sums& to) {
        if (sums_stride(c.d) == 4)
            add_rows<T, 4>(in, c, out, i0, i1, stripe, stripes, to);
        else
            add_rows<T, kDoubles>(in, c, out, i0, i1, stripe, stripes, to);
    };
    assign_chunks<T>(in.n, plan.chunk_rows, plan.shared_sums, c.k, c.d, sums_stride(c.d), out, run,
                     stop, label, add);
    out.inertia = out.inertia / double(c.scale) / double(c.scale);
}

template <class T>
void assign(const AssignIn<T>& in, AssignOut<T>& out, Totals* totals, const Run& run) {
    const Centroids<T> c(in, run.threads);
    const Plan<T> plan(c.d, c.k, c.groups);
    std::vector<Workspace<T>> work;
    const int64_t blocks = (in.n + plan.block_rows - 1) / plan.block_rows;
    const int threads = int(std::max<int64_t>(1, std::min<int64_t>(run.threads, blocks)));
    for (int t = 0; t < threads; ++t) work.emplace_back(plan, c.d);
    Stop stop(run);
    const auto label = [&](int64_t i0, int64_t i1, int thread) {
        int64_t changed = 0;
        if (out.labelled) return stop.poll(thread), changed;
        for (int64_t i = i0; i < i1 && !stop.requested(); i += plan.block_rows)
            changed += label_block<T>(in, c, plan, i, std::min(i1, i + plan.block_rows),
                                      work[size_t(thread)], out.labels, stop, thread);
        return changed;
    };
    if (totals != nullptr)
        out.n_changed = move_chunks<T>(in, plan.move_rows, *totals, out.labels, run, stop, label);
    else
        add_assigned<T>(in, c, plan, out, run, stop, label);
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
