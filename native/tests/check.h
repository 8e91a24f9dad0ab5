/*
 * What the C tests share: a check that counts, golden vectors, and repeatable random numbers.
 *
 * The vectors are JSON with one object on each line, which is all that is understood here; the
 * Python tests read the same files with a real parser.
 */
#ifndef MULTICONNECT_CHECK_H
#define MULTICONNECT_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHECK(condition) check((condition), #condition, __FILE__, __LINE__)

/* Count a check; print the one that fails and go on. */
void check(bool passed, const char *what, const char *file, int line);

struct vectors;

/* Open vectors/NAME.json below the folder the program was given; ends the program if it cannot. */
struct vectors *vectors_open(const char *name);

/* Move to the next object; false, and closed, at the end. */
bool vectors_next(struct vectors *vectors);

/* The number, or the bytes written in hex, of a field of the object. The memory is the caller's to
   free and of exactly that size, so that a sanitizer sees every byte read beyond it. */
uint64_t vectors_number(const struct vectors *vectors, const char *field);
uint8_t *vectors_bytes(const struct vectors *vectors, const char *field, size_t *size);

/* The next of a fixed sequence of random numbers below `limit`. */
uint32_t random_below(uint32_t limit);

/* Copy bytes to memory of exactly their size. */
uint8_t *exact_copy(const uint8_t *data, size_t size);

void test_hash(void);
void test_crc32c(void);
void test_batch(void);
void test_frame(void);
void test_plain(void);

#endif
