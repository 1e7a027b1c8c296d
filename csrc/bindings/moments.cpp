// moments, covariance and affine maps.
#include "common.hpp"

namespace unsup {
namespace {

template <class T>
void bind_dense(py::module_& m) {
    m.def(
        "moments",
        [](const In<T>& x, In<double> mean, In<double> variance, In<double> reach, int threads) {
            require(x.ndim() == 2 && x.size() >= 1, "X must be a non-empty matrix");
            require(mean.size() == x.shape(1) && variance.size() == x.shape(1) &&
                        reach.size() == x.shape(1),
                    "wrong length");
            Moments<T> moments{x.shape(0),
                               x.shape(1),
                               x.data(),
                               mean.mutable_data(),
                               variance.mutable_data(),
                               reach.mutable_data(),
                               -1};
            run_free(threads, [&](const Run& r) { ops<T>().moments(moments, r); }, x.data());
            return moments.bad;
        },
        py::arg("X").noconvert(), py::arg("mean").noconvert(), py::arg("variance").noconvert(),
        py::arg("reach").noconvert(), py::arg("n_threads"));
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
        py::arg("X").noconvert(), py::arg("shift").noconvert(), py::arg("scale").noconvert(),
        py::arg("sums").noconvert(), py::arg("products").noconvert(), py::arg("n_threads"));
    m.def(
        "affine",
        [](const In<T>& x, const In<T>& shift, const In<T>& weights, const In<T>& offset, In<T> out,
           int threads) {
            require(x.ndim() == 2 && weights.ndim() == 2 && out.ndim() == 2 && x.shape(1) >= 1 &&
                        weights.shape(1) == x.shape(1) && shift.size() == x.shape(1) &&
                        weights.shape(0) >= 1 && offset.size() == weights.shape(0) &&
                        out.shape(0) == x.shape(0) && out.shape(1) == weights.shape(0),
                    "the shapes of an affine map do not fit");
            const Affine<T> map{x.shape(0),   x.shape(1),     weights.shape(0), x.data(),
                                shift.data(), weights.data(), offset.data(),    out.mutable_data()};
            run_free(threads, [&](const Run& r) { ops<T>().affine(map, r); }, x.data());
        },
        py::arg("X").noconvert(), py::arg("shift").noconvert(), py::arg("weights").noconvert(),
        py::arg("offset").noconvert(), py::arg("out").noconvert(), py::arg("n_threads"));
}

}  // namespace

void bind_moments(py::module_& m) {
    bind_dense<float>(m);
    bind_dense<double>(m);
}

}  // namespace unsup
