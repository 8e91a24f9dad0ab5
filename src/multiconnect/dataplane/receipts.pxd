cimport cython

from multiconnect.dataplane.slot_lane cimport Waiter


cdef class OneSink(Waiter):
    cdef readonly object future
    cdef readonly double deadline_s
    cdef object cluster
    cdef int shards
    cdef object stream

    cpdef sink(self)
    @cython.locals(index=cython.longlong, sequence=cython.longlong, repeated=bint)
    cpdef stored(
        self, int slot, long long first_ordinal, long long count, long long base_seq, exceptions
    )


@cython.locals(sink=OneSink)
cpdef OneSink one_sink(
    future, long long ordinal, double deadline_s, cluster, int shards, stream
)


cdef class ManyPart(Waiter):
    cdef long long _base_seq
    cdef ManySink _many
    cdef list _more

    cpdef sink(self)
    @cython.locals(rank=cython.longlong)
    cpdef stored(
        self, int slot, long long first_ordinal, long long count, long long base_seq, exceptions
    )


cdef class ManySink:
    cdef readonly object future
    cdef readonly bytes slots
    cdef readonly double deadline_s
    cdef object cluster
    cdef object shards
    cdef readonly dict parts
    cdef Py_ssize_t _waiting

    @cython.locals(part=ManyPart)
    cpdef ManyPart expect(self, int slot, long long first_ordinal, long long count)
    cpdef part_stored(self)
