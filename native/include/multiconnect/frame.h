/*
 * Frames and answers: what travels on a connection between a router and an owner.
 *
 * The caller owns all memory; readers never read past the size they are given.
 */
#ifndef MULTICONNECT_FRAME_H
#define MULTICONNECT_FRAME_H

#include "multiconnect/bytes.h"
#include "multiconnect/codes.h"
#include "multiconnect/layout.h"

struct mc_frame {
    uint64_t number;
    uint32_t payload_len;
    uint8_t type;
};

struct mc_answer {
    uint64_t producer;
    uint64_t producer_seq;
    uint64_t value;
    uint32_t exception_count;
    uint8_t slot;
    uint8_t stream;
    uint8_t status;
};

struct mc_exception {
    uint64_t seq;
    uint32_t index;
    uint32_t kind;
};

/* Write a frame's header to MC_FRAME_HEADER_BYTES bytes at `to`. */
void mc_frame_write_header(uint8_t *to, const struct mc_frame *frame);

/* Read and check a frame's header; MC_OK, or MC_E_SHORT while it is not all there, or worse. */
int mc_frame_read_header(const uint8_t *data, size_t size, struct mc_frame *out);

/* Write one answer's fixed part; its exceptions follow, each with mc_exception_write. */
void mc_answer_write(uint8_t *to, const struct mc_answer *answer);
void mc_exception_write(uint8_t *to, const struct mc_exception *exception);

/* Could this answer, or this exception, have been sent? MC_OK or what is wrong with it. */
int mc_answer_check(const struct mc_answer *answer);
int mc_exception_check(const struct mc_exception *exception);

/* Read the answer at the start of `data`; on MC_OK all its exceptions lie within `size`. */
int mc_answer_read(const uint8_t *data, size_t size, struct mc_answer *out);
int mc_exception_read(const uint8_t *data, struct mc_exception *out);

#endif
