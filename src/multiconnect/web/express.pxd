cimport cython

from multiconnect.web.connections cimport ConnectionSet
from multiconnect.web.pipeline cimport Exchange, Pipeline


cdef class ExpressLane:
    cdef object _services
    cdef object _auth
    cdef object _sender
    cdef object _clock
    cdef object _figures
    cdef ConnectionSet _connections
    cdef object _timeout_s
    cdef object _route
    cdef bytes _line

    cpdef Py_ssize_t take(self, bytes data, Py_ssize_t at, Pipeline pipeline) except -1
    cdef bint _post(self, bytes body, bytes key, _Acceptance exchange) except -1
    cdef accepted(self, receipt)
    cdef bytes answer(self, receipt, double started_s)
    cdef request(self, double started_s)


cdef class _Acceptance(Exchange):
    cdef Pipeline _pipeline
    cdef ExpressLane _lane
    cdef object _receipt
    cdef double _started_s


@cython.locals(exchange=_Acceptance)
cdef _Acceptance _acceptance(Pipeline pipeline, ExpressLane lane, double started_s)
