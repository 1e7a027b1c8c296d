// Tensors of any type of elements, as the programs that check operations on images see them.
#pragma once

#include <algorithm>
#include <cstring>

#include "check.hpp"
#include "samples/samples.hpp"

namespace check {

using unsup::Element;

inline int64_t size_of(Element element) {
    const int64_t sizes[] = {4, 8, 2, 2};
    return sizes[int(element)];
}

// Elements of any type, read and written as float64.
struct Tensor {
    Element element;
    std::vector<uint64_t> words;  // all bits set, NaN in every type, until something is written

    Tensor(Element element_, int64_t n)
        : element(element_), words(size_t(n * size_of(element) + 7) / 8 + 1, ~uint64_t(0)) {}

    char* at(int64_t i) { return reinterpret_cast<char*>(words.data()) + i * size_of(element); }
    double operator[](int64_t i) {
        if (element == Element::float64) return read<double>(i);
        if (element == Element::float32) return double(read<float>(i));
        const uint32_t bits = read<uint16_t>(i);
        if (element == Element::bfloat16) {
            const uint32_t wide = bits << 16;
            float value;
            std::memcpy(&value, &wide, sizeof value);
            return double(value);
        }
        const int exponent = int(bits >> 10 & 31), fraction = int(bits & 1023);
        double size =
            exponent > 0 ? std::ldexp(1024 + fraction, exponent - 25) : std::ldexp(fraction, -24);
        if (exponent == 31) size = fraction == 0 ? INFINITY : NAN;
        return bits >> 15 ? -size : size;
    }
    // Half types are rounded towards zero.
    void set(int64_t i, double value) {
        if (element == Element::float64) return write(i, value);
        const float single = float(value);
        if (element == Element::float32) return write(i, single);
        uint32_t bits;
        std::memcpy(&bits, &single, sizeof bits);
        if (element == Element::bfloat16) return write(i, uint16_t(bits >> 16));
        const double size = std::abs(value);  // less than 2^16, or infinite
        int half = std::isnan(value) ? 0x7e00 : 0x7c00;
        if (std::isfinite(value)) {
            int exponent;
            std::frexp(size, &exponent);
            exponent = std::max(exponent, -13);  // of the least normal number
            half = (exponent + 13) * 1024 + int(std::ldexp(size, 11 - exponent));
        }
        write(i, uint16_t(half | (std::signbit(value) ? 0x8000 : 0)));
    }
    template <class T>
    T read(int64_t i) {
        T value;
        std::memcpy(&value, at(i), sizeof value);
        return value;
    }
    template <class T>
    void write(int64_t i, T value) {
        std::memcpy(at(i), &value, sizeof value);
    }
};

// Normals, repeated after kPeriod of them.
constexpr int64_t kPeriod = 16381;
inline Tensor drawn(Element element, int64_t n) {
    Tensor tensor(element, n);
    const auto values = normals<double>(std::min(n, kPeriod));
    for (int64_t i = 0; i < n; ++i) tensor.set(i, values[size_t(i % kPeriod)]);
    return tensor;
}

}  // namespace check
