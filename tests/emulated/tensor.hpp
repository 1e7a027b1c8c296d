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

// Elements of any type, read as float64.
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
        if (exponent == 31) return NAN;
        const double size =
            exponent > 0 ? std::ldexp(1024 + fraction, exponent - 25) : std::ldexp(fraction, -24);
        return bits >> 15 ? -size : size;
    }
    template <class T>
    T read(int64_t i) {
        T value;
        std::memcpy(&value, at(i), sizeof value);
        return value;
    }
};

// Normals, or in half types numbers of about that size, repeated after kPeriod of them.
constexpr int64_t kPeriod = 16381;
inline Tensor drawn(Element element, int64_t n) {
    Tensor tensor(element, n);
    const auto values = normals<double>(std::min(n, kPeriod));
    for (int64_t i = 0; i < n; ++i) {
        if (i >= kPeriod) {
            std::memcpy(tensor.at(i), tensor.at(i - kPeriod), size_t(size_of(element)));
            continue;
        }
        const float single = float(values[size_t(i)]);
        // Half types: signs and fractions at random, sizes between 1/8 and 4.
        const bool brain = element == Element::bfloat16;
        const uint16_t half =
            uint16_t(below(2) << 15 | (brain ? 124 + below(5) : 12 + below(5)) << (brain ? 7 : 10) |
                     below(brain ? 128 : 1024));
        if (element == Element::float64)
            std::memcpy(tensor.at(i), &values[size_t(i)], 8);
        else if (element == Element::float32)
            std::memcpy(tensor.at(i), &single, 4);
        else
            std::memcpy(tensor.at(i), &half, 2);
    }
    return tensor;
}

}  // namespace check
