// noise.
#include "samples.hpp"
#include "noise/noise.hpp"

namespace unsup {
namespace {

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

}  // namespace

void bind_noise(py::module_& m) {
    m.def("noise", &noise, py::kw_only(), py::arg("element"), py::arg("shape"), py::arg("tensors"),
          py::arg("signal"), py::arg("sigma"), py::arg("seed"), py::arg("seeds"), py::arg("stream"),
          py::arg("target"), py::arg("out"), py::arg("n_threads"));
}

}  // namespace unsup
