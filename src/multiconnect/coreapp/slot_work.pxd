cimport cython

from multiconnect.coreapp.queue_entry cimport Entry, QueueWrite
from multiconnect.coreapp.slot_queue cimport SlotQueue
from multiconnect.coreapp.status_book cimport StatusBook

cdef int _SENT


cdef class SideRows:
    cdef public dict retries
    cdef public set retries_done
    cdef public list failures
    cdef public list upstream_ids
    cdef public list given_up
    cdef public list events

    @cython.locals(rows=SideRows)
    cpdef SideRows before(self, SideRows later)


cdef class WorkWrite:
    cdef readonly dict queues
    cdef readonly list late
    cdef readonly SideRows rows


cdef class SlotWork:
    cdef readonly int slot
    cdef readonly object epoch
    cdef readonly long long cluster
    cdef readonly dict queues
    cdef readonly SlotQueue _outbound
    cdef readonly SlotQueue _inbound
    cdef readonly dict books
    cdef readonly SideRows _rows
    cdef public bint is_open
    cdef public bint has_audience
    cdef readonly dict earlier

    @cython.locals(duplicate=bint, state=int)
    cpdef sent(self, stream, Entry entry, outcome, long long now_ms)
    cpdef SlotQueue queue(self, stream)
    cdef _attempts_over(self, stream, Entry entry)
    cdef _tell(
        self, int state, long long sequence, str recipient, long long now_ms, bint duplicate,
        dict data=*
    )
    @cython.locals(queue=SlotQueue, write=QueueWrite, book=StatusBook, rows=SideRows, late=list)
    cpdef WorkWrite collect(self, long long at_ms)
    @cython.locals(queue_write=QueueWrite, book=StatusBook, queue=SlotQueue)
    cpdef list confirm(self, WorkWrite write)
