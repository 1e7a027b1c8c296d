// float32 to float16 and bfloat16, to the nearest and of two such to the even one (IEEE 754-2019,
// 4.3.1). NaN stays NaN, and what is too large becomes infinity.
namespace unsup {
namespace UNSUP_ISA {
namespace {

UNSUP_INLINE void store_bfloat16(uint16_t* out, Vec<float> x) {
    constexpr int N = lanes<float>;
    using Bits = vec<uint32_t, N>;
    const Bits bits = (Bits)x, even = bits >> 16 & 1u;
    const Bits bits_out = Bits(x != x) ? bits >> 16 | 0x40u : (bits + 0x7fffu + even) >> 16;
    store<uint16_t, N>(out, __builtin_convertvector(bits_out, vec<uint16_t, N>));
}

#if defined(__x86_64__) && UNSUP_VECTOR_BYTES == 64
UNSUP_INLINE void store_float16(uint16_t* out, Vec<float> x) {
    const __m256i half = _mm512_maskz_cvtps_ph(0xffff, (__m512)x, _MM_FROUND_TO_NEAREST_INT);
    _mm256_storeu_si256((__m256i*)out, half);
}
#elif defined(__x86_64__) && UNSUP_VECTOR_BYTES == 32
UNSUP_INLINE void store_float16(uint16_t* out, Vec<float> x) {
    _mm_storeu_si128((__m128i*)out, _mm256_cvtps_ph((__m256)x, _MM_FROUND_TO_NEAREST_INT));
}
#else
UNSUP_INLINE void store_float16(uint16_t* out, Vec<float> x) {
    constexpr int N = lanes<float>;
    using Bits = vec<uint32_t, N>;
    constexpr uint32_t hidden = uint32_t(1) << 23, infinity = 255u * hidden;
    const Bits size = (Bits)x & 0x7fffffffu, even = size >> 13 & 1u;
    // Below 2^-14 the unit is 2^-24, as it is in float32 from 1/2 on.
    const Bits half = Bits{} + 126u * hidden;
    const Bits small = Bits((Vec<float>)size + (Vec<float>)half) - half;
    const Bits normal = (size + 0xfffu + even - 112u * hidden) >> 13;
    const Bits large = Bits(size > infinity) ? size >> 13 | 0x7e00u : Bits{} + 0x7c00u;
    const Bits finite = size < 113u * hidden ? small : normal;
    const Bits bits_out = (size < 143u * hidden - 0x1000u ? finite : large) & 0x7fffu;
    const Bits sign = (Bits)x >> 16 & 0x8000u;
    store<uint16_t, N>(out, __builtin_convertvector(bits_out | sign, vec<uint16_t, N>));
}
#endif

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
