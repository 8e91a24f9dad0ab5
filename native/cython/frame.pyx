# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Frames and answers: what travels on a connection between a router and an owner."""

cimport cython
from cpython.buffer cimport (
    PyBUF_SIMPLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memmove

from integers cimport small_of, u32_of, u64_of
from kernel cimport (
    MC_ANSWER_BYTES, MC_BATCH_RECORDS_MAX, MC_E_SHORT, MC_EXCEPTION_BYTES, MC_FRAME_BYTES_MAX,
    MC_FRAME_HEADER_BYTES, MC_OK, MC_SLOT_MASK, MC_STATUS_MAX, MC_STREAM_INBOUND, mc_answer,
    mc_answer_check, mc_answer_read, mc_answer_write, mc_exception, mc_exception_check,
    mc_exception_read, mc_exception_write, mc_frame, mc_frame_read_header, mc_frame_write_header,
    mc_reason,
)


cdef enum:
    # What a frame and the reads before it may use of the reader's own buffer. A longer frame is
    # received where it will stay, so nothing of it but what came with its header is copied.
    BUFFER_BYTES = 64 * 1024


def frame_header(type, number, payload_len) -> bytes:
    """Return the header of a frame, to be followed by its payload."""
    cdef mc_frame frame
    cdef uint64_t size = u64_of(payload_len)
    frame.type = small_of("type", type, 255)
    frame.number = u64_of(number)
    if size > MC_FRAME_BYTES_MAX:
        from multiconnect._native.refusals import out_of_range
        raise out_of_range("payload_len", size, MC_FRAME_BYTES_MAX)
    frame.payload_len = <uint32_t>size
    cdef bytes header = PyBytes_FromStringAndSize(NULL, MC_FRAME_HEADER_BYTES)
    mc_frame_write_header(<uint8_t *>PyBytes_AS_STRING(header), &frame)
    return header


@cython.final
@cython.auto_pickle(False)
cdef class Room:
    """The part of a payload that is still to come, lent to the loop to receive into.

    It keeps the payload's memory alive, whatever became of the reader by then.
    """

    cdef bytes payload
    cdef Py_ssize_t at

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, PyBytes_AS_STRING(self.payload) + self.at,
                          PyBytes_GET_SIZE(self.payload) - self.at, 0, flags)


@cython.final
@cython.auto_pickle(False)
cdef class FrameReader:
    """Cuts a byte stream into frames, for asyncio.BufferedProtocol.

    Frames that fit the buffer are cut from it. The payload of a longer one gets memory of its own
    as soon as its header is known, and the loop receives straight into that. No memory that was
    lent is ever resized, and bytes move only in buffer_updated(), when the loop has finished
    writing.
    """

    cdef bytearray buffer
    cdef Py_ssize_t end          # bytes in the buffer; they start at 0
    cdef bytes payload           # of the long frame that is being received, or None
    cdef Py_ssize_t filled       # bytes of it that have arrived
    cdef mc_frame long_frame
    cdef uint64_t passed         # bytes of the stream handed out so far, for messages
    cdef object fault

    def __cinit__(self):
        self.buffer = PyByteArray_FromStringAndSize(NULL, BUFFER_BYTES)

    def get_buffer(self, sizehint=-1):
        """Return the free space for the loop to receive into."""
        cdef Room room
        self.refuse_if_broken()
        if self.payload is None:
            return memoryview(self.buffer)[self.end:]
        room = Room.__new__(Room)
        room.payload = self.payload
        room.at = self.filled
        return memoryview(room)

    def buffer_updated(self, Py_ssize_t nbytes) -> list:
        """Take note of received bytes; return (type, number, payload) of each complete frame."""
        self.refuse_if_broken()
        if nbytes < 0 or nbytes > self.room():
            raise ValueError(f"nbytes={nbytes} is refused: the buffer handed out was smaller")
        return self.received(nbytes)

    def feed(self, data) -> list:
        """Take bytes from anywhere; return (type, number, payload) of each complete frame."""
        cdef Py_buffer view
        cdef Py_ssize_t done = 0, part
        cdef list found = []
        self.refuse_if_broken()
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            while done < view.len:
                part = min(view.len - done, self.room())
                memcpy(self.free_space(), <char *>view.buf + done, <size_t>part)
                done += part
                found += self.received(part)
        finally:
            PyBuffer_Release(&view)
        return found

    cdef int refuse_if_broken(self) except -1:
        if self.fault is not None:
            from multiconnect.errors import CorruptData
            raise CorruptData(self.fault)
        return 0

    cdef Py_ssize_t room(self) noexcept:
        if self.payload is None:
            return len(self.buffer) - self.end
        return PyBytes_GET_SIZE(self.payload) - self.filled

    cdef char *free_space(self) noexcept:
        if self.payload is None:
            return PyByteArray_AS_STRING(self.buffer) + self.end
        return PyBytes_AS_STRING(self.payload) + self.filled

    cdef list received(self, Py_ssize_t nbytes):
        if self.payload is None:
            self.end += nbytes
            return self.cut()
        self.filled += nbytes
        if self.room():
            return []
        found = [(self.long_frame.type, self.long_frame.number, self.payload)]
        self.payload = None
        self.passed += <uint64_t>(MC_FRAME_HEADER_BYTES + self.filled)
        return found

    cdef list cut(self):
        """Hand out the complete frames and move what is left to the front."""
        cdef list found = []
        cdef const uint8_t *data = <const uint8_t *>PyByteArray_AS_STRING(self.buffer)
        cdef mc_frame frame
        cdef Py_ssize_t at = 0, size
        cdef int code
        while True:
            code = mc_frame_read_header(data + at, <size_t>(self.end - at), &frame)
            if code == MC_E_SHORT:
                break
            if code != MC_OK:
                self.break_down(at, code)
            size = MC_FRAME_HEADER_BYTES + <Py_ssize_t>frame.payload_len
            if self.end - at < size:
                if size > BUFFER_BYTES:
                    self.begin_long(&frame, at)
                    return found
                break
            payload = PyBytes_FromStringAndSize(
                <const char *>data + at + MC_FRAME_HEADER_BYTES, frame.payload_len
            )
            found.append((frame.type, frame.number, payload))
            at += size
        if at:
            self.end -= at
            self.passed += <uint64_t>at
            memmove(PyByteArray_AS_STRING(self.buffer), data + at, <size_t>self.end)
        return found

    cdef int begin_long(self, const mc_frame *frame, Py_ssize_t at) except -1:
        """Give the frame whose header is at `at`, and of which this is the last, its own memory."""
        cdef bytes payload = PyBytes_FromStringAndSize(NULL, frame.payload_len)
        cdef Py_ssize_t begin = at + MC_FRAME_HEADER_BYTES
        memcpy(PyBytes_AS_STRING(payload), PyByteArray_AS_STRING(self.buffer) + begin,
               <size_t>(self.end - begin))
        self.payload = payload
        self.filled = self.end - begin
        self.long_frame = frame[0]
        self.passed += <uint64_t>at
        self.end = 0
        return 0

    cdef int break_down(self, Py_ssize_t at, int code) except -1:
        """Raise, now and ever after: once the stream is out of step no byte of it has a meaning."""
        from multiconnect._native.refusals import corrupt
        error = corrupt("frame", self.passed + <uint64_t>at, mc_reason(code).decode())
        self.fault = str(error)
        self.buffer = bytearray()
        self.end = 0
        raise error


def encode_answers(entries) -> bytes:
    """Return answers, each (slot, stream, status, producer, producer_seq, value, exceptions)."""
    cdef list parts = []
    for slot, stream, status, producer, producer_seq, value, exceptions in entries:
        parts.append(encoded_answer(
            slot, stream, status, producer, producer_seq, value, tuple(exceptions)
        ))
    return b"".join(parts)


def decode_answers(data) -> list:
    """Return the answers in `data`, the exceptions of each as a tuple."""
    cdef Py_buffer view
    cdef list found = []
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        decode_into(found, <const uint8_t *>view.buf, <size_t>view.len)
        return found
    finally:
        PyBuffer_Release(&view)


cdef bytes encoded_answer(
    object slot, object stream, object status, object producer, object producer_seq, object value,
    tuple exceptions,
):
    cdef mc_answer answer
    cdef mc_exception exception
    cdef uint8_t *to
    answer.slot = small_of("slot", slot, MC_SLOT_MASK)
    answer.stream = small_of("stream", stream, MC_STREAM_INBOUND)
    answer.status = small_of("status", status, MC_STATUS_MAX)
    answer.producer = u64_of(producer)
    answer.producer_seq = u64_of(producer_seq)
    answer.value = u64_of(value)
    answer.exception_count = <uint32_t>min(len(exceptions), <Py_ssize_t>MC_BATCH_RECORDS_MAX + 1)
    refuse_if_impossible(mc_answer_check(&answer))
    cdef bytes result = PyBytes_FromStringAndSize(
        NULL, MC_ANSWER_BYTES + MC_EXCEPTION_BYTES * len(exceptions)
    )
    to = <uint8_t *>PyBytes_AS_STRING(result)
    mc_answer_write(to, &answer)
    to += MC_ANSWER_BYTES
    for index, kind, seq in exceptions:
        exception.index = u32_of(index)
        exception.kind = u32_of(kind)
        exception.seq = u64_of(seq)
        refuse_if_impossible(mc_exception_check(&exception))
        mc_exception_write(to, &exception)
        to += MC_EXCEPTION_BYTES
    return result


cdef int refuse_if_impossible(int code) except -1:
    if code != MC_OK:
        raise ValueError(f"an answer cannot be encoded because {mc_reason(code).decode()}")
    return 0


cdef int decode_into(list found, const uint8_t *data, size_t size) except -1:
    cdef mc_answer answer
    cdef size_t at = 0
    cdef int code
    while at < size:
        code = mc_answer_read(data + at, size - at, &answer)
        if code != MC_OK:
            raise corrupt_answer(at, code)
        at += MC_ANSWER_BYTES
        exceptions = decoded_exceptions(data, at, answer.exception_count)
        at += <size_t>answer.exception_count * MC_EXCEPTION_BYTES
        found.append((
            answer.slot, answer.stream, answer.status, answer.producer, answer.producer_seq,
            answer.value, exceptions,
        ))
    return 0


cdef tuple decoded_exceptions(const uint8_t *data, size_t at, uint32_t count):
    """Return the exceptions at `at`, which mc_answer_read has found to lie inside the data."""
    cdef mc_exception exception
    cdef list found = []
    cdef int code
    for _ in range(count):
        code = mc_exception_read(data + at, &exception)
        if code != MC_OK:
            raise corrupt_answer(at, code)
        found.append((exception.index, exception.kind, exception.seq))
        at += MC_EXCEPTION_BYTES
    return tuple(found)


cdef object corrupt_answer(size_t at, int code):
    from multiconnect._native.refusals import corrupt
    return corrupt("answer", <Py_ssize_t>at, mc_reason(code).decode())
