"""Access: which roots a gateway shows, to anybody.

Here lives the rule of the mode. `pinned`: what a public release or an explicit pin reaches, which the origin knows; the
live Roots that this edge serves anyway need no question. `open`: whatever can be had. Not here: how the origin is asked
(edge/control/public), denials (edge/denials), nor control blocks, which are in no mode shown
(edge/gateway/reader).

What was allowed is asked again after half a minute, and ready answers are let go of as often (edge/assembly): so an
unpin is known everywhere within a minute. While the origin is away the last good answer stands. Only the root of a
request is asked about: what a shown root reaches is shown. But an identity CID, which anybody can write to lead
anywhere, shows itself and no more.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection

from content.cid import CID, IDENTITY
from edge.cache.flight import Flight, Verdict
from edge.gateway.mode import Mode

SHOWN_FOR = 30.0  # s that a yes is believed; a ready answer of it may then stand for as long once more
HIDDEN_FOR = 5.0  # s that a no is: what has just been pinned is there soon
ASKED_MAX = 64  # questions to the origin at a time: who makes up CIDs waits for others of his kind
KNOWN_MAX = 65_536  # roots of which it is remembered, each way together: some 15 MB


class CannotTell(Verdict):
    """The origin could not be asked."""


class Access:
    """The roots of one edge's gateway."""

    def __init__(
        self,
        mode: Mode,
        live: Callable[[], Collection[CID]],
        ask: Callable[[CID], Awaitable[bool]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`live`: the Roots that sites show now. `ask`: the origin's answer; raises CannotTell."""
        self._mode = mode
        self._live = live
        self._ask = ask
        self._clock = clock
        self._known: OrderedDict[CID, tuple[bool, float]] = OrderedDict()
        self._flight: Flight[CID, bool] = Flight()
        self._places = asyncio.Semaphore(ASKED_MAX)

    @property
    def changes(self) -> bool:
        """Whether what is shown now may not be shown later."""
        return self._mode is Mode.PINNED

    def leads_on(self, root: CID) -> bool:
        """Whether a root that is shown stands for what it links to as well."""
        return self._mode is Mode.OPEN or root.hash_code != IDENTITY

    async def shows(self, root: CID) -> bool:
        """Whether this root may be shown. Raises CannotTell where that was never known."""
        if self._mode is Mode.OPEN or root.hash_code == IDENTITY:  # the bytes are in the name
            return True
        root = root.v1
        if root in self._live():
            return True
        known = self._known.get(root)
        if known is not None and self._clock() < known[1]:
            return known[0]
        try:
            return await self._flight.run(root, lambda: self._look(root))
        except CannotTell:
            if known is not None and known[0]:
                return True
            raise

    async def _look(self, root: CID) -> bool:
        async with self._places:
            shown = await self._ask(root)
        self._known[root] = (shown, self._clock() + (SHOWN_FOR if shown else HIDDEN_FOR))
        self._known.move_to_end(root)
        while len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        return shown

    async def close(self) -> None:
        """End the questions under way."""
        await self._flight.close()

    def __repr__(self) -> str:
        return f"<Access {self._mode}, {len(self._known)} roots known>"
