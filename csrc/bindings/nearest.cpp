// nearest.
#include "rows.hpp"
#include "nearest/nearest.hpp"

namespace unsup {
namespace {

template <class T>
void bind_nearest_as(py::module_& m) {
    m.def(
        "nearest",
        [](const In<T>& x, const In<T>& centers, const In<T>& shift, In<int32_t> labels,
           MaybeIn<T> distances, int threads) {
            const AssignIn<T> in = rows<T>(x, centers, shift);
            require(labels.ndim() == 2 && labels.shape(0) == in.n,
                    "labels must be a matrix with a row for each of X");
            const int64_t top = labels.shape(1);
            require(top >= 1 && top <= in.k, "labels must have from 1 to K columns");
            const NearestOut<T> out{top, labels.mutable_data(),
                                    out_or_null(distances, in.n * top, "distances: wrong size")};
            run_free(threads, [&](const Run& run) { ops<T>().nearest(in, out, run); }, in.x);
        },
        py::kw_only(), py::arg("X").noconvert(), py::arg("centers").noconvert(),
        py::arg("shift").noconvert(), py::arg("labels").noconvert(),
        py::arg("distances").noconvert(), py::arg("n_threads"));
}

}  // namespace

void bind_nearest(py::module_& m) {
    bind_nearest_as<float>(m);
    bind_nearest_as<double>(m);
}

}  // namespace unsup
