// Body of prune; the contract is in prune.hpp.
namespace unsup {
namespace UNSUP_ISA {
namespace {

// A centroid that may be nearest to a row of the block.
struct Survivor {
    int32_t row, k;
};

// Working memory of one thread for one block.
template <class T>
struct PruneSpace {
    Buffer<T> tile;                   // [R + 1][kTile]
    Buffer<T> threshold;              // [kTile]: lower scores are out
    std::vector<Survivor> survivors;  // of a tile, by group of centroids
    std::vector<Survivor> sorted;     // the same by row
    std::vector<Survivor> close;      // survivors of a row within rounding of the best
};

template <class T>
bool any(Index<T> mask) {
    int64_t words[UNSUP_VECTOR_BYTES / 8], all = 0;
    __builtin_memcpy(words, &mask, sizeof words);
    for (int64_t word : words) all |= word;
    return all != 0;
}

// Appends the points of a tile whose score against a group is not below their threshold, which a
// NaN is not either.
template <class T>
void collect(const Scores<T, kGroup>& score, const Vec<T>* threshold, int64_t first, int64_t k,
             int rows, std::vector<Survivor>& out) {
    Index<T> reached = Index<T>{};
#pragma GCC unroll 8
    for (int g = 0; g < kGroup; ++g)
#pragma GCC unroll 8
        for (int p = 0; p < kTileVectors; ++p) reached |= ~(score[g][p] < threshold[p]);
    if (!any<T>(reached)) return;
    for (int g = 0; g < kGroup && first + g < k; ++g)
        for (int p = 0; p < kTileVectors; ++p) {
            const Index<T> mask = ~(score[g][p] < threshold[p]);
            if (!any<T>(mask)) continue;
            for (int l = 0; l < lanes<T>; ++l)
                if (mask[l] && p * lanes<T> + l < rows)
                    out.push_back({int32_t(p * lanes<T> + l), int32_t(first + g)});
        }
}

// x'.c' - |c'|^2 / 2 with as many partial sums as lanes, for choosing among survivors.
template <class T>
UNSUP_INLINE T quick_score(const T* x, const T* shift, T scale, const T* c, T half_norm,
                           int64_t d) {
    constexpr int W = lanes<T>;
    Vec<T> a{}, b{};
    int64_t j = 0;
    for (; j + 2 * W <= d; j += 2 * W) {
        a += (load<T, W>(x + j) - load<T, W>(shift + j)) * scale * load<T, W>(c + j);
        b += (load<T, W>(x + j + W) - load<T, W>(shift + j + W)) * scale * load<T, W>(c + j + W);
    }
    a += b;
    T total = half_norm;
    for (; j < d; ++j) total += (x[j] - shift[j]) * scale * c[j];
    T lane[W];
    __builtin_memcpy(lane, &a, sizeof lane);
    for (int width = W / 2; width > 0; width /= 2)
        for (int l = 0; l < width; ++l) lane[l] += lane[l + width];
    return total + lane[0];
}

// a b + c, fused exactly where the compiler fuses the products of assign: left to itself, it may
// vectorise this loop and round the products.
UNSUP_INLINE float multiply_add(float a, float b, float c) {
#if UNSUP_FMA
    return __builtin_fmaf(a, b, c);
#else
    return a * b + c;
#endif
}
UNSUP_INLINE double multiply_add(double a, double b, double c) {
#if UNSUP_FMA
    return __builtin_fma(a, b, c);
#else
    return a * b + c;
#endif
}

// The scores of four centroids in the order of assign: one sum each, started at -|c'|^2 / 2,
// columns in turn.
template <class T>
void exact_scores(const T* x, const Centroids<T>& c, const Survivor* four, T* out) {
    const T* rows[4];
    for (int q = 0; q < 4; ++q) {
        rows[q] = c.rows.get() + four[q].k * c.stride;
        out[q] = c.half_norm[four[q].k];
    }
    for (int64_t j = 0; j < c.d; ++j) {
        const T value = (x[j] - c.shift[j]) * c.scale;
        for (int q = 0; q < 4; ++q) out[q] = multiply_add(rows[q][j], value, out[q]);
    }
}

template <class T>
struct Pruner {
    const AssignIn<T>& in;
    const Projection<T>& projection;
    const Centroids<T>& c;         // all columns
    const Centroids<T>& bounding;  // projected
    double largest;           // max |c'| times the scale of the projection, as all lengths here
    double largest_bounding;  // max |y_c|

    static constexpr double u = double(std::numeric_limits<T>::epsilon()) / 2;

    // Largest difference between a computed and a true difference of two squared distances
    // (error_bound of kernels.assign) for a row of length `x`.
    double rounding(double x) const {
        return 4 * double(c.d + 4) * u * (x * largest + largest * largest);
    }

    // The score in the projected columns below which a centroid of row i cannot win; `known` is the
    // squared distance of the row to some centroid.
    T threshold(int64_t i, double known) const {
        const double square = projection.squares[i], y = std::sqrt(square);
        const double x = y + projection.slack[i];
        const double distance =
            std::sqrt(known * (1 + 2 * double(c.d + 8) * u) + rounding(x)) + projection.slack[i];
        const double score = (square - distance * distance) / 2;
        const double error =
            2 * double(bounding.d + 6) * u *
            (y * largest_bounding + largest_bounding * largest_bounding + std::abs(score));
        const double limit = (score - error) * double(bounding.scale) * double(bounding.scale);
        return limit == limit ? T(limit) : -std::numeric_limits<T>::infinity();
    }

    // Of row i to centroid k.
    double squared_distance(int64_t i, int64_t k, const RowAdder<T, kDoubles>& adder) const {
        const T* x = in.x + i * c.d;
        const T* centroid = c.rows.get() + k * c.stride;
        const bool overrun = i < in.n - (kDoubles + c.d - 1) / c.d;
        const vec<T, kDoubles> lane = overrun ? adder.template distance<true>(x, centroid)
                                              : adder.template distance<false>(x, centroid);
        const double unit = double(projection.scale) / double(c.scale);
        // What the squares lose to underflow is added.
        const double lost = double(c.d) * double(std::numeric_limits<T>::min());
        return (sum<kDoubles>(to_double<T, kDoubles>(lane)) + lost) * unit * unit;
    }

    // The nearest of the survivors [from, to) of row i, which has the label `known`.
    int32_t nearest(int64_t i, int32_t known, const Survivor* from, const Survivor* to,
                    std::vector<Survivor>& close) const {
        if (to == from) return known;
        if (to - from == 1) return from->k;
        const T* x = in.x + i * c.d;
        const auto quick = [&](int32_t k) {
            return quick_score<T>(x, c.shift.get(), c.scale, c.rows.get() + k * c.stride,
                                  c.half_norm[k], c.d);
        };
        // Twice the rounding of a score, so that all that could be best in assign's order stay.
        const double length = std::sqrt(projection.squares[i]) + projection.slack[i];
        const double unit = double(c.scale) / double(projection.scale);
        // Where sums may overflow on the way, the order matters: all are scored as assign does.
        const double reach = (length * largest + largest * largest) * unit * unit;
        const bool safe =
            std::max(reach, length * unit) < double(std::numeric_limits<T>::max()) / 4;
        const T margin =
            safe ? T(rounding(length) * unit * unit) : std::numeric_limits<T>::infinity();
        T best = -std::numeric_limits<T>::infinity();
        close.clear();
        for (const Survivor* s = from; s < to; ++s) {
            const T score = quick(s->k);
            if (score < best - margin) continue;
            if (score > best + margin) close.clear();
            if (score > best) best = score;
            close.push_back(*s);
        }
        if (close.size() == 1) return close[0].k;
        const size_t count = close.size();
        close.resize((count + 3) / 4 * 4, close[0]);
        T four[4] = {};
        T highest = -std::numeric_limits<T>::infinity();
        int32_t winner = close[0].k;
        for (size_t q = 0; q < count; ++q) {
            if (q % 4 == 0) exact_scores<T>(x, c, close.data() + q, four);
            if (four[q % 4] > highest) {
                highest = four[q % 4];
                winner = close[q].k;
            }
        }
        return winner;
    }

    // Labels rows [i0, i0 + rows), at most a tile; returns how many labels changed.
    int64_t label_tile(int64_t i0, int rows, const RowAdder<T, kDoubles>& adder,
                       PruneSpace<T>& space, int32_t* labels) const {
        const int64_t columns = bounding.d;
        pack<T>(projection.rows + i0 * columns, rows, columns, projection.rows + in.n * columns,
                bounding.shift.get(), bounding.scale, space.tile.get());
        T* threshold_of = space.threshold.get();
        for (int r = 0; r < rows; ++r)
            threshold_of[r] = threshold(i0 + r, squared_distance(i0 + r, labels[i0 + r], adder));
        for (int r = rows; r < kTile<T>; ++r) threshold_of[r] = std::numeric_limits<T>::infinity();
        Vec<T> limits[kTileVectors];
        __builtin_memcpy(limits, threshold_of, sizeof limits);
        space.survivors.clear();
        Ahead<T> ahead(in, i0 + kTile<T>, bounding.groups);
        for (int64_t g = 0; g < bounding.groups; ++g) {
            Scores<T, kGroup> score;
            ahead.fetch();
            start<T, kGroup>(bounding.half_norm.get() + g * kGroup, score);
            multiply<T, kGroup>(space.tile.get(), bounding.packed.get() + g * kGroup * columns,
                                columns, score);
            collect<T>(score, limits, g * kGroup, in.k, rows, space.survivors);
        }
        return settle(i0, rows, space, labels);
    }

    // Chooses among the survivors of each row. They come by group; a stable sort by row keeps the
    // centroids of a row in rising order.
    int64_t settle(int64_t i0, int rows, PruneSpace<T>& space, int32_t* labels) const {
        int64_t changed = 0;
        std::vector<Survivor>& all = space.survivors;
        int32_t end[kTile<T> + 1] = {};
        for (const Survivor& s : all) ++end[s.row + 1];
        for (int r = 0; r < rows; ++r) end[r + 1] += end[r];
        space.sorted.resize(all.size());
        int32_t next[kTile<T>];
        std::copy(end, end + rows, next);
        for (const Survivor& s : all) space.sorted[size_t(next[s.row]++)] = s;
        for (int r = 0; r < rows; ++r) {
            const Survivor* first = space.sorted.data();
            const int32_t k =
                nearest(i0 + r, labels[i0 + r], first + end[r], first + end[r + 1], space.close);
            changed += k != labels[i0 + r];
            labels[i0 + r] = k;
        }
        return changed;
    }
};

template <class T>
void project(const Project<T>& p, const Run& run) {
    const Centroids<T> q({p.n, p.d, p.r, nullptr, p.directions, nullptr, nullptr});
    const Buffer<T> shift = buffer<T>(p.d + 2 * lanes<T>, T(0));
    std::copy(p.shift, p.shift + p.d, shift.get());
    constexpr int64_t chunk_rows = 16 * kTile<T>;
    const int64_t chunks = (p.n + chunk_rows - 1) / chunk_rows;
    const int threads = int(std::max<int64_t>(1, std::min<int64_t>(run.threads, chunks)));
    std::vector<Buffer<T>> tiles;
    for (int t = 0; t < threads; ++t) tiles.push_back(buffer<T>(p.d * kTile<T>, T(0)));
    Stop stop(run);
    std::atomic<int64_t> next{0};
    const auto project_tile = [&](int64_t i, int rows, T* tile) {
        pack<T>(p.x + i * p.d, rows, p.d, p.x + p.n * p.d, shift.get(), p.scale, tile);
        Vec<T> squares[kTileVectors] = {};
        for (int64_t j = 0; j < p.d; ++j)
            for (int v = 0; v < kTileVectors; ++v) {
                const Vec<T> x = load<T, lanes<T>>(tile + j * kTile<T> + v * lanes<T>);
                squares[v] += x * x;
            }
        __builtin_memcpy(p.squares + i, squares, size_t(rows) * sizeof(T));
        for (int64_t g = 0; g < q.groups; ++g) {
            Scores<T, kGroup> score = {};
            multiply<T, kGroup>(tile, q.packed.get() + g * kGroup * p.d, p.d, score);
            T z[kGroup][kTile<T>];
            __builtin_memcpy(z, score, sizeof z);
            const int64_t width = std::min<int64_t>(kGroup, p.r - g * kGroup);
            for (int r = 0; r < rows; ++r)
                for (int64_t k = 0; k < width; ++k)
                    p.rows[(i + r) * (p.r + 1) + g * kGroup + k] = z[k][r] / q.scale;
        }
    };
    in_parallel(threads, [&](int thread) {
        for (int64_t c; (c = next.fetch_add(1)) < chunks && !stop.poll(thread);)
            for (int64_t i = c * chunk_rows; i < std::min(p.n, (c + 1) * chunk_rows); i += kTile<T>)
                project_tile(i, int(std::min<int64_t>(kTile<T>, p.n - i)),
                             tiles[size_t(thread)].get());
    });
}

template <class T>
void prune(const AssignIn<T>& in, Projection<T>& projection, AssignOut<T>& out, const Run& run) {
    const Centroids<T> c(in);
    const Centroids<T> bounding(
        {in.n, projection.columns, in.k, nullptr, projection.centers, nullptr, nullptr});
    const auto longest = [](const Centroids<T>& of) {
        double most = 0;
        for (int64_t i = 0; i < of.k; ++i) most = std::max(most, -2 * double(of.half_norm[i]));
        return std::sqrt(most) / double(of.scale) * (1 + 1e-6);
    };
    const Pruner<T> pruner{
        in, projection, c, bounding, longest(c) * double(projection.scale), longest(bounding)};
    const Plan<T> plan(c.d, c.k, c.groups);
    std::vector<PruneSpace<T>> spaces;
    for (int t = 0; t < run.threads; ++t)
        spaces.push_back({buffer<T>(projection.columns * kTile<T>, T(0)),
                          buffer<T>(kTile<T>, T(0)),
                          {},
                          {},
                          {}});
    Stop stop(run);
    std::atomic<int64_t> survivors{0};
    const auto label = [&](int64_t i0, int64_t i1, int thread) {
        const RowAdder<T, kDoubles> adder(c.shift.get(), c.scale, c.d);
        int64_t changed = 0, found = 0;
        try {  // survivors may need more memory than there is
            for (int64_t i = i0; i < i1 && !stop.poll(thread); i += kTile<T>) {
                const int rows = int(std::min<int64_t>(kTile<T>, i1 - i));
                PruneSpace<T>& space = spaces[size_t(thread)];
                changed += pruner.label_tile(i, rows, adder, space, out.labels);
                found += int64_t(space.survivors.size());
            }
        } catch (...) {
            stop.fail(std::current_exception());
        }
        survivors += found;
        return changed;
    };
    add_assigned<T>(in, c, plan, out, run, stop, label);
    stop.rethrow();
    projection.survivors = survivors;
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
