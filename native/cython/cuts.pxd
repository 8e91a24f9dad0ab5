"""Where messages lie in a body: what ingress finds and the packer packs, no object for each.

In between it is a bytes object that nobody else need read. The packer believes none of it.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Realloc
from libc.stdint cimport uint8_t, uint32_t

from kernel cimport mc_piece


cdef enum:
    ROOM_MIN = 64


# Places are counted from the beginning of the body.
cdef struct Cut:
    uint32_t recipient_at
    uint32_t recipient_size
    uint32_t payload_at
    uint32_t payload_size


cdef struct Cuts:
    const uint8_t *body
    Py_ssize_t body_size
    Cut *cuts           # to be freed by whoever began them
    size_t count
    size_t room


cdef inline void begin_cuts(Cuts *cuts, const uint8_t *body, Py_ssize_t body_size) noexcept:
    cuts.body = body
    cuts.body_size = body_size
    cuts.cuts = NULL
    cuts.count = 0
    cuts.room = 0


cdef inline int add_cut(
    Cuts *cuts, const mc_piece *recipient, Py_ssize_t start, Py_ssize_t end
) except -1:
    """Add the message from `start` to `end`; the recipient is a piece of the same body."""
    cdef Cut *cut
    if cuts.count == cuts.room:
        grow(cuts)
    cut = &cuts.cuts[cuts.count]
    cut.recipient_at = <uint32_t>(recipient.data - cuts.body)
    cut.recipient_size = <uint32_t>recipient.size
    cut.payload_at = <uint32_t>start
    cut.payload_size = <uint32_t>(end - start)
    cuts.count += 1
    return 0


cdef inline int grow(Cuts *cuts) except -1:
    cdef size_t room = 2 * cuts.room if cuts.room else <size_t>ROOM_MIN
    cdef Cut *grown
    if cuts.body_size > <Py_ssize_t>0xFFFFFFFF:
        raise OverflowError(f"a body of {cuts.body_size} bytes is too large to be cut")
    grown = <Cut *>PyMem_Realloc(cuts.cuts, room * sizeof(Cut))
    if grown is NULL:
        raise MemoryError
    cuts.cuts = grown
    cuts.room = room
    return 0


cdef inline bytes bytes_of_cuts(const Cuts *cuts):
    return PyBytes_FromStringAndSize(
        <const char *>cuts.cuts, <Py_ssize_t>(cuts.count * sizeof(Cut))
    )
