// em.
#include "common.hpp"
#include "em/em.hpp"

namespace unsup {
namespace {

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
void bind_em_dense(py::module_& m) {
    m.def(
        "em",
        [](const In<T>& x, const std::optional<In<double>>& log_weights, const In<double>& means,
           const std::optional<In<double>>& factors, const std::string& covariance_type,
           const MaybeIn<T>& weight, bool from_resp, MaybeIn<double> resp_sums,
           MaybeIn<double> sums, MaybeIn<double> second, MaybeIn<T> log_prob, MaybeIn<T> resp,
           MaybeIn<int32_t> labels, int threads) {
            require(x.ndim() == 2 && means.ndim() == 2 && x.shape(1) == means.shape(1) &&
                        x.shape(1) >= 1 && means.shape(0) >= 1,
                    "X and means must be matrices with equal numbers of columns");
            const int64_t n = x.shape(0), d = x.shape(1), k = means.shape(0);
            const CovarianceType covariance = covariance_of(covariance_type);
            const int64_t size = second_size(covariance, k, d);
            require(from_resp ? !factors && !log_weights && resp.has_value() != labels.has_value()
                              : factors && log_weights,
                    "pass factors and log_weights, or resp or labels");
            require(
                resp_sums.has_value() == sums.has_value() && sums.has_value() == second.has_value(),
                "resp_sums, sums and second go together");
            if (from_resp && labels) require_labels(*labels, k);
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
                             from_resp ? out.resp : nullptr,
                             from_resp ? out.labels : nullptr};
            run_free(threads, [&](const Run& r) { ops<T>().em(in, out, r); }, x.data());
            return out.log_likelihood;
        },
        py::kw_only(), py::arg("X").noconvert(), py::arg("log_weights").noconvert(),
        py::arg("means").noconvert(), py::arg("factors").noconvert(), py::arg("covariance_type"),
        py::arg("sample_weight").noconvert(), py::arg("from_resp"),
        py::arg("resp_sums").noconvert(), py::arg("sums").noconvert(),
        py::arg("second").noconvert(), py::arg("log_prob").noconvert(), py::arg("resp").noconvert(),
        py::arg("labels").noconvert(), py::arg("n_threads"));
}

}  // namespace

void bind_em(py::module_& m) {
    bind_em_dense<float>(m);
    bind_em_dense<double>(m);
}

}  // namespace unsup
