// covariance.
#include "common.hpp"
#include "covariance/covariance.hpp"

namespace unsup {
namespace {

template <class T>
void bind_covariance_dense(py::module_& m) {
    m.def(
        "covariance",
        [](const In<T>& x, const In<T>& shift, const In<T>& scale, In<double> sums,
           In<double> products, int threads) {
            require(x.ndim() == 2 && x.size() >= 1, "X must be a non-empty matrix");
            const int64_t d = x.shape(1);
            require(shift.size() == d && scale.size() == d && sums.size() == d &&
                        products.size() == d * d,
                    "wrong length");
            const Covariance<T> to{x.shape(0),
                                   d,
                                   x.data(),
                                   shift.data(),
                                   scale.data(),
                                   sums.mutable_data(),
                                   products.mutable_data()};
            run_free(threads, [&](const Run& r) { ops<T>().covariance(to, r); }, x.data());
        },
        py::kw_only(), py::arg("X").noconvert(), py::arg("shift").noconvert(),
        py::arg("scale").noconvert(), py::arg("sums").noconvert(), py::arg("products").noconvert(),
        py::arg("n_threads"));
}

}  // namespace

void bind_covariance(py::module_& m) {
    bind_covariance_dense<float>(m);
    bind_covariance_dense<double>(m);
}

}  // namespace unsup
