// totals: sums that rows move between.
#include "rows.hpp"
#include "totals.hpp"

namespace unsup {
namespace {

template <class T>
void bind_totals_dense(py::module_& m) {
    m.def(
        "move",
        [](const In<T>& x, const In<T>& centers, const In<T>& shift, In<int32_t> labels,
           TotalsArrays& totals, int threads) {
            const AssignIn<T> in = rows(x, centers, shift);
            Totals to = moving(totals, labels, in.n, in.k, in.d);
            AssignOut<T> out{labels.mutable_data(), nullptr, nullptr, nullptr, true, false, 0, 0};
            run_free(threads, [&](const Run& r) { ops<T>().assign(in, out, &to, r); }, x.data());
            return out.n_changed;
        },
        py::kw_only(), py::arg("X").noconvert(), py::arg("centers").noconvert(),
        py::arg("shift").noconvert(), py::arg("labels").noconvert(), py::arg("totals"),
        py::arg("n_threads"));
    m.def(
        "means",
        [](const In<T>& centers, const In<T>& shift, TotalsArrays& totals, In<T> means,
           In<double> moved, In<double> cross, In<double> own, int threads) {
            require(centers.ndim() == 2 && means.ndim() == 2, "centers must be a matrix");
            const int64_t k = centers.shape(0), d = centers.shape(1);
            require(shift.size() == d && means.shape(0) == k && means.shape(1) == d &&
                        moved.size() == k && cross.size() == k && own.size() == k,
                    "means: wrong size");
            totals.require_shape(k, d);
            const Means<T> to{k,
                              d,
                              centers.data(),
                              shift.data(),
                              means.mutable_data(),
                              moved.mutable_data(),
                              cross.mutable_data(),
                              own.mutable_data()};
            run_free(threads,
                     [&, from = totals.view()](const Run& r) { ops<T>().means(to, from, r); });
        },
        py::kw_only(), py::arg("centers").noconvert(), py::arg("shift").noconvert(),
        py::arg("totals"), py::arg("means").noconvert(), py::arg("moved").noconvert(),
        py::arg("cross").noconvert(), py::arg("own").noconvert(), py::arg("n_threads"));
}

}  // namespace

void bind_totals(py::module_& m) {
    py::class_<TotalsArrays>(m, "Totals", "Arrays of the totals, which operations write to.")
        .def(py::init([](In<double> quanta, In<int64_t> sums, In<int64_t> counts) {
                 require(quanta.size() % 8 == 0 && sums.size() == counts.size() * quanta.size(),
                         "totals: wrong size");
                 return TotalsArrays{std::move(quanta), std::move(sums), std::move(counts)};
             }),
             py::kw_only(), py::arg("quanta").noconvert(), py::arg("sums").noconvert(),
             py::arg("counts").noconvert());
    bind_totals_dense<float>(m);
    bind_totals_dense<double>(m);
}

}  // namespace unsup
