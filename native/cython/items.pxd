"""Messages that are about to be packed, checked: where their parts lie, and their slot.

What an item points at is kept alive by somebody else.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Malloc
from cpython.object cimport PyObject
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from cuts cimport Cut
from kernel cimport (
    MC_PAYLOAD_BYTES_MAX, MC_RECIPIENT_BYTES_MAX, MC_SLOT_MASK, mc_digits_hash, mc_murmur3_32,
)
from lanes cimport bytes_data
from recipient cimport hash_digits, str_data, str_length, write_canonical


cdef extern from "Python.h":
    bint is_bytes "PyBytes_Check"(PyObject *value)
    Py_ssize_t bytes_size "PyBytes_GET_SIZE"(PyObject *value)
    bint PyTuple_Check(PyObject *value)
    Py_ssize_t PyTuple_GET_SIZE(PyObject *value)
    PyObject *PyTuple_GET_ITEM(PyObject *value, Py_ssize_t index)


cdef struct Item:
    const uint8_t *recipient
    const uint8_t *payload
    uint32_t payload_len
    uint8_t recipient_len
    uint8_t slot


cdef inline Item *new_items(Py_ssize_t count) except NULL:
    cdef Item *items = <Item *>PyMem_Malloc(<size_t>count * sizeof(Item))
    if items is NULL:
        raise MemoryError
    return items


cdef inline bint prepare_cuts(Item *prepared, bytes body, bytes cuts, Py_ssize_t count) noexcept:
    """Point the items at messages in a body; false: these are no cuts of this body."""
    cdef const uint8_t *data = <const uint8_t *>PyBytes_AS_STRING(body)
    cdef uint64_t size = <uint64_t>PyBytes_GET_SIZE(body)
    cdef const char *at = PyBytes_AS_STRING(cuts)
    cdef Cut cut
    cdef Py_ssize_t i
    for i in range(count):
        memcpy(&cut, at + <size_t>i * sizeof(Cut), sizeof(Cut))
        if (
            <uint64_t>cut.payload_at + cut.payload_size > size
            or <uint64_t>cut.recipient_at + cut.recipient_size > size
            or cut.payload_size > MC_PAYLOAD_BYTES_MAX
            or not point_at_name(&prepared[i], data + cut.recipient_at, cut.recipient_size)
        ):
            return False
        prepared[i].payload = data + cut.payload_at
        prepared[i].payload_len = cut.payload_size
    return PyBytes_GET_SIZE(cuts) == count * <Py_ssize_t>sizeof(Cut)


cdef inline bint point_at_name(Item *item, const uint8_t *name, uint32_t size) noexcept:
    """Take a recipient of digits from where it lies; false: it is something else."""
    cdef uint32_t hash = 0
    cdef uint32_t i
    if not mc_digits_hash(name, size, &hash):
        if size == 0 or size > MC_RECIPIENT_BYTES_MAX:
            return False
        for i in range(size):
            if name[i] < c"0" or name[i] > c"9":
                return False
        hash = mc_murmur3_32(name, size)
    item.recipient = name
    item.recipient_len = <uint8_t>size
    item.slot = hash & MC_SLOT_MASK
    return True


cdef inline bint point_at_digits(Item *item, PyObject *recipient) noexcept:
    """Take a recipient that is canonical as it is from where it lies; false: look closer."""
    cdef uint32_t hash = 0
    if not hash_digits(recipient, &hash):
        return False
    item.recipient = str_data(recipient)
    item.recipient_len = <uint8_t>str_length(recipient)
    item.slot = hash & MC_SLOT_MASK
    return True


cdef inline bint prepare_quickly(Item *item, PyObject *pair) noexcept:
    """Take a plain number and bytes from where they lie; false: look closer."""
    cdef PyObject *payload
    if not PyTuple_Check(pair) or PyTuple_GET_SIZE(pair) != 2:
        return False
    payload = PyTuple_GET_ITEM(pair, 1)
    if not is_bytes(payload) or bytes_size(payload) > MC_PAYLOAD_BYTES_MAX:
        return False
    item.payload = <const uint8_t *>bytes_data(payload)
    item.payload_len = <uint32_t>bytes_size(payload)
    return point_at_digits(item, PyTuple_GET_ITEM(pair, 0))


cdef inline int keep_canonical(Item *item, object recipient, list kept) except -1:
    """Point an item at the canonical form of its recipient, kept alive in `kept`."""
    cdef uint8_t text[255]
    cdef int length = write_canonical(recipient, text)
    cdef bytes copy = PyBytes_FromStringAndSize(<char *>text, length)
    kept.append(copy)
    item.recipient = <const uint8_t *>PyBytes_AS_STRING(copy)
    item.recipient_len = <uint8_t>length
    return 0


cdef inline int set_payload(Item *item, PyObject *body) except -1:
    cdef Py_ssize_t size = bytes_size(body)
    if size > MC_PAYLOAD_BYTES_MAX:
        from multiconnect._native.refusals import payload_size
        raise payload_size(size)
    item.payload = <const uint8_t *>bytes_data(body)
    item.payload_len = <uint32_t>size
    return 0
