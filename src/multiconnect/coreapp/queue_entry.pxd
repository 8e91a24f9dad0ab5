cimport cython

from multiconnect.coreapp.batch_states cimport BatchStates

cdef int DUPLICATE_FLAG, _WAITING


# Their cycles (a line and its entries) end when `Recipients` does, see there.
cdef class Entry:
    cdef readonly long long sequence
    cdef readonly BatchStates batch
    cdef readonly int kind
    cdef readonly str recipient
    cdef readonly bytes payload
    cdef readonly bytes attributes
    cdef readonly long long accepted_at_ms
    cdef public int phase
    cdef public int attempts
    cdef public bint blocked
    cdef public object early
    cdef public object early_data
    cdef readonly Line line
    cdef readonly Entry ahead
    cdef readonly Entry behind

    cpdef leave_line(self)
    cpdef bint is_marked(self) except -1


@cython.locals(entry=Entry)
cpdef Entry new_entry(
    long long sequence, BatchStates batch, tuple record, long long accepted_at_ms
)


cdef class Line:
    cdef readonly Entry first
    cdef readonly Entry last
    cdef readonly Py_ssize_t count

    cpdef append(self, Entry entry)
    @cython.locals(ahead=Entry, behind=Entry)
    cpdef remove(self, Entry entry)


@cython.locals(line=Line)
cpdef Line new_line(Entry entry)


cdef class QueueWrite:
    cdef public list progress
    cdef public object mark
    cdef readonly list claims


cdef class Loaded:
    cdef readonly list in_doubt
    cdef readonly list held
