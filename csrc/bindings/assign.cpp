// assign.
#include "rows.hpp"
#include "assign/assign.hpp"

namespace unsup {
namespace {

template <class T, class F>
py::tuple assign_with(int64_t n, const T* x, const In<T>& centers, const MaybeIn<T>& weight,
                      const MaybeIn<T>& shift, In<int32_t>& labels, MaybeIn<double>& sums,
                      MaybeIn<double>& weights, MaybeIn<T>& distances, bool inertia,
                      bool labels_current, int threads, const F& run) {
    require(centers.ndim() == 2 && centers.shape(0) >= 1, "centers must be a non-empty matrix");
    require(labels.size() == n, "labels: wrong length");
    require(sums.has_value() == weights.has_value(), "sums and weights go together");
    const int64_t k = centers.shape(0), d = centers.shape(1);
    require(d >= 1, "there must be at least one column");
    const AssignIn<T> in{n,
                         d,
                         k,
                         x,
                         centers.data(),
                         data_or_null(weight, n, "sample_weight: wrong length"),
                         data_or_null(shift, d, "shift: wrong length")};
    AssignOut<T> out{labels.mutable_data(),
                     out_or_null(sums, k * d, "sums: wrong size"),
                     out_or_null(weights, k, "weights: wrong length"),
                     out_or_null(distances, n, "distances: wrong length"),
                     !inertia && !sums && !distances,
                     labels_current,
                     0,
                     0};
    if (labels_current) require_labels(labels, k);
    run_free(threads, [&](const Run& r) { run(in, out, r); }, x);
    return py::make_tuple(out.inertia, out.n_changed);
}

template <class T>
void bind_assign_dense(py::module_& m) {
    m.def(
        "assign",
        [](const In<T>& x, const In<T>& centers, const MaybeIn<T>& weight, const MaybeIn<T>& shift,
           In<int32_t> labels, MaybeIn<double> sums, MaybeIn<double> weights, MaybeIn<T> distances,
           bool inertia, bool labels_current, int threads) {
            require(x.ndim() == 2 && centers.ndim() == 2 && x.shape(1) == centers.shape(1),
                    "X and centers must be matrices with equal numbers of columns");
            return assign_with<T>(x.shape(0), x.data(), centers, weight, shift, labels, sums,
                                  weights, distances, inertia, labels_current, threads,
                                  [](const AssignIn<T>& in, AssignOut<T>& out, const Run& run) {
                                      ops<T>().assign(in, out, nullptr, run);
                                  });
        },
        py::kw_only(), py::arg("X").noconvert(), py::arg("centers").noconvert(),
        py::arg("sample_weight").noconvert(), py::arg("shift").noconvert(),
        py::arg("labels").noconvert(), py::arg("sums").noconvert(), py::arg("weights").noconvert(),
        py::arg("distances").noconvert(), py::arg("inertia"), py::arg("labels_current"),
        py::arg("n_threads"));
}

template <class T, class I>
void bind_assign_csr(py::module_& m) {
    m.def(
        "assign_csr",
        [](const In<T>& data, const In<I>& indices, const In<I>& indptr, const In<T>& centers,
           const MaybeIn<T>& weight, const MaybeIn<T>& shift, In<int32_t> labels,
           MaybeIn<double> sums, MaybeIn<double> weights, MaybeIn<T> distances, bool inertia,
           bool labels_current, int threads) {
            require(centers.ndim() == 2, "centers must be a matrix");
            const Csr<T> rows = csr<T, I>(data, indices, indptr, centers.shape(1));
            return assign_with<T>(indptr.size() - 1, nullptr, centers, weight, shift, labels, sums,
                                  weights, distances, inertia, labels_current, threads,
                                  [&](const AssignIn<T>& in, AssignOut<T>& out, const Run& run) {
                                      ops<T>().assign_csr(in, rows, out, run);
                                  });
        },
        py::kw_only(), py::arg("data").noconvert(), py::arg("indices").noconvert(),
        py::arg("indptr").noconvert(), py::arg("centers").noconvert(),
        py::arg("sample_weight").noconvert(), py::arg("shift").noconvert(),
        py::arg("labels").noconvert(), py::arg("sums").noconvert(), py::arg("weights").noconvert(),
        py::arg("distances").noconvert(), py::arg("inertia"), py::arg("labels_current"),
        py::arg("n_threads"));
}

}  // namespace

void bind_assign(py::module_& m) {
    bind_assign_dense<float>(m);
    bind_assign_dense<double>(m);
    bind_assign_csr<float, int32_t>(m);
    bind_assign_csr<float, int64_t>(m);
    bind_assign_csr<double, int32_t>(m);
    bind_assign_csr<double, int64_t>(m);
}

}  // namespace unsup
