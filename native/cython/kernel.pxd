"""The C kernel as Cython sees it; native/include/multiconnect says what each function promises."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "multiconnect/layout.h" nogil:
    enum:
        MC_HASH_VERSION
        MC_SLOTS
        MC_SLOT_MASK
        MC_RECIPIENT_CHARS_MAX
        MC_RECIPIENT_BYTES_MAX
        MC_ATTRIBUTES_BYTES_MAX
        MC_PAYLOAD_BYTES_MAX
        MC_BATCH_BYTES_MAX
        MC_BATCH_RECORDS_MAX
        MC_FRAME_BYTES_MAX
        MC_BATCH_MAGIC
        MC_BATCH_VERSION
        MC_STREAM_OUTBOUND
        MC_STREAM_INBOUND
        MC_FLAG_KEYED
        MC_FLAGS_KNOWN
        MC_BATCH_MAGIC_AT
        MC_BATCH_VERSION_AT
        MC_BATCH_STREAM_AT
        MC_BATCH_SLOT_AT
        MC_BATCH_FLAGS_AT
        MC_BATCH_COUNT_AT
        MC_BATCH_BODY_LEN_AT
        MC_BATCH_PRODUCER_AT
        MC_BATCH_PRODUCER_SEQ_AT
        MC_BATCH_CREATED_MS_AT
        MC_BATCH_RESERVED_AT
        MC_BATCH_CRC_AT
        MC_BATCH_HEADER_BYTES
        MC_RECORD_PAYLOAD_LEN_AT
        MC_RECORD_ATTRIBUTES_LEN_AT
        MC_RECORD_RECIPIENT_LEN_AT
        MC_RECORD_KIND_AT
        MC_RECORD_HEADER_BYTES
        MC_RECORD_BYTES_MIN
        MC_RECORD_BYTES_MAX
        MC_FRAME_MAGIC
        MC_FRAME_VERSION
        MC_FRAME_MAGIC_AT
        MC_FRAME_VERSION_AT
        MC_FRAME_TYPE_AT
        MC_FRAME_PAYLOAD_LEN_AT
        MC_FRAME_NUMBER_AT
        MC_FRAME_HEADER_BYTES
        MC_STATUS_STORED
        MC_STATUS_NOT_OWNER
        MC_STATUS_GAP
        MC_STATUS_BUSY
        MC_STATUS_REFUSED
        MC_STATUS_MAX
        MC_EXCEPTION_DUPLICATE
        MC_EXCEPTION_CONFLICT
        MC_ANSWER_SLOT_AT
        MC_ANSWER_STREAM_AT
        MC_ANSWER_STATUS_AT
        MC_ANSWER_RESERVED_AT
        MC_ANSWER_EXCEPTION_COUNT_AT
        MC_ANSWER_PRODUCER_AT
        MC_ANSWER_PRODUCER_SEQ_AT
        MC_ANSWER_VALUE_AT
        MC_ANSWER_BYTES
        MC_EXCEPTION_INDEX_AT
        MC_EXCEPTION_KIND_AT
        MC_EXCEPTION_SEQ_AT
        MC_EXCEPTION_BYTES


cdef extern from "multiconnect/codes.h" nogil:
    enum:
        MC_OK
        MC_E_SHORT
        MC_E_TRAILING
        MC_E_RECORD_RECIPIENT
    const char *mc_reason(int code)


cdef extern from "multiconnect/hash.h" nogil:
    uint32_t mc_murmur3_32(const uint8_t *data, size_t size)
    int mc_canonical(const uint8_t *text, size_t size, uint8_t *out)
    bint mc_digits_hash(const uint8_t *text, size_t size, uint32_t *hash)
    void mc_packed_ids(const uint8_t *data, size_t count, size_t width, uint8_t mask, uint8_t *out)


cdef extern from "multiconnect/crc32c.h" nogil:
    uint32_t mc_crc32c(uint32_t value, const uint8_t *data, size_t size)


cdef extern from "multiconnect/batch.h" nogil:
    struct mc_batch_header:
        uint64_t producer
        uint64_t producer_seq
        uint64_t created_ms
        uint32_t count
        uint32_t body_len
        uint8_t stream
        uint8_t slot
        uint8_t flags

    struct mc_record:
        const uint8_t *recipient
        const uint8_t *attributes
        const uint8_t *payload
        uint32_t payload_len
        uint16_t attributes_len
        uint8_t recipient_len
        uint8_t kind

    size_t mc_record_size(const mc_record *record)
    void mc_prefetch(const uint8_t *data, size_t size)
    uint8_t *mc_record_write(uint8_t *to, const mc_record *record)
    void mc_batch_seal(uint8_t *batch, const mc_batch_header *header)
    int mc_batch_read_header(const uint8_t *data, size_t size, mc_batch_header *out)
    int mc_batch_check(const uint8_t *data, size_t size, mc_batch_header *out, size_t *fault_at)
    int mc_record_next(const uint8_t *body, size_t body_len, size_t *at, mc_record *out)
    void mc_ranks(const uint8_t *slots, size_t count, uint32_t *out)


cdef extern from "multiconnect/frame.h" nogil:
    struct mc_frame:
        uint64_t number
        uint32_t payload_len
        uint8_t type

    struct mc_answer:
        uint64_t producer
        uint64_t producer_seq
        uint64_t value
        uint32_t exception_count
        uint8_t slot
        uint8_t stream
        uint8_t status

    struct mc_exception:
        uint64_t seq
        uint32_t index
        uint32_t kind

    void mc_frame_write_header(uint8_t *to, const mc_frame *frame)
    int mc_frame_read_header(const uint8_t *data, size_t size, mc_frame *out)
    void mc_answer_write(uint8_t *to, const mc_answer *answer)
    void mc_exception_write(uint8_t *to, const mc_exception *exception)
    int mc_answer_check(const mc_answer *answer)
    int mc_exception_check(const mc_exception *exception)
    int mc_answer_read(const uint8_t *data, size_t size, mc_answer *out)
    int mc_exception_read(const uint8_t *data, mc_exception *out)


cdef extern from "multiconnect/plain.h" nogil:
    struct mc_piece:
        const uint8_t *data
        size_t size

    struct mc_plain_head:
        mc_piece authorization
        mc_piece idempotency_key
        size_t body_at
        size_t body_size

    bint mc_plain_head_read(const uint8_t *data, size_t size, mc_plain_head *out)
    size_t mc_plain_text_read(const uint8_t *data, size_t size, mc_piece *digits)
    size_t mc_json_value_size(const uint8_t *data, size_t size)
    size_t mc_json_space(const uint8_t *data, size_t size)


cdef extern from "multiconnect/message_id.h" nogil:
    enum:
        MC_MESSAGE_ID_CHARS
    void mc_message_id_write(uint8_t *out, uint32_t cluster, uint8_t place, uint64_t sequence)
