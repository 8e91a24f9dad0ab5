"""Which message ids have been seen, in one bit each. Pure and bounded.

Our ids name a place (cluster, stream, slot) and a dense sequence, so a page of bits per 4,096
neighbours remembers hundreds of millions of them. Ids of other clients are kept as text, fewer.
Beyond the bounds the oldest pages and texts are forgotten, and `forgotten` says so.
"""

from __future__ import annotations

from collections import OrderedDict

from multiconnect.limits import (
    SIMULATOR_FOREIGN_IDS_MAX,
    SIMULATOR_SEEN_PAGE_IDS,
    SIMULATOR_SEEN_PAGES_MAX,
)
from multiconnect.model.message_id import MessageAddress


class SeenIds:
    """A set of message ids; `add_*` return True when the id is new."""

    def __init__(
        self,
        pages_max: int = SIMULATOR_SEEN_PAGES_MAX,
        foreign_max: int = SIMULATOR_FOREIGN_IDS_MAX,
    ) -> None:
        # Ordered: a plain dict finds its first key in time that grows with what was removed.
        self._pages: OrderedDict[tuple[int, int, int, int], bytearray] = OrderedDict()
        self._foreign: OrderedDict[str, None] = OrderedDict()
        self._pages_max = pages_max
        self._foreign_max = foreign_max
        #: Pages and texts forgotten for lack of room; 0 means that every answer was exact.
        self.forgotten = 0

    def add_address(self, address: MessageAddress) -> bool:
        """Remember one of our ids."""
        cluster, stream, slot, sequence = address
        number, bit = divmod(sequence, SIMULATOR_SEEN_PAGE_IDS)
        page = self._page((cluster, stream, slot, number))
        mask = 1 << (bit & 7)
        if page[bit >> 3] & mask:
            return False
        page[bit >> 3] |= mask
        return True

    def add_foreign(self, text: str) -> bool:
        """Remember an id that is not one of ours."""
        if text in self._foreign:
            return False
        self._foreign[text] = None
        if len(self._foreign) > self._foreign_max:
            self._foreign.popitem(last=False)
            self.forgotten += 1
        return True

    def _page(self, key: tuple[int, int, int, int]) -> bytearray:
        page = self._pages.get(key)
        if page is None:
            page = self._pages[key] = bytearray(SIMULATOR_SEEN_PAGE_IDS // 8)
            if len(self._pages) > self._pages_max:
                self._pages.popitem(last=False)
                self.forgotten += 1
        return page
