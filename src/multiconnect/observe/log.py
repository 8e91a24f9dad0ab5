"""Logs of the servers: JSON lines, no secrets, no whole phone numbers (invariant 17).

The library only ever calls `logging.getLogger("multiconnect…")`; nothing is configured on import.
`configure_logging` is for processes that are ours alone. Log lifecycle and decisions, never one
line per message.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import re
import sys
import time
from pathlib import Path
from typing import Final

LOG_FILE_BYTES_MAX: Final = 8 * 1024 * 1024
LOG_FILES_KEPT: Final = 3

#: A phone number in running text: digits, perhaps behind a plus, that are no part of a word.
_PHONE = re.compile(r"(?<![\w.-])\+?\d{9,15}(?![\w-])")
#: A business-scoped user id.
_USER_ID = re.compile(r"\b([A-Z]{2})\.(\d{6,})\b")
_TOKEN = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}")
_URL_PASSWORD = re.compile(r"(\w+://[^\s:/@]+):[^\s@/]+@")
_PLAIN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

logging.getLogger("multiconnect").addHandler(logging.NullHandler())


def mask(recipient: str) -> str:
    """Return a recipient as logs may show it: "16315550000" → "16******000"."""
    shown_head, shown_tail = (2, 3) if len(recipient) >= 9 else (1, 1)
    hidden = len(recipient) - shown_head - shown_tail
    if hidden < 2:
        return "*" * len(recipient)
    return recipient[:shown_head] + "*" * hidden + recipient[-shown_tail:]


def redact(text: str) -> str:
    """Return `text` with what looks like a phone number, user id, token or password masked."""
    text = _URL_PASSWORD.sub(r"\1:***@", text)
    text = _TOKEN.sub(r"\1 ***", text)
    text = _USER_ID.sub(lambda found: f"{found[1]}.{mask(found[2])}", text)
    return _PHONE.sub(lambda found: mask(found[0]), text)


class JsonLines(logging.Formatter):
    """One JSON object per record; `extra=` fields become fields of the object."""

    def __init__(self, process: str = "") -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        line: dict[str, object] = {
            "at": _iso(record.created),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "event": redact(record.getMessage()),
        }
        for key, value in record.__dict__.items():
            if key not in _PLAIN:
                line[key] = redact(value) if isinstance(value, str) else value
        if record.exc_info:
            line["error"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, default=lambda value: redact(str(value)), ensure_ascii=False)


def configure_logging(level: str = "info", *, file: str = "", process: str = "") -> None:
    """Send this process's "multiconnect" logs to `file` (rotated) or stderr, as JSON lines."""
    handler: logging.Handler
    if file:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        handler = logging.handlers.RotatingFileHandler(
            file, maxBytes=LOG_FILE_BYTES_MAX, backupCount=LOG_FILES_KEPT, encoding="utf-8"
        )
    else:
        handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(process))
    logger = logging.getLogger("multiconnect")
    for old in logger.handlers[:]:
        logger.removeHandler(old)
        old.close()
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False
    # Warnings of asyncio ("task exception was never retrieved") must not vanish on a server.
    logging.getLogger("asyncio").handlers[:] = [handler]


def _iso(seconds: float) -> str:
    return (
        time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1e3):03d}Z"
    )
