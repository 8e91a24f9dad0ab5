/*
 * CRC-32C (Castagnoli), as in RFC 3720: initial and final inversion, reflected, 0x1EDC6F41.
 */
#ifndef MULTICONNECT_CRC32C_H
#define MULTICONNECT_CRC32C_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Continue the checksum `value` (0 to start) over `size` bytes. */
uint32_t mc_crc32c(uint32_t value, const uint8_t *data, size_t size);

/* The builds of mc_crc32c, slowest first, so that tests can run those this machine has. */
typedef uint32_t mc_crc32c_fn(uint32_t value, const uint8_t *data, size_t size);
struct mc_crc32c_build {
    const char *name;
    mc_crc32c_fn *run;
    bool supported;
};
size_t mc_crc32c_builds(struct mc_crc32c_build *out, size_t room);

/* For mc_crc32c_builds alone: the builds for x86-64, and whether this machine can run them. */
mc_crc32c_fn mc_crc32c_sse42, mc_crc32c_avx512;
bool mc_crc32c_has_sse42(void);
bool mc_crc32c_has_avx512(void);

#endif
