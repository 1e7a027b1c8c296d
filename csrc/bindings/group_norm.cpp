// group_norm. Tensors come as addresses, as this module does not know torch; that they are what
// their numbers say is checked by unsup_fast.kernels.
#include <array>

#include "common.hpp"
#include "group_norm/group_norm.hpp"

namespace unsup {
namespace {

void group_norm(int element, const std::array<int64_t, 3>& shape, int64_t groups, double eps,
                bool silu, const std::array<uintptr_t, 4>& channels, uintptr_t x, uintptr_t out,
                const std::optional<std::array<uintptr_t, 4>>& gradient, int threads) {
    require(0 <= element && element < 4, "element: not a type of tensors");
    require(shape[0] >= 1 && shape[1] >= 1 && shape[2] >= 1, "shape: nothing to normalise");
    require(groups >= 1 && shape[1] % groups == 0, "groups: not a divisor of the channels");
    require(x != 0 && (out != 0) != gradient.has_value(), "a tensor is missing");
    if (gradient)
        for (const uintptr_t each : *gradient) require(each != 0, "a tensor is missing");
    const auto at = [](uintptr_t address) { return reinterpret_cast<void*>(address); };
    GroupNorm g{};
    g.grid = {Element(element), shape[0], shape[1], shape[2]};
    g.groups = groups;
    g.eps = eps;
    g.silu = silu;
    g.weight = at(channels[0]);
    g.bias = at(channels[1]);
    g.scale = at(channels[2]);
    g.shift = at(channels[3]);
    g.x = at(x);
    g.out = at(out);
    if (gradient) {
        g.of_out = at((*gradient)[0]);
        g.of_x = at((*gradient)[1]);
        g.of_gain = at((*gradient)[2]);
        g.of_shift = at((*gradient)[3]);
    }
    run_free(threads, [&](const Run& r) { level().group_norm(g, r); });
}

}  // namespace

void bind_group_norm(py::module_& m) {
    m.def("group_norm", &group_norm, py::kw_only(), py::arg("element"), py::arg("shape"),
          py::arg("groups"), py::arg("eps"), py::arg("silu"), py::arg("channels"), py::arg("x"),
          py::arg("out"), py::arg("gradient"), py::arg("n_threads"));
}

}  // namespace unsup
