cimport cython

from multiconnect.coreapp.owned_slot cimport OwnedSlot


cdef class Submitted:
    cdef readonly object header
    cdef public object data
    cdef readonly object answer_to
    cdef readonly bint answered
    cdef readonly int stream
    cdef readonly int slot
    cdef readonly int flags
    cdef readonly long long count
    cdef readonly object producer
    cdef readonly object producer_seq

    cpdef answer(self, status, value=*, exceptions=*)


@cython.locals(batch=Submitted)
cpdef list keyed_batches(list batches)


cdef class GroupPlan:
    cdef readonly dict slots
    cdef readonly list planned
    cdef readonly dict ends
    cdef readonly list answers

    @cython.locals(batch=Submitted)
    cpdef answer(self, refused)


cdef class Planner:
    cdef object _owned
    cdef dict _keys
    cdef object _now_ms
    cdef readonly GroupPlan plan

    @cython.locals(batch=Submitted)
    cpdef add_all(self, list batches, keyed)
    @cython.locals(slot=OwnedSlot, owned=OwnedSlot)
    cpdef add(self, Submitted batch, keyed)
    @cython.locals(plan=GroupPlan, base_seq=cython.longlong, count=cython.longlong)
    cdef _store(self, Submitted batch, OwnedSlot slot, stream, keyed)
