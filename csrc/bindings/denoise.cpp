// denoise.
#include <cmath>
#include <cstring>

#include "samples.hpp"
#include "denoise/denoise.hpp"

namespace unsup {
namespace {

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
    static_assert(sizeof d.row == 21 * sizeof(double), "kernels/sampler_terms.py");
    std::memcpy(&d.row, reinterpret_cast<const void*>(row), sizeof d.row);
    if (!fits(d)) return false;
    run_free(threads, [&](const Run& r) { level().denoise(d, r); });
    return true;
}

}  // namespace

void bind_denoise(py::module_& m) {
    m.def("denoise", &denoise, py::kw_only(), py::arg("element"), py::arg("shape"), py::arg("row"),
          py::arg("tensors"), py::arg("seed"), py::arg("seeds"), py::arg("stream"),
          py::arg("threshold"), py::arg("out"), py::arg("n_threads"));
}

}  // namespace unsup
