// The operations of mixtures and of k-means++ against loops in float64, at the level in use. A
// program of its own, so that an emulator can run it without Python.
#include <algorithm>

#include "check.hpp"
#include "em/em.hpp"
#include "kmeans_plusplus/kmeans_plusplus.hpp"

namespace {

using namespace unsup;
using namespace check;

template <class T>
constexpr double kRoundoff = std::numeric_limits<T>::epsilon();

const char* name_of(CovarianceType type) {
    const char* names[] = {"em, full", "em, tied", "em, diag", "em, spherical"};
    return names[int(type)];
}

// A mixture, and U of any covariance type as a matrix for each component.
template <class T>
struct Mixture {
    int64_t n, d, k;
    CovarianceType type;
    std::vector<T> x, weight;
    std::vector<double> log_weights, means, factors;

    Mixture(int64_t n_, int64_t d_, int64_t k_, CovarianceType type_)
        : n(n_),
          d(d_),
          k(k_),
          type(type_),
          weight(uniforms<T>(n, 0.1, 2)),
          log_weights(size_t(k), -std::log(double(k))),
          means(normals<double>(k * d, 0.5, 2)),
          factors(uniforms<double>(factor_size(), 0.7, 1.5)) {
        const auto noise = normals<double>(n * d);
        for (int64_t i = 0; i < n; ++i)
            for (int64_t j = 0; j < d; ++j)
                x.push_back(T(means[size_t(i % k * d + j)] + noise[size_t(i * d + j)]));
        if (type != CovarianceType::full && type != CovarianceType::tied) return;
        for (size_t at = 0; at < factors.size(); ++at) {
            const int64_t row = int64_t(at) / d % d, column = int64_t(at) % d;
            if (row < column) factors[at] = 0.3 * (factors[at] - 1.1) / std::sqrt(double(d));
            if (row > column) factors[at] = 0;
        }
    }
    int64_t factor_size() const {
        const int64_t sizes[] = {k * d * d, d * d, k * d, k};
        return sizes[int(type)];
    }
    double factor(int64_t c, int64_t row, int64_t column) const {
        if (type == CovarianceType::full) return factors[size_t((c * d + row) * d + column)];
        if (type == CovarianceType::tied) return factors[size_t(row * d + column)];
        if (row != column) return 0;
        return factors[size_t(type == CovarianceType::diag ? c * d + row : c)];
    }
    double gap(int64_t i, int64_t c, int64_t j) const {
        return double(x[size_t(i * d + j)]) - means[size_t(c * d + j)];
    }
    double log_density(int64_t i, int64_t c) const {
        double sum = log_weights[size_t(c)] - double(d) / 2 * std::log(2 * M_PI);
        for (int64_t column = 0; column < d; ++column) {
            double z = 0;
            for (int64_t row = 0; row <= column; ++row)
                z += gap(i, c, row) * factor(c, row, column);
            sum += std::log(factor(c, column, column)) - z * z / 2;
        }
        return sum;
    }
    // Where a product of columns j and l of component c is added in `second`, or -1.
    int64_t second_index(int64_t c, int64_t j, int64_t l) const {
        if (type == CovarianceType::full) return (c * d + j) * d + l;
        if (type == CovarianceType::tied) return j * d + l;
        if (j != l) return -1;
        return type == CovarianceType::diag ? c * d + j : c;
    }
};

template <class T>
void check_em(int64_t n, int64_t d, int64_t k, CovarianceType type) {
    const Mixture<T> m(n, d, k, type);
    const std::string what = name_of(type);
    auto resp_sums = poisoned<double>(k), sums = poisoned<double>(k * d),
         second = poisoned<double>(m.factor_size());
    auto log_prob = poisoned<T>(n), resp = poisoned<T>(n * k);
    auto labels = poisoned<int32_t>(n);
    EmOut<T> out{resp_sums.data(), sums.data(), second.data(), log_prob.data(), resp.data(),
                 labels.data(),    NAN};
    ops<T>().em({n, d, k, type, m.x.data(), m.log_weights.data(), m.means.data(), m.factors.data(),
                 m.weight.data(), nullptr, nullptr},
                out, two_threads());
    std::vector<double> true_resp_sums(size_t(k), 0), true_sums(size_t(k * d), 0),
        true_second(second.size(), 0), sums_size = true_sums, second_size = true_second;
    double log_likelihood = 0, total_weight = 0;
    const double u = kRoundoff<T>, near = 200 * double(d + 8) * u;
    for (int64_t i = 0; i < n; ++i) {
        std::vector<double> l;
        for (int64_t c = 0; c < k; ++c) l.push_back(m.log_density(i, c));
        const double most = *std::max_element(l.begin(), l.end());
        double total = 0;
        for (const double value : l) total += std::exp(value - most);
        const double row = most + std::log(total), weight = double(m.weight[size_t(i)]);
        tally.near(double(log_prob[size_t(i)]), row, near * (1 + std::abs(row)),
                   what + ": log_prob");
        const int32_t label = labels[size_t(i)];
        const bool valid = label >= 0 && label < k;
        tally.expect(valid && l[size_t(label)] >= most - near * (1 + std::abs(most)),
                     what + ": label", label, 0);
        log_likelihood += weight * row;
        total_weight += weight * (1 + std::abs(row));
        for (int64_t c = 0; c < k; ++c) {
            const double r = std::exp(l[size_t(c)] - row);
            tally.near(double(resp[size_t(i * k + c)]), r, near * (1 + std::abs(row)),
                       what + ": resp");
            true_resp_sums[size_t(c)] += weight * r;
            for (int64_t j = 0; j < d; ++j) {
                true_sums[size_t(c * d + j)] += weight * r * m.gap(i, c, j);
                sums_size[size_t(c * d + j)] += weight * std::abs(m.gap(i, c, j));
                for (int64_t e = 0; e < d; ++e) {
                    const int64_t at = m.second_index(c, j, e);
                    if (at < 0) continue;
                    const double product = m.gap(i, c, j) * m.gap(i, c, e);
                    true_second[size_t(at)] += weight * r * product;
                    second_size[size_t(at)] += weight * std::abs(product);
                }
            }
        }
    }
    tally.near(out.log_likelihood, log_likelihood, near * total_weight, what + ": likelihood");
    tally.near(resp_sums, true_resp_sums, 0, near * total_weight, what + ": resp_sums");
    for (size_t at = 0; at < sums.size(); ++at)
        tally.near(sums[at], true_sums[at], near * sums_size[at], what + ": sums");
    for (size_t at = 0; at < second.size(); ++at)
        tally.near(second[at], true_second[at], near * (1 + second_size[at]), what + ": second");
}

template <class T>
double squared_distance(const std::vector<T>& x, int64_t d, int64_t i, const T* other) {
    double sum = 0;
    for (int64_t j = 0; j < d; ++j) {
        const double gap = double(x[size_t(i * d + j)]) - double(other[j]);
        sum += gap * gap;
    }
    return sum;
}

constexpr int64_t kBounded = 32;  // columns that may have bounds at every level

template <class T>
void check_candidates(int64_t n, int64_t d, int64_t t) {
    const auto x = normals<T>(n * d), candidates = normals<T>(t * d),
               weight = uniforms<T>(n, 0.1, 2), closest = uniforms<T>(n, 0, double(2 * d));
    auto distances = poisoned<T>(t * n);
    auto potentials = poisoned<double>(t);
    ops<T>().kmeans_plusplus({n, d, t, x.data(), candidates.data(), closest.data(), weight.data(),
                              T(2), distances.data(), potentials.data()},
                             two_threads());
    const double near = double(d + 8) * kRoundoff<T>;
    for (int64_t c = 0; c < t; ++c) {
        double potential = 0;
        for (int64_t i = 0; i < n; ++i) {
            const double truth = std::min(4 * squared_distance(x, d, i, &candidates[size_t(c * d)]),
                                          double(closest[size_t(i)]));
            tally.near(double(distances[size_t(c * n + i)]), truth, near * truth,
                       "kmeans_plusplus: distance");
            potential += double(weight[size_t(i)]) * truth;
        }
        tally.near(potentials[size_t(c)], potential, near * potential,
                   "kmeans_plusplus: potential");
    }
}

// All rounds, without bounds and, from two vectors of columns on, with them: rows in their first
// columns and the length of the rest.
template <class T>
void check_rounds(int64_t n, int64_t d, int64_t k, int64_t t) {
    const auto x = normals<T>(n * d), weight = uniforms<T>(n, 0.1, 2);
    const auto uniform = uniforms<double>(k * t, 0, 0.999999);
    std::vector<T> rows;
    for (int64_t i = 0; i < n; ++i) {
        double rest = 0;
        for (int64_t j = 15; j < d; ++j)
            rest += double(x[size_t(i * d + j)]) * double(x[size_t(i * d + j)]);
        for (int64_t j = 0; j < 15; ++j) rows.push_back(j < d ? x[size_t(i * d + j)] : T(0));
        rows.push_back(T(std::sqrt(rest)));
    }
    const std::vector<double> slack(size_t(n), 1e-5);
    const KMeansPlusPlusBounds<T> bounds{16, 16, rows.data(), slack.data()};
    std::vector<int64_t> chosen[2];
    std::vector<T> closest[2];
    std::vector<double> potentials[2];
    for (const bool bounded : {false, d >= kBounded}) {
        chosen[bounded].assign(size_t(k), -1);
        chosen[bounded][0] = n / 2;
        closest[bounded] = poisoned<T>(n);
        potentials[bounded] = poisoned<double>(k);
        KMeansPlusPlusRounds<T> rounds{n,
                                       d,
                                       t,
                                       0,
                                       k,
                                       x.data(),
                                       weight.data(),
                                       T(1),
                                       uniform.data(),
                                       bounded ? &bounds : nullptr,
                                       chosen[bounded].data(),
                                       closest[bounded].data(),
                                       potentials[bounded].data(),
                                       -1};
        ops<T>().kmeans_plusplus_rounds(rounds, two_threads());
        tally.expect(rounds.scored >= 0 && (!bounded || rounds.scored <= n * (1 + (k - 1) * t)),
                     "rounds: scored", double(rounds.scored), 0);
    }
    if (d >= kBounded) {
        tally.equal(chosen[1], chosen[0], "rounds: chosen with bounds");
        tally.equal(closest[1], closest[0], "rounds: closest with bounds");
        tally.equal(potentials[1], potentials[0], "rounds: potential with bounds");
    }
    const double near = double(d + 8) * kRoundoff<T>;
    std::vector<double> nearest(size_t(n), INFINITY);
    for (int64_t c = 0; c < k; ++c) {
        const int64_t row = chosen[0][size_t(c)];
        if (row < 0 || row >= n) return tally.expect(false, "rounds: chosen", double(row), 0);
        double potential = 0;
        for (int64_t i = 0; i < n; ++i) {
            nearest[size_t(i)] =
                std::min(nearest[size_t(i)], squared_distance(x, d, i, &x[size_t(row * d)]));
            potential += double(weight[size_t(i)]) * nearest[size_t(i)];
        }
        tally.near(potentials[0][size_t(c)], potential, near * potential, "rounds: potential");
    }
    tally.near(closest[0], nearest, near, 0, "rounds: closest");
    double largest = 0;
    for (int64_t i = 0; i < n; ++i)
        for (int64_t j = 0; j < d; ++j)
            largest =
                std::max(largest, std::abs(double(x[size_t(i * d + j)]) - double(x[size_t(j)])));
    tally.near(double(ops<T>().spread(x.data(), n, d, 0, two_threads())), largest,
               kRoundoff<T> * largest, "spread");
}

template <class T>
void check_all() {
    const int64_t shapes[][3] = {{1, 1, 1},    {97, 3, 5},  {60, 16, 9}, {70, 9, 4},
                                 {40, 17, 33}, {65, 33, 3}, {20, 65, 2}};
    for (const auto& [n, d, k] : shapes) {
        for (const CovarianceType type : {CovarianceType::full, CovarianceType::tied,
                                          CovarianceType::diag, CovarianceType::spherical})
            check_em<T>(n, d, k, type);
        check_candidates<T>(n, d, k);
        check_rounds<T>(n + 200, d, 7, std::min<int64_t>(k, 4));
    }
}

}  // namespace

int main() {
    check_all<float>();
    check_all<double>();
    return tally.report();
}
