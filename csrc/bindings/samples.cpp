// noise and denoise. Tensors come as addresses, as this module does not know torch; that they are
// what their numbers say is checked by unsup_fast.kernels.
#include <array>
#include <cmath>
#include <cstring>

#include "common.hpp"

namespace unsup {
namespace {

using Layout = std::optional<std::tuple<uintptr_t, int64_t, bool>>;  // address, step, channels last

Samples samples(const Layout& layout, const Grid& g) {
    if (!layout) return {};
    const auto& [address, step, last] = *layout;
    require(address != 0 || g.samples * g.channels * g.positions == 0, "a tensor has no memory");
    return {reinterpret_cast<void*>(address), step, last};
}

Grid grid(int element, const std::array<int64_t, 3>& shape) {
    require(0 <= element && element < 4, "element: not a type of tensors");
    require(shape[0] >= 0 && shape[1] >= 0 && shape[2] >= 0, "shape: negative");
    return {Element(element), shape[0], shape[1], shape[2]};
}

// `seed` is one for all samples and must outlive the result; `seeds` points to one for each.
Draw draw(const std::optional<int64_t>& seed, uintptr_t seeds, int64_t stream) {
    if (seeds != 0) return {reinterpret_cast<const uint64_t*>(seeds), true, uint64_t(stream)};
    if (!seed) return {};
    return {reinterpret_cast<const uint64_t*>(&*seed), false, uint64_t(stream)};
}

void noise(int element, const std::array<int64_t, 3>& shape, const std::array<Layout, 2>& in,
           uintptr_t signal, uintptr_t sigma, const std::optional<int64_t>& seed, uintptr_t seeds,
           int64_t stream, int target, const std::array<Layout, 2>& out, int threads) {
    require(0 <= target && target < 4, "target: unknown");
    const bool paired = bool(out[1]) == (Target(target) != Target::none);
    require(in[0] && out[0] && paired, "a tensor is missing");
    const Grid g = grid(element, shape);
    // Without samples, seeds have no address.
    require(g.samples == 0 || bool(in[1]) != (seed || seeds != 0), "one of eps and seed is needed");
    const Noise noise{g,
                      samples(in[0], g),
                      samples(in[1], g),
                      draw(seed, seeds, stream),
                      reinterpret_cast<const double*>(signal),
                      reinterpret_cast<const double*>(sigma),
                      Target(target),
                      samples(out[0], g),
                      samples(out[1], g)};
    run_free(threads, [&](const Run& r) { level().noise(noise, r); });
}

// Whether entries are numbers, CLIP not below zero, and zero where a tensor is missing.
bool fits(const Denoise& d) {
    const Row& r = d.row;
    double entries[sizeof r / sizeof(double)];
    std::memcpy(entries, &r, sizeof r);
    bool fit = r.clip >= 0;
    for (const double& entry : entries)
        fit = fit && (&entry == &entries[3] || std::isfinite(entry));
    const bool noisy = d.noise.data != nullptr || d.draw.seeds != nullptr;
    fit = fit && (noisy || r.next_noise == 0);
    fit = fit && (d.anchor.data != nullptr || (r.next_anchor == 0 && r.anchor_anchor == 0));
    for (int j = 0; j < 4; ++j)
        fit = fit && (d.history[j].data != nullptr ||
                      (r.next_history[j] == 0 && r.anchor_history[j] == 0));
    return fit;
}

// False, and nothing is done, if the row does not fit the tensors.
bool denoise(int element, const std::array<int64_t, 3>& shape, uintptr_t row,
             const std::array<Layout, 9>& in, const std::optional<int64_t>& seed, uintptr_t seeds,
             int64_t stream, const std::optional<std::array<double, 2>>& threshold,
             const std::array<Layout, 3>& out, int threads) {
    require(in[0] && in[1] && out[0], "a tensor is missing");
    require(!(in[8] && (seed || seeds != 0)), "both of noise and seed are given");
    const Grid g = grid(element, shape);
    Denoise d{g,
              {},
              samples(in[0], g),
              samples(in[1], g),
              samples(in[2], g),
              samples(in[3], g),
              {samples(in[4], g), samples(in[5], g), samples(in[6], g), samples(in[7], g)},
              samples(in[8], g),
              draw(seed, seeds, stream),
              threshold.has_value(),
              threshold ? (*threshold)[0] : 0,
              threshold ? (*threshold)[1] : 0,
              samples(out[0], g),
              samples(out[1], g),
              samples(out[2], g)};
    static_assert(sizeof d.row == 21 * sizeof(double), "kernels/denoise/terms.py");
    std::memcpy(&d.row, reinterpret_cast<const void*>(row), sizeof d.row);
    if (!fits(d)) return false;
    run_free(threads, [&](const Run& r) { level().denoise(d, r); });
    return true;
}

}  // namespace

void bind_samples(py::module_& m) {
    m.def("noise", &noise, py::arg("element"), py::arg("shape"), py::arg("tensors"),
          py::arg("signal"), py::arg("sigma"), py::arg("seed"), py::arg("seeds"), py::arg("stream"),
          py::arg("target"), py::arg("out"), py::arg("n_threads"));
    m.def("denoise", &denoise, py::arg("element"), py::arg("shape"), py::arg("row"),
          py::arg("tensors"), py::arg("seed"), py::arg("seeds"), py::arg("stream"),
          py::arg("threshold"), py::arg("out"), py::arg("n_threads"));
}

}  // namespace unsup
