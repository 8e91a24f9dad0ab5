"""Text from outside, made fit for a database that knows no U+0000 and no lone surrogates."""

from __future__ import annotations


def storable(text: str) -> str:
    """Return `text` with what PostgreSQL cannot hold replaced; it is for people to read."""
    if text.isascii() and "\0" not in text:
        return text
    whole = text.encode("utf-8", "replace").decode()
    return whole.replace("\0", "\ufffd")
