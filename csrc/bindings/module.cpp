// The only code that knows Python: convert, release the GIL, call. Shapes and types are checked by
// unsup_fast.kernels; the checks here keep a wrong call from touching foreign memory.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <chrono>
#include <optional>

#include "isa.hpp"

namespace py = pybind11;
using namespace unsup;

namespace {

template <class T>
using In = py::array_t<T, py::array::c_style>;
template <class T>
using MaybeIn = std::optional<In<T>>;

void require(bool condition, const char* message) {
    if (!condition) throw std::invalid_argument(message);
}

// Ctrl-C is looked for ten times a second at most.
bool interrupted() {
    static thread_local auto last = std::chrono::steady_clock::time_point();
    const auto now = std::chrono::steady_clock::now();
    if (now - last < std::chrono::milliseconds(100)) return false;
    last = now;
    py::gil_scoped_acquire gil;
    return PyErr_CheckSignals() != 0;
}

template <class F>
void run_free(int threads, const F& body) {
    require(threads >= 1, "n_threads must be at least 1");
    const Run run{threads, interrupted};
    {
        py::gil_scoped_release release;
        body(run);
    }
    if (PyErr_Occurred() != nullptr) throw py::error_already_set();
}

template <class T>
const T* data_or_null(const MaybeIn<T>& a, py::ssize_t size, const char* message) {
    if (!a) return nullptr;
    require(a->size() == size, message);
    return a->data();
}

template <class T>
T* out_or_null(std::optional<In<T>>& a, py::ssize_t size, const char* message) {
    if (!a) return nullptr;
    require(a->size() == size, message);
    return a->mutable_data();
}

// A CSR matrix whose indices are known to lie inside it.
template <class T, class I>
Csr<T> csr(const In<T>& data, const In<I>& indices, const In<I>& indptr, int64_t columns) {
    require(indptr.size() >= 1 && indices.size() == data.size(), "malformed CSR matrix");
    const I* p = indptr.data();
    require(p[0] >= 0 && int64_t(p[indptr.size() - 1]) <= data.size(), "malformed CSR indptr");
    for (py::ssize_t i = 0; i + 1 < indptr.size(); ++i)
        require(p[i] <= p[i + 1], "malformed CSR indptr");
    const I* index = indices.data();
    for (py::ssize_t i = 0; i < indices.size(); ++i)
        require(index[i] >= 0 && int64_t(index[i]) < columns, "CSR column index out of range");
    Csr<T> out{data.data(), nullptr, nullptr, nullptr, nullptr};
    if constexpr (sizeof(I) == 4) {
        out.indices32 = index;
        out.indptr32 = p;
    } else {
        out.indices64 = index;
        out.indptr64 = p;
    }
    return out;
}

void require_labels(const In<int32_t>& labels, int64_t k) {
    const int32_t* label = labels.data();
    for (py::ssize_t i = 0; i < labels.size(); ++i)
        require(label[i] >= 0 && label[i] < k, "index out of range");
}

// Sums that rows move between; labels [N] in are -1 or a centroid.
Totals totals(const In<double>& steps, In<int64_t>& sums, In<int64_t>& counts,
              const In<int32_t>& labels, int64_t n, int64_t k, int64_t d) {
    const int64_t stride = steps.size();
    require(stride >= d && stride % 8 == 0 && sums.size() == k * stride && counts.size() == k,
            "totals: wrong size");
    require(labels.size() == n, "labels: wrong length");
    const int32_t* label = labels.data();
    for (int64_t i = 0; i < n; ++i)
        require(label[i] >= -1 && label[i] < k, "labels: not a centroid");
    return {stride, steps.data(), sums.mutable_data(), counts.mutable_data()};
}

void require_permutation(const In<int32_t>& order) {
    std::vector<bool> seen(size_t(order.size()), false);
    for (py::ssize_t i = 0; i < order.size(); ++i) {
        const int32_t at = order.data()[i];
        require(at >= 0 && at < order.size() && !seen[size_t(at)], "not a permutation");
        seen[size_t(at)] = true;
    }
}

CovarianceType covariance_of(const std::string& name) {
    if (name == "full") return CovarianceType::full;
    if (name == "tied") return CovarianceType::tied;
    if (name == "diag") return CovarianceType::diag;
    require(name == "spherical", "covariance_type: unknown");
    return CovarianceType::spherical;
}

int64_t second_size(CovarianceType covariance, int64_t k, int64_t d) {
    switch (covariance) {
        case CovarianceType::full:
            return k * d * d;
        case CovarianceType::tied:
            return d * d;
        case CovarianceType::diag:
            return k * d;
        default:
            return k;
    }
}

template <class T>
AssignIn<T> rows(const In<T>& x, const In<T>& centers, const In<T>& shift) {
    require(x.ndim() == 2 && centers.ndim() == 2 && x.shape(1) == centers.shape(1) &&
                x.shape(1) >= 1 && centers.shape(0) >= 1 && shift.size() == x.shape(1),
            "X, centers and shift must have equal numbers of columns");
    return {x.shape(0),     x.shape(1), centers.shape(0), x.data(),
            centers.data(), nullptr,    shift.data()};
}

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
    run_free(threads, [&](const Run& r) { run(in, out, r); });
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
            run_free(threads, [&](const Run& r) { ops<T>().assign(in, out, &to, r); });
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
    m.def(
        "prune",
        [](const In<T>& x, const In<T>& centers, const In<T>& shift, In<int32_t> labels,
           const MaybeIn<double>& steps, MaybeIn<int64_t> sums, MaybeIn<int64_t> counts,
           int64_t span, T scale, const MaybeIn<T>& projected, const MaybeIn<int8_t>& codes,
           const MaybeIn<T>& unit, const MaybeIn<int32_t>& start, const In<double>& squares,
           const In<double>& slack, const In<int32_t>& cluster, const MaybeIn<T>& projected_centers,
           double centers_slack, const MaybeIn<T>& before, In<T> upper, In<uint8_t> tight,
           In<T> lower, In<double> moved, In<double> reach, int threads) {
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
                        reach.size() == 1 && labels.size() == in.n && span >= 1 &&
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
                        reach.mutable_data(),
                        0,
                        0,
                        0};
            require(steps.has_value() == sums.has_value() && sums.has_value() == counts.has_value(),
                    "steps, sums and counts go together");
            std::optional<Totals> to;
            if (steps) to = totals(*steps, *sums, *counts, labels, in.n, in.k, in.d);
            int64_t changed = 0;
            run_free(threads, [&](const Run& r) {
                ops<T>().prune(in, b, labels.mutable_data(), &changed, to ? &*to : nullptr, r);
            });
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
        py::arg("reach").noconvert(), py::arg("n_threads"));
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
            run_free(threads, [&](const Run& r) { ops<T>().project(project, r); });
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
            run_free(threads, [&](const Run& r) { ops<T>().encode(encode, r); });
        },
        py::arg("X").noconvert(), py::arg("shift").noconvert(), py::arg("scale"),
        py::arg("codes").noconvert(), py::arg("unit").noconvert(), py::arg("start").noconvert(),
        py::arg("squares").noconvert(), py::arg("slack").noconvert(), py::arg("n_threads"));
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
            run_free(threads, [&](const Run& r) { ops<T>().moments(moments, r); });
            return moments.bad;
        },
        py::arg("X").noconvert(), py::arg("mean").noconvert(), py::arg("variance").noconvert(),
        py::arg("reach").noconvert(), py::arg("n_threads"));
    m.def(
        "em",
        [](const In<T>& x, const std::optional<In<double>>& log_weights, const In<double>& means,
           const std::optional<In<double>>& factors, const std::string& covariance_type,
           const MaybeIn<T>& weight, bool given, MaybeIn<double> resp_sums, MaybeIn<double> sums,
           MaybeIn<double> second, MaybeIn<T> log_prob, MaybeIn<T> resp, MaybeIn<int32_t> labels,
           int threads) {
            require(x.ndim() == 2 && means.ndim() == 2 && x.shape(1) == means.shape(1) &&
                        x.shape(1) >= 1 && means.shape(0) >= 1,
                    "X and means must be matrices with equal numbers of columns");
            const int64_t n = x.shape(0), d = x.shape(1), k = means.shape(0);
            const CovarianceType covariance = covariance_of(covariance_type);
            const int64_t size = second_size(covariance, k, d);
            require(given ? !factors && !log_weights && resp.has_value() != labels.has_value()
                          : factors && log_weights,
                    "pass factors and log_weights, or resp or labels that are given");
            require(
                resp_sums.has_value() == sums.has_value() && sums.has_value() == second.has_value(),
                "resp_sums, sums and second go together");
            if (given && labels) require_labels(*labels, k);
            EmOut<T> out{out_or_null(resp_sums, k, "resp_sums: wrong length"),
                         out_or_null(sums, k * d, "sums: wrong size"),
                         out_or_null(second, size, "second: wrong size"),
                         out_or_null(log_prob, n, "log_prob: wrong length"),
                         out_or_null(resp, n * k, "resp: wrong size"),
                         out_or_null(labels, n, "labels: wrong length"),
                         0};
            const EmIn<T> in{n,
                             d,
                             k,
                             covariance,
                             x.data(),
                             data_or_null(log_weights, k, "log_weights: wrong length"),
                             means.data(),
                             data_or_null(factors, size, "factors: wrong size"),
                             data_or_null(weight, n, "sample_weight: wrong length"),
                             given ? out.resp : nullptr,
                             given ? out.labels : nullptr};
            run_free(threads, [&](const Run& r) { ops<T>().em(in, out, r); });
            return out.log_likelihood;
        },
        py::arg("X").noconvert(), py::arg("log_weights").noconvert(), py::arg("means").noconvert(),
        py::arg("factors").noconvert(), py::arg("covariance_type"),
        py::arg("sample_weight").noconvert(), py::arg("given"), py::arg("resp_sums").noconvert(),
        py::arg("sums").noconvert(), py::arg("second").noconvert(), py::arg("log_prob").noconvert(),
        py::arg("resp").noconvert(), py::arg("labels").noconvert(), py::arg("n_threads"));
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
            run_free(threads, [&](const Run& r) { ops<T>().covariance(to, r); });
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
            run_free(threads, [&](const Run& r) { ops<T>().affine(map, r); });
        },
        py::arg("X").noconvert(), py::arg("shift").noconvert(), py::arg("weights").noconvert(),
        py::arg("offset").noconvert(), py::arg("out").noconvert(), py::arg("n_threads"));
    m.def(
        "seed",
        [](const In<T>& x, const In<T>& candidates, const MaybeIn<T>& closest,
           const MaybeIn<T>& weight, In<T> distances, In<double> potentials, int threads, T scale) {
            require(x.ndim() == 2 && candidates.ndim() == 2 && x.shape(1) == candidates.shape(1),
                    "X and candidates must be matrices with equal numbers of columns");
            const int64_t n = x.shape(0), t = candidates.shape(0);
            require(distances.size() == t * n && potentials.size() == t, "wrong length");
            const Seed<T> seed{n,
                               x.shape(1),
                               t,
                               x.data(),
                               candidates.data(),
                               data_or_null(closest, n, "closest: wrong length"),
                               data_or_null(weight, n, "sample_weight: wrong length"),
                               scale,
                               distances.mutable_data(),
                               potentials.mutable_data()};
            run_free(threads, [&](const Run& r) { ops<T>().seed(seed, r); });
        },
        py::arg("X").noconvert(), py::arg("candidates").noconvert(), py::arg("closest").noconvert(),
        py::arg("sample_weight").noconvert(), py::arg("distances").noconvert(),
        py::arg("potentials").noconvert(), py::arg("n_threads"), py::arg("scale") = T(1));
    m.def(
        "seed_rounds",
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
            SeedBounds<T> bounds{};
            if (projected) {
                require(projected->ndim() == 2 && projected->shape(0) == n && slack &&
                            slack->size() == n,
                        "the projection does not fit X");
                bounds = {projected->shape(1), leading, projected->data(), slack->data()};
                require(bounds.columns % 16 == 0 && 1 <= leading && leading <= bounds.columns,
                        "a projection has a multiple of 16 columns, the leading ones among them");
            }
            SeedRounds<T> rounds{n,
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
            run_free(threads, [&](const Run& r) { ops<T>().seed_rounds(rounds, r); });
            return rounds.scored;
        },
        py::arg("X").noconvert(), py::arg("sample_weight").noconvert(), py::arg("scale"),
        py::arg("uniform").noconvert(), py::arg("chosen").noconvert(),
        py::arg("closest").noconvert(), py::arg("potentials").noconvert(), py::arg("first"),
        py::arg("last"), py::arg("n_threads"), py::arg("projected").noconvert() = py::none(),
        py::arg("slack").noconvert() = py::none(), py::arg("leading") = 0);
    m.def(
        "spread",
        [](const In<T>& x, int64_t origin, int threads) {
            require(x.ndim() == 2 && origin >= 0 && origin < x.shape(0), "origin: not a row of X");
            T largest = 0;
            run_free(threads, [&](const Run& r) {
                largest = ops<T>().spread(x.data(), x.shape(0), x.shape(1), origin, r);
            });
            return largest;
        },
        py::arg("X").noconvert(), py::arg("origin"), py::arg("n_threads"));
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
    m.def(
        "seed_csr",
        [](const In<T>& data, const In<I>& indices, const In<I>& indptr, const In<T>& candidates,
           const MaybeIn<T>& closest, const MaybeIn<T>& weight, In<T> distances,
           In<double> potentials, int threads) {
            require(candidates.ndim() == 2, "candidates must be a matrix");
            const int64_t n = indptr.size() - 1, t = candidates.shape(0), d = candidates.shape(1);
            require(distances.size() == t * n && potentials.size() == t, "wrong length");
            const Csr<T> rows = csr<T, I>(data, indices, indptr, d);
            const Seed<T> seed{n,
                               d,
                               t,
                               nullptr,
                               candidates.data(),
                               data_or_null(closest, n, "closest: wrong length"),
                               data_or_null(weight, n, "sample_weight: wrong length"),
                               T(1),
                               distances.mutable_data(),
                               potentials.mutable_data()};
            run_free(threads, [&](const Run& r) { ops<T>().seed_csr(seed, rows, r); });
        },
        py::arg("data").noconvert(), py::arg("indices").noconvert(), py::arg("indptr").noconvert(),
        py::arg("candidates").noconvert(), py::arg("closest").noconvert(),
        py::arg("sample_weight").noconvert(), py::arg("distances").noconvert(),
        py::arg("potentials").noconvert(), py::arg("n_threads"));
}

}  // namespace

PYBIND11_MODULE(_native, m) {
    m.doc() = "Compiled operations of unsup_fast.";
    m.def("has_byte_products", &has_byte_products);
    m.def("simd", [] { return std::string(level().name); });
    m.def("simd_levels", &available_levels);
    m.def("use_simd", &use_level, py::arg("name"));
    m.def("max_threads", [] {
#ifdef _OPENMP
        return omp_get_max_threads();
#else
        return 1;
#endif
    });
    m.def("openmp", [] {
#ifdef _OPENMP
        return true;
#else
        return false;
#endif
    });
    m.def(
        "widen",
        [](const In<uint16_t>& x, In<float> out) {
            require(x.size() == out.size(), "X and out must have equal sizes");
            const Widen widen{x.size(), x.data(), out.mutable_data()};
            const py::gil_scoped_release release;
            level().widen(widen);
        },
        py::arg("X").noconvert(), py::arg("out").noconvert());
    bind_dense<float>(m);
    bind_dense<double>(m);
    bind_csr<float, int32_t>(m);
    bind_csr<float, int64_t>(m);
    bind_csr<double, int32_t>(m);
    bind_csr<double, int64_t>(m);
}
