// Rows that change their cluster take their values along, as whole numbers; see totals.hpp.
#if defined(UNSUP_TOTALS_TOTALS_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_TOTALS_TOTALS_INL_H_
#undef UNSUP_TOTALS_TOTALS_INL_H_
#else
#define UNSUP_TOTALS_TOTALS_INL_H_
#endif

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "assign/assign.hpp"
#include "memory/buffer.hpp"
#include "parallel/parallel.hpp"
#include "parallel/run.hpp"
#include "simd/vector-inl.h"
#include "totals/totals.hpp"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

// One lock for every so many clusters, each in a cache line of its own.
constexpr int kLocks = 64;
struct Locks {
    struct alignas(64) Lock {
        std::atomic<bool> busy{false};
    } locks[kLocks];

    template <class Body>
    void hold(int64_t cluster, const Body& body) {
        std::atomic<bool>& busy = locks[cluster % kLocks].busy;
        while (busy.exchange(true, std::memory_order_acquire)) std::this_thread::yield();
        body();
        busy.store(false, std::memory_order_release);
    }
};

// Moves rows between the sums of clusters from several threads. Each thread has its own copy of
// small sums, merged by finish(); large ones are shared. Both give the same result, since
// whole numbers are added exactly.
template <class T>
class Mover {
  public:
    Mover(const AssignIn<T>& in, Totals& totals, int threads)
        : in_(in), totals_(totals), size_(in.k * totals.stride) {
        const bool one_each = threads > 1 && size_ * int64_t(sizeof(int64_t)) <= (256 << 10);
        shared_ = threads > 1 && !one_each;
        shift_ = buffer<T>(totals.stride, T(0));
        if (in.shift != nullptr) std::copy(in.shift, in.shift + in.d, shift_.get());
        for (int t = 0; t < threads; ++t) {
            rows_.push_back(buffer<T>(totals.stride, T(0)));
            if (one_each) own_.push_back(buffer<int64_t>(size_ + in.k, 0));
        }
    }

    // Row i leaves cluster `from`, if that is one, and enters `to`.
    void move(int thread, int64_t i, int32_t from, int32_t to) {
        const T* x = in_.x + i * in_.d;
        if ((in_.n - i) * in_.d < totals_.stride) {
            T* copy = rows_[size_t(thread)].get();
            std::copy(x, x + in_.d, copy);
            x = copy;
        }
        if (shared_) {
            if (from >= 0) locks_.hold(from, [&] { add<-1>(x, from, totals_.sums); });
            locks_.hold(to, [&] { add<1>(x, to, totals_.sums); });
        } else {
            int64_t* sums = own_.empty() ? totals_.sums : own_[size_t(thread)].get();
            if (from >= 0) add<-1>(x, from, sums);
            add<1>(x, to, sums);
        }
    }

    void finish() {
        for (const auto& own : own_) {
            for (int64_t i = 0; i < size_; ++i) totals_.sums[i] += own[i];
            for (int64_t k = 0; k < in_.k; ++k) totals_.counts[k] += own[size_ + k];
        }
    }

  private:
    // To a whole number: the last bits of a double about 1.5 * 2^52 count in ones.
    template <int Sign>
    UNSUP_INLINE_MEMBER void add(const T* x, int64_t k, int64_t* sums) {
        constexpr int N = kDoubles;
        using Whole = vec<int64_t, N>;
        const vec<double, N> large = vec<double, N>{} + 6755399441055744.0;
        int64_t* to = sums + k * totals_.stride;
        for (int64_t j = 0; j < totals_.stride; j += N) {
            const vec<double, N> value =
                to_double<T, N>(load<T, N>(x + j) - load<T, N>(shift_.get() + j));
            const vec<double, N> steps = value * load<double, N>(totals_.steps + j) + large;
            const Whole whole = (Whole)steps - (Whole)large;
            const Whole before = load<int64_t, N>(to + j);
            store<int64_t, N>(to + j, Sign > 0 ? before + whole : before - whole);
        }
        (sums == totals_.sums ? totals_.counts : sums + size_)[k] += Sign;
    }

    const AssignIn<T>& in_;
    Totals& totals_;
    const int64_t size_;
    bool shared_;
    Locks locks_;
    Buffer<T> shift_;                   // [stride]
    std::vector<Buffer<T>> rows_;       // [threads][stride]: a row at the end of X
    std::vector<Buffer<int64_t>> own_;  // [threads][K * stride + K], or none
};

// Labels the rows chunk by chunk and moves those whose label is new; returns how many are.
//   label(i0, i1, thread) -> labels changed
template <class T, class Label>
int64_t move_chunks(const AssignIn<T>& in, int64_t chunk_rows, Totals& totals, int32_t* labels,
                    const Run& run, Stop& stop, const Label& label) {
    const int64_t chunks = (in.n + chunk_rows - 1) / chunk_rows;
    const int threads = int(std::max<int64_t>(1, std::min<int64_t>(run.threads, chunks)));
    Mover<T> mover(in, totals, threads);
    std::vector<std::vector<int32_t>> before;
    for (int t = 0; t < threads; ++t) before.emplace_back(size_t(chunk_rows));
    std::atomic<int64_t> next{0}, n_changed{0};
    in_parallel(threads, [&](int thread) {
        int32_t* old = before[size_t(thread)].data();
        int64_t changed = 0;
        for (int64_t c; !stop.requested() && (c = next.fetch_add(1)) < chunks;) {
            const int64_t i0 = c * chunk_rows, i1 = std::min(in.n, i0 + chunk_rows);
            std::copy(labels + i0, labels + i1, old);
            const int64_t here = label(i0, i1, thread);
            changed += here;
            // Also where the user has asked to stop: sums and labels must fit each other.
            for (int64_t i = i0; here > 0 && i < i1; ++i)
                if (labels[i] != old[i - i0]) mover.move(thread, i, old[i - i0], labels[i]);
        }
        n_changed += changed;
    });
    mover.finish();
    return n_changed;
}

template <class T>
void means(const Means<T>& m, const Totals& totals, const Run& run) {
    const int64_t stride = totals.stride;
    const auto padded = [&](const T* from, T* to) {
        std::copy(from, from + m.d, to);
        std::fill(to + m.d, to + stride, T(0));
    };
    const Buffer<T> shift = buffer<T>(stride, T(0));
    padded(m.shift, shift.get());
    const Buffer<double> unit = buffer<double>(stride, 0.0);
    for (int64_t j = 0; j < m.d; ++j) unit[j] = totals.steps[j] > 0 ? 1 / totals.steps[j] : 0.0;
    const int threads = int(std::max<int64_t>(1, std::min<int64_t>(run.threads, m.k * m.d >> 14)));
    std::vector<Buffer<T>> work;
    for (int t = 0; t < threads; ++t) work.push_back(buffer<T>(2 * stride, T(0)));
    std::atomic<int64_t> next{0};
    in_parallel(threads, [&](int thread) {
        constexpr int N = kDoubles;
        T* center = work[size_t(thread)].get();
        T* mean = center + stride;
        for (int64_t k; (k = next.fetch_add(1)) < m.k;) {
            padded(m.centers + k * m.d, center);
            const double count = double(totals.counts[k]);
            const int64_t* sums = totals.sums + k * stride;
            vec<double, N> moved{}, cross{}, own{};
            for (int64_t j = 0; j < stride; j += N) {
                const vec<double, N> origin = to_double<T, N>(load<T, N>(&shift[j])),
                                     before = to_double<T, N>(load<T, N>(center + j)),
                                     offset = before - origin;
                vec<double, N> sum{};
                for (int l = 0; l < N; ++l) sum[l] = double(sums[j + l]);
                sum *= load<double, N>(&unit[j]);
                for (int l = 0; l < N; ++l)
                    mean[j + l] = count > 0 ? T(origin[l] + sum[l] / count) : center[j + l];
                const vec<double, N> gap = to_double<T, N>(load<T, N>(mean + j)) - before;
                moved += gap * gap;
                cross += offset * sum;
                own += offset * offset;
            }
            std::copy(mean, mean + m.d, m.means + k * m.d);
            m.moved[k] = unsup::UNSUP_ISA::sum<N>(moved);
            m.cross[k] = unsup::UNSUP_ISA::sum<N>(cross);
            m.own[k] = count * unsup::UNSUP_ISA::sum<N>(own);
        }
    });
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
