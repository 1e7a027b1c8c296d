// Body of randn; the contract is in randn.hpp.
#if defined(UNSUP_RANDN_RANDN_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_RANDN_RANDN_INL_H_
#undef UNSUP_RANDN_RANDN_INL_H_
#else
#define UNSUP_RANDN_RANDN_INL_H_
#endif

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "parallel/parallel.hpp"
#include "parallel/run.hpp"
#include "randn/normal-inl.h"
#include "randn/philox-inl.h"
#include "randn/randn.hpp"
#include "simd/float16-inl.h"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

constexpr int64_t kRandnChunk = 8192;   // numbers that a thread takes at a time
constexpr int64_t kRandnShare = 16384;  // numbers that a thread is worth starting for

// OUT half [count, filled up to a vector].
void narrow(Number number, const float* x, int64_t count, uint16_t* half) {
    constexpr int W = lanes<float>;
    if (number == Number::bfloat16)
        for (int64_t i = 0; i < count; i += W) store_bfloat16(half + i, load<float, W>(x + i));
    else
        for (int64_t i = 0; i < count; i += W) store_float16(half + i, load<float, W>(x + i));
}

// OUT out: numbers first ... first + count - 1, at steps of C, in float16 or bfloat16.
void draw(const Randn& r, const Philox& p, uint64_t first, int64_t count, uint16_t* out) {
    float room[kNormalSpan];
    uint16_t half[kNormalSpan];
    for (int64_t i = 0; i < count; i += kNormalSpan, out += kNormalSpan * r.channels) {
        const int64_t n = std::min(kNormalSpan, count - i);
        normals<float>(p, first + uint64_t(i), n, room);
        narrow(r.number, room, n, half);
        for (int64_t j = 0; j < n; ++j) out[j * r.channels] = half[j];
    }
}
template <class T>
void draw(const Randn& r, const Philox& p, uint64_t first, int64_t count, T* out) {
    normals_strided<T>(p, first, count, r.channels, out);
}

// T is drawn; To is T, or holds the bits of a half type.
template <class T, class To>
void randn(const Randn& r, const Run& run) {
    const int64_t size = r.channels * r.positions;
    const int64_t span = std::max<int64_t>(kNormals<T>, kRandnChunk / r.channels);
    const int64_t spans = (r.positions + span - 1) / span, chunks = r.samples * spans;
    const int64_t worth = std::min(chunks, r.samples * size / kRandnShare);
    const int threads = int(std::max<int64_t>(1, std::min<int64_t>(run.threads, worth)));
    Stop stop(run);
    std::atomic<int64_t> next{0};
    in_parallel(threads, [&](int thread) {
        for (int64_t c; (c = next.fetch_add(1)) < chunks && !stop.poll(thread);) {
            const int64_t sample = c / spans, begin = c % spans * span;
            const Philox p(r.seeds[r.seeded ? sample : 0], r.stream);
            const int64_t index = (r.seeded ? 0 : sample * size) + begin;
            To* out = static_cast<To*>(r.out) + sample * size + begin * r.channels;
            for (int64_t j = 0; j < r.channels; ++j)
                draw(r, p, r.first + uint64_t(index + j * r.positions),
                     std::min(span, r.positions - begin), out + j);
        }
    });
}

void randn(const Randn& r, const Run& run) {
    if (r.samples == 0 || r.channels == 0 || r.positions == 0) return;
    if (r.number == Number::float64)
        randn<double, double>(r, run);
    else if (r.number == Number::float32)
        randn<float, float>(r, run);
    else
        randn<float, uint16_t>(r, run);
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
