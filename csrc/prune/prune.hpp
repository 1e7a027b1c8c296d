// prune: the labels of assign, with most centroids of a row ruled out by bounds.
//
// For an orthonormal basis Q of R directions, z = Q^T x' and t = |x' - Q z| (the tail),
//
//   |x' - c'|^2 >= |z_x - z_c|^2 + (t_x - t_c)^2 = |y_x - y_c|^2,   y = (z, t)
//
// Centroids are in slots such that near ones are together, `span` groups of 16 to a bound.
// Stored between passes, for each row
//
//   upper  >= sqrt(|x' - c'_own|^2 + rounding)                   c'_own: the centroid of its label
//   lower_b <= min |x' - c'_k| over the k of bound b but its own
//
// and as centroids move, upper grows by the displacement of the own one and lower_b falls by the
// largest of b's (Elkan, ICML 2003; Ding et al., "Yinyang k-means", ICML 2015). While lower_b >
// upper no centroid of b can be nearest. Where that is not so, the distance to the own centroid is
// computed anew; where it is still not so, b's centroids are scored in the R + 1 columns of y,
// which gives a new lower_b; only those that survive are looked at in all D.
//
// Instead of z, or of all columns of x' (then t = 0), bytes may be stored: y = (unit * codes, t),
// with a unit for each row and each centroid, so that the products of codes are whole numbers
// without error, and how far y is from (z, t) is known. Where an instruction sums the products of
// four bytes (AVX-512 VNNI, AVX-VNNI, Armv8.2's dot product), four columns take the time of one;
// where one sums those of two in 16 bits (AVX2), that of two, and codes of rows have 7 bits.
// Centroids that codes of directions do not rule out are then scored by codes of all columns, one
// by one, before they are looked at in x' itself.
//
// Exact: all bounds are of x' and c' as rounded by assign; y is known up to `slack`; a centroid is
// only ruled out if assign's score of it could not be the best; candidates whose distances differ
// by less than the rounding of scores are scored in assign's order of operations. So the labels are
// those of assign bit for bit.
//
// Cost for each row and bound: a subtraction and a comparison; R + 1 multiply-adds for each
// centroid of a bound that does not hold, or C / 4 sums of products of bytes for 16 centroids
// (three instructions each with AVX2); D multiply-adds for each survivor.
#pragma once

#include <cstdint>

namespace unsup {

// Columns of rows in a basis: z = Q^T x' and |x'|^2, x' = (x - shift) * scale.
template <class T>
struct Project {
    int64_t n, d, r;
    const T* x;           // IN [N, D]
    const T* directions;  // IN [R, D]
    const T* shift;       // IN [D]
    T scale;              // IN a power of two that brings the rows near one
    T* rows;              // OUT [N, R + 1]: z; the last column is left alone
    T* squares;           // OUT [N]: |x'|^2
};

// Rows as bytes: y = unit * codes, x' = (x - shift) * scale. A last column may be left as it is.
template <class T>
struct Encode {
    int64_t n, d;
    const T* x;       // IN [N, D]
    const T* shift;   // IN [D]
    T scale;          // IN a power of two that brings the rows near one
    int largest;      // IN size of codes: at most 127
    int64_t columns;  // C: D, or D - 1 with a tail, rounded up to a multiple of 4
    int8_t* codes;    // OUT [N, C]; zeros past the columns of x
    T* unit;          // OUT [N]
    int32_t* sums;    // OUT [N]: of the codes
    T* tail;          // OUT [N]: the last column of x', which is not in the codes; null: all are
    double* squares;  // OUT [N]: |y|^2
    double* slack;    // OUT [N]: no less than |x' - y|
};

// Codes of all columns, C of them, which survivors of other columns are scored by; from encode.
struct FineCodes {
    int64_t columns;        // C: a multiple of kFineColumns
    const int8_t* codes;    // IN [N, C]; null: there are none
    const float* unit;      // IN [N]
    const int32_t* sums;    // IN [N]
    const double* squares;  // IN [N]
    const double* slack;    // IN [N]
};
constexpr int64_t kFineColumns = 64;  // whole vectors at each level

// Lengths are in units of x' = (x - shift) * scale.
template <class T>
struct Bounds {
    int64_t projected;       // R + 1; 0 with codes of all columns
    int64_t columns;         // R + 1, or C with codes
    int64_t span;            // groups to a bound; B bounds in all
    int64_t width;           // B, rounded up to a multiple of 16
    T scale;                 // IN of project
    const T* rows;           // IN [N, R + 1]: y of the rows; null: codes are used instead
    const int8_t* codes;     // IN [N, C], OUT of encode like the next three
    const T* unit;           // IN [N]
    const int32_t* sums;     // IN [N]
    const T* tail;           // IN [N]; null: the codes are of all columns
    const double* squares;   // IN [N]: |y|^2
    const double* slack;     // IN [N]: how far y may be off
    const int32_t* cluster;  // IN [K]: the centroid in each slot
    const T* centers;        // IN [K, R + 1] by slot: y of the centroids, from which codes are
                             // computed here; null: the codes are of all columns
    double centers_slack;    // IN: how far any of these may be off
    FineCodes fine;
    const T* before;       // IN [K, D]: centroids of the pass before; null: no bounds are known
    const int32_t* guess;  // IN [N]: a near centroid of each row, or -1, from which a pass without
                           // known bounds starts; null: none is known
    T* upper;              // IN/OUT [N]
    uint8_t* tight;        // IN/OUT [N]: whether the own centroid stayed since upper was computed
    T* lower;              // IN/OUT [N, width], each plus what `moved` was then; infinity past B
    double* moved;         // IN/OUT [B]: sum over passes of the largest displacement of a centroid
    double* max_norm;      // IN/OUT [1]: upper bound of the norms of the centroids
    int64_t tightened;     // OUT: rows whose own distance was computed
    int64_t scored;        // OUT: pairs of row and group scored in R + 1 columns
    int64_t refined;       // OUT: row-centroid pairs scored by fine codes
    int64_t survivors;     // OUT: row-centroid pairs looked at in all columns of x'
};

// Sums of as many products of codes fit in 32 bits.
constexpr int64_t kMostCodedColumns = 32768;

// How many products of bytes an instruction sums, at the level in use on this processor: 4, 2,
// or 1.
int byte_products();

// Largest code of a row, so that two products fit in 16 bits where two are summed.
constexpr int kMostCode = 127, kMostPairedCode = 64;
inline int most_row_code() { return byte_products() == 2 ? kMostPairedCode : kMostCode; }

}  // namespace unsup
