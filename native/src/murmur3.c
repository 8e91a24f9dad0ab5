#include "multiconnect/hash.h"

uint32_t mc_murmur3_32(const uint8_t *data, size_t size) {
    uint32_t hash = 0;
    size_t at = 0;
    for (; at + 4 <= size; at += 4)
        hash = mc_murmur3_block(hash, mc_load32(data + at));
    uint32_t tail = 0;
    for (size_t i = size; i > at; i--)
        tail = tail << 8 | data[i - 1];
    if (at < size)
        hash = mc_murmur3_tail(hash, tail);
    return mc_murmur3_final(hash, size);
}
