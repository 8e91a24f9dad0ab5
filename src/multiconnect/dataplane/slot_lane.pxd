cimport cython


cdef class Waiter:
    cdef public long long first
    cdef public long long last

    cpdef sink(self)
    cpdef stored(
        self, int slot, long long first_ordinal, long long count, long long base_seq, exceptions
    )


cdef class Sealed:
    cdef public object producer_seq
    cdef readonly long long first_ordinal
    cdef readonly long long count
    cdef public bytes data
    cdef public bint sent


cdef class SlotLane:
    cdef readonly int slot
    cdef public object producer
    cdef public object next_seq
    cdef readonly long long next_ordinal
    cdef readonly object unanswered
    cdef readonly object waiters
    cdef public double held_until_s
    cdef public double used_at_s

    cpdef bint has_room(self) except -1
    cpdef wait(self, Waiter waiter)
    cpdef sealed(self, bytes data, long long count)
    @cython.locals(batch=Sealed)
    cpdef rewind(self)
    @cython.locals(batch=Sealed)
    cpdef Py_ssize_t stored(self, producer, producer_seq, base_seq, exceptions) except -1
    @cython.locals(oldest=Sealed)
    cdef bint _is_oldest(self, producer, producer_seq) except -1
    @cython.locals(waiter=Waiter, first=cython.longlong, count=cython.longlong, end=cython.longlong)
    cdef _tell(self, Sealed batch, long long base_seq, exceptions)
