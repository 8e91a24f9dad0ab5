# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The plain way in: HTTP requests and text messages written the way nearly all are.

What comes back as None, or as bytes instead of a pair, is not refused: it must be looked at by the
readers that know every case and name every mistake.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.stdint cimport uint8_t
from libc.string cimport memchr, memcmp

from cuts cimport Cuts, add_cut, begin_cuts, bytes_of_cuts
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
    cdef Py_ssize_t size = PyBytes_GET_SIZE(body), start, end
    cdef Py_ssize_t others = 0
    if at < 0:
        raise ValueError(f"at is {at}; expected a place in the body")
    while at < size and count > 0:
        start = at
        at = next_line(data, &start, &end, size)
        if start < end:
            others += append_line(data + start, <size_t>(end - start), found)
            count -= 1
    return min(at, size), others


def cut_lines(bytes body not None, Py_ssize_t at, Py_ssize_t count):
    """Read at most `count` lines that are not blank, from `at`, if all are plain text messages.

    Return where the next line begins, and where each message lies (`Packer.extend_cuts`); or None.
    """
    cdef const uint8_t *data = <const uint8_t *>PyBytes_AS_STRING(body)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(body), start, end
    cdef Cuts cuts
    cdef mc_piece digits
    if at < 0:
        raise ValueError(f"at is {at}; expected a place in the body")
    begin_cuts(&cuts, data, size)
    try:
        while at < size and <Py_ssize_t>cuts.count < count:
            start = at
            at = next_line(data, &start, &end, size)
            if start == end:
                continue
            if mc_plain_text_read(data + start, <size_t>(end - start), &digits) != (
                <size_t>(end - start)
            ):
                return None
            add_cut(&cuts, &digits, start, end)
        return min(at, size), bytes_of_cuts(&cuts)
    finally:
        PyMem_Free(cuts.cuts)


def cut_array(bytes body not None, Py_ssize_t count):
    """Return where each element of a JSON array of plain text messages lies; or None.

    Of an array with more than `count` elements the first `count` are returned, unseen what follows.
    """
    cdef const uint8_t *data = <const uint8_t *>PyBytes_AS_STRING(body)
    cdef size_t size = <size_t>PyBytes_GET_SIZE(body), used
    cdef size_t at = mc_json_space(data, size)
    cdef Cuts cuts
    cdef mc_piece digits
    if at == size or data[at] != c"[":
        return None
    begin_cuts(&cuts, data, <Py_ssize_t>size)
    try:
        while True:
            at += 1
            at += mc_json_space(data + at, size - at)
            used = mc_plain_text_read(data + at, size - at, &digits)
            if used == 0:
                return None
            add_cut(&cuts, &digits, <Py_ssize_t>at, <Py_ssize_t>(at + used))
            if <Py_ssize_t>cuts.count == count:
                return bytes_of_cuts(&cuts)
            at += used
            at += mc_json_space(data + at, size - at)
            if at == size or data[at] != c",":
                break
        if at == size or data[at] != c"]":
            return None
        at += 1
        return bytes_of_cuts(&cuts) if at + mc_json_space(data + at, size - at) == size else None
    finally:
        PyMem_Free(cuts.cuts)


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


cdef inline Py_ssize_t next_line(
    const uint8_t *data, Py_ssize_t *start, Py_ssize_t *end, Py_ssize_t size
) noexcept:
    """Trim the line at `start`, which moves to its first character; return where the next begins.

    A line of blanks ends where it starts.
    """
    cdef const void *newline = memchr(data + start[0], c"\n", <size_t>(size - start[0]))
    cdef Py_ssize_t after = size if newline is NULL else <const uint8_t *>newline - data + 1
    end[0] = after
    while start[0] < end[0] and is_blank(data[start[0]]):
        start[0] += 1
    while start[0] < end[0] and is_blank(data[end[0] - 1]):
        end[0] -= 1
    return after


cdef int append_line(const uint8_t *line, size_t size, list found) except -1:
    """Append what a line holds; return 1 if that is no plain text message."""
    cdef mc_piece digits
    text = piece_of(line, size)
    if mc_plain_text_read(line, size, &digits) != size:
        found.append(text)
        return 1
    found.append((text_of(&digits), text))
    return 0


cdef inline bint is_blank(uint8_t byte) noexcept:
    """Whether bytes.strip() would take it away."""
    return byte == c" " or 9 <= byte <= 13


cdef inline object bytes_of(const mc_piece *piece):
    return None if piece.data is NULL else piece_of(piece.data, piece.size)


cdef inline bytes piece_of(const uint8_t *data, size_t size):
    return PyBytes_FromStringAndSize(<const char *>data, <Py_ssize_t>size)


cdef inline str text_of(const mc_piece *digits):
    return PyUnicode_DecodeASCII(<const char *>digits.data, <Py_ssize_t>digits.size, NULL)
