// The operations on rows of numbers against loops in float64: assign, nearest, totals, means,
// moments, covariance, affine and half_to_float, at the level in use. A program of its own, so that
// an emulator can run it without Python.
#include <algorithm>
#include <cstring>

#include "affine/affine.hpp"
#include "assign/assign.hpp"
#include "check.hpp"
#include "covariance/covariance.hpp"
#include "half_to_float/half_to_float.hpp"
#include "moments/moments.hpp"
#include "nearest/nearest.hpp"
#include "totals/totals.hpp"

namespace {

using namespace unsup;
using namespace check;

template <class T>
constexpr double kRoundoff = std::numeric_limits<T>::epsilon();

template <class T>
struct Points {
    int64_t n, d, k;
    std::vector<T> x, centers, weight, shift;

    Points(int64_t n_, int64_t d_, int64_t k_)
        : n(n_),
          d(d_),
          k(k_),
          x(normals<T>(n * d, 0.5)),
          centers(normals<T>(k * d, 0.5)),
          weight(uniforms<T>(n, 0.1, 2)),
          shift(normals<T>(d, 0.5, 0.1)) {}

    AssignIn<T> in() const {
        return {n, d, k, x.data(), centers.data(), weight.data(), shift.data()};
    }
    double squared_distance(int64_t i, int64_t c) const {
        double sum = 0;
        for (int64_t j = 0; j < d; ++j) {
            const double gap = double(x[size_t(i * d + j)]) - double(centers[size_t(c * d + j)]);
            sum += gap * gap;
        }
        return sum;
    }
    double norm(const T* row) const {
        double sum = 0;
        for (int64_t j = 0; j < d; ++j)
            sum += (double(row[j]) - double(shift[size_t(j)])) *
                   (double(row[j]) - double(shift[size_t(j)]));
        return std::sqrt(sum);
    }
};

// Bounds of errors of differences of squared distances (assign.hpp), and of one.
template <class T>
struct Errors {
    double difference, distance;

    Errors(const Points<T>& p, int64_t i) {
        double longest = 0;
        for (int64_t c = 0; c < p.k; ++c) longest = std::max(longest, p.norm(&p.centers[c * p.d]));
        const double length = p.norm(&p.x[i * p.d]), u = 4 * double(p.d + 4) * kRoundoff<T>;
        difference = u * (length * longest + longest * longest);
        distance = u * (length + longest) * (length + longest);
    }
};

// Every label is of a nearest centroid up to the bound in assign.hpp; the sums are of the labels.
template <class T, class Assign>
void check_assign(const Points<T>& p, const char* what, const Assign& assign) {
    auto labels = poisoned<int32_t>(p.n);
    auto distances = poisoned<T>(p.n);
    std::vector<double> sums(size_t(p.k * p.d), 0), weights(size_t(p.k), 0), far = sums;
    AssignOut<T> out{labels.data(), sums.data(), weights.data(), distances.data(), false, false,
                     NAN,           -1};
    assign(out);
    double inertia = 0;
    std::vector<double> true_sums(sums.size(), 0), true_weights(weights.size(), 0);
    for (int64_t i = 0; i < p.n; ++i) {
        const int32_t label = labels[size_t(i)];
        if (label < 0 || label >= p.k) return tally.expect(false, what, label, 0);
        double nearest = INFINITY;
        for (int64_t c = 0; c < p.k; ++c) nearest = std::min(nearest, p.squared_distance(i, c));
        const double own = p.squared_distance(i, label), weight = double(p.weight[size_t(i)]);
        const Errors<T> errors(p, i);
        tally.expect(own <= nearest + errors.difference, std::string(what) + ": label", own,
                     nearest);
        tally.near(double(distances[size_t(i)]), own, errors.distance,
                   std::string(what) + ": distance");
        inertia += weight * own;
        true_weights[size_t(label)] += weight;
        for (int64_t j = 0; j < p.d; ++j) {
            const double value = double(p.x[size_t(i * p.d + j)]) - double(p.shift[size_t(j)]);
            true_sums[size_t(label * p.d + j)] += weight * value;
            far[size_t(label * p.d + j)] += weight * std::abs(value);
        }
    }
    for (size_t i = 0; i < sums.size(); ++i)
        tally.near(sums[i], true_sums[i], 4 * kRoundoff<T> * (far[i] + 1),
                   std::string(what) + ": sum");
    tally.near(weights, true_weights, 1e-12, 0, std::string(what) + ": weight");
    tally.near(out.inertia, inertia, 1e3 * kRoundoff<T> * inertia, std::string(what) + ": inertia");
    tally.near(double(out.n_changed), double(p.n), 0, std::string(what) + ": changed");
}

template <class T>
void check_assign(int64_t n, int64_t d, int64_t k) {
    const Points<T> p(n, d, k);
    check_assign(p, "assign",
                 [&](AssignOut<T>& out) { ops<T>().assign(p.in(), out, nullptr, two_threads()); });
    // Every third number is zero, and is not stored.
    Points<T> sparse = p;
    std::vector<T> data;
    std::vector<int32_t> indices, indptr{0};
    indices.reserve(size_t(n * d));  // not null, as that says which width indices have
    sparse.shift.assign(size_t(d), T(0));
    for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = 0; j < d; ++j) {
            T& value = sparse.x[size_t(i * d + j)];
            if ((i + j) % 3 == 0) {
                value = 0;
            } else {
                data.push_back(value);
                indices.push_back(int32_t(j));
            }
        }
        indptr.push_back(int32_t(data.size()));
    }
    check_assign(sparse, "assign_csr", [&](AssignOut<T>& out) {
        AssignIn<T> in = sparse.in();
        in.x = nullptr;
        in.shift = nullptr;
        const Csr<T> rows{data.data(), indices.data(), indptr.data(), nullptr, nullptr};
        ops<T>().assign_csr(in, rows, out, two_threads());
    });
}

// The m nearest centroids: each at least as near as the true one of its rank, up to assign's bound.
template <class T>
void check_nearest(int64_t n, int64_t d, int64_t k, int64_t m) {
    const Points<T> p(n, d, k);
    auto labels = poisoned<int32_t>(n * m);
    auto distances = poisoned<T>(n * m);
    ops<T>().nearest(p.in(), {m, labels.data(), distances.data()}, two_threads());
    for (int64_t i = 0; i < n; ++i) {
        const Errors<T> errors(p, i);
        std::vector<double> truth;
        for (int64_t c = 0; c < k; ++c) truth.push_back(p.squared_distance(i, c));
        std::vector<double> sorted = truth;
        std::sort(sorted.begin(), sorted.end());
        std::vector<int32_t> row(&labels[size_t(i * m)], &labels[size_t(i * m)] + m);
        for (int64_t j = 0; j < m; ++j) {
            const int32_t label = row[size_t(j)];
            if (label < 0 || label >= k) return tally.expect(false, "nearest", label, 0);
            tally.near(truth[size_t(label)], sorted[size_t(j)], errors.difference,
                       "nearest: label");
            tally.near(double(distances[size_t(i * m + j)]), truth[size_t(label)], errors.distance,
                       "nearest: distance");
        }
        std::sort(row.begin(), row.end());
        tally.expect(std::unique(row.begin(), row.end()) == row.end(), "nearest: twice", 0, 0);
    }
}

// Whole-number sums after rows have entered clusters and moved between them, and the means.
template <class T>
void check_totals(int64_t n, int64_t d, int64_t k) {
    Points<T> p(n, d, k);
    const int64_t stride = (d + 7) / 8 * 8;
    std::vector<double> steps(size_t(stride), 0.0);
    for (int64_t j = 0; j < d; ++j) steps[size_t(j)] = std::ldexp(1.0, 36 - int(j % 3));
    std::vector<int64_t> sums(size_t(k * stride), 0), counts(size_t(k), 0);
    std::vector<int32_t> labels(size_t(n), -1);
    Totals totals{stride, steps.data(), sums.data(), counts.data()};
    for (int pass = 0; pass < 2; ++pass) {
        AssignOut<T> out{labels.data(), nullptr, nullptr, nullptr, true, false, 0, 0};
        ops<T>().assign(p.in(), out, &totals, two_threads());
        std::vector<int64_t> true_sums(sums.size(), 0), true_counts(counts.size(), 0);
        for (int64_t i = 0; i < n; ++i) {
            const int64_t label = labels[size_t(i)];
            ++true_counts[size_t(label)];
            for (int64_t j = 0; j < d; ++j) {
                const T value = p.x[size_t(i * d + j)] - p.shift[size_t(j)];
                true_sums[size_t(label * stride + j)] +=
                    int64_t(std::nearbyint(double(value) * steps[size_t(j)]));
            }
        }
        tally.equal(sums, true_sums, "totals: sum");
        tally.equal(counts, true_counts, "totals: count");
        p.centers = normals<T>(k * d, 0.5);
    }
    auto means = poisoned<T>(k * d);
    auto moved = poisoned<double>(k), cross = moved, own = moved;
    ops<T>().means({k, d, p.centers.data(), p.shift.data(), means.data(), moved.data(),
                    cross.data(), own.data()},
                   totals, two_threads());
    for (int64_t c = 0; c < k; ++c) {
        double true_moved = 0, true_cross = 0, true_own = 0, size = 0;
        for (int64_t j = 0; j < d; ++j) {
            const double origin = double(p.shift[size_t(j)]), count = double(counts[size_t(c)]),
                         center = double(p.centers[size_t(c * d + j)]),
                         sum = double(sums[size_t(c * stride + j)]) / steps[size_t(j)],
                         mean = count > 0 ? origin + sum / count : center,
                         gap = double(means[size_t(c * d + j)]) - center;
            tally.near(double(means[size_t(c * d + j)]), mean, kRoundoff<T> * std::abs(mean),
                       "means: mean");
            true_moved += gap * gap;
            true_cross += (center - origin) * sum;
            size += std::abs((center - origin) * sum);
            true_own += count * (center - origin) * (center - origin);
        }
        tally.near(moved[size_t(c)], true_moved, 1e-13 * true_moved, "means: moved");
        tally.near(cross[size_t(c)], true_cross, 1e-13 * size, "means: cross");
        tally.near(own[size_t(c)], true_own, 1e-13 * true_own, "means: own");
    }
}

// Moments and covariance: far from the origin, so that cancellation would show.
template <class T>
void check_columns(int64_t n, int64_t d) {
    const Points<T> p(n, d, 1);
    std::vector<T> x = p.x;
    for (T& value : x) value += T(100);
    auto mean = poisoned<double>(d), variance = mean, minimum = mean, maximum = mean;
    Moments<T> m{n, d, x.data(), mean.data(), variance.data(), minimum.data(), maximum.data(), -9};
    ops<T>().moments(m, two_threads());
    tally.near(double(m.bad), -1, 0, "moments: bad");
    auto scale = std::vector<T>(size_t(d), T(1));
    auto sums = poisoned<double>(d), products = poisoned<double>(d * d);
    for (int64_t j = 0; j < d; ++j) scale[size_t(j)] = T(std::ldexp(1.0, int(j % 4)));
    ops<T>().covariance(
        {n, d, p.x.data(), p.shift.data(), scale.data(), sums.data(), products.data()},
        two_threads());
    const auto scaled = [&](int64_t i, int64_t j) {
        return (double(p.x[size_t(i * d + j)]) - double(p.shift[size_t(j)])) *
               double(scale[size_t(j)]);
    };
    for (int64_t j = 0; j < d; ++j) {
        double sum = 0, squares = 0, lowest = INFINITY, highest = -INFINITY;
        for (int64_t i = 0; i < n; ++i) {
            const double value = double(x[size_t(i * d + j)]);
            sum += value / double(n);
            lowest = std::min(lowest, value);
            highest = std::max(highest, value);
        }
        for (int64_t i = 0; i < n; ++i) {
            const double gap = double(x[size_t(i * d + j)]) - sum;
            squares += gap * gap / double(n);
        }
        tally.near(mean[size_t(j)], sum, 1e-12 * std::abs(sum), "moments: mean");
        tally.near(variance[size_t(j)], squares, 1e-9 * squares + 1e-15, "moments: variance");
        tally.near(minimum[size_t(j)], lowest, 0, "moments: minimum");
        tally.near(maximum[size_t(j)], highest, 0, "moments: maximum");
        double column = 0, far = 0;
        for (int64_t i = 0; i < n; ++i) {
            column += scaled(i, j);
            far += std::abs(scaled(i, j));
        }
        tally.near(sums[size_t(j)], column, 260 * kRoundoff<T> * far, "covariance: sum");
        for (int64_t l = 0; l < d; ++l) {
            double product = 0, size = 0;
            for (int64_t i = 0; i < n; ++i) {
                product += scaled(i, j) * scaled(i, l);
                size += std::abs(scaled(i, j) * scaled(i, l));
            }
            tally.near(products[size_t(j * d + l)], product, 260 * kRoundoff<T> * size,
                       "covariance: product");
        }
    }
}

template <class T>
void check_affine(int64_t n, int64_t d, int64_t k) {
    const Points<T> p(n, d, k);
    const auto offset = normals<T>(k);
    auto out = poisoned<T>(n * k);
    ops<T>().affine(
        {n, d, k, p.x.data(), p.shift.data(), p.centers.data(), offset.data(), out.data()},
        two_threads());
    for (int64_t i = 0; i < n; ++i)
        for (int64_t c = 0; c < k; ++c) {
            double sum = double(offset[size_t(c)]), size = std::abs(sum);
            for (int64_t j = 0; j < d; ++j) {
                const double term = (double(p.x[size_t(i * d + j)]) - double(p.shift[size_t(j)])) *
                                    double(p.centers[size_t(c * d + j)]);
                sum += term;
                size += std::abs(term);
            }
            tally.near(double(out[size_t(i * k + c)]), sum, double(d + 3) * kRoundoff<T> * size,
                       "affine");
        }
}

// Every float16, bit for bit, and ends of vectors.
void check_half_to_float() {
    std::vector<uint16_t> halves;
    for (int bits = 0; bits < 65536; ++bits) halves.push_back(uint16_t(bits));
    for (const int64_t n : {0, 1, 15, 17, 33, 65536}) {
        auto out = poisoned<float>(n + 1);
        level().half_to_float({n, halves.data(), out.data()});
        for (int64_t i = 0; i < n; ++i) {
            const uint32_t half = halves[size_t(i)], sign = half >> 15 << 31,
                           exponent = half >> 10 & 31, fraction = half & 1023;
            uint32_t expected, actual;
            const float small = std::ldexp(float(fraction), -24);
            std::memcpy(&expected, &small, sizeof expected);
            if (exponent > 0) expected = (exponent + 112) << 23 | fraction << 13;
            if (exponent == 31) expected = 0x7F800000u | fraction << 13 | (fraction > 0) << 22;
            std::memcpy(&actual, &out[size_t(i)], sizeof actual);
            tally.near(double(actual), double(sign | expected), 0, "half_to_float: bits");
        }
        tally.expect(std::isnan(out[size_t(n)]), "half_to_float: past the end", 0, NAN);
    }
}

template <class T>
void check_all() {
    const int64_t shapes[][3] = {{1, 1, 1},   {97, 3, 5},   {130, 16, 17}, {65, 31, 33},
                                 {300, 8, 4}, {150, 65, 9}, {33, 130, 70}};
    for (const auto& [n, d, k] : shapes) {
        check_assign<T>(n, d, k);
        for (const int64_t m : {int64_t(1), std::min<int64_t>(k, 5), k})
            check_nearest<T>(n, d, k, m);
        check_totals<T>(n, d, k);
        check_columns<T>(n, d);
        check_affine<T>(n, d, k);
    }
}

}  // namespace

int main() {
    check_all<float>();
    check_all<double>();
    check_half_to_float();
    return tally.report();
}
