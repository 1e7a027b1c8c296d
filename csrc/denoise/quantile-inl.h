// Quantiles of magnitudes.
#if defined(UNSUP_DENOISE_QUANTILE_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_DENOISE_QUANTILE_INL_H_
#undef UNSUP_DENOISE_QUANTILE_INL_H_
#else
#define UNSUP_DENOISE_QUANTILE_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

constexpr int kBins = 2048;

// The quantile of |x|, between order statistics by linear interpolation; NaN if one of x is. It is
// infinite where it lies past the last finite one.
// Magnitudes are counted by their leading bits, which are in order, and only those of the two bins
// in question are ranked. x [N], N > 0, is changed; bins [kBins] is room.
template <class C>
C quantile_of_sizes(C* x, int64_t n, double quantile, int64_t* bins) {
    using Bits = std::make_unsigned_t<typename index_of<C>::type>;
    constexpr int shift = 8 * int(sizeof(C)) - 12;
    const auto bin_of = [](C value) {
        Bits bits;
        std::memcpy(&bits, &value, sizeof bits);
        return int(bits >> shift & (kBins - 1));
    };
    std::fill(bins, bins + kBins, int64_t(0));
    bool nan = false;
    for (int64_t i = 0; i < n; ++i) {
        nan |= x[i] != x[i];
        ++bins[bin_of(x[i])];
    }
    if (nan) return std::numeric_limits<C>::quiet_NaN();
    const double rank = quantile * double(n - 1);
    const int64_t low = int64_t(rank), high = std::min(n - 1, low + 1);
    int64_t before = 0, past = 0;  // magnitudes below the bin of `low`, and up to that of `high`
    int first = 0, last = 0;
    for (; before + bins[first] <= low; ++first) before += bins[first];
    for (past = before + bins[last = first]; past <= high;) past += bins[++last];
    int64_t count = 0;
    for (int64_t i = 0; i < n; ++i) {
        const int bin = bin_of(x[i]);
        if (bin == first || bin == last) x[count++] = x[i] < 0 ? -x[i] : x[i];
    }
    C* const at = x + (low - before);
    std::nth_element(x, at, x + count);
    const C below = *at, above = high > low ? *std::min_element(at + 1, x + count) : below;
    const double share = rank - double(low);
    if (share == 0 || below == above) return below;
    return C(double(below) + share * (double(above) - double(below)));
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
