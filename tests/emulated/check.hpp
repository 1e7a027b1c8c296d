// What the programs of this folder share: random inputs, poisoned outputs, and the comparison of
// outputs with references in float64 at the level in use.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "dispatch/level.hpp"
#include "parallel/run.hpp"
#include "prune/prune.hpp"

namespace check {

inline std::mt19937& generator() {
    static std::mt19937 random(1);
    return random;
}

inline int64_t below(int64_t n) { return int64_t(generator()() % uint64_t(n)); }

template <class T>
std::vector<T> normals(int64_t n, double mean = 0, double deviation = 1) {
    std::normal_distribution<double> normal(mean, deviation);
    std::vector<T> x;
    for (int64_t i = 0; i < n; ++i) x.push_back(T(normal(generator())));
    return x;
}

template <class T>
std::vector<T> uniforms(int64_t n, double low, double high) {
    std::uniform_real_distribution<double> uniform(low, high);
    std::vector<T> x;
    for (int64_t i = 0; i < n; ++i) x.push_back(T(uniform(generator())));
    return x;
}

// NaN, or for whole numbers what no operation writes.
template <class T>
std::vector<T> poisoned(int64_t n) {
    using Limits = std::numeric_limits<T>;
    return std::vector<T>(size_t(n), Limits::has_quiet_NaN ? Limits::quiet_NaN() : T(-99));
}

// How many numbers have been compared, and how many of them were not what they must be.
struct Tally {
    int64_t compared = 0, wrong = 0;

    void expect(bool right, const std::string& what, double actual, double expected) {
        ++compared;
        if (right) return;
        if (++wrong <= 20)
            std::printf("%s: %.9g instead of %.9g\n", what.c_str(), actual, expected);
    }
    void near(double actual, double expected, double bound, const std::string& what) {
        expect(std::abs(actual - expected) <= bound, what, actual, expected);  // not so for a NaN
    }
    template <class T, class U>
    void near(const std::vector<T>& actual, const std::vector<U>& expected, double relative,
              double absolute, const std::string& what) {
        for (size_t i = 0; i < expected.size(); ++i) {
            const double wanted = double(expected[i]);
            near(double(actual[i]), wanted, absolute + relative * std::abs(wanted), what);
        }
    }
    template <class T, class U>
    void equal(const std::vector<T>& actual, const std::vector<U>& expected,
               const std::string& what) {
        near(actual, expected, 0, 0, what);
    }

    // The exit status; prints the level, the products of bytes it sums, and the counts.
    int report() const {
        std::printf("%s, %d products: %lld of %lld wrong\n", unsup::level().name,
                    unsup::byte_products(), static_cast<long long>(wrong),
                    static_cast<long long>(compared));
        return wrong > 0 || compared == 0;
    }
};

inline Tally tally;

inline unsup::Run two_threads() {
    return {2, [] { return false; }};
}

}  // namespace check
