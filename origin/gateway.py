"""Gateway: the trustless gateway of the origin, and the IPNS records it answers for.

Here lives GET /ipfs/{cid}[/{path}] as raw block or CAR, GET /ipns/{name} as record, and who may read what. Everything
it sends is verified bytes named by their hash, so it may be kept for ever. Not here: what a request asks
(content/trustless), which blocks a CAR holds (content/carwalk), or HTML, which nobody between nodes asks for (the
public gateway is the edge's).

Spec: https://specs.ipfs.tech/http-gateways/trustless-gateway/
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from content import car, trustless
from content.asking import drive
from content.block import Block
from content.carwalk import car as blocks_of_car
from content.cid import CID, IDENTITY, RAW
from content.errors import BadRecord, NotFound
from content.limits import CAR_SEEN, CAR_SEEN_TRUSTED, MiB
from content.paths import Place, follow
from content.peerkey import parse_name
from content.trustless import RAW_TYPE, RECORD_TYPE, Asked, Terms
from origin.api.asking import optional_token, origin_of, parse_cid
from origin.api.sites import seen
from origin.check import release_of
from origin.errors import BadRequest, Forbidden, Missing, OriginError, Unauthorized
from origin.origin import Origin
from origin.reading import Absent, source

SLICE_BYTES = 1 * MiB  # of a CAR made in one go, in a thread
_SAFE = {"X-Content-Type-Options": "nosniff"}


class NotAcceptable(OriginError):
    """A format we do not speak."""

    status = 406
    code = "not_acceptable"


class NotHeld(OriginError):
    """`Cache-Control: only-if-cached` for what is not here (trustless gateway spec)."""

    status = 412
    code = "not_held"


@dataclass(frozen=True, slots=True)
class _Reader:
    """What whoever asks may read besides the block that was asked for. `control`: control blocks below it too.
    `only`: this block and nothing below it: an identity CID, or a file under a codec that makes a node of it, which
    anybody can make to lead anywhere. `judged`: what is denied is kept from it; not from a site's owner who takes the
    site away. `seen`: blocks that a CAR for it may remember."""

    origin: Origin
    control: bool
    only: CID | None = None
    judged: bool = True
    seen: int = CAR_SEEN_TRUSTED

    @property
    def get(self) -> Callable[[CID], Block]:
        """Blocks for a walk. Raises Absent, also for what this reader may not have, and Gone."""
        stored, denials = source(self.origin.store), self.origin.denials

        def get(cid: CID) -> Block:
            if (self.only is not None and cid != self.only) or (cid.is_control and not self.control):
                raise Absent(cid)
            block = stored(cid)
            if self.judged and not cid.is_control:  # what is denied comes to nodes in control blocks
                denials.check(cid)
            return block

        return get


async def ipfs(request: Request) -> Response:
    """GET /ipfs/{cid}[/{path}]?format=raw|car"""
    origin, root = origin_of(request), parse_cid(request.path_params["cid"])
    try:
        asked = trustless.read(request.query_params, request.headers.get("accept", ""), ("raw", "car"))
        segments = trustless.segments_of(request.scope["raw_path"], "/ipfs/")[1:]
    except trustless.NotSpoken as error:
        raise NotAcceptable(str(error)) from error
    except trustless.BadQuestion as error:
        raise BadRequest(str(error)) from error
    try:
        reader = await _reader(request, origin, root)
        if not (root.is_control and origin.store.has(root)):  # what is denied comes to nodes in control blocks
            origin.denials.check(root, segments)
        place, block = await asyncio.to_thread(_find, reader, root, segments)
    except Missing as error:
        if "only-if-cached" in request.headers.get("cache-control", ""):
            raise NotHeld(error.message) from error
        raise
    headers = _headers(request, asked, root, segments, place)
    if trustless.is_match(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    name = request.query_params.get("filename") or asked.filename(root, place.cid, segments)
    headers["Content-Disposition"] = trustless.attachment(name)
    if asked.format == "raw":
        if request.method == "GET":
            origin.counters.sent(place.cid.is_control, len(block.data))
        return Response(block.data, media_type=RAW_TYPE, headers=headers)
    headers["Accept-Ranges"] = "none"
    if request.method == "HEAD":
        response = Response(media_type=asked.media_type, headers=headers)
        del response.headers["content-length"]  # nobody knows it, and 0 it is not
        return response
    stream = car_of(reader, root, segments, asked.terms, place.cid)
    return StreamingResponse(stream, media_type=asked.media_type, headers=headers)


async def ipns(request: Request) -> Response:
    """GET /ipns/{name}?format=ipns-record: of the catalog (also by rotated names) and of every site."""
    origin, text = origin_of(request), request.path_params["name"]
    if (wanted := request.query_params.get("format")) not in (None, "ipns-record"):
        raise NotAcceptable(f"format {wanted!r}: a name answers with its ipns-record here")
    try:
        name = parse_name(text).base36()
    except BadRecord as error:
        raise Missing(f"{parse_cid(text)} names no key: there is no record of it") from error
    record = await asyncio.to_thread(record_of, origin, name)
    if record is None:
        raise Missing(f"no record of {name} here")
    headers = {"Cache-Control": "public, max-age=5", **_SAFE, "Vary": "Accept", "ETag": f'"{CID.of(RAW, record)}"'}
    if trustless.is_match(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    filename = request.query_params.get("filename") or f"{name}.ipns-record"
    headers["Content-Disposition"] = trustless.attachment(filename)
    return Response(record, media_type=RECORD_TYPE, headers=headers)


async def export(request: Request) -> Response:
    """GET /api/v1/sites/{name}/export: the live Root as a CAR, which any IPFS node imports."""
    site, origin = seen(request), origin_of(request)
    if site.live is None:
        raise Missing(f"site {site.name!r} has no live release", "no_release")
    root = release_of(origin.store, site.live.release).root
    headers = {"Content-Disposition": f'attachment; filename="{site.name}.car"', **_SAFE}
    stream = car_of(_Reader(origin, control=False, judged=False), root, (), Terms(), root)
    return StreamingResponse(stream, media_type=Terms().media_type, headers=headers)


async def car_of(reader: _Reader, root: CID, segments: Sequence[str], terms: Terms, top: CID) -> AsyncIterator[bytes]:
    """The CAR that is asked for, slice by slice. `top`: where the path ends, its root.

    A block that is not here, or that this reader may not have, ends the answer without its last chunk, so that no
    client takes a cut CAR for whole.
    """
    slices = _slices(reader, root, segments, terms, top)
    while True:
        data = await asyncio.to_thread(next, slices, b"")
        if not data:
            return
        yield data


def _slices(reader: _Reader, root: CID, segments: Sequence[str], terms: Terms, top: CID) -> Iterator[bytes]:
    get, counters = reader.get, reader.origin.counters
    walk = blocks_of_car(root, segments, terms.scope, terms.bytes, terms.dups, reader.seen)
    parts, size = [car.header([top])], 0
    try:
        want = next(walk)
        while True:
            block = get(want.cid)
            if want.write:
                counters.sent(want.cid.is_control, len(block.data))
                parts.append(car.section(want.cid, block.data))
                size += len(parts[-1])
            if size >= SLICE_BYTES:
                yield b"".join(parts)
                parts, size = [], 0
            want = walk.send(block)
    except StopIteration:
        yield b"".join(parts)


def _find(reader: _Reader, root: CID, segments: Sequence[str]) -> tuple[Place, Block]:
    """Where the path ends, and the block there. Raises Missing."""
    try:
        place = drive(follow(root, segments), reader.get)
        if reader.judged and segments:
            reader.origin.denials.check_way(place, segments)
        if place.cid.hash_code == IDENTITY:
            return place, Block(place.cid, place.cid.digest)
        return place, reader.get(place.cid)
    except Absent as error:
        raise Missing(f"block {error.cid} is not here") from error
    except NotFound as error:
        raise Missing(f"{error} is not below {root}") from error


def _headers(request: Request, asked: Asked, root: CID, segments: Sequence[str], place: Place) -> dict[str, str]:
    path = f"/ipfs/{root}" + "".join(f"/{quote(segment, safe='')}" for segment in segments)
    headers = {
        **_SAFE,
        "Cache-Control": trustless.IMMUTABLE,
        "ETag": asked.etag(root, place.cid, segments),
        "Vary": "Accept, Authorization",
        "X-Ipfs-Path": path,
        "X-Ipfs-Roots": ",".join(map(str, place.passed)),
    }
    if "format" not in request.query_params:
        headers["Content-Location"] = f"{path}?{asked.query}"
    return headers


async def _reader(request: Request, origin: Origin, cid: CID) -> _Reader:
    """What this request may read. Nodes read all; a publisher reads what its own sites hold, control blocks too (`rim
    publish --diff` needs their Indexes). Off loopback nobody else reads anything; on it, public content is for anyone.
    """
    token = optional_token(request)
    if token is not None:
        if token.is_node:
            return _Reader(origin, control=True)
        if token.allows("publish") and (held := await asyncio.to_thread(origin.public.holds, token, cid)):
            return _Reader(origin, control=True, only=None if held.leads_on(cid) else cid)
        if cid.is_control or not origin.config.loopback:
            raise Forbidden(f"token {token.name!r} may not read this: a token of scope edge may", scope="edge")
    if cid.is_control or not origin.config.loopback:
        raise Unauthorized("a token of scope edge is needed to read this", "no_token")
    if cid.hash_code == IDENTITY:
        return _Reader(origin, control=False, only=cid)
    if not await asyncio.to_thread(origin.public.has, cid):
        raise Missing(f"block {cid} is not here")  # the same words as for a block that is not: it gives nothing away
    leads_on = cid.codec == RAW or await asyncio.to_thread(origin.public.leads_on, cid)
    return _Reader(origin, control=False, only=None if leads_on else cid, seen=CAR_SEEN)


def record_of(origin: Origin, name: str) -> bytes | None:
    """The record of a name (k…) that is the catalog's, was once, or is a site's."""
    catalog = origin.catalog
    if name == catalog.head.name:
        return catalog.head.record
    if name in catalog.last_words:
        return catalog.last_words[name].record
    origin.denials.check_name(name)  # of sites alone: what is denied comes to edges by the names above
    world = catalog.world
    site = next((site for site in world.sites.values() if site.ipns == name), None)
    return None if site is None else catalog.records.of_site(site, world.sequence)
