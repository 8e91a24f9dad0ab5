#include "multiconnect/batch.h"

#include "multiconnect/crc32c.h"
#include "multiconnect/utf8.h"

/* The checksum covers the header before it, then the body: everything but itself. */
static uint32_t batch_crc(const uint8_t *batch, uint32_t body_len) {
    const uint32_t header = mc_crc32c(0, batch, MC_BATCH_CRC_AT);
    return mc_crc32c(header, batch + MC_BATCH_HEADER_BYTES, body_len);
}

void mc_batch_seal(uint8_t *batch, const struct mc_batch_header *header) {
    mc_store32(batch + MC_BATCH_MAGIC_AT, MC_BATCH_MAGIC);
    batch[MC_BATCH_VERSION_AT] = MC_BATCH_VERSION;
    batch[MC_BATCH_STREAM_AT] = header->stream;
    batch[MC_BATCH_SLOT_AT] = header->slot;
    batch[MC_BATCH_FLAGS_AT] = header->flags;
    mc_store32(batch + MC_BATCH_COUNT_AT, header->count);
    mc_store32(batch + MC_BATCH_BODY_LEN_AT, header->body_len);
    mc_store64(batch + MC_BATCH_PRODUCER_AT, header->producer);
    mc_store64(batch + MC_BATCH_PRODUCER_SEQ_AT, header->producer_seq);
    mc_store64(batch + MC_BATCH_CREATED_MS_AT, header->created_ms);
    mc_store32(batch + MC_BATCH_RESERVED_AT, 0);
    mc_store32(batch + MC_BATCH_CRC_AT, batch_crc(batch, header->body_len));
}

/* Could a batch of this shape exist? Sizes are bounded before anybody multiplies or adds them. */
static int header_fault(const struct mc_batch_header *header, uint32_t reserved) {
    if (header->stream > MC_STREAM_INBOUND)
        return MC_E_STREAM;
    if (header->slot >= MC_SLOTS)
        return MC_E_SLOT;
    if ((header->flags & ~MC_FLAGS_KNOWN) != 0)
        return MC_E_FLAGS;
    if (header->count == 0 || header->count > MC_BATCH_RECORDS_MAX)
        return MC_E_COUNT;
    if (header->body_len > MC_BATCH_BYTES_MAX ||
        header->body_len < header->count * MC_RECORD_BYTES_MIN)
        return MC_E_BODY_LEN;
    if (reserved != 0)
        return MC_E_RESERVED;
    return MC_OK;
}

int mc_batch_read_header(const uint8_t *data, size_t size, struct mc_batch_header *out) {
    if (size < MC_BATCH_HEADER_BYTES)
        return MC_E_SHORT;
    if (mc_load32(data + MC_BATCH_MAGIC_AT) != MC_BATCH_MAGIC)
        return MC_E_MAGIC;
    if (data[MC_BATCH_VERSION_AT] != MC_BATCH_VERSION)
        return MC_E_VERSION;
    out->stream = data[MC_BATCH_STREAM_AT];
    out->slot = data[MC_BATCH_SLOT_AT];
    out->flags = data[MC_BATCH_FLAGS_AT];
    out->count = mc_load32(data + MC_BATCH_COUNT_AT);
    out->body_len = mc_load32(data + MC_BATCH_BODY_LEN_AT);
    out->producer = mc_load64(data + MC_BATCH_PRODUCER_AT);
    out->producer_seq = mc_load64(data + MC_BATCH_PRODUCER_SEQ_AT);
    out->created_ms = mc_load64(data + MC_BATCH_CREATED_MS_AT);
    return header_fault(out, mc_load32(data + MC_BATCH_RESERVED_AT));
}

int mc_record_next(const uint8_t *body, size_t body_len, size_t *at, struct mc_record *out) {
    if (body_len < *at || body_len - *at < MC_RECORD_HEADER_BYTES)
        return MC_E_RECORD_LEN;
    const uint8_t *head = body + *at;
    out->payload_len = mc_load32(head + MC_RECORD_PAYLOAD_LEN_AT);
    out->attributes_len = mc_load16(head + MC_RECORD_ATTRIBUTES_LEN_AT);
    out->recipient_len = head[MC_RECORD_RECIPIENT_LEN_AT];
    out->kind = head[MC_RECORD_KIND_AT];
    if (out->recipient_len == 0)
        return MC_E_RECORD_RECIPIENT;
    if (out->payload_len > MC_PAYLOAD_BYTES_MAX || out->attributes_len > MC_ATTRIBUTES_BYTES_MAX)
        return MC_E_RECORD_LIMIT;
    const size_t size = mc_record_size(out); /* the limits above keep this small */
    if (body_len - *at < size)
        return MC_E_RECORD_LEN;
    out->recipient = head + MC_RECORD_HEADER_BYTES;
    out->attributes = out->recipient + out->recipient_len;
    out->payload = out->attributes + out->attributes_len;
    *at += size;
    return MC_OK;
}

static int check_records(const uint8_t *body, const struct mc_batch_header *header, size_t *at) {
    struct mc_record record;
    *at = 0;
    for (uint32_t i = 0; i < header->count; i++) {
        const size_t start = *at;
        const int code = mc_record_next(body, header->body_len, at, &record);
        if (code != MC_OK)
            return code;
        if (!mc_utf8_is_valid(record.recipient, record.recipient_len)) {
            *at = start;
            return MC_E_RECORD_RECIPIENT;
        }
    }
    return *at == header->body_len ? MC_OK : MC_E_TRAILING;
}

int mc_batch_check(const uint8_t *data, size_t size, struct mc_batch_header *out,
                   size_t *fault_at) {
    *fault_at = 0;
    int code = mc_batch_read_header(data, size, out);
    if (code != MC_OK)
        return code;
    if (size - MC_BATCH_HEADER_BYTES < out->body_len)
        return MC_E_SHORT;
    if (mc_load32(data + MC_BATCH_CRC_AT) != batch_crc(data, out->body_len))
        return MC_E_CRC;
    code = check_records(data + MC_BATCH_HEADER_BYTES, out, fault_at);
    *fault_at += MC_BATCH_HEADER_BYTES;
    return code;
}

void mc_ranks(const uint8_t *slots, size_t count, uint32_t *out) {
    uint32_t seen[256] = {0}; /* any byte is a safe index, so no id needs checking */
    for (size_t i = 0; i < count; i++)
        out[i] = seen[slots[i]]++;
}
