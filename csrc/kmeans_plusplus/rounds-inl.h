// The rounds of seed; the contract is in seed.hpp.
#if defined(UNSUP_KMEANS_PLUSPLUS_ROUNDS_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_KMEANS_PLUSPLUS_ROUNDS_INL_H_
#undef UNSUP_KMEANS_PLUSPLUS_ROUNDS_INL_H_
#else
#define UNSUP_KMEANS_PLUSPLUS_ROUNDS_INL_H_
#endif

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "kmeans_plusplus/bounds-inl.h"
#include "kmeans_plusplus/distances-inl.h"
#include "kmeans_plusplus/kmeans_plusplus.hpp"
#include "memory/buffer.hpp"
#include "parallel/run.hpp"
#include "parallel/team.hpp"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

template <class T>
struct RoundsState {
    static constexpr int64_t kWords = kSumBlock / 64;

    const KMeansPlusPlusRounds<T>& s;
    const CandidatePruner<T>* pruner;  // or null
    int64_t blocks, groups;
    std::vector<CandidateGroup<T>> group;
    std::vector<BoundGroup<T>> bound;
    std::vector<int64_t> candidates;  // [T]
    CandidateGroup<T> winner;         // one row: the last one chosen
    int64_t best = 0;                 // the candidate that it was
    Buffer<uint8_t> behind;           // [blocks]: whether `closest` lacks it
    Buffer<double> sums;              // [blocks]: of w closest
    Buffer<double> before;            // [blocks + 1]: cumulated
    Buffer<double> totals;            // [T][blocks]: sums if a candidate is chosen
    Buffer<uint64_t> improved;        // [T][blocks][kWords]: rows that it may be nearest to

    RoundsState(const KMeansPlusPlusRounds<T>& rounds, const CandidatePruner<T>* pruner_)
        : s(rounds),
          pruner(pruner_),
          blocks((s.n + kSumBlock - 1) / kSumBlock),
          groups((s.t + kCandidateGroup - 1) / kCandidateGroup),
          candidates(size_t(s.t)),
          winner(s.d, s.scale),
          behind(buffer<uint8_t>(blocks, 0)),
          sums(buffer<double>(blocks, 0.0)),
          before(buffer<double>(blocks + 1, 0.0)),
          totals(buffer<double>(s.t * blocks, 0.0)),
          improved(buffer<uint64_t>(s.t * blocks * kWords, 0)) {
        for (int64_t q = 0; q < groups; ++q) {
            group.emplace_back(s.d, s.scale);
            if (pruner != nullptr) bound.emplace_back(pruner->bounds);
        }
        winner.count = 1;
    }

    int64_t rows_of(int64_t b) const { return std::min(s.n - b * kSumBlock, kSumBlock); }
    const T* weight_of(int64_t b) const {
        return s.weight != nullptr ? s.weight + b * kSumBlock : nullptr;
    }
    const T* end() const { return s.x + s.n * s.d; }

    double potential() const {
        for (int64_t b = 0; b < blocks; ++b) before[b + 1] = before[b] + sums[b];
        return before[blocks];
    }

    // The first row where the cumulated distances, as `potential` left them, are at least `draw`.
    int64_t find(double draw) {
        const double* reached = std::lower_bound(before.get() + 1, before.get() + blocks, draw);
        const int64_t b = reached - (before.get() + 1), rows = rows_of(b);
        lower(b);
        double total = before[b];
        int64_t last = 0;
        for (int64_t r = 0; r < rows; ++r) {
            const int64_t i = b * kSumBlock + r;
            const double mass =
                (s.weight != nullptr ? double(s.weight[i]) : 1.0) * double(s.closest[i]);
            total += mass;
            if (mass > 0) last = r;
            if (total >= draw) return i;
        }
        return b * kSumBlock + last;
    }

    void draw(const double* uniform) {
        const double total = potential();
        for (int64_t t = 0; t < s.t; ++t) candidates[size_t(t)] = find(uniform[t] * total);
        for (int64_t q = 0; q < groups; ++q) {
            CandidateGroup<T>& to = group[size_t(q)];
            const int64_t* from = candidates.data() + q * kCandidateGroup;
            to.count = int(std::min<int64_t>(kCandidateGroup, s.t - q * kCandidateGroup));
            for (int g = 0; g < to.count; ++g) to.set(g, s.x + from[g] * s.d);
            if (pruner != nullptr) pruner->set(bound[size_t(q)], from, to.count);
        }
    }

    // Chooses the candidate that leaves the least potential. Blocks are lowered when they are next
    // read, so that their rows come from memory once a round.
    void choose(int64_t& chosen, double& least) {
        for (int64_t t = 0; t < s.t; ++t) {
            double total = 0;
            for (int64_t b = 0; b < blocks; ++b) total += totals[t * blocks + b];
            if (t > 0 && !(total < least)) continue;
            best = t;
            least = total;
        }
        chosen = candidates[size_t(best)];
        winner.set(0, s.x + chosen * s.d);
        std::copy(totals.get() + best * blocks, totals.get() + (best + 1) * blocks, sums.get());
        std::fill(behind.get(), behind.get() + blocks, uint8_t(1));
    }

    // Brings block b to the state after the rounds before; returns pairs computed.
    int64_t prepare(int64_t b) const {
        const int64_t i0 = b * kSumBlock, rows = rows_of(b);
        if (s.first == 0) {
            BlockDistances<T> values;
            block_distances<T>(s.x + i0 * s.d, end(), rows, winner, values);
            std::copy(values[0], values[0] + rows, s.closest + i0);
        }
        sums[b] = block_sum<T>(s.closest + i0, weight_of(b), rows);
        if (pruner != nullptr) pruner->prepare(i0, rows);
        return s.first == 0 ? rows : 0;
    }

    // Scores the candidates on the rows of block b; returns pairs computed.
    int64_t score(int64_t b) {
        lower(b);
        int64_t pairs = 0;
        for (int64_t q = 0; q < groups; ++q) pairs += score(b, q);
        return pairs;
    }
    int64_t score(int64_t b, int64_t q) const {
        const int64_t i0 = b * kSumBlock, rows = rows_of(b);
        const CandidateGroup<T>& of = group[size_t(q)];
        const T* closest = s.closest + i0;
        BlockDistances<T> values;
        uint64_t better[kCandidateGroup][kWords] = {};
        int64_t pairs = 0;
        if (pruner == nullptr) {
            block_distances<T>(s.x + i0 * s.d, end(), rows, of, values);
            pairs = rows * of.count;
            for (int g = 0; g < of.count; ++g) {
                bool any_better = false;
                for (int64_t r = 0; r < rows; ++r) {
                    any_better |= values[g][r] < closest[r];
                    values[g][r] = std::min(values[g][r], closest[r]);
                }
                for (uint64_t& word : better[g]) word = any_better ? ~uint64_t(0) : 0;
            }
        } else {
            Improvable left;
            pruner->scan(i0, rows, bound[size_t(q)], left);
            pruner->refine(i0, bound[size_t(q)], left);
            int touched = 0;
            for (int n = 0; n < left.count; ++n) {
                const int64_t r = left.row[n];
                if (n + 1 < left.count) fetch(s.x + (i0 + left.row[n + 1]) * s.d, s.d);
                int member[kCandidateGroup], count = 0;
                T distances[kCandidateGroup];
                for (int32_t bits = left.members[n]; bits != 0; bits &= bits - 1)
                    member[count++] = __builtin_ctz(unsigned(bits));
                some_distances<T>(s.x + (i0 + r) * s.d, end(), of, member, count, distances);
                pairs += count;
                for (int m = 0; m < count; ++m) {
                    if (!(distances[m] < closest[r])) continue;
                    const int g = member[m];
                    if (!(touched >> g & 1)) std::copy(closest, closest + rows, values[g]);
                    touched |= 1 << g;
                    values[g][r] = distances[m];
                    better[g][r / 64] |= uint64_t(1) << (r % 64);
                }
            }
        }
        for (int g = 0; g < of.count; ++g) {
            const int64_t index = (q * kCandidateGroup + g) * blocks + b;
            const bool same =
                std::all_of(better[g], better[g] + kWords, [](uint64_t word) { return word == 0; });
            totals[index] = same ? sums[b] : block_sum<T>(values[g], weight_of(b), rows);
            std::copy(better[g], better[g] + kWords, improved.get() + index * kWords);
        }
        return pairs;
    }

    // Lowers `closest` in block b to the distances to the row chosen last, if that is to be done.
    void lower(int64_t b) {
        if (!behind[b]) return;
        behind[b] = 0;
        const uint64_t* better = improved.get() + (best * blocks + b) * kWords;
        if (std::all_of(better, better + kWords, [](uint64_t word) { return word == 0; })) return;
        const int64_t i0 = b * kSumBlock, rows = rows_of(b);
        if (pruner == nullptr) {
            BlockDistances<T> values;
            block_distances<T>(s.x + i0 * s.d, end(), rows, winner, values);
            for (int64_t r = 0; r < rows; ++r)
                s.closest[i0 + r] = std::min(s.closest[i0 + r], values[0][r]);
            return;
        }
        const int first = 0;
        for (int64_t w = 0; w < kWords; ++w)
            for (uint64_t left = better[w]; left != 0; left &= left - 1) {
                const int64_t i = i0 + w * 64 + __builtin_ctzll(left);
                some_distances<T>(s.x + i * s.d, end(), winner, &first, 1, s.closest + i);
                pruner->lower(i);
            }
    }
};

template <class T>
void kmeans_plusplus_rounds(KMeansPlusPlusRounds<T>& s, const Run& run) {
    constexpr int64_t chunk = 4;  // blocks that a thread takes at a time
    std::unique_ptr<CandidatePruner<T>> pruner;
    if (s.bounds != nullptr) pruner.reset(new CandidatePruner<T>(s));
    RoundsState<T> state(s, pruner.get());
    const int64_t chunks = (state.blocks + chunk - 1) / chunk;
    const int threads = int(std::max<int64_t>(1, std::min<int64_t>(run.threads, chunks)));
    enum { kPrepare, kScore, kLower };
    Stop stop(run);
    std::atomic<int64_t> scored{0};
    const auto work = [&](int kind, int64_t c, int thread) {
        if (stop.poll(thread)) return;
        int64_t pairs = 0;
        for (int64_t b = c * chunk; b < std::min(state.blocks, (c + 1) * chunk); ++b)
            if (kind == kPrepare)
                pairs += state.prepare(b);
            else if (kind == kScore)
                pairs += state.score(b);
            else
                state.lower(b);
        scored.fetch_add(pairs, std::memory_order_relaxed);
    };
    in_phases(threads, chunks, work, [&](const auto& all_blocks) {
        if (s.first == 0) state.winner.set(0, s.x + s.chosen[0] * s.d);
        all_blocks(kPrepare);
        if (s.first == 0) s.potentials[0] = state.potential();
        for (int64_t k = std::max<int64_t>(1, s.first); k < s.last && !stop.requested(); ++k) {
            state.draw(s.uniform + k * s.t);
            all_blocks(kScore);
            state.choose(s.chosen[k], s.potentials[k]);
        }
        all_blocks(kLower);
    });
    s.scored = scored;
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
