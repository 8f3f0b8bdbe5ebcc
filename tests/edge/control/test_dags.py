"""Paths and CARs on the private listener: what is wanted comes whole, from here or from above; what cannot, is cut."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from content import car
from content.block import Block
from content.cid import CID, DAG_PB, RAW
from content.dagpb import FILE, Data, PBLink
from content.paths import follow
from content.walk import drive
from edge.node import Node
from tests.content.dags import doubling, node, zoo
from tests.content.folders import Blocks
from tests.content.test_carwalk import make
from tests.edge.origin import TOKEN, TinyOrigin
from tests.edge.sites import World
from tests.edge.wire import edge

ZOO = zoo(entries=120)
BEARER = {"Authorization": f"Bearer {TOKEN}"}
Ask = Callable[..., Awaitable[tuple[int, dict[str, str], bytes, bool]]]
Act = Callable[[Ask, Node, TinyOrigin], Awaitable[None]]


def play(folder: Path, act: Act, blocks: Blocks = ZOO.blocks) -> None:
    """An edge on loopback, and an origin that has these blocks."""

    async def run() -> None:
        world = World()
        world.publish("demo", {"index.html": b"home"})
        for block in blocks.values():
            world.store.emit(block)
        async with (
            edge(folder, world) as (node_, origin),
            aiohttp.ClientSession(node_.private_url, auto_decompress=False) as session,
        ):
            await origin.serving(world.sequence)

            async def ask(path: str, method: str = "GET", /, **headers: str) -> tuple[int, dict[str, str], bytes, bool]:
                """Status, fields, body, and whether it came to its end."""
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                async with session.request(method, path, headers=named) as answer:
                    fields = {name.lower(): value for name, value in answer.headers.items()}
                    got = bytearray()
                    try:
                        async for piece in answer.content.iter_any():
                            got += piece
                    except aiohttp.ClientPayloadError:
                        return answer.status, fields, bytes(got), False
                    return answer.status, fields, bytes(got), True

            await act(ask, node_, origin)

    asyncio.run(asyncio.wait_for(run(), 60))


def at(path: str) -> CID:
    return drive(follow(ZOO.root, path.split("/")), ZOO.blocks.get_block).cid


def test_cars_and_paths(tmp_path: Path) -> None:
    """Byte for byte what content/carwalk says, fields and conditions with it, and filled from the origin once."""

    async def act(ask: Ask, node_: Node, origin: TinyOrigin) -> None:
        for path, scope, bytes_, dups in (
            ("", "all", None, False),
            ("", "all", None, True),
            ("wide", "entity", None, False),
            ("wide/file 7.txt", "block", None, False),
            ("document/files/many/1/big", "entity", (300, 1000), False),
        ):
            query = f"format=car&dag-scope={scope}&car-dups={'y' if dups else 'n'}"
            if bytes_:
                query += f"&entity-bytes={bytes_[0]}:{bytes_[1]}"
            target = f"/ipfs/{ZOO.root}{'/' * bool(path)}{path}?{query}"
            status, fields, body, whole = await ask(target, **BEARER)
            assert (status, whole) == (200, True)
            assert body == make(ZOO, path, scope, bytes_, dups)  # type: ignore[arg-type]
            assert fields["content-type"].endswith(f"dups={'y' if dups else 'n'}")
            again = await ask(target, If_None_Match=fields["etag"], **BEARER)
            assert (again[0], again[2]) == (304, b"")
            head = await ask(target, "HEAD", **BEARER)
            assert (head[0], head[2], head[1].get("content-length")) == (200, b"", None)
        assert max(origin.asked[str(cid)] for cid in ZOO.blocks) == 1
        status, fields, body, _ = await ask(f"/ipfs/{ZOO.root}/wide/file 7.txt?format=raw")
        assert (status, body) == (200, ZOO.blocks[at("wide/file 7.txt")].data)
        assert fields["x-ipfs-roots"] == ",".join(map(str, (ZOO.root, at("wide"), at("wide/file 7.txt"))))

    play(tmp_path, act)


REFUSED = [
    ("no such name", "/absent?format=car", {}, 404),
    ("no such field", "/document.json/absent?format=raw", {}, 404),
    ("a bad scope", "?format=car&dag-scope=x", {}, 400),
    ("a bad range", "/big?format=car&entity-bytes=2:1", {}, 400),
    ("another format", "/big?format=tar", {}, 406),
    ("no format", "/big", {}, 406),
    ("a loop", "/big?format=car", {"CDN_Loop": 'x, rim; node="edge-1"'}, 508),
    ("a strange tier", "/big?format=car", {"Rim_Tier": "0"}, 400),
    ("a path of 1,025 names", f"{'/a' * 1025}?format=car", {}, 502),
]


def test_what_is_refused(tmp_path: Path) -> None:
    """With a status, before a byte."""

    async def act(ask: Ask, node_: Node, origin: TinyOrigin) -> None:
        for name, path, headers, status in REFUSED:
            assert (await ask(f"/ipfs/{ZOO.root}{path}", **headers))[0] == status, name

    play(tmp_path, act)


def test_control_blocks_below_a_root_need_the_token(tmp_path: Path) -> None:
    """On a path and in a CAR: without the node token they are as if they were not, on loopback too."""

    async def act(ask: Ask, node_: Node, origin: TinyOrigin) -> None:
        document = at("document")
        assert (await ask(f"/ipfs/{document}?format=car"))[0] == 401
        for path in ("document", "document/files/single"):
            assert (await ask(f"/ipfs/{ZOO.root}/{path}?format=car"))[0] == 404
            assert (await ask(f"/ipfs/{ZOO.root}/{path}?format=raw"))[0] == 404
            assert (await ask(f"/ipfs/{ZOO.root}/{path}?format=raw", **BEARER))[0] == 200
        status, _, body, whole = await ask(f"/ipfs/{ZOO.root}?format=car")
        assert (status, whole) == (200, False)
        assert document not in body
        assert ZOO.blocks[document].data not in body
        assert (await ask(f"/ipfs/{ZOO.root}/wide?format=car"))[3] is True

    play(tmp_path, act)


def test_a_car_that_lacks_a_block_is_cut(tmp_path: Path) -> None:
    """Nobody has it: the answer breaks off, and its beginning is right; a range that does not need it is whole."""
    blocks = Blocks()
    leaves = [Block.make(RAW, bytes((number,)) * 100_000) for number in range(8)]
    for leaf in leaves:
        blocks.emit(leaf)
    size = sum(len(leaf.data) for leaf in leaves)
    top = node(blocks, [PBLink("", leaf.cid, 1) for leaf in leaves], Data(FILE, None, size, (100_000,) * 8))

    async def act(ask: Ask, node_: Node, origin: TinyOrigin) -> None:
        origin.lacking.add(leaves[6].cid)
        status, _, body, whole = await ask(f"/ipfs/{top}?format=car")
        assert (status, whole) == (200, False)
        sent = [block.cid for block in car.Reader().feed(body)]
        assert sent == [top, *(leaf.cid for leaf in leaves[:6])][: len(sent)]
        assert (await ask(f"/ipfs/{top}?format=car&entity-bytes=0:599999"))[3] is True
        assert (await ask(f"/ipfs/{leaves[6].cid}?format=car"))[0] == 404

    play(tmp_path, act, blocks)


def test_only_if_cached_asks_nobody(tmp_path: Path) -> None:
    """A CAR of what lies here is sent; of what does not, a status."""

    async def act(ask: Ask, node_: Node, origin: TinyOrigin) -> None:
        target = f"/ipfs/{ZOO.root}/inner?format=car"
        assert (await ask(target, Cache_Control="only-if-cached"))[0] == 504
        assert not origin.asked[str(ZOO.root)]
        whole = await ask(target)
        asked = origin.asked.copy()
        assert (await ask(target, Cache_Control="only-if-cached"))[2] == whole[2]
        assert origin.asked == asked

    play(tmp_path, act)


def test_a_bomb_is_read_as_far_as_its_reader_goes(tmp_path: Path) -> None:
    """2^40 times a leaf: 41 sections without doubles; with them a reader that leaves ends it, and others are served."""
    blocks = Blocks()
    top = doubling(blocks, 40)

    async def act(ask: Ask, node_: Node, origin: TinyOrigin) -> None:
        _, _, body, whole = await ask(f"/ipfs/{top}?format=car&dag-scope=entity")
        assert whole
        assert len(car.read(body)[1]) == 41
        async with (
            aiohttp.ClientSession(node_.private_url) as session,
            session.get(f"/ipfs/{top}?format=car&car-dups=y") as answer,
        ):
            got = 0
            while got < 1 << 22:
                got += len(await answer.content.readany())
            assert (await ask("/healthz"))[2] == b"ok\n"
        assert (await ask(f"/ipfs/{top}?format=raw"))[0] == 200

    play(tmp_path, act, blocks)


@pytest.mark.parametrize("data", [b"\xff", b"\x12\x00"])
def test_what_does_not_decode(tmp_path: Path, data: bytes) -> None:
    """On the way: 502. At the end of the way it is a block like any other."""
    blocks = Blocks()
    broken = Block.make(DAG_PB, data)
    blocks.emit(broken)

    async def act(ask: Ask, node_: Node, origin: TinyOrigin) -> None:
        assert (await ask(f"/ipfs/{broken.cid}/a?format=car"))[0] == 502
        assert (await ask(f"/ipfs/{broken.cid}?format=raw"))[2] == data
        assert (await ask(f"/ipfs/{broken.cid}?format=car&dag-scope=block"))[3] is True
        assert (await ask(f"/ipfs/{broken.cid}?format=car"))[3] is False

    play(tmp_path, act, blocks)
