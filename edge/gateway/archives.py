"""Archives: many blocks as one stream, made while it is sent.

Here live the header of such an answer, and its beginning: what cannot be had at once is a status. What breaks later is
cut, for a stream that ended early would look whole. Not here: what is in it (edge/gateway/cars, tars).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from content.errors import ContentError
from edge.gateway.answered import Case, has
from edge.gateway.headers import Fields, lines
from edge.gateway.reader import NotHeld
from edge.http.fields import NOSNIFF
from edge.replies import Reply

Pieces = AsyncGenerator[bytes, None]


class Cut(ContentError):
    """A stream that may not go on."""


async def archive(case: Case, media_type: str, tag: str, name: Fields, begin: Callable[[], Pieces]) -> Reply:
    """The answer, its first piece at hand. `tag` is weak: order and framing are ours, and another version of us might
    choose others. Its length is not known, so ranges of it are not to be had."""
    control = case.shown.fresh()
    fields = (*(("Cache-Control", control),) * bool(control), ("Accept-Ranges", "none"), *case.shown.fields(), *name)
    head = lines((("ETag", f'W/"{tag}"'), *fields)) + NOSNIFF
    if has(case.asking, tag):
        return Reply(304, head, case.reader.outcome)
    head = lines((("Content-Type", media_type),)) + head
    if case.asking.method == "HEAD":
        return Reply(200, head, case.reader.outcome)
    pieces = begin()
    first = await anext(pieces)
    return Reply(200, head, case.reader.outcome, _chain(first, pieces))


async def _chain(first: bytes, rest: Pieces) -> Pieces:
    async with aclosing(rest):
        yield first
        try:
            async for piece in rest:
                yield piece
        except NotHeld as error:
            raise Cut(str(error)) from error
