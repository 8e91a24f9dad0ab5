#include "check.h"
#include "multiconnect/crc32c.h"

#include <stdlib.h>

static struct mc_crc32c_build builds[8];

static size_t supported_builds(void) {
    const size_t known = mc_crc32c_builds(builds, 8);
    size_t supported = 0;
    for (size_t i = 0; i < known; i++)
        if (builds[i].supported)
            builds[supported++] = builds[i];
    return supported;
}

static void test_golden(size_t build_count) {
    for (struct vectors *vectors = vectors_open("hash"); vectors_next(vectors);) {
        size_t size;
        uint8_t *data = vectors_bytes(vectors, "data", &size);
        const uint32_t expected = (uint32_t)vectors_number(vectors, "crc32c");
        CHECK(mc_crc32c(0, data, size) == expected);
        for (size_t i = 0; i < build_count; i++)
            CHECK(builds[i].run(0, data, size) == expected);
        free(data);
    }
}

/* All builds, over every size around the edges of a stripe or fold, in one piece and in two. */
static void test_builds_agree(size_t build_count) {
    for (size_t size = 0; size < 7000; size += size < 1100 ? 1 : 61) {
        uint8_t *data = malloc(size + 1);
        for (size_t i = 0; i < size; i++)
            data[i] = (uint8_t)random_below(256);
        uint8_t *exact = exact_copy(data, size);
        const uint32_t expected = builds[0].run(7, exact, size);
        const size_t cut = random_below((uint32_t)size + 1);
        for (size_t i = 0; i < build_count; i++) {
            mc_crc32c_fn *run = builds[i].run;
            CHECK(run(7, exact, size) == expected);
            CHECK(run(run(7, exact, cut), exact + cut, size - cut) == expected);
        }
        free(exact);
        free(data);
    }
}

void test_crc32c(void) {
    const size_t build_count = supported_builds();
    CHECK(build_count >= 1);
    test_golden(build_count);
    test_builds_agree(build_count);
}
