cimport cython

from multiconnect.coreapp.batch_states cimport BatchStates
from multiconnect.coreapp.batches cimport Batches
from multiconnect.coreapp.claims cimport Claims
from multiconnect.coreapp.queue_entry cimport Entry, new_entry
from multiconnect.coreapp.recipients cimport Recipients

cdef int DUPLICATE_FLAG, STATE_MASK
cdef int _WAITING, _HELD, _CLAIMING, _CLAIMED, _IN_FLIGHT, _SETTLED
cdef int _STATE_HELD, _STATE_SENDING, _STATE_SENT


cdef class SlotQueue:
    cdef readonly object stream
    cdef readonly int slot
    cdef readonly long long loaded_to
    cdef long long _end
    cdef object _mark
    cdef Batches _batches
    cdef readonly Recipients _recipients
    cdef list _unclaimed
    cdef dict _to_claim
    cdef list _ready
    cdef readonly Claims _claims
    cdef readonly Py_ssize_t in_flight
    cdef readonly bint draining
    cdef bint _writing

    cdef bint _has_room(self) except -1
    @cython.locals(contiguous=bint)
    cpdef bint appended(self, long long base_seq, long long count) except -1
    @cython.locals(batch=BatchStates)
    cpdef offer(self, stored, list records)
    @cython.locals(record=tuple, sequence=cython.longlong, state=int)
    cdef _admit_all(self, BatchStates batch, list records, long long accepted_at_ms, loaded)
    cdef _admit(self, Entry entry, int state, loaded)

    @cython.locals(claims=Claims, room=cython.longlong, watermark=cython.longlong)
    cpdef claim_ahead(self, long long end_seq)
    cpdef claimed_ahead(self, mark)
    cdef _raise_watermark(self, long long watermark)
    @cython.locals(entry=Entry, covered=Py_ssize_t, watermark=cython.longlong)
    cdef _cover(self)
    @cython.locals(phase=int, may_follow=bint)
    cdef _cover_one(self, Entry entry)
    cdef _claim(self, Entry entry)
    cdef _want_claim(self, Entry entry)

    @cython.locals(entry=Entry, looked_at=Py_ssize_t, taken=list)
    cpdef list take(self, Py_ssize_t limit)
    @cython.locals(is_sent=bint)
    cpdef int settle(self, Entry entry, int state) except -1
    @cython.locals(first=Entry)
    cpdef let_next(self, Entry entry)
    cdef bint _wants_claims(self) except -1
    cdef _leave(self, Entry entry)
    cdef _write_held(self, Entry entry)
