#include "multiconnect/frame.h"

void mc_frame_write_header(uint8_t *to, const struct mc_frame *frame) {
    mc_store16(to + MC_FRAME_MAGIC_AT, MC_FRAME_MAGIC);
    to[MC_FRAME_VERSION_AT] = MC_FRAME_VERSION;
    to[MC_FRAME_TYPE_AT] = frame->type;
    mc_store32(to + MC_FRAME_PAYLOAD_LEN_AT, frame->payload_len);
    mc_store64(to + MC_FRAME_NUMBER_AT, frame->number);
}

/* Refuse a wrong start as soon as it is seen, not only once the whole header is there. */
int mc_frame_read_header(const uint8_t *data, size_t size, struct mc_frame *out) {
    if (size >= MC_FRAME_VERSION_AT && mc_load16(data + MC_FRAME_MAGIC_AT) != MC_FRAME_MAGIC)
        return MC_E_MAGIC;
    if (size > MC_FRAME_VERSION_AT && data[MC_FRAME_VERSION_AT] != MC_FRAME_VERSION)
        return MC_E_VERSION;
    if (size < MC_FRAME_HEADER_BYTES)
        return MC_E_SHORT;
    out->type = data[MC_FRAME_TYPE_AT];
    out->payload_len = mc_load32(data + MC_FRAME_PAYLOAD_LEN_AT);
    out->number = mc_load64(data + MC_FRAME_NUMBER_AT);
    return out->payload_len <= MC_FRAME_BYTES_MAX ? MC_OK : MC_E_FRAME_LEN;
}
