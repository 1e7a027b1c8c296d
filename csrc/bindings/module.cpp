#include "common.hpp"

using namespace unsup;

PYBIND11_MODULE(_native, m) {
    m.doc() = "Compiled operations of unsup_fast.";
    m.def("has_byte_products", &has_byte_products);
    m.def("simd", [] { return std::string(level().name); });
    m.def("simd_levels", &available_levels);
    m.def("use_simd", &use_level, py::arg("name"));
    m.def("max_threads", &default_threads);
    m.def(
        "watch",
        [](uintptr_t begin, size_t bytes, const std::string& path) {
            return watch(reinterpret_cast<const void*>(begin), bytes, path);
        },
        py::arg("begin"), py::arg("bytes"), py::arg("path"));
    m.def("unwatch", &unwatch, py::arg("number"));
    m.def(
        "refuse_shrunk",
        [](uintptr_t address) { refuse_shrunk(reinterpret_cast<const void*>(address)); },
        py::arg("address"));
    m.def(
        "widen",
        [](const In<uint16_t>& x, In<float> out) {
            require(x.size() == out.size(), "X and out must have equal sizes");
            const Widen widen{x.size(), x.data(), out.mutable_data()};
            run_free(1, [&](const Run&) { level().widen(widen); }, x.data());
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
