# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Packing messages into the open batch of their slot."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free
from cpython.object cimport PyObject
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from cuts cimport Cut
from integers cimport small_of, u64_of
from items cimport (
    PyTuple_Check, PyTuple_GET_ITEM, PyTuple_GET_SIZE, Item, is_bytes, keep_canonical, new_items,
    point_at_digits, prepare_cuts, prepare_quickly, set_payload,
)
from kernel cimport (
    MC_ATTRIBUTES_BYTES_MAX, MC_BATCH_HEADER_BYTES, MC_FLAG_KEYED, MC_SLOT_MASK, MC_SLOTS,
    MC_STREAM_INBOUND, mc_batch_header, mc_batch_seal, mc_murmur3_32, mc_prefetch, mc_record,
    mc_record_size, mc_record_write,
)
from lanes cimport (
    START_BYTES_MIN, Buffer, Lane, Mark, bytes_data, empty, free_chain, mark_of, roll_back,
    room_for, start_bytes_after,
)
from recipient cimport write_canonical


cdef extern from "Python.h":
    int _PyBytes_Resize(PyObject **value, Py_ssize_t size) except -1
    bint PyObject_CheckBuffer(object value)
    tuple PySequence_Tuple(object items)


@cython.final
@cython.auto_pickle(False)
cdef class Packer:
    """The open batches of all slots of one stream."""

    cdef Lane lanes[MC_SLOTS]
    cdef uint8_t stream
    cdef object dumps
    cdef uint32_t pending_slots
    cdef uint64_t waiting_bytes

    def __cinit__(self, stream, dumps):
        memset(self.lanes, 0, sizeof(self.lanes))
        for i in range(MC_SLOTS):
            self.lanes[i].start_bytes = START_BYTES_MIN
        self.stream = small_of("stream", stream, MC_STREAM_INBOUND)
        self.dumps = dumps

    def __dealloc__(self):
        for i in range(MC_SLOTS):
            free_chain(self.lanes[i].oldest)

    @property
    def pending(self) -> int:
        """One bit for each slot that has something to take."""
        return self.pending_slots

    @property
    def pending_bytes(self) -> int:
        """Bytes that taking everything now would return."""
        return self.waiting_bytes

    def appended(self, slot) -> int:
        """Return how many records this slot was ever given."""
        return self.lanes[small_of("slot", slot, MC_SLOT_MASK)].appended

    def append(
        self, recipient, payload, attributes=b"", kind=0, keyed=False
    ) -> int:
        """Append one message to the batch of its recipient's slot; return the slot."""
        return self.append_one(-1, recipient, payload, attributes, kind, keyed)

    def append_at(
        self, slot, recipient, payload, attributes=b"", kind=0, keyed=False
    ) -> int:
        """Append one message to the batch of a given slot; return the slot."""
        return self.append_one(
            small_of("slot", slot, MC_SLOT_MASK), recipient, payload, attributes, kind, keyed
        )

    def extend(self, items, attributes=b"", kind=0) -> bytes:
        """Append many messages or, if one of them is refused, none; return their slots."""
        # The snapshot keeps every recipient and payload alive while the encoder runs.
        cdef tuple snapshot = PySequence_Tuple(items)
        cdef Py_ssize_t count = len(snapshot)
        cdef bytes shared = checked_attributes(attributes)
        cdef mc_record pattern
        set_attributes(&pattern, shared)
        pattern.kind = small_of("kind", kind, 255)
        cdef list kept = []
        cdef Item *prepared = new_items(count)
        try:
            self.prepare_all(prepared, snapshot, kept)
            return self.append_prepared(&pattern, prepared, count)
        finally:
            PyMem_Free(prepared)

    def extend_cuts(
        self, bytes body not None, bytes cuts not None, attributes=b"", kind=0
    ) -> bytes:
        """Append the messages that `cut_lines` or `cut_array` found in a body; return their slots.

        All of them or none, as `extend` does.
        """
        cdef bytes shared = checked_attributes(attributes)
        cdef Py_ssize_t count = PyBytes_GET_SIZE(cuts) // <Py_ssize_t>sizeof(Cut)
        cdef mc_record pattern
        set_attributes(&pattern, shared)
        pattern.kind = small_of("kind", kind, 255)
        cdef Item *prepared = new_items(count)
        try:
            if not prepare_cuts(prepared, body, cuts, count):
                raise ValueError("cuts that do not fit the body; expected those made of it")
            return self.append_prepared(&pattern, prepared, count)
        finally:
            PyMem_Free(prepared)

    def take(self, slot, producer, producer_seq, created_ms) -> bytes | None:
        """Seal and return the oldest batch of a slot, or None if nothing waits."""
        cdef mc_batch_header header
        header.producer = u64_of(producer)
        header.producer_seq = u64_of(producer_seq)
        header.created_ms = u64_of(created_ms)
        header.slot = small_of("slot", slot, MC_SLOT_MASK)
        cdef Lane *lane = &self.lanes[header.slot]
        cdef Buffer *buffer = lane.oldest
        if buffer is NULL or buffer.count == 0:
            return None
        header.stream = self.stream
        header.flags = buffer.flags
        header.count = buffer.count
        header.body_len = <uint32_t>(buffer.used - MC_BATCH_HEADER_BYTES)
        mc_batch_seal(<uint8_t *>bytes_data(buffer.bytes), &header)
        return self.detach(header.slot)

    cdef bytes detach(self, uint8_t slot):
        """Take the oldest buffer out of its lane as a bytes object of its exact size."""
        cdef Lane *lane = &self.lanes[slot]
        cdef Buffer *buffer = lane.oldest
        cdef Py_ssize_t used = <Py_ssize_t>buffer.used
        cdef bytes sealed
        lane.start_bytes = start_bytes_after(buffer.used)
        if buffer is lane.open and buffer.capacity == lane.start_bytes and (
            2 * buffer.used <= buffer.capacity
        ):
            # Mostly empty: a copy is smaller than the waste, and the buffer serves again.
            sealed = PyBytes_FromStringAndSize(bytes_data(buffer.bytes), used)
            empty(buffer)
        else:
            _PyBytes_Resize(&buffer.bytes, used)  # only ever smaller, so it does not fail
            sealed = <bytes>buffer.bytes
            lane.oldest = buffer.next
            if lane.oldest is NULL:
                lane.open = NULL
            buffer.next = NULL
            free_chain(buffer)
        self.waiting_bytes -= <uint64_t>used
        if lane.oldest is NULL or lane.oldest.count == 0:
            self.pending_slots &= ~(<uint32_t>1 << slot)
        return sealed

    cdef int append_one(
        self, int slot, object recipient, object payload, object attributes, object kind,
        object keyed,
    ) except -1:
        cdef Item item
        cdef mc_record record
        cdef uint8_t text[255]
        cdef bytes shared = checked_attributes(attributes)
        set_attributes(&record, shared)
        record.kind = small_of("kind", kind, 255)
        cdef uint8_t flags = MC_FLAG_KEYED if keyed else 0
        if not point_at_digits(&item, <PyObject *>recipient):
            item.recipient = text
            item.recipient_len = <uint8_t>write_canonical(recipient, text)
            item.slot = mc_murmur3_32(text, item.recipient_len) & MC_SLOT_MASK
        if slot >= 0:
            item.slot = <uint8_t>slot
        body = self.encoded(payload)
        set_payload(&item, <PyObject *>body)
        self.write(&record, &item, flags)
        return item.slot

    cdef int prepare_all(
        self, Item *prepared, tuple items, list kept
    ) except -1:
        """Check and encode the items, pointing into objects that stay alive."""
        cdef PyObject *pair
        cdef Py_ssize_t i = 0
        try:
            for i in range(len(items)):
                pair = PyTuple_GET_ITEM(<PyObject *>items, i)
                if not prepare_quickly(&prepared[i], pair):
                    self.prepare_slowly(&prepared[i], pair, kept)
        except ValueError as error:
            from multiconnect._native.refusals import at_item
            raise at_item(i, error) from error
        return 0

    cdef int prepare_slowly(self, Item *item, PyObject *pair, list kept) except -1:
        """Check and encode any pair; what it is turned into is kept alive in `kept`."""
        cdef PyObject *recipient
        if not PyTuple_Check(pair) or PyTuple_GET_SIZE(pair) != 2:
            from multiconnect._native.refusals import item_shape
            raise item_shape(<object>pair)
        recipient = PyTuple_GET_ITEM(pair, 0)
        if not point_at_digits(item, recipient):
            keep_canonical(item, <object>recipient, kept)
            item.slot = mc_murmur3_32(item.recipient, item.recipient_len) & MC_SLOT_MASK
        body = self.encoded(<object>PyTuple_GET_ITEM(pair, 1))
        kept.append(body)
        return set_payload(item, <PyObject *>body)

    cdef bytes encoded(self, object payload):
        """Return the bytes of a payload; runs the caller's encoder unless it is bytes-like."""
        if is_bytes(<PyObject *>payload):
            return <bytes>payload
        try:
            body = bytes(payload) if PyObject_CheckBuffer(payload) else self.dumps(payload)
        except MemoryError:
            raise
        except Exception as error:
            from multiconnect._native.refusals import payload_encoding
            raise payload_encoding(payload, error) from error
        if not is_bytes(<PyObject *>body):
            from multiconnect._native.refusals import payload_encoder
            raise payload_encoder(body)
        return <bytes>body

    cdef bytes append_prepared(self, mc_record *pattern, const Item *items, Py_ssize_t count):
        """Append all of them; return their slots.

        Should memory run out half-way, take back those that were appended.
        """
        cdef Mark marks[MC_SLOTS]
        cdef uint64_t waiting_bytes = self.waiting_bytes
        cdef uint32_t pending_slots = self.pending_slots
        cdef bytes result = PyBytes_FromStringAndSize(NULL, count)
        cdef uint8_t *slots = <uint8_t *>PyBytes_AS_STRING(result)
        cdef Py_ssize_t i
        for i in range(MC_SLOTS):
            marks[i] = mark_of(&self.lanes[i])
        try:
            for i in range(count):
                if i + 4 < count:
                    mc_prefetch(items[i + 4].payload, items[i + 4].payload_len)
                slots[i] = items[i].slot
                self.write(pattern, &items[i], 0)
        except MemoryError:
            for i in range(MC_SLOTS):
                roll_back(&self.lanes[i], &marks[i])
            self.waiting_bytes = waiting_bytes
            self.pending_slots = pending_slots
            raise
        return result

    cdef inline int write(self, mc_record *record, const Item *item, uint8_t flags) except -1:
        """Append a checked message. The only failure is memory, and it changes nothing."""
        cdef Lane *lane = &self.lanes[item.slot]
        record.recipient = item.recipient
        record.recipient_len = item.recipient_len
        record.payload = item.payload
        record.payload_len = item.payload_len
        cdef size_t size = mc_record_size(record)
        cdef Buffer *buffer = room_for(lane, size)
        mc_record_write(<uint8_t *>bytes_data(buffer.bytes) + buffer.used, record)
        self.waiting_bytes += size if buffer.count else size + MC_BATCH_HEADER_BYTES
        self.pending_slots |= <uint32_t>1 << item.slot
        buffer.used += size
        buffer.count += 1
        buffer.flags |= flags
        lane.appended += 1
        return 0


cdef bytes checked_attributes(object attributes):
    cdef bytes copy
    if is_bytes(<PyObject *>attributes):
        copy = attributes
    else:
        copy = bytes(memoryview(attributes))
    if PyBytes_GET_SIZE(copy) > MC_ATTRIBUTES_BYTES_MAX:
        from multiconnect._native.refusals import attributes_size
        raise attributes_size(PyBytes_GET_SIZE(copy))
    return copy


cdef void set_attributes(mc_record *record, bytes shared) noexcept:
    record.attributes = <const uint8_t *>PyBytes_AS_STRING(shared)
    record.attributes_len = <uint16_t>PyBytes_GET_SIZE(shared)
