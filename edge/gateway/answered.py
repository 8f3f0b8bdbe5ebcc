"""Answered: what all answers of the gateway are made with.

Here live what an answer works with (reader, what is shown, the request), and the two ways to say something: bytes that
are at hand, and a page that is made only if it is wanted. Not here: files, which are streamed (edge/gateway/files).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from content.block import Block
from content.cid import CID
from content.paths import Place as Found
from content.release import Asset
from edge.bodies import cut
from edge.gateway.headers import OWN_PAGE, Fields, Shown, lines
from edge.gateway.reader import Reader
from edge.gateway.wanted import Wanted
from edge.http import conditions
from edge.http.answer import Answer, Asking
from edge.http.fields import NOSNIFF
from edge.http.outcome import Outcome
from edge.replies import Reply

HTML = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Case:
    """One request on its way to an answer."""

    wanted: Wanted
    asking: Asking
    reader: Reader
    found: Found
    shown: Shown

    @property
    def cid(self) -> CID:
        return self.found.cid

    def bytes_of(self, block: Block, media_type: str, tag: str, fields: Fields) -> Reply:
        """A block's own bytes, whole or in parts."""
        asset = Asset(block.cid, len(block.data), "", media_type)
        control = self.shown.fresh()
        answer = Answer(asset, tag=tag, control=control, fields=(*self.shown.fields(), *fields))
        choice = answer.choose(self.asking)
        return Reply(choice.status, choice.head, self.reader.outcome, cut(choice, block.data))

    def page(self, tag: str, make: Callable[[], str], fields: Fields = ()) -> Reply:
        """A page of ours, made if the client has not got it."""
        control = self.shown.fresh(generated=True)
        common = (*(("Cache-Control", control),) * bool(control), *self.shown.fields(), *fields)
        return generated(self.asking, tag, common, make, self.reader.outcome)


def has(asking: Asking, tag: str) -> bool:
    """Whether the client says that it has what is tagged so."""
    return asking.if_none_match is not None and conditions.none_match(asking.if_none_match, f'"{tag}"'.encode())


def generated(asking: Asking, tag: str, fields: Fields, make: Callable[[], str], outcome: Outcome) -> Reply:
    """HTML that this edge writes."""
    head = lines((("ETag", f'"{tag}"'), *fields, ("Content-Security-Policy", OWN_PAGE))) + NOSNIFF
    if has(asking, tag):
        return Reply(304, head, outcome)
    body = make().encode()
    return Reply(200, lines((("Content-Type", HTML), ("Content-Length", str(len(body))))) + head, outcome, body)


def redirect(status: int, location: str, fields: Fields = ()) -> Reply:
    """It is to be asked for elsewhere. `location`: a URL reference, escaped."""
    head = lines((("Location", location), ("Content-Length", "0"), *fields)) + NOSNIFF
    return Reply(status, head, Outcome.HIT)
