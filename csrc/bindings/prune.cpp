// prune, and rows as it scores them.
#include "common.hpp"

namespace unsup {
namespace {

void require_permutation(const In<int32_t>& order) {
    std::vector<bool> seen(size_t(order.size()), false);
    for (py::ssize_t i = 0; i < order.size(); ++i) {
        const int32_t at = order.data()[i];
        require(at >= 0 && at < order.size() && !seen[size_t(at)], "not a permutation");
        seen[size_t(at)] = true;
    }
}

template <class T>
void bind_dense(py::module_& m) {
    m.def(
        "prune",
        [](const In<T>& x, const In<T>& centers, const In<T>& shift, In<int32_t> labels,
           const MaybeIn<double>& steps, MaybeIn<int64_t> sums, MaybeIn<int64_t> counts,
           int64_t span, T scale, const MaybeIn<T>& projected, const MaybeIn<int8_t>& codes,
           const MaybeIn<T>& unit, const MaybeIn<int32_t>& start, const In<double>& squares,
           const In<double>& slack, const In<int32_t>& cluster, const MaybeIn<T>& projected_centers,
           double centers_slack, const MaybeIn<T>& before, In<T> upper, In<uint8_t> tight,
           In<T> lower, In<double> moved, In<double> max_norm, int threads) {
            const AssignIn<T> in = rows(x, centers, shift);
            int64_t columns = (in.d + 3) / 4 * 4;
            if (codes) {
                require(std::is_same_v<T, float>, "codes stand for float32 rows");
                require(!projected && !projected_centers && unit && start && codes->ndim() == 2 &&
                            codes->shape(0) == in.n && codes->shape(1) == columns &&
                            columns <= kMostCodedColumns,
                        "the codes do not fit X");
            } else {
                require(projected && projected_centers && projected->ndim() == 2 &&
                            projected_centers->ndim() == 2 && projected->shape(0) == in.n &&
                            projected_centers->shape(0) == in.k &&
                            projected->shape(1) == projected_centers->shape(1),
                        "the projection does not fit X and centers");
                columns = projected->shape(1);
            }
            require(lower.ndim() == 2 && squares.size() == in.n && slack.size() == in.n &&
                        cluster.size() == in.k && upper.size() == in.n && tight.size() == in.n &&
                        lower.shape(0) == in.n && lower.shape(1) == (moved.size() + 15) / 16 * 16 &&
                        max_norm.size() == 1 && labels.size() == in.n && span >= 1 &&
                        moved.size() == ((in.k + 15) / 16 + span - 1) / span,
                    "the bounds do not fit X and centers");
            require_permutation(cluster);
            if (before) require_labels(labels, in.k);
            Bounds<T> b{columns,
                        span,
                        lower.shape(1),
                        scale,
                        projected ? projected->data() : nullptr,
                        codes ? codes->data() : nullptr,
                        data_or_null(unit, in.n, "unit: wrong size"),
                        data_or_null(start, in.n, "start: wrong size"),
                        squares.data(),
                        slack.data(),
                        cluster.data(),
                        projected_centers ? projected_centers->data() : nullptr,
                        centers_slack,
                        data_or_null(before, in.k * in.d, "before: wrong size"),
                        upper.mutable_data(),
                        tight.mutable_data(),
                        lower.mutable_data(),
                        moved.mutable_data(),
                        max_norm.mutable_data(),
                        0,
                        0,
                        0};
            require(steps.has_value() == sums.has_value() && sums.has_value() == counts.has_value(),
                    "steps, sums and counts go together");
            std::optional<Totals> to;
            if (steps) to = totals(*steps, *sums, *counts, labels, in.n, in.k, in.d);
            int64_t changed = 0;
            run_free(
                threads,
                [&](const Run& r) {
                    ops<T>().prune(in, b, labels.mutable_data(), &changed, to ? &*to : nullptr, r);
                },
                x.data());
            return py::make_tuple(changed, b.tightened, b.scored, b.survivors);
        },
        py::arg("X").noconvert(), py::arg("centers").noconvert(), py::arg("shift").noconvert(),
        py::arg("labels").noconvert(), py::arg("steps").noconvert(), py::arg("sums").noconvert(),
        py::arg("counts").noconvert(), py::arg("span"), py::arg("scale"),
        py::arg("projected").noconvert(), py::arg("codes").noconvert(), py::arg("unit").noconvert(),
        py::arg("start").noconvert(), py::arg("squares").noconvert(), py::arg("slack").noconvert(),
        py::arg("cluster").noconvert(), py::arg("projected_centers").noconvert(),
        py::arg("centers_slack"), py::arg("before").noconvert(), py::arg("upper").noconvert(),
        py::arg("tight").noconvert(), py::arg("lower").noconvert(), py::arg("moved").noconvert(),
        py::arg("max_norm").noconvert(), py::arg("n_threads"));
    m.def(
        "project",
        [](const In<T>& x, const In<T>& directions, const In<T>& shift, T scale, In<T> rows,
           In<T> squares, int threads) {
            require(x.ndim() == 2 && directions.ndim() == 2 && rows.ndim() == 2 &&
                        directions.shape(1) == x.shape(1) && shift.size() == x.shape(1) &&
                        rows.shape(0) == x.shape(0) && rows.shape(1) == directions.shape(0) + 1 &&
                        squares.size() == x.shape(0),
                    "the shapes of a projection do not fit");
            require(x.shape(1) >= 1, "X must have columns");
            const Project<T> project{x.shape(0), x.shape(1),          directions.shape(0),
                                     x.data(),   directions.data(),   shift.data(),
                                     scale,      rows.mutable_data(), squares.mutable_data()};
            run_free(threads, [&](const Run& r) { ops<T>().project(project, r); }, x.data());
        },
        py::arg("X").noconvert(), py::arg("directions").noconvert(), py::arg("shift").noconvert(),
        py::arg("scale"), py::arg("rows").noconvert(), py::arg("squares").noconvert(),
        py::arg("n_threads"));
    m.def(
        "encode",
        [](const In<T>& x, const In<T>& shift, T scale, In<int8_t> codes, In<T> unit,
           In<int32_t> start, In<double> squares, In<double> slack, int threads) {
            require(x.ndim() == 2 && codes.ndim() == 2 && shift.size() == x.shape(1) &&
                        codes.shape(0) == x.shape(0) &&
                        codes.shape(1) == (x.shape(1) + 3) / 4 * 4 && unit.size() == x.shape(0) &&
                        start.size() == x.shape(0) && squares.size() == x.shape(0) &&
                        slack.size() == x.shape(0),
                    "the shapes of codes do not fit");
            require(codes.shape(1) <= kMostCodedColumns, "codes are for at most 32768 columns");
            const Encode<T> encode{x.shape(0),
                                   x.shape(1),
                                   x.data(),
                                   shift.data(),
                                   scale,
                                   codes.shape(1),
                                   codes.mutable_data(),
                                   unit.mutable_data(),
                                   start.mutable_data(),
                                   squares.mutable_data(),
                                   slack.mutable_data()};
            run_free(threads, [&](const Run& r) { ops<T>().encode(encode, r); }, x.data());
        },
        py::arg("X").noconvert(), py::arg("shift").noconvert(), py::arg("scale"),
        py::arg("codes").noconvert(), py::arg("unit").noconvert(), py::arg("start").noconvert(),
        py::arg("squares").noconvert(), py::arg("slack").noconvert(), py::arg("n_threads"));
}

}  // namespace

void bind_prune(py::module_& m) {
    bind_dense<float>(m);
    bind_dense<double>(m);
}

}  // namespace unsup
