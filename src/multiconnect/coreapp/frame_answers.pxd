cdef class FrameAnswers:
    cdef readonly object number
    cdef readonly object _endpoint
    cdef list _entries
