cdef int DUPLICATE_FLAG


cdef class BatchStates:
    cdef readonly long long base_seq
    cdef readonly bytearray states
    cdef public Py_ssize_t unsettled
    cdef public bint changed

    cpdef int get(self, long long sequence) except -1
    cpdef set(self, long long sequence, int state)
    cpdef add_flag(self, long long sequence, int flag)
