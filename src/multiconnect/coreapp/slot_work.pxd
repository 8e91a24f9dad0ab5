cimport cython

from multiconnect.coreapp.queue_entry cimport Entry
from multiconnect.coreapp.slot_queue cimport SlotQueue

cdef int _SENT


cdef class SlotWork:
    cdef readonly int slot
    cdef readonly object epoch
    cdef readonly long long cluster
    cdef readonly dict queues
    cdef readonly SlotQueue _outbound
    cdef readonly SlotQueue _inbound
    cdef readonly dict books
    cdef readonly object _rows
    cdef public bint is_open
    cdef public bint has_audience
    cdef readonly dict earlier

    @cython.locals(duplicate=bint, state=int)
    cpdef sent(self, stream, Entry entry, outcome, long long now_ms)
    cdef SlotQueue _queue(self, stream)
    cdef _attempts_over(self, stream, Entry entry)
    cdef _tell(
        self, int state, long long sequence, str recipient, long long now_ms, bint duplicate,
        dict data=*
    )
