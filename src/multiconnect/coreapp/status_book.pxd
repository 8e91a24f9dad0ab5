cdef class StatusBook:
    cdef object _stream
    cdef int _slot
    cdef readonly list _bases
    cdef readonly dict _batches
    cdef set _dirty
    cdef set _writing
    cdef list _reading

    cpdef settled(self, row)
    cpdef list collect(self, at_ms)
    cpdef confirm(self)
