// Labels by prune against those of assign, bit for bit, with rows as numbers and as bytes. A
// program of its own, so that an emulator can run it without Python: test_emulated.py builds and
// runs it.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <random>
#include <vector>

#include "assign/assign.hpp"
#include "dispatch/level.hpp"
#include "prune/prune.hpp"

namespace unsup {

namespace base {
void add_assign(Level& level);
void add_prune(Level& level);
}  // namespace base

static int products = 1;
int byte_products() { return products; }  // instead of the processor's

}  // namespace unsup

namespace {

using namespace unsup;

bool never() { return false; }

struct Rows {
    std::vector<int8_t> codes;
    std::vector<float> unit, tail;
    std::vector<int32_t> sums;
    std::vector<double> squares, slack;
};

Rows encode(const Level& level, const std::vector<float>& x, int64_t n, int64_t d, int64_t columns,
            bool tail) {
    Rows r{std::vector<int8_t>(size_t(n * columns), 99),  std::vector<float>(size_t(n), NAN),
           std::vector<float>(tail ? size_t(n) : 0, NAN), std::vector<int32_t>(size_t(n), -1),
           std::vector<double>(size_t(n), NAN),           std::vector<double>(size_t(n), NAN)};
    const std::vector<float> origin(size_t(d), 0.0f);
    level.f32.encode({n, d, x.data(), origin.data(), 1.0f, most_row_code(), columns, r.codes.data(),
                      r.unit.data(), r.sums.data(), tail ? r.tail.data() : nullptr,
                      r.squares.data(), r.slack.data()},
                     Run{2, never});
    return r;
}

// Coordinates of rows in the first `count` axes, and the length of the rest.
std::vector<float> project(const std::vector<float>& x, int64_t d, int64_t count) {
    std::vector<float> y;
    for (size_t i = 0; i < x.size(); i += size_t(d)) {
        double rest = 0;
        for (int64_t j = 0; j < d; ++j)
            if (j < count)
                y.push_back(x[i + size_t(j)]);
            else
                rest += double(x[i + size_t(j)]) * double(x[i + size_t(j)]);
        y.push_back(float(std::sqrt(rest)));
    }
    return y;
}

int64_t check(const Level& level, int64_t n, int64_t d, int64_t k, int64_t count, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> x(size_t(n * d)), centers(size_t(k * d)), before;
    for (size_t i = 0; i < x.size(); ++i) x[i] = normal(random) / float(1 + i % size_t(d));
    for (size_t i = 0; i < centers.size(); ++i) centers[i] = x[i];
    const std::vector<float> shift(size_t(d), 0.0f);
    const int64_t fine = (d + kFineColumns - 1) / kFineColumns * kFineColumns;
    const int64_t columns = count > 0 ? (count + 3) / 4 * 4 : (d + 3) / 4 * 4;
    Rows all = encode(level, x, n, d, fine, false);
    Rows rows = count > 0 ? encode(level, project(x, d, count), n, count + 1, columns, true)
                          : encode(level, x, n, d, columns, false);
    for (double& slack : rows.slack) slack += 1e-5;  // of the projection
    std::vector<int32_t> cluster;
    for (int64_t at = 0; at < k; ++at) cluster.push_back(int32_t((at * 7 + 3) % k));
    const int64_t groups = (k + 15) / 16, width = (groups + 15) / 16 * 16;
    std::vector<float> upper(size_t(n), NAN), lower(size_t(n * width), NAN);
    std::vector<uint8_t> tight(size_t(n), 0);
    std::vector<double> moved(size_t(groups), 0.0);
    double max_norm = 0;
    std::vector<int32_t> labels(size_t(n), -1);
    int64_t wrong = 0;
    for (int pass = 0; pass < 6; ++pass) {
        std::vector<float> by_slot;
        for (const int32_t c : cluster)
            by_slot.insert(by_slot.end(), &centers[size_t(c * d)], &centers[size_t(c * d)] + d);
        const std::vector<float> projected = project(by_slot, d, count);
        Bounds<float> b{};
        b.projected = count > 0 ? count + 1 : 0;
        b.columns = columns;
        b.span = 1;
        b.width = width;
        b.scale = 1;
        b.codes = rows.codes.data();
        b.unit = rows.unit.data();
        b.sums = rows.sums.data();
        b.tail = count > 0 ? rows.tail.data() : nullptr;
        b.squares = rows.squares.data();
        b.slack = rows.slack.data();
        b.cluster = cluster.data();
        b.centers = count > 0 ? projected.data() : nullptr;
        b.centers_slack = 1e-5;
        if (count > 0)
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
        const AssignIn<float> in{n, d, k, x.data(), centers.data(), nullptr, shift.data()};
        int64_t changed = 0;
        level.f32.prune(in, b, labels.data(), &changed, nullptr, Run{2, never});
        std::vector<int32_t> dense(size_t(n), -1);
        AssignOut<float> out{dense.data(), nullptr, nullptr, nullptr, true, false, 0, 0};
        level.f32.assign(in, out, nullptr, Run{2, never});
        for (size_t i = 0; i < dense.size(); ++i) wrong += dense[i] != labels[i];
        if (pass > 2 && b.scored >= n * groups) ++wrong;  // bounds must rule something out
        before = centers;
        for (float& value : centers) value += normal(random) * 0.003f;
    }
    return wrong;
}

}  // namespace

int main() {
    Level level{};
    base::add_assign(level);
    base::add_prune(level);
    int64_t wrong = 0;
    for (products = 1; products <= 4; products += 3)
        for (const int64_t d : {1, 3, 16, 61, 130})
            for (const int64_t count : {int64_t(0), d / 3, d / 2}) {
                const int64_t one = check(level, 700, d, 1 + 70 * (d > 1), count, unsigned(d));
                if (one > 0)
                    std::printf("%d products, %d columns, %d directions: %d wrong labels\n",
                                products, int(d), int(count), int(one));
                wrong += one;
            }
    std::printf("%d wrong\n", int(wrong));
    return wrong > 0;
}
