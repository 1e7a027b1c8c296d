// assign, and sums that rows move between.
#include "common.hpp"

namespace unsup {
namespace {

template <class T, class F>
py::tuple assign_with(int64_t n, const T* x, const In<T>& centers, const MaybeIn<T>& weight,
                      const MaybeIn<T>& shift, In<int32_t>& labels, MaybeIn<double>& sums,
                      MaybeIn<double>& weights, MaybeIn<T>& distances, bool inertia, bool labelled,
                      int threads, const F& run) {
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
                     labelled,
                     0,
                     0};
    if (labelled) require_labels(labels, k);
    run_free(threads, [&](const Run& r) { run(in, out, r); }, x);
    return py::make_tuple(out.inertia, out.n_changed);
}

template <class T>
void bind_dense(py::module_& m) {
    m.def(
        "assign",
        [](const In<T>& x, const In<T>& centers, const MaybeIn<T>& weight, const MaybeIn<T>& shift,
           In<int32_t> labels, MaybeIn<double> sums, MaybeIn<double> weights, MaybeIn<T> distances,
           bool inertia, bool labelled, int threads) {
            require(x.ndim() == 2 && centers.ndim() == 2 && x.shape(1) == centers.shape(1),
                    "X and centers must be matrices with equal numbers of columns");
            return assign_with<T>(x.shape(0), x.data(), centers, weight, shift, labels, sums,
                                  weights, distances, inertia, labelled, threads,
                                  [](const AssignIn<T>& in, AssignOut<T>& out, const Run& run) {
                                      ops<T>().assign(in, out, nullptr, run);
                                  });
        },
        py::arg("X").noconvert(), py::arg("centers").noconvert(),
        py::arg("sample_weight").noconvert(), py::arg("shift").noconvert(),
        py::arg("labels").noconvert(), py::arg("sums").noconvert(), py::arg("weights").noconvert(),
        py::arg("distances").noconvert(), py::arg("inertia"), py::arg("labelled"),
        py::arg("n_threads"));
    m.def(
        "move",
        [](const In<T>& x, const In<T>& centers, const In<T>& shift, In<int32_t> labels,
           const In<double>& steps, In<int64_t> sums, In<int64_t> counts, int threads) {
            const AssignIn<T> in = rows(x, centers, shift);
            Totals to = totals(steps, sums, counts, labels, in.n, in.k, in.d);
            AssignOut<T> out{labels.mutable_data(), nullptr, nullptr, nullptr, true, false, 0, 0};
            run_free(threads, [&](const Run& r) { ops<T>().assign(in, out, &to, r); }, x.data());
            return out.n_changed;
        },
        py::arg("X").noconvert(), py::arg("centers").noconvert(), py::arg("shift").noconvert(),
        py::arg("labels").noconvert(), py::arg("steps").noconvert(), py::arg("sums").noconvert(),
        py::arg("counts").noconvert(), py::arg("n_threads"));
    m.def(
        "means",
        [](const In<T>& centers, const In<T>& shift, const In<double>& steps,
           const In<int64_t>& sums, const In<int64_t>& counts, In<T> means, In<double> moved,
           In<double> cross, In<double> own, int threads) {
            require(centers.ndim() == 2 && means.ndim() == 2, "centers must be a matrix");
            const int64_t k = centers.shape(0), d = centers.shape(1), stride = steps.size();
            require(shift.size() == d && means.shape(0) == k && means.shape(1) == d &&
                        moved.size() == k && cross.size() == k && own.size() == k && stride >= d &&
                        stride % 8 == 0 && sums.size() == k * stride && counts.size() == k,
                    "totals: wrong size");
            const Totals totals{stride, steps.data(), const_cast<int64_t*>(sums.data()),
                                const_cast<int64_t*>(counts.data())};
            const Means<T> to{k,
                              d,
                              centers.data(),
                              shift.data(),
                              means.mutable_data(),
                              moved.mutable_data(),
                              cross.mutable_data(),
                              own.mutable_data()};
            run_free(threads, [&](const Run& r) { ops<T>().means(to, totals, r); });
        },
        py::arg("centers").noconvert(), py::arg("shift").noconvert(), py::arg("steps").noconvert(),
        py::arg("sums").noconvert(), py::arg("counts").noconvert(), py::arg("means").noconvert(),
        py::arg("moved").noconvert(), py::arg("cross").noconvert(), py::arg("own").noconvert(),
        py::arg("n_threads"));
}

template <class T, class I>
void bind_csr(py::module_& m) {
    m.def(
        "assign_csr",
        [](const In<T>& data, const In<I>& indices, const In<I>& indptr, const In<T>& centers,
           const MaybeIn<T>& weight, const MaybeIn<T>& shift, In<int32_t> labels,
           MaybeIn<double> sums, MaybeIn<double> weights, MaybeIn<T> distances, bool inertia,
           bool labelled, int threads) {
            require(centers.ndim() == 2, "centers must be a matrix");
            const Csr<T> rows = csr<T, I>(data, indices, indptr, centers.shape(1));
            return assign_with<T>(indptr.size() - 1, nullptr, centers, weight, shift, labels, sums,
                                  weights, distances, inertia, labelled, threads,
                                  [&](const AssignIn<T>& in, AssignOut<T>& out, const Run& run) {
                                      ops<T>().assign_csr(in, rows, out, run);
                                  });
        },
        py::arg("data").noconvert(), py::arg("indices").noconvert(), py::arg("indptr").noconvert(),
        py::arg("centers").noconvert(), py::arg("sample_weight").noconvert(),
        py::arg("shift").noconvert(), py::arg("labels").noconvert(), py::arg("sums").noconvert(),
        py::arg("weights").noconvert(), py::arg("distances").noconvert(), py::arg("inertia"),
        py::arg("labelled"), py::arg("n_threads"));
}

}  // namespace

void bind_assign(py::module_& m) {
    bind_dense<float>(m);
    bind_dense<double>(m);
    bind_csr<float, int32_t>(m);
    bind_csr<float, int64_t>(m);
    bind_csr<double, int32_t>(m);
    bind_csr<double, int64_t>(m);
}

}  // namespace unsup
