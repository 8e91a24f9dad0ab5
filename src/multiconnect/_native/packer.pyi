from collections.abc import Callable, Iterable
from typing import Any, final

from typing_extensions import Buffer

@final
class Packer:
    def __init__(self, stream: int, dumps: Callable[[Any], bytes]) -> None: ...
    @property
    def pending(self) -> int: ...
    @property
    def pending_bytes(self) -> int: ...
    def appended(self, slot: int) -> int: ...
    def append(
        self,
        recipient: str,
        payload: object,
        attributes: Buffer = b"",
        kind: int = 0,
        keyed: bool = False,
    ) -> int: ...
    def append_at(
        self,
        slot: int,
        recipient: str,
        payload: object,
        attributes: Buffer = b"",
        kind: int = 0,
        keyed: bool = False,
    ) -> int: ...
    def extend(
        self, items: Iterable[tuple[str, object]], attributes: Buffer = b"", kind: int = 0
    ) -> bytes: ...
    def extend_cuts(
        self, body: bytes, cuts: bytes, attributes: Buffer = b"", kind: int = 0
    ) -> bytes: ...
    def take(
        self, slot: int, producer: int, producer_seq: int, created_ms: int
    ) -> bytes | None: ...
