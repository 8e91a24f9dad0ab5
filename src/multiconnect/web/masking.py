"""How values of a request may be shown to people: shortened, escaped, phone numbers masked.

Invariant 17: nothing that leaves here holds a whole phone number, and the value of a secret field
is never shown at all.
"""

from __future__ import annotations

import re
from typing import Final

SHOWN_CHARS_MAX: Final = 48
SECRET_FIELDS: Final = frozenset({"pin", "cert", "password", "new_password", "token"})

#: Seven digits or more, as people and machines write numbers.
_NUMBER = re.compile(r"\+?\d(?:[\s().-]{0,3}\d){6,}")


def mask_phone(number: str) -> str:
    """Return "+16*****00" for "16315550000": the first two and the last two digits."""
    digits = "".join(filter(str.isdigit, number))
    return f"+{digits[:2]}*****{digits[-2:]}" if len(digits) >= 7 else "*****"


def masked(text: str) -> str:
    """Return `text` with everything in it that may be a phone number masked."""
    return _NUMBER.sub(lambda found: mask_phone(found[0]), text)


def shown(value: object, field: str = "") -> str:
    """Return a value as an error may show it: at most `SHOWN_CHARS_MAX` characters of it."""
    if field.rpartition(".")[2] in SECRET_FIELDS:
        return "not shown"
    if isinstance(value, str):
        # Cut first: a masked number must not come back by being cut, and escapes must stay whole.
        short = masked(value[: 4 * SHOWN_CHARS_MAX])
        cut = len(short) > SHOWN_CHARS_MAX or len(value) > 4 * SHOWN_CHARS_MAX
        return ascii(short[:SHOWN_CHARS_MAX]) + ("…" if cut else "")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return masked(str(value)[:SHOWN_CHARS_MAX])
    if value is None:
        return "null"
    return f"an object of {len(value)}" if isinstance(value, dict) else _of_a_list(value)


def _of_a_list(value: object) -> str:
    return f"a list of {len(value)}" if isinstance(value, list) else type(value).__name__
