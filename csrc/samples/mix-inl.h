// Weighted sums of tensors, noise among them, in one pass; what noise and denoise have in common.
#if defined(UNSUP_SAMPLES_MIX_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_SAMPLES_MIX_INL_H_
#undef UNSUP_SAMPLES_MIX_INL_H_
#else
#define UNSUP_SAMPLES_MIX_INL_H_
#endif

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "memory/buffer.hpp"
#include "parallel/parallel.hpp"
#include "parallel/run.hpp"
#include "randn/normal-inl.h"
#include "randn/philox-inl.h"
#include "samples/element-inl.h"
#include "samples/mix.hpp"
#include "samples/mix_run-inl.h"
#include "samples/samples-inl.h"
#include "samples/samples.hpp"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

constexpr int64_t kTileElements = 2048, kUnitElements = 4 * kTileElements;
constexpr int64_t kLeastPositions = 16;
constexpr int64_t kFarElements = int64_t(1) << 18;  // of tensors that the second cache cannot hold
constexpr int64_t kDrawnAtOnce = 512;               // numbers, a multiple of kNormals

// Positions [begin, end) of a sample: from its own format to the other one, packed, or back.
template <class T>
void gather(const T* sample, bool last, const Grid& g, int64_t begin, int64_t end, T* packed) {
    const int64_t n = end - begin;
    for (int64_t c = 0; c < g.channels; ++c)
        for (int64_t p = 0; p < n; ++p)
            if (last)
                packed[c * n + p] = sample[(begin + p) * g.channels + c];
            else
                packed[p * g.channels + c] = sample[c * g.positions + begin + p];
}
template <class T>
void scatter(const T* packed, bool last, const Grid& g, int64_t begin, int64_t end, T* sample) {
    const int64_t n = end - begin;
    for (int64_t c = 0; c < g.channels; ++c)
        for (int64_t p = 0; p < n; ++p)
            if (last)
                sample[(begin + p) * g.channels + c] = packed[c * n + p];
            else
                sample[c * g.positions + begin + p] = packed[p * g.channels + c];
}

// How the elements of a sample are taken: one after another, or by position, all channels of
// each, where tensors or noise in row-major order meet tensors with the channels last.
struct Walk {
    bool last, by_position;
    int64_t items, width;       // of a sample: elements, or positions of `width` channels
    int64_t tile, unit, parts;  // items of a tile and of a unit, units of a sample
    int64_t together, units;    // samples of a unit, units of all

    template <class T, class U>
    explicit Walk(const Mix<T, U>& m) {
        const Grid& g = m.grid;
        last = m.out[0].last;
        by_position = last && m.draw.seeds != nullptr;
        for (int s = 0; s < m.n_sources; ++s) by_position = by_position || m.source[s].last != last;
        for (int o = 0; o < m.n_outs; ++o) by_position = by_position || m.out[o].last != last;
        width = by_position ? g.channels : 1;
        items = by_position ? g.positions : g.channels * g.positions;
        tile = std::max(by_position ? kLeastPositions : 1, kTileElements / width);
        unit = tile * (kUnitElements / kTileElements);
        parts = std::max<int64_t>(1, (items + unit - 1) / unit);
        together = parts > 1 ? 1 : std::max<int64_t>(1, unit / std::max<int64_t>(1, items));
        units = (g.samples + together - 1) / together * parts;
    }
};

// What one thread works with.
template <class T, class U>
struct MixRoom {
    Buffer<T> source[kSources];
    Buffer<U> out[kOuts];
    Buffer<Compute<T>> drawn;

    MixRoom(const Mix<T, U>& m, const Walk& walk) {
        const int64_t size = walk.tile * walk.width;
        for (int s = 0; s < m.n_sources; ++s)
            if (m.source[s].last != walk.last) source[s] = buffer<T>(size, T());
        for (int o = 0; o < m.n_outs; ++o)
            if (m.out[o].last != walk.last) out[o] = buffer<U>(size, U());
        if (m.draw.seeds != nullptr) drawn = buffer<Compute<T>>(size, 0);
    }
};

template <class T, class U>
void mix_positions(const Mix<T, U>& m, const Walk& walk, const MixWeights<Compute<T>>& w,
                   const Philox* philox, MixRoom<T, U>& room, int64_t b, int64_t begin,
                   int64_t end) {
    const Grid& g = m.grid;
    const int64_t n = end - begin, first = m.draw.each ? 0 : b * g.channels * g.positions;
    const int64_t runs_n = walk.last ? 1 : g.channels, count = walk.last ? n * g.channels : n;
    for (int s = 0; s < m.n_sources; ++s)
        if (room.source[s])
            gather((const T*)m.source[s].data + b * m.source[s].step, m.source[s].last, g, begin,
                   end, room.source[s].get());
    for (int64_t c = 0; c < runs_n; ++c) {
        const int64_t at = walk.last ? begin * g.channels : c * g.positions + begin;
        Runs<T, U> runs{};
        runs.n_sources = m.n_sources;
        runs.hidden = m.hidden;
        runs.divided = m.divided;
        for (int s = 0; s < m.n_sources; ++s)
            runs.source[s] = room.source[s]
                                 ? room.source[s].get() + c * n
                                 : (const T*)m.source[s].data + b * m.source[s].step + at;
        for (int o = 0; o < m.n_outs; ++o) {
            runs.stream[o] = m.stream[o] && !room.out[o];
            runs.out[o] = room.out[o] ? room.out[o].get() + c * n
                                      : (U*)m.out[o].data + b * m.out[o].step + at;
        }
        if (philox != nullptr) {
            runs.drawn = room.drawn.get();
            const uint64_t index = uint64_t(first + begin);
            if (walk.last)
                for (int64_t j = 0; j < g.channels; ++j)
                    normals_strided<Compute<T>>(*philox, index + uint64_t(j * g.positions), n,
                                                g.channels, room.drawn.get() + j);
            else
                normals<Compute<T>>(*philox, index + uint64_t(c * g.positions), n,
                                    room.drawn.get());
        }
        mix_run(runs, m.n_outs, m.clipped, w, count);
    }
    for (int o = 0; o < m.n_outs; ++o)
        if (room.out[o])
            scatter(room.out[o].get(), m.out[o].last, g, begin, end,
                    (U*)m.out[o].data + b * m.out[o].step);
}

// Draws the noise of runs a few numbers at a time, and meanwhile fetches what it is added to from
// memory: while a thread draws, the hardware does not see that it will read on.
template <class T, class U>
void draw_far(const Runs<T, U>& runs, int outs, const Philox& philox, uint64_t first, int64_t count,
              Compute<T>* drawn) {
    constexpr int64_t whole = kNormals<Compute<T>>;
    const auto fetch = [](const auto* at, int64_t n) {
        for (int64_t i = 0; i < n; i += 64 / int64_t(sizeof *at)) __builtin_prefetch(at + i, 0, 2);
    };
    for (int64_t i = 0; i < count;) {
        const int64_t past = int64_t((first + uint64_t(i)) % uint64_t(whole));
        const int64_t n = std::min(count - i, kDrawnAtOnce - past);
        for (int s = 0; s < runs.n_sources; ++s) fetch(runs.source[s] + i, n);
        for (int o = 0; o < outs; ++o)
            if (!runs.stream[o]) fetch(runs.out[o] + i, n);
        normals<Compute<T>>(philox, first + uint64_t(i), n, drawn + i);
        i += n;
    }
}

template <class T, class U>
void mix_elements(const Mix<T, U>& m, const MixWeights<Compute<T>>& w, const Philox* philox,
                  MixRoom<T, U>& room, int64_t b, int64_t begin, int64_t end) {
    const int64_t first = m.draw.each ? 0 : b * m.grid.channels * m.grid.positions;
    Runs<T, U> runs{};
    runs.n_sources = m.n_sources;
    runs.hidden = m.hidden;
    runs.divided = m.divided;
    for (int s = 0; s < m.n_sources; ++s)
        runs.source[s] = (const T*)m.source[s].data + b * m.source[s].step + begin;
    for (int o = 0; o < m.n_outs; ++o) {
        runs.stream[o] = m.stream[o];
        runs.out[o] = (U*)m.out[o].data + b * m.out[o].step + begin;
    }
    if (philox != nullptr) {
        runs.drawn = room.drawn.get();
        const uint64_t index = uint64_t(first + begin);
        if (m.grid.samples * m.grid.channels * m.grid.positions >= kFarElements)
            draw_far(runs, m.n_outs, *philox, index, end - begin, room.drawn.get());
        else
            normals<Compute<T>>(*philox, index, end - begin, room.drawn.get());
    }
    mix_run(runs, m.n_outs, m.clipped, w, end - begin);
}

// Items [begin, end) of sample b.
template <class T, class U>
void mix_part(const Mix<T, U>& m, const Walk& walk, const MixWeights<Compute<T>>& w,
              MixRoom<T, U>& room, int64_t b, int64_t begin, int64_t end) {
    const bool drawn = m.draw.seeds != nullptr;
    const Philox philox(drawn ? m.draw.seeds[m.draw.each ? b : 0] : 0, m.draw.stream);
    for (int64_t i = begin; i < end; i += walk.tile) {
        const int64_t past = std::min(end, i + walk.tile);
        if (walk.by_position)
            mix_positions(m, walk, w, drawn ? &philox : nullptr, room, b, i, past);
        else
            mix_elements(m, w, drawn ? &philox : nullptr, room, b, i, past);
    }
}

}  // namespace

template <class T, class U>
void mix_samples(const Mix<T, U>& m, const Run& run, WeightsOf<Compute<T>> weights_of,
                 const void* from) {
    if (m.grid.samples * m.grid.channels * m.grid.positions == 0) return;
    const Walk walk(m);
    const int threads = int(std::max<int64_t>(1, std::min<int64_t>(run.threads, walk.units)));
    std::vector<MixRoom<T, U>> rooms;
    for (int t = 0; t < threads; ++t) rooms.emplace_back(m, walk);
    Stop stop(run);
    std::atomic<int64_t> next{0};
    in_parallel(threads, [&](int thread) {
        MixRoom<T, U>& room = rooms[size_t(thread)];
        MixWeights<Compute<T>> w;
        for (int64_t u; (u = next.fetch_add(1)) < walk.units && !stop.poll(thread);) {
            const int64_t begin = u % walk.parts * walk.unit;
            const int64_t end = std::min(walk.items, begin + walk.unit);
            const int64_t b0 = u / walk.parts * walk.together;
            for (int64_t b = b0; b < std::min(m.grid.samples, b0 + walk.together); ++b) {
                weights_of(from, b, w);
                mix_part(m, walk, w, room, b, begin, end);
            }
        }
        stream_end();
    });
}

}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
