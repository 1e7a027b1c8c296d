#include "common.hpp"

using namespace unsup;

PYBIND11_MODULE(_native, m) {
    m.doc() = "Compiled operations of unsup_fast.";
    m.def("has_byte_products", &has_byte_products);
    m.def("simd", [] { return std::string(level().name); });
    m.def("simd_levels", &available_levels);
    m.def("use_simd", &use_level, py::arg("name"));
    m.def("max_threads", [] {
#ifdef _OPENMP
        return omp_get_max_threads();
#else
        return 1;
#endif
    });
    m.def("openmp", [] {
#ifdef _OPENMP
        return true;
#else
        return false;
#endif
    });
    m.def(
        "widen",
        [](const In<uint16_t>& x, In<float> out) {
            require(x.size() == out.size(), "X and out must have equal sizes");
            const Widen widen{x.size(), x.data(), out.mutable_data()};
            const py::gil_scoped_release release;
            level().widen(widen);
        },
        py::arg("X").noconvert(), py::arg("out").noconvert());
    bind_assign(m);
    bind_prune(m);
    bind_group_norm(m);
    bind_moments(m);
    bind_em(m);
    bind_randn(m);
    bind_samples(m);
    bind_seed(m);
}
