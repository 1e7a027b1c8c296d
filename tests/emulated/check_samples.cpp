// The operations on images against loops in float64, at the level in use: randn, noise, denoise and
// group_norm, in every type of elements. A program of its own, so that an emulator can run it
// without Python.
#include <algorithm>

#include "denoise/denoise.hpp"
#include "group_norm/group_norm.hpp"
#include "noise/noise.hpp"
#include "philox.hpp"
#include "randn/randn.hpp"
#include "samples/mix.hpp"
#include "tensor.hpp"

namespace {

using namespace unsup;
using namespace check;

constexpr Element kElements[] = {Element::float32, Element::float64, Element::bfloat16,
                                 Element::float16};
const char* const kNames[] = {"float32", "float64", "bfloat16", "float16"};
constexpr double kBounds[] = {1e-5, 1e-13, 1.0 / 128, 1.0 / 1024};  // of the tests in Python

// Number i of a stream, by Philox 4x32-10 and Box-Muller in long double (randn.hpp).
long double normal(uint64_t seed, uint64_t stream, uint64_t i, bool wide) {
    const auto w = philox(seed, stream, i / (wide ? 2 : 4));
    const size_t first = wide ? 0 : i % 4 / 2 * 2;
    const uint64_t a = wide ? uint64_t(w[1]) << 32 | w[0] : w[first],
                   b = wide ? uint64_t(w[3]) << 32 | w[2] : w[first + 1];
    const long double unit = std::ldexp(1.0L, wide ? -64 : -32);
    const long double u1 = (static_cast<long double>(a) + 0.5L) * unit,
                      angle = 8 * std::atan(1.0L) * (static_cast<long double>(b) + 0.5L) * unit;
    // log u1 from 1 - u1 near one, which is exact.
    const uint64_t top = wide ? ~uint64_t(0) : 0xFFFFFFFF;
    const long double rest = (static_cast<long double>(top - a) + 0.5L) * unit,
                      log_u1 = a > top / 2 ? std::log1p(-rest) : std::log(u1);
    return std::sqrt(-2 * log_u1) * (i % 2 == 0 ? std::cos(angle) : std::sin(angle));
}

void check_randn(Number number, Element element, int64_t samples, int64_t channels,
                 int64_t positions, bool seeded) {
    const uint64_t seeds[] = {0x123456789ABCDEF0, 7, ~uint64_t(0), 1};
    const uint64_t stream = 0x1234567890, first = seeded ? 0 : (uint64_t(3) << 32) - 5;
    const bool wide = number == Number::float64;
    Tensor out(element, samples * channels * positions + 1);
    level().randn({samples, channels, positions, seeded, seeds, stream, first, number, out.at(0)},
                  two_threads());
    const double unit[] = {1.2e-7, 2.3e-16, 1.0 / 256, 1.0 / 2048};
    for (int64_t n = 0; n < samples; ++n)
        for (int64_t p = 0; p < positions; ++p)
            for (int64_t c = 0; c < channels; ++c) {
                const int64_t index = ((seeded ? 0 : n) * channels + c) * positions + p;
                const long double truth =
                    normal(seeds[seeded ? n : 0], stream, first + uint64_t(index), wide);
                const double half = 10 * unit[wide] / 2 * std::abs(double(truth)) + 64 * 1.1e-19,
                             rounding = size_of(element) == 2
                                            ? unit[int(element)] * (std::abs(double(truth)) + 1e-4)
                                            : 0;
                const double actual = out[(n * positions + p) * channels + c];
                tally.near(double(static_cast<long double>(actual) - truth), 0, half + rounding,
                           std::string("randn, ") + kNames[int(element)]);
            }
    tally.expect(std::isnan(out[samples * channels * positions]), "randn: past the end", 0, NAN);
}

// Grids of B samples of C channels of P positions, and tensors of them in either layout.
struct Images {
    Grid grid;
    bool last;
    double near;

    int64_t size() const { return grid.samples * grid.channels * grid.positions; }
    Samples samples(Tensor& tensor) const {
        return {tensor.at(0), grid.channels * grid.positions, last};
    }
    // Where an element is in memory, and its number as if the tensor were row-major.
    template <class Visit>
    void each(const Visit& visit) const {
        for (int64_t b = 0; b < grid.samples; ++b)
            for (int64_t c = 0; c < grid.channels; ++c)
                for (int64_t p = 0; p < grid.positions; ++p) {
                    const int64_t row_major = (b * grid.channels + c) * grid.positions + p,
                                  at = (b * grid.positions + p) * grid.channels + c;
                    visit(b, last ? at : row_major, row_major);
                }
    }
};

void check_noise(const Images& images, Target target, bool draws) {
    const Grid& g = images.grid;
    Tensor x0 = drawn(g.element, images.size()), eps = drawn(g.element, images.size()),
           out(g.element, images.size()), out_target(g.element, images.size());
    const auto signal = uniforms<double>(g.samples, 0.1, 1),
               sigma = uniforms<double>(g.samples, 0.1, 1);
    const uint64_t seed = 12345, stream = 3;
    Noise noise{g,
                images.samples(x0),
                draws ? Samples{} : images.samples(eps),
                draws ? Draw{&seed, false, stream} : Draw{},
                signal.data(),
                sigma.data(),
                target,
                images.samples(out),
                target == Target::none ? Samples{} : images.samples(out_target)};
    level().noise(noise, two_threads());
    images.each([&](int64_t b, int64_t at, int64_t number) {
        const double s = signal[size_t(b)], t = sigma[size_t(b)], x = x0[at],
                     e = draws ? double(normal(seed, stream, uint64_t(number),
                                               g.element == Element::float64))
                               : eps[at];
        const double targets[] = {0, e, s * e - t * x, e - x}, near = images.near;
        tally.near(out[at], s * x + t * e, near * (1 + std::abs(s * x) + std::abs(t * e)), "noise");
        if (target != Target::none)
            tally.near(out_target[at], targets[int(target)], near * (1 + std::abs(x) + std::abs(e)),
                       "noise: target");
    });
}

void check_denoise(const Images& images, bool thresholded, bool draws) {
    const Grid& g = images.grid;
    const int64_t n = images.size();
    std::vector<Tensor> in(9, Tensor(g.element, 0)), out(3, Tensor(g.element, n));
    for (Tensor& tensor : in) tensor = drawn(g.element, n);
    const auto entries = uniforms<double>(21, -1, 1);
    Row r;
    std::memcpy(&r, entries.data(), sizeof r);
    r.guidance = 3;
    r.clip = thresholded ? INFINITY : 0.8;
    const uint64_t seed = 99, stream = 5;
    Denoise d{g,
              r,
              images.samples(in[0]),
              images.samples(in[1]),
              images.samples(in[2]),
              images.samples(in[3]),
              {images.samples(in[4]), images.samples(in[5]), images.samples(in[6]),
               images.samples(in[7])},
              draws ? Samples{} : images.samples(in[8]),
              draws ? Draw{&seed, false, stream} : Draw{},
              thresholded,
              0.9,
              2.5,
              images.samples(out[0]),
              images.samples(out[1]),
              images.samples(out[2])};
    level().denoise(d, two_threads());
    const auto x0_at = [&](int64_t at) {
        const double model = in[2][at] + r.guidance * (in[1][at] - in[2][at]);
        return r.x0_x * in[0][at] + r.x0_output * model;
    };
    std::vector<double> bound(size_t(g.samples), r.clip);
    for (int64_t b = 0; thresholded && b < g.samples; ++b) {
        std::vector<double> sizes;
        for (int64_t i = 0; i < n / g.samples; ++i)
            sizes.push_back(std::abs(x0_at(b * (n / g.samples) + i)));
        std::sort(sizes.begin(), sizes.end());
        const double rank = 0.9 * double(sizes.size() - 1), part = rank - std::floor(rank);
        const double quantile =
            (1 - part) * sizes[size_t(rank)] + part * sizes[size_t(std::ceil(rank))];
        bound[size_t(b)] = std::min(std::max(quantile, 1.0), 2.5);
    }
    images.each([&](int64_t b, int64_t at, int64_t number) {
        const double most = bound[size_t(b)], x = in[0][at];
        const double x0 = std::min(std::max(x0_at(at), -most), most) / (thresholded ? most : 1);
        const double z =
            draws ? double(normal(seed, stream, uint64_t(number), g.element == Element::float64))
                  : in[8][at];
        const double keep = r.keep_x * x + r.keep_x0 * x0;
        double next =
            r.next_x * x + r.next_keep * keep + r.next_anchor * in[3][at] + r.next_noise * z;
        double anchor = r.anchor_x * x + r.anchor_keep * keep + r.anchor_anchor * in[3][at];
        for (int j = 0; j < 4; ++j) {
            next += r.next_history[j] * in[size_t(4 + j)][at];
            anchor += r.anchor_history[j] * in[size_t(4 + j)][at];
        }
        const double near = images.near * 20;  // up to ten terms, x0 among them
        tally.near(out[0][at], next, near, "denoise: next");
        tally.near(out[1][at], keep, near, "denoise: keep");
        tally.near(out[2][at], anchor, near, "denoise: anchor");
    });
}

// C is the type of the arithmetic.
template <class C>
void check_group_norm(const Grid& g, int64_t groups, bool silu) {
    const int64_t n = g.samples * g.channels * g.positions, bc = g.samples * g.channels;
    Tensor x = drawn(g.element, n), of_out = drawn(g.element, n), out(g.element, n),
           of_x(g.element, n);
    const auto weight = normals<C>(g.channels), bias = normals<C>(g.channels),
               scale = normals<C>(bc), shift = normals<C>(bc);
    auto of_gain = poisoned<C>(bc), of_shift = poisoned<C>(bc);
    GroupNorm forward{g,           groups,       1e-5,         silu,    weight.data(),
                      bias.data(), scale.data(), shift.data(), x.at(0), out.at(0),
                      nullptr,     nullptr,      nullptr,      nullptr};
    GroupNorm backward = forward;
    backward.out = nullptr;
    backward.of_out = of_out.at(0);
    backward.of_x = of_x.at(0);
    backward.of_gain = of_gain.data();
    backward.of_shift = of_shift.data();
    level().group_norm(forward, two_threads());
    level().group_norm(backward, two_threads());
    const int64_t width = g.channels / groups;
    const double count = double(width * g.positions), near = kBounds[int(g.element)];
    const std::string what = std::string("group_norm, ") + kNames[int(g.element)];
    for (int64_t group = 0; group < g.samples * groups; ++group) {
        const int64_t b = group / groups, c0 = group % groups * width;
        const auto each = [&](const auto& visit) {
            for (int64_t p = 0; p < g.positions; ++p)
                for (int64_t c = c0; c < c0 + width; ++c)
                    visit((b * g.positions + p) * g.channels + c, c, b * g.channels + c);
        };
        double mean = 0, variance = 0;
        each([&](int64_t at, int64_t, int64_t) { mean += x[at] / count; });
        each([&](int64_t at, int64_t, int64_t) {
            variance += (x[at] - mean) * (x[at] - mean) / count;
        });
        const double spread = std::sqrt(variance + 1e-5);
        struct Derivative {
            double u, of_v, of_u, out;
        };
        const auto at_element = [&](int64_t at, int64_t c, int64_t row) {
            const double u = (x[at] - mean) / spread, gain = 1 + double(scale[size_t(row)]),
                         v = (u * double(weight[size_t(c)]) + double(bias[size_t(c)])) * gain +
                             double(shift[size_t(row)]),
                         s = 1 / (1 + std::exp(-v)),
                         of_v = of_out[at] * (silu ? s * (1 + v * (1 - s)) : 1);
            return Derivative{u, of_v, of_v * double(weight[size_t(c)]) * gain, silu ? v * s : v};
        };
        double mean_of_u = 0, mean_of_u_u = 0;
        std::vector<double> gains(size_t(width), 0), shifts = gains, size(size_t(width), 0);
        each([&](int64_t at, int64_t c, int64_t row) {
            const Derivative d = at_element(at, c, row);
            mean_of_u += d.of_u / count;
            mean_of_u_u += d.of_u * d.u / count;
            gains[size_t(c - c0)] += d.of_v * d.u;
            shifts[size_t(c - c0)] += d.of_v;
            size[size_t(c - c0)] += std::abs(d.of_v) * (1 + std::abs(d.u));
        });
        each([&](int64_t at, int64_t c, int64_t row) {
            const Derivative d = at_element(at, c, row);
            const double slope = (d.of_u - mean_of_u - d.u * mean_of_u_u) / spread;
            tally.near(out[at], d.out, near * (1 + std::abs(d.out)), what);
            tally.near(of_x[at], slope,
                       4 * near * (1 + std::abs(slope) + std::abs(d.of_u / spread)),
                       what + ": gradient");
        });
        const double exact = sizeof(C) == 8 ? 1e-13 : 1e-5;
        for (int64_t c = 0; c < width; ++c) {
            const size_t row = size_t(b * g.channels + c0 + c);
            tally.near(double(of_gain[row]), gains[size_t(c)], exact * (1 + size[size_t(c)]),
                       what + ": gradient of the gain");
            tally.near(double(of_shift[row]), shifts[size_t(c)], exact * (1 + size[size_t(c)]),
                       what + ": gradient of the shift");
        }
    }
}

}  // namespace

int main() {
    const Number numbers[] = {Number::float32, Number::float64, Number::bfloat16, Number::float16};
    const int64_t shapes[][3] = {{1, 1, 1}, {2, 3, 17}, {3, 5, 31}, {1, 33, 9}, {4, 8, 16}};
    for (const Element element : kElements)
        for (const auto& [b, c, p] : shapes) {
            const Grid grid{element, b, c, p};
            for (const bool each : {false, true})
                check_randn(numbers[int(element)], element, b, c, p, each);
            for (const bool last : {false, true}) {
                const Images images{grid, last, kBounds[int(element)]};
                for (const Target target : {Target::none, Target::eps, Target::v, Target::flow})
                    check_noise(images, target, target == Target::v);
                for (const bool thresholded : {false, true})
                    check_denoise(images, thresholded, last);
            }
        }
    // Outputs that are stored past the caches.
    for (const Element element : {Element::float64, Element::bfloat16}) {
        const int64_t size = kStreamBytes / size_of(element);
        check_noise({{element, 1, 1, size + 7}, false, kBounds[int(element)]}, Target::none, false);
    }
    const int64_t normed[][4] = {
        {1, 1, 1, 1}, {3, 2, 17, 2}, {2, 15, 15, 3}, {2, 33, 63, 11}, {1, 64, 85, 8}};
    for (const Element element : kElements)
        for (const auto& [b, c, p, groups] : normed)
            for (const bool silu : {false, true}) {
                const Grid grid{element, b, c, p};
                if (element == Element::float64)
                    check_group_norm<double>(grid, groups, silu);
                else
                    check_group_norm<float>(grid, groups, silu);
            }
    return tally.report();
}
