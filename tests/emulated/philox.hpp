// The words that randn and bernoulli draw from, by Philox 4x32-10 (randn.hpp).
#pragma once

#include <array>
#include <cstdint>

namespace check {

inline std::array<uint32_t, 4> philox(uint64_t seed, uint64_t stream, uint64_t group) {
    std::array<uint32_t, 4> w{uint32_t(group), uint32_t(group >> 32), uint32_t(stream),
                              uint32_t(stream >> 32)};
    uint32_t key[2] = {uint32_t(seed), uint32_t(seed >> 32)};
    for (int round = 0; round < 10; ++round) {
        const uint64_t even = uint64_t(0xD2511F53) * w[0], odd = uint64_t(0xCD9E8D57) * w[2];
        w = {uint32_t(odd >> 32) ^ w[1] ^ key[0], uint32_t(odd),
             uint32_t(even >> 32) ^ w[3] ^ key[1], uint32_t(even)};
        key[0] += 0x9E3779B9;
        key[1] += 0xBB67AE85;
    }
    return w;
}

}  // namespace check
