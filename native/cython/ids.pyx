# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Message ids: one, those of a whole `send_many`, and the lines that tell them."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeASCII
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdio cimport sprintf
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
    cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(slots)
    cdef Py_ssize_t i, count = PyBytes_GET_SIZE(slots)
    cdef uint32_t number = u32_of(cluster)
    cdef Run runs[MC_SLOTS]
    cdef Run *run
    cdef list found = [None] * count
    for i in range(MC_SLOTS):
        runs[i].left = 0
        runs[i].segment = -1
    for i in range(count):
        if at[i] > MC_SLOT_MASK:
            small_of("slot", at[i], MC_SLOT_MASK)
        run = &runs[at[i]]
        while run.left == 0:
            begin_segment(run, segments[at[i]])
        found[i] = id_of(number, at[i], run.next)
        run.next += 1
        run.left -= 1
    return found


def id_lines(list ids not None, Py_ssize_t first) -> bytes:
    """Return a line {"index":N,"id":"…"} for each id, N from `first` on."""
    cdef Py_ssize_t i, size = 0, count = len(ids)
    cdef const char *text
    cdef bytes lines = PyBytes_FromStringAndSize(NULL, count * LINE_BYTES_MAX)
    cdef char *start = PyBytes_AS_STRING(lines)
    cdef char *out = start
    for i in range(count):
        text = PyUnicode_AsUTF8AndSize(ids[i], &size)
        if size != MC_MESSAGE_ID_CHARS:
            raise ValueError(f"{ids[i]!r} is no message id; expected {MC_MESSAGE_ID_CHARS} letters")
        out += sprintf(out, b'{"index":%lld,"id":"', <long long>(first + i))
        memcpy(out, text, MC_MESSAGE_ID_CHARS)
        out += MC_MESSAGE_ID_CHARS
        memcpy(out, b'"}\n', 3)
        out += 3
    return lines[:out - start]


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
