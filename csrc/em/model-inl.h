// The parameters of a mixture as em's inner loops read them.
#if defined(UNSUP_EM_MODEL_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_EM_MODEL_INL_H_
#undef UNSUP_EM_MODEL_INL_H_
#else
#define UNSUP_EM_MODEL_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "em/em.hpp"
#include "memory/buffer.hpp"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

inline int64_t round_up(int64_t value, int64_t to) { return (value + to - 1) / to * to; }

// Components that diagonal densities are computed of at a time.
constexpr int kPair = kGroup / 2;

template <class T>
constexpr T kInfinity = std::numeric_limits<T>::infinity();

// Adds z_j of one component and some columns over what is known before a tile comes. U is packed in
// panels of kGroup columns, [j1][kGroup] with the rows above j1, the end of the panel's columns.
template <class T>
struct Triangle {
    int64_t d, panels, size;  // size: of one factor

    explicit Triangle(int64_t columns) : d(columns), panels((columns + kGroup - 1) / kGroup) {
        size = 0;
        for (int64_t p = 0; p < panels; ++p) size += std::min(d, (p + 1) * kGroup) * kGroup;
    }
    // IN u [D, D]; OUT to [size]; start [panels * kGroup] = -low^T u.
    void pack(const double* u, double scale, const double* low, T* to, T* start) const {
        for (int64_t j0 = 0; j0 < d; j0 += kGroup) {
            const int64_t j1 = std::min(d, j0 + kGroup);
            for (int64_t i = 0; i < j1; ++i, to += kGroup)
                for (int64_t j = std::max(i, j0); j < j1; ++j) {
                    const double value = u[i * d + j] / scale;
                    to[j - j0] = T(value);
                    start[j] = T(start[j] - value * low[i]);
                }
        }
    }
};

// Means and factors in units of x' = x * scale. Means are split, mu' = high + low, so that x' -
// high has hardly an error, and what low adds to z is known beforehand.
template <class T>
struct EmModel {
    int64_t k, d, width;  // width: D, padded with zeros to whole vectors and groups
    Triangle<T> triangle;
    double scale;         // a power of two
    double largest;       // of the constant terms of l
    Buffer<T> high;       // [K][width]
    Buffer<double> low;   // [K][D]
    Buffer<T> constant;   // [K]: constant term of l, less the largest; minus infinity for none
    Buffer<T> least;      // [K]: shares below it are dropped
    Buffer<T> origin;     // [width]: tied: s; else zeros
    Buffer<T> factors;    // full [K][triangle.size], tied [triangle.size]
    Buffer<T> start;      // of z: full [K][panels * kGroup], tied [panels * kGroup]
    Buffer<T> diagonals;  // [pairs][D][3][kPair]: high, factor, -low * factor; not for full

    explicit EmModel(const EmIn<T>& in)
        : k(in.k),
          d(in.d),
          width(round_up(in.d, std::max(lanes<T>, kGroup))),
          triangle(in.d),
          scale(std::ldexp(1.0, -std::clamp(exponent(in), -kMost, kMost))),
          largest(0) {
        high = buffer<T>(k * width, T(0));
        low = buffer<double>(k * d, 0.0);
        origin = buffer<T>(width, T(0));
        least = buffer<T>(k, T(0));
        for (int64_t i = 0; i < k; ++i)
            for (int64_t j = 0; j < d; ++j) {
                const double mean = in.means[i * d + j] * scale;
                high[i * width + j] = T(mean);
                low[i * d + j] = mean - double(high[i * width + j]);
            }
        if (in.covariance == CovarianceType::tied)
            for (int64_t j = 0; j < d; ++j) {
                double sum = 0;
                for (int64_t i = 0; i < k; ++i) sum += in.means[i * d + j] * scale;
                origin[j] = T(sum / double(k));
            }
        if (in.factors == nullptr) return;
        set_constants(in);
        if (in.covariance == CovarianceType::full)
            set_triangles(in);
        else
            set_diagonals(in);
    }

  private:
    // Scales beyond this would take numbers of usual size out of T.
    static constexpr int kMost = std::numeric_limits<T>::max_exponent * 3 / 4;

    // IN U: the entry (j, j) of component i, whatever the kind of covariance.
    static double diagonal(const EmIn<T>& in, int64_t i, int64_t j) {
        switch (in.covariance) {
            case CovarianceType::full:
                return in.factors[(i * in.d + j) * in.d + j];
            case CovarianceType::tied:
                return in.factors[j * in.d + j];
            case CovarianceType::diag:
                return in.factors[i * in.d + j];
            default:
                return in.factors[i];
        }
    }

    // The exponent of a typical residual: midway between those of the smallest and the largest
    // spread; without factors that of some rows about the first mean.
    static int exponent(const EmIn<T>& in) {
        double smallest = kInfinity<double>, largest = 0;
        const auto see = [&](double spread) {
            if (!(spread > 0) || spread == kInfinity<double>) return;
            smallest = std::min(smallest, spread);
            largest = std::max(largest, spread);
        };
        if (in.factors != nullptr) {
            for (int64_t i = 0; i < in.k; ++i)
                for (int64_t j = 0; j < in.d; ++j) see(1 / diagonal(in, i, j));
        } else {
            const int64_t rows = std::min<int64_t>(in.n, 256), step = rows > 0 ? in.n / rows : 0;
            for (int64_t i = 0; i < rows; ++i)
                for (int64_t j = 0; j < in.d; ++j)
                    see(std::abs(double(in.x[i * step * in.d + j]) - in.means[j]));
        }
        return largest > 0 ? (std::ilogb(smallest) + std::ilogb(largest)) >> 1 : 0;
    }

    void set_constants(const EmIn<T>& in) {
        const Buffer<double> terms = buffer<double>(k, 0.0);
        largest = -kInfinity<double>;
        for (int64_t i = 0; i < k; ++i) {
            double log_det = 0;
            for (int64_t j = 0; j < d; ++j) log_det += std::log(diagonal(in, i, j) / scale);
            terms[i] = in.log_weights[i] + log_det;
            largest = std::max(largest, terms[i]);
            least[i] =
                T(std::exp(in.log_weights[i]) * double(std::numeric_limits<T>::epsilon()) / 128);
        }
        if (largest == -kInfinity<double>) largest = 0;
        constant = buffer<T>(k, T(0));
        for (int64_t i = 0; i < k; ++i) constant[i] = T(terms[i] - largest);
        largest += double(d) * (std::log(scale) - 0.91893853320467274178);  // log(2 pi) / 2
    }

    void set_triangles(const EmIn<T>& in) {
        const int64_t columns = triangle.panels * kGroup;
        factors = buffer<T>(k * triangle.size, T(0));
        start = buffer<T>(k * columns, T(0));
        for (int64_t i = 0; i < k; ++i)
            triangle.pack(in.factors + i * d * d, scale, low.get() + i * d,
                          factors.get() + i * triangle.size, start.get() + i * columns);
    }

    // Tied: the diagonals are ones and the means are those of projected rows, (mu - s) U.
    void set_diagonals(const EmIn<T>& in) {
        const bool tied = in.covariance == CovarianceType::tied;
        if (tied) {
            const Buffer<double> none = buffer<double>(d, 0.0);
            factors = buffer<T>(triangle.size, T(0));
            start = buffer<T>(triangle.panels * kGroup, T(0));
            triangle.pack(in.factors, scale, none.get(), factors.get(), start.get());
        }
        const int64_t pairs = (k + kPair - 1) / kPair;
        diagonals = buffer<T>(pairs * d * 3 * kPair, T(0));
        const Buffer<double> mean = buffer<double>(d, 0.0);
        for (int64_t i = 0; i < k; ++i) {
            for (int64_t j = 0; j < d; ++j)
                mean[j] = in.means[i * d + j] * scale - double(origin[j]);
            T* const to = diagonals.get() + i / kPair * d * 3 * kPair + i % kPair;
            for (int64_t j = d - 1; j >= 0; --j) {
                const double factor = tied ? 1.0 : diagonal(in, i, j) / scale;
                if (tied) {
                    double sum = 0;
                    for (int64_t q = 0; q <= j; ++q)
                        sum += mean[q] * (in.factors[q * d + j] / scale);
                    mean[j] = sum;
                }
                const T near = T(mean[j]);
                to[(3 * j) * kPair] = near;
                to[(3 * j + 1) * kPair] = T(factor);
                to[(3 * j + 2) * kPair] = T(-(mean[j] - double(near)) * factor);
            }
        }
    }
};

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
