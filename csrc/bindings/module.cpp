#include "common.hpp"

using namespace unsup;

PYBIND11_MODULE(_native, m) {
    m.doc() = "Compiled operations of unsup_fast.";
    m.def("simd", [] { return std::string(level().name); });
    m.def("simd_levels", &available_levels);
    m.def("use_simd", &use_level, py::arg("name"));
    m.def("max_threads", &default_threads);
    bind_affine(m);
    bind_assign(m);
    bind_bernoulli(m);
    bind_bias_act(m);
    bind_covariance(m);
    bind_denoise(m);
    bind_em(m);
    bind_group_norm(m);
    bind_half_to_float(m);
    bind_kmeans_plusplus(m);
    bind_mapped(m);
    bind_moments(m);
    bind_nearest(m);
    bind_noise(m);
    bind_randn(m);
    bind_totals(m);
    bind_prune(m);
}
