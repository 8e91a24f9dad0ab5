#include "multiconnect/crc32c.h"

#include "multiconnect/bytes.h"

/* The reflected polynomial of CRC-32C. */
#define POLYNOMIAL 0x82F63B78U

/* tables[k][b]: the effect of byte b followed by k zero bytes, for eight bytes at a step. */
static uint32_t tables[8][256];

static void fill_tables(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (POLYNOMIAL & (0U - (crc & 1U)));
        tables[0][byte] = crc;
    }
    for (int k = 1; k < 8; k++)
        for (int byte = 0; byte < 256; byte++) {
            const uint32_t crc = tables[k - 1][byte];
            tables[k][byte] = (crc >> 8) ^ tables[0][crc & 0xFF];
        }
}

static uint32_t portable(uint32_t value, const uint8_t *data, size_t size) {
    uint32_t crc = ~value;
    for (; size >= 8; data += 8, size -= 8) {
        const uint64_t word = mc_load64(data) ^ crc;
        crc = 0;
        for (int k = 0; k < 8; k++)
            crc ^= tables[7 - k][(word >> (8 * k)) & 0xFF];
    }
    for (; size > 0; data++, size--)
        crc = (crc >> 8) ^ tables[0][(crc ^ *data) & 0xFF];
    return ~crc;
}

size_t mc_crc32c_builds(struct mc_crc32c_build *out, size_t room) {
    const struct mc_crc32c_build builds[] = {
        {"portable", portable, true},
#if defined(__x86_64__)
        {"sse4.2", mc_crc32c_sse42, mc_crc32c_has_sse42()},
        {"avx512", mc_crc32c_avx512, mc_crc32c_has_avx512()},
#endif
    };
    const size_t count = sizeof builds / sizeof builds[0];
    for (size_t i = 0; i < count && i < room; i++)
        out[i] = builds[i];
    return count;
}

static mc_crc32c_fn *best_build = portable;

__attribute__((constructor)) static void choose_build(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
#endif
    fill_tables();
    struct mc_crc32c_build builds[4] = {{0}};
    const size_t known = mc_crc32c_builds(builds, 4);
    for (size_t i = 0; i < known; i++)
        if (builds[i].supported)
            best_build = builds[i].run;
}

uint32_t mc_crc32c(uint32_t value, const uint8_t *data, size_t size) {
    return best_build(value, data, size);
}
