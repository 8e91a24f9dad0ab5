/*
 * Ids of fixed-width recipients, several at a time.
 *
 * The loops are plain C that the compiler vectorises; they are compiled once per instruction set
 * and the best one this machine has is picked at run time, so no build needs -march.
 */
#include "multiconnect/hash.h"

#define MC_INLINE static inline __attribute__((always_inline))

enum {
    CHUNK = 256, /* hash states kept on the stack between blocks: 1 KiB, safe in the first cache */
};

static void one_by_one(const uint8_t *data, size_t count, size_t width, uint8_t mask,
                       uint8_t *out) {
    for (size_t i = 0; i < count; i++)
        out[i] = (uint8_t)mc_murmur3_32(data + i * width, width) & mask;
}

/* Twelve digits is the commonest number; a constant width lets the loads become shuffles. */
MC_INLINE void twelve_wide(const uint8_t *data, size_t count, uint8_t mask, uint8_t *out) {
    for (size_t i = 0; i < count; i++) {
        const uint8_t *text = data + i * 12;
        uint32_t hash = mc_murmur3_block(0, mc_load32(text));
        hash = mc_murmur3_block(hash, mc_load32(text + 4));
        hash = mc_murmur3_block(hash, mc_load32(text + 8));
        out[i] = (uint8_t)mc_murmur3_final(hash, 12) & mask;
    }
}

/* Up to CHUNK recipients of any width from 4, block by block: the inner loops are vectors. */
MC_INLINE void chunk(const uint8_t *data, size_t count, size_t width, uint8_t mask, uint8_t *out) {
    uint32_t hash[CHUNK] = {0};
    size_t at = 0;
    for (; at + 4 <= width; at += 4)
        for (size_t i = 0; i < count; i++)
            hash[i] = mc_murmur3_block(hash[i], mc_load32(data + i * width + at));
    if (at < width) {
        /* The last block overlaps the one before; shift what was already hashed away. */
        const int seen_bits = (int)(8 * (4 - (width - at)));
        for (size_t i = 0; i < count; i++)
            hash[i] =
                mc_murmur3_tail(hash[i], mc_load32(data + i * width + width - 4) >> seen_bits);
    }
    for (size_t i = 0; i < count; i++)
        out[i] = (uint8_t)mc_murmur3_final(hash[i], width) & mask;
}

MC_INLINE void many(const uint8_t *data, size_t count, size_t width, uint8_t mask, uint8_t *out) {
    if (width == 12) {
        twelve_wide(data, count, mask, out);
    } else if (width < 4) {
        one_by_one(data, count, width, mask, out);
    } else {
        for (size_t done = 0; done < count; done += CHUNK) {
            const size_t part = count - done < CHUNK ? count - done : CHUNK;
            chunk(data + done * width, part, width, mask, out + done);
        }
    }
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void with_avx2(const uint8_t *data, size_t count,
                                                      size_t width, uint8_t mask, uint8_t *out) {
    many(data, count, width, mask, out);
}

__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))) static void
with_avx512(const uint8_t *data, size_t count, size_t width, uint8_t mask, uint8_t *out) {
    many(data, count, width, mask, out);
}

static bool has_avx2(void) { return __builtin_cpu_supports("avx2") != 0; }

static bool has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

size_t mc_packed_ids_builds(struct mc_packed_ids_build *out, size_t room) {
    const struct mc_packed_ids_build builds[] = {
        {"baseline", one_by_one, true},
#if defined(__x86_64__)
        {"avx2", with_avx2, has_avx2()},
        {"avx512", with_avx512, has_avx512()},
#endif
    };
    const size_t count = sizeof builds / sizeof builds[0];
    for (size_t i = 0; i < count && i < room; i++)
        out[i] = builds[i];
    return count;
}

static mc_packed_ids_fn *best_build = one_by_one;

__attribute__((constructor)) static void choose_build(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    best_build = has_avx512() ? with_avx512 : has_avx2() ? with_avx2 : one_by_one;
#endif
}

void mc_packed_ids(const uint8_t *data, size_t count, size_t width, uint8_t mask, uint8_t *out) {
    best_build(data, count, width, mask, out);
}
