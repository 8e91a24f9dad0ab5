"""Readable twin of ingress: what counts as plain, as regular expressions."""

from __future__ import annotations

import json
import re
import struct
from typing import Final

HEADERS_MAX: Final = 32
HEAD_BYTES_MAX: Final = 4096
TEXT_BYTES_MAX: Final = 4096
MESSAGE_BYTES_MAX: Final = 16384
#: Where the recipient and the payload of a message begin in a body, each with its size behind it.
CUT: Final = struct.Struct("=4I")

_HEADER: Final = re.compile(rb"([A-Za-z0-9-]+):[ ]*((?:[ -~]*[!-~])?)\r\n")
_LENGTH: Final = re.compile(rb"[1-9][0-9]{0,5}")
_ONLY_ONCE: Final = (
    *(b"host", b"content-type", b"content-length", b"authorization", b"idempotency-key"),
)
_NOT_PLAIN: Final = (
    *(b"transfer-encoding", b"expect", b"upgrade", b"proxy-connection", b"trailer"),
    b"x-hub-signature-256",
)

_SPACE: Final = rb"[ \t\n\r]*"
_ESCAPE: Final = (
    rb'\\(?:["\\/bfnrt]|u(?![dD][89a-fA-F])[0-9a-fA-F]{4}'
    rb"|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
)
_STRING: Final = rb'"(?:[^"\\\x00-\x1f]|' + _ESCAPE + rb')*"'
_BOOLEAN: Final = rb"true|false"
_FIELDS: Final = {
    b"to": rb'"\+?([0-9]{1,20})"',
    b"type": rb'"text"',
    b"messaging_product": rb'"whatsapp"',
    b"recipient_type": rb'"individual"',
    b"preview_url": _BOOLEAN,
}
_TEXT_FIELDS: Final = {b"body": _STRING, b"preview_url": _BOOLEAN}


def plain_head(
    data: bytes, at: int, line: bytes, body_max: int
) -> tuple[int, int, bytes | None, bytes | None] | None:
    """Read the request at `at` if it begins with `line`, is plain and all there."""
    if not data.startswith(line, at):
        return None
    start = at + len(line)
    head, end_of_head, _ = data[start : start + HEAD_BYTES_MAX].partition(b"\r\n\r\n")
    headers = _headers(head + b"\r\n")
    if not end_of_head or headers is None:
        return None
    length = int(headers[b"content-length"])
    body_at = start + len(head) + 4
    if length > body_max or body_at + length > len(data):
        return None
    authorization, key = headers.get(b"authorization"), headers.get(b"idempotency-key")
    return body_at, body_at + length, authorization, key


def _headers(lines: bytes) -> dict[bytes, bytes] | None:
    found: dict[bytes, bytes] = {}
    at = count = 0
    while at < len(lines):
        header = _HEADER.match(lines, at)
        count += 1
        if header is None or count > HEADERS_MAX:
            return None
        name, value = header[1].lower(), header[2]
        if name in _NOT_PLAIN or (name in found and name in _ONLY_ONCE):
            return None
        if name == b"connection" and value.lower() != b"keep-alive":
            return None
        found[name] = value
        at = header.end()
    plain = b"host" in found and _LENGTH.fullmatch(found.get(b"content-length", b""))
    return found if plain else None


def plain_text(message: bytes) -> str | None:
    """Return the recipient of a plain text message, in canonical form; or None."""
    at = _after_space(message, 0)
    read = _message(message, at)
    if read is None or _after_space(message, read[1]) != len(message):
        return None
    return read[0]


def plain_lines(
    body: bytes, at: int, count: int, found: list[tuple[str, bytes] | bytes]
) -> tuple[int, int]:
    """Read at most `count` lines that are not blank, from `at`; append what they hold to `found`.

    Return where the next line begins, and how many of these were not plain.
    """
    if at < 0:
        raise ValueError(f"at is {at}; expected a place in the body")
    others = 0
    while at < len(body) and count > 0:
        end = body.find(b"\n", at)
        end = len(body) if end < 0 else end
        line = body[at:end].strip()
        at = end + 1
        if line:
            read = _message(line, 0)
            is_plain = read is not None and read[1] == len(line)
            found.append((read[0], line) if read and is_plain else line)
            others += not is_plain
            count -= 1
    return min(at, len(body)), others


def cut_lines(body: bytes, at: int, count: int) -> tuple[int, bytes] | None:
    """Read at most `count` lines that are not blank, from `at`, if all are plain text messages.

    Return where the next line begins, and where each message lies (`Packer.extend_cuts`); or None.
    """
    if at < 0:
        raise ValueError(f"at is {at}; expected a place in the body")
    cuts = b""
    while at < len(body) and count > 0:
        end = body.find(b"\n", at)
        end = len(body) if end < 0 else end
        start = end - len(body[at:end].lstrip())
        line = body[start:end].strip()
        at = end + 1
        if line:
            if (cut := _cut(body, start)) is None or _end_of(cut) != start + len(line):
                return None
            cuts += cut
            count -= 1
    return min(at, len(body)), cuts


def cut_array(body: bytes, count: int) -> bytes | None:
    """Return where each element of a JSON array of plain text messages lies; or None."""
    at, mark, cuts = _after_space(body, 0), b"[", b""
    while body[at : at + 1] == mark:
        cut = _cut(body, _after_space(body, at + 1))
        if cut is None:
            return None
        cuts += cut
        if len(cuts) == count * CUT.size:
            return cuts
        at, mark = _after_space(body, _end_of(cut)), b","
    if not cuts or body[at : at + 1] != b"]" or _after_space(body, at + 1) != len(body):
        return None
    return cuts


def _cut(body: bytes, at: int) -> bytes | None:
    """Return where the plain text message at `at` lies."""
    read = _message(body, at)
    if read is None:
        return None
    # A quote inside a string is escaped, so this can only be the field.
    recipient = re.compile(rb'"to"' + _SPACE + rb":" + _SPACE + rb'"\+?').search(body, at)
    return CUT.pack(recipient.end(), len(read[0]), at, read[1] - at) if recipient else None


def _end_of(cut: bytes) -> int:
    _, _, start, size = CUT.unpack(cut)
    return int(start + size)


def array_elements(body: bytes) -> list[bytes]:
    """Return the elements of a JSON array as they are written; the array must be valid."""
    text, found = body.decode(), []
    decoder = json.JSONDecoder()
    at = _skip(text, 0)
    while at < len(text) and text[at] in "[,":
        start = _skip(text, at + 1)
        if text[start] == "]":
            break
        _, end = decoder.raw_decode(text, start)
        found.append(text[start:end].encode())
        at = _skip(text, end)
    return found


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\n\r":
        at += 1
    return at


def _after_space(data: bytes, at: int) -> int:
    match = re.compile(_SPACE).match(data, at)
    return at if match is None else match.end()


def _message(data: bytes, at: int) -> tuple[str, int] | None:
    """Return the recipient of the message at `at`, and where it ends."""
    found: dict[bytes, bytes] = {}
    end = _object(data, at, found)
    if end is None or b"to" not in found or b"text" not in found:
        return None
    if end - at > MESSAGE_BYTES_MAX:
        return None
    return found[b"to"].decode(), end


def _object(data: bytes, at: int, found: dict[bytes, bytes]) -> int | None:
    """Read a message's fields into `found`; return where it ends."""
    mark = b"{"
    while data[at : at + 1] == mark:
        name, value_at = _name(data, _after_space(data, at + 1))
        if name in found:
            return None
        if name == b"text":
            end, found[name] = _text(data, value_at), b""
        else:
            match = re.compile(_FIELDS.get(name, rb"(?!)")).match(data, value_at)
            end = match.end() if match else None
            found[name] = match[1] if match and match.re.groups else b""
        if end is None:
            return None
        at, mark = _after_space(data, end), b","
    return at + 1 if found and data[at : at + 1] == b"}" else None


def _text(data: bytes, at: int) -> int | None:
    seen: set[bytes] = set()
    mark = b"{"
    while data[at : at + 1] == mark:
        name, value_at = _name(data, _after_space(data, at + 1))
        match = re.compile(_TEXT_FIELDS.get(name, rb"(?!)")).match(data, value_at)
        if name in seen or match is None or (name == b"body" and not _is_body(match[0][1:-1])):
            return None
        seen.add(name)
        at, mark = _after_space(data, match.end()), b","
    return at + 1 if b"body" in seen and data[at : at + 1] == b"}" else None


def _is_body(text: bytes) -> bool:
    try:
        return 0 < len(text) <= TEXT_BYTES_MAX and bool(text.decode())
    except UnicodeDecodeError:
        return False


def _name(data: bytes, at: int) -> tuple[bytes, int]:
    """Return a field's name and where its value begins; no name where there is none."""
    match = re.compile(rb'"([a-z_]+)"' + _SPACE + rb":" + _SPACE).match(data, at)
    return (match[1], match.end()) if match else (b"", at)
