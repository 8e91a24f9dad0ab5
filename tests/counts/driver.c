/*
 * What a message costs in the kernel, in a form that callgrind can count.
 *
 * The same work that the glue asks of the kernel for 1,000 messages of 200 bytes to numbers of
 * 12 digits, spread over all slots: a thousand messages packed and sealed (pack), a frame of them
 * walked and checked (walk), its batches acknowledged, that is an answer for each written and
 * read and every message given its place in its slot (acknowledge). callgrind counts between
 * entry and exit of the function of that name.
 */
#include "multiconnect/batch.h"
#include "multiconnect/crc32c.h"
#include "multiconnect/frame.h"
#include "multiconnect/hash.h"

#include <stdio.h>
#include <stdlib.h>

#define MEASURED __attribute__((noinline))

enum {
    MESSAGES = 1000,
    WIDTH = 12,
    PAYLOAD_BYTES = 200,
    ROOM = MC_BATCH_HEADER_BYTES + MESSAGES * (MC_RECORD_HEADER_BYTES + WIDTH + PAYLOAD_BYTES),
};

struct open_batch {
    uint8_t bytes[ROOM];
    size_t used;
    uint32_t count;
};

static uint8_t recipients[MESSAGES][WIDTH + 4];
static uint8_t payload[PAYLOAD_BYTES];
static uint8_t slots[MESSAGES];
static uint32_t places[MESSAGES];
static struct open_batch batches[MC_SLOTS];
static uint8_t frame[MC_FRAME_HEADER_BYTES + MC_SLOTS * (size_t)ROOM];
static size_t frame_size;
static uint8_t answers[MC_FRAME_HEADER_BYTES + MC_SLOTS * MC_ANSWER_BYTES];

/* End with a message, so that a count is never that of work that failed. */
static void expect(int holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "driver: %s\n", what);
        exit(1);
    }
}

MEASURED static void pack(void) {
    struct mc_record record = {.payload = payload, .payload_len = PAYLOAD_BYTES};
    record.recipient_len = WIDTH;
    for (size_t i = 0; i < MESSAGES; i++) {
        uint32_t hash = 0;
        expect(mc_digits_hash(recipients[i], WIDTH, &hash), "a number is not canonical");
        slots[i] = hash & MC_SLOT_MASK;
        struct open_batch *batch = &batches[slots[i]];
        record.recipient = recipients[i];
        mc_record_write(batch->bytes + batch->used, &record);
        batch->used += mc_record_size(&record);
        batch->count++;
    }
    for (uint8_t slot = 0; slot < MC_SLOTS; slot++) {
        const struct open_batch *batch = &batches[slot];
        const struct mc_batch_header header = {
            .producer = 1,
            .producer_seq = 1,
            .created_ms = 1,
            .count = batch->count,
            .body_len = (uint32_t)(batch->used - MC_BATCH_HEADER_BYTES),
            .slot = slot,
        };
        mc_batch_seal(batches[slot].bytes, &header);
    }
}

MEASURED static void walk(void) {
    struct mc_frame head;
    expect(mc_frame_read_header(frame, frame_size, &head) == MC_OK, "the frame is refused");
    size_t at = MC_FRAME_HEADER_BYTES, messages = 0, fault_at;
    while (at < frame_size) {
        struct mc_batch_header header;
        const int code = mc_batch_check(frame + at, frame_size - at, &header, &fault_at);
        expect(code == MC_OK, "a batch is refused");
        messages += header.count;
        at += (size_t)MC_BATCH_HEADER_BYTES + header.body_len;
    }
    expect(messages == MESSAGES, "the walk missed messages");
}

MEASURED static void acknowledge(void) {
    const struct mc_frame head = {.number = 1, .payload_len = MC_SLOTS * MC_ANSWER_BYTES};
    mc_frame_write_header(answers, &head);
    uint8_t *to = answers + MC_FRAME_HEADER_BYTES;
    for (uint8_t slot = 0; slot < MC_SLOTS; slot++, to += MC_ANSWER_BYTES) {
        const struct mc_answer answer = {
            .producer = 1, .producer_seq = 1, .value = 1, .slot = slot};
        mc_answer_write(to, &answer);
    }
    const uint8_t *from = answers + MC_FRAME_HEADER_BYTES;
    for (; from < to; from += MC_ANSWER_BYTES) {
        struct mc_answer answer;
        expect(mc_answer_read(from, (size_t)(to - from), &answer) == MC_OK, "an answer is refused");
    }
    mc_ranks(slots, MESSAGES, places);
}

static void prepare(void) {
    uint64_t number = 100000000000U;
    for (size_t i = 0; i < MESSAGES; i++, number += 7919 * 104729U)
        snprintf((char *)recipients[i], sizeof recipients[i], "%012llu",
                 (unsigned long long)number);
    memset(payload, 'x', sizeof payload);
    for (size_t slot = 0; slot < MC_SLOTS; slot++)
        batches[slot].used = MC_BATCH_HEADER_BYTES;
}

static void fill_frame(void) {
    size_t used = MC_FRAME_HEADER_BYTES;
    for (size_t slot = 0; slot < MC_SLOTS; slot++) {
        memcpy(frame + used, batches[slot].bytes, batches[slot].used);
        used += batches[slot].used;
    }
    const struct mc_frame head = {.number = 1,
                                  .payload_len = (uint32_t)(used - MC_FRAME_HEADER_BYTES)};
    mc_frame_write_header(frame, &head);
    frame_size = used;
}

/* What the counts depend on besides the source: the compiler, and the checksum this machine runs.
 */
static void print_build(void) {
    struct mc_crc32c_build builds[8];
    const size_t count = mc_crc32c_builds(builds, 8);
    const char *chosen = "none";
    for (size_t i = 0; i < count; i++)
        if (builds[i].supported)
            chosen = builds[i].name;
    printf("%s\n", chosen);
}

int main(void) {
    prepare();
    pack();
    fill_frame();
    walk();
    acknowledge();
    print_build();
    return 0;
}
