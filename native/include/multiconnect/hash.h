/*
 * From a recipient to its slot: the canonical form and MurmurHash3 x86_32, seed 0.
 *
 * The hash is a contract with everything ever stored (MC_HASH_VERSION); it may become faster and
 * must never change its value.
 */
#ifndef MULTICONNECT_HASH_H
#define MULTICONNECT_HASH_H

#include "multiconnect/bytes.h"
#include "multiconnect/layout.h"

#include <stdbool.h>

/* Hash `size` bytes with MurmurHash3 x86_32 and seed 0. */
uint32_t mc_murmur3_32(const uint8_t *data, size_t size);

/*
 * Write the canonical form of trimmed or untrimmed UTF-8 to `out` (MC_RECIPIENT_BYTES_MAX bytes).
 *
 * Trims the ASCII part of what str.strip() trims; a caller with other text trims it first.
 * Returns the canonical length, or MC_E_EMPTY, MC_E_TOO_LONG, MC_E_CONTROL.
 */
int mc_canonical(const uint8_t *text, size_t size, uint8_t *out);

/* Ids (hash & mask) of `count` canonical recipients of `width` bytes each, back to back. */
void mc_packed_ids(const uint8_t *data, size_t count, size_t width, uint8_t mask, uint8_t *out);

/* The builds of mc_packed_ids, so that tests can run those this machine has. */
typedef void mc_packed_ids_fn(const uint8_t *data, size_t count, size_t width, uint8_t mask,
                              uint8_t *out);
struct mc_packed_ids_build {
    const char *name;
    mc_packed_ids_fn *run;
    bool supported;
};
size_t mc_packed_ids_builds(struct mc_packed_ids_build *out, size_t room);

static inline uint32_t mc_rotl32(uint32_t value, int by) {
    return (value << by) | (value >> (32 - by));
}

static inline uint32_t mc_murmur3_block(uint32_t hash, uint32_t block) {
    hash ^= mc_rotl32(block * 0xcc9e2d51U, 15) * 0x1b873593U;
    return mc_rotl32(hash, 13) * 5U + 0xe6546b64U;
}

static inline uint32_t mc_murmur3_tail(uint32_t hash, uint32_t block) {
    return hash ^ mc_rotl32(block * 0xcc9e2d51U, 15) * 0x1b873593U;
}

static inline uint32_t mc_murmur3_final(uint32_t hash, size_t size) {
    hash ^= (uint32_t)size;
    hash = (hash ^ (hash >> 16)) * 0x85ebca6bU;
    hash = (hash ^ (hash >> 13)) * 0xc2b2ae35U;
    return hash ^ (hash >> 16);
}

/* Non-zero if one of eight bytes is not an ASCII digit. */
static inline uint64_t mc_not_digits(uint64_t bytes) {
    const uint64_t value = bytes ^ 0x3030303030303030U;
    const uint64_t over_nine = (value & 0x7F7F7F7F7F7F7F7FU) + 0x7676767676767676U;
    return (value | over_nine) & 0x8080808080808080U;
}

/*
 * Hash text that may already be canonical: true, with its hash, if it is 8 to 15 ASCII digits.
 *
 * This is the fast path of every batch call, so it takes the lengths phone numbers have, reads
 * each in two overlapping words, and lets the check ride along with the hash. What it declines
 * may still be canonical; mc_canonical decides.
 */
static inline bool mc_digits_hash(const uint8_t *text, size_t size, uint32_t *hash) {
    if (size - 8 > 7)
        return false;
    const uint64_t head = mc_load64(text), last = mc_load64(text + size - 8);
    uint32_t state = mc_murmur3_block(0, (uint32_t)head);
    state = mc_murmur3_block(state, (uint32_t)(head >> 32));
    if (size >= 12)
        state = mc_murmur3_block(state, mc_load32(text + 8));
    const unsigned over = 8 * (size & 3); /* bits behind the last whole block */
    if (over != 0)
        state = mc_murmur3_tail(state, (uint32_t)(last >> (64 - over)));
    *hash = mc_murmur3_final(state, size);
    return (mc_not_digits(head) | mc_not_digits(last)) == 0;
}

#endif
