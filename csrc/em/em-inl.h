// Body of em; the contract is in em.hpp.
#if defined(UNSUP_EM_EM_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_EM_EM_INL_H_
#undef UNSUP_EM_EM_INL_H_
#else
#define UNSUP_EM_EM_INL_H_
#endif

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "em/dense-inl.h"
#include "em/em.hpp"
#include "em/model-inl.h"
#include "em/moments-inl.h"
#include "em/score-inl.h"
#include "em/work-inl.h"
#include "memory/buffer.hpp"
#include "parallel/parallel.hpp"
#include "parallel/run.hpp"
#include "simd/pack-inl.h"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

// One pass: what all threads share and what each does with a block.
template <class T>
class EmPass {
  public:
    EmPass(const EmIn<T>& in, const EmOut<T>& out, const EmModel<T>& m, const EmPlan<T>& plan,
           const SumsLayout& layout)
        : in_(in), out_(out), m_(m), plan_(plan), layout_(layout) {
        zeros_ = buffer<T>(m.width + 2 * lanes<T>, T(0));
    }

    // Adds rows [i0, i1), at most a block, to the sums of this thread; returns sum w log p.
    double block(int64_t i0, int64_t i1, EmWork<T>& work) const {
        const int64_t tiles = (i1 - i0 + kTile<T> - 1) / kTile<T>;
        const bool from_resp = in_.factors == nullptr;
        for (int64_t t = 0; t < tiles; ++t) {
            const int64_t i = i0 + t * kTile<T>;
            pack<T>(in_.x + i * m_.d, int(std::min<int64_t>(kTile<T>, i1 - i)), m_.d,
                    in_.x + in_.n * m_.d, zeros_.get(), T(m_.scale), tile(t, work));
        }
        if (!from_resp) densities(tiles, work);
        double log_likelihood = 0;
        for (int64_t t = 0; t < tiles; ++t) {
            const TileRows<T> rows(in_, i0 + t * kTile<T>, i1);
            T* const r = work.shares.get() + t * m_.k * kTile<T>;
            if (from_resp)
                input_share<T>(in_, rows, r);
            else
                log_likelihood += share<T>(m_, rows, out_, r);
        }
        if (out_.resp_sums == nullptr) return log_likelihood;
        scale_rows(i0, i1, work);
        if (in_.covariance == CovarianceType::full && dense_pays<T>(m_.d))
            for (int64_t t = 0; t < tiles; ++t) work.dense[t] = all_finite<T>(tile(t, work), m_.d);
        if (in_.covariance == CovarianceType::tied)
            std::fill(work.total.get(), work.total.get() + tiles * kTile<T>, 0.0);
        for (int64_t k = 0; k < m_.k; ++k) component(k, tiles, work);
        if (in_.covariance == CovarianceType::tied) tied(tiles, work);
        return log_likelihood;
    }

  private:
    T* tile(int64_t t, EmWork<T>& work) const { return work.tiles.get() + t * m_.d * kTile<T>; }

    // OUT work.rows. What follows a row is copied too, where it can be read.
    void scale_rows(int64_t i0, int64_t i1, EmWork<T>& work) const {
        const T scale = T(m_.scale);
        const int64_t inside = std::clamp(in_.n - (m_.width + m_.d - 1) / m_.d, i0, i1);
        for (int64_t i = i0; i < inside; ++i)
            for (int64_t j = 0; j < m_.width; j += lanes<T>)
                store<T, lanes<T>>(work.rows.get() + (i - i0) * m_.width + j,
                                   load<T, lanes<T>>(in_.x + i * m_.d + j) * scale);
        for (int64_t i = inside; i < i1; ++i)
            for (int64_t j = 0; j < m_.d; ++j)
                work.rows[(i - i0) * m_.width + j] = in_.x[i * m_.d + j] * scale;
    }

    // OUT work.shares: l of the rows of tiles, which for tied become (x - s) U.
    void densities(int64_t tiles, EmWork<T>& work) const {
        const bool full = in_.covariance == CovarianceType::full;
        if (in_.covariance == CovarianceType::tied)
            for (int64_t t = 0; t < tiles; ++t) project_rows<T>(m_, tile(t, work), work.gap.get());
        const int64_t panel = full ? plan_.panel : m_.k;
        for (int64_t k0 = 0; k0 < m_.k; k0 += panel)
            for (int64_t t = 0; t < tiles; ++t) {
                T* const l = work.shares.get() + t * m_.k * kTile<T>;
                const int64_t end = std::min(m_.k, k0 + panel);
                if (full)
                    for (int64_t k = k0; k < end; ++k)
                        full_density<T>(m_, k, tile(t, work), work.gap.get(), l + k * kTile<T>);
                else
                    for (int64_t k = 0; k < m_.k; k += kPair)
                        diagonal_densities<T>(m_, k, int(std::min<int64_t>(kPair, m_.k - k)),
                                              tile(t, work), l + k * kTile<T>);
            }
    }

    // Lists the rows that component k has a share of and adds up the shares; tiles that it has a
    // share of most rows of are listed as such.
    Listed list(int64_t k, int64_t tiles, EmWork<T>& work) const {
        Listed listed{0, 0};
        Vec<T> sum{};
        for (int64_t t = 0; t < tiles; ++t) {
            const int64_t before = listed.rows;
            for (int i = 0; i < kTile<T>; i += lanes<T>) {
                const Vec<T> r =
                    load<T, lanes<T>>(work.shares.get() + (t * m_.k + k) * kTile<T> + i);
                sum += r;
                listed.rows +=
                    list_positive(r, int32_t(t * kTile<T> + i), work.row.get() + listed.rows,
                                  work.share.get() + listed.rows);
            }
            if (work.dense[t] && (listed.rows - before) * kDenseShare >= kTile<T>) {
                listed.rows = before;
                work.tile[listed.tiles++] = int32_t(t);
            }
        }
        double part[lanes<T>] = {};
        add_lanes<T>(sum, part);
        for (const double share : part) work.sums[k] += share;
        return listed;
    }

    void component(int64_t k, int64_t tiles, EmWork<T>& work) const {
        const bool full = in_.covariance == CovarianceType::full;
        const Listed listed = list(k, tiles, work);
        const int64_t count = listed.rows, w = m_.width;
        const T* const high = m_.high.get() + k * w;
        double* const sums = work.sums.get() + layout_.sums + k * w;
        double* const second = work.sums.get() + layout_.second + k * layout_.each;
        add_dense<T>({work.tile.get(), listed.tiles, work.tiles.get(), m_.d * kTile<T>,
                      work.shares.get() + k * kTile<T>, m_.k * kTile<T>, high},
                     m_.d, w, sums, second);
        if (full) take_roots<T>(count, work.share.get());
        for (int64_t r = 0; r < count; r += plan_.run) {
            const Shares<T> run{work.row.get() + r, work.share.get() + r,
                                std::min(plan_.run, count - r)};
            if (full) {
                T* const y = reinterpret_cast<T*>(work.gaps.get());
                gather<T, T>(work.rows.get(), run, w, high, y, sums);
                add_symmetric<T>(y, run.count, w, m_.d, second);
            } else if (in_.covariance == CovarianceType::tied) {
                add_diagonal<T, false>(work.rows.get(), run, w, high, sums, nullptr);
            } else {
                add_diagonal<T, true>(work.rows.get(), run, w, high, sums, second);
            }
        }
        if (in_.covariance == CovarianceType::tied)
            for (int64_t r = 0; r < count; ++r) work.total[work.row[r]] += double(work.share[r]);
    }

    // The products of rows about s, in double.
    void tied(int64_t tiles, EmWork<T>& work) const {
        const int64_t w = m_.width;
        int64_t count = 0;
        for (int64_t i = 0; i < tiles * kTile<T>; ++i) {
            work.row[count] = int32_t(i);
            work.total[count] = work.total[i];
            count += work.total[i] > 0;
        }
        take_roots<double>(count, work.total.get());
        double* const y = work.gaps.get();
        for (int64_t r = 0; r < count; r += plan_.run) {
            const Shares<double> run{work.row.get() + r, work.total.get() + r,
                                     std::min(plan_.run, count - r)};
            gather<double, T>(work.rows.get(), run, w, m_.origin.get(), y, work.unused.get());
            add_symmetric<double>(y, run.count, w, m_.d, work.sums.get() + layout_.second);
        }
    }

    const EmIn<T>& in_;
    const EmOut<T>& out_;
    const EmModel<T>& m_;
    const EmPlan<T>& plan_;
    const SumsLayout& layout_;
    Buffer<T> zeros_;  // [width + 2 lanes]
};

template <class T>
void em(const EmIn<T>& in, EmOut<T>& out, const Run& run) {
    const EmModel<T> model(in);
    const SumsLayout layout(in.k, model.width, in.covariance);
    const EmPlan<T> plan(model, in.n, layout);
    const EmPass<T> pass(in, out, model, plan, layout);
    const int64_t chunks = (in.n + plan.chunk_rows - 1) / plan.chunk_rows;
    const int64_t size = out.resp_sums == nullptr ? 0 : layout.size;
    const int64_t most = std::min(chunks, kSumsBytes / (8 * size + 1));
    const int threads = int(std::max<int64_t>(1, std::min<int64_t>(run.threads, most)));
    std::vector<EmWork<T>> work;
    for (int t = 0; t < threads; ++t) work.emplace_back(model, plan, size);
    const Buffer<double> total = buffer<double>(size, 0.0);
    Stop stop(run);
    std::atomic<int64_t> next{0}, merged{0};
    out.log_likelihood = 0;

    in_parallel(threads, [&](int thread) {
        EmWork<T>& mine = work[size_t(thread)];
        for (int64_t c; (c = next.fetch_add(1)) < chunks;) {
            const int64_t end = std::min(in.n, (c + 1) * plan.chunk_rows);
            double log_likelihood = 0;
            for (int64_t i = c * plan.chunk_rows; i < end; i += plan.block_rows) {
                if (stop.poll(thread)) return;
                log_likelihood += pass.block(i, std::min(end, i + plan.block_rows), mine);
            }
            while (merged.load(std::memory_order_acquire) != c) {
                if (stop.poll(thread)) return;
                std::this_thread::yield();
            }
            out.log_likelihood += log_likelihood;
            for (int64_t i = 0; i < size; ++i) total[i] += mine.sums[i];
            merged.store(c + 1, std::memory_order_release);
            std::fill(mine.sums.get(), mine.sums.get() + size, 0.0);
        }
    });
    if (!stop.requested() && size > 0) finish_moments<T>(model, in, layout, total.get(), out);
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
