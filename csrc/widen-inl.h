// Body of widen; the contract is in widen.hpp.
namespace unsup {
namespace UNSUP_ISA {
namespace {

#if defined(__x86_64__) && UNSUP_VECTOR_BYTES == 64
UNSUP_INLINE void widen_vector(const uint16_t* x, float* out) {
    // With a mask, as GCC warns of the undefined source that it gives the plain intrinsic.
    const __m256i half = _mm256_loadu_si256((const __m256i*)x);
    _mm512_storeu_ps(out, _mm512_maskz_cvtph_ps(0xffff, half));
}
#elif defined(__x86_64__) && UNSUP_VECTOR_BYTES == 32
UNSUP_INLINE void widen_vector(const uint16_t* x, float* out) {
    _mm256_storeu_ps(out, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)x)));
}
#else
UNSUP_INLINE void widen_vector(const uint16_t* x, float* out) {
    constexpr int N = lanes<float>;
    using Bits = vec<uint32_t, N>;
    constexpr uint32_t hidden = uint32_t(1) << 23, infinity = 0x7c00u << 13;
    const Bits half = __builtin_convertvector(load<uint16_t, N>(x), Bits);
    const Bits size = (half & 0x7fffu) << 13;  // exponent and fraction, where float32 has them
    const Bits top = Bits(size >= infinity) & 112u * hidden;
    const Bits quiet = Bits(size > infinity) & hidden >> 1;
    const Bits normal = (size + 112u * hidden + top) | quiet;
    // Without a hidden bit the fraction counts units of 2^-24: 2^-14 + fraction - 2^-14.
    const Bits least = Bits{} + 113u * hidden;
    const Bits small = Bits(vec<float, N>(size + 113u * hidden) - vec<float, N>(least));
    const Bits magnitude = size < hidden ? small : normal;
    store<uint32_t, N>((uint32_t*)out, magnitude | (half & 0x8000u) << 16);
}
#endif

void widen(const Widen& w) {
    constexpr int N = lanes<float>;
    int64_t i = 0;
    for (; i + N <= w.n; i += N) widen_vector(w.x + i, w.out + i);
    if (i == w.n) return;
    uint16_t x[N] = {};
    float out[N];
    std::memcpy(x, w.x + i, size_t(w.n - i) * sizeof *x);
    widen_vector(x, out);
    std::memcpy(w.out + i, out, size_t(w.n - i) * sizeof *out);
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
