"""Hostile content at a real edge: an origin signs it, a gateway hands it out. Bounded answers, bounded memory.

Actors: an edge process with little memory; an origin whose key the edge trusts and whose publishers mean harm; an
outside gateway that has every block that harm was made of. The edge shows the content as sites and as a gateway. Not
here: what an honest origin refuses to take in (test_hostile_uploads), peers that lie (tests/stories/test_liar), the
walks by themselves (tests/content, tests/fuzz).
"""

from __future__ import annotations

import asyncio
import http.client
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from content import ipns, tree
from content.block import Block
from content.catalog import Retained, Site
from content.cid import CID, DAG_CBOR, DAG_PB, RAW, write_varint
from content.dagpb import DIRECTORY, Data
from content.limits import IPNS_RECORD
from content.release import Asset, Release
from tests.edge.origin import TOKEN, TinyOrigin
from tests.edge.sites import World
from tests.edge.standing import standing
from tests.kit import bombs
from tests.kit.evilpeer import EvilPeer
from tests.kit.memory import MiB, peak
from tests.kit.nodes import Answer, Edge, fetch

MOST = 200 * MiB
MILLION = 1_000_000
GATEWAY = "gw.localhost"
SLOWEST = 60.0  # s: a hang, where an answer should be


class Blocks(dict[bytes, Block]):
    """What the origin has, and what it makes when asked."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[Callable[[CID], Block | None]] = []

    def get(self, key: bytes, default: Any = None) -> Any:
        found = super().get(key)
        if found is not None:
            return found
        cid = CID(bytes((1, DAG_CBOR if key[:1] == b"c" else DAG_PB)) + key[1:])
        return next((block for source in self.sources if (block := source(cid)) is not None), default)


@dataclass
class Play:
    """The edge, and whom it believes."""

    edge: Edge
    world: World
    origin: TinyOrigin
    elsewhere: Blocks  # what the outside gateway has
    do: Callable[[Any], Any]  # run a coroutine where the origin lives

    @property
    def emit(self) -> Callable[[Block], None]:
        return self.world.store.emit

    def publish(self, name: str, files: dict[str, Asset]) -> None:
        """A site whose Index has these rows, whatever its Root."""
        rows = sorted((f"/{path}", asset.to_row()) for path, asset in files.items())
        index = tree.build(rows, self.emit)
        root = bombs.node([], Data(DIRECTORY), self.emit)
        self.live(name, Release(root, index, files=len(files)).to_block())

    def live(self, name: str, release: Block) -> None:
        self.emit(release)
        kept = Retained(release.cid, 1, 0)
        self.world.put(Site(name, generation=1, live=kept, retained=(kept,)))

    def serve(self) -> None:
        """Sign what there is, and wait until the edge serves it."""
        sequence = self.do(self.origin.sign())
        self.do(self.origin.serving(sequence))

    def get(self, path: str, headers: dict[str, str] | None = None, site: str = "evil") -> Answer:
        begun = time.monotonic()
        answer = self.edge.get(site, path, headers)
        assert time.monotonic() - begun < SLOWEST
        return answer

    def ipfs(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        port = urlsplit(self.edge.public).port
        return fetch(self.edge.public, path, f"{GATEWAY}:{port}", headers, timeout=SLOWEST)

    def check(self, what: str) -> None:
        """It lives, within its memory, and serves what is good."""
        assert peak(self.edge) <= MOST, (what, peak(self.edge))
        good = self.edge.get("good", "/hello.txt")
        assert (good.status, good.body) == (200, b"hello"), (what, good)


@asynccontextmanager
async def tiny_origin(world: World) -> AsyncIterator[TinyOrigin]:
    origin = await TinyOrigin(world).start()
    try:
        yield origin
    finally:
        await origin.stop()


@contextmanager
def playing(tmp_path: Path, *options: str) -> Iterator[Play]:
    world = World()
    world.store.blocks = Blocks()
    world.publish("good", {"hello.txt": b"hello"})
    world.sign()
    elsewhere = Blocks()
    outside = EvilPeer(source=lambda cid: elsewhere.get(cid.store_key))
    with outside.in_thread(), standing(lambda: tiny_origin(world)) as (origin, loop):
        edge = Edge("edge-1", tmp_path / "edge-1")
        edge.join(
            origin.url, world.name, TOKEN, [edge], "--memory", "32MiB", "--cache", "64MiB", "--gateway", "open",
            "--gateway-hosts", f"{GATEWAY};paths", "--gateways", outside.url, *options,
        )  # fmt: skip

        def do(coroutine: Any) -> Any:
            return asyncio.run_coroutine_threadsafe(coroutine, loop).result(60)

        try:
            edge.start()
            yield Play(edge, world, origin, elsewhere, do)
        finally:
            edge.stop()


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    with playing(tmp_path_factory.mktemp("hostile")) as it:
        yield it
        print(f"\nthe edge's peak: {peak(it.edge) / MiB:.0f} MiB", end="")


def asset(cid: CID, size: int) -> Asset:
    return Asset(cid, size, "00" * 32, "application/octet-stream")


def taken(play: Play, target: str, most: int = 60_000) -> tuple[int, int, bool]:
    """Status, bytes and whether the body came to a clean end, of an answer of which no more is read than this."""
    url = urlsplit(play.edge.public)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=SLOWEST)
    try:
        connection.request("GET", target, headers={"Host": f"{GATEWAY}:{url.port}"})
        response = connection.getresponse()
        promised, got = response.length, 0
        try:
            while got < most and (piece := response.read(4096)):
                got += len(piece)
        except (http.client.IncompleteRead, ConnectionError):
            return response.status, got, False
        return response.status, got, got < most and promised in (None, got)
    finally:
        connection.close()


@dataclass
class Dags:
    """What harm was made of."""

    tops: dict[str, CID]
    chains: dict[str, bombs.Chain]


def make(blocks: Blocks, seed: bytes, *kinds: str) -> Dags:
    """All of it, for somebody who then has the blocks."""

    def emit(block: Block) -> None:
        blocks[block.cid.store_key] = block

    chains = {kind: bombs.Chain(MILLION, kind, seed) for kind in kinds}
    blocks.sources += [chain.get for chain in chains.values()]
    leaf, other, nested = bombs.leaf(b"12345", emit), bombs.leaf(b"other", emit), bombs.nested_cbor(10 * 1024)
    emit(nested)
    identity = CID(bytes((1, RAW, 0)) + write_varint(129) + bytes(129))
    names = [b"a", b"b"]
    tops = {
        **{f"chain of a million {kind}s": chain.top for kind, chain in chains.items()},
        "2^40 bytes in 41 blocks": bombs.doubling_file(40, emit),
        "2^40 files in 41 blocks": bombs.doubling_folder(40, emit),
        "a leaf shorter than is said": bombs.file_node([leaf, other], [5, 9], emit),
        "a leaf longer than is said": bombs.file_node([leaf, other], [5, 3], emit),
        "a sum that is wrong": bombs.file_node([leaf, other], [5, 5], emit, said=11),
        "sizes of 2^63": bombs.file_node([leaf, other], [1 << 63, 1 << 63], emit, said=(1 << 64) - 1),
        "more links than sizes": bombs.file_node([leaf, other], [5], emit),
        "a folder in a file": bombs.file_node([bombs.doubling_folder(1, emit)], [1], emit),
        "an identity CID of 129 bytes": bombs.node([(b"a", identity, 129)], Data(DIRECTORY), emit),
        "10 KiB of 0x81": nested.cid,
        "a HAMT of fan-out 7": bombs.shard(names, emit, fanout=7),
        "a HAMT of fan-out 2048": bombs.shard(names, emit, fanout=2048, used=11),
        "a HAMT whose bitmap lies": bombs.shard(names, emit, extra=1 << 3),
        "a HAMT of another hash": bombs.shard(names, emit, hash_type=0x12),
        "a HAMT whose slots lie": bombs.shard(names, emit, wrong=1),
        "a HAMT below itself": bombs.shard(names, emit, below=bombs.shard(names, emit)),
    }
    return Dags(tops, chains)


@pytest.fixture(scope="module")
def published(play: Play) -> Dags:
    """At the origin, and nowhere else."""
    blocks = play.world.store.blocks
    assert isinstance(blocks, Blocks)
    return make(blocks, b"the end", "file")


@pytest.fixture(scope="module")
def strange(play: Play) -> Dags:
    """At the outside gateway; but DAG-CBOR at the origin, for nobody else is ever asked for that."""
    made = make(play.elsewhere, b"ends elsewhere", "file", "folder")
    blocks = play.world.store.blocks
    assert isinstance(blocks, Blocks)
    made.chains["cbor"] = chain = bombs.Chain(MILLION, "cbor")
    blocks.sources.append(chain.get)
    play.emit(bombs.nested_cbor(10 * 1024))
    made.tops["chain of a million cbors"] = chain.top
    return made


# By site: what the edge was told to publish.

SITE: dict[
    str, tuple[int, int | None, int | None]
] = {  # DAG → size in its row, status of the whole (None: cut), of byte 0
    "chain of a million files": (len(b"the end"), 502, 502),
    "2^40 bytes in 41 blocks": (1 << 40, 502, 206),
    "2^40 files in 41 blocks": (1 << 40, 502, 502),
    "a leaf shorter than is said": (14, None, 206),
    "a leaf longer than is said": (8, None, 206),
    "a sum that is wrong": (10, 502, 502),
    "sizes of 2^63": ((1 << 64) - 1, 502, 502),
    "more links than sizes": (5, 502, 502),
    "a folder in a file": (1, 502, 502),
    "10 KiB of 0x81": (10 * 1024, 502, 502),
}


def test_files_of_a_site(play: Play, published: Dags) -> None:
    """Each file that lies or does not end: 502, or a body that breaks off where the lie is; true bytes where a range
    meets no lie. No more than 1,100 blocks of a chain are asked for."""
    play.publish("evil", {f"{n}": asset(published.tops[name], row[0]) for n, (name, row) in enumerate(SITE.items())})
    play.serve()
    for n, (name, (_, whole, first)) in enumerate(SITE.items()):
        if whole is None:
            with pytest.raises(http.client.IncompleteRead):
                play.get(f"/{n}")
        else:
            assert play.get(f"/{n}").status == whole, name
        answer = play.get(f"/{n}", {"Range": "bytes=0-0"})
        assert answer.status == first, (name, answer)
        assert answer.status != 206 or answer.body in (b"1", b"x"), name
        play.check(name)
    assert play.get("/1", {"Range": f"bytes={1 << 39}-{(1 << 39) + 2}"}).body == b"xxx"
    for kind, chain in published.chains.items():
        assert chain.asked <= 1_100, kind


def test_rows_that_lie_about_sizes(play: Play) -> None:
    """A row of the Index that says one byte more or less than the file has: 502 for the whole and for any part."""
    leaf = bombs.leaf(b"12345", play.emit)
    play.publish("rows", {"more": asset(leaf, 6), "less": asset(leaf, 4), "none": asset(leaf, 0)})
    play.serve()
    for path in ("/more", "/less"):
        for headers in (None, {"Range": "bytes=0-0"}, {"Range": "bytes=-1"}):
            answer = play.get(path, headers, site="rows")
            assert answer.status == 502, (path, headers, answer)
    answer = play.get("/none", site="rows")
    assert (answer.status, answer.body) in ((200, b""), (502, answer.body)), answer
    play.check("rows")


def test_control_blocks_that_do_not_hold(play: Play) -> None:
    """A Site whose Index is arrays in arrays answers 502 itself and no other site is touched; a Release that is so is
    no Head: the edge stays with the one it has."""
    nested = bombs.nested_cbor(10 * 1024)
    play.emit(nested)
    root = bombs.node([], Data(DIRECTORY), play.emit)
    play.live("index", Release(root, nested.cid).to_block())
    play.serve()
    assert play.get("/", site="index").status == 502
    play.check("an Index of 0x81")
    before = play.edge.metric("rim_head_sequence")
    kept = play.world.sites.pop("index")
    assert kept.live is not None
    play.world.put(replace(kept, live=Retained(nested.cid, 2, 0), retained=(Retained(nested.cid, 2, 0),)))
    refused = len(play.origin.head_requests)
    play.do(play.origin.sign())
    _asked_again(play, refused)
    assert play.edge.metric("rim_head_sequence") == before
    play.check("a Release of 0x81")
    play.world.sites.pop("index")
    play.serve()
    play.check("a Head after it")


# By the gateway: content of anybody, from an outside gateway.

REFUSED = (404, 413, 502)
FORMS = ("", "?format=car&dag-scope=entity", "?format=tar", "/a", "/a?format=car")
WHOLE = {  # what is an answer all the same: DAG → forms (raw blocks and CARs of all are, whatever they mean)
    "chain of a million folders": {"", "?format=car&dag-scope=entity", "/a"},
    "2^40 files in 41 blocks": {"", "?format=car&dag-scope=entity", "/a", "/a?format=car"},
    "chain of a million cbors": {"", "?format=car&dag-scope=entity"},
    "10 KiB of 0x81": {"", "?format=car&dag-scope=entity"},
    "2^40 bytes in 41 blocks": {"?format=car&dag-scope=entity"},
    "a HAMT whose slots lie": {"?format=car&dag-scope=entity"},
    "a HAMT below itself": {"?format=car&dag-scope=entity"},
}


def test_dags_at_the_gateway(play: Play, strange: Dags) -> None:
    """Every DAG in every form, its blocks from outside: an answer that is right, a refusal, or a body that breaks off;
    never a clean end of something else, never more than 200 MiB."""
    for name, cid in strange.tops.items():
        assert taken(play, f"/ipfs/{cid}?format=raw")[0] == 200, name
        for form in FORMS:
            status, got, is_whole = taken(play, f"/ipfs/{cid}{form}")
            where = (name, form, status, got)
            assert status in (*REFUSED, 200, 301), where
            if status == 200 and is_whole:
                assert form in WHOLE.get(name, ()), where
            play.check(f"{name}{form}")


def test_streams_without_end(play: Play, strange: Dags) -> None:
    """CARs and TARs that go on for longer than anybody lives: they stream, within the memory, until the reader leaves;
    and a file of 2^40 bytes gives any of them."""
    double, folders = strange.tops["2^40 bytes in 41 blocks"], strange.tops["2^40 files in 41 blocks"]
    for target in (
        f"/ipfs/{double}?format=tar",
        f"/ipfs/{folders}?format=tar",
        f"/ipfs/{double}?format=car&car-dups=y",
        f"/ipfs/{folders}?format=car&car-dups=y",
        f"/ipfs/{strange.tops['chain of a million cbors']}?format=car",
    ):
        status, got, is_whole = taken(play, target, 15_000)
        assert (status, is_whole) == (200, False), target
        assert got >= 15_000, target
        play.check(target)
    for target in (f"/ipfs/{double}?format=car", f"/ipfs/{folders}?format=car"):
        status, got, is_whole = taken(play, target)
        assert (status, is_whole) == (200, True), target
        assert got < 41 * 150, target
    middle = play.ipfs(f"/ipfs/{double}", {"Range": f"bytes={1 << 39}-{(1 << 39) + 9}"})
    assert (middle.status, middle.body) == (206, b"x" * 10)


# By the pointer: records that must not be believed.


def _asked_again(play: Play, count: int) -> None:
    """Wait until the edge has asked for the Head twice more: what it was told before is then judged."""

    async def wait() -> None:
        async with play.origin.reported:
            await play.origin.reported.wait_for(lambda: len(play.origin.head_requests) >= count + 2)

    play.do(wait())


def test_heads_that_must_not_be_believed(play: Play) -> None:
    """Replayed, ended, oversized, with a V1 signature alone, of another key, cut, empty: each is told to the edge as
    the newest, none is taken; the next honest one is."""
    world = play.world
    play.serve()
    old, sequence = world.head, world.sequence
    play.serve()
    assert world.sequence == sequence + 1
    served = play.edge.metric("rim_head_sequence")
    assert served == world.sequence
    honest = world.head
    fields = ipns._read_fields(world.sign())  # one newer, as it would be
    told = world.sequence
    v1 = b"".join(ipns._write_field(n, value) for n, value in sorted(fields.items()) if n not in (8, 9))
    stranger = Ed25519PrivateKey.from_private_bytes(bytes(32))
    newer = world.head
    bad = {
        "replayed": old,
        "V1 alone": v1,
        "another key's": world.sign(key=stranger, sequence=told),
        "ended": world.sign(sequence=told, hours=-1),
        "oversized": newer + ipns._write_field(15, bytes(IPNS_RECORD)),
        "cut": newer[:-1],
        "empty": b"",
    }
    for name, record in bad.items():
        world.head, world.sequence = record, told
        count = len(play.origin.head_requests)
        play.do(play.origin.announce())
        _asked_again(play, count)
        assert play.edge.metric("rim_head_sequence") == served, name
        play.check(name)
    world.head = honest
    play.serve()
    assert play.edge.metric("rim_head_sequence") == world.sequence > served
