// bias_act. Tensors come as addresses, as this module does not know torch; that they are what
// their numbers say is checked by unsup_fast.kernels.
#include <array>

#include "bias_act/bias_act.hpp"
#include "common.hpp"

namespace unsup {
namespace {

void bias_act(int element, const std::array<int64_t, 2>& shape, double slope, double gain,
              uintptr_t x, uintptr_t bias, uintptr_t sign, uintptr_t out, uintptr_t sums,
              int threads) {
    require(0 <= element && element < 4, "element: not a type of tensors");
    require(shape[0] >= 1 && shape[1] >= 1, "shape: empty");
    require(x != 0 && out != 0, "a tensor is missing");
    const auto at = [](uintptr_t address) { return reinterpret_cast<void*>(address); };
    const BiasAct a{Element(element), shape[0], shape[1], slope,   gain, at(x),
                    at(bias),         at(sign), at(out),  at(sums)};
    run_free(threads, [&](const Run& r) { level().bias_act(a, r); });
}

}  // namespace

void bind_bias_act(py::module_& m) {
    m.def("bias_act", &bias_act, py::kw_only(), py::arg("element"), py::arg("shape"),
          py::arg("slope"), py::arg("gain"), py::arg("x"), py::arg("bias"), py::arg("sign"),
          py::arg("out"), py::arg("sums"), py::arg("n_threads"));
}

}  // namespace unsup
