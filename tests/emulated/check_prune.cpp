// Labels by prune against those of assign, bit for bit, with rows as numbers and as bytes, at the
// level in use. A program of its own, so that an emulator can run it without Python.
#include "assign/assign.hpp"
#include "check.hpp"

namespace {

using namespace unsup;
using namespace check;

template <class T>
struct Codes {
    std::vector<int8_t> codes;
    std::vector<T> unit, tail;
    std::vector<int32_t> sums;
    std::vector<double> squares, slack;
};

template <class T>
Codes<T> encode(const std::vector<T>& x, int64_t n, int64_t d, int64_t columns, bool tail) {
    Codes<T> c{poisoned<int8_t>(n * columns), poisoned<T>(n),      poisoned<T>(tail ? n : 0),
               poisoned<int32_t>(n),          poisoned<double>(n), poisoned<double>(n)};
    const std::vector<T> origin(size_t(d), T(0));
    ops<T>().encode({n, d, x.data(), origin.data(), T(1), most_row_code(), columns, c.codes.data(),
                     c.unit.data(), c.sums.data(), tail ? c.tail.data() : nullptr, c.squares.data(),
                     c.slack.data()},
                    two_threads());
    return c;
}

// Coordinates of rows in the first `count` axes, and the length of the rest.
template <class T>
std::vector<T> lead(const std::vector<T>& x, int64_t d, int64_t count) {
    std::vector<T> y;
    for (size_t i = 0; i < x.size(); i += size_t(d)) {
        double rest = 0;
        for (int64_t j = 0; j < d; ++j)
            if (j < count)
                y.push_back(x[i + size_t(j)]);
            else
                rest += double(x[i + size_t(j)]) * double(x[i + size_t(j)]);
        y.push_back(T(std::sqrt(rest)));
    }
    return y;
}

// What lead() gives, with the coordinates from project().
template <class T>
std::vector<T> project(const std::vector<T>& x, int64_t n, int64_t d, int64_t count,
                       std::vector<double>& squares) {
    std::vector<T> directions(size_t(count * d), T(0)), rows = lead(x, d, count);
    const std::vector<T> origin(size_t(d), T(0)), expected = rows;
    auto lengths = poisoned<T>(n);
    for (int64_t r = 0; r < count; ++r) directions[size_t(r * d + r)] = 1;
    for (size_t i = 0; i < rows.size(); ++i)
        if (int64_t(i) % (count + 1) < count) rows[i] = T(NAN);
    ops<T>().project({n, d, count, x.data(), directions.data(), origin.data(), T(1), rows.data(),
                      lengths.data()},
                     two_threads());
    const double unit = std::numeric_limits<T>::epsilon();
    tally.near(rows, expected, double(d + 8) * unit, unit, "project");
    for (int64_t i = 0; i < n; ++i) {
        double square = 0, projected = 0;
        for (int64_t j = 0; j < d; ++j)
            square += double(x[size_t(i * d + j)]) * double(x[size_t(i * d + j)]);
        for (int64_t j = 0; j <= count; ++j)
            projected += double(rows[size_t(i * (count + 1) + j)]) *
                         double(rows[size_t(i * (count + 1) + j)]);
        tally.near(double(lengths[size_t(i)]), square, double(d + 8) * unit * square,
                   "project: square");
        squares.push_back(projected);
    }
    return rows;
}

// Six passes, between which the centroids move a little.
template <class T>
void check_labels(int64_t n, int64_t d, int64_t k, int64_t count, bool bytes) {
    std::vector<T> x = normals<T>(n * d), before;
    for (size_t i = 0; i < x.size(); ++i) x[i] /= T(1 + i % size_t(d));
    std::vector<T> centers(x.begin(), x.begin() + k * d);
    const std::vector<T> shift(size_t(d), T(0));
    const int64_t fine = (d + kFineColumns - 1) / kFineColumns * kFineColumns;
    const int64_t coded = (count > 0 ? count + 3 : d + 3) / 4 * 4;
    Codes<T> all, codes;
    std::vector<T> projected;
    if (bytes) {
        all = encode(x, n, d, fine, false);
        codes = count > 0 ? encode(lead(x, d, count), n, count + 1, coded, true)
                          : encode(x, n, d, coded, false);
    } else {
        projected = project(x, n, d, count, codes.squares);
        codes.slack.assign(size_t(n), 0);
    }
    for (double& slack : codes.slack) slack += 1e-5;  // of the projection
    std::vector<int32_t> cluster;
    for (int64_t at = 0; at < k; ++at) cluster.push_back(int32_t((at * 7 + 3) % k));
    const int64_t groups = (k + 15) / 16, width = (groups + 15) / 16 * 16;
    auto upper = poisoned<T>(n), lower = poisoned<T>(n * width);
    std::vector<uint8_t> tight(size_t(n), 0);
    std::vector<double> moved(size_t(groups), 0.0);
    double max_norm = 0;
    std::vector<int32_t> labels(size_t(n), -1);
    for (int pass = 0; pass < 6; ++pass) {
        std::vector<T> by_slot;
        for (const int32_t c : cluster)
            by_slot.insert(by_slot.end(), &centers[size_t(c * d)], &centers[size_t(c * d)] + d);
        const std::vector<T> leading = lead(by_slot, d, count);
        Bounds<T> b{};
        b.projected = bytes && count == 0 ? 0 : count + 1;
        b.columns = bytes ? coded : count + 1;
        b.span = 1;
        b.width = width;
        b.scale = 1;
        b.rows = bytes ? nullptr : projected.data();
        b.codes = bytes ? codes.codes.data() : nullptr;
        b.unit = codes.unit.data();
        b.sums = codes.sums.data();
        b.tail = bytes && count > 0 ? codes.tail.data() : nullptr;
        b.squares = codes.squares.data();
        b.slack = codes.slack.data();
        b.cluster = cluster.data();
        b.centers = bytes && count == 0 ? nullptr : leading.data();
        b.centers_slack = 1e-5;
        if constexpr (sizeof(T) == sizeof(float))
            if (bytes && count > 0)
                b.fine = {fine,
                          all.codes.data(),
                          all.unit.data(),
                          all.sums.data(),
                          all.squares.data(),
                          all.slack.data()};
        b.before = pass > 0 ? before.data() : nullptr;
        b.upper = upper.data();
        b.tight = tight.data();
        b.lower = lower.data();
        b.moved = moved.data();
        b.max_norm = &max_norm;
        const AssignIn<T> in{n, d, k, x.data(), centers.data(), nullptr, shift.data()};
        int64_t changed = 0;
        ops<T>().prune(in, b, labels.data(), &changed, nullptr, two_threads());
        std::vector<int32_t> dense(size_t(n), -1);
        AssignOut<T> out{dense.data(), nullptr, nullptr, nullptr, true, false, 0, 0};
        ops<T>().assign(in, out, nullptr, two_threads());
        tally.equal(labels, dense, std::string("label, rows as ") + (bytes ? "bytes" : "numbers"));
        if (pass > 2)  // bounds must rule something out
            tally.expect(b.scored < n * groups, "scored", double(b.scored), double(n * groups));
        before = centers;
        const auto steps = normals<T>(k * d, 0, 0.003);
        for (size_t i = 0; i < centers.size(); ++i) centers[i] += steps[i];
    }
}

}  // namespace

int main() {
    for (const int64_t d : {1, 3, 16, 61, 130}) {
        const int64_t k = 1 + 70 * (d > 1);
        for (const int64_t count : {int64_t(0), d / 3, d / 2}) {
            check_labels<float>(700, d, k, count, true);
            check_labels<float>(700, d, k, count, false);
            check_labels<double>(200, d, k, count, false);
        }
    }
    return tally.report();
}
