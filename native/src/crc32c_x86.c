/*
 * CRC-32C with what x86-64 offers: the crc32 instruction, and carry-less multiplication to move
 * the checksum of one piece past the pieces behind it.
 *
 * Bits are reflected throughout: the first bit of a piece is its highest power of x. A carry-less
 * product of two reflected numbers comes out multiplied by x once more, which is why exponents
 * below end in "- 1", and in "- 33" where a crc32 instruction follows (it multiplies by x^32).
 */
#include "multiconnect/crc32c.h"

#if defined(__x86_64__)
#include "multiconnect/bytes.h"

#include <immintrin.h>

#define SSE42 __attribute__((target("sse4.2,pclmul")))
#define AVX512 __attribute__((target("sse4.2,pclmul,avx512f,avx512vl,avx512dq,vpclmulqdq")))

bool mc_crc32c_has_sse42(void) {
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
}

bool mc_crc32c_has_avx512(void) {
    return mc_crc32c_has_sse42() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("vpclmulqdq");
}

/* --- three stripes: a crc32 takes three cycles, and a new one can start every cycle ----------- */

struct stripe {
    size_t bytes;
    uint32_t past_one; /* x^(8 * bytes - 33) */
    uint32_t past_two; /* x^(16 * bytes - 33) */
};

static const struct stripe long_stripe = {1024, 0x170076fa, 0xa51b6135};
static const struct stripe short_stripe = {128, 0x0d3b6092, 0xb9e02b86};

SSE42 static inline uint32_t move_past(uint64_t crc, uint32_t constant) {
    const __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)crc),
                                                 _mm_cvtsi32_si128((int)constant), 0);
    return (uint32_t)_mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

SSE42 static inline uint32_t three_stripes(uint32_t crc, const uint8_t *data,
                                           const struct stripe *stripe) {
    const uint8_t *second = data + stripe->bytes, *third = second + stripe->bytes;
    uint64_t crc0 = crc, crc1 = 0, crc2 = 0;
    for (size_t at = 0; at < stripe->bytes; at += 8) {
        crc0 = _mm_crc32_u64(crc0, mc_load64(data + at));
        crc1 = _mm_crc32_u64(crc1, mc_load64(second + at));
        crc2 = _mm_crc32_u64(crc2, mc_load64(third + at));
    }
    return move_past(crc0, stripe->past_two) ^ move_past(crc1, stripe->past_one) ^ (uint32_t)crc2;
}

/* Without either inversion. */
SSE42 static inline uint32_t update(uint32_t crc, const uint8_t *data, size_t size) {
    for (size_t step = 3 * long_stripe.bytes; size >= step; data += step, size -= step)
        crc = three_stripes(crc, data, &long_stripe);
    for (size_t step = 3 * short_stripe.bytes; size >= step; data += step, size -= step)
        crc = three_stripes(crc, data, &short_stripe);
    for (; size >= 8; data += 8, size -= 8)
        crc = (uint32_t)_mm_crc32_u64(crc, mc_load64(data));
    for (; size > 0; data++, size--)
        crc = _mm_crc32_u8(crc, *data);
    return crc;
}

SSE42 uint32_t mc_crc32c_sse42(uint32_t value, const uint8_t *data, size_t size) {
    return ~update(~value, data, size);
}

/* --- folding: sixteen blocks of 16 bytes at once, twice as fast again ------------------------- */

enum { FOLD_BYTES = 256 };

/* What moves a block past so many bytes: its first half by x^(8 * bytes + 63), its second half by
   x^(8 * bytes - 1). */
struct move {
    uint32_t first, second;
};

static const struct move past_256 = {0xe9a5d8be, 0x1426a815};
static const struct move past_192 = {0x7ccbbbf2, 0x31c94608};
static const struct move past_128 = {0x6577b245, 0x7417153f};
static const struct move past_64 = {0x1c19243b, 0x75bba45b};
static const struct move past_48 = {0xa46ef4aa, 0x6051243f};
static const struct move past_32 = {0x33ccbbbc, 0xa2158b34};
static const struct move past_16 = {0x3743f7bd, 0x3171d430};

AVX512 static inline __m128i lane(struct move move) {
    return _mm_set_epi64x((long long)((uint64_t)move.second << 32),
                          (long long)((uint64_t)move.first << 32));
}

AVX512 static inline __m512i all_lanes(struct move move) {
    return _mm512_broadcast_i32x4(lane(move));
}

AVX512 static inline __m512i load64_bytes(const uint8_t *from) { return _mm512_loadu_si512(from); }

/* Move the four blocks of `x`, each by its lane's constants, and add `next`. */
AVX512 static inline __m512i fold(__m512i x, __m512i moves, __m512i next) {
    const __m512i first = _mm512_clmulepi64_epi128(x, moves, 0x00);
    const __m512i second = _mm512_clmulepi64_epi128(x, moves, 0x11);
    return _mm512_ternarylogic_epi64(first, second, next, 0x96); /* exclusive or of all three */
}

/* The checksum of four blocks that follow each other. */
AVX512 static inline uint32_t join(__m512i x) {
    __m512i moves = _mm512_castsi128_si512(lane(past_48));
    moves = _mm512_inserti64x2(moves, lane(past_32), 1);
    moves = _mm512_inserti64x2(moves, lane(past_16), 2);
    moves = _mm512_inserti64x2(moves, _mm_setzero_si128(), 3); /* the last one stays in place */
    const __m512i moved = fold(x, moves, _mm512_setzero_si512());
    const __m128i front =
        _mm_xor_si128(_mm512_extracti64x2_epi64(moved, 0), _mm512_extracti64x2_epi64(moved, 1));
    const __m128i back =
        _mm_xor_si128(_mm512_extracti64x2_epi64(moved, 2), _mm512_extracti64x2_epi64(x, 3));
    const __m128i block = _mm_xor_si128(front, back);
    const uint64_t crc = _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(block));
    return (uint32_t)_mm_crc32_u64(crc, (uint64_t)_mm_extract_epi64(block, 1));
}

/* As update(), for a multiple of FOLD_BYTES. */
AVX512 static inline uint32_t update_folding(uint32_t crc, const uint8_t *data, size_t size) {
    const __m512i past = all_lanes(past_256);
    const __m512i start = _mm512_zextsi128_si512(_mm_cvtsi32_si128((int)crc));
    __m512i x0 = _mm512_xor_si512(load64_bytes(data), start);
    __m512i x1 = load64_bytes(data + 64);
    __m512i x2 = load64_bytes(data + 128);
    __m512i x3 = load64_bytes(data + 192);
    for (size_t at = FOLD_BYTES; at < size; at += FOLD_BYTES) {
        x0 = fold(x0, past, load64_bytes(data + at));
        x1 = fold(x1, past, load64_bytes(data + at + 64));
        x2 = fold(x2, past, load64_bytes(data + at + 128));
        x3 = fold(x3, past, load64_bytes(data + at + 192));
    }
    x3 = fold(x0, all_lanes(past_192), x3);
    x3 = fold(x1, all_lanes(past_128), x3);
    return join(fold(x2, all_lanes(past_64), x3));
}

AVX512 uint32_t mc_crc32c_avx512(uint32_t value, const uint8_t *data, size_t size) {
    uint32_t crc = ~value;
    const size_t folded = size - size % FOLD_BYTES;
    if (folded > 0)
        crc = update_folding(crc, data, folded);
    return ~update(crc, data + folded, size - folded);
}
#endif
