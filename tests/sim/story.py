"""The history of a run, told line by line: when, who, what. Silent unless somebody listens."""

import logging
from collections.abc import Callable
from typing import Any

from tests.sim.process import CURRENT


class Story:
    """Lines as they happen; `digest` stands for all of them when nobody listens."""

    def __init__(self, now_s: Callable[[], float], tell: Callable[[str], None] | None) -> None:
        self._now_s = now_s
        self._tell = tell
        #: Folded over everything that was said: two runs are the same if these are.
        self.digest = 0

    @property
    def is_told(self) -> bool:
        return self._tell is not None

    def say(self, actor: object, text: str, *details: object) -> None:
        """Add a line; `details` are filled into the text only when somebody listens."""
        self.digest = (self.digest * 1_000_003 + round(self._now_s() * 1e9)) & 0xFFFFFFFFFFFFFFFF
        self.overhear(actor, text, *details)

    def overhear(self, actor: object, text: str, *details: object) -> None:
        """Add a line that is not folded into the digest."""
        if self._tell is not None:
            line = text % details if details else text
            self._tell(f"{self._now_s():9.4f} s  {actor!s:<16} {line}")


class StoryLog(logging.Handler):
    """Puts what the product logs into the story, under the name of the process that says it."""

    def __init__(self, story: Story) -> None:
        super().__init__(logging.INFO)
        self._story = story

    def emit(self, record: logging.LogRecord) -> None:
        process: Any = CURRENT.get()
        extra = {k: v for k, v in vars(record).items() if k not in _PLAIN}
        text = record.getMessage() + "".join(f" {k}={v}" for k, v in extra.items())
        if record.exc_info and record.exc_info[1] is not None:
            text += f" ({type(record.exc_info[1]).__name__}: {record.exc_info[1]})"
        self._story.overhear(process.incarnation if process else "", "%s", text)


_PLAIN = {*vars(logging.makeLogRecord({})), "message", "asctime"}
