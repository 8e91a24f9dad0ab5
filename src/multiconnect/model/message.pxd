cimport cython


cdef class Message:
    cdef readonly str recipient
    cdef readonly bytes body
    cdef readonly object kind
    cdef readonly str account
    cdef readonly int slot
    cdef readonly long long sequence
    cdef readonly int attempt
    cdef readonly bint possible_duplicate
    cdef readonly long long accepted_at_ms
    cdef long long _cluster
    cdef int _stream
    cdef str _id
    cdef object _payload


@cython.locals(message=Message)
cpdef Message stored_message(long long cluster, int stream, int slot, long long sequence)
