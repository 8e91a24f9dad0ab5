/*
 * Little-endian loads and stores at any address.
 *
 * memcpy is the one portable way to read an unaligned integer; compilers turn it into one
 * instruction. Nothing that knows a layout belongs here.
 */
#ifndef MULTICONNECT_BYTES_H
#define MULTICONNECT_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define MC_LE16(value) __builtin_bswap16(value)
#define MC_LE32(value) __builtin_bswap32(value)
#define MC_LE64(value) __builtin_bswap64(value)
#else
#define MC_LE16(value) (value)
#define MC_LE32(value) (value)
#define MC_LE64(value) (value)
#endif

static inline uint16_t mc_load16(const uint8_t *from) {
    uint16_t value;
    memcpy(&value, from, sizeof value);
    return MC_LE16(value);
}

static inline uint32_t mc_load32(const uint8_t *from) {
    uint32_t value;
    memcpy(&value, from, sizeof value);
    return MC_LE32(value);
}

static inline uint64_t mc_load64(const uint8_t *from) {
    uint64_t value;
    memcpy(&value, from, sizeof value);
    return MC_LE64(value);
}

static inline void mc_store16(uint8_t *to, uint16_t value) {
    value = MC_LE16(value);
    memcpy(to, &value, sizeof value);
}

static inline void mc_store32(uint8_t *to, uint32_t value) {
    value = MC_LE32(value);
    memcpy(to, &value, sizeof value);
}

static inline void mc_store64(uint8_t *to, uint64_t value) {
    value = MC_LE64(value);
    memcpy(to, &value, sizeof value);
}

#endif
