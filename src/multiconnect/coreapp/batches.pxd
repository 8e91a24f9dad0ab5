cimport cython

from multiconnect.coreapp.batch_states cimport BatchStates


cdef class Batches:
    cdef object _stream
    cdef int _slot
    cdef list _bases
    cdef dict _by_base
    cdef list _changed

    cpdef add(self, BatchStates batch)
    cpdef long long first(self, long long default) except -2
    cpdef set(self, BatchStates batch, long long sequence, int state)
    cpdef mark(self, BatchStates batch)
    cpdef bint has_changed(self)

    @cython.locals(batch=BatchStates, settled=bint)
    cpdef list collect(self, long long at_ms)
