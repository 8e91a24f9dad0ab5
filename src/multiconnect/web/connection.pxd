from multiconnect.web.connections cimport ConnectionSet
from multiconnect.web.express cimport ExpressLane
from multiconnect.web.pipeline cimport Pipeline


cdef class HttpConnection:
    cdef ConnectionSet _shared
    cdef ExpressLane _express
    cdef object _transport
    cdef readonly Pipeline _pipeline
    cdef object _reader
    cdef bytes _unparsed
    cdef bint _is_tls
    cdef bint _eof
    cdef readonly bint _paused
    cdef bint _resuming
    cdef bint _refused
    cdef bint _lingering
    cdef Py_ssize_t _lingered_bytes
    cdef bint _closing
    cdef double _idle_deadline_s
    cdef double _out_deadline_s

    cdef bytes _expressed(self, bytes data)
    cdef _parse(self, bytes data)
    cdef _discard(self, Py_ssize_t count)
    cdef _pause_reading(self)
    cdef _resume_reading(self)
    cdef bint _has_work(self) except -1
    cpdef _settle(self)
    cdef bint _is_over(self) except -1
    cdef _close(self)
