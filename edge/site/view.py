"""SiteView: one site, or one preview of it, as this edge serves it, and what each of its paths means.

Here lives the meaning of a path: which release is looked at, its rules, its files, what other releases lend, the shell,
the page for what is missing. Pure: lookups are walks over Index nodes, whoever drives them brings the blocks.
Not here: files and addresses within a release (edge/site/files), which host means which view (edge/site/router), who
visits (edge/site/visitor), reading the request (edge/http), fetching (edge/cache).

A view never changes. A deploy, a rollback or a purge is another view, and its key is part of the key of every ready
answer: so all old ones are out of reach at once, in O(1).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import TypeAlias

from content.asking import ask
from content.catalog import Alias, Retained, Site
from content.cid import CID
from content.denylists import NONE, Denylists, Refusal
from content.errors import ContentError
from content.paths import follow
from content.redirects import Redirected
from content.release import Asset, Release
from content.walk import Walk
from edge.http.target import quoted
from edge.site import files
from edge.site.rules import NEVER_FILES, SHELL, Tables

_BROWSERS_DAYS = 30  # after `purge --browsers`: who comes back later than that has most likely lost the copy anyway
_DAY = 86_400
_PINNED = 32  # old releases whose rules stay compiled: it takes 0.1 s for 2,000 of them, and anybody may ask for one


class Reason(StrEnum):
    """Why there is nothing under a path; the value of Rim-Reason."""

    NO_SUCH_PATH = "no-such-path"  # no release that may answer has it
    NOT_A_NAVIGATION = "not-a-navigation"  # a page would stand in for it, but this asks for a script, a style, data
    PURGED = "purged"  # it is there, from before a purge
    NO_TARGET = "no-target"  # a rule leads to a file that is not there
    NOTHING_LIVE = "nothing-live"  # nothing is published here yet


class Lender(StrEnum):
    """Which release an answer is from."""

    LIVE = "live"
    ROLLOUT = "rollout"
    PINNED = "pinned"
    PREVIEW = "preview"
    NEXT = "next"
    ATTIC = "attic"
    BEFORE = "before"


@dataclass(frozen=True, slots=True)
class Found:
    """An asset answers. `immutable`: its bytes never change under this path. `is_shell`: it stands in for a page.
    `why` is for people; `reason` is set where the status is 404. `path`: where the file lies; `root`: in which tree,
    as far as that is known."""

    asset: Asset
    immutable: bool = False
    status: int = 200
    is_shell: bool = False
    lender: Lender = Lender.LIVE
    why: str = "a published file"
    reason: Reason | None = None
    path: str = ""
    root: CID | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    """It is to be asked for elsewhere. `location` is a URL reference, the request's query carried on."""

    location: str
    status: int = 308
    why: str = "a folder is asked for with its slash"


@dataclass(frozen=True, slots=True)
class Missing:
    """The site has no such path, and no page to say so."""

    reason: Reason = Reason.NO_SUCH_PATH


@dataclass(frozen=True, slots=True)
class Refused:
    """It may be there, and is denied."""

    refusal: Refusal


Meaning: TypeAlias = Found | Moved | Missing | Refused


@dataclass(frozen=True, slots=True)
class Visit:
    """What of a request may change the meaning of its path. `release`: the one its tab began with, where it says so.
    `trial`: this visitor is among those who get what is rolled out."""

    navigation: bool = False
    query: bytes = b""
    host: str = ""
    release: CID | None = None
    trial: bool = False


PLAIN = Visit()


@dataclass(frozen=True)
class Published:
    """A release as a view holds it. `generation` is the one it was staged in."""

    cid: CID
    release: Release
    generation: int = 0

    @cached_property
    def tables(self) -> Tables:
        """Its rules, compiled when they are first asked. Raises BadNode."""
        return Tables.of(self.release.rules)


@dataclass(frozen=True, slots=True)
class _Base:
    """The release that a request is answered from."""

    published: Published
    lender: Lender

    @property
    def index(self) -> CID:
        return self.published.release.index

    @property
    def root(self) -> CID:
        return self.published.release.root


@dataclass(frozen=True)
class SiteView:
    """One site at one generation; with `alias`, its preview of that name (then `live` is what the preview shows)."""

    epoch: CID
    site: Site
    live: Published | None = None
    next: Published | None = None
    rollout: Published | None = None
    alias: str = ""
    terms: Alias | None = None
    lent: tuple[tuple[Lender, Published], ...] = ()  # to a preview: the site's live, what it showed before
    denials: Denylists = NONE
    names: tuple[str, ...] = ()  # those of its names of which some path is denied
    refused: Refusal | None = None  # the name that it is asked under is denied, and so is all of it

    @cached_property
    def key(self) -> bytes:
        """Of this view among all that ever were: whose it is, then at which epoch, and what is denied."""
        return self.family + self.epoch.digest + self.denials.mark + b"!" * (self.refused is not None)

    @cached_property
    def family(self) -> bytes:
        """What the keys of all views of this site, or of this preview, begin with. No name holds a slash."""
        return f"{self.alias}/{self.site.name}/".encode()

    @cached_property
    def is_plain(self) -> bool:
        """Whether path alone means the same for every host and query, so that the hot path may look no further."""
        try:
            tables = [published.tables for published in (self.live, self.rollout) if published is not None]
        except ContentError:
            return True  # no answer is ever made of it
        return not any(t.redirects.reads_query or t.redirects.reads_host or t.headers.reads_host for t in tables)

    @property
    def name(self) -> str:
        """The site's name, previews' too."""
        return self.site.name

    @property
    def reads_accept(self) -> bool:
        """Whether fields beside those that every answer reads may choose one. None do: what they choose is not kept."""
        return False

    @cached_property
    def release(self) -> bytes | None:
        """The value of Rim-Release that means what everybody gets, where another value may mean something else. None:
        the field is not read, or no answer that it might change is ever ready."""
        return str(self.live.cid).encode() if self.has_worker and self.live is not None else None

    @property
    def max_stale(self) -> int | None:
        """Seconds without the origin after which this site asks for a 503 rather than its last state."""
        value = self.site.settings.get("max_stale")
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    @property
    def pins(self) -> bool:
        """Whether tabs may ask for the release that they began with."""
        return not self.alias and self.live is not None and self.live.release.rules.pin

    @property
    def has_worker(self) -> bool:
        """Whether some visitor's service worker is kept: its fetches name the release that they are for. Never in a
        preview: its end, or its password, would be a matter of what a browser has stored."""
        return not self.alias and bool(self.site.signed) and not self.site.has_worker_off

    def clears_browsers(self, now: float) -> bool:
        """Whether documents still ask browsers to clear their cache of this site."""
        return not self.alias and self.site.browsers is not None and now < self.site.browsers[1] + _BROWSERS_DAYS * _DAY

    def has_ended(self, now: float) -> bool:
        """Whether this is a preview whose time is over."""
        return self.terms is not None and self.terms.expires is not None and self.terms.expires <= now

    def fields(self, path: str, visit: Visit = PLAIN) -> tuple[tuple[str, str | None], ...]:
        """What the site's rules set (None: take away) in the header of this path's answer. Those of the release that
        documents come from now, also for what an older one lends: a policy is the site's. Raises BadNode."""
        published = self.rollout if visit.trial and self.rollout is not None else self.live
        ops = () if published is None else published.tables.headers.of(path, visit.host)
        told = tuple((op.name, op.value) for op in ops)
        return (*told, ("X-Robots-Tag", "noindex")) if self.alias else told

    def resolve(self, path: str, visit: Visit = PLAIN) -> Walk[Meaning]:
        """What this path means now, to this visit. Raises BadNode where the release's rules are none."""
        if self.refused is not None:
            return Refused(self.refused)
        meaning = yield from self._resolve(path, visit)
        if not self.denials.mark or not isinstance(meaning, Found):
            return meaning
        refusal = self.refusal_of(meaning, path)
        if refusal is None:
            return meaning
        return Refused(refusal) if meaning.reason is None else Missing(meaning.reason)

    def _resolve(self, path: str, visit: Visit) -> Walk[Meaning]:
        base = yield from self._base(visit)
        if base is None:
            return Missing(Reason.NOTHING_LIVE)
        meaning = yield from self._meaning(base, path, visit)
        if base.lender is not Lender.ROLLOUT or self.live is None or _lacks(meaning) is not Reason.PURGED:
            return meaning
        # What a purge took of a release that is rolled out, its visitors get of live: they did not ask for another.
        instead = yield from self._meaning(_Base(self.live, Lender.LIVE), path, visit)
        return meaning if _lacks(instead) else instead

    def _meaning(self, base: _Base, path: str, visit: Visit) -> Walk[Meaning]:
        """What it means in this release."""
        redirects = base.published.tables.redirects
        if redirects.forces and (hit := redirects.match(path, visit.query, visit.host, forced=True)):
            return (yield from self._by_rule(base, hit, path, visit))
        reason = Reason.NO_SUCH_PATH
        if path not in NEVER_FILES:
            found = yield from self._published(base, path, visit)
            if not isinstance(found, Reason):
                return found
            reason = found
        if hit := redirects.match(path, visit.query, visit.host):
            return (yield from self._by_rule(base, hit, path, visit))
        return (yield from self._stand_in(base, path, visit, reason))

    def _base(self, visit: Visit) -> Walk[_Base | None]:
        """The release to answer from. A navigation always gets live (or what is rolled out to this visitor): a pin
        keeps a tab on its release, it does not bring old pages back."""
        if self.live is None:
            return None
        if self.alias:
            return _Base(self.live, Lender.PREVIEW)
        if visit.release is not None and not visit.navigation and (self.pins or self.has_worker):
            for item in self.site.kept:
                if item.release == visit.release:
                    return _Base((yield from self._pinned(item)), Lender.PINNED)
        if visit.trial and self.rollout is not None:
            return _Base(self.rollout, Lender.ROLLOUT)
        return _Base(self.live, Lender.LIVE)

    def _pinned(self, item: Retained) -> Walk[Published]:
        found = self._known.get(item.release)
        if found is None:
            block = yield from ask(item.release)
            if len(self._known) >= _PINNED:
                self._known.clear()
            found = self._known[item.release] = Published(item.release, Release.from_block(block), item.generation)
        return found

    @cached_property
    def _known(self) -> dict[CID, Published]:
        """A memo: the old releases that tabs have asked for."""
        return {}

    # Files.

    def _published(self, base: _Base, path: str, visit: Visit) -> Walk[Found | Moved | Reason]:
        """The file under this address, or why there is none. Old and coming releases lend their immutable files only: a
        page on its way in or out must never mix with the live one, but the chunk that it asks for must be there."""
        held = yield from files.document(base.index, path, base.published.release.rules)
        if isinstance(held, str):
            return Moved(_with_query(quoted(held), visit.query))
        reason = Reason.NO_SUCH_PATH
        if held is not None:
            if not self._is_below_floor(base, path, held.asset):
                return Found(held.asset, held.immutable, lender=base.lender, path=held.path, root=base.root)
            reason = Reason.PURGED
        for lender, index, root, generation in self._lenders(base):
            asset = yield from files.row(index, path)
            if asset is None or not asset.immutable or asset.link_target is not None:
                continue
            if generation is None or generation >= self.site.floor_of(path, asset.tags):
                why = "an immutable file of another release"
                return Found(asset, immutable=True, lender=lender, why=why, path=path, root=root)
            reason = Reason.PURGED
        return reason

    def _is_below_floor(self, base: _Base, path: str, asset: Asset) -> bool:
        """Whether a purge covers it. What is live stays: a purge has it fetched and proved anew, and takes the rest."""
        if base.lender is Lender.LIVE:
            return False
        return base.published.generation < self.site.floor_of(path, asset.tags)

    def _lenders(self, base: _Base) -> Iterator[tuple[Lender, CID, CID | None, int | None]]:
        """The Indexes that may lend an immutable file, their Roots, and the generation that a purge is measured
        against. Live and attic have none: nothing live is below a floor, and the origin takes what a purge covers out
        of the attic, which is of many Roots."""
        for lender, published in self.lent:
            release = published.release
            yield lender, release.index, release.root, None if lender is Lender.LIVE else published.generation
        if base.lender in (Lender.ROLLOUT, Lender.PINNED) and self.live is not None:
            yield Lender.LIVE, self.live.release.index, self.live.release.root, None
        if self.next is not None:
            yield Lender.NEXT, self.next.release.index, self.next.release.root, self.next.generation
        if self.site.attic is not None:
            yield Lender.ATTIC, self.site.attic, None, None

    # What is denied.

    def refusal_of(self, found: Found, path: str) -> Refusal | None:
        """Whether the file is denied, as it is or as it was encoded, or this path of the Root or of the site's name.
        Of a file that comes encoded all is denied when one form of it is: they are the same to whoever reads them."""
        asset = found.asset
        for cid in (asset.cid, *(encoding.cid for encoding in asset.encodings.values())):
            if refusal := self.denials.refusal(cid):
                return refusal
        for segments in {_segments(path), _segments(found.path)}:
            for name in self.names:
                if refusal := self.denials.refusal_of_name(name, segments):
                    return refusal
            if found.root is not None and (refusal := self.denials.refusal_of_path(found.root, segments)):
                return refusal
        return None

    def refusal_above(self, found: Found) -> Walk[Refusal | None]:
        """Whether a folder on the way from the Root to the file is denied, or this path below it. A walk of its own,
        for it asks for the folders, which nothing else here needs."""
        segments = _segments(found.path)
        if not self.denials.mark or found.root is None:
            return None
        place = yield from follow(found.root, segments[:-1])
        return self.denials.refusal_on_way(place.passed, segments)

    # Rules, and what stands in.

    def _by_rule(self, base: _Base, hit: Redirected, path: str, visit: Visit) -> Walk[Meaning]:
        rule = hit.rule
        why = f"_redirects line {rule.line}"
        if not rule.is_rewrite:
            return Moved(hit.location(visit.query), rule.status, why)
        if rule.is_shell and not visit.navigation:
            return (yield from self._missing(base, path, Reason.NOT_A_NAVIGATION))
        held = yield from files.target(base.index, hit.target)
        if held is None:
            return (yield from self._missing(base, path, Reason.NO_TARGET))
        if self._is_below_floor(base, hit.target, held.asset):
            return (yield from self._missing(base, path, Reason.PURGED))
        reason = Reason.NO_SUCH_PATH if rule.status == 404 else None
        told = Found(held.asset, status=rule.status, is_shell=rule.is_shell, lender=base.lender, why=why, reason=reason)
        return replace(told, path=held.path, root=base.root)

    def _stand_in(self, base: _Base, path: str, visit: Visit, reason: Reason) -> Walk[Meaning]:
        if base.published.release.rules.spa and reason is not Reason.PURGED:
            if not visit.navigation:
                return (yield from self._missing(base, path, Reason.NOT_A_NAVIGATION))
            shell = yield from files.follow(base.index, SHELL)
            if shell is not None and self._is_below_floor(base, SHELL, shell.asset):
                reason = Reason.PURGED
            elif shell is not None:
                shown = Found(shell.asset, is_shell=True, lender=base.lender, why="the shell, for a navigation")
                return replace(shown, path=shell.path, root=base.root)
        return (yield from self._missing(base, path, reason))

    def _missing(self, base: _Base, path: str, reason: Reason) -> Walk[Found | Missing]:
        """The site's own page for it: the one that its rules name, else the nearest 404.html."""
        named = base.published.release.rules.error
        page = None if named is None else (yield from files.follow(base.index, named))
        found = None if named is None or page is None else (named, page)
        if found is None:
            found = yield from files.nearest(base.index, path, "404.html")
        if found is None or self._is_below_floor(base, found[0], found[1].asset):
            return Missing(reason)
        asset = found[1].asset
        why = "the site's page for what is missing"
        told = Found(asset, status=404, lender=base.lender, why=why, reason=reason)
        return replace(told, path=found[1].path, root=base.root)

    def __repr__(self) -> str:
        name = f"{self.alias}--{self.site.name}" if self.alias else self.site.name
        live = "nothing" if self.live is None else str(self.live.cid)
        return f"<SiteView {name} generation {self.site.generation}, live {live}>"


def _lacks(meaning: Meaning) -> Reason | None:
    return meaning.reason if isinstance(meaning, Found | Missing) else None


def _segments(path: str) -> tuple[str, ...]:
    return tuple(segment for segment in path.split("/") if segment)


def _with_query(location: str, query: bytes) -> str:
    return f"{location}?{query.decode('latin-1')}" if query else location
