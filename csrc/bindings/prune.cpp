// prune, and rows as it scores them.
#include "rows.hpp"
#include "totals.hpp"
#include "prune/prune.hpp"

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

// The arrays of FineCodes, which live as long as it.
struct FineArrays {
    In<int8_t> codes;
    In<float> unit;
    In<int32_t> sums;
    In<double> squares;
    In<double> slack;
    int largest;

    FineCodes view(int64_t n, int64_t d) const {
        require(codes.ndim() == 2 && codes.shape(0) == n && codes.shape(1) >= d &&
                    codes.shape(1) % kFineColumns == 0 && codes.shape(1) <= kMostCodedColumns &&
                    unit.size() == n && sums.size() == n && squares.size() == n &&
                    slack.size() == n && largest <= most_row_code(),
                "the fine codes do not fit X");
        return {codes.shape(1), codes.data(),   unit.data(),
                sums.data(),    squares.data(), slack.data()};
    }
};

void bind_fine(py::module_& m) {
    py::class_<FineArrays>(m, "FineCodes", "Rows as bytes in all columns, for survivors.")
        .def(py::init([](In<int8_t> codes, In<float> unit, In<int32_t> sums, In<double> squares,
                         In<double> slack, int largest) {
                 return FineArrays{codes, unit, sums, squares, slack, largest};
             }),
             py::kw_only(), py::arg("codes").noconvert(), py::arg("unit").noconvert(),
             py::arg("sums").noconvert(), py::arg("squares").noconvert(),
             py::arg("slack").noconvert(), py::arg("largest"));
}

// The arrays of a Bounds, which live as long as it.
template <class T>
struct BoundsArrays {
    int64_t span;
    T scale;
    MaybeIn<T> projected;
    MaybeIn<int8_t> codes;
    MaybeIn<T> unit;
    MaybeIn<int32_t> sums;
    MaybeIn<T> tail;
    int largest;
    In<double> squares;
    In<double> slack;
    In<int32_t> cluster;
    MaybeIn<T> projected_centers;
    double centers_slack;
    std::optional<FineArrays> fine;
    MaybeIn<T> before;
    MaybeIn<int32_t> guess;
    In<T> upper;
    In<uint8_t> tight;
    In<T> lower;
    In<double> moved;
    In<double> max_norm;

    // Throws unless they are those of these rows and centroids.
    Bounds<T> view(const AssignIn<T>& in) {
        int64_t width = 0, columns = (in.d + 3) / 4 * 4;
        if (projected_centers) {
            require(projected_centers->ndim() == 2 && projected_centers->shape(0) == in.k &&
                        projected_centers->shape(1) >= 2,
                    "the projection does not fit centers");
            width = projected_centers->shape(1);
            columns = codes ? (width - 1 + 3) / 4 * 4 : width;
        }
        if (codes)
            require(!projected && unit && sums && bool(tail) == bool(projected_centers) &&
                        codes->ndim() == 2 && codes->shape(0) == in.n &&
                        codes->shape(1) == columns && columns <= kMostCodedColumns &&
                        largest <= most_row_code(),
                    "the codes do not fit X");
        else
            require(projected && projected_centers && projected->ndim() == 2 &&
                        projected->shape(0) == in.n && projected->shape(1) == columns,
                    "the projection does not fit X");
        require(lower.ndim() == 2 && squares.size() == in.n && slack.size() == in.n &&
                    cluster.size() == in.k && upper.size() == in.n && tight.size() == in.n &&
                    lower.shape(0) == in.n && lower.shape(1) == (moved.size() + 15) / 16 * 16 &&
                    max_norm.size() == 1 && span >= 1 &&
                    moved.size() == ((in.k + 15) / 16 + span - 1) / span,
                "the bounds do not fit X and centers");
        return {width,
                columns,
                span,
                lower.shape(1),
                scale,
                projected ? projected->data() : nullptr,
                codes ? codes->data() : nullptr,
                data_or_null(unit, in.n, "unit: wrong size"),
                data_or_null(sums, in.n, "sums: wrong size"),
                data_or_null(tail, in.n, "tail: wrong size"),
                squares.data(),
                slack.data(),
                cluster.data(),
                projected_centers ? projected_centers->data() : nullptr,
                centers_slack,
                fine ? fine->view(in.n, in.d) : FineCodes{},
                data_or_null(before, in.k * in.d, "before: wrong size"),
                data_or_null(guess, in.n, "guess: wrong size"),
                upper.mutable_data(),
                tight.mutable_data(),
                lower.mutable_data(),
                moved.mutable_data(),
                max_norm.mutable_data(),
                0,
                0,
                0,
                0};
    }
};

template <class T>
void bind_bounds(py::module_& m, const char* name) {
    py::class_<BoundsArrays<T>>(m, name, "Arrays of the bounds, which `prune` writes to.")
        .def(py::init([](int64_t span, T scale, MaybeIn<T> projected, MaybeIn<int8_t> codes,
                         MaybeIn<T> unit, MaybeIn<int32_t> sums, MaybeIn<T> tail, int largest,
                         In<double> squares, In<double> slack, In<int32_t> cluster,
                         MaybeIn<T> projected_centers, double centers_slack,
                         std::optional<FineArrays> fine, MaybeIn<T> before, MaybeIn<int32_t> guess,
                         In<T> upper, In<uint8_t> tight, In<T> lower, In<double> moved,
                         In<double> max_norm) {
                 require(!codes || std::is_same_v<T, float>, "codes stand for float32 rows");
                 require_permutation(cluster);
                 return BoundsArrays<T>{
                     span,          scale,   projected, codes, unit,    sums,
                     tail,          largest, squares,   slack, cluster, projected_centers,
                     centers_slack, fine,    before,    guess, upper,   tight,
                     lower,         moved,   max_norm};
             }),
             py::kw_only(), py::arg("span"), py::arg("scale"), py::arg("projected").noconvert(),
             py::arg("codes").noconvert(), py::arg("unit").noconvert(), py::arg("sums").noconvert(),
             py::arg("tail").noconvert(), py::arg("largest"), py::arg("squares").noconvert(),
             py::arg("slack").noconvert(), py::arg("cluster").noconvert(),
             py::arg("projected_centers").noconvert(), py::arg("centers_slack"), py::arg("fine"),
             py::arg("before").noconvert(), py::arg("guess").noconvert(),
             py::arg("upper").noconvert(), py::arg("tight").noconvert(),
             py::arg("lower").noconvert(), py::arg("moved").noconvert(),
             py::arg("max_norm").noconvert());
}

template <class T>
void bind_dense(py::module_& m) {
    m.def(
        "prune",
        [](const In<T>& x, const In<T>& centers, const In<T>& shift, In<int32_t> labels,
           BoundsArrays<T>& bounds, std::optional<TotalsArrays> totals, int threads) {
            const AssignIn<T> in = rows(x, centers, shift);
            require(labels.size() == in.n, "labels: wrong length");
            Bounds<T> b = bounds.view(in);
            if (b.before) require_labels(labels, in.k);
            for (int64_t i = 0; b.guess && i < in.n; ++i)
                require(b.guess[i] >= -1 && b.guess[i] < in.k, "guess: index out of range");
            std::optional<Totals> to;
            if (totals) to = moving(*totals, labels, in.n, in.k, in.d);
            int64_t changed = 0;
            run_free(
                threads,
                [&](const Run& r) {
                    ops<T>().prune(in, b, labels.mutable_data(), &changed, to ? &*to : nullptr, r);
                },
                x.data());
            return py::make_tuple(changed, b.tightened, b.scored, b.refined, b.survivors);
        },
        py::kw_only(), py::arg("X").noconvert(), py::arg("centers").noconvert(),
        py::arg("shift").noconvert(), py::arg("labels").noconvert(), py::arg("bounds"),
        py::arg("totals"), py::arg("n_threads"));
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
        py::kw_only(), py::arg("X").noconvert(), py::arg("directions").noconvert(),
        py::arg("shift").noconvert(), py::arg("scale"), py::arg("rows").noconvert(),
        py::arg("squares").noconvert(), py::arg("n_threads"));
    m.def(
        "encode",
        [](const In<T>& x, const In<T>& shift, T scale, int largest, In<int8_t> codes, In<T> unit,
           In<int32_t> sums, MaybeIn<T> tail, In<double> squares, In<double> slack, int threads) {
            require(x.ndim() == 2 && x.shape(1) >= (tail ? 2 : 1), "X must have columns");
            const int64_t coded = x.shape(1) - (tail ? 1 : 0);
            require(codes.ndim() == 2 && shift.size() == x.shape(1) &&
                        codes.shape(0) == x.shape(0) && codes.shape(1) >= coded &&
                        codes.shape(1) % 4 == 0 && unit.size() == x.shape(0) &&
                        sums.size() == x.shape(0) && squares.size() == x.shape(0) &&
                        slack.size() == x.shape(0),
                    "the shapes of codes do not fit");
            require(codes.shape(1) <= kMostCodedColumns, "codes are for at most 32768 columns");
            require(largest >= 1 && largest <= kMostCode, "codes are at most 127");
            const Encode<T> encode{x.shape(0),
                                   x.shape(1),
                                   x.data(),
                                   shift.data(),
                                   scale,
                                   largest,
                                   codes.shape(1),
                                   codes.mutable_data(),
                                   unit.mutable_data(),
                                   sums.mutable_data(),
                                   out_or_null(tail, x.shape(0), "tail: wrong size"),
                                   squares.mutable_data(),
                                   slack.mutable_data()};
            run_free(threads, [&](const Run& r) { ops<T>().encode(encode, r); }, x.data());
        },
        py::kw_only(), py::arg("X").noconvert(), py::arg("shift").noconvert(), py::arg("scale"),
        py::arg("largest"), py::arg("codes").noconvert(), py::arg("unit").noconvert(),
        py::arg("sums").noconvert(), py::arg("tail").noconvert(), py::arg("squares").noconvert(),
        py::arg("slack").noconvert(), py::arg("n_threads"));
}

}  // namespace

void bind_prune(py::module_& m) {
    m.def("byte_products", &byte_products);
    m.def("most_row_code", &most_row_code);
    bind_fine(m);
    bind_bounds<float>(m, "BoundsFloat32");
    bind_bounds<double>(m, "BoundsFloat64");
    bind_dense<float>(m);
    bind_dense<double>(m);
}

}  // namespace unsup
