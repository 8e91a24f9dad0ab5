#include "multiconnect/frame.h"

#include <stdbool.h>

void mc_answer_write(uint8_t *to, const struct mc_answer *answer) {
    to[MC_ANSWER_SLOT_AT] = answer->slot;
    to[MC_ANSWER_STREAM_AT] = answer->stream;
    to[MC_ANSWER_STATUS_AT] = answer->status;
    to[MC_ANSWER_RESERVED_AT] = 0;
    mc_store32(to + MC_ANSWER_EXCEPTION_COUNT_AT, answer->exception_count);
    mc_store64(to + MC_ANSWER_PRODUCER_AT, answer->producer);
    mc_store64(to + MC_ANSWER_PRODUCER_SEQ_AT, answer->producer_seq);
    mc_store64(to + MC_ANSWER_VALUE_AT, answer->value);
}

void mc_exception_write(uint8_t *to, const struct mc_exception *exception) {
    mc_store32(to + MC_EXCEPTION_INDEX_AT, exception->index);
    mc_store32(to + MC_EXCEPTION_KIND_AT, exception->kind);
    mc_store64(to + MC_EXCEPTION_SEQ_AT, exception->seq);
}

int mc_answer_check(const struct mc_answer *answer) {
    if (answer->slot >= MC_SLOTS)
        return MC_E_SLOT;
    if (answer->stream > MC_STREAM_INBOUND)
        return MC_E_STREAM;
    if (answer->status > MC_STATUS_MAX)
        return MC_E_STATUS;
    if (answer->exception_count > MC_BATCH_RECORDS_MAX)
        return MC_E_COUNT;
    return MC_OK;
}

int mc_exception_check(const struct mc_exception *exception) {
    const bool known =
        exception->kind == MC_EXCEPTION_DUPLICATE || exception->kind == MC_EXCEPTION_CONFLICT;
    return known && exception->index < MC_BATCH_RECORDS_MAX ? MC_OK : MC_E_EXCEPTION;
}

int mc_answer_read(const uint8_t *data, size_t size, struct mc_answer *out) {
    if (size < MC_ANSWER_BYTES)
        return MC_E_SHORT;
    out->slot = data[MC_ANSWER_SLOT_AT];
    out->stream = data[MC_ANSWER_STREAM_AT];
    out->status = data[MC_ANSWER_STATUS_AT];
    out->exception_count = mc_load32(data + MC_ANSWER_EXCEPTION_COUNT_AT);
    out->producer = mc_load64(data + MC_ANSWER_PRODUCER_AT);
    out->producer_seq = mc_load64(data + MC_ANSWER_PRODUCER_SEQ_AT);
    out->value = mc_load64(data + MC_ANSWER_VALUE_AT);
    if (data[MC_ANSWER_RESERVED_AT] != 0)
        return MC_E_RESERVED;
    const int code = mc_answer_check(out);
    if (code != MC_OK)
        return code;
    const size_t exceptions = (size_t)out->exception_count * MC_EXCEPTION_BYTES;
    return size - MC_ANSWER_BYTES >= exceptions ? MC_OK : MC_E_SHORT;
}

int mc_exception_read(const uint8_t *data, struct mc_exception *out) {
    out->index = mc_load32(data + MC_EXCEPTION_INDEX_AT);
    out->kind = mc_load32(data + MC_EXCEPTION_KIND_AT);
    out->seq = mc_load64(data + MC_EXCEPTION_SEQ_AT);
    return mc_exception_check(out);
}
