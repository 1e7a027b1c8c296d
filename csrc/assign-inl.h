// Body of assign; the contract is in assign.hpp.
namespace unsup {
namespace UNSUP_ISA {
namespace {

// What rows add to. Either one for all threads, of which the clusters k with k % stripes == stripe
// are served at a time, or one a thread.
struct Sums {
    double* sums;     // [K, D], null: no update
    double* weights;  // [K]
    double inertia;
};

constexpr int kStripes = 16;

// Labels the rows chunk by chunk and adds them up in an order that does not depend on the threads.
//   label(i0, i1, thread) -> labels changed; add(i0, i1, stripe, stripes, Sums&)
template <class T, class Label, class Add>
void assign_chunks(int64_t n, int64_t chunk_rows, bool shared, int64_t k, int64_t d,
                   AssignOut<T>& out, const Run& run, Stop& stop, const Label& label,
                   const Add& add) {
    const int64_t chunks = (n + chunk_rows - 1) / chunk_rows;
    const int threads = int(std::max<int64_t>(1, std::min<int64_t>(run.threads, chunks)));
    std::atomic<int64_t> next{0}, n_changed{0};

    // Shared sums: whoever finds a stripe free adds the finished chunks that come next in it.
    std::unique_ptr<std::atomic<bool>[]> done(shared ? new std::atomic<bool>[size_t(chunks)] : nullptr);
    for (int64_t c = 0; shared && c < chunks; ++c) done[c].store(false, std::memory_order_relaxed);
    struct alignas(64) Stripe {
        std::atomic<bool> busy{false};
        std::atomic<int64_t> next{0};
        Sums sums;
    } stripes[kStripes];
    for (auto& stripe : stripes) stripe.sums = {out.sums, out.weights, 0};
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
    const bool update = out.sums != nullptr;
    const int64_t private_size = shared || !update ? 0 : k * d + k;
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
        if (update) {
            for (int64_t i = 0; i < k * d; ++i) out.sums[i] += from[i];
            for (int64_t i = 0; i < k; ++i) out.weights[i] += from[k * d + i];
        }
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
                Sums mine{update ? from : nullptr, from + k * d, 0};
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
    out.inertia = inertia;
    out.n_changed = n_changed;
}

template <class T>
void assign(const AssignIn<T>& in, AssignOut<T>& out, const Run& run) {
    const Centroids<T> c(in);
    const Plan<T> plan(c.d, c.k, c.groups);
    std::vector<Workspace<T>> work;
    for (int t = 0; t < run.threads; ++t) work.emplace_back(plan, c.d);
    Stop stop(run);
    const double unscale = 1.0 / double(c.scale);

    const auto label = [&](int64_t i0, int64_t i1, int thread) {
        int64_t changed = 0;
        for (int64_t i = i0; i < i1 && !stop.requested(); i += plan.block_rows)
            changed += label_block<T>(in, c, plan, i, std::min(i1, i + plan.block_rows),
                                      work[size_t(thread)], out.labels, stop, thread);
        return changed;
    };
    const auto add = [&](int64_t i0, int64_t i1, int stripe, int stripes, Sums& to) {
        for (int64_t i = i0; i < i1; ++i) {
            const int64_t k = out.labels[i];
            if (stripes > 1 && k % stripes != stripe) continue;
            const double w = in.weight != nullptr ? double(in.weight[i]) : 1.0;
            const T* x = in.x + i * c.d;
            const T* centroid = c.rows.get() + k * c.d;
            double squared;
            if (to.sums != nullptr) {
                squared = add_row<T>(x, c.shift.get(), c.scale, w * unscale, centroid,
                                     to.sums + k * c.d, c.d);
                to.weights[k] += w;
            } else {
                squared = squared_distance<T>(x, c.shift.get(), c.scale, centroid, c.d);
            }
            to.inertia += w * squared;
            if (out.distances != nullptr) out.distances[i] = T(squared * unscale * unscale);
        }
    };
    assign_chunks<T>(in.n, plan.chunk_rows, plan.shared_sums, c.k, c.d, out, run, stop, label, add);
    out.inertia *= unscale * unscale;
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
