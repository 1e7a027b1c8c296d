// Body of prune; the contract is in prune.hpp.
namespace unsup {
namespace UNSUP_ISA {
namespace {

// A centroid that the projected columns do not rule out for a row of the block.
struct Survivor {
    int32_t row, slot;
};

// A product or sum of few lengths in T times this is rounded to the safe side.
template <class T>
constexpr T kUp = T(1 + 4 * double(std::numeric_limits<T>::epsilon()));
template <class T>
constexpr T kDown = T(1 - 4 * double(std::numeric_limits<T>::epsilon()));

constexpr int kBlockRows = 128;  // rows whose groups are scored together

// Working memory of one thread for a block of rows.
template <class T>
struct PruneSpace {
    Buffer<T> row;                      // [stride]: x' of one row, times the scale of the centroids
    std::vector<int32_t> touched;       // rows that some bound no longer protects
    std::vector<int32_t> count;         // [B]: how many rows of a bound are active
    std::vector<uint8_t> active;        // [B][kBlockRows]: which
    std::vector<Survivor> survivors;    // by group
    std::vector<Survivor> sorted;       // the same by row
    std::vector<Candidate> candidates;  // of a row
    std::vector<Candidate> close;       // candidates within rounding of the nearest
    int64_t tightened = 0, scored = 0, survived = 0;
    // Of each row of the block:
    int32_t own[kBlockRows];   // its centroid
    double known[kBlockRows];  // squared distance to that
    int32_t slot[kBlockRows];  // of its centroid
    T limit[kBlockRows];       // projected scores below this rule out
    T square[kBlockRows];      // |y|^2 less the errors that do not depend on the score
    T slack[kBlockRows];
};

template <class T>
UNSUP_INLINE bool any(Index<T> mask) {
    int64_t words[UNSUP_VECTOR_BYTES / 8], all = 0;
    __builtin_memcpy(words, &mask, sizeof words);
    for (int64_t word : words) all |= word;
    return all != 0;
}

// Y: Projections or Codes of the centroids.
template <class T, class Y>
struct Pruner {
    static constexpr double u = double(std::numeric_limits<T>::epsilon()) / 2;
    static constexpr double kRelative = 2 * u;  // of a score, times R + 9
    // M rows are scored at once against V vectors of centroids.
    static constexpr int W = lanes<T>, V = kNear / W, M = V < 8 ? 8 / V : 1;
    static constexpr double kUnknown = -1;  // squared distance to a centroid that has not moved
    static constexpr T kInfinity = std::numeric_limits<T>::infinity();

    const AssignIn<T>& in;
    const Bounds<T>& b;
    const Centroids<T>& c;  // all columns
    const Y& y;             // projected, by slot
    const int32_t* slot;    // [K]: of each centroid
    const T* displacement;  // [K] by slot: how far each centroid has moved, rounded up
    const T* moved;         // [B]: b.moved rounded up
    int64_t bounds;
    bool fresh;  // no bounds are known

    // Largest difference between a computed and a true difference of two squared distances
    // (error_bound of kernels.assign) for a row of length `x`.
    double rounding(double x) const {
        return 4 * double(c.d + 4) * u * (x * *b.max_norm + *b.max_norm * *b.max_norm);
    }

    // The error of a squared distance as squared_gap computes it, relative to it.
    double blur() const { return 2 * double(c.d + 8) * u; }

    double length(int64_t i) const { return std::sqrt(b.squares[i]) + b.slack[i]; }

    // The distance that a centroid must keep so as not to be nearest.
    T upper(int64_t i, double squared) const {
        return T(std::sqrt(squared * (1 + blur()) + rounding(length(i)))) * kUp<T>;
    }

    // A lower bound of a distance, as stored for bound q; NaN, which protects from nothing, where
    // it overflows: infinity would outlast all displacements of the centroids.
    UNSUP_INLINE_MEMBER Vec<T> stored(Vec<T> distance, Vec<T> moved_by) const {
        const Vec<T> up = Vec<T>{} + kUp<T>, down = Vec<T>{} + kDown<T>;
        const Vec<T> bound = distance * (distance > 0 ? down : up) + moved_by;
        const Vec<T> none = Vec<T>{} + std::numeric_limits<T>::quiet_NaN();
        return bound < kInfinity ? bound * (bound > 0 ? down : up) : none;
    }
    T stored(double distance, int64_t q) const {
        return stored(Vec<T>{} + T(distance), Vec<T>{} + moved[q])[0];
    }

    // Row i less the shift, times the scale of the centroids. Row `next` is fetched into cache.
    void take(int64_t i, int64_t next, T* row) const {
        const T* x = in.x + i * c.d;
        const T* ahead = in.x + next * c.d;
        int64_t j = 0;
        for (; j + W <= c.d; j += W) {
            __builtin_prefetch(ahead + j);
            store<T, W>(row + j, (load<T, W>(x + j) - load<T, W>(&c.shift[j])) * c.scale);
        }
        for (; j < c.d; ++j) row[j] = (x[j] - c.shift[j]) * c.scale;
    }

    double squared_distance(const T* row, int64_t k) const {
        const double unit = double(b.scale) / double(c.scale);
        return squared_gap<T>(row, c.rows.get() + k * c.stride, c.stride) * unit * unit + lost();
    }

    // How far a squared distance may be off by underflow, which is added to it.
    double lost() const {
        const double unit = double(b.scale) / double(c.scale);
        return double(c.d) * double(std::numeric_limits<T>::min()) * unit * unit;
    }

    // Bounds [q, q + W) of a row that do not rule their centroids out.
    UNSUP_INLINE_MEMBER Index<T> broken(const T* lower, T upper, int64_t q) const {
        return ~(load<T, W>(lower + q) - load<T, W>(moved + q) > Vec<T>{} + upper);
    }

    // Whether there is such a bound.
    bool unprotected(const T* lower, T upper) const {
        Index<T> some = Index<T>{};
        for (int64_t q = 0; q < b.width; q += W) some |= broken(lower, upper, q);
        return any<T>(some);
    }

    // Enters row r of the block in the lists of those bounds.
    void list_active(const T* lower, T upper, int r, PruneSpace<T>& space) const {
        int32_t* count = space.count.data();
        uint8_t* active = space.active.data();
        for (int64_t q = 0; q < b.width; q += W) {
            const Index<T> some = broken(lower, upper, q);
            if (!any<T>(some)) continue;
            typename index_of<T>::type lane[W];
            __builtin_memcpy(lane, &some, sizeof lane);
            for (int l = 0; l < W; ++l) {  // entered in any case, counted if it is so
                active[(q + l) * kBlockRows + count[q + l]] = uint8_t(r);
                count[q + l] -= int32_t(lane[l]);
            }
        }
    }

    // Labels rows [i0, i1), at most a block: calls on_change(row, label) where the label is new.
    template <class OnChange>
    void label_block(int64_t i0, int64_t i1, const int32_t* labels, PruneSpace<T>& space,
                     const OnChange& on_change) const {
        const int rows = int(i1 - i0);
        if (fresh) guess(i0, rows, space);
        space.touched.clear();
        std::fill(space.count.begin(), space.count.end(), 0);
        for (int r = 0; r < rows; ++r) {
            const int64_t i = i0 + r;
            if (!fresh) {
                space.own[r] = labels[i];
                const T moved_by = displacement[slot[labels[i]]];
                if (moved_by > 0) {
                    b.upper[i] = (b.upper[i] + moved_by) * kUp<T>;
                    b.tight[i] = 0;
                }
                if (!unprotected(b.lower + i * b.width, b.upper[i] * kUp<T>)) continue;
                if (b.tight[i]) {
                    space.known[r] = kUnknown;
                    enter(i, r, space);
                    continue;
                }
            }
            space.touched.push_back(r);
        }
        for (size_t at = 0; at < space.touched.size(); ++at) {
            const int32_t r = space.touched[at];
            const int32_t next = space.touched[std::min(at + 2, space.touched.size() - 1)];
            tighten(i0 + r, i0 + next, r, space);
        }
        space.survivors.clear();
        for (int64_t q = 0; q < bounds; ++q)
            if (space.count[size_t(q)] > 0) sift(i0, q, space);
        settle_block(i0, rows, labels, space, on_change);
    }

    // Own centroids to start from: those of the highest projected scores. The lower bounds hold
    // the highest score of each bound for now.
    void guess(int64_t i0, int rows, PruneSpace<T>& space) const {
        std::fill(b.lower + i0 * b.width, b.lower + (i0 + rows) * b.width, -kInfinity);
        for (int r0 = 0; r0 < rows; r0 += M) {
            int64_t row[M];
            for (int m = 0; m < M; ++m) row[m] = i0 + std::min(r0 + m, rows - 1);
            Vec<T> most[M][V];
            Index<T> whose[M][V] = {};
            for (int m = 0; m < M; ++m)
                for (int v = 0; v < V; ++v) most[m][v] = Vec<T>{} - kInfinity;
            for (int64_t g = 0; g < y.groups; ++g) {
                Vec<T> score[M][V];
                y.template score<M>(row, g, score);
                T group[M];
                greatest<T, M, V>(score, group);
                for (int m = 0; m < M; ++m) {
                    T& bound = b.lower[row[m] * b.width + g / b.span];
                    bound = std::max(bound, group[m]);
                    for (int v = 0; v < V; ++v) {
                        const auto better = score[m][v] > most[m][v];
                        most[m][v] = better ? score[m][v] : most[m][v];
                        whose[m][v] =
                            better ? Index<T>{} + typename index_of<T>::type(g) : whose[m][v];
                    }
                }
            }
            for (int m = 0; m < M && r0 + m < rows; ++m) {
                int64_t at = 0;
                T best = -kInfinity;
                for (int l = 0; l < kNear; ++l)
                    if (most[m][l / W][l % W] > best) {
                        best = most[m][l / W][l % W];
                        at = int64_t(whose[m][l / W][l % W]) * kNear + l;
                    }
                space.own[r0 + m] = b.cluster[at];
            }
        }
    }

    // Computes the distance of row i to its own centroid, and enters it; fetches row `next`
    // meanwhile.
    void tighten(int64_t i, int64_t next, int r, PruneSpace<T>& space) const {
        ++space.tightened;
        T* row = space.row.get();
        take(i, next, row);
        const int32_t k = space.own[r];
        space.known[r] = squared_distance(row, k);
        b.upper[i] = upper(i, space.known[r]);
        b.tight[i] = 1;
        enter(i, r, space);
    }

    // Enters row i in the lists of the bounds that do not protect it.
    void enter(int64_t i, int r, PruneSpace<T>& space) const {
        space.slot[r] = slot[space.own[r]];
        const double square = b.squares[i], slack = b.slack[i] + y.slack;
        const double distance = double(b.upper[i]) + slack,
                     farthest = std::sqrt(square) + y.longest;
        const double error = kRelative * double(y.columns + 8) * farthest * y.longest;
        const double half = (square - distance * distance) / 2;
        const double least = half - error - kRelative * double(y.columns + 8) * std::abs(half);
        // Nothing is ruled out by scores that may overflow.
        const bool sure = farthest * farthest < double(std::numeric_limits<T>::max()) / 2;
        space.limit[r] =
            sure && least == least ? T(least) * (least > 0 ? kDown<T> : kUp<T>) : -kInfinity;
        space.square[r] = T(square - 2 * error - 8 * u * square);
        space.slack[r] = T(slack) * kUp<T>;
        if (fresh)
            list_guessed(b.lower + i * b.width, r, space);
        else
            list_active(b.lower + i * b.width, b.upper[i] * kUp<T>, r, space);
    }

    // Computes bounds from the scores that `guess` left, and enters row r in the lists of those
    // that must be scored again: the own centroid's, and those with survivors.
    void list_guessed(T* lower, int r, PruneSpace<T>& space) const {
        const int64_t own = space.slot[r] / (kNear * b.span);
        for (int64_t q = 0; q < bounds; ++q)
            if (q == own || !(lower[q] < space.limit[r]))
                space.active[size_t(q * kBlockRows + space.count[size_t(q)]++)] = uint8_t(r);
        const Vec<T> square = Vec<T>{} + space.square[r], slack = Vec<T>{} + space.slack[r];
        for (int64_t q = 0; q < b.width; q += W)
            store<T, W>(lower + q,
                        bound_of(load<T, W>(lower + q), square, slack, load<T, W>(moved + q)));
    }

    // Lower bounds of distances, as stored, from the highest scores.
    UNSUP_INLINE_MEMBER Vec<T> bound_of(Vec<T> score, Vec<T> square, Vec<T> slack,
                                        Vec<T> moved_by) const {
        const T relative = T(4 * double(y.columns + 12) * u);
        const Vec<T> twice = 2 * score,
                     squared = square - twice - relative * (twice > 0 ? twice : -twice);
        Vec<T> root = squared > 0 ? squared : Vec<T>{};
        for (int l = 0; l < W; ++l) root[l] = std::sqrt(root[l]);
        const Vec<T> bound = stored(root * kDown<T> - slack, moved_by);
        return score == -kInfinity ? Vec<T>{} + kInfinity : bound;
    }

    // Renews bound q for the rows that are active in it, from their scores in the projected
    // columns; centroids that these do not rule out survive.
    void sift(int64_t i0, int64_t q, PruneSpace<T>& space) const {
        const uint8_t* active = space.active.data() + q * kBlockRows;
        const int count = space.count[size_t(q)];
        const int64_t end = std::min(y.groups, (q + 1) * b.span);
        T best[kBlockRows + M], square[kBlockRows + W] = {}, slack[kBlockRows + W] = {};
        std::fill(best, best + kBlockRows + M, -kInfinity);
        for (int64_t g = q * b.span; g < end; ++g)
            for (int a = 0; a < count; a += M) {
                int64_t row[M];
                int32_t own[M];
                for (int m = 0; m < M; ++m) {
                    const int32_t r = active[std::min(a + m, count - 1)];
                    row[m] = i0 + r;
                    own[m] = space.slot[r] - int32_t(g * kNear);
                }
                Vec<T> score[M][V];
                y.template score<M>(row, g, score);
                T most[M];
                others<M>(score, own, most);
                for (int m = 0; m < M && a + m < count; ++m) {
                    const int32_t r = active[a + m];
                    if (!(most[m] < space.limit[r]))
                        most[m] = rule_out(score[m], g * kNear, r, space);
                    best[a + m] = most[m] > best[a + m] ? most[m] : best[a + m];
                }
            }
        space.scored += count * (end - q * b.span);
        for (int a = 0; a < count; ++a) {
            square[a] = space.square[active[a]];
            slack[a] = space.slack[active[a]];
        }
        for (int a = 0; a < count; a += W)
            store<T, W>(best + a, bound_of(load<T, W>(best + a), load<T, W>(square + a),
                                           load<T, W>(slack + a), Vec<T>{} + moved[q]));
        for (int a = 0; a < count; ++a) b.lower[(i0 + active[a]) * b.width + q] = best[a];
    }

    // OUT: the greatest score of each row but that of its own centroid, which is lane `own`.
    template <int Rows>
    UNSUP_INLINE_MEMBER void others(const Vec<T> (&score)[Rows][V], const int32_t* own,
                                    T (&most)[Rows]) const {
        typename index_of<T>::type lane[W];
        for (int l = 0; l < W; ++l) lane[l] = l;
        Index<T> at;
        __builtin_memcpy(&at, lane, sizeof at);
        Vec<T> other[Rows][V];
#pragma GCC unroll 8
        for (int m = 0; m < Rows; ++m)
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v) {
                const auto is_own = at == Index<T>{} + typename index_of<T>::type(own[m] - v * W);
                other[m][v] = is_own ? Vec<T>{} - kInfinity : score[m][v];
            }
        greatest<T, Rows, V>(other, most);
    }

    // Appends the centroids that scores do not rule out for row r to the survivors; returns the
    // greatest score of the others but the row's own.
    T rule_out(const Vec<T> (&score)[V], int64_t first, int32_t r, PruneSpace<T>& space) const {
        T most = -kInfinity, lane[kNear];
        __builtin_memcpy(lane, score, sizeof lane);
        for (int l = 0; l < kNear && first + l < in.k; ++l) {
            if (first + l == space.slot[r]) continue;
            if (lane[l] < space.limit[r])
                most = std::max(most, lane[l]);
            else
                space.survivors.push_back({r, int32_t(first + l)});
        }
        return most;
    }

    // Settles the rows that have survivors. These come by group and are wanted by row.
    template <class OnChange>
    void settle_block(int64_t i0, int rows, const int32_t* labels, PruneSpace<T>& space,
                      const OnChange& on_change) const {
        const auto& all = space.survivors;
        space.survived += int64_t(all.size());
        int32_t end[kBlockRows + 1] = {}, next[kBlockRows];
        for (const Survivor& s : all) ++end[s.row + 1];
        for (int r = 0; r < kBlockRows; ++r) end[r + 1] += end[r];
        space.sorted.resize(all.size());
        std::copy(end, end + kBlockRows, next);
        for (const Survivor& s : all) space.sorted[size_t(next[s.row]++)] = s;
        for (int r = 0; r < rows; ++r) {
            const int64_t i = i0 + r;
            int32_t k = space.own[r];
            if (end[r] < end[r + 1]) {
                take(i, i, space.row.get());
                if (space.known[r] == kUnknown)
                    space.known[r] = squared_distance(space.row.get(), k);
                space.candidates.assign(1, {k, space.slot[r], space.known[r]});
                for (int32_t s = end[r]; s < end[r + 1]; ++s) {
                    const int32_t at = space.sorted[size_t(s)].slot;
                    space.candidates.push_back({b.cluster[at], at, 0});
                }
                k = settle(i, b.lower + i * b.width, space);
            }
            if (k != labels[i]) on_change(i, k);
        }
    }

    // The label of row i among its candidates; all others of them enter the bounds.
    int32_t settle(int64_t i, T* lower, PruneSpace<T>& space) const {
        const T* row = space.row.get();
        auto& all = space.candidates;
        double nearest = all[0].squared;
        for (size_t q = 1; q < all.size(); ++q) {
            all[q].squared = squared_distance(row, all[q].k);
            nearest = std::min(nearest, all[q].squared);
        }
        // Candidates that could be best in assign's order of operations. Where squares overflow or
        // are no numbers these are all.
        const double limit = nearest * (1 + 2 * blur()) + rounding(length(i));
        auto& close = space.close;
        close.clear();
        for (const Candidate& candidate : all)
            if (!(candidate.squared > limit)) close.push_back(candidate);
        Candidate winner = close.empty() ? all[0] : close[0];
        if (close.size() > 1) {
            std::sort(close.begin(), close.end(),
                      [](const Candidate& a, const Candidate& z) { return a.k < z.k; });
            winner = highest(row, close);
        }
        if (winner.k != all[0].k) b.upper[i] = upper(i, winner.squared);
        for (const Candidate& other : all) {
            if (other.k == winner.k) continue;
            const int64_t q = other.slot / (kNear * b.span);
            const double least = other.squared * (1 - blur()) - 2 * lost();
            const T bound = stored(std::sqrt(std::max(least, 0.0)), q);
            if (!(bound >= lower[q])) lower[q] = bound;
        }
        return winner.k;
    }

    // The first of the candidates, by rising index, whose score in assign's order is highest.
    Candidate highest(const T* row, std::vector<Candidate>& close) const {
        const size_t count = close.size();
        close.resize((count + 3) / 4 * 4, close[0]);
        T four[4] = {};
        T best = -kInfinity;
        Candidate winner = close[0];
        for (size_t q = 0; q < count; ++q) {
            if (q % 4 == 0) exact_scores<T>(row, c, close.data() + q, four);
            if (four[q % 4] > best) {
                best = four[q % 4];
                winner = close[q];
            }
        }
        return winner;
    }
};

// How far each centroid has moved less the shift, times the scale of the rows, by slot, rounded
// up.
template <class T>
void displacements(const AssignIn<T>& in, const Bounds<T>& b, const T* shift, T* displacement,
                   int64_t begin, int64_t end) {
    constexpr int N = kDoubles;
    const double scale = double(b.scale);
    for (int64_t at = begin; at < end; ++at) {
        const T* now = in.centers + b.cluster[at] * in.d;
        const T* then = b.before + b.cluster[at] * in.d;
        vec<double, N> squares{};
        int64_t j = 0;
        for (; j + N <= in.d; j += N) {
            const vec<T, N> origin = load<T, N>(shift + j);
            const vec<double, N> gap = (to_double<T, N>(load<T, N>(now + j) - origin) -
                                        to_double<T, N>(load<T, N>(then + j) - origin)) *
                                       scale;
            squares += gap * gap;
        }
        double squared = sum<N>(squares);
        for (; j < in.d; ++j) {
            const double gap =
                (double(T(now[j] - shift[j])) - double(T(then[j] - shift[j]))) * scale;
            squared += gap * gap;
        }
        displacement[at] = T(std::sqrt(squared) * (1 + 1e-6)) * kUp<T>;
    }
}

template <class T, class Y>
void prune_with(const AssignIn<T>& in, Bounds<T>& b, int32_t* labels, int64_t* n_changed,
                Totals* totals, const Run& run) {
    const Centroids<T> c(in, run.threads, true);
    const Y y(b, c, run.threads);
    double most = 0;
    for (int64_t k = 0; k < in.k; ++k) most = std::max(most, -2 * double(c.half_norm[k]));
    const double max_norm = std::sqrt(most) / double(c.scale) * (1 + 1e-6) * double(b.scale);
    const int64_t bounds = (y.groups + b.span - 1) / b.span;
    const Buffer<T> displacement = buffer<T>(in.k, T(0)), moved = buffer<T>(b.width, T(0));
    std::vector<int32_t> slot(size_t(in.k));
    for (int64_t at = 0; at < in.k; ++at) slot[size_t(b.cluster[at])] = int32_t(at);
    const bool fresh = b.before == nullptr;
    if (!fresh)
        in_parts(run.threads, in.k, (int64_t(1) << 15) / in.d + 1, [&](int64_t begin, int64_t end) {
            displacements<T>(in, b, c.shift.get(), displacement.get(), begin, end);
        });
    for (int64_t at = 0; at < in.k; at += kNear * b.span) {
        const int64_t end = std::min(in.k, at + kNear * b.span), q = at / (kNear * b.span);
        // The whole sum is rounded up: it must grow by displacements below its last bit.
        b.moved[q] += double(*std::max_element(displacement.get() + at, displacement.get() + end));
        b.moved[q] *= 1 + 1e-15;
        moved[q] = T(b.moved[q]) * kUp<T>;
    }
    // Rounding grows with the longest centroid: bounds computed with a shorter one no longer hold.
    const bool farther = fresh || !(max_norm <= *b.max_norm);
    if (farther) *b.max_norm = 1.5 * max_norm;
    if (farther && !fresh) {
        std::fill(b.upper, b.upper + in.n, std::numeric_limits<T>::infinity());
        std::fill(b.tight, b.tight + in.n, uint8_t(0));
    }
    const Pruner<T, Y> pruner{in,          b,      c,    y, slot.data(), displacement.get(),
                              moved.get(), bounds, fresh};

    const int64_t blocks = (in.n + kBlockRows - 1) / kBlockRows;
    const int threads = int(std::max<int64_t>(1, std::min<int64_t>(run.threads, blocks)));
    std::unique_ptr<Mover<T>> mover;
    if (totals != nullptr) mover.reset(new Mover<T>(in, *totals, threads));
    std::vector<PruneSpace<T>> spaces(static_cast<size_t>(threads));
    for (auto& space : spaces) {
        space.row = buffer<T>(c.stride, T(0));
        space.count.resize(size_t(b.width));
        space.active.resize(size_t(b.width * kBlockRows));
    }
    Stop stop(run);
    std::atomic<int64_t> next{0}, changed{0};
    in_parallel(threads, [&](int thread) {
        int64_t here = 0;
        PruneSpace<T>& space = spaces[size_t(thread)];
        try {  // candidates may need more memory than there is
            for (int64_t t; (t = next.fetch_add(1)) < blocks && !stop.poll(thread);)
                pruner.label_block(t * kBlockRows, std::min(in.n, (t + 1) * kBlockRows), labels,
                                   space, [&](int64_t i, int32_t k) {
                                       if (mover) mover->move(thread, i, labels[i], k);
                                       labels[i] = k;
                                       ++here;
                                   });
        } catch (...) {
            stop.fail(std::current_exception());
        }
        changed += here;
    });
    if (mover) mover->finish();
    stop.rethrow();
    *n_changed = changed;
    for (const auto& space : spaces) {
        b.tightened += space.tightened;
        b.scored += space.scored;
        b.survivors += space.survived;
    }
}

template <class T>
void prune(const AssignIn<T>& in, Bounds<T>& b, int32_t* labels, int64_t* n_changed, Totals* totals,
           const Run& run) {
    if constexpr (sizeof(T) == sizeof(float)) {
        if (b.codes != nullptr && has_byte_products())
            return prune_with<T, Codes<true>>(in, b, labels, n_changed, totals, run);
        if (b.codes != nullptr)
            return prune_with<T, Codes<false>>(in, b, labels, n_changed, totals, run);
    }
    prune_with<T, Projections<T>>(in, b, labels, n_changed, totals, run);
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
