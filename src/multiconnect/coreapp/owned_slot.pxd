cimport cython


cdef class OwnedSlot:
    cdef readonly int slot
    cdef readonly object epoch
    cdef long long _next_outbound
    cdef long long _next_inbound
    cdef dict _answers

    @cython.locals(new=OwnedSlot)
    cpdef OwnedSlot copy(self)
    cpdef long long next_seq(self, stream) except -1
    @cython.locals(answers=tuple)
    cpdef admit(self, stream, producer, producer_seq)
    @cython.locals(key=tuple, kept=tuple)
    cpdef tuple store(self, stream, producer, answer, long long count)
