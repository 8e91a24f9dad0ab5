"""What the contract tests stand on: stores that share data, a clock they set, small builders."""

import tempfile
from pathlib import Path

from multiconnect.clock import Clock
from multiconnect.model.cluster import Move, Node, NodeState, Role
from multiconnect.model.log import Answer, Append, KeyRow, LogWrite, Progress
from multiconnect.model.message import State, Stream
from multiconnect.store.memory import MemoryStates
from multiconnect.store.open import open_store
from multiconnect.store.port import LogStore, Store

OUT, IN = Stream.OUTBOUND, Stream.INBOUND
START_MS = 1_700_000_000_000
SENT, HELD = bytes([State.SENT]), bytes([State.HELD])


class SetClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now_ms = START_MS

    def monotonic(self) -> float:
        return self.now_ms / 1000

    def wall_ms(self) -> int:
        return self.now_ms

    def advance(self, seconds: float) -> None:
        self.now_ms += int(seconds * 1000)


class Stores:
    """One store of some kind; each `open` is a handle on it, as another process would have."""

    def __init__(self, kind: str, folder: Path, url: str | None = None) -> None:
        self.kind = kind
        self.clock = SetClock()
        in_files = f"sqlite:///{folder}/cluster/mc.db"
        urls = {"memory": "memory://shared", "sqlite": in_files, "segments": in_files}
        self.url = url or urls[kind]
        self._memories = MemoryStates(self.clock)
        self._opened: list[Store] = []

    async def open(self, clock: Clock | None = None) -> Store:
        store = await open_store(self.url, clock=clock or self.clock, memories=self._memories)
        self._opened.append(store)
        return store

    async def aclose(self) -> None:
        for store in self._opened:
            await store.aclose()


class Cluster:
    """A store with nodes a, b, c and a Master of term 1, and short words for what tests do."""

    def __init__(self, stores: Stores, store: Store) -> None:
        self.stores = stores
        self.clock = stores.clock
        self.store = store
        self.control = store.control
        self.term = 1
        self._logs: dict[str, LogStore] = {}

    @classmethod
    async def start(cls, stores: Stores) -> "Cluster":
        store = await stores.open()
        for name in ("a", "b", "c", "master"):
            assert await store.control.join(node(name))
        assert await store.control.take_term("master", 0) == 1
        return cls(stores, store)

    async def log(self, name: str) -> LogStore:
        if name not in self._logs:
            self._logs[name] = await self.store.log(name)
        return self._logs[name]

    async def epoch(self, slot: int) -> int:
        return (await self.control.snapshot()).slots[slot].epoch

    async def own(self, name: str, *slots: int) -> dict[int, int]:
        """Grant slots to a node whatever it takes, let it open them; return their epochs."""
        rows = (await self.control.snapshot()).slots
        moves = [Move(s, rows[s].epoch, rows[s].owner, name) for s in slots]
        for move in moves:
            if move.old_owner is not None:
                await self.control.start_drain(move.slot, move.epoch, name, self.term)
                await self.control.report_drained(move.slot, move.epoch, move.old_owner)
        assert await self.control.assign(moves, self.term, "test")
        log = await self.log(name)
        for move in moves:
            assert await log.open_slot(move.slot, move.epoch + 1) is not None
        return {move.slot: move.epoch + 1 for move in moves}

    async def append(self, name: str, *appends: Append, **rest: tuple[object, ...]) -> None:
        """Commit appends (and more) under the epochs in force; every slot must take them."""
        rows = (await self.control.snapshot()).slots
        kinds = [appends, *rest.values()]
        epochs = {row.slot: rows[row.slot].epoch for kind in kinds for row in kind}  # type: ignore[attr-defined]
        log = await self.log(name)
        write = LogWrite(epochs, appends, **rest)  # type: ignore[arg-type]
        assert await log.commit(write) == frozenset()


def node(incarnation: str, **fields: object) -> Node:
    values: dict[str, object] = {
        "incarnation": incarnation, "name": incarnation, "role": Role.COREAPP,
        "host": "here", "pid": 7, "address": f"unix:/{incarnation}",
        "generation": 0, "state": NodeState.JOINING,
    }  # fmt: skip
    return Node(**(values | fields))  # type: ignore[arg-type]


def append(slot: int, base: int, count: int = 4, **fields: object) -> Append:
    values: dict[str, object] = {
        "stream": OUT, "slot": slot, "base_seq": base, "count": count, "producer": 9,
        "answers": (Answer(base, base),), "accepted_at_ms": START_MS,
        "body": f"{slot}:{base}:{count}".encode(),
    }  # fmt: skip
    return Append(**(values | fields))  # type: ignore[arg-type]


def progress(slot: int, base: int, states: bytes, *, settled: bool, **fields: object) -> Progress:
    values: dict[str, object] = {"stream": OUT, "at_ms": START_MS}
    return Progress(slot=slot, base_seq=base, states=states, settled=settled, **(values | fields))  # type: ignore[arg-type]


def key_row(name: str, sequence: int, at_ms: int = START_MS) -> KeyRow:
    return KeyRow(name.encode().ljust(16, b"."), sequence, b"hash of the body", at_ms)


def new_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="multiconnect-"))
