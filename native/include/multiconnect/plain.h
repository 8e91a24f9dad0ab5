/*
 * The plain way in: requests and messages written the way nearly all are.
 *
 * A reader here says yes only to what every strict reader would take for the same thing; whatever
 * is unusual, damaged or not all there gets a no, which means "look closer", never "refuse". So
 * none of them has to know what an error is called, and none can be more lenient than the reader
 * it stands in for: what is told apart by a finer rule is not plain.
 */
#ifndef MULTICONNECT_PLAIN_H
#define MULTICONNECT_PLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bounds of what is plain; far below those of what is allowed. */
enum mc_plain {
    MC_PLAIN_HEADERS_MAX = 32,
    MC_PLAIN_HEAD_BYTES_MAX = 4096,
    MC_PLAIN_DIGITS_MAX = 20,
    MC_PLAIN_TEXT_BYTES_MAX = 4096,
    MC_PLAIN_MESSAGE_BYTES_MAX = 16384,
};

/* A piece of somebody's memory; `data` is NULL for what is not there. */
struct mc_piece {
    const uint8_t *data;
    size_t size;
};

struct mc_plain_head {
    struct mc_piece authorization;
    struct mc_piece idempotency_key;
    /* Where the body begins, counted from the first header; and its length, 1 or more. */
    size_t body_at;
    size_t body_size;
};

/* Read the headers of an HTTP/1.1 request, from the first one to the empty line: a Host, a
   Content-Length, nothing twice that must be single, nothing that changes how the body or the
   connection is read. The body need not be there. */
bool mc_plain_head_read(const uint8_t *data, size_t size, struct mc_plain_head *out);

/* Read a text message, a JSON object with `to` (digits, perhaps a plus before them), `text` and
   nothing unusual. `digits` is the recipient in canonical form. Return the size of the object, 0
   if it is not plain. */
size_t mc_plain_text_read(const uint8_t *data, size_t size, struct mc_piece *digits);

/* Return the size of the JSON value that `data` begins with, 0 if there is none. Right for what a
   strict reader has accepted, and inside the bounds for anything else. */
size_t mc_json_value_size(const uint8_t *data, size_t size);

/* Return how many bytes of white space, as JSON has it, `data` begins with. */
size_t mc_json_space(const uint8_t *data, size_t size);

#endif
