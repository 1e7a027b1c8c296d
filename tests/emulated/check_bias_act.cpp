// bias_act and its gradient against loops in float64 and long double, at the level in use, in every
// type of elements. A program of its own, so that an emulator can run it without Python.
#include "bias_act/bias_act.hpp"

#include "samples/mix.hpp"
#include "tensor.hpp"

namespace {

using namespace unsup;
using namespace check;

constexpr Element kElements[] = {Element::float32, Element::float64, Element::bfloat16,
                                 Element::float16};
const char* const kNames[] = {"float32", "float64", "bfloat16", "float16"};
// Of an element: three roundings, and that to the type of half precision.
constexpr double kBounds[] = {3 * 0x1p-24, 3 * 0x1p-53, 0x1.01p-8, 0x1.01p-11};
constexpr double kLeast[] = {0x1p-126, 0x1p-1022, 0x1p-126, 0x1p-25};

struct Case {
    Element element;
    int64_t rows, channels;
    bool biased, signs, summed;
    int64_t offset;  // elements before a tensor, so that no vector of it is aligned
};

// C is the type of the arithmetic.
template <class C>
void check_bias_act(const Case& a) {
    const int64_t n = a.rows * a.channels;
    const double slope = 0.3, gain = 1.5, unit = sizeof(C) == 8 ? 0x1p-53 : 0x1p-24;
    Tensor x = drawn(a.element, n + a.offset), sign = drawn(a.element, n + 2 * a.offset),
           out(a.element, n + a.offset + 1);
    const auto bias = normals<C>(a.channels);
    auto sums = poisoned<C>(a.channels);
    level().bias_act({a.element, a.rows, a.channels, slope, gain, x.at(a.offset),
                      a.biased ? bias.data() : nullptr, a.signs ? sign.at(2 * a.offset) : nullptr,
                      out.at(a.offset), a.summed ? sums.data() : nullptr},
                     two_threads());
    const std::string what = std::string("bias_act, ") + kNames[int(a.element)];
    std::vector<long double> totals(size_t(a.channels), 0), sizes = totals;
    for (int64_t i = 0; i < n; ++i) {
        const size_t c = size_t(i % a.channels);
        const long double v = static_cast<long double>(x[a.offset + i]) +
                              (a.biased ? static_cast<long double>(bias[c]) : 0);
        const bool up = a.signs ? sign[2 * a.offset + i] > 0 : v > 0;
        const long double truth = v * (up ? gain : gain * slope);
        totals[c] += truth;
        sizes[c] += std::abs(truth);
        tally.near(double(out[a.offset + i] - truth), 0,
                   kBounds[int(a.element)] * std::abs(double(truth)) + kLeast[int(a.element)],
                   what);
    }
    for (size_t c = 0; a.summed && c < sums.size(); ++c)
        tally.near(double(sums[c] - totals[c]), 0,
                   double(kAdded + 4) * unit * double(sizes[c]) + kLeast[int(a.element)],
                   what + ": sums");
    for (size_t c = 0; !a.summed && c < sums.size(); ++c)
        tally.expect(std::isnan(sums[c]), what + ": no sums", double(sums[c]), NAN);
    if (a.offset > 0) tally.expect(std::isnan(out[0]), what + ": before the start", out[0], NAN);
    tally.expect(std::isnan(out[a.offset + n]), what + ": past the end", out[a.offset + n], NAN);
}

void check_element(const Case& a) {
    a.element == Element::float64 ? check_bias_act<double>(a) : check_bias_act<float>(a);
}

}  // namespace

int main() {
    // Fewer channels than lanes, ends of blocks, periods of several rows, two chunks and threads.
    const int64_t shapes[][2] = {{1, 1},   {5, 3},   {33, 17},   {257, 16},
                                 {67, 65}, {9, 130}, {3501, 10}, {175, 192}};
    for (const Element element : kElements) {
        for (const auto& [rows, channels] : shapes)
            for (const bool biased : {false, true})
                for (const bool signs : {false, true})
                    for (const bool summed : {false, true})
                        check_element({element, rows, channels, biased, signs, summed, 1});
    }
    for (const Element element : {Element::float64, Element::bfloat16}) {  // past the caches
        const int64_t rows = kStreamBytes / size_of(element) / 48 + 3;
        check_element({element, rows, 48, true, true, false, 0});
    }
    return tally.report();
}
