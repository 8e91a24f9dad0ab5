"""From Python integers to C ones, strictly: Cython itself would cut 1.5 to 1 without a word."""

from cpython.long cimport PyLong_AsLongLong, PyLong_AsUnsignedLongLong
from cpython.number cimport PyNumber_Index
from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef inline uint64_t u64_of(object value) except? 0xFFFFFFFFFFFFFFFF:
    return PyLong_AsUnsignedLongLong(PyNumber_Index(value))


cdef inline uint32_t u32_of(object value) except? 0xFFFFFFFF:
    cdef uint64_t number = u64_of(value)
    if number > <uint64_t>0xFFFFFFFF:
        raise OverflowError(f"{number} does not fit 32 unsigned bits")
    return <uint32_t>number


cdef inline uint8_t small_of(str name, object value, int highest) except? 255:
    """Return a number that must be between 0 and `highest`."""
    cdef long long number = PyLong_AsLongLong(PyNumber_Index(value))
    if number < 0 or number > highest:
        from multiconnect._native.refusals import out_of_range
        raise out_of_range(name, number, highest)
    return <uint8_t>number
