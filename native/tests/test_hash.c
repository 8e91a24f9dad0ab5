#include "check.h"
#include "multiconnect/codes.h"
#include "multiconnect/hash.h"

#include <stdlib.h>

static void test_golden_hashes(void) {
    for (struct vectors *vectors = vectors_open("hash"); vectors_next(vectors);) {
        size_t size;
        uint8_t *data = vectors_bytes(vectors, "data", &size);
        CHECK(mc_murmur3_32(data, size) == vectors_number(vectors, "murmur3"));
        free(data);
    }
}

static void test_golden_recipients(void) {
    for (struct vectors *vectors = vectors_open("recipients"); vectors_next(vectors);) {
        size_t input_size, size;
        uint8_t *input = vectors_bytes(vectors, "input", &input_size);
        uint8_t *expected = vectors_bytes(vectors, "canonical", &size);
        uint8_t out[MC_RECIPIENT_BYTES_MAX];
        const int length = mc_canonical(input, input_size, out);
        const int code = (int)vectors_number(vectors, "code");
        if (code != MC_OK) {
            CHECK(length == code);
        } else {
            CHECK(length == (int)size && memcmp(out, expected, size) == 0);
            CHECK(mc_murmur3_32(out, size) == vectors_number(vectors, "hash"));
            CHECK((mc_murmur3_32(out, size) & MC_SLOT_MASK) == vectors_number(vectors, "slot"));
        }
        free(input);
        free(expected);
    }
}

/* The fast path must agree with the plain one, and take nothing but digits. */
static void test_digits(void) {
    for (int round = 0; round < 20000; round++) {
        const size_t size = random_below(20);
        uint8_t *text = malloc(size + 1);
        bool digits = true;
        for (size_t i = 0; i < size; i++) {
            text[i] = (uint8_t)('0' + random_below(10));
            if (random_below(40) == 0) {
                text[i] = (uint8_t)random_below(256);
                digits = digits && text[i] >= '0' && text[i] <= '9';
            }
        }
        uint8_t *exact = exact_copy(text, size);
        uint32_t hash = 0;
        const bool taken = mc_digits_hash(exact, size, &hash);
        CHECK(taken == (digits && size >= 8 && size <= 15));
        CHECK(!taken || hash == mc_murmur3_32(exact, size));
        free(exact);
        free(text);
    }
}

static void check_packed(const struct mc_packed_ids_build *build, size_t count, size_t width) {
    uint8_t *data = malloc(count * width + 1), *out = malloc(count + 1);
    for (size_t i = 0; i < count * width; i++)
        data[i] = (uint8_t)random_below(256);
    uint8_t *exact = exact_copy(data, count * width);
    build->run(exact, count, width, 31, out);
    bool equal = true;
    for (size_t i = 0; i < count; i++)
        equal = equal && out[i] == (mc_murmur3_32(exact + i * width, width) & 31);
    CHECK(equal);
    free(exact);
    free(data);
    free(out);
}

static void test_packed(void) {
    struct mc_packed_ids_build builds[8];
    const size_t known = mc_packed_ids_builds(builds, 8);
    CHECK(known >= 1 && builds[0].supported);
    for (size_t b = 0; b < known; b++) {
        if (!builds[b].supported)
            continue;
        for (size_t width = 1; width <= 24; width++)
            for (size_t count = 0; count < 70; count += 1 + count / 3)
                check_packed(&builds[b], count, width);
        check_packed(&builds[b], 600, 11);
        check_packed(&builds[b], 600, 12);
        check_packed(&builds[b], 300, MC_RECIPIENT_BYTES_MAX);
    }
}

static void test_reasons(void) {
    for (int code = -100; code <= 100; code++)
        CHECK(mc_reason(code) != NULL && mc_reason(code)[0] != 0);
}

void test_hash(void) {
    test_golden_hashes();
    test_golden_recipients();
    test_digits();
    test_packed();
    test_reasons();
}
