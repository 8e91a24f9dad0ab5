#include "check.h"
#include "multiconnect/batch.h"
#include "multiconnect/crc32c.h"
#include "multiconnect/utf8.h"

#include <stdlib.h>

static void check_header(const struct vectors *vectors, const struct mc_batch_header *header) {
    CHECK(header->stream == vectors_number(vectors, "stream"));
    CHECK(header->slot == vectors_number(vectors, "slot"));
    CHECK(header->flags == vectors_number(vectors, "flags"));
    CHECK(header->count == vectors_number(vectors, "count"));
    CHECK(header->producer == vectors_number(vectors, "producer"));
    CHECK(header->producer_seq == vectors_number(vectors, "producer_seq"));
    CHECK(header->created_ms == vectors_number(vectors, "created_ms"));
}

/* Read a batch record by record, write each again, seal: the same bytes must come out. */
static void check_rewrite(const uint8_t *batch, size_t size, const struct mc_batch_header *header) {
    uint8_t *copy = malloc(size);
    uint8_t *to = copy + MC_BATCH_HEADER_BYTES;
    size_t at = 0;
    for (uint32_t i = 0; i < header->count; i++) {
        struct mc_record record;
        CHECK(mc_record_next(batch + MC_BATCH_HEADER_BYTES, header->body_len, &at, &record) ==
              MC_OK);
        mc_prefetch(record.payload, record.payload_len);
        to = mc_record_write(to, &record);
    }
    CHECK(at == header->body_len && to == copy + size);
    mc_batch_seal(copy, header);
    CHECK(memcmp(copy, batch, size) == 0);
    free(copy);
}

/* No single wrong byte goes unseen, and a batch cut anywhere is too short. */
static void check_damage(uint8_t *batch, size_t size) {
    struct mc_batch_header header;
    size_t fault_at;
    for (size_t i = 0; i < size; i++) {
        const uint8_t kept = batch[i];
        batch[i] = (uint8_t)(kept ^ (1 + random_below(255)));
        CHECK(mc_batch_check(batch, size, &header, &fault_at) != MC_OK);
        batch[i] = kept;
        uint8_t *cut = exact_copy(batch, i);
        CHECK(mc_batch_check(cut, i, &header, &fault_at) == MC_E_SHORT);
        free(cut);
    }
}

static void test_golden_batches(void) {
    for (struct vectors *vectors = vectors_open("batch"); vectors_next(vectors);) {
        size_t size, fault_at;
        uint8_t *batch = vectors_bytes(vectors, "batch", &size);
        struct mc_batch_header header;
        CHECK(mc_batch_check(batch, size, &header, &fault_at) == MC_OK);
        check_header(vectors, &header);
        check_rewrite(batch, size, &header);
        check_damage(batch, size);
        free(batch);
    }
}

/* Bodies of random bytes under a sound header and checksum: an answer, never an over-read. */
static void test_random_bodies(void) {
    for (int round = 0; round < 20000; round++) {
        const uint32_t body_len = 9 + random_below(60);
        const size_t size = MC_BATCH_HEADER_BYTES + body_len;
        uint8_t *batch = malloc(size);
        for (size_t i = MC_BATCH_HEADER_BYTES; i < size; i++)
            batch[i] = (uint8_t)(random_below(4) == 0 ? random_below(256) : random_below(3));
        struct mc_batch_header header = {.count = 1 + random_below(body_len / 9),
                                         .body_len = body_len};
        mc_batch_seal(batch, &header);
        size_t fault_at = SIZE_MAX;
        const int code = mc_batch_check(batch, size, &header, &fault_at);
        CHECK(code <= MC_OK && fault_at <= size);
        if (code == MC_OK)
            check_rewrite(batch, size, &header);
        free(batch);
    }
}

static int code_of_header(struct mc_batch_header header) {
    uint8_t batch[MC_BATCH_HEADER_BYTES + 32] = {0};
    const uint32_t body_len = header.body_len;
    header.body_len = 0; /* sealed over no body, so that an impossible length is not read */
    mc_batch_seal(batch, &header);
    mc_store32(batch + MC_BATCH_BODY_LEN_AT, body_len);
    return mc_batch_read_header(batch, sizeof batch, &header);
}

static void test_impossible_headers(void) {
    const struct mc_batch_header sound = {.count = 1, .body_len = 9, .slot = 31};
    struct mc_batch_header header = sound;
    CHECK(code_of_header(header) == MC_OK);
    header.stream = 2;
    CHECK(code_of_header(header) == MC_E_STREAM);
    header = sound, header.slot = 32;
    CHECK(code_of_header(header) == MC_E_SLOT);
    header = sound, header.flags = 2;
    CHECK(code_of_header(header) == MC_E_FLAGS);
    header = sound, header.count = 0;
    CHECK(code_of_header(header) == MC_E_COUNT);
    header = sound, header.count = MC_BATCH_RECORDS_MAX + 1;
    CHECK(code_of_header(header) == MC_E_COUNT);
    header = sound, header.body_len = MC_BATCH_BYTES_MAX + 1;
    CHECK(code_of_header(header) == MC_E_BODY_LEN);
    header = sound, header.body_len = 8;
    CHECK(code_of_header(header) == MC_E_BODY_LEN);
}

static void test_utf8(void) {
    static const struct {
        const char *text;
        bool valid;
    } cases[] = {
        {"", true},
        {"plain ascii, longer than a word", true},
        {"\xC3\xA9", true},
        {"\xE5\x90\x8D", true},
        {"\xF0\x9F\x99\x82", true},
        {"\xF4\x8F\xBF\xBF", true},
        {"12345678\xC3\xA9", true},
        {"\x80", false},
        {"\xC3", false},
        {"\xC0\xAF", false},
        {"\xC1\xBF", false},
        {"\xE0\x80\xAF", false},
        {"\xED\xA0\x80", false},
        {"\xF0\x80\x80\xAF", false},
        {"\xF4\x90\x80\x80", false},
        {"\xF5\x80\x80\x80", false},
        {"\xF0\x9F\x99", false},
        {"\xE5\x90z", false},
        {"1234567\xFF", false},
        {"12345678\xFF", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const size_t size = strlen(cases[i].text);
        uint8_t *exact = exact_copy((const uint8_t *)cases[i].text, size);
        CHECK(mc_utf8_is_valid(exact, size) == cases[i].valid);
        free(exact);
    }
}

static void test_ranks(void) {
    const uint8_t slots[] = {3, 3, 255, 3, 0, 255};
    const uint32_t expected[] = {0, 1, 0, 2, 0, 1};
    uint32_t out[6];
    mc_ranks(slots, 6, out);
    CHECK(memcmp(out, expected, sizeof out) == 0);
}

void test_batch(void) {
    test_golden_batches();
    test_random_bodies();
    test_impossible_headers();
    test_utf8();
    test_ranks();
}
