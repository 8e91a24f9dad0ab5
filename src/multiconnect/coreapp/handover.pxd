cimport cython

from multiconnect.coreapp.queue_entry cimport Entry
from multiconnect.coreapp.slot_work cimport SlotWork
from multiconnect.model.message cimport Message, stored_message


cdef bint _is_plain(Entry entry) except -1


cdef class Handover:
    cdef readonly object stream
    cdef readonly list entries
    cdef list _works
    cdef readonly list unsent

    cpdef add(self, SlotWork work, Entry entry)
    @cython.locals(entry=Entry, others=list)
    cpdef list add_plain(self, SlotWork work, list entries)
    @cython.locals(part=Handover)
    cpdef list parts(self, Py_ssize_t most)
    @cython.locals(work=SlotWork, entry=Entry)
    cpdef list messages(self)
    @cython.locals(work=SlotWork, entry=Entry, at=Py_ssize_t, sent=Py_ssize_t)
    cpdef Py_ssize_t settle(self, list outcomes, long long now_ms) except -1


@cython.locals(message=Message, attributes=bytes)
cdef _message(SlotWork work, stream, Entry entry)
