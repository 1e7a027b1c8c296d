// bernoulli: bits drawn by their probabilities, and the log-likelihood of bits under logits with
// its gradient.
//
//   bit i    1 if w < 0x01010101 p or p = 255, else 0    for intensities p of 8 bits, p / 255
//            1 if floor(w / 2^8) < 2^24 p, else 0        for probabilities p
//
// where w is word i % 4 of group i / 4, of which randn.hpp makes number i of float32. Zero and one
// are certain; other intensities err by less than 2^-32, probabilities by less than 2^-24.
//
//   log_prob_r = sum_i x_i l_i - log(1 + exp(l_i)),   of_l_i = of_log_prob_r (x_i - sigmoid(l_i))
//
// for rows r of logits and row r % x_rows of x, in float32, in float64 for float64; each result is
// rounded once. A term is (x - [l > 0]) l - log1p(exp(-|l|)), whose first factor is exact for bits,
// so that no large logit costs accuracy: a term's error is at most 6 u (|term| + |x l|) (without
// the second part for bits), u the unit roundoff. Sums run in that type over at most kTerms terms
// of a lane and its three neighbours, in float64 beyond: of a row they err by at most
// (kTerms + 8) u sum |term|. An infinite logit that
// x agrees with costs nothing, another one makes minus infinity; a NaN makes NaN. Threads change
// no bit.
//
// Cost: a bit 5 products of 32 bits for each 2; a term an exponential, two series of seven terms
// and a division; its gradient an exponential and a division. All is read and written once.
#pragma once

#include <cstdint>

#include "samples/samples.hpp"

namespace unsup {

constexpr int kTerms = 16;

struct Bernoulli {
    int64_t rows, size;
    const uint8_t* intensities;  // IN [rows][size], or null
    const float* probabilities;  // IN [rows][size], or null
    Draw draw;
    float* out;  // OUT [rows][size]
};

struct BernoulliLogProb {
    Element element;  // of logits and of_logits
    int64_t rows, x_rows, size;
    const void* logits;  // IN [rows][size]
    // In the type of the arithmetic.
    const void* x;            // IN [x_rows][size]
    void* out;                // OUT [rows], or null where the gradient is asked for
    const void* of_log_prob;  // IN [rows] or null
    void* of_logits;          // OUT [rows][size] or null
};

}  // namespace unsup
