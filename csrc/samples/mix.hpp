// Weighted sums of tensors, noise among them: what noise and denoise ask of mix.
#pragma once

#include <cstdint>

#include "samples/samples.hpp"

namespace unsup {

// The type that elements are computed in.
template <class T>
struct compute_of {
    using type = float;
};
template <>
struct compute_of<double> {
    using type = double;
};
template <class T>
using Compute = typename compute_of<T>::type;

constexpr int kSources = 9, kOuts = 3;
constexpr int kDrawn = kSources, kClipped = kSources + 1;  // columns of what is no tensor

constexpr int64_t kStreamBytes = int64_t(4) << 20;

// Row o: what output o takes of each source, of the drawn noise and of the clipped sum. The row
// after the outputs: what the clipped sum takes of each source.
template <class C>
struct MixWeights {
    C of[kOuts + 1][kSources + 2];
    C bound;  // of the clipped sum
};

// Fills the weights of sample b; `from` is what it reads.
template <class C>
using WeightsOf = void (*)(const void* from, int64_t b, MixWeights<C>& w);

// T is the type of the sources, U that of the outputs.
template <class T, class U>
struct Mix {
    Grid grid;
    int n_sources, n_outs;
    Samples source[kSources], out[kOuts];
    bool hidden[kSources];  // taken by the clipped sum alone: 0 infinity would be NaN
    bool stream[kOuts];     // outputs stored past the caches
    Draw draw;
    bool clipped, divided;  // a sum is clipped, and then divided by the bound
};

// What is too large for the caches and not read is stored past them.
template <class T, class U>
void stream_outs(Mix<T, U>& m) {
    const int64_t size = m.grid.samples * m.grid.channels * m.grid.positions * int64_t(sizeof(U));
    for (int o = 0; o < m.n_outs; ++o) {
        m.stream[o] = size >= kStreamBytes;
        for (int s = 0; s < m.n_sources; ++s)
            m.stream[o] = m.stream[o] && m.source[s].data != m.out[o].data;
    }
}

}  // namespace unsup
