// Body of seed; the contract is in seed.hpp.
namespace unsup {
namespace UNSUP_ISA {
namespace {

// Calls distance(i0, i1, thread, out [rows of the chunk]) for each candidate and folds the result.
template <class T, class Distances>
void seed_chunks(const Seed<T>& s, const Run& run, const Distances& distances) {
    constexpr int64_t chunk_rows = 48 * 64;
    const int64_t chunks = (s.n + chunk_rows - 1) / chunk_rows;
    const int threads = int(std::max<int64_t>(1, std::min<int64_t>(run.threads, chunks)));
    const Buffer<double> partial = buffer<double>(chunks * s.t, 0.0);  // [chunks][T]
    Stop stop(run);
    std::atomic<int64_t> next{0};
    in_parallel(threads, [&](int thread) {
        for (int64_t c; (c = next.fetch_add(1)) < chunks && !stop.poll(thread);) {
            const int64_t i0 = c * chunk_rows, i1 = std::min(s.n, i0 + chunk_rows);
            distances(i0, i1, thread);
            for (int64_t t = 0; t < s.t; ++t) {
                T* out = s.distances + t * s.n;
                double total[4] = {};
                for (int64_t i = i0; i < i1; ++i) {
                    if (s.closest != nullptr) out[i] = std::min(out[i], s.closest[i]);
                    const double w = s.weight != nullptr ? double(s.weight[i]) : 1.0;
                    total[i & 3] += w * double(out[i]);
                }
                partial[c * s.t + t] = (total[0] + total[1]) + (total[2] + total[3]);
            }
        }
    });
    for (int64_t t = 0; t < s.t; ++t) {
        s.potentials[t] = 0;
        for (int64_t c = 0; c < chunks; ++c) s.potentials[t] += partial[c * s.t + t];
    }
}

// Squared distances of a tile [D][kTile] to up to kCandidates rows c [D][kCandidates].
constexpr int kCandidates = 4;

template <class T>
void tile_distances(const T* tile, const T* c, int64_t d,
                    Vec<T> (&squared)[kCandidates][kTileVectors]) {
    Vec<T> total[kCandidates][kTileVectors] = {};
    for (int64_t j = 0; j < d; ++j, tile += kTile<T>, c += kCandidates) {
#pragma GCC unroll 8
        for (int p = 0; p < kTileVectors; ++p) {
            const Vec<T> x = load<T, lanes<T>>(tile + p * lanes<T>);
#pragma GCC unroll 8
            for (int t = 0; t < kCandidates; ++t) {
                const Vec<T> gap = x - c[t];
                total[t][p] += gap * gap;
            }
        }
    }
    __builtin_memcpy(squared, total, sizeof total);
}

template <class T>
void seed(const Seed<T>& s, const Run& run) {
    const int64_t groups = (s.t + kCandidates - 1) / kCandidates;
    const Buffer<T> packed =
        buffer<T>(groups * s.d * kCandidates, T(0));  // [groups][D][kCandidates]
    for (int64_t t = 0; t < s.t; ++t)
        for (int64_t j = 0; j < s.d; ++j)
            packed[(t / kCandidates * s.d + j) * kCandidates + t % kCandidates] =
                s.candidates[t * s.d + j];
    const Buffer<T> zeros = buffer<T>(s.d + 2 * lanes<T>, T(0));
    std::vector<Buffer<T>> tiles;
    for (int t = 0; t < run.threads; ++t) tiles.push_back(buffer<T>(s.d * kTile<T>, T(0)));

    seed_chunks<T>(s, run, [&](int64_t i0, int64_t i1, int thread) {
        T* tile = tiles[size_t(thread)].get();
        for (int64_t i = i0; i < i1; i += kTile<T>) {
            const int rows = int(std::min<int64_t>(kTile<T>, i1 - i));
            pack<T>(s.x + i * s.d, rows, s.d, s.x + s.n * s.d, zeros.get(), T(1), tile);
            for (int64_t g = 0; g < groups; ++g) {
                Vec<T> squared[kCandidates][kTileVectors];
                tile_distances<T>(tile, packed.get() + g * s.d * kCandidates, s.d, squared);
                for (int t = 0; t < kCandidates && g * kCandidates + t < s.t; ++t)
                    __builtin_memcpy(s.distances + (g * kCandidates + t) * s.n + i, squared[t],
                                     size_t(rows) * sizeof(T));
            }
        }
    });
}

template <class T, class I>
void seed_csr_rows(const Seed<T>& s, const CsrRows<T, I>& rows, const Run& run) {
    std::vector<double> norm(size_t(s.t), 0.0);  // |candidate|^2
    for (int64_t t = 0; t < s.t; ++t)
        for (int64_t j = 0; j < s.d; ++j) {
            const double value = double(s.candidates[t * s.d + j]);
            norm[size_t(t)] += value * value;
        }
    seed_chunks<T>(s, run, [&](int64_t i0, int64_t i1, int) {
        for (int64_t t = 0; t < s.t; ++t)
            for (int64_t i = i0; i < i1; ++i)
                s.distances[t * s.n + i] =
                    T(csr_squared_distance<T, I>(rows, i, s.candidates + t * s.d, norm[size_t(t)]));
    });
}

template <class T>
void seed_csr(const Seed<T>& s, const Csr<T>& csr, const Run& run) {
    if (csr.indices32 != nullptr)
        seed_csr_rows<T, int32_t>(s, {csr.data, csr.indices32, csr.indptr32}, run);
    else
        seed_csr_rows<T, int64_t>(s, {csr.data, csr.indices64, csr.indptr64}, run);
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
