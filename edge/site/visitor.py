"""Visitor: what a site keeps in a visitor's browser, and what follows from it for this request.

Here live the three cookies and their reading. Not here: what a path means to the visit (edge/site/view), passwords
(edge/guard), sending (edge/app). Only a site that asks for one of these has personal answers at all:

`rim_visitor`  during a rollout: a random name. Its hash decides, so all edges agree, and who was in at 10 % is at 50 %.
`rim_release`  where tabs are pinned: the release of the last document. The request field Rim-Release counts before it,
               for a cookie is shared by all tabs. Where a site has a service worker the field alone counts: the worker
               sends it with what it fetches for a tab.
`rim_cleared`  after `purge --browsers`: the last clearing this browser was asked for, so that it is asked once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from content.catalog import WHOLE
from content.cid import CID
from content.errors import BadCID
from edge.site.view import Found, SiteView, Visit

VISITOR, RELEASE, CLEARED = "rim_visitor", "rim_release", "rim_cleared"
RELEASE_FIELD = b"rim-release"
_NAME = re.compile(r"[A-Za-z0-9_-]{8,64}\Z")
_COMMON = "; Path=/; SameSite=Lax"
_MONTH, _YEAR = 30 * 86_400, 365 * 86_400


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks, as far as the view wants to know."""

    view: SiteView
    visit: Visit
    name: str = ""  # given to a visitor who came without, to be told in the answer
    clears: int | None = None  # the clearing that this browser has not been asked for yet

    def vary(self) -> tuple[str, ...]:
        """The request fields that choose among personal answers."""
        if self.view.alias:
            return ("Authorization",)
        return ("Cookie", "Rim-Release") if self.view.pins or self.view.has_worker else ("Cookie",)

    def shared_vary(self, found: Found, fields: Sequence[tuple[str, str | None]]) -> tuple[str, ...]:
        """The request fields that an answer for everybody must name. `fields`: what the site's rules set in it. A
        service worker asks for the files of its own release, so a cache in front that a rule lets answer by itself must
        look at Rim-Release. By default it asks the edge each time, and learns there that the bytes are others: then
        Vary would cost a place in the caches that take none, for nothing."""
        free = any(name.lower().endswith("cache-control") and value is not None for name, value in fields)
        return ("Rim-Release",) if free and self.view.has_worker and not found.immutable else ()

    @property
    def has_own_paths(self) -> bool:
        """Whether what a path means depends on the visitor."""
        protected = self.view.terms is not None and self.view.terms.password is not None
        pinned = self.view.pins or self.visit.release is not None
        return protected or self.view.rollout is not None or pinned

    def is_personal(self, found: Found, now: float) -> bool:
        """Whether another visitor may get something else under this path. What is immutable is the same for all."""
        if found.immutable and not self.view.alias:
            return False
        if self.has_own_paths:
            return True
        return self.view.clears_browsers(now) and _is_page(found)

    def lines(self, found: Found | None) -> bytes:
        """Header lines to add to a personal answer (None: a redirect), each ended by CRLF. A redirect gives a name too:
        without one, two releases that lead to each other's addresses could send a visitor to and fro."""
        told: list[str] = []
        if self.name:
            told.append(f"set-cookie: {VISITOR}={self.name}{_COMMON}; HttpOnly; Max-Age={_MONTH}")
        if found is None:
            return "".join(f"{line}\r\n" for line in told).encode("latin-1")
        if self.visit.navigation and self.view.pins and found.status == 200:
            release = self._answered()
            told.append(f"set-cookie: {RELEASE}={release}{_COMMON}")
            told.append(f'server-timing: rim-release;desc="{release}"')
        if self.clears is not None and self.visit.navigation and _is_page(found):
            told.append('clear-site-data: "cache"')
            told.append(f"set-cookie: {CLEARED}={self.clears}{_COMMON}; HttpOnly; Max-Age={_YEAR}")
        return "".join(f"{line}\r\n" for line in told).encode("latin-1")

    def _answered(self) -> CID:
        """The release of the document that this visitor gets."""
        published = self.view.rollout if self.visit.trial and self.view.rollout is not None else self.view.live
        assert published is not None
        return published.cid


def receive(
    view: SiteView, visit: Visit, fields: Mapping[bytes, bytes], now: float, new_name: Callable[[], str]
) -> Visitor:
    """The visitor of this request. A visitor without a name gets one with a document, not with what belongs to it."""
    field = fields.get(RELEASE_FIELD, b"").decode("latin-1") if view.pins or view.has_worker else ""
    if view.rollout is None and not view.pins and not view.clears_browsers(now) and not field:
        return Visitor(view, visit)
    cookies = _cookies(fields.get(b"cookie", b""))
    name, given = cookies.get(VISITOR, ""), ""
    if view.rollout is not None and not _NAME.match(name):
        name = given = new_name() if visit.navigation else ""
    pinned = cid_of(field or (cookies.get(RELEASE, "") if view.pins else ""))
    if not view.pins and view.rollout is None and view.live is not None and pinned == view.live.cid:
        pinned = None  # what everybody gets: the answer is for all, as it would be without the field
    clears = None
    if view.clears_browsers(now) and view.site.browsers is not None:
        generation = view.site.browsers[0]
        clears = None if cookies.get(CLEARED) == str(generation) else generation
    visit = Visit(visit.navigation, visit.query, visit.host, pinned, bool(name) and gets_trial(view, name))
    return Visitor(view, visit, given, clears)


def gets_trial(view: SiteView, name: str) -> bool:
    """Whether this visitor is in the share. By the release too, or the same tenth would meet every rollout."""
    if view.site.rollout is None:
        return False
    digest = sha256(view.site.rollout.item.release.digest + name.encode()).digest()
    return int.from_bytes(digest[:8], "big") * WHOLE >> 64 < view.site.rollout.share


def _is_page(found: Found) -> bool:
    return found.status == 200 and found.asset.media_type.startswith("text/html")


def _cookies(raw: bytes) -> dict[str, str]:
    """name → value (RFC 6265 §5.4); of a name sent twice the first counts."""
    found: dict[str, str] = {}
    for pair in raw.decode("latin-1").split(";")[:100]:
        name, _, value = pair.strip().partition("=")
        found.setdefault(name, value.strip('"'))
    return found


def cid_of(text: str) -> CID | None:
    """The release that a visitor names; None where it is no CID."""
    try:
        return CID.parse(text) if text else None
    except BadCID:
        return None
