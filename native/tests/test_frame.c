#include "check.h"
#include "multiconnect/frame.h"

#include <stdlib.h>

static void test_golden_frames(void) {
    for (struct vectors *vectors = vectors_open("frame"); vectors_next(vectors);) {
        size_t size;
        uint8_t *header = vectors_bytes(vectors, "header", &size);
        struct mc_frame frame;
        CHECK(size == MC_FRAME_HEADER_BYTES);
        CHECK(mc_frame_read_header(header, size, &frame) == MC_OK);
        CHECK(frame.type == vectors_number(vectors, "type"));
        CHECK(frame.number == vectors_number(vectors, "number"));
        CHECK(frame.payload_len == vectors_number(vectors, "payload_len"));
        uint8_t copy[MC_FRAME_HEADER_BYTES];
        mc_frame_write_header(copy, &frame);
        CHECK(memcmp(copy, header, size) == 0);
        for (size_t cut = 0; cut < size; cut++) {
            uint8_t *part = exact_copy(header, cut);
            CHECK(mc_frame_read_header(part, cut, &frame) == MC_E_SHORT);
            free(part);
        }
        free(header);
    }
}

static void test_wrong_frames(void) {
    uint8_t header[MC_FRAME_HEADER_BYTES];
    struct mc_frame frame = {.payload_len = MC_FRAME_BYTES_MAX + 1};
    mc_frame_write_header(header, &frame);
    CHECK(mc_frame_read_header(header, sizeof header, &frame) == MC_E_FRAME_LEN);
    header[MC_FRAME_VERSION_AT]++;
    CHECK(mc_frame_read_header(header, 3, &frame) == MC_E_VERSION);
    header[MC_FRAME_MAGIC_AT]++;
    CHECK(mc_frame_read_header(header, 2, &frame) == MC_E_MAGIC);
}

/* Read an answer with its exceptions and write them again: the same bytes must come out. */
static void check_rewrite(const uint8_t *data, size_t size, const struct mc_answer *answer) {
    uint8_t *copy = malloc(size);
    mc_answer_write(copy, answer);
    for (size_t at = MC_ANSWER_BYTES; at < size; at += MC_EXCEPTION_BYTES) {
        struct mc_exception exception;
        CHECK(mc_exception_read(data + at, &exception) == MC_OK);
        mc_exception_write(copy + at, &exception);
    }
    CHECK(memcmp(copy, data, size) == 0);
    free(copy);
}

static void test_golden_answers(void) {
    for (struct vectors *vectors = vectors_open("answers"); vectors_next(vectors);) {
        size_t size;
        uint8_t *data = vectors_bytes(vectors, "answer", &size);
        struct mc_answer answer;
        CHECK(mc_answer_read(data, size, &answer) == MC_OK);
        CHECK(answer.slot == vectors_number(vectors, "slot"));
        CHECK(answer.stream == vectors_number(vectors, "stream"));
        CHECK(answer.status == vectors_number(vectors, "status"));
        CHECK(answer.producer == vectors_number(vectors, "producer"));
        CHECK(answer.producer_seq == vectors_number(vectors, "producer_seq"));
        CHECK(answer.value == vectors_number(vectors, "value"));
        check_rewrite(data, size, &answer);
        for (size_t cut = 0; cut < size; cut++) {
            uint8_t *part = exact_copy(data, cut);
            CHECK(mc_answer_read(part, cut, &answer) == MC_E_SHORT);
            free(part);
        }
        free(data);
    }
}

static void test_impossible_answers(void) {
    const struct mc_answer slot = {.slot = 32}, stream = {.stream = 2}, status = {.status = 5};
    const struct mc_answer count = {.exception_count = MC_BATCH_RECORDS_MAX + 1};
    CHECK(mc_answer_check(&slot) == MC_E_SLOT);
    CHECK(mc_answer_check(&stream) == MC_E_STREAM);
    CHECK(mc_answer_check(&status) == MC_E_STATUS);
    CHECK(mc_answer_check(&count) == MC_E_COUNT);
    const struct mc_exception kind0 = {.kind = 0}, kind3 = {.kind = 3};
    const struct mc_exception index = {.kind = 1, .index = MC_BATCH_RECORDS_MAX};
    CHECK(mc_exception_check(&kind0) == MC_E_EXCEPTION);
    CHECK(mc_exception_check(&kind3) == MC_E_EXCEPTION);
    CHECK(mc_exception_check(&index) == MC_E_EXCEPTION);
}

void test_frame(void) {
    test_golden_frames();
    test_wrong_frames();
    test_golden_answers();
    test_impossible_answers();
}
