cdef int _ACCEPTED, _SENDING


cdef class Claims:
    cdef long long _inherited
    cdef public long long watermark
    cdef public long long count
    cdef public long long ahead

    cpdef bint is_in_doubt(self, long long sequence, int state)
    cpdef long long unloaded(self, long long loaded_to) except -1
    cpdef long long room(self, long long loaded_to) except -1
    cpdef bint are_few(self, long long loaded_to) except -1
