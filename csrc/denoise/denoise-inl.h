// Body of denoise; the contract is in denoise.hpp.
#if defined(UNSUP_DENOISE_DENOISE_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_DENOISE_DENOISE_INL_H_
#undef UNSUP_DENOISE_DENOISE_INL_H_
#else
#define UNSUP_DENOISE_DENOISE_INL_H_
#endif

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <vector>

#include "denoise/denoise.hpp"
#include "denoise/quantile-inl.h"
#include "memory/buffer.hpp"
#include "parallel/parallel.hpp"
#include "parallel/run.hpp"
#include "samples/mix.hpp"
#include "samples/samples-inl.h"
#include "samples/samples.hpp"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

// What the results take of the tensors, products of the row's entries in float64.
struct Folded {
    enum { x, output, uncond, anchor, history };
    double of[kOuts + 1][kSources + 2] = {};  // next, d, anchor and x0, as in MixWeights

    Folded(const Row& r, bool guided, bool clipped) {
        const double g = guided ? r.guidance : 1;
        double* x0 = of[kOuts];
        x0[x] = r.x0_x;
        x0[output] = r.x0_output * g;
        x0[uncond] = guided ? r.x0_output * (1 - g) : 0;
        double* d = of[1];
        if (clipped)
            d[kClipped] = r.keep_x0;
        else
            for (int s = 0; s < anchor; ++s) d[s] = r.keep_x0 * x0[s];
        d[x] += r.keep_x;
        for (int o : {0, 2}) {
            for (int s = 0; s < kSources + 2; ++s)
                of[o][s] = (o == 0 ? r.next_keep : r.anchor_keep) * d[s];
            of[o][x] += o == 0 ? r.next_x : r.anchor_x;
            of[o][anchor] = o == 0 ? r.next_anchor : r.anchor_anchor;
            for (int j = 0; j < 4; ++j)
                of[o][history + j] = (o == 0 ? r.next_history : r.anchor_history)[j];
        }
        of[0][kDrawn] = r.next_noise;
    }
};

// The sum that is to be clipped, alone: x0 of one sample into `to`.
template <class T>
void unclipped(const Mix<T, T>& m, const MixWeights<Compute<T>>& w, int64_t b, Compute<T>* to) {
    using C = Compute<T>;
    Mix<T, C> one{};
    one.grid = m.grid;
    one.grid.samples = 1;
    one.n_sources = m.n_sources;
    for (int s = 0; s < m.n_sources; ++s) {
        one.source[s] = m.source[s];
        one.source[s].data = (T*)m.source[s].data + b * m.source[s].step;
    }
    one.n_outs = 1;
    one.out[0] = {to, 0, m.out[0].last};
    const Run alone{1, [] { return false; }};
    mix(one, alone, [&](int64_t, MixWeights<C>& first) {
        std::copy(w.of[m.n_outs], w.of[m.n_outs] + kSources, first.of[0]);
    });
}

// OUT bounds [B]: s of dynamic thresholding. False if it was interrupted.
template <class T>
bool thresholds(const Denoise& d, const Mix<T, T>& m, const MixWeights<Compute<T>>& w,
                const Run& run, Compute<T>* bounds) {
    using C = Compute<T>;
    const int64_t n = d.grid.channels * d.grid.positions;
    const int threads = int(std::max<int64_t>(1, std::min<int64_t>(run.threads, d.grid.samples)));
    std::vector<Buffer<C>> rooms;
    std::vector<Buffer<int64_t>> bins;
    for (int t = 0; t < threads; ++t) {
        rooms.push_back(buffer<C>(n, 0));
        bins.push_back(buffer<int64_t>(kBins, 0));
    }
    Stop stop(run);
    std::atomic<int64_t> next{0};
    in_parallel(threads, [&](int thread) {
        C* x0 = rooms[size_t(thread)].get();
        try {  // tensors of different formats need more memory than there may be
            for (int64_t b; (b = next.fetch_add(1)) < d.grid.samples && !stop.poll(thread);) {
                unclipped(m, w, b, x0);
                const C quantile = quantile_of_sizes(x0, n, d.quantile, bins[size_t(thread)].get());
                const C most = C(d.greatest);
                bounds[b] = quantile < 1 ? C(1) : quantile > most ? most : quantile;
            }
        } catch (...) {
            stop.fail(std::current_exception());
        }
    });
    stop.rethrow();
    return !stop.requested();
}

// A batch of dense tensors in one format, of which no sample is different, is one row of elements.
template <class T>
void flatten(Mix<T, T>& m) {
    Grid& g = m.grid;
    const int64_t n = g.channels * g.positions;
    const bool last = m.out[0].last;
    bool flat = m.draw.seeds == nullptr || (!m.draw.each && !last);
    for (int s = 0; s < m.n_sources; ++s)
        flat = flat && m.source[s].last == last && m.source[s].step == n;
    for (int o = 0; o < m.n_outs; ++o) flat = flat && m.out[o].last == last && m.out[o].step == n;
    if (!flat) return;
    g = {g.element, 1, 1, g.samples * n};
    for (auto& source : m.source) source.last = false;
    for (auto& out : m.out) out.last = false;
}

template <class T>
void denoise(const Denoise& d, const Run& run) {
    using C = Compute<T>;
    if (d.grid.samples * d.grid.channels * d.grid.positions == 0) return;
    const Samples sources[kSources] = {d.x,          d.output,     d.uncond,
                                       d.anchor,     d.history[0], d.history[1],
                                       d.history[2], d.history[3], d.noise};
    const Samples wanted[kOuts] = {d.out, d.keep, d.anchor_out};
    Mix<T, T> m{};
    m.grid = d.grid;
    m.clipped = d.thresholded || d.row.clip < std::numeric_limits<double>::infinity();
    m.divided = d.thresholded;
    const Folded folded(d.row, d.uncond.data != nullptr, m.clipped);
    if (folded.of[0][kDrawn] != 0) m.draw = d.draw;
    int rows[kOuts + 1];
    for (int o = 0; o < kOuts; ++o) {
        if (wanted[o].data == nullptr) continue;
        m.out[m.n_outs] = wanted[o];
        rows[m.n_outs++] = o;
    }
    rows[m.n_outs] = kOuts;
    const int n_rows = m.n_outs + (m.clipped ? 1 : 0);
    MixWeights<C> w{};
    for (int s = 0; s < kSources; ++s) {
        bool live = false, hidden = true;
        for (int r = 0; r < n_rows; ++r) {
            // The last of the tensors is the noise, where it is not drawn.
            const int column = s == kSources - 1 ? kDrawn : s;
            w.of[r][m.n_sources] = C(folded.of[rows[r]][column]);
            const bool taken = folded.of[rows[r]][column] != 0;
            live = live || taken;
            hidden = hidden && (r == m.n_outs || !taken);
        }
        if (!live || sources[s].data == nullptr) continue;
        m.hidden[m.n_sources] = hidden;
        m.source[m.n_sources++] = sources[s];
    }
    for (int r = 0; r < n_rows; ++r)
        for (int column : {kDrawn, kClipped}) w.of[r][column] = C(folded.of[rows[r]][column]);
    w.bound = C(d.row.clip);
    stream_outs(m);
    Buffer<C> bounds;
    if (d.thresholded && d.grid.channels * d.grid.positions > 0) {
        bounds = buffer<C>(d.grid.samples, 0);
        if (!thresholds(d, m, w, run, bounds.get())) return;
    } else {
        flatten(m);
    }
    mix(m, run, [&](int64_t b, MixWeights<C>& of_sample) {
        of_sample = w;
        if (bounds) of_sample.bound = bounds[size_t(b)];
    });
}

void denoise(const Denoise& d, const Run& run) {
    switch (d.grid.element) {
        case Element::float32:
            return denoise<float>(d, run);
        case Element::float64:
            return denoise<double>(d, run);
        case Element::bfloat16:
            return denoise<BFloat16>(d, run);
        case Element::float16:
            return denoise<Float16>(d, run);
    }
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
