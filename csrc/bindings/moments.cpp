// moments.
#include "common.hpp"

namespace unsup {
namespace {

template <class T>
void bind_dense(py::module_& m) {
    m.def(
        "moments",
        [](const In<T>& x, In<double> mean, In<double> variance, In<double> max_abs_deviation,
           int threads) {
            require(x.ndim() == 2 && x.size() >= 1, "X must be a non-empty matrix");
            require(mean.size() == x.shape(1) && variance.size() == x.shape(1) &&
                        max_abs_deviation.size() == x.shape(1),
                    "wrong length");
            Moments<T> moments{x.shape(0),
                               x.shape(1),
                               x.data(),
                               mean.mutable_data(),
                               variance.mutable_data(),
                               max_abs_deviation.mutable_data(),
                               -1};
            run_free(threads, [&](const Run& r) { ops<T>().moments(moments, r); }, x.data());
            return moments.bad;
        },
        py::kw_only(), py::arg("X").noconvert(), py::arg("mean").noconvert(),
        py::arg("variance").noconvert(), py::arg("max_abs_deviation").noconvert(),
        py::arg("n_threads"));
}

}  // namespace

void bind_moments(py::module_& m) {
    bind_dense<float>(m);
    bind_dense<double>(m);
}

}  // namespace unsup
