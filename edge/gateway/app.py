"""App: one request to the gateway, from its place to its answer.

Here lives the order of things, and what each refusal becomes. Not here: any one answer, or which requests are the
gateway's (edge/app asks `place` after all sites).

    method → path → name → its one spelling → root → may it be shown → the way down → the form → the answer
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from content.cid import CID
from content.denylists import Denied
from content.errors import NotFound
from content.paths import Place as Found
from content.paths import follow
from content.walk import stat
from edge.cache.loader import Loader
from edge.denials import Denials
from edge.gateway import blocks, cars, files, folders, landing, records, redirects, refusals, roots, tars, wanted
from edge.gateway.access import Access
from edge.gateway.answered import Case, redirect
from edge.gateway.files import Made
from edge.gateway.folders import CheckPage
from edge.gateway.formats import Form
from edge.gateway.headers import CORS, METHODS, Shown, lines
from edge.gateway.hosts import GatewayHosts, Kind, Place
from edge.gateway.reader import NotHeld, Reader
from edge.gateway.roots import Names, Root
from edge.gateway.wanted import Wanted
from edge.http.answer import Answer
from edge.http.fields import NOSNIFF
from edge.http.outcome import Outcome
from edge.http.problem import Problem
from edge.http.target import BadTarget, host_of, path_of
from edge.kept import Leaves
from edge.names.faults import NameFault, NameNotFound
from edge.names.spelling import domain_name
from edge.replies import Asked, Reply

Keep = Callable[[bytes, bytes, bytes, Answer, Leaves], None]


@dataclass(frozen=True, slots=True)
class Tenant:
    """The gateway as edge/ready knows it: whose answers are kept beside those of sites. No site is named so."""

    key: bytes = b"ipfs"
    family: bytes = b"ipfs"
    name: str = "ipfs"
    is_plain: bool = False  # host and path together say what is meant
    reads_accept: bool = True
    release: bytes | None = None


TENANT = Tenant()


class Gateway:
    """Answers for all gateway hosts of one edge."""

    def __init__(
        self,
        hosts: GatewayHosts,
        loader: Loader,
        names: Names,
        access: Access,
        *,
        dnslink: bool = False,
        denials: Denials | None = None,
        keep: Keep | None = None,
    ) -> None:
        """`dnslink`: hosts that nobody has are looked up as names. `keep`: takes an answer that others may get too."""
        self.hosts = hosts
        self.access = access
        self.denials: Denials = Denials() if denials is None else denials
        self._loader = loader
        self._names = names
        self._dnslink = dnslink
        self._keep = keep

    # Whose request it is.

    async def place(self, host: str, field: str) -> Place | None:
        """What this host means to the gateway; None: nothing. Raises Problem where that could not be found out."""
        place = self.hosts.place(host, field)
        if place is not None:
            return place
        if self._dnslink and (domain := domain_name(host)) is not None and await self._is_name(domain):
            return Place(Kind.DNSLINK, field, False, "ipns", domain)
        return Place(Kind.PATH, field) if self.hosts.takes_any else None

    def is_at(self, authority: bytes) -> bool:
        """Whether this authority (host:port) is one of the gateway's hosts."""
        try:
            return self.hosts.place(host_of(authority), authority.decode("latin-1")) is not None
        except BadTarget:
            return False

    async def _is_name(self, domain: str) -> bool:
        try:
            await self._names.resolve(domain)
        except NameNotFound:
            return False
        except NameFault as fault:
            if self.hosts.takes_any:
                return False
            raise roots.problem_of(fault) from fault
        return True

    def tenant(self, field: bytes) -> Tenant | None:
        """Whose the answers of this Host field are that wait in memory."""
        return TENANT if self.is_at(field) else None

    # What it gets.

    async def reply(self, asked: Asked, place: Place, scheme: str) -> Reply:
        """The answer to this request, whatever happens."""
        try:
            return await self._reply(asked, place, scheme)
        except Denied as error:
            self.denials.count(error.refusal)
            return refusals.told(asked, error)
        except refusals.EXPECTED as error:
            return refusals.told(asked, error)

    async def _reply(self, asked: Asked, place: Place, scheme: str) -> Reply:
        if asked.method == "OPTIONS":
            return Reply(204, lines((*CORS, ("Allow", METHODS), ("Cache-Control", "no-store"))) + NOSNIFF, Outcome.HIT)
        if asked.method not in ("GET", "HEAD"):
            raise Problem(405, "Only GET and HEAD are answered here.", headers=(("Allow", METHODS),))
        try:
            path = path_of(asked.raw_path)
        except BadTarget as error:
            raise Problem(400, f"{error}.") from error
        if place.kind is Kind.PATH and (early := landing.answer(asked, place, path)) is not None:
            return early
        want = wanted.read(place, path, asked.query, asked.fields, scheme)
        _check_worker(asked, want)
        if (elsewhere := roots.moved(want)) is not None:
            return redirect(*elsewhere, CORS)
        if want.namespace == "ipns":
            self._check_names(want, [roots.meant(want)])  # before it is followed, as the format of denylists asks
        if want.asked.form is Form.RECORD:
            return await records.record(want, self._names, asked.asking)
        root = await roots.find(want, self._names)
        self._check_names(want, root.names)
        reply = await self._answer(asked, want, root)
        was_held = reply.outcome in (Outcome.HIT, Outcome.DISK)
        return replace(reply, outcome=Outcome.STALE) if root.stale and was_held else reply

    def _check_names(self, want: Wanted, names: Iterable[str], *more: str) -> None:
        """Raises Denied where one of these names is, or the path below it. `more`: what the path goes on with."""
        for name in names:
            if (refusal := self.denials.refusal_of_name(name, (*want.segments, *more))) is not None:
                raise Denied(want.path, refusal)

    def _check_way(self, want: Wanted, passed: Sequence[CID], segments: Sequence[str]) -> None:
        """Raises Denied where this path is, below any node that it leads through."""
        if (refusal := self.denials.lists.refusal_on_way(passed, segments)) is not None:
            raise Denied(want.path, refusal)

    def _check_page(self, want: Wanted, root: Root, at: Found, segments: Sequence[str], page: CID) -> None:
        """Raises Denied where a folder's own page is, which has a path as well."""
        self._check_names(want, root.names, folders.INDEX)
        self._check_way(want, (*at.passed, page), (*segments, folders.INDEX))

    async def _answer(self, asked: Asked, want: Wanted, root: Root) -> Reply:
        lists = self.denials.lists
        inline_only = not self.access.leads_on(root.cid)
        reader = Reader(self._loader, self.denials, held_only=want.held_only, inline_only=inline_only)
        segments = (*root.below, *want.segments)
        if (refusal := self.denials.refusal(root.cid) or self.denials.refusal_of_path(root.cid, segments)) is not None:
            raise Denied(want.path, refusal)
        if want.held_only:
            await reader.block(root.cid)
        if not await self.access.shows(root.cid):
            if want.held_only:
                raise NotHeld(str(root.cid))  # in the words for what is not here: it gives nothing away
            raise Problem(404, f"This gateway shows what is published or pinned at its origin; {root.cid} is not.")
        try:
            end = await reader.run(follow(root.cid, segments))
        except NotFound:
            if want.place.is_isolated:
                return await self._stand_in(asked, want, root, reader)
            raise
        self._check_way(want, end.passed, segments)
        case = self._case(asked, want, root, reader, end)
        made = await self._of_form(case, root.cid, segments, partial(self._check_page, want, root, end, segments))
        is_for_all = _is_for_all(asked, want, root) and lists is self.denials.lists  # else it was judged by others
        if made.answer is not None and is_for_all and self._keep is not None:
            self._keep(asked.host, asked.raw_path, asked.query, made.answer, made.leaves or {})
        return made.reply

    def _case(self, asked: Asked, want: Wanted, root: Root, reader: Reader, end: Found) -> Case:
        shown = Shown(want, end.passed[len(root.below) :], root.immutable, root.max_age)
        return Case(want, asked.asking, reader, end, shown)

    async def _of_form(self, case: Case, root: CID, segments: Sequence[str], check: CheckPage) -> Made:
        form = case.wanted.asked.form
        if form is Form.CAR:
            return Made(await cars.car(case, root, segments))
        if case.found.rest:
            rest = "/".join(case.found.rest)
            raise Problem(501, f"/{rest} is a part of the data in {case.cid}: whole blocks are answered here.")
        if form is Form.RAW:
            return Made(await blocks.raw(case))
        if form is Form.TAR:
            return Made(await tars.tar(case))
        if case.cid.codec not in blocks.UNIXFS:
            return Made(await blocks.data(case))
        if form is not None and not blocks.fits(case.cid, form):
            raise Problem(406, f"This is UnixFS, and is not converted to {form}: ask for ?format=raw, car or tar.")
        return await self._unixfs(case, check)

    async def _unixfs(self, case: Case, check: CheckPage) -> Made:
        entry = await case.reader.run(stat(case.cid))
        if entry.kind == "directory":
            return await folders.folder(case, entry, check)
        if entry.kind == "symlink":
            return Made(files.symlink(case, entry))
        return await files.file(case, entry)

    async def _stand_in(self, asked: Asked, want: Wanted, root: Root, reader: Reader) -> Reply:
        """What the root's own rules say of a path that is not there."""
        top = await reader.run(follow(root.cid, root.below))
        try:
            hit = await reader.run(redirects.match(top.cid, "/" + "/".join(want.segments) + "/" * _slashed(want)))
        except redirects.BadRedirects as error:
            raise Problem(500, f"could not parse _redirects: {error}.") from error
        if hit is None:
            raise NotFound(want.path)
        if hit.is_redirect:
            shown = Shown(want, top.passed[len(root.below) :], root.immutable, root.max_age)
            control = shown.fresh()
            return redirect(hit.status, hit.target, (*(("Cache-Control", control),) * bool(control), *CORS))
        segments = tuple(segment for segment in hit.target.split("/") if segment)
        end = await reader.run(follow(top.cid, segments))
        whole, way = replace(end, passed=(*top.passed, *end.passed[1:])), (*root.below, *segments)
        self._check_way(want, whole.passed, way)
        case = self._case(asked, replace(want, slash=True), root, reader, end)
        check = partial(self._check_page, replace(want, segments=segments), root, whole, way)
        return (await self._page(case, segments, hit.status, check)).reply

    async def _page(self, case: Case, segments: tuple[str, ...], status: int, check: CheckPage) -> Made:
        entry = await case.reader.run(stat(case.cid))
        if entry.kind == "file":
            return await files.file(case, entry, name=segments[-1] if segments else "", status=status)
        if status == 200 and entry.kind == "directory":
            return await folders.folder(case, entry, check)
        raise NotFound("/" + "/".join(segments))

    def __repr__(self) -> str:
        return f"<Gateway {self.hosts!r} {self.access!r}>"


def _slashed(want: Wanted) -> bool:
    return want.slash and bool(want.segments)


def _is_for_all(asked: Asked, want: Wanted, root: Root) -> bool:
    """Whether the answer depends on host and path alone, and for ever: then it may wait in memory for the next."""
    plain = want.asked.form is None and not want.raw_query and not want.held_only
    return plain and root.immutable and b"x-forwarded-host" not in asked.fields


def _check_worker(asked: Asked, want: Wanted) -> None:
    """On a path gateway all content shares one origin, and with it one list of workers, one store, one quota. The spec
    refuses a script at a root alone, since another's scope ends at its folder; but one folder's worker would outlive
    what it came from, and stand in for whatever is there later. Who needs a worker uses a host with subdomains.
    Spec: https://specs.ipfs.tech/http-gateways/path-gateway/#service-worker-request-header"""
    if asked.fields.get(b"service-worker", b"").strip().lower() == b"script" and want.place.kind is Kind.PATH:
        raise Problem(400, "navigator.serviceWorker: registration is not allowed for this scope.")
