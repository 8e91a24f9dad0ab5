# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Message ids: one, those of a whole `send_many`, and the lines that tell them."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeASCII
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from integers cimport small_of, u32_of, u64_of
from kernel cimport MC_MESSAGE_ID_CHARS, MC_SLOT_MASK, MC_SLOTS, mc_message_id_write

cdef enum:
    LINE_BYTES_MAX = 64


# Where one slot stands while ids are counted through.
cdef struct Run:
    Py_ssize_t left      # messages before the next segment begins
    uint64_t next        # sequence of the next message
    Py_ssize_t segment   # which segment that is in


def encode_id(cluster, slot, sequence, stream=0) -> str:
    """Return the id of message `sequence` of `slot`."""
    cdef uint8_t place = small_of("slot", slot, 127) | small_of("stream", stream, 1) << 7
    return id_of(u32_of(cluster), place, u64_of(sequence))


def encode_ids(cluster, bytes slots not None, dict segments not None) -> list:
    """Return the ids of messages by their slots, in order.

    `segments` says of each slot [(rank of its first message here, its sequence), …], ascending,
    the first of them with rank 0.
    """
    cdef Py_ssize_t i, count = PyBytes_GET_SIZE(slots)
    cdef uint32_t number = u32_of(cluster)
    cdef uint8_t slot
    cdef Run runs[MC_SLOTS]
    cdef list found = [None] * count
    begin(runs)
    for i in range(count):
        slot = checked_slot(slots, i)
        found[i] = id_of(number, slot, next_sequence(&runs[slot], slot, segments))
    return found


def id_lines(list ids not None, Py_ssize_t first) -> bytes:
    """Return a line {"index":N,"id":"…"} for each id, N from `first` on."""
    cdef Py_ssize_t i, size = 0, count = len(ids)
    cdef const char *text
    if first < 0:
        raise ValueError(f"first is {first}; expected the index of a message")
    cdef bytes lines = PyBytes_FromStringAndSize(NULL, count * LINE_BYTES_MAX)
    cdef uint8_t *start = <uint8_t *>PyBytes_AS_STRING(lines)
    cdef uint8_t *out = start
    for i in range(count):
        text = PyUnicode_AsUTF8AndSize(ids[i], &size)
        if size != MC_MESSAGE_ID_CHARS:
            raise ValueError(f"{ids[i]!r} is no message id; expected {MC_MESSAGE_ID_CHARS} letters")
        out = line_head(out, <uint64_t>(first + i))
        memcpy(out, text, MC_MESSAGE_ID_CHARS)
        out = line_tail(out + MC_MESSAGE_ID_CHARS)
    return lines[:out - start]


def stored_lines(cluster, bytes slots not None, dict segments not None) -> bytes:
    """Return id_lines(encode_ids(cluster, slots, segments), 0), without making the ids."""
    cdef Py_ssize_t i, count = PyBytes_GET_SIZE(slots)
    cdef uint32_t number = u32_of(cluster)
    cdef uint8_t slot
    cdef Run runs[MC_SLOTS]
    cdef bytes lines = PyBytes_FromStringAndSize(NULL, count * LINE_BYTES_MAX)
    cdef uint8_t *start = <uint8_t *>PyBytes_AS_STRING(lines)
    cdef uint8_t *out = start
    begin(runs)
    for i in range(count):
        slot = checked_slot(slots, i)
        out = line_head(out, <uint64_t>i)
        mc_message_id_write(out, number, slot, next_sequence(&runs[slot], slot, segments))
        out = line_tail(out + MC_MESSAGE_ID_CHARS)
    return lines[:out - start]


cdef inline uint8_t checked_slot(bytes slots, Py_ssize_t i) except? 255:
    cdef uint8_t slot = (<const uint8_t *>PyBytes_AS_STRING(slots))[i]
    if slot > MC_SLOT_MASK:
        small_of("slot", slot, MC_SLOT_MASK)
    return slot


cdef inline uint8_t *line_head(uint8_t *out, uint64_t index) noexcept:
    """Write what stands before an id; return where the id goes."""
    cdef uint8_t digits[20]
    cdef int at = 20
    while True:
        at -= 1
        digits[at] = <uint8_t>(c"0" + index % 10)
        index //= 10
        if index == 0:
            break
    memcpy(out, b'{"index":', 9)
    memcpy(out + 9, digits + at, <size_t>(20 - at))
    out += 29 - at
    memcpy(out, b',"id":"', 7)
    return out + 7


cdef inline uint8_t *line_tail(uint8_t *out) noexcept:
    """Write what stands behind an id; return where the next line goes."""
    memcpy(out, b'"}\n', 3)
    return out + 3


cdef void begin(Run *runs) noexcept:
    for i in range(MC_SLOTS):
        runs[i].left = 0
        runs[i].segment = -1


cdef inline uint64_t next_sequence(Run *run, uint8_t slot, dict segments) except? 0:
    """Return the sequence of the next message of a slot."""
    while run.left == 0:
        begin_segment(run, segments[slot])
    run.left -= 1
    run.next += 1
    return run.next - 1


cdef int begin_segment(Run *run, list segments) except -1:
    """Go on with the next segment of a slot; the last one has no end."""
    run.segment += 1
    cdef Py_ssize_t rank = segments[run.segment][0]
    run.next = u64_of(segments[run.segment][1])
    run.left = -1
    if run.segment + 1 < len(segments):
        run.left = <Py_ssize_t>segments[run.segment + 1][0] - rank
    return 0


cdef inline str id_of(uint32_t cluster, uint8_t place, uint64_t sequence):
    cdef uint8_t text[MC_MESSAGE_ID_CHARS]
    mc_message_id_write(text, cluster, place, sequence)
    return PyUnicode_DecodeASCII(<char *>text, MC_MESSAGE_ID_CHARS, NULL)
