"""What the connector and the simulator must agree on.

A *business-scoped user id* names a WhatsApp user without a visible phone number: two capital
letters of a country, a dot, letters and digits; an id shared by linked portfolios has `ENT.` in
between. It travels in the field `recipient`: put into `to`, Meta answers 200 and delivers nothing.
"""

from __future__ import annotations

import re

#: Sent with the value 1 when an earlier attempt may have arrived; Meta ignores it, the simulator
#: counts duplicates without it apart (invariant 6).
DUPLICATE_HEADER = "X-Multiconnect-Possible-Duplicate"

_BSUID = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")


def is_bsuid(recipient: str) -> bool:
    """Tell whether `recipient` is a business-scoped user id."""
    return _BSUID.fullmatch(recipient) is not None
