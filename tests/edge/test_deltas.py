"""Deltas over the wire: who says what he has gets the difference, and everyone else what he always got."""

from __future__ import annotations

import asyncio
import base64
import os
import random
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
import zstandard

from content import tree
from content.catalog import WHOLE, Alias, Retained, Rollout
from content.cid import CID, RAW
from content.headers import HeaderTable
from content.headers import parse as parse_headers
from content.naming import is_hash_named
from content.release import Release, Rules
from content.walk import drive
from edge.browsers.dcz import compress
from edge.browsers.deltas import BASES, NICENESS, QUEUE
from edge.http.dictionary import MAGIC
from edge.node import Node
from tests.edge.origin import TinyOrigin
from tests.edge.sites import File, World
from tests.edge.wire import Got, edge, fetch

MiB = 1 << 20
OLD_PATH, NEW_PATH = "/assets/app-AAAAaaa1.js", "/assets/app-BBBBbbb2.js"
BROWSER = "gzip, deflate, br, zstd, dcb, dcz"
RULES = "/data.json\n  Cache-Control: public, max-age=600\n/none-8f3a9c1e.js\n  ! Use-As-Dictionary\n"
Play = Callable[[Node, TinyOrigin, World], Awaitable[None]]


def script(seed: int, size: int) -> bytes:
    """Text that compresses as code does, and not like another seed's."""
    rng = random.Random(seed)
    words = [bytes(rng.choices(b"abcdefghijklmnopqrstuvwxyz", k=rng.randint(3, 9))) for _ in range(2_000)]
    made = bytearray()
    while len(made) < size:
        made += rng.choice(words) + rng.choice((b"(", b") ", b";\n", b"=", b"."))
    return bytes(made[:size])


OLD = script(1, 30_000)
NEW = OLD[:20_000] + b"let changed=1;" + OLD[20_100:]
DATA = b'{"a": "' + script(5, 4_000) + b'"}'
V1: dict[str, File] = {
    "index.html": b"<!doctype html><script src=assets/app-AAAAaaa1.js></script>",
    "assets/app-AAAAaaa1.js": OLD,
    "data.json": DATA,
    "picture-8f3a9c1e.png": b"\x89PNG" + OLD[:2_000],
    "none-8f3a9c1e.js": OLD[:3_000],
    "small-8f3a9c1e.js": OLD[:500],
}
V2: dict[str, File] = {
    **{path: body for path, body in V1.items() if path != "assets/app-AAAAaaa1.js"},
    "index.html": b"<!doctype html><script src=assets/app-BBBBbbb2.js></script>",
    "assets/app-BBBBbbb2.js": NEW,
    "data.json": DATA.replace(b"{", b'{"b": 2, '),
}


def digest(data: bytes) -> str:
    """Available-Dictionary for who has this."""
    return f":{base64.b64encode(sha256(data).digest()).decode()}:"


def has(data: bytes, accept: str = BROWSER, **fields: str) -> dict[str, str]:
    return {"Available_Dictionary": digest(data), "Accept_Encoding": accept, **fields}


def decoded(got: Got, base: bytes) -> bytes:
    """What a browser makes of a delta."""
    assert got.headers["content-encoding"] == "dcz"
    assert got.body.startswith(MAGIC + sha256(base).digest())
    words = zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    return zstandard.ZstdDecompressor(dict_data=words).decompress(got.body[40:])


def two_deploys(name: str = "demo", v1: Mapping[str, File] = V1, v2: Mapping[str, File] = V2) -> World:
    """A World in which one release followed another, and browsers have files of both."""
    world = World()
    deploy(world, name, v1)
    deploy(world, name, v2)
    return world


def deploy(world: World, name: str, files: Mapping[str, File]) -> None:
    """What a publish leaves: the release, the attic of those before, the bases."""
    made, _ = parse_headers(RULES)
    site = world.publish(name, files, rules=Rules(headers=HeaderTable(made).to_value()))
    lent = {}
    for item in reversed(site.retained[1:]):
        index = Release.from_block(world.store.get(item.release)).index
        rows = drive(tree.rows(index), world.store.get)
        lent |= {path: row for path, row in rows if is_hash_named(path) and path[1:] not in files}
    world.put(replace(site, attic=tree.build(sorted(lent.items()), world.store.emit)))
    world.remember_bases(name)


def play(folder: Path, act: Play, world: World | None = None) -> None:
    async def run() -> None:
        truth = world or two_deploys()
        async with edge(folder, truth) as (node, origin):
            node.deltas.patience = 60.0  # on a busy machine too
            await act(node, origin, truth)

    asyncio.run(run())


def counts(node: Node) -> dict[str, int]:
    return {"made": node.deltas.counts.made, **node.deltas.counts.missed}


def of_the_app(node: Node, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The targets that the app is asked for from now on: what is not among them, the hot path answered."""
    asked: list[bytes] = []
    told = node.site_app._told

    async def heard(request: object) -> object:
        asked.append(request.raw_target)  # type: ignore[attr-defined]
        return await told(request)  # type: ignore[arg-type]

    monkeypatch.setattr(node.site_app, "_told", heard)
    return asked


def test_who_has_the_old_file_gets_the_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old file says what it is a dictionary for; the new one comes as a delta, made once, and from then on is a
    ready answer like any."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        old = await fetch(node, OLD_PATH, Accept_Encoding=BROWSER)
        assert old.headers["use-as-dictionary"] == 'match="/assets/app-*.js"'
        plain = await fetch(node, NEW_PATH, Accept_Encoding=BROWSER)
        first = await fetch(node, NEW_PATH, **has(OLD))
        assert (first.status, decoded(first, OLD)) == (200, NEW)
        assert len(first.body) * 8 < len(plain.body)
        assert first.headers["content-length"] == str(len(first.body))
        assert first.headers["etag"] == f'"{CID.of(RAW, NEW)}.{sha256(OLD).hexdigest()[:16]}.dcz"'
        for name in ("vary", "cache-control", "content-type", "use-as-dictionary", "access-control-allow-origin"):
            assert first.headers[name] == plain.headers[name] == old.headers[name]
        assert first.headers["vary"] == "Accept-Encoding, Available-Dictionary"
        asked = of_the_app(node, monkeypatch)
        again = await fetch(node, NEW_PATH, **has(OLD))
        assert (again.body, again.headers["etag"]) == (first.body, first.headers["etag"])
        assert again.outcome == "memory"
        assert (await fetch(node, NEW_PATH, Accept_Encoding=BROWSER)).body == plain.body
        assert not asked
        assert counts(node) == {"made": 1}
        told = node.numbers.values()
        assert (told["rim_deltas_made_total"], told["rim_deltas_made_bytes_total"]) == (1, len(first.body))
        assert (told["rim_delta_answers_total"], told["rim_delta_answer_bytes_total"]) == (2, 2 * len(first.body))
        assert node.answers.counts.statuses == {200: 5}

    play(tmp_path, act)


CHOICES = [
    ("gzip, br, zstd, dcz", "dcz"),
    ("dcz", "dcz"),
    ("DCZ", "dcz"),
    ("dcz, identity;q=0", "dcz"),
    ("dcz;q=0.5, *;q=0", "dcz"),
    ("br, dcz;q=0", "br"),
    ("br, dcz;q=0.9", "br"),
    ("br;q=0.9, dcz", "dcz"),
    ("dcz;q=0", None),
    ("dcz;q=2, gzip", "gzip"),
    ("br", "br"),
    ("*", "br"),  # it is of no use without a dictionary: who can has to say so
    ("dcb", None),
    ("", None),
]


def test_the_request_chooses_among_all_codings(tmp_path: Path) -> None:
    """q-values as ever (§12.5.3); dcz must be named; the same from the app and from memory, to GET and to HEAD."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        for accept, coding in CHOICES:
            said = set()
            for method, close in (("GET", {"Connection": "close"}), ("GET", {}), ("HEAD", {}), ("HEAD", {})):
                got = await fetch(node, NEW_PATH, method=method, **has(OLD, accept), **close)
                assert (got.status, got.headers.get("content-encoding")) == (200, coding), (accept, method)
                said.add((got.headers["content-length"], got.headers["etag"], got.headers["vary"]))
            assert len(said) == 1, accept
        assert (await fetch(node, NEW_PATH, **has(OLD, "dcz;q=0, identity;q=0"))).status == 406
        assert counts(node) == {"made": 1}

    play(tmp_path, act)


def test_a_head_before_any_get_says_what_the_get_will(tmp_path: Path) -> None:
    """§9.3.2: HEAD has GET's fields, so the delta is made for it too."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        head = await fetch(node, NEW_PATH, method="HEAD", **has(OLD))
        got = await fetch(node, NEW_PATH, **has(OLD))
        for name in ("content-encoding", "content-length", "etag", "vary", "accept-ranges"):
            assert head.headers[name] == got.headers[name]

    play(tmp_path, act)


def test_who_has_the_file_itself_gets_a_304(tmp_path: Path) -> None:
    """A reload: the browser names the tag of what it has, and that very file as its dictionary. Nothing is made."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        tag = (await fetch(node, NEW_PATH, Accept_Encoding=BROWSER)).headers["etag"]
        for data in (NEW, OLD):
            for close in ({}, {"Connection": "close"}):
                same = await fetch(node, NEW_PATH, **has(data, If_None_Match=tag), **close)
                assert (same.status, same.headers["etag"]) == (304, tag)
        assert counts(node) == {"made": 0}
        await fetch(node, NEW_PATH, **has(OLD))
        assert (await fetch(node, NEW_PATH, **has(OLD, If_None_Match=tag))).headers["etag"] == tag

    play(tmp_path, act)


def test_conditions_and_ranges(tmp_path: Path) -> None:
    """A delta has a tag of its own, that is unchanged for who has the same base; a part is of the plain bytes."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        part = await fetch(node, NEW_PATH, **has(OLD, Range="bytes=20000-20013"))
        assert (part.status, part.body) == (206, b"let changed=1;")
        assert "content-encoding" not in part.headers
        assert part.headers["vary"] == "Accept-Encoding, Available-Dictionary"
        assert counts(node) == {"made": 0}  # nobody asked for it
        tag = (await fetch(node, NEW_PATH, **has(OLD))).headers["etag"]
        for close in ({}, {"Connection": "close"}):
            same = await fetch(node, NEW_PATH, **has(OLD, If_None_Match=f'"x", W/{tag}'), **close)
            assert (same.status, same.headers["etag"], same.body) == (304, tag, b"")
            assert same.headers["vary"] == "Accept-Encoding, Available-Dictionary"
            other = await fetch(node, NEW_PATH, Accept_Encoding=BROWSER, If_None_Match=tag, **close)
            assert (other.status, other.headers["content-encoding"]) == (200, "br")  # it cannot read the one it has
            holds = await fetch(node, NEW_PATH, If_Match=tag, **close)
            assert holds.status == 200
            assert (await fetch(node, NEW_PATH, If_Match=f"W/{tag}", **close)).status == 412
        elsewhere = f'"{CID.of(RAW, NEW)}.0123456789abcdef.dcz"'  # of a base that another edge knows
        assert (await fetch(node, NEW_PATH, If_Match=elsewhere)).status == 200
        assert (await fetch(node, OLD_PATH, If_Match=elsewhere)).status == 412
        late = await fetch(node, NEW_PATH, **has(OLD, Range="bytes=0-1", If_Range=tag))
        assert (late.status, decoded(late, OLD)) == (200, NEW)  # the tag of no plain bytes: the whole

    play(tmp_path, act)


MALFORMED = ["", ":", "::", ":AAAA:", digest(OLD)[:-1], digest(OLD)[1:], f'"{digest(OLD)[1:-1]}"', "x" * 500, "?1"]
MALFORMED += [digest(OLD).replace("=", ""), f"{digest(OLD)}, {digest(OLD)}", f":{sha256(OLD).hexdigest()}:"]


def test_what_is_no_dictionary_of_this_site_is_ordinary_and_costs_nothing(tmp_path: Path) -> None:
    """A field that is none; a digest in no base, of another site's file, of a file that is too small or is a picture:
    the answer of before, and nothing compressed."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        plain = await fetch(node, NEW_PATH, Accept_Encoding=BROWSER)
        for value in MALFORMED:
            got = await fetch(node, NEW_PATH, Accept_Encoding=BROWSER, Available_Dictionary=value)
            assert (got.status, got.body) == (200, plain.body), value
        assert counts(node) == {"made": 0}  # not even looked for
        strange = [b"of nobody", b"of another site" * 500, V1["small-8f3a9c1e.js"], V1["picture-8f3a9c1e.png"]]
        for number, data in enumerate(strange, 1):
            assert isinstance(data, bytes)
            for _ in range(2):
                got = await fetch(node, NEW_PATH, **has(data))
                assert (got.body, got.headers["etag"]) == (plain.body, plain.headers["etag"])
            assert counts(node) == {"made": 0, "unknown": number}  # looked for once
        with_parameter = await fetch(node, NEW_PATH, **has(OLD, Available_Dictionary=f"{digest(OLD)};a=1"))
        assert with_parameter.headers["content-encoding"] == "dcz"

    world = two_deploys()
    deploy(world, "other", {"assets/app-CCCCccc3.js": b"of another site" * 500})
    play(tmp_path, act, world)


def test_which_answers_speak_of_dictionaries(tmp_path: Path) -> None:
    """Those that stay fresh and are worth it, and no others: a page, a picture, a small file and a preview say nothing;
    a fixed name that a rule keeps fresh is its own pattern; a site can forbid it."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        for path, host, match in (
            (NEW_PATH, "demo", "/assets/app-*.js"),
            ("/data.json", "demo", "/data.json"),
            ("/none-8f3a9c1e.js", "demo", None),
            ("/", "demo", None),
            ("/picture-8f3a9c1e.png", "demo", None),
            ("/small-8f3a9c1e.js", "demo", None),
            ("/nope", "demo", None),
            (NEW_PATH, "pr--demo", None),
        ):
            got = await fetch(node, path, f"{host}.localhost", **has(OLD))
            assert got.headers.get("use-as-dictionary") == (None if match is None else f'match="{match}"'), path
            varies = "Available-Dictionary" in got.headers.get("vary", "")
            assert varies == (match is not None or path.startswith("/none")), path
        assert decoded(await fetch(node, "/data.json", **has(DATA)), DATA) == V2["data.json"]
        assert (await fetch(node, NEW_PATH, "pr--demo.localhost", **has(OLD))).headers["content-encoding"] == "br"

    world = two_deploys()
    live = world.sites["demo"].live
    assert live is not None
    world.change("demo", aliases={"pr": Alias(live.release, 1, 0)})
    play(tmp_path, act, world)


def test_explain_tells_of_pairs(tmp_path: Path) -> None:
    """The pattern, the bases that it fits, newest first, and how large the deltas are that this edge has made."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        sent = await fetch(node, NEW_PATH, **has(OLD))
        told = await node.explainer.explain(f"http://demo.localhost{NEW_PATH}")
        assert told["dictionary"] == {"match": "/assets/app-*.js"}
        new, old = told["bases"]
        assert (new["base"], new["generation"], new["size"], "delta" in new) == (NEW_PATH, 2, len(NEW), False)
        assert (old["base"], old["sha256"]) == (OLD_PATH, sha256(OLD).hexdigest())
        assert old["delta"] == len(sent.body)
        assert "bases" not in await node.explainer.explain("http://demo.localhost/picture-8f3a9c1e.png")

    play(tmp_path, act)


def test_files_of_several_blocks(tmp_path: Path) -> None:
    """A base and a file of more than 1 MiB, whose blocks lie at the origin: one delta, and where they came from."""
    old = script(7, MiB + 100_000)
    new = old[:MiB] + b"// a line more\n" + old[MiB:]

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        got = await fetch(node, NEW_PATH, **has(old))
        assert (decoded(got, old), got.outcome) == (new, "origin")
        assert len(got.body) < 2_000

    play(tmp_path, act, two_deploys("demo", {OLD_PATH[1:]: old}, {NEW_PATH[1:]: new}))


def test_a_file_of_very_many_blocks_has_no_delta(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """8 MiB may be cut into as many leaves (here 2, where 1 is the most), and to list those would hold up everyone."""
    monkeypatch.setattr("edge.browsers.deltas.LEAVES", 1)
    old = script(7, MiB + 100_000)

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        for _ in range(2):
            assert (await fetch(node, NEW_PATH, **has(old))).headers["content-encoding"] != "dcz"
        assert counts(node) == {"made": 0, "unfit": 1}

    play(tmp_path, act, two_deploys("demo", {OLD_PATH[1:]: old}, {NEW_PATH[1:]: old + b"// more"}))


def test_a_delta_that_is_not_smaller_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files that have nothing in common: the smallest coding wins, from memory too, and the pair is tried once."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        assert (await fetch(node, NEW_PATH, **has(OLD))).headers["content-encoding"] == "br"
        asked = of_the_app(node, monkeypatch)
        assert (await fetch(node, NEW_PATH, **has(OLD))).headers["content-encoding"] == "br"
        assert not asked
        assert counts(node) == {"made": 1, "larger": 1}

    play(tmp_path, act, two_deploys("demo", {OLD_PATH[1:]: OLD}, {NEW_PATH[1:]: script(99, 30_000)}))


def test_a_flip_ends_what_was_known(tmp_path: Path) -> None:
    """A third deploy: what was known is gone with its bytes; both old files are bases of the new one."""
    third = NEW.replace(b"changed=1", b"changed=2")

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        first = await fetch(node, NEW_PATH, **has(OLD))
        assert CID.of(RAW, first.body) in node.loader.memory
        deploy(world, "demo", {**V2, "assets/app-CCCCccc3.js": third})
        await origin.serving(await origin.sign())
        assert CID.of(RAW, first.body) not in node.loader.memory
        assert not node.deltas._known
        for base in (OLD, NEW):
            assert decoded(await fetch(node, "/assets/app-CCCCccc3.js", **has(base)), base) == third

    play(tmp_path, act)


def test_a_purged_base_is_none(tmp_path: Path) -> None:
    """The origin takes what a purge covers out of the bases; what was made of it before is gone with its view."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        first = await fetch(node, NEW_PATH, **has(OLD))
        assert first.headers["content-encoding"] == "dcz"
        world.purge("demo", "path", OLD_PATH)
        world.change("demo", bases=world.store.bases(world.sites["demo"].retained[:1]))
        await origin.serving(await origin.sign())
        assert CID.of(RAW, first.body) not in node.loader.memory
        assert (await fetch(node, NEW_PATH, **has(OLD))).headers["content-encoding"] == "br"
        assert (await fetch(node, NEW_PATH, **has(NEW))).headers["content-encoding"] == "dcz"

    play(tmp_path, act)


def test_what_is_denied_is_neither_base_nor_sent(tmp_path: Path) -> None:
    """A base by its hash or by its path: ordinary coding. The new file: denied, whatever one has."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        assert (await fetch(node, NEW_PATH, **has(OLD))).headers["content-encoding"] == "dcz"
        world.deny(f"/ipfs/{CID.of(RAW, OLD)}")
        await origin.serving(await origin.sign())
        assert (await fetch(node, NEW_PATH, **has(OLD))).headers["content-encoding"] == "br"
        world.denied.clear()
        await origin.serving(await origin.sign())
        assert (await fetch(node, NEW_PATH, **has(OLD))).headers["content-encoding"] == "dcz"
        world.deny(f"/ipns/demo.localhost{OLD_PATH}")
        await origin.serving(await origin.sign())
        assert (await fetch(node, NEW_PATH, **has(OLD))).headers["content-encoding"] == "br"
        world.deny(f"/ipfs/{CID.of(RAW, NEW)}")
        await origin.serving(await origin.sign())
        assert (await fetch(node, NEW_PATH, **has(OLD))).status == 410

    play(tmp_path, act)


def test_visitors_of_a_rollout_and_files_of_old_releases(tmp_path: Path) -> None:
    """What is immutable is the same for all, so a rolled-out file comes as a delta too; and one of the attic does."""
    tried = NEW.replace(b"changed=1", b"changed=9")

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        got = await fetch(node, "/assets/app-DDDDddd4.js", **has(NEW, Cookie="rim_visitor=somebody-8"))
        assert decoded(got, NEW) == tried
        assert got.headers["cache-control"] == "public, max-age=31536000, immutable"
        old = await fetch(node, OLD_PATH, **has(NEW))
        assert decoded(old, NEW) == OLD
        page = await fetch(node, "/data.json", **has(b"x" * 600))
        assert "use-as-dictionary" not in page.headers  # personal: fresh for one visitor alone
        assert page.headers["cache-control"].startswith("private")

    world = two_deploys()
    site = world.sites["demo"]
    release = world.store.release({**V2, "assets/app-DDDDddd4.js": tried})
    attic = world.store.index({OLD_PATH[1:]: OLD, "assets/app-DDDDddd4.js": tried})  # tried ones are kept too
    world.change("demo", attic=attic, rollout=Rollout(Retained(release, site.generation + 1, 0), WHOLE))
    play(tmp_path, act, world)


def test_a_delta_pushed_out_of_memory_is_made_again(tmp_path: Path) -> None:
    """Its bytes are like any block's: they may leave, and the next who asks has them made again."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        first = await fetch(node, NEW_PATH, **has(OLD))
        tag = first.headers["etag"]
        for number in (2, 3):
            node.loader.memory.drop(CID.of(RAW, first.body))
            assert (await fetch(node, NEW_PATH, **has(OLD, If_None_Match=tag))).status == 304  # needs no bytes
            assert counts(node) == {"made": number - 1}
            assert (await fetch(node, NEW_PATH, **has(OLD))).body == first.body
            assert counts(node) == {"made": number}

    play(tmp_path, act)


class Gate:
    """Compression that waits for a sign."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened, self.reached, self.begun = threading.Event(), threading.Event(), 0
        monkeypatch.setattr("edge.browsers.deltas.compress", self.compress)

    def compress(self, *said: bytes) -> tuple[bytes, float]:
        self.begun += 1
        self.reached.set()
        assert self.opened.wait(60)
        return compress(*said)  # type: ignore[arg-type]


def test_many_who_ask_at_once_are_one_compression(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty visitors with the same old file: made once, and all get it."""
    gate = Gate(monkeypatch)

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        asking = [asyncio.create_task(fetch(node, NEW_PATH, **has(OLD))) for _ in range(20)]
        await asyncio.to_thread(gate.reached.wait)
        while node.deltas._flight.shared < 19:
            await asyncio.sleep(0)
        gate.opened.set()
        assert {(await task).headers["content-encoding"] for task in asking} == {"dcz"}
        assert gate.begun == 1

    play(tmp_path, act)


def test_who_would_wait_too_long_gets_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A visitor waits for a moment, then he gets the ordinary coding; one who comes after that moment does not wait at
    all; the delta is there for the next."""
    gate = Gate(monkeypatch)

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        node.deltas.patience = 0.0
        for late in (1, 2):
            assert (await fetch(node, NEW_PATH, **has(OLD))).headers["content-encoding"] == "br"
            assert counts(node) == {"made": 0, "late": late}
        gate.opened.set()
        while node.deltas.counts.made == 0 or node.deltas._begun:
            await asyncio.sleep(0.01)
        assert (await fetch(node, NEW_PATH, **has(OLD))).headers["content-encoding"] == "dcz"

    play(tmp_path, act)


def test_a_full_queue_turns_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many pairs wait, and no more, in number as in bytes: whoever comes then gets the ordinary coding at once."""
    gate = Gate(monkeypatch)
    names = [f"assets/f{number:02}-8f3a9c1e.js" for number in range(QUEUE + 1)]

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        paths = [f"/{name}" for name in names]
        asking = [asyncio.create_task(fetch(node, path, **has(OLD))) for path in paths[:QUEUE]]
        while len(node.deltas._begun) < QUEUE:
            await asyncio.sleep(0.01)
        assert (await fetch(node, paths[-1], **has(OLD))).headers["content-encoding"] == "br"
        assert counts(node) == {"made": 0, "busy": 1}
        gate.opened.set()
        got = {(await task).headers["content-encoding"] for task in asking}
        assert got == {"dcz"}, (counts(node), node.loader.pressure, node.loader.counts)
        gate.opened.clear()
        monkeypatch.setattr("edge.browsers.deltas.QUEUE_BYTES", 3 * len(OLD))
        gate.reached.clear()
        first = asyncio.create_task(fetch(node, paths[0], **has(NEW)))
        await asyncio.to_thread(gate.reached.wait)
        assert (await fetch(node, paths[1], **has(NEW))).headers["content-encoding"] == "br"
        gate.opened.set()
        assert (await first).headers["content-encoding"] == "dcz"

    v2 = {name: NEW + b"// %d" % number for number, name in enumerate(names)}
    play(tmp_path, act, two_deploys("demo", {OLD_PATH[1:]: OLD, NEW_PATH[1:]: NEW}, v2))


def test_a_base_that_cannot_be_had(tmp_path: Path) -> None:
    """One that the origin has lost is tried once; while nobody can be asked, nobody waits for it a second time."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        origin.lacking.add(CID.of(RAW, OLD))
        for _ in range(2):
            assert (await fetch(node, NEW_PATH, **has(OLD))).headers["content-encoding"] == "br"
        assert counts(node) == {"made": 0, "unavailable": 1}
        await fetch(node, "/data.json", Accept_Encoding=BROWSER)
        await origin.stop()
        for number in (2, 3):
            assert (await fetch(node, "/data.json", **has(DATA))).headers["content-encoding"] != "dcz"
            assert counts(node) == {"made": 0, "unavailable": number}

    play(tmp_path, act)


def test_a_row_that_lies_about_its_bytes_makes_no_delta(tmp_path: Path) -> None:
    """A base of two blocks whose SHA-256 is another than its row says: what a browser made of that delta would not be
    the file. And a row under a key that is not its own."""
    large = OLD * (2 * MiB // len(OLD))

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        for number, data in enumerate((b"not what lies there", b"nor there"), 1):
            assert (await fetch(node, NEW_PATH, **has(data))).headers["content-encoding"] == "br"
            assert counts(node) == {"made": 0, "unfit": number}

    world = two_deploys()
    lies, other = (sha256(data).hexdigest() for data in (b"not what lies there", b"nor there"))
    row = replace(world.store.asset("/x.js", large), sha256=lies).to_row()
    rows = sorted([(lies + "/x.js", row), (other + OLD_PATH, world.store.asset(OLD_PATH, OLD).to_row())])
    world.change("demo", bases=tree.build(rows, world.store.emit))
    play(tmp_path, act, world)


def test_invented_digests_are_bounded_and_cost_no_delta(tmp_path: Path) -> None:
    """Whoever invents digests fills what is known of a file, and pushes out no delta that was made."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        await fetch(node, NEW_PATH, **has(OLD))
        for number in range(3 * BASES):
            await fetch(node, NEW_PATH, **has(b"%d" % number))
        view = node.router.sites["demo"]
        known = node.deltas.of(view, CID.of(RAW, NEW))
        assert len(known) == BASES == node.deltas._pairs
        assert known[sha256(OLD).digest()] is not None

    play(tmp_path, act)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere niceness is the process's")
def test_making_deltas_gives_way_to_all_else(tmp_path: Path) -> None:
    """One pair after the other may be asked for without end: the thread that makes them is nicer than the loop's."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        await fetch(node, NEW_PATH, **has(OLD))
        (thread,) = (it for it in threading.enumerate() if it in node.deltas._thread._threads)
        assert thread.native_id is not None
        theirs, ours = (os.getpriority(os.PRIO_PROCESS, tid) for tid in (thread.native_id, threading.get_native_id()))
        assert theirs == max(ours, NICENESS)

    play(tmp_path, act)
