// randn: standard normal numbers, each a function of seed, stream and its own index.
//
// Philox 4x32-10 (Salmon, Moraes, Dror & Shaw 2011) under key (low, high of the seed) gives group g
// of a stream the words w of the counter (low, high of g, low, high of the stream); Box & Muller
// (1958) make normals of pairs of uniform numbers:
//
//   z_0 = sqrt(-2 log u1) cos(2 pi u2),  z_1 = sqrt(-2 log u1) sin(2 pi u2)
//
// float32: number i is number i % 4 of group i / 4. u1 = (w0 + 1/2) / 2^32, u2 = (w1 + 1/2) / 2^32
// make the first two, w2 and w3 the last two. float16 and bfloat16: these, rounded once more.
// float64: number i is number i % 2 of group i / 2, u1 = (2^32 w1 + w0 + 1/2) / 2^64,
// u2 = (2^32 w3 + w2 + 1/2) / 2^64.
//
// With u the unit roundoff of the type, |error of z| <= 10 u |z|: 5 u from the logarithm and its
// root, 3.5 u from the angle and its sine, u from their product. |z| < 6.77 in float32, 9.5 in
// float64. Numbers do not depend on the threads; instruction sets without a fused multiply-add
// round them differently.
//
// Cost of a number: 5 products of 32 bits in float32, 10 in float64, and half of a logarithm, a
// root, a sine and a cosine, all in vectors; half types cost a conversion more.
#pragma once

#include <cstdint>

namespace unsup {

enum class Number { float16, bfloat16, float32, float64 };

struct Randn {
    // The index of (sample n, channel c, position p) is first + (n C + c) P + p; without n, where
    // each sample has its own seed.
    int64_t samples, channels, positions;
    bool seeded;            // each sample has its own seed
    const uint64_t* seeds;  // IN [samples] if seeded, else [1]
    uint64_t stream, first;
    Number number;
    void* out;  // OUT [samples, positions, channels]
};

}  // namespace unsup
