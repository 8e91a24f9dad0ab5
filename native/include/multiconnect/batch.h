/*
 * Batches: writing records, sealing the header, and reading both back without trusting them.
 *
 * The caller owns all memory. Writers trust their arguments (the glue has checked them against
 * the limits); readers trust nothing and never read past the size they are given.
 */
#ifndef MULTICONNECT_BATCH_H
#define MULTICONNECT_BATCH_H

#include "multiconnect/bytes.h"
#include "multiconnect/codes.h"
#include "multiconnect/layout.h"

struct mc_batch_header {
    uint64_t producer;
    uint64_t producer_seq;
    uint64_t created_ms;
    uint32_t count;
    uint32_t body_len;
    uint8_t stream;
    uint8_t slot;
    uint8_t flags;
};

/* A record's parts, pointing into memory of the caller. */
struct mc_record {
    const uint8_t *recipient;
    const uint8_t *attributes;
    const uint8_t *payload;
    uint32_t payload_len;
    uint16_t attributes_len;
    uint8_t recipient_len;
    uint8_t kind;
};

static inline size_t mc_record_size(const struct mc_record *record) {
    return (size_t)MC_RECORD_HEADER_BYTES + record->recipient_len + record->attributes_len +
           record->payload_len;
}

/*
 * Start fetching a payload that will be written a few records from now: the start of it, the rest
 * follows by itself. Payloads lie all over the heap, so each is a wait for memory otherwise
 * (measured: 48 -> 41 ns a message when they are not in cache, nothing lost when they are).
 */
static inline void mc_prefetch(const uint8_t *data, size_t size) {
    for (size_t at = 0; at < 256 && at < size; at += 64)
        __builtin_prefetch(data + at);
}

/*
 * Copy a few bytes. Left to itself the compiler turns a memcpy of at most 255 bytes into a string
 * instruction, which takes longer to start than the hash of a phone number takes in all.
 */
static inline void mc_copy_short(uint8_t *to, const uint8_t *from, size_t size) {
    if (size >= 8) {
        for (size_t at = 0; at + 8 < size; at += 8)
            memcpy(to + at, from + at, 8);
        memcpy(to + size - 8, from + size - 8, 8); /* the last word overlaps the one before */
    } else {
        for (size_t at = 0; at < size; at++)
            to[at] = from[at];
    }
}

/* Write a record to `to`, which has room for mc_record_size() bytes; returns the byte after it. */
static inline uint8_t *mc_record_write(uint8_t *to, const struct mc_record *record) {
    mc_store32(to + MC_RECORD_PAYLOAD_LEN_AT, record->payload_len);
    mc_store16(to + MC_RECORD_ATTRIBUTES_LEN_AT, record->attributes_len);
    to[MC_RECORD_RECIPIENT_LEN_AT] = record->recipient_len;
    to[MC_RECORD_KIND_AT] = record->kind;
    to += MC_RECORD_HEADER_BYTES;
    mc_copy_short(to, record->recipient, record->recipient_len);
    to += record->recipient_len;
    if (record->attributes_len != 0) /* memcpy from NULL is undefined even for no bytes */
        memcpy(to, record->attributes, record->attributes_len);
    to += record->attributes_len;
    if (record->payload_len != 0)
        memcpy(to, record->payload, record->payload_len);
    return to + record->payload_len;
}

/* Write the header, checksum included, of a batch whose body already lies behind it. */
void mc_batch_seal(uint8_t *batch, const struct mc_batch_header *header);

/* Read and check a header; MC_OK or what is wrong with it. The body is not looked at. */
int mc_batch_read_header(const uint8_t *data, size_t size, struct mc_batch_header *out);

/*
 * Check the whole batch at the start of `data`: header, checksum, every record.
 *
 * On failure `fault_at` is the offset of what is wrong. Bytes after the batch are ignored.
 */
int mc_batch_check(const uint8_t *data, size_t size, struct mc_batch_header *out, size_t *fault_at);

/* Read the record at `*at` of a body and move `*at` behind it; MC_OK or what is wrong. */
int mc_record_next(const uint8_t *body, size_t body_len, size_t *at, struct mc_record *out);

/* For each slot id its rank among the equal ids before it. */
void mc_ranks(const uint8_t *slots, size_t count, uint32_t *out);

#endif
