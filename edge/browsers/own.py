"""Browsers: what a site answers below /.rim/ for the service workers of its visitors.

Here live the paths, and who gets what under them. Not here: the scripts, the stub and the proof (edge/site/browser),
the making of manifests (edge/browsers/manifests), reports (edge/browsers/reports), which are taken on every host.

    /.rim/sw.js             the stub; for who has no worker, a script that takes away the one that he may have
    /.rim/worker-HASH.js    the worker itself
    /.rim/client.js, .d.ts  what a page imports
    /.rim/manifest.json     ?since=RELEASE: the difference, or 204;  ?release=RELEASE: of that one, or 404
    /.rim/workbox.json      the same files, for a worker of the site's own
    /.rim/workbox.js        that list as a script: what a worker registers with Workbox it must have in its first turn
    /.rim/proof             ?path=PATH&release=RELEASE: the nodes of the Index that prove it

A manifest that the site's key has not signed is shown to nobody: the site is then one without a worker. One that cannot
be made now, because a block cannot be had, is a 504, and browsers keep the worker that they have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from secrets import token_urlsafe
from typing import Final
from urllib.parse import parse_qsl

from content.asking import ask
from content.cid import CID
from content.denylists import Denied
from content.limits import PATH_BYTES
from content.release import Release
from edge.browsers.coded import Coded, coded
from edge.browsers.manifests import Manifests
from edge.cache.loaded import farthest
from edge.cache.loader import Loader, Source
from edge.http.fields import IMMUTABLE, NOSNIFF
from edge.http.outcome import OF_SOURCE, Outcome
from edge.http.problem import Problem
from edge.replies import ALLOW, Asked, Reply, preflight
from edge.site.browser import scripts
from edge.site.browser.proof import proof
from edge.site.browser.stub import Standing, standing, stub
from edge.site.router import Router
from edge.site.view import SiteView, Visit
from edge.site.visitor import Visitor, cid_of, receive

PREFIX: Final = "/.rim/"
SW, MANIFEST, PROOF = (PREFIX + name for name in ("sw.js", "manifest.json", "proof"))
WORKBOX, WORKBOX_SCRIPT = (PREFIX + name for name in ("workbox.json", "workbox.js"))
_FIXED: Final = {PREFIX + "client.js": scripts.JAVASCRIPT, PREFIX + "client.d.ts": scripts.TYPES}
_CAR: Final = "application/vnd.ipld.car; version=1"
_ASK: Final = "no-cache"  # kept, and asked about each time: a kill switch must not wait for a cache to forget
_OWN: Final = "private, no-cache"
_FOREVER: Final = IMMUTABLE.decode()
_ALLOWED: Final = ("Service-Worker-Allowed", "/")  # Service Workers §3.4.3: else it would rule over /.rim/ alone
_OURS: Final = "Paths below /.rim/ are the edge's own."
_QUERY_FIELDS: Final = 8


@dataclass(frozen=True, slots=True)
class _Case:
    """One request: who asks, and which release's worker he has."""

    asked: Asked
    view: SiteView
    visitor: Visitor
    of: Standing | None

    @property
    def vary(self) -> tuple[str, ...]:
        """The request fields that choose: another visitor of a rollout may get another release."""
        return ("Cookie",) if self.view.rollout is not None else ()

    @property
    def control(self) -> str:
        return _OWN if self.vary else _ASK

    def reply(self, body: Coded, *fields: tuple[str, str]) -> Reply:
        """This body, for this visitor."""
        return body.reply(self.asked.asking, self.control, fields, self.vary, self.visitor.lines(None))


class Browsers:
    """Answers below /.rim/ for all sites of one edge."""

    def __init__(self, loader: Loader, router: Router, clock: Callable[[], float]) -> None:
        """`clock`: unix seconds."""
        self.manifests = Manifests(loader, router)
        self._loader = loader
        self._clock = clock
        self._files: dict[str, Coded] = {}  # the scripts: some twenty KiB, which stay

    async def reply(self, asked: Asked, view: SiteView, path: str) -> Reply:
        """The answer to a request for a path below /.rim/ of a site that may be shown. Raises Problem, Denied,
        Unavailable, ContentError."""
        if asked.method == "OPTIONS":
            return preflight(asked, None)
        if asked.method not in ("GET", "HEAD"):
            raise Problem(405, "Only GET and HEAD are served here.", headers=(ALLOW,))
        if path in _FIXED:
            return (await self._file(path, _FIXED[path])).reply(asked.asking, _ASK)
        case = self._case(asked, view, path)
        if path == SW:
            return await self._worker_of(case)
        if view.refused is not None:
            raise Denied(path, view.refused)
        if scripts.is_worker_path(path):
            return await self._worker(asked, view, path)
        if path in (MANIFEST, WORKBOX, WORKBOX_SCRIPT):
            return await self._listed(case, path)
        if path == PROOF and view.has_worker:
            return await self._proof(asked, view)
        raise Problem(404, _OURS)

    def _case(self, asked: Asked, view: SiteView, path: str) -> _Case:
        """A worker asks for the manifest where a page would have gone to the edge: that is when a visitor of a rollout
        is given his name."""
        visit = Visit(navigation=path == MANIFEST)
        visitor = receive(view, visit, asked.fields, self._clock(), lambda: token_urlsafe(12))
        return _Case(asked, view, visitor, standing(view, visitor.visit.trial))

    # Scripts.

    async def _worker_of(self, case: _Case) -> Reply:
        """What a browser registers. Of a host that is denied the worker is taken away, with what it has stored."""
        of = case.of if case.view.refused is None else None
        if of is None or await self.manifests.whole(of) is None:
            return case.reply(await self._file(PREFIX + "off.js", scripts.JAVASCRIPT), _ALLOWED)
        return case.reply(Coded.of(stub(case.view, of), scripts.JAVASCRIPT), _ALLOWED)

    async def _worker(self, asked: Asked, view: SiteView, path: str) -> Reply:
        if path != scripts.worker_path() or not view.has_worker:
            raise Problem(404, "No worker of this name is served here: /.rim/sw.js names the one that is.")
        return (await self._file(PREFIX + "worker.js", scripts.JAVASCRIPT)).reply(asked.asking, _FOREVER)

    async def _file(self, path: str, media_type: str) -> Coded:
        name = path.removeprefix(PREFIX)
        if name not in self._files:
            self._files[name] = await coded(scripts.source(name), media_type)
        return self._files[name]

    # Lists.

    async def _listed(self, case: _Case, path: str) -> Reply:
        query = _query(case.asked.query)
        of = _named(case.view, query["release"]) if "release" in query else case.of
        whole = None if of is None else await self.manifests.whole(of)
        if of is None or whole is None:
            raise Problem(404, "This site has no service worker, or none of that release.")
        serial = ("Rim-Serial", str(of.signed.serial))
        if path in (WORKBOX, WORKBOX_SCRIPT):
            return case.reply(await self.manifests.workbox(of, path == WORKBOX_SCRIPT) or whole, serial)
        since = cid_of(query.get("since", ""))
        if since == of.signed.release:
            return _nothing_new(case, of)
        if since is not None and any(item.release == since for item in case.view.site.kept):
            return case.reply(await self.manifests.since(of, since) or whole, serial)
        return case.reply(whole, serial)

    # Proofs.

    async def _proof(self, asked: Asked, view: SiteView) -> Reply:
        """Content-addressed: what a path means in a release never changes."""
        query = _query(asked.query)
        path, release = query.get("path", ""), cid_of(query.get("release", ""))
        if not path.startswith("/") or "\0" in path or len(path.encode()) > PATH_BYTES or release is None:
            raise Problem(400, "A proof is asked for with ?path=/PATH&release=CID.")
        index = await self._index(view, release, path)
        if index is None:
            raise Problem(404, "This release is not kept, or a purge covers the path.")
        seen: set[Source] = set()
        car = await self._loader.run(proof(index, path), seen=seen)
        return Coded.of(car, _CAR).reply(asked.asking, _FOREVER, outcome=OF_SOURCE[farthest(seen)])

    async def _index(self, view: SiteView, release: CID, path: str) -> CID | None:
        """The Index of a release that this path may be asked of; None: of no such."""
        if view.live is not None and view.live.cid == release:
            return view.live.release.index
        floor = view.site.floor_of(path)
        for item in (*view.site.kept, *((view.site.rollout.item,) if view.site.rollout is not None else ())):
            if item.release == release:
                block = await self._loader.run(ask(release))
                return Release.from_block(block).index if item.generation >= floor else None
        return None

    def __repr__(self) -> str:
        return f"<Browsers {self.manifests!r}>"


def _nothing_new(case: _Case, of: Standing) -> Reply:
    lines = f"cache-control: {case.control}\r\nrim-serial: {of.signed.serial}\r\n"
    lines += f"vary: {', '.join(case.vary)}\r\n" if case.vary else ""
    return Reply(204, lines.encode() + NOSNIFF + case.visitor.lines(None), Outcome.HIT)


def _named(view: SiteView, text: str) -> Standing | None:
    """Of the release that the query names, if this site has a worker of it now."""
    release = cid_of(text)
    both = (standing(view, trial) for trial in (False, True))
    return next((of for of in both if of is not None and of.signed.release == release), None)


def _query(raw: bytes) -> Mapping[str, str]:
    """The query's parameters; of one given twice, the first. Raises Problem."""
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, max_num_fields=_QUERY_FIELDS, errors="strict")
    except ValueError:
        raise Problem(400, "The query does not read.") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found
