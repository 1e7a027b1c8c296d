// half_to_float.
#include "common.hpp"
#include "half_to_float/half_to_float.hpp"

namespace unsup {

void bind_half_to_float(py::module_& m) {
    m.def(
        "half_to_float",
        [](const In<uint16_t>& x, In<float> out) {
            require(x.size() == out.size(), "X and out must have equal sizes");
            const HalfToFloat conversion{x.size(), x.data(), out.mutable_data()};
            run_free(1, [&](const Run&) { level().half_to_float(conversion); }, x.data());
        },
        py::kw_only(), py::arg("X").noconvert(), py::arg("out").noconvert());
}

}  // namespace unsup
