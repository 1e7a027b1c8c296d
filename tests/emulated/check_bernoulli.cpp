// bernoulli and bernoulli_log_prob against loops in long double, at the level in use, in every type
// of elements. A program of its own, so that an emulator can run it without Python.
#include <algorithm>

#include "bernoulli/bernoulli.hpp"
#include "philox.hpp"
#include "tensor.hpp"

namespace {

using namespace unsup;
using namespace check;

constexpr Element kElements[] = {Element::float32, Element::float64, Element::bfloat16,
                                 Element::float16};
const char* const kNames[] = {"float32", "float64", "bfloat16", "float16"};
constexpr int64_t kOffset = 1;  // elements before a tensor, so that no vector of it is aligned

struct Probability {
    uint8_t intensity;
    float probability;
    bool one, one_of_intensity;  // what the word draws
};

// Half of them lie at the border of what draws a one, or a step of p from it.
Probability probability_for(uint32_t word) {
    // 0: the greatest that draws a zero, at which an exact multiple is tested; 1: the least that
    // draws a one.
    const int64_t kind = word % 0x01010101 == 0 ? 0 : below(4);
    const int64_t intensity = kind < 2 ? std::min<int64_t>(word / 0x01010101 + kind, 255)
                                       : (kind == 2 ? 255 * below(2) : below(256));
    const float probability = kind < 2    ? float((word >> 8) + kind) * 0x1p-24f
                              : kind == 2 ? float(below(2))
                                          : float(below(1201) - 100) / 1000;
    return {uint8_t(intensity), probability, double(word >> 8) < 0x1p24 * double(probability),
            intensity == 255 || word < 0x01010101 * uint64_t(intensity)};
}

void check_bits(int64_t rows, int64_t size, bool of_intensities, bool each) {
    const uint64_t stream = 0xFEDCBA9876543210;
    // The first words of these two are 168 and 255 times 0x01010101.
    std::vector<uint64_t> seeds{2211393, 893130978};
    for (int64_t r = 2; r < rows; ++r) seeds.push_back(~(uint64_t(r) * 0x123456789ABCDEF1));
    std::vector<uint8_t> intensities(kOffset);
    std::vector<float> probabilities(kOffset);
    std::vector<bool> ones;
    for (int64_t i = 0; i < rows * size; ++i) {
        const uint64_t seed = seeds[size_t(each ? i / size : 0)];
        const uint64_t index = uint64_t(each ? i % size : i);
        const Probability p = probability_for(philox(seed, stream, index / 4)[index % 4]);
        intensities.push_back(p.intensity);
        probabilities.push_back(p.probability);
        ones.push_back(of_intensities ? p.one_of_intensity : p.one);
    }
    Tensor out(Element::float32, rows * size + 2 * kOffset);
    level().bernoulli({rows,
                       size,
                       of_intensities ? &intensities[kOffset] : nullptr,
                       of_intensities ? nullptr : &probabilities[kOffset],
                       {seeds.data(), each, stream},
                       reinterpret_cast<float*>(out.at(kOffset))},
                      two_threads());
    const std::string what = of_intensities ? "bernoulli, uint8" : "bernoulli, float32";
    for (int64_t i = 0; i < rows * size; ++i)
        tally.near(out[kOffset + i], double(ones[size_t(i)]), 0, what);
    tally.expect(std::isnan(out[0]), what + ": before the start", out[0], NAN);
    tally.expect(std::isnan(out[rows * size + kOffset]), what + ": past the end", 0, NAN);
}

// Series, since Bochs errs by units of float64 in the x87's logarithm and exponential.
long double exponential(long double x) {
    if (!std::isfinite(x)) return std::exp(x);
    const long double ln2 = 0.693147180559945309417232121458L, n = std::nearbyint(x / ln2);
    long double sum = 1;
    for (int i = 24; i > 0; --i) sum = 1 + sum * (x - n * ln2) / i;
    return std::ldexp(sum, int(n));
}

long double log_sigmoid(long double l) {
    const long double e = exponential(-std::abs(l)), t = e / (e + 2);
    long double series = 0;  // artanh t = t + t^3 / 3 + ...
    for (int i = 24; i >= 0; --i) series = series * t * t + 1 / (2.0L * i + 1);
    return std::min(l, 0.0L) - 2 * t * series;
}

// Logits are normals, among them others.
enum class Among { none, large, not_finite };

struct Likelihood {
    Element element;
    int64_t rows, x_rows, size;
    bool bits;  // else x is between 0 and 1
    Among among;
};

Tensor logits_of(const Likelihood& a) {
    // About the ends of exp's range in float32 and float64.
    const double large[] = {1e4, -1e4, 86, -86, 88, -88, 104, -104, 707, -707, 709, -709, 0};
    const double not_finite[] = {INFINITY, -INFINITY, NAN};
    Tensor logits(a.element, kOffset + a.rows * a.size);
    for (int64_t i = 0; i < a.rows * a.size; ++i) {
        const bool other = a.among == Among::large && below(4) == 0;
        logits.set(kOffset + i, other ? large[below(13)] : normals<double>(1, 0, 4)[0]);
    }
    for (int64_t r = 0; r < a.rows && a.among == Among::not_finite; ++r)
        logits.set(kOffset + r * a.size + below(a.size), not_finite[r % 3]);
    return logits;
}

void expect_near(double actual, long double expected, double bound, const std::string& what) {
    if (std::isfinite(expected))
        tally.near(double(static_cast<long double>(actual) - expected), 0, bound, what);
    else
        tally.expect(std::isnan(expected) ? std::isnan(actual) : actual == double(expected), what,
                     actual, double(expected));
}

void check_log_prob(const Likelihood& a) {
    const bool is_double = a.element == Element::float64;
    const Element compute = is_double ? Element::float64 : Element::float32;
    const double unit = is_double ? 0x1p-53 : 0x1p-24, least = is_double ? 0x1p-1022 : 0x1p-126,
                 rounding[] = {0, 0, 0x1p-8, 0x1p-11};  // of the gradient to its type
    Tensor logits = logits_of(a), x(compute, kOffset + a.x_rows * a.size),
           of_out(compute, kOffset + a.rows), out(compute, a.rows + 2 * kOffset),
           of_logits(a.element, a.rows * a.size + 2 * kOffset);
    for (int64_t i = 0; i < a.x_rows * a.size; ++i)
        x.set(kOffset + i, a.bits ? double(below(2)) : uniforms<double>(1, 0, 1)[0]);
    for (int64_t r = 0; r < a.rows; ++r) of_out.set(kOffset + r, normals<double>(1)[0]);
    BernoulliLogProb forward{a.element,     a.rows,          a.x_rows, a.size, logits.at(kOffset),
                             x.at(kOffset), out.at(kOffset), nullptr,  nullptr};
    BernoulliLogProb backward = forward;
    backward.out = nullptr;
    backward.of_log_prob = of_out.at(kOffset);
    backward.of_logits = of_logits.at(kOffset);
    level().bernoulli_log_prob(forward, two_threads());
    level().bernoulli_log_prob(backward, two_threads());
    const std::string what = std::string("bernoulli_log_prob, ") + kNames[int(a.element)];
    for (int64_t r = 0; r < a.rows; ++r) {
        long double row = 0, sizes = 0, products = 0;
        const double of_row = of_out[kOffset + r];
        for (int64_t i = 0; i < a.size; ++i) {
            const int64_t at = kOffset + r * a.size + i;
            const long double l = logits[at], one = x[kOffset + r % a.x_rows * a.size + i];
            const long double term = (one == 0 ? 0 : one * log_sigmoid(l)) +
                                     (one == 1 ? 0 : (1 - one) * log_sigmoid(-l));
            row += term;
            sizes += std::abs(term);
            products += a.bits ? 0 : std::abs(one * l);
            const long double slope =
                of_row * (one / (1 + exponential(l)) - (1 - one) / (1 + exponential(-l)));
            const double near = 4 * unit * std::abs(of_row) +
                                rounding[int(a.element)] * std::abs(double(slope)) +
                                (a.element == Element::float16 ? 0x1p-25 : 0);
            expect_near(of_logits[at], slope, near, what + ": gradient");
        }
        const double near = unit * double((a.size == 1 ? 6 : kTerms + 8) * sizes + 6 * products);
        expect_near(out[kOffset + r], row, near + double(a.size) * least, what);
    }
    tally.expect(std::isnan(out[0]), what + ": before the start", out[0], NAN);
    tally.expect(std::isnan(out[a.rows + kOffset]), what + ": past the end", 0, NAN);
    tally.expect(std::isnan(of_logits[0]), what + ": gradient before the start", 0, NAN);
    tally.expect(std::isnan(of_logits[a.rows * a.size + kOffset]), what + ": gradient past the end",
                 0, NAN);
}

}  // namespace

int main() {
    const int64_t drawn[][2] = {{1, 1}, {3, 7}, {5, 65}, {2, 784}, {3, 11003}};  // two threads last
    for (const auto& [rows, size] : drawn)
        for (const bool of_intensities : {false, true})
            for (const bool each : {false, true}) check_bits(rows, size, of_intensities, each);
    const int64_t shapes[][3] = {{67, 67, 1}, {3, 3, 7}, {6, 3, 33}, {9, 3, 130}, {4, 2, 784}};
    for (const Element element : kElements) {
        for (const auto& [rows, x_rows, size] : shapes)
            for (const bool bits : {false, true})
                for (const Among among : {Among::none, Among::large, Among::not_finite})
                    check_log_prob({element, rows, x_rows, size, bits, among});
        check_log_prob({element, 34, 17, 1111, false, Among::none});  // by two threads
    }
    return tally.report();
}
