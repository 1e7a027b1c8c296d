// Body of assign; the contract is in assign.hpp.
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
