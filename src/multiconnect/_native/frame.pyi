from collections.abc import Iterable
from typing import final

from typing_extensions import Buffer

#: index in the batch, kind, sequence.
_Exception = tuple[int, int, int]
#: slot, stream, status, producer, producer_seq, value, exceptions.
_Answer = tuple[int, int, int, int, int, int, tuple[_Exception, ...]]
_AnswerLike = tuple[int, int, int, int, int, int, Iterable[_Exception]]

def frame_header(type: int, number: int, payload_len: int) -> bytes: ...  # noqa: A002
def encode_answers(entries: Iterable[_AnswerLike]) -> bytes: ...
def decode_answers(data: Buffer) -> list[_Answer]: ...

@final
class FrameReader:
    def get_buffer(self, sizehint: int = -1) -> memoryview: ...
    def buffer_updated(self, nbytes: int) -> list[tuple[int, int, bytes]]: ...
    def feed(self, data: Buffer) -> list[tuple[int, int, bytes]]: ...
