// Tensors that noise and denoise take. They come as addresses, as this module does not know torch;
// that they are what their numbers say is checked by unsup_fast.kernels.
#pragma once

#include <array>

#include "common.hpp"
#include "samples/samples.hpp"

namespace unsup {

using Layout = std::optional<std::tuple<uintptr_t, int64_t, bool>>;  // address, step, channels last

inline Samples samples(const Layout& layout, const Grid& g) {
    if (!layout) return {};
    const auto& [address, step, last] = *layout;
    require(address != 0 || g.samples * g.channels * g.positions == 0, "a tensor has no memory");
    return {reinterpret_cast<void*>(address), step, last};
}

inline Grid grid(int element, const std::array<int64_t, 3>& shape) {
    require(0 <= element && element < 4, "element: not a type of tensors");
    require(shape[0] >= 0 && shape[1] >= 0 && shape[2] >= 0, "shape: negative");
    return {Element(element), shape[0], shape[1], shape[2]};
}

// `seed` is one for all samples and must outlive the result; `seeds` points to one for each.
inline Draw draw(const std::optional<int64_t>& seed, uintptr_t seeds, int64_t stream) {
    if (seeds != 0) return {reinterpret_cast<const uint64_t*>(seeds), true, uint64_t(stream)};
    if (!seed) return {};
    return {reinterpret_cast<const uint64_t*>(&*seed), false, uint64_t(stream)};
}

}  // namespace unsup
