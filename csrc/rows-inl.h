// What a row adds to its cluster: weight, shifted values and squared distance.
namespace unsup {
namespace UNSUP_ISA {
namespace {

// Half the lanes of T's vector, so that the double sums fill one vector.
template <class T>
constexpr int kStep = UNSUP_VECTOR_BYTES / int(sizeof(double));

template <class T, int N>
UNSUP_INLINE vec<T, N> add_columns(const T* x, const T* shift, T scale, double weight, const T* c,
                                   double* sums) {
    const vec<T, N> row = (load<T, N>(x) - load<T, N>(shift)) * scale;
    const vec<T, N> gap = row - load<T, N>(c);
    store<double, N>(sums, load<double, N>(sums) + to_double<T, N>(row) * weight);
    return gap * gap;
}

template <class T, int N>
UNSUP_INLINE void add_tail(const T* x, const T* shift, T scale, double weight, const T* c,
                           double* sums, int64_t j, int64_t d, double& squared) {
    if constexpr (N > 0) {
        if (d - j >= N) {
            const vec<T, N> part = add_columns<T, N>(x + j, shift + j, scale, weight, c + j, sums + j);
            for (int i = 0; i < N; ++i) squared += double(part[i]);
            j += N;
        }
        add_tail<T, N / 2>(x, shift, scale, weight, c, sums, j, d, squared);
    }
}

// sums [D] += weight * row; returns |row - c|^2, where row = (x - shift) * scale.
template <class T>
UNSUP_INLINE double add_row(const T* x, const T* shift, T scale, double weight, const T* c,
                            double* sums, int64_t d) {
    constexpr int N = kStep<T>;
    vec<T, N> gaps{};
    int64_t j = 0;
    for (; j + N <= d; j += N)
        gaps += add_columns<T, N>(x + j, shift + j, scale, weight, c + j, sums + j);
    double squared = d >= N ? sum<N>(to_double<T, N>(gaps)) : 0;
    add_tail<T, N / 2>(x, shift, scale, weight, c, sums, j, d, squared);
    return squared;
}

// |(x - shift) * scale - c|^2
template <class T>
UNSUP_INLINE double squared_distance(const T* x, const T* shift, T scale, const T* c, int64_t d) {
    constexpr int N = kStep<T>;
    vec<T, N> gaps{};
    int64_t j = 0;
    for (; j + N <= d; j += N) {
        const vec<T, N> gap =
            (load<T, N>(x + j) - load<T, N>(shift + j)) * scale - load<T, N>(c + j);
        gaps += gap * gap;
    }
    double squared = sum<N>(to_double<T, N>(gaps));
    for (; j < d; ++j) {
        const T gap = (x[j] - shift[j]) * scale - c[j];
        squared += double(gap * gap);
    }
    return squared;
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
