// kmeans_plusplus.
#include "rows.hpp"
#include "kmeans_plusplus/kmeans_plusplus.hpp"

namespace unsup {
namespace {

template <class T>
void bind_kmeans_plusplus_dense(py::module_& m) {
    m.def(
        "candidate_potentials",
        [](const In<T>& x, const In<T>& candidates, const MaybeIn<T>& closest,
           const MaybeIn<T>& weight, In<T> distances, In<double> potentials, int threads, T scale) {
            require(x.ndim() == 2 && candidates.ndim() == 2 && x.shape(1) == candidates.shape(1),
                    "X and candidates must be matrices with equal numbers of columns");
            const int64_t n = x.shape(0), t = candidates.shape(0);
            require(distances.size() == t * n && potentials.size() == t, "wrong length");
            const KMeansPlusPlus<T> seed{n,
                                         x.shape(1),
                                         t,
                                         x.data(),
                                         candidates.data(),
                                         data_or_null(closest, n, "closest: wrong length"),
                                         data_or_null(weight, n, "sample_weight: wrong length"),
                                         scale,
                                         distances.mutable_data(),
                                         potentials.mutable_data()};
            run_free(threads, [&](const Run& r) { ops<T>().kmeans_plusplus(seed, r); }, x.data());
        },
        py::kw_only(), py::arg("X").noconvert(), py::arg("candidates").noconvert(),
        py::arg("closest").noconvert(), py::arg("sample_weight").noconvert(),
        py::arg("distances").noconvert(), py::arg("potentials").noconvert(), py::arg("n_threads"),
        py::arg("scale") = T(1));
    m.def(
        "kmeans_plusplus",
        [](const In<T>& x, const MaybeIn<T>& weight, T scale, const In<double>& uniform,
           In<int64_t> chosen, In<T> closest, In<double> potentials, int64_t first, int64_t last,
           int threads, const MaybeIn<T>& projected, const std::optional<In<double>>& slack,
           int64_t leading) {
            require(x.ndim() == 2 && uniform.ndim() == 2, "X and uniform must be matrices");
            const int64_t n = x.shape(0), k = uniform.shape(0), t = uniform.shape(1);
            require(n >= 1 && x.shape(1) >= 1 && t >= 1, "X and uniform must not be empty");
            require(chosen.size() == k && potentials.size() == k && closest.size() == n,
                    "wrong length");
            require(0 <= first && first <= last && last <= k && k >= 1, "no such rounds");
            for (int64_t r = 0; r < std::max<int64_t>(first, 1); ++r)
                require(chosen.data()[r] >= 0 && chosen.data()[r] < n, "chosen: not a row");
            KMeansPlusPlusBounds<T> bounds{};
            if (projected) {
                require(projected->ndim() == 2 && projected->shape(0) == n && slack &&
                            slack->size() == n,
                        "the projection does not fit X");
                bounds = {projected->shape(1), leading, projected->data(), slack->data()};
                require(bounds.columns % 16 == 0 && 1 <= leading && leading <= bounds.columns,
                        "a projection has a multiple of 16 columns, the leading ones among them");
            }
            KMeansPlusPlusRounds<T> rounds{n,
                                           x.shape(1),
                                           t,
                                           first,
                                           last,
                                           x.data(),
                                           data_or_null(weight, n, "sample_weight: wrong length"),
                                           scale,
                                           uniform.data(),
                                           projected ? &bounds : nullptr,
                                           chosen.mutable_data(),
                                           closest.mutable_data(),
                                           potentials.mutable_data(),
                                           0};
            run_free(
                threads, [&](const Run& r) { ops<T>().kmeans_plusplus_rounds(rounds, r); },
                x.data());
            return rounds.scored;
        },
        py::kw_only(), py::arg("X").noconvert(), py::arg("sample_weight").noconvert(),
        py::arg("scale"), py::arg("uniform").noconvert(), py::arg("chosen").noconvert(),
        py::arg("closest").noconvert(), py::arg("potentials").noconvert(), py::arg("first"),
        py::arg("last"), py::arg("n_threads"), py::arg("projected").noconvert() = py::none(),
        py::arg("slack").noconvert() = py::none(), py::arg("leading") = 0);
    m.def(
        "max_abs_difference",
        [](const In<T>& x, int64_t origin, int threads) {
            require(x.ndim() == 2 && origin >= 0 && origin < x.shape(0), "origin: not a row of X");
            T largest = 0;
            run_free(
                threads,
                [&](const Run& r) {
                    largest = ops<T>().spread(x.data(), x.shape(0), x.shape(1), origin, r);
                },
                x.data());
            return largest;
        },
        py::kw_only(), py::arg("X").noconvert(), py::arg("origin"), py::arg("n_threads"));
}

template <class T, class I>
void bind_kmeans_plusplus_csr(py::module_& m) {
    m.def(
        "candidate_potentials_csr",
        [](const In<T>& data, const In<I>& indices, const In<I>& indptr, const In<T>& candidates,
           const MaybeIn<T>& closest, const MaybeIn<T>& weight, In<T> distances,
           In<double> potentials, int threads) {
            require(candidates.ndim() == 2, "candidates must be a matrix");
            const int64_t n = indptr.size() - 1, t = candidates.shape(0), d = candidates.shape(1);
            require(distances.size() == t * n && potentials.size() == t, "wrong length");
            const Csr<T> rows = csr<T, I>(data, indices, indptr, d);
            const KMeansPlusPlus<T> seed{n,
                                         d,
                                         t,
                                         nullptr,
                                         candidates.data(),
                                         data_or_null(closest, n, "closest: wrong length"),
                                         data_or_null(weight, n, "sample_weight: wrong length"),
                                         T(1),
                                         distances.mutable_data(),
                                         potentials.mutable_data()};
            run_free(threads, [&](const Run& r) { ops<T>().kmeans_plusplus_csr(seed, rows, r); });
        },
        py::kw_only(), py::arg("data").noconvert(), py::arg("indices").noconvert(),
        py::arg("indptr").noconvert(), py::arg("candidates").noconvert(),
        py::arg("closest").noconvert(), py::arg("sample_weight").noconvert(),
        py::arg("distances").noconvert(), py::arg("potentials").noconvert(), py::arg("n_threads"));
}

}  // namespace

void bind_kmeans_plusplus(py::module_& m) {
    bind_kmeans_plusplus_dense<float>(m);
    bind_kmeans_plusplus_dense<double>(m);
    bind_kmeans_plusplus_csr<float, int32_t>(m);
    bind_kmeans_plusplus_csr<float, int64_t>(m);
    bind_kmeans_plusplus_csr<double, int32_t>(m);
    bind_kmeans_plusplus_csr<double, int64_t>(m);
}

}  // namespace unsup
