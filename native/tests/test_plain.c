#include "check.h"
#include "multiconnect/message_id.h"
#include "multiconnect/plain.h"

#include <stdlib.h>
#include <string.h>

static const char head[] = "Host: h\r\nAuthorization: Bearer t\r\nContent-Length: 12\r\n"
                           "Connection: keep-alive\r\nIdempotency-Key:k\r\n\r\n";
static const char text[] = "{\"to\":\"+16315550000\", \"type\":\"text\",\"preview_url\":true,"
                           "\"text\":{\"body\":\"hi \\ud83d\\ude00 \xc3\xa9\"}}";

static bool says(struct mc_piece piece, const char *expected) {
    return piece.size == strlen(expected) && memcmp(piece.data, expected, piece.size) == 0;
}

static void test_head(void) {
    const size_t size = sizeof head - 1;
    struct mc_plain_head found;
    CHECK(mc_plain_head_read((const uint8_t *)head, size, &found));
    CHECK(found.body_at == size && found.body_size == 12);
    CHECK(says(found.authorization, "Bearer t") && says(found.idempotency_key, "k"));
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *part = exact_copy((const uint8_t *)head, cut);
        CHECK(!mc_plain_head_read(part, cut, &found));
        free(part);
    }
}

static void test_text(void) {
    const size_t size = sizeof text - 1;
    struct mc_piece digits;
    CHECK(mc_plain_text_read((const uint8_t *)text, size, &digits) == size);
    CHECK(says(digits, "16315550000"));
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *part = exact_copy((const uint8_t *)text, cut);
        CHECK(mc_plain_text_read(part, cut, &digits) == 0);
        free(part);
    }
}

/* Whatever stands there: nothing is read outside, and what is said to be read lies inside. */
static void test_damage(const char *whole, size_t size) {
    for (int round = 0; round < 20000; round++) {
        const size_t cut = random_below((uint32_t)size + 1);
        uint8_t *data = exact_copy((const uint8_t *)whole, cut);
        for (uint32_t i = 0; i < random_below(4) && cut > 0; i++)
            data[random_below((uint32_t)cut)] =
                (uint8_t)("\"\\{}[],: u\n\r\0\xff"[random_below(15)]);
        struct mc_plain_head found;
        struct mc_piece digits;
        if (mc_plain_head_read(data, cut, &found))
            CHECK(found.body_at <= cut);
        CHECK(mc_plain_text_read(data, cut, &digits) <= cut);
        CHECK(mc_json_value_size(data, cut) <= cut);
        CHECK(mc_json_space(data, cut) <= cut);
        free(data);
    }
}

static void test_message_id(void) {
    uint8_t id[MC_MESSAGE_ID_CHARS];
    mc_message_id_write(id, 1, 3, 7);
    CHECK(memcmp(id, "gBEGAAAAAQMAAAAAAAAAB4Ta", MC_MESSAGE_ID_CHARS) == 0);
}

void test_plain(void) {
    test_head();
    test_text();
    test_damage(head, sizeof head - 1);
    test_damage(text, sizeof text - 1);
    test_message_id();
}
