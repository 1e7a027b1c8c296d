// moments.
#include "common.hpp"
#include "moments/moments.hpp"

namespace unsup {
namespace {

template <class T>
void bind_moments_dense(py::module_& m) {
    m.def(
        "moments",
        [](const In<T>& x, In<double> mean, In<double> variance, In<double> minimum,
           In<double> maximum, int threads) {
            require(x.ndim() == 2 && x.size() >= 1, "X must be a non-empty matrix");
            for (const auto* out : {&mean, &variance, &minimum, &maximum})
                require(out->size() == x.shape(1), "wrong length");
            Moments<T> moments{x.shape(0),
                               x.shape(1),
                               x.data(),
                               mean.mutable_data(),
                               variance.mutable_data(),
                               minimum.mutable_data(),
                               maximum.mutable_data(),
                               -1};
            run_free(threads, [&](const Run& r) { ops<T>().moments(moments, r); }, x.data());
            return moments.bad;
        },
        py::kw_only(), py::arg("X").noconvert(), py::arg("mean").noconvert(),
        py::arg("variance").noconvert(), py::arg("minimum").noconvert(),
        py::arg("maximum").noconvert(), py::arg("n_threads"));
}

}  // namespace

void bind_moments(py::module_& m) {
    bind_moments_dense<float>(m);
    bind_moments_dense<double>(m);
}

}  // namespace unsup
