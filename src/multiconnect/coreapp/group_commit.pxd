cimport cython

from multiconnect.coreapp.group cimport GroupPlan
from multiconnect.coreapp.slot_queue cimport SlotQueue
from multiconnect.coreapp.slot_work cimport SlotWork


cdef class GroupCommit:
    cdef readonly GroupPlan plan
    cdef readonly dict works
    cdef dict _ahead
    cdef readonly long long accepted
    cdef readonly long long batches

    @cython.locals(work=SlotWork)
    cpdef claim_ahead(self, works)
    @cython.locals(work=SlotWork, queue=SlotQueue, base_seq=cython.longlong, count=cython.longlong)
    cpdef hand_on(self, works, refused, offer, set moved)
    @cython.locals(work=SlotWork)
    cdef _claimed_ahead(self, works, refused, set moved)
