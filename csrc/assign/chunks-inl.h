// The order in which assign adds rows up: chunk by chunk, whatever the threads.
#if defined(UNSUP_ASSIGN_CHUNKS_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_ASSIGN_CHUNKS_INL_H_
#undef UNSUP_ASSIGN_CHUNKS_INL_H_
#else
#define UNSUP_ASSIGN_CHUNKS_INL_H_
#endif

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "assign/assign.hpp"
#include "assign/rows-inl.h"
#include "memory/buffer.hpp"
#include "parallel/parallel.hpp"
#include "parallel/run.hpp"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

// What rows add to: sums of rows and of weights (laid out as rows-inl.h says), and the inertia.
struct Sums {
    double* sums;                  // [copies][size], null: no update; row i enters copy i % copies
    int64_t copy_mask, copy_size;  // copies - 1, size
    double inertia;
};

constexpr int kStripes = 16;

// Labels the rows chunk by chunk and adds them up in an order that does not depend on the threads.
//   label(i0, i1, thread) -> labels changed; add(i0, i1, stripe, stripes, Sums&)
template <class T, class Label, class Add>
void assign_chunks(int64_t n, int64_t chunk_rows, bool shared, int64_t k, int64_t d, int64_t stride,
                   AssignOut<T>& out, const Run& run, Stop& stop, const Label& label,
                   const Add& add) {
    const int64_t chunks = (n + chunk_rows - 1) / chunk_rows;
    const int threads = int(std::max<int64_t>(1, std::min<int64_t>(run.threads, chunks)));
    std::atomic<int64_t> next{0}, n_changed{0};

    const bool update = out.sums != nullptr;
    const int64_t size = sums_size(k, d, stride);
    const Buffer<double> total = buffer<double>(update ? size : 0, 0.0);
    double* const total_or_null = update ? total.get() : nullptr;

    // Shared sums: whoever finds a stripe free adds the finished chunks that come next in it.
    std::unique_ptr<std::atomic<bool>[]> done(shared ? new std::atomic<bool>[size_t(chunks)]
                                                     : nullptr);
    for (int64_t c = 0; shared && c < chunks; ++c) done[c].store(false, std::memory_order_relaxed);
    struct alignas(64) Stripe {
        std::atomic<bool> busy{false};
        std::atomic<int64_t> next{0};
        Sums sums;
    } stripes[kStripes];
    for (auto& stripe : stripes) stripe.sums = {total_or_null, 0, 0, 0};
    const auto drain = [&](int s) {
        Stripe& stripe = stripes[s];
        const auto ready = [&] {
            const int64_t c = stripe.next.load();
            return c < chunks && done[c].load();
        };
        while (ready()) {
            if (stripe.busy.exchange(true)) return;
            while (ready() && !stop.requested()) {
                const int64_t c = stripe.next.load();
                add(c * chunk_rows, std::min(n, (c + 1) * chunk_rows), s, kStripes, stripe.sums);
                stripe.next.store(c + 1);
            }
            stripe.busy.store(false);
            if (stop.requested()) return;
        }
    };

    // Private sums: a thread's chunk is merged when all earlier ones are.
    // Few and short sums have four copies, since a row would have to wait for the row before
    // to leave the store buffer.
    const int64_t copies = size * 8 <= 4096 ? 4 : 1;
    const int64_t private_size = shared || !update ? 0 : copies * size;
    std::vector<Buffer<double>> privates;
    for (int t = 0; t < threads; ++t) privates.push_back(buffer<double>(private_size, 0.0));
    std::atomic<int64_t> merged{0};
    double inertia = 0;
    const auto merge = [&](int64_t chunk, int thread, const Sums& mine) {
        while (merged.load(std::memory_order_acquire) != chunk) {
            if (stop.poll(thread)) return;
            std::this_thread::yield();
        }
        inertia += mine.inertia;
        double* from = privates[size_t(thread)].get();
        for (int64_t copy = 0; copy < private_size; copy += size)
            for (int64_t i = 0; i < size; ++i) total[i] += from[copy + i];
        merged.store(chunk + 1, std::memory_order_release);
        std::fill(from, from + private_size, 0.0);
    };

    in_parallel(threads, [&](int thread) {
        int64_t changed = 0;
        for (int64_t c; (c = next.fetch_add(1)) < chunks;) {
            const int64_t i0 = c * chunk_rows, i1 = std::min(n, i0 + chunk_rows);
            if (shared) {
                changed += label(i0, i1, thread);
                if (stop.requested()) break;
                done[c].store(true);
                for (int s = 0; s < kStripes; ++s) drain((s + thread) % kStripes);
            } else {
                double* from = privates[size_t(thread)].get();
                Sums mine{update ? from : nullptr, copies - 1, size, 0};
                changed += label(i0, i1, thread);
                if (stop.requested()) break;
                add(i0, i1, 0, 1, mine);
                merge(c, thread, mine);
            }
            if (stop.requested()) break;
        }
        n_changed += changed;
    });
    for (int s = 0; shared && s < kStripes; ++s) {
        drain(s);
        inertia += stripes[s].sums.inertia;
    }
    for (int64_t i = 0; update && i < k; ++i) {
        for (int64_t j = 0; j < d; ++j) out.sums[i * d + j] += total[i * stride + j];
        out.weights[i] += total[weight_offset(i, k, d, stride)];
    }
    out.inertia = inertia;
    out.n_changed = n_changed;
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
