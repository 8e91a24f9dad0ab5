#include "multiconnect/message_id.h"

#include <stddef.h>

enum { RAW_BYTES = 18, PREFIX_BYTES = 3, BODY_BYTES = 13 };

/* CRC-32 as in zip files. A byte's share is that of its lower and that of its upper half, so two
   tables of 64 bytes do, which stay in the cache. */
static uint32_t crc32_of(const uint8_t *data, size_t size) {
    static const uint32_t lower[16] = {0x00000000, 0x77073096, 0xEE0E612C, 0x990951BA,
                                       0x076DC419, 0x706AF48F, 0xE963A535, 0x9E6495A3,
                                       0x0EDB8832, 0x79DCB8A4, 0xE0D5E91E, 0x97D2D988,
                                       0x09B64C2B, 0x7EB17CBD, 0xE7B82D07, 0x90BF1D91};
    static const uint32_t upper[16] = {0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC,
                                       0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
                                       0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
                                       0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C};
    uint32_t value = 0xFFFFFFFF;
    for (size_t i = 0; i < size; i++) {
        value ^= data[i];
        value = value >> 8 ^ lower[value & 15] ^ upper[value >> 4 & 15];
    }
    return ~value;
}

static void store_big_endian(uint8_t *to, uint64_t value, int bytes) {
    while (bytes-- > 0) {
        to[bytes] = (uint8_t)value;
        value >>= 8;
    }
}

void mc_message_id_write(uint8_t *out, uint32_t cluster, uint8_t place, uint64_t sequence) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t raw[RAW_BYTES] = {0x80, 0x11, 0x06}; /* what "gBEG" stands for */
    uint8_t *body = raw + PREFIX_BYTES;
    store_big_endian(body, cluster, 4);
    body[4] = place;
    store_big_endian(body + 5, sequence, 8);
    store_big_endian(body + BODY_BYTES, crc32_of(body, BODY_BYTES) & 0xFFFF, 2);
    for (int i = 0; i < RAW_BYTES; i += 3) {
        const uint32_t bits = (uint32_t)raw[i] << 16 | (uint32_t)raw[i + 1] << 8 | raw[i + 2];
        *out++ = (uint8_t)letters[bits >> 18];
        *out++ = (uint8_t)letters[bits >> 12 & 63];
        *out++ = (uint8_t)letters[bits >> 6 & 63];
        *out++ = (uint8_t)letters[bits & 63];
    }
}
