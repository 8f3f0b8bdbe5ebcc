"""Gateway: the trustless gateway of the origin, and the IPNS records it answers for.

Here lives GET /ipfs/{cid} as raw block or CAR, GET /ipns/{name} as record, and who may read what. Everything it sends
is verified bytes named by their hash, so it may be kept for ever. Not here: paths below a CID and HTML, which nobody
between nodes asks for (the public gateway is the edge's).

Spec: https://specs.ipfs.tech/http-gateways/trustless-gateway/
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from content import car
from content.block import Block
from content.cid import CID, RAW
from content.limits import MiB
from content.walk import reachable
from origin.api.asking import optional_token, origin_of, parse_cid
from origin.api.sites import seen
from origin.check import release_of
from origin.errors import Forbidden, Missing, OriginError, Unauthorized
from origin.origin import Origin
from origin.reading import source

RAW_TYPE = "application/vnd.ipld.raw"
CAR_TYPE = "application/vnd.ipld.car; version=1; order=dfs; dups=n"
RECORD_TYPE = "application/vnd.ipfs.ipns-record"
SLICE_BYTES = 1 * MiB  # of a CAR made in one go, in a thread
_FORMATS = {RAW_TYPE: "raw", "application/vnd.ipld.car": "car", RECORD_TYPE: "ipns-record"}
_IMMUTABLE = {"Cache-Control": "public, max-age=29030400, immutable", "X-Content-Type-Options": "nosniff"}


class NotAcceptable(OriginError):
    """A format we do not speak."""

    status = 406
    code = "not_acceptable"


async def ipfs(request: Request) -> Response:
    """GET /ipfs/{cid}?format=raw|car"""
    origin, cid = origin_of(request), parse_cid(request.path_params["cid"])
    format_ = _format(request, ("raw", "car"))
    await _check_reader(request, origin, cid)
    if not (cid.is_control and origin.store.has(cid)):  # what is denied comes to nodes in control blocks
        origin.denials.check(cid)
    etag = f'"{cid}.{format_}"'
    headers = {**_IMMUTABLE, "ETag": etag, "X-Ipfs-Path": f"/ipfs/{cid}", "Vary": "Accept, Authorization"}
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    block = await asyncio.to_thread(origin.store.get, cid)
    if block is None:
        raise Missing(f"block {cid} is not here")
    headers["Content-Disposition"] = f'attachment; filename="{cid}.{"bin" if format_ == "raw" else "car"}"'
    if format_ == "raw":
        if request.method == "GET":
            origin.counters.sent(cid.is_control, len(block.data))
        return Response(block.data, media_type=RAW_TYPE, headers=headers)
    if request.method == "HEAD":
        return Response(media_type=CAR_TYPE, headers=headers)
    return StreamingResponse(car_of(origin, cid), media_type=CAR_TYPE, headers=headers)


async def ipns(request: Request) -> Response:
    """GET /ipns/{name}?format=ipns-record: of the catalog (also by rotated names) and of every site."""
    origin, name = origin_of(request), parse_cid(request.path_params["name"]).base36()
    _format(request, ("ipns-record",))
    record = await asyncio.to_thread(record_of, origin, name)
    if record is None:
        raise Missing(f"no record of {name} here")
    headers = {"Cache-Control": "public, max-age=5", "X-Content-Type-Options": "nosniff", "Vary": "Accept"}
    headers["ETag"] = f'"{CID.of(RAW, record)}"'
    headers["Content-Disposition"] = f'attachment; filename="{name}.ipns-record"'
    return Response(record, media_type=RECORD_TYPE, headers=headers)


async def export(request: Request) -> Response:
    """GET /api/v1/sites/{name}/export: the live Root as a CAR, which any IPFS node imports."""
    site, origin = seen(request), origin_of(request)
    if site.live is None:
        raise Missing(f"site {site.name!r} has no live release", "no_release")
    root = release_of(origin.store, site.live.release).root
    headers = {"Content-Disposition": f'attachment; filename="{site.name}.car"', "X-Content-Type-Options": "nosniff"}
    return StreamingResponse(car_of(origin, root), media_type=CAR_TYPE, headers=headers)


async def car_of(origin: Origin, root: CID) -> AsyncIterator[bytes]:
    """The DAG below root as a CAR, depth first, every block once.

    A block that is not here ends the answer without its last chunk, so that no client takes a cut CAR for whole.
    """
    slices = _slices(origin, root)
    while True:
        data = await asyncio.to_thread(next, slices, b"")
        if not data:
            return
        yield data


def _slices(origin: Origin, root: CID) -> Iterator[bytes]:
    parts, size = [car.header([root])], 0
    for block in _blocks(origin, root):
        origin.counters.sent(block.cid.is_control, len(block.data))
        parts.append(car.section(block.cid, block.data))
        size += len(parts[-1])
        if size >= SLICE_BYTES:
            yield b"".join(parts)
            parts, size = [], 0
    yield b"".join(parts)


def _blocks(origin: Origin, root: CID) -> Generator[Block, None, None]:
    """Every block of the DAG, each once, as the walk asks for it."""
    get = source(origin.store)
    walk = reachable((root,), lambda cid: None, ask_leaves=True)
    try:
        wanted = next(walk)
        while True:
            origin.denials.check(wanted)
            block = get(wanted)
            yield block
            wanted = walk.send(block)
    except StopIteration:
        return


async def _check_reader(request: Request, origin: Origin, cid: CID) -> None:
    """Nodes read all; a publisher reads what its own sites hold, control blocks too (`rim publish --diff` needs their
    Indexes). Off loopback nobody else reads anything; on it, public content is for anyone."""
    token = optional_token(request)
    if token is not None:
        if token.is_node or (token.allows("publish") and await asyncio.to_thread(origin.public.holds, token, cid)):
            return
        if cid.is_control or not origin.config.loopback:
            raise Forbidden(f"token {token.name!r} may not read this: a token of scope edge may", scope="edge")
    if cid.is_control or not origin.config.loopback:
        raise Unauthorized("a token of scope edge is needed to read this", "no_token")
    if not await asyncio.to_thread(origin.public.has, cid):
        raise Missing(f"block {cid} is not here")  # the same words as for a block that is not: it gives nothing away


def record_of(origin: Origin, name: str) -> bytes | None:
    """The record of a name (k…) that is the catalog's, was once, or is a site's."""
    catalog = origin.catalog
    if name == catalog.head.name:
        return catalog.head.record
    if name in catalog.last_words:
        return catalog.last_words[name].record
    world = catalog.world
    site = next((site for site in world.sites.values() if site.ipns == name), None)
    return None if site is None else catalog.records.of_site(site, world.sequence)


def _format(request: Request, known: tuple[str, ...]) -> str:
    """The format asked for: the query wins over Accept, as the spec says."""
    wanted = request.query_params.get("format")
    if wanted is None:
        accepts = [part.partition(";")[0].strip() for part in request.headers.get("accept", "").split(",")]
        wanted = next((_FORMATS[accept] for accept in accepts if accept in _FORMATS), None)
    if wanted is None and known == ("ipns-record",):
        return "ipns-record"
    if wanted not in known:
        raise NotAcceptable(f"ask for ?format={' or '.join(known)}: this is a trustless gateway")
    return wanted
