// bernoulli. Tensors come as addresses, as this module does not know torch; that they are what
// their numbers say is checked by unsup_fast.kernels.
#include <array>

#include "bernoulli/bernoulli.hpp"
#include "samples.hpp"

namespace unsup {
namespace {

void bernoulli(const std::array<int64_t, 2>& shape, uintptr_t intensities, uintptr_t probabilities,
               const std::optional<int64_t>& seed, uintptr_t seeds, int64_t stream, uintptr_t out,
               int threads) {
    require(shape[0] >= 0 && shape[1] >= 0, "shape: negative");
    if (shape[0] * shape[1] == 0) return;
    require((intensities != 0) != (probabilities != 0) && out != 0, "a tensor is missing");
    require(seed || seeds != 0, "a seed is needed");
    const Bernoulli b{shape[0],
                      shape[1],
                      reinterpret_cast<const uint8_t*>(intensities),
                      reinterpret_cast<const float*>(probabilities),
                      draw(seed, seeds, stream),
                      reinterpret_cast<float*>(out)};
    run_free(threads, [&](const Run& r) { level().bernoulli(b, r); });
}

void bernoulli_log_prob(int element, const std::array<int64_t, 3>& shape, uintptr_t logits,
                        uintptr_t x, uintptr_t out, uintptr_t of_log_prob, uintptr_t of_logits,
                        int threads) {
    require(0 <= element && element < 4, "element: not a type of tensors");
    require(shape[0] >= 1 && shape[1] >= 1 && shape[2] >= 1, "shape: empty");
    require(shape[0] % shape[1] == 0, "shape: x does not repeat over the rows of logits");
    require(logits != 0 && x != 0, "a tensor is missing");
    require((out != 0) != (of_logits != 0) && (of_log_prob != 0) == (of_logits != 0),
            "either out or the gradient is needed");
    const auto at = [](uintptr_t address) { return reinterpret_cast<void*>(address); };
    const BernoulliLogProb b{Element(element), shape[0],        shape[1],
                             shape[2],         at(logits),      at(x),
                             at(out),          at(of_log_prob), at(of_logits)};
    run_free(threads, [&](const Run& r) { level().bernoulli_log_prob(b, r); });
}

}  // namespace

void bind_bernoulli(py::module_& m) {
    m.def("bernoulli", &bernoulli, py::kw_only(), py::arg("shape"), py::arg("intensities"),
          py::arg("probabilities"), py::arg("seed"), py::arg("seeds"), py::arg("stream"),
          py::arg("out"), py::arg("n_threads"));
    m.def("bernoulli_log_prob", &bernoulli_log_prob, py::kw_only(), py::arg("element"),
          py::arg("shape"), py::arg("logits"), py::arg("x"), py::arg("out"), py::arg("of_log_prob"),
          py::arg("of_logits"), py::arg("n_threads"));
}

}  // namespace unsup
