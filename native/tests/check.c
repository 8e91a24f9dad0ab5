#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *folder;
static int passed_count, failed_count;

void check(bool passed, const char *what, const char *file, int line) {
    if (passed) {
        passed_count++;
        return;
    }
    failed_count++;
    fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
}

struct vectors {
    FILE *file;
    char line[16384];
};

static void give_up(const char *what, const char *which) {
    fprintf(stderr, "%s: %s\n", what, which);
    exit(2);
}

struct vectors *vectors_open(const char *name) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s.json", folder, name);
    struct vectors *vectors = malloc(sizeof *vectors);
    if (vectors == NULL || (vectors->file = fopen(path, "r")) == NULL)
        give_up("cannot open the vectors", path);
    return vectors;
}

bool vectors_next(struct vectors *vectors) {
    while (fgets(vectors->line, sizeof vectors->line, vectors->file) != NULL)
        if (vectors->line[0] == '{')
            return true;
    fclose(vectors->file);
    free(vectors);
    return false;
}

/* The text after `"field": `. */
static const char *value_of(const struct vectors *vectors, const char *field) {
    char key[64];
    snprintf(key, sizeof key, "\"%s\": ", field);
    const char *found = strstr(vectors->line, key);
    if (found == NULL)
        give_up("no such field in the vectors", field);
    return found + strlen(key);
}

uint64_t vectors_number(const struct vectors *vectors, const char *field) {
    const char *value = value_of(vectors, field);
    return value[0] == '-' ? (uint64_t)strtoll(value, NULL, 10) : strtoull(value, NULL, 10);
}

uint8_t *vectors_bytes(const struct vectors *vectors, const char *field, size_t *size) {
    const char *hex = value_of(vectors, field) + 1;
    *size = strcspn(hex, "\"") / 2;
    uint8_t *bytes = malloc(*size > 0 ? *size : 1);
    for (size_t i = 0; i < *size; i++) {
        const char pair[3] = {hex[2 * i], hex[2 * i + 1], 0};
        bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return bytes;
}

uint32_t random_below(uint32_t limit) {
    static uint64_t state = 0x9E3779B97F4A7C15U;
    state = state * 6364136223846793005U + 1442695040888963407U;
    return (uint32_t)(state >> 33) % limit;
}

uint8_t *exact_copy(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (size > 0)
        memcpy(copy, data, size);
    return copy;
}

int main(int argc, char **argv) {
    if (argc != 2)
        give_up("usage: kernel_tests FOLDER_OF_VECTORS", argv[0]);
    folder = argv[1];
    test_hash();
    test_crc32c();
    test_batch();
    test_frame();
    test_plain();
    printf("%d passed, %d failed\n", passed_count, failed_count);
    return failed_count == 0 ? 0 : 1;
}
