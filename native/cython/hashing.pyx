# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""From recipients to slots and shards."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport uint8_t, uint32_t

cimport kernel
from integers cimport u32_of
from kernel cimport (
    MC_RECIPIENT_BYTES_MAX, MC_SLOT_MASK, mc_crc32c, mc_murmur3_32, mc_packed_ids,
)
from recipient cimport hash_recipient, write_canonical


cdef extern from "Python.h":
    object PySequence_Fast(object items, const char *message)
    Py_ssize_t PySequence_Fast_GET_SIZE(object items)
    PyObject **PySequence_Fast_ITEMS(object items)
    bint PyLong_Check(object value)
    bint PyBool_Check(object value)


def canonical(recipient) -> str:
    """Return the form in which a recipient is hashed and stored."""
    cdef uint8_t text[255]
    cdef int length = write_canonical(recipient, text)
    return PyUnicode_DecodeUTF8(<char *>text, length, NULL)


def slot_of(recipient) -> int:
    """Return the slot of one recipient, 0 to 31."""
    return hash_recipient(<PyObject *>recipient) & MC_SLOT_MASK


def shard_of(recipient, shards) -> int:
    """Return the shard of one recipient among `shards`."""
    cdef int mask = mask_of(shards)
    return hash_recipient(<PyObject *>recipient) & mask


def slots_of(recipients) -> bytes:
    """Return the slot of each recipient, one byte each, in order."""
    return ids_of(recipients, MC_SLOT_MASK)


def shards_of(recipients, shards) -> bytes:
    """Return the shard of each recipient, one byte each, in order."""
    return ids_of(recipients, <uint8_t>mask_of(shards))


def shards_of_packed(buffer, Py_ssize_t width, shards) -> bytes:
    """Return the shard of each canonical recipient of a buffer with `width` bytes for each."""
    cdef Py_buffer view
    cdef Py_ssize_t count
    cdef bytes out
    cdef uint8_t mask = <uint8_t>mask_of(shards)
    PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE)
    try:
        if width < 1 or width > MC_RECIPIENT_BYTES_MAX or view.len % width != 0:
            from multiconnect._native.refusals import width as bad_width
            raise bad_width(view.len, width)
        count = view.len // width
        out = PyBytes_FromStringAndSize(NULL, count)
        mc_packed_ids(
            <const uint8_t *>view.buf, <size_t>count, <size_t>width, mask,
            <uint8_t *>PyBytes_AS_STRING(out),
        )
        return out
    finally:
        PyBuffer_Release(&view)


def murmur3_32(data) -> int:
    """Return MurmurHash3 x86_32 of bytes, seed 0."""
    cdef Py_buffer view
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        return mc_murmur3_32(<const uint8_t *>view.buf, <size_t>view.len)
    finally:
        PyBuffer_Release(&view)


def crc32c(data, value=0) -> int:
    """Return the CRC-32C of bytes, continuing from `value`."""
    cdef Py_buffer view
    cdef uint32_t start = u32_of(value)
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        return mc_crc32c(start, <const uint8_t *>view.buf, <size_t>view.len)
    finally:
        PyBuffer_Release(&view)


cdef int mask_of(object shards) except -1:
    """Return shards - 1, which masks a hash to its shard; legal counts are powers of two."""
    cdef long count
    if PyLong_Check(shards) and not PyBool_Check(shards) and 1 <= shards <= kernel.MC_SLOTS:
        count = shards
        if count & (count - 1) == 0:
            return <int>(count - 1)
    from multiconnect._native.refusals import shards as bad_shards
    raise bad_shards(shards)


cdef bytes ids_of(object recipients, uint8_t mask):
    """Return hash & mask of each recipient; the items are borrowed, see recipient.pxd."""
    if isinstance(recipients, (str, bytes)):
        from multiconnect._native.refusals import recipients_type
        raise recipients_type(recipients)
    recipients = PySequence_Fast(recipients, b"expected an iterable of recipients")
    cdef PyObject **items = PySequence_Fast_ITEMS(recipients)
    cdef Py_ssize_t i, count = PySequence_Fast_GET_SIZE(recipients)
    cdef bytes result = PyBytes_FromStringAndSize(NULL, count)
    cdef uint8_t *out = <uint8_t *>PyBytes_AS_STRING(result)
    for i in range(count):
        out[i] = <uint8_t>hash_recipient(items[i]) & mask
    return result


#: The numbers this build was compiled with; the mirror in layout.py must equal them.
LAYOUT = {
    "HASH_VERSION": kernel.MC_HASH_VERSION,
    "SLOTS": kernel.MC_SLOTS,
    "SLOT_MASK": kernel.MC_SLOT_MASK,
    "RECIPIENT_CHARS_MAX": kernel.MC_RECIPIENT_CHARS_MAX,
    "RECIPIENT_BYTES_MAX": kernel.MC_RECIPIENT_BYTES_MAX,
    "ATTRIBUTES_BYTES_MAX": kernel.MC_ATTRIBUTES_BYTES_MAX,
    "PAYLOAD_BYTES_MAX": kernel.MC_PAYLOAD_BYTES_MAX,
    "BATCH_BYTES_MAX": kernel.MC_BATCH_BYTES_MAX,
    "BATCH_RECORDS_MAX": kernel.MC_BATCH_RECORDS_MAX,
    "FRAME_BYTES_MAX": kernel.MC_FRAME_BYTES_MAX,
    "BATCH_MAGIC": kernel.MC_BATCH_MAGIC,
    "BATCH_VERSION": kernel.MC_BATCH_VERSION,
    "STREAM_OUTBOUND": kernel.MC_STREAM_OUTBOUND,
    "STREAM_INBOUND": kernel.MC_STREAM_INBOUND,
    "FLAG_KEYED": kernel.MC_FLAG_KEYED,
    "FLAGS_KNOWN": kernel.MC_FLAGS_KNOWN,
    "BATCH_MAGIC_AT": kernel.MC_BATCH_MAGIC_AT,
    "BATCH_VERSION_AT": kernel.MC_BATCH_VERSION_AT,
    "BATCH_STREAM_AT": kernel.MC_BATCH_STREAM_AT,
    "BATCH_SLOT_AT": kernel.MC_BATCH_SLOT_AT,
    "BATCH_FLAGS_AT": kernel.MC_BATCH_FLAGS_AT,
    "BATCH_COUNT_AT": kernel.MC_BATCH_COUNT_AT,
    "BATCH_BODY_LEN_AT": kernel.MC_BATCH_BODY_LEN_AT,
    "BATCH_PRODUCER_AT": kernel.MC_BATCH_PRODUCER_AT,
    "BATCH_PRODUCER_SEQ_AT": kernel.MC_BATCH_PRODUCER_SEQ_AT,
    "BATCH_CREATED_MS_AT": kernel.MC_BATCH_CREATED_MS_AT,
    "BATCH_RESERVED_AT": kernel.MC_BATCH_RESERVED_AT,
    "BATCH_CRC_AT": kernel.MC_BATCH_CRC_AT,
    "BATCH_HEADER_BYTES": kernel.MC_BATCH_HEADER_BYTES,
    "RECORD_PAYLOAD_LEN_AT": kernel.MC_RECORD_PAYLOAD_LEN_AT,
    "RECORD_ATTRIBUTES_LEN_AT": kernel.MC_RECORD_ATTRIBUTES_LEN_AT,
    "RECORD_RECIPIENT_LEN_AT": kernel.MC_RECORD_RECIPIENT_LEN_AT,
    "RECORD_KIND_AT": kernel.MC_RECORD_KIND_AT,
    "RECORD_HEADER_BYTES": kernel.MC_RECORD_HEADER_BYTES,
    "RECORD_BYTES_MIN": kernel.MC_RECORD_BYTES_MIN,
    "RECORD_BYTES_MAX": kernel.MC_RECORD_BYTES_MAX,
    "FRAME_MAGIC": kernel.MC_FRAME_MAGIC,
    "FRAME_VERSION": kernel.MC_FRAME_VERSION,
    "FRAME_MAGIC_AT": kernel.MC_FRAME_MAGIC_AT,
    "FRAME_VERSION_AT": kernel.MC_FRAME_VERSION_AT,
    "FRAME_TYPE_AT": kernel.MC_FRAME_TYPE_AT,
    "FRAME_PAYLOAD_LEN_AT": kernel.MC_FRAME_PAYLOAD_LEN_AT,
    "FRAME_NUMBER_AT": kernel.MC_FRAME_NUMBER_AT,
    "FRAME_HEADER_BYTES": kernel.MC_FRAME_HEADER_BYTES,
    "STATUS_STORED": kernel.MC_STATUS_STORED,
    "STATUS_NOT_OWNER": kernel.MC_STATUS_NOT_OWNER,
    "STATUS_GAP": kernel.MC_STATUS_GAP,
    "STATUS_BUSY": kernel.MC_STATUS_BUSY,
    "STATUS_REFUSED": kernel.MC_STATUS_REFUSED,
    "STATUS_MAX": kernel.MC_STATUS_MAX,
    "EXCEPTION_DUPLICATE": kernel.MC_EXCEPTION_DUPLICATE,
    "EXCEPTION_CONFLICT": kernel.MC_EXCEPTION_CONFLICT,
    "ANSWER_SLOT_AT": kernel.MC_ANSWER_SLOT_AT,
    "ANSWER_STREAM_AT": kernel.MC_ANSWER_STREAM_AT,
    "ANSWER_STATUS_AT": kernel.MC_ANSWER_STATUS_AT,
    "ANSWER_RESERVED_AT": kernel.MC_ANSWER_RESERVED_AT,
    "ANSWER_EXCEPTION_COUNT_AT": kernel.MC_ANSWER_EXCEPTION_COUNT_AT,
    "ANSWER_PRODUCER_AT": kernel.MC_ANSWER_PRODUCER_AT,
    "ANSWER_PRODUCER_SEQ_AT": kernel.MC_ANSWER_PRODUCER_SEQ_AT,
    "ANSWER_VALUE_AT": kernel.MC_ANSWER_VALUE_AT,
    "ANSWER_BYTES": kernel.MC_ANSWER_BYTES,
    "EXCEPTION_INDEX_AT": kernel.MC_EXCEPTION_INDEX_AT,
    "EXCEPTION_KIND_AT": kernel.MC_EXCEPTION_KIND_AT,
    "EXCEPTION_SEQ_AT": kernel.MC_EXCEPTION_SEQ_AT,
    "EXCEPTION_BYTES": kernel.MC_EXCEPTION_BYTES,
}
