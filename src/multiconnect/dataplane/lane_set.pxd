cimport cython

from multiconnect.dataplane.receipts cimport ManySink, one_sink
from multiconnect.dataplane.slot_lane cimport Sealed, SlotLane, Waiter

cdef int _STORED


cdef class LaneSet:
    cdef dict _packers
    cdef readonly tuple _all_packers
    cdef object _new_producer
    cdef object _make_link
    cdef readonly dict lanes
    cdef readonly object map
    cdef object _cluster
    cdef int _shards
    cdef readonly dict links
    cdef readonly list _epochs
    cdef readonly list _owners
    cdef list _heirs
    cdef dict _slots_of
    cdef dict _resend
    cdef long long _numbered_bytes
    cdef readonly int history_lost

    @cython.locals(packed=cython.longlong)
    cdef long long _packed(self) except -1
    @cython.locals(lane=SlotLane)
    cdef _rewind(self, int slot)
    @cython.locals(lane=SlotLane)
    cpdef wait(self, stream, slot, Waiter waiter)
    cpdef wait_for_one(self, stream, slot, promise, double deadline_s)
    @cython.locals(
        sink=ManySink, slot=int, count=cython.longlong, first=cython.longlong
    )
    cpdef wait_for_many(self, stream, bytes slots, future, double deadline_s)
    cpdef bint has_full_frames(self) except -1
    cdef bint _may_submit(self, link) except -1
    @cython.locals(lane=SlotLane, size=cython.longlong)
    cdef bint _fill(self, link, double now_s, wall_ms) except -1
    @cython.locals(batch=Sealed, size=cython.longlong, data=bytes)
    cdef long long _take(
        self, stream, SlotLane lane, list parts, double now_s, wall_ms
    ) except -1
    @cython.locals(lane=SlotLane, status=int, map_needed=bint)
    cpdef answered(self, str owner, entries, double now_s)
    @cython.locals(batch=Sealed)
    cdef _renumber(self, SlotLane lane)
