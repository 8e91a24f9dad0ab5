cdef class ConnectionSet:
    cdef object _clock
    cdef Py_ssize_t _connections_max
    cdef readonly set _open
    cdef object _empty
    cdef object _timer
    cdef double _last_s
    cdef readonly object loop
    cdef readonly object clock
    cdef readonly double now_s
    cdef readonly bytes date
    cdef public bint stopping
    cdef readonly set running
    cdef public Py_ssize_t posted
    cdef public Py_ssize_t held_bytes
    cdef readonly Py_ssize_t accepted
    cdef readonly Py_ssize_t turned_away
    cdef readonly Py_ssize_t expired

    cpdef bint admit(self, connection) except -1
    cpdef bint may_run(self) except -1
