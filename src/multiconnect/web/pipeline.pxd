from multiconnect.web.connections cimport ConnectionSet


cdef class Exchange:
    cdef readonly object request
    cdef public object response
    cdef readonly bint is_express

    cpdef bint is_parallel(self) except -1
    cpdef bint is_ready(self) except -1
    cpdef answer(self, Pipeline pipeline)


cdef class Pipeline:
    cdef ConnectionSet _shared
    cdef object _application
    cdef object _on_progress
    cdef readonly object _waiting
    cdef object _running
    cdef list _out
    cdef public bint held
    cdef readonly bint ended

    cpdef bint is_busy(self) except -1
    cpdef bint is_full(self) except -1
    cpdef start(self)
    cpdef bytes take(self)
    cpdef abandon(self)
    cpdef bint may_express(self) except -1
    cpdef join(self, Exchange exchange)
    cpdef told(self)
    cpdef bint is_open(self) except -1
    cpdef put(self, bytes data)
    cpdef finish(self, request, response)
    cdef bint _may_join(self, request) except -1
    cdef _run(self, request, coroutine)
    cdef _answer_ready(self)
