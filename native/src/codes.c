#include "multiconnect/codes.h"

static const char *const reasons[] = {
    [-MC_OK] = "nothing is wrong",
    [-MC_E_SHORT] = "the data ends too early",
    [-MC_E_MAGIC] = "the magic number is wrong",
    [-MC_E_VERSION] = "the format version is unknown",
    [-MC_E_STREAM] = "the stream is unknown",
    [-MC_E_SLOT] = "the slot is outside 0..31",
    [-MC_E_FLAGS] = "an unknown flag is set",
    [-MC_E_COUNT] = "the record count is impossible",
    [-MC_E_BODY_LEN] = "the body length is impossible",
    [-MC_E_RESERVED] = "a reserved field is not zero",
    [-MC_E_CRC] = "the checksum does not match",
    [-MC_E_RECORD_LEN] = "a record reaches past the body",
    [-MC_E_RECORD_RECIPIENT] = "a record's recipient is empty or not UTF-8",
    [-MC_E_RECORD_LIMIT] = "a record's part is longer than its limit",
    [-MC_E_TRAILING] = "bytes follow the last record",
    [-MC_E_FRAME_LEN] = "the frame is longer than the limit",
    [-MC_E_STATUS] = "the answer's status is unknown",
    [-MC_E_EXCEPTION] = "an answer's exception is impossible",
    [-MC_E_EMPTY] = "it is empty",
    [-MC_E_TOO_LONG] = "it is too long",
    [-MC_E_CONTROL] = "it contains a control character",
};

const char *mc_reason(int code) {
    const int known = (int)(sizeof reasons / sizeof reasons[0]);
    if (code > 0 || -code >= known)
        return "the reason is unknown";
    return reasons[-code];
}
