/*
 * The wire and disk layout, and the limits that go with it.
 *
 * Every number another part of the system may rely on is written here once. Offsets are running
 * sums: each field starts where the one before it ends, so a field cannot be moved by accident.
 * The Python mirror (src/multiconnect/_native/layout.py) is compared with this file by the twin
 * tests and, against a stale build, at import. All integers are little-endian and unaligned.
 *
 * Nothing but constants belongs here.
 */
#ifndef MULTICONNECT_LAYOUT_H
#define MULTICONNECT_LAYOUT_H

/* Placement outlives processes: a changed hash needs a new number here and a migration. */
enum mc_hash_layout {
    MC_HASH_VERSION = 1,
    MC_SLOTS = 32,
    MC_SLOT_MASK = MC_SLOTS - 1,
};

/* Limits. A record of the largest parts fits an empty batch, and a batch fits a frame. */
enum mc_limits {
    MC_RECIPIENT_CHARS_MAX = 1024, /* characters looked at before trimming */
    MC_RECIPIENT_BYTES_MAX = 255,  /* canonical UTF-8: its length is one byte */
    MC_ATTRIBUTES_BYTES_MAX = 2048,
    MC_PAYLOAD_BYTES_MAX = 4 * 65536,
    MC_BATCH_BYTES_MAX = 1 << 20, /* of a batch's body */
    MC_BATCH_RECORDS_MAX = 65535,
    MC_FRAME_BYTES_MAX = 16 << 20, /* of a frame's payload */
};

/* A batch: one header, then `count` records back to back. */
enum mc_batch_layout {
    MC_BATCH_MAGIC = 0x3142434D, /* the bytes "MCB1" */
    MC_BATCH_VERSION = 1,
    MC_STREAM_OUTBOUND = 0,
    MC_STREAM_INBOUND = 1,
    MC_FLAG_KEYED = 1, /* a record of the batch has an idempotency key */
    MC_FLAGS_KNOWN = MC_FLAG_KEYED,

    MC_BATCH_MAGIC_AT = 0,                                 /* u32 */
    MC_BATCH_VERSION_AT = MC_BATCH_MAGIC_AT + 4,           /* u8 */
    MC_BATCH_STREAM_AT = MC_BATCH_VERSION_AT + 1,          /* u8 */
    MC_BATCH_SLOT_AT = MC_BATCH_STREAM_AT + 1,             /* u8 */
    MC_BATCH_FLAGS_AT = MC_BATCH_SLOT_AT + 1,              /* u8 */
    MC_BATCH_COUNT_AT = MC_BATCH_FLAGS_AT + 1,             /* u32 */
    MC_BATCH_BODY_LEN_AT = MC_BATCH_COUNT_AT + 4,          /* u32 */
    MC_BATCH_PRODUCER_AT = MC_BATCH_BODY_LEN_AT + 4,       /* u64 */
    MC_BATCH_PRODUCER_SEQ_AT = MC_BATCH_PRODUCER_AT + 8,   /* u64 */
    MC_BATCH_CREATED_MS_AT = MC_BATCH_PRODUCER_SEQ_AT + 8, /* u64 */
    MC_BATCH_RESERVED_AT = MC_BATCH_CREATED_MS_AT + 8,     /* u32, zero */
    MC_BATCH_CRC_AT = MC_BATCH_RESERVED_AT + 4,            /* u32, of all else */
    MC_BATCH_HEADER_BYTES = MC_BATCH_CRC_AT + 4,
};

/* A record: this header, then the recipient, the attributes and the payload. */
enum mc_record_layout {
    MC_RECORD_PAYLOAD_LEN_AT = 0,                                 /* u32 */
    MC_RECORD_ATTRIBUTES_LEN_AT = MC_RECORD_PAYLOAD_LEN_AT + 4,   /* u16 */
    MC_RECORD_RECIPIENT_LEN_AT = MC_RECORD_ATTRIBUTES_LEN_AT + 2, /* u8, 1 or more */
    MC_RECORD_KIND_AT = MC_RECORD_RECIPIENT_LEN_AT + 1,           /* u8 */
    MC_RECORD_HEADER_BYTES = MC_RECORD_KIND_AT + 1,
    MC_RECORD_BYTES_MIN = MC_RECORD_HEADER_BYTES + 1,
    MC_RECORD_BYTES_MAX = MC_RECORD_HEADER_BYTES + MC_RECIPIENT_BYTES_MAX +
        MC_ATTRIBUTES_BYTES_MAX + MC_PAYLOAD_BYTES_MAX,
};

/* A frame: what travels on a connection. */
enum mc_frame_layout {
    MC_FRAME_MAGIC = 0x434D, /* the bytes "MC" */
    MC_FRAME_VERSION = 1,

    MC_FRAME_MAGIC_AT = 0,                            /* u16 */
    MC_FRAME_VERSION_AT = MC_FRAME_MAGIC_AT + 2,      /* u8 */
    MC_FRAME_TYPE_AT = MC_FRAME_VERSION_AT + 1,       /* u8 */
    MC_FRAME_PAYLOAD_LEN_AT = MC_FRAME_TYPE_AT + 1,   /* u32 */
    MC_FRAME_NUMBER_AT = MC_FRAME_PAYLOAD_LEN_AT + 4, /* u64 */
    MC_FRAME_HEADER_BYTES = MC_FRAME_NUMBER_AT + 8,
};

/* An answer to one batch, then `exception_count` exceptions to it. */
enum mc_answer_layout {
    MC_STATUS_STORED = 0,
    MC_STATUS_NOT_OWNER = 1,
    MC_STATUS_GAP = 2,
    MC_STATUS_BUSY = 3,
    MC_STATUS_REFUSED = 4,
    MC_STATUS_MAX = MC_STATUS_REFUSED,
    MC_EXCEPTION_DUPLICATE = 1,
    MC_EXCEPTION_CONFLICT = 2,

    MC_ANSWER_SLOT_AT = 0,                                    /* u8 */
    MC_ANSWER_STREAM_AT = MC_ANSWER_SLOT_AT + 1,              /* u8 */
    MC_ANSWER_STATUS_AT = MC_ANSWER_STREAM_AT + 1,            /* u8 */
    MC_ANSWER_RESERVED_AT = MC_ANSWER_STATUS_AT + 1,          /* u8, zero */
    MC_ANSWER_EXCEPTION_COUNT_AT = MC_ANSWER_RESERVED_AT + 1, /* u32 */
    MC_ANSWER_PRODUCER_AT = MC_ANSWER_EXCEPTION_COUNT_AT + 4, /* u64 */
    MC_ANSWER_PRODUCER_SEQ_AT = MC_ANSWER_PRODUCER_AT + 8,    /* u64 */
    MC_ANSWER_VALUE_AT = MC_ANSWER_PRODUCER_SEQ_AT + 8,       /* u64 */
    MC_ANSWER_BYTES = MC_ANSWER_VALUE_AT + 8,

    MC_EXCEPTION_INDEX_AT = 0,                        /* u32 */
    MC_EXCEPTION_KIND_AT = MC_EXCEPTION_INDEX_AT + 4, /* u32 */
    MC_EXCEPTION_SEQ_AT = MC_EXCEPTION_KIND_AT + 4,   /* u64 */
    MC_EXCEPTION_BYTES = MC_EXCEPTION_SEQ_AT + 8,
};

_Static_assert(MC_SLOTS == 32, "every legal shard count divides 32, and stored data relies on it");
_Static_assert(MC_BATCH_HEADER_BYTES == 48, "the batch header is 48 bytes on disk");
_Static_assert(MC_RECORD_HEADER_BYTES == 8, "the record header is 8 bytes on disk");
_Static_assert(MC_FRAME_HEADER_BYTES == 16, "the frame header is 16 bytes on the wire");
_Static_assert(MC_ANSWER_BYTES == 32, "an answer is 32 bytes on the wire");
_Static_assert(MC_EXCEPTION_BYTES == 16, "an exception is 16 bytes on the wire");
_Static_assert((int)MC_RECORD_BYTES_MAX <= (int)MC_BATCH_BYTES_MAX,
               "a legal record fits an empty batch");
_Static_assert(MC_BATCH_HEADER_BYTES + MC_BATCH_BYTES_MAX <= MC_FRAME_BYTES_MAX,
               "a full batch fits a frame");
_Static_assert(MC_RECIPIENT_BYTES_MAX <= 0xFF, "a recipient's length is one byte");
_Static_assert(MC_ATTRIBUTES_BYTES_MAX <= 0xFFFF, "the attributes' length is two bytes");

#endif
