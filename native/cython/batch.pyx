# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Reading batches that came from a peer or a disk: nothing in them is believed unchecked."""

from cpython cimport array
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memset

from kernel cimport (
    MC_BATCH_HEADER_BYTES, MC_E_RECORD_RECIPIENT, MC_E_SHORT, MC_E_TRAILING, MC_OK,
    mc_batch_check, mc_batch_header, mc_batch_read_header, mc_ranks, mc_reason, mc_record,
    mc_record_next,
)

from array import array as new_array

from multiconnect._native.layout import BatchHeader

cdef array.array counters = new_array("I")


def read_header(data, Py_ssize_t offset=0) -> BatchHeader:
    """Return the header of the batch at `offset`; its body is not looked at."""
    cdef Py_buffer view
    cdef mc_batch_header header
    cdef int code
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        code = MC_E_SHORT
        if 0 <= offset <= view.len:
            code = mc_batch_read_header(
                <const uint8_t *>view.buf + offset, <size_t>(view.len - offset), &header
            )
        if code != MC_OK:
            raise corrupt("batch header", offset, code)
        return header_value(&header)
    finally:
        PyBuffer_Release(&view)


def split_batches(payload) -> list:
    """Return (header, view) of each of the batches back to back, all checked completely.

    The views are read-only parts of `payload` and keep it alive: nothing is copied.
    """
    cdef Py_buffer view
    cdef list found = []
    PyObject_GetBuffer(payload, &view, PyBUF_SIMPLE)
    try:
        whole = memoryview(payload).cast("B").toreadonly()
        split_into(found, whole, <const uint8_t *>view.buf, <size_t>view.len)
        return found
    finally:
        PyBuffer_Release(&view)


def records(batch, Py_ssize_t first=0, Py_ssize_t limit=-1) -> list:
    """Return (index, kind, recipient, payload, attributes) of records `first` and following.

    At most `limit` of them unless it is negative. The checksum is not computed again.
    """
    cdef Py_buffer view
    cdef list found = []
    if first < 0:
        raise ValueError(f"first={first} is refused: pass the index of a record, 0 or more")
    PyObject_GetBuffer(batch, &view, PyBUF_SIMPLE)
    try:
        read_records(found, <const uint8_t *>view.buf, <size_t>view.len, first, limit)
        return found
    finally:
        PyBuffer_Release(&view)


def ranks(slots) -> array.array:
    """Return for each slot id its rank among the equal ids before it."""
    cdef Py_buffer view
    cdef array.array result
    PyObject_GetBuffer(slots, &view, PyBUF_SIMPLE)
    try:
        result = array.clone(counters, view.len, zero=False)
        mc_ranks(<const uint8_t *>view.buf, <size_t>view.len, <uint32_t *>result.data.as_uints)
        return result
    finally:
        PyBuffer_Release(&view)


def slot_counts(slots) -> list:
    """Return (slot id, how often it is there) for each id that is there, ascending."""
    cdef Py_buffer view
    cdef uint32_t counts[256]
    cdef Py_ssize_t i
    memset(counts, 0, sizeof(counts))
    PyObject_GetBuffer(slots, &view, PyBUF_SIMPLE)
    for i in range(view.len):
        counts[(<const uint8_t *>view.buf)[i]] += 1
    PyBuffer_Release(&view)
    return [(i, counts[i]) for i in range(256) if counts[i]]


cdef int split_into(list found, object whole, const uint8_t *data, size_t size) except -1:
    cdef mc_batch_header header
    cdef size_t at = 0, fault_at = 0, length
    cdef int code
    while at < size:
        code = mc_batch_check(data + at, size - at, &header, &fault_at)
        if code != MC_OK:
            raise corrupt("batch", <Py_ssize_t>(at + fault_at), code)
        length = MC_BATCH_HEADER_BYTES + header.body_len
        found.append((header_value(&header), whole[at:at + length]))
        at += length
    return 0


cdef int read_records(
    list found, const uint8_t *batch, size_t size, Py_ssize_t first, Py_ssize_t limit
) except -1:
    cdef mc_batch_header header
    cdef mc_record record
    cdef size_t at = 0
    cdef Py_ssize_t index, end
    cdef int code = mc_batch_read_header(batch, size, &header)
    if code == MC_OK and size != <size_t>MC_BATCH_HEADER_BYTES + header.body_len:
        code = MC_E_SHORT if size < MC_BATCH_HEADER_BYTES + header.body_len else MC_E_TRAILING
    if code != MC_OK:
        raise corrupt("batch", 0, code)
    end = <Py_ssize_t>header.count
    if limit >= 0 and limit < end - first:
        end = first + limit
    for index in range(end):
        code = mc_record_next(batch + MC_BATCH_HEADER_BYTES, header.body_len, &at, &record)
        if code != MC_OK:
            raise corrupt("record", <Py_ssize_t>(MC_BATCH_HEADER_BYTES + at), code)
        if index >= first:
            found.append(record_value(index, &record, batch))
    if end == <Py_ssize_t>header.count and at != header.body_len:
        raise corrupt("batch", <Py_ssize_t>(MC_BATCH_HEADER_BYTES + at), MC_E_TRAILING)
    return 0


cdef tuple record_value(Py_ssize_t index, const mc_record *record, const uint8_t *batch):
    try:
        recipient = PyUnicode_DecodeUTF8(
            <const char *>record.recipient, record.recipient_len, NULL
        )
    except UnicodeDecodeError as error:
        raise corrupt(
            "record", record.recipient - batch, MC_E_RECORD_RECIPIENT
        ) from error
    return (
        index,
        record.kind,
        recipient,
        PyBytes_FromStringAndSize(<const char *>record.payload, record.payload_len),
        PyBytes_FromStringAndSize(<const char *>record.attributes, record.attributes_len),
    )


cdef object header_value(const mc_batch_header *header):
    return tuple.__new__(BatchHeader, (
        header.stream, header.slot, header.flags, header.count, header.body_len,
        header.producer, header.producer_seq, header.created_ms,
    ))


cdef object corrupt(str what, Py_ssize_t offset, int code):
    from multiconnect._native.refusals import corrupt as refusal
    return refusal(what, offset, mc_reason(code).decode())
