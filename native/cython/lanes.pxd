"""What a slot's unsent batches are written into: a chain of buffers, the oldest first.

A buffer is the memory of a bytes object that nobody else has seen yet, with room for the header in
front, so that sealing a batch copies nothing. Only the last buffer of a chain is written to.
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_XDECREF
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from kernel cimport MC_BATCH_BYTES_MAX, MC_BATCH_HEADER_BYTES, MC_BATCH_RECORDS_MAX


cdef extern from "Python.h":
    PyObject *new_bytes "PyBytes_FromStringAndSize"(const char *data, Py_ssize_t size) except NULL
    char *bytes_data "PyBytes_AS_STRING"(PyObject *value)


cdef enum:
    # A new buffer is as large as its slot's last batch was, within these bounds: an idle slot
    # stays small, a busy one does not grow from nothing every time.
    START_BYTES_MIN = 4096
    START_BYTES_MAX = 262144
    BUFFER_BYTES_MAX = MC_BATCH_HEADER_BYTES + MC_BATCH_BYTES_MAX


cdef struct Buffer:
    PyObject *bytes   # owned; nobody else sees it before it is sealed
    size_t used       # header included
    size_t capacity
    uint32_t count
    uint8_t flags
    Buffer *next


cdef struct Lane:
    Buffer *oldest
    Buffer *open        # the last of the chain, or NULL when there is none
    size_t start_bytes
    uint64_t appended


# What a lane must be put back to when appending many items fails half-way.
cdef struct Mark:
    Buffer *open
    size_t used
    uint32_t count
    uint8_t flags
    uint64_t appended


cdef inline Buffer *new_buffer(size_t capacity) except NULL:
    cdef Buffer *buffer = <Buffer *>PyMem_Malloc(sizeof(Buffer))
    if buffer is NULL:
        raise MemoryError
    try:
        buffer.bytes = new_bytes(NULL, <Py_ssize_t>capacity)
    except MemoryError:
        PyMem_Free(buffer)
        raise
    buffer.capacity = capacity
    buffer.next = NULL
    empty(buffer)
    return buffer


cdef inline void empty(Buffer *buffer) noexcept:
    buffer.used = MC_BATCH_HEADER_BYTES
    buffer.count = 0
    buffer.flags = 0


cdef inline void free_chain(Buffer *buffer) noexcept:
    cdef Buffer *next
    while buffer is not NULL:
        next = buffer.next
        Py_XDECREF(buffer.bytes)
        PyMem_Free(buffer)
        buffer = next


cdef inline int grow(Buffer *buffer, size_t needed) except -1:
    """Make room for `needed` bytes in all; the old memory survives a failure."""
    cdef size_t capacity = min(max(needed, 2 * buffer.capacity), <size_t>BUFFER_BYTES_MAX)
    cdef PyObject *larger = new_bytes(NULL, <Py_ssize_t>capacity)
    memcpy(bytes_data(larger), bytes_data(buffer.bytes), buffer.used)
    Py_XDECREF(buffer.bytes)
    buffer.bytes = larger
    buffer.capacity = capacity
    return 0


cdef inline Buffer *room_for(Lane *lane, size_t size) except NULL:
    """Return the lane's open buffer with room for a record, opening the next one if it is full."""
    cdef Buffer *buffer = lane.open
    if buffer is not NULL and buffer.count < MC_BATCH_RECORDS_MAX and (
        buffer.used + size <= buffer.capacity
    ):
        return buffer
    return make_room(lane, size)


cdef inline Buffer *make_room(Lane *lane, size_t size) except NULL:
    cdef Buffer *buffer = lane.open
    if buffer is not NULL and buffer.count < MC_BATCH_RECORDS_MAX and (
        buffer.used + size <= BUFFER_BYTES_MAX
    ):
        grow(buffer, buffer.used + size)
        return buffer
    buffer = new_buffer(max(lane.start_bytes, MC_BATCH_HEADER_BYTES + size))
    if lane.open is NULL:
        lane.oldest = buffer
    else:
        lane.open.next = buffer
    lane.open = buffer
    return buffer


cdef inline Mark mark_of(const Lane *lane) noexcept:
    cdef Mark mark
    memset(&mark, 0, sizeof(mark))
    mark.open = lane.open
    mark.appended = lane.appended
    if lane.open is not NULL:
        mark.used = lane.open.used
        mark.count = lane.open.count
        mark.flags = lane.open.flags
    return mark


cdef inline void roll_back(Lane *lane, const Mark *mark) noexcept:
    """Drop the buffers opened since the mark and what was appended to the one then open."""
    lane.appended = mark.appended
    lane.open = mark.open
    if mark.open is NULL:
        free_chain(lane.oldest)
        lane.oldest = NULL
        return
    free_chain(mark.open.next)
    mark.open.next = NULL
    mark.open.used = mark.used
    mark.open.count = mark.count
    mark.open.flags = mark.flags


cdef inline size_t start_bytes_after(size_t used) noexcept:
    cdef size_t start = START_BYTES_MIN
    while start < used and start < START_BYTES_MAX:
        start *= 2
    return start
