// affine.
#include "common.hpp"
#include "affine/affine.hpp"

namespace unsup {
namespace {

template <class T>
void bind_affine_dense(py::module_& m) {
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
        py::kw_only(), py::arg("X").noconvert(), py::arg("shift").noconvert(),
        py::arg("weights").noconvert(), py::arg("offset").noconvert(), py::arg("out").noconvert(),
        py::arg("n_threads"));
}

}  // namespace

void bind_affine(py::module_& m) {
    bind_affine_dense<float>(m);
    bind_affine_dense<double>(m);
}

}  // namespace unsup
