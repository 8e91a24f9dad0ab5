# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The plain way in: HTTP requests and text messages written the way nearly all are.

What comes back as None, or as bytes instead of a pair, is not refused: it must be looked at by the
readers that know every case and name every mistake.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.stdint cimport uint8_t
from libc.string cimport memchr, memcmp

from kernel cimport (
    mc_json_space, mc_json_value_size, mc_piece, mc_plain_head, mc_plain_head_read,
    mc_plain_text_read,
)


def plain_head(bytes data not None, Py_ssize_t at, bytes line not None, Py_ssize_t body_max):
    """Read the request at `at` if it begins with `line`, is plain and all there.

    Return where its body begins and ends, and the values of Authorization and Idempotency-Key
    (None: not there); or None.
    """
    cdef const uint8_t *start = <const uint8_t *>PyBytes_AS_STRING(data) + at
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data) - at, line_size = PyBytes_GET_SIZE(line)
    cdef mc_plain_head head
    if at < 0 or size < line_size or memcmp(start, PyBytes_AS_STRING(line), line_size) != 0:
        return None
    if not mc_plain_head_read(start + line_size, <size_t>(size - line_size), &head):
        return None
    cdef Py_ssize_t body_at = line_size + <Py_ssize_t>head.body_at
    cdef Py_ssize_t body_size = <Py_ssize_t>head.body_size
    if body_size > body_max or body_size > size - body_at:
        return None
    return (
        at + body_at, at + body_at + body_size,
        bytes_of(&head.authorization), bytes_of(&head.idempotency_key),
    )


def plain_text(bytes message not None):
    """Return the recipient of a plain text message, in canonical form; or None."""
    cdef const uint8_t *data = <const uint8_t *>PyBytes_AS_STRING(message)
    cdef size_t size = <size_t>PyBytes_GET_SIZE(message)
    cdef mc_piece digits
    cdef size_t at = mc_json_space(data, size)
    cdef size_t used = mc_plain_text_read(data + at, size - at, &digits)
    if used == 0 or at + used + mc_json_space(data + at + used, size - at - used) != size:
        return None
    return text_of(&digits)


def plain_lines(bytes body not None, Py_ssize_t at, Py_ssize_t count, list found not None):
    """Read at most `count` lines that are not blank, from `at`; append what they hold to `found`.

    That is (recipient, line) for a plain text message, else the line; trimmed. Return where the
    next line begins, and how many of these were not plain.
    """
    cdef const uint8_t *data = <const uint8_t *>PyBytes_AS_STRING(body)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(body), end
    cdef Py_ssize_t others = 0
    cdef const uint8_t *newline
    if at < 0:
        raise ValueError(f"at is {at}; expected a place in the body")
    while at < size and count > 0:
        newline = <const uint8_t *>memchr(data + at, c"\n", <size_t>(size - at))
        end = size if newline is NULL else newline - data
        count -= append_line(data, at, end, found, &others)
        at = end + 1
    return at if at < size else size, others


def plain_array(bytes body not None, Py_ssize_t count):
    """Return (recipient, message) for each element of a JSON array of plain texts; or None.

    Of an array with more than `count` elements the first `count` are returned, unseen what follows.
    """
    cdef const uint8_t *data = <const uint8_t *>PyBytes_AS_STRING(body)
    cdef size_t size = <size_t>PyBytes_GET_SIZE(body), used
    cdef size_t at = mc_json_space(data, size)
    cdef mc_piece digits
    cdef list found = []
    if at == size or data[at] != c"[":
        return None
    while True:
        at += 1
        at += mc_json_space(data + at, size - at)
        used = mc_plain_text_read(data + at, size - at, &digits)
        if used == 0:
            return None
        found.append((text_of(&digits), piece_of(data + at, used)))
        if len(found) == count:
            return found
        at += used
        at += mc_json_space(data + at, size - at)
        if at == size or data[at] != c",":
            break
    if at == size or data[at] != c"]":
        return None
    at += 1
    return found if at + mc_json_space(data + at, size - at) == size else None


def array_elements(bytes body not None) -> list:
    """Return the elements of a JSON array as they are written; the array must be valid."""
    cdef const uint8_t *data = <const uint8_t *>PyBytes_AS_STRING(body)
    cdef size_t size = <size_t>PyBytes_GET_SIZE(body), used
    cdef size_t at = mc_json_space(data, size)
    cdef list found = []
    while at < size and (data[at] == c"[" or data[at] == c","):
        at += 1
        at += mc_json_space(data + at, size - at)
        used = mc_json_value_size(data + at, size - at)
        if used == 0:
            break
        found.append(piece_of(data + at, used))
        at += used
        at += mc_json_space(data + at, size - at)
    return found


cdef int append_line(
    const uint8_t *data, Py_ssize_t at, Py_ssize_t end, list found, Py_ssize_t *others
) except -1:
    """Append what one line holds; return how many messages that was."""
    cdef mc_piece digits
    cdef size_t used
    while at < end and is_blank(data[at]):
        at += 1
    while at < end and is_blank(data[end - 1]):
        end -= 1
    if at == end:
        return 0
    line = piece_of(data + at, <size_t>(end - at))
    used = mc_plain_text_read(data + at, <size_t>(end - at), &digits)
    if used == <size_t>(end - at):
        found.append((text_of(&digits), line))
    else:
        found.append(line)
        others[0] += 1
    return 1


cdef inline bint is_blank(uint8_t byte) noexcept:
    """Whether bytes.strip() would take it away."""
    return byte == c" " or 9 <= byte <= 13


cdef inline object bytes_of(const mc_piece *piece):
    return None if piece.data is NULL else piece_of(piece.data, piece.size)


cdef inline bytes piece_of(const uint8_t *data, size_t size):
    return PyBytes_FromStringAndSize(<const char *>data, <Py_ssize_t>size)


cdef inline str text_of(const mc_piece *digits):
    return PyUnicode_DecodeASCII(<const char *>digits.data, <Py_ssize_t>digits.size, NULL)
