/*
 * What a kernel function answers when it cannot do what it was asked: a negative code.
 *
 * A code says what was wrong with the bytes; who sent them and what to do is the caller's matter.
 */
#ifndef MULTICONNECT_CODES_H
#define MULTICONNECT_CODES_H

enum mc_code {
    MC_OK = 0,
    MC_E_SHORT = -1,
    MC_E_MAGIC = -2,
    MC_E_VERSION = -3,
    MC_E_STREAM = -4,
    MC_E_SLOT = -5,
    MC_E_FLAGS = -6,
    MC_E_COUNT = -7,
    MC_E_BODY_LEN = -8,
    MC_E_RESERVED = -9,
    MC_E_CRC = -10,
    MC_E_RECORD_LEN = -11,
    MC_E_RECORD_RECIPIENT = -12,
    MC_E_RECORD_LIMIT = -13,
    MC_E_TRAILING = -14,
    MC_E_FRAME_LEN = -15,
    MC_E_STATUS = -16,
    MC_E_EXCEPTION = -17,
    MC_E_EMPTY = -18,
    MC_E_TOO_LONG = -19,
    MC_E_CONTROL = -20,
};

/* Return an English clause for a code, for use inside a message; never NULL. */
const char *mc_reason(int code);

#endif
