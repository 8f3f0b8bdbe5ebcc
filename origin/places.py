"""Places: how many questions for blocks the origin works on at once.

Here lives the bound, around the routes of the trustless gateway. Not here: those routes
(origin/gateway), quotas of publishers (origin/quota), or what nodes do when they are refused (they rest, each a little
longer than it was told, and serve what they hold).

A place is held until the reader has taken all but the last piece, so what lies in memory for slow readers is bounded
too; one that takes nothing for half a minute is cut off. Content is refused first: the rest of the places is for
control blocks, for without those no node comes to the newest Head. The API needs no place: a publish that is under way
must come to its end, and the waiting requests of 10,000 nodes are idle. Precedent: boxo's gateway, which works on 4,096
at once and then says 429.
"""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from content.cid import CID
from content.errors import BadCID
from content.limits import KiB
from origin.errors import Busy

PLACES = 256  # half a GiB, were every block of the largest size and every reader slow
FOR_CONTENT = 192  # of them
PIECE = 64 * KiB  # handed to the listener at a time; it waits while more than so much is not yet taken
STALL = 30.0  # s


@dataclass(slots=True)
class Places:
    """`taken` of `most`; content gets those up to `for_content`."""

    most: int = PLACES
    for_content: int = FOR_CONTENT
    taken: int = 0

    def enter(self, control: bool) -> None:
        """Take a place; give it back with `leave`. Raises Busy."""
        if self.taken >= (self.most if control else self.for_content):
            raise Busy("too many blocks are asked for at once; ask again in a moment")
        self.taken += 1

    def leave(self) -> None:
        self.taken -= 1


@dataclass(frozen=True, slots=True)
class Placed:
    """A route of /ipfs/{cid} that needs a place while it answers. Raises Busy before the answer begins."""

    app: ASGIApp
    places: Places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def in_pieces(message: MutableMapping[str, Any]) -> None:
            body = memoryview(message.get("body", b""))
            while len(body) > PIECE:
                async with asyncio.timeout(STALL):
                    await send({**message, "body": bytes(body[:PIECE]), "more_body": True})
                body = body[PIECE:]
            async with asyncio.timeout(STALL):
                await send({**message, "body": bytes(body)} if "body" in message else message)

        self.places.enter(_is_control(scope["path_params"]["cid"]))
        try:
            await self.app(scope, receive, in_pieces)
        finally:
            self.places.leave()


def _is_control(text: str) -> bool:
    try:
        return CID.parse(text).is_control
    except BadCID:
        return False  # it will be refused, and needs no reserve
