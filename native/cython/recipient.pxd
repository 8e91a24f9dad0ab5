"""From a Python object to canonical bytes and their hash; shared by the modules that need it.

Nothing here runs Python code unless it is about to raise, so a caller may hold borrowed
references across a call that succeeds.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_AsUTF8String
from libc.stdint cimport int64_t, uint8_t, uint32_t

from kernel cimport (
    MC_RECIPIENT_CHARS_MAX, mc_canonical, mc_digits_hash, mc_murmur3_32, mc_reason,
)


cdef extern from "Python.h":
    bint is_str "PyUnicode_Check"(PyObject *value)
    bint is_compact_ascii "PyUnicode_IS_COMPACT_ASCII"(PyObject *value)
    Py_ssize_t str_length "PyUnicode_GET_LENGTH"(PyObject *value)
    uint8_t *str_data "PyUnicode_1BYTE_DATA"(PyObject *value)


cdef inline bint hash_digits(PyObject *value, uint32_t *hash) noexcept:
    """Hash a str that is canonical as it is, straight from its own memory; false: look closer."""
    return (
        is_str(value)
        and is_compact_ascii(value)
        and mc_digits_hash(str_data(value), <size_t>str_length(value), hash)
    )


cdef inline int write_canonical(object value, uint8_t *out) except -1:
    """Write the canonical form of any recipient to MC_RECIPIENT_BYTES_MAX bytes at `out`."""
    cdef int length
    cdef bytes text
    if not isinstance(value, str):
        from multiconnect._native.refusals import recipient_type
        raise recipient_type(value)
    if len(<str>value) > MC_RECIPIENT_CHARS_MAX:
        from multiconnect._native.refusals import recipient_chars
        raise recipient_chars(value)
    if is_compact_ascii(<PyObject *>value):
        length = mc_canonical(str_data(<PyObject *>value), <size_t>len(<str>value), out)
    else:
        # The kernel trims ASCII only; what str.strip() trims beyond that is trimmed here.
        text = utf8_of(str.strip(<str>value), value)
        length = mc_canonical(
            <const uint8_t *>PyBytes_AS_STRING(text), <size_t>PyBytes_GET_SIZE(text), out
        )
    if length < 0:
        from multiconnect._native.refusals import recipient
        raise recipient(value, mc_reason(length).decode())
    return length


cdef inline bytes utf8_of(str text, object value):
    """Encode text; a lone surrogate in it is the fault of the recipient `value`."""
    try:
        return PyUnicode_AsUTF8String(text)
    except UnicodeEncodeError as error:
        from multiconnect._native.refusals import recipient
        raise recipient(value, "it cannot be encoded to UTF-8") from error


cdef inline int64_t hash_slowly(object value) except -1:
    """Hash the canonical form of any recipient."""
    cdef uint8_t text[255]
    cdef int length = write_canonical(value, text)
    return mc_murmur3_32(text, <size_t>length)


cdef inline int64_t hash_recipient(PyObject *value) except -1:
    """Hash the canonical form of any recipient, the quick way if that will do."""
    cdef uint32_t hash = 0
    return hash if hash_digits(value, &hash) else hash_slowly(<object>value)
