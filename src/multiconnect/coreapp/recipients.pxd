cimport cython

from multiconnect.coreapp.queue_entry cimport Entry, Line, new_line


cdef class Recipients:
    cdef dict _lines
    cdef readonly Py_ssize_t count
    cdef readonly Py_ssize_t parked
    cdef readonly Py_ssize_t payload_bytes

    @cython.locals(line=Line)
    cpdef add(self, Entry entry)

    @cython.locals(line=Line, was_first=bint)
    cpdef Entry remove(self, Entry entry)

    cpdef block(self, Entry entry)
    cpdef unblock(self, Entry entry)
