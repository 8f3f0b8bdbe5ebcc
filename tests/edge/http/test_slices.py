"""Any object, any Range field: the bytes that are sent are the slices that were asked for.

What was asked is read here a second time, from the RFC's words and not by our own code; so is what was sent. The blocks
that hold no byte asked for are nowhere to be had, so whoever reached for one would fail.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeAlias

from hypothesis import example, given, settings
from hypothesis import strategies as st

from content.block import Block
from content.cid import CID, DAG_PB, RAW
from content.dagpb import FILE, Data, encode_data, encode_link, encode_node
from content.release import Asset
from content.walk import drive, leaves
from edge.bodies import open_body
from edge.cache.disk import DiskTier
from edge.cache.loader import Loader
from edge.cache.memory import Memory
from edge.http.answer import Answer, Asking
from edge.http.ranges import RANGES
from edge.peers.client import PeerClient
from edge.peers.members import Members
from tests.edge.sites import World
from tests.edge.wire import Got, Wire, edge, wire

MiB = 1 << 20
Spec: TypeAlias = tuple[int | None, int | None]  # first-last, first-, -length


def _specs(largest: int) -> st.SearchStrategy[Spec]:
    """Range specs around a file of about this size."""
    position = st.integers(0, largest)
    return st.one_of(
        st.tuples(position, position).map(lambda pair: (min(pair), max(pair))),
        st.tuples(position, st.none()),
        st.tuples(st.none(), position),
    )


def _field(specs: Sequence[Spec]) -> str:
    said = (f"{'' if first is None else first}-{'' if last is None else last}" for first, last in specs)
    return "bytes=" + ",".join(said)


def _named(specs: Sequence[Spec], size: int) -> bytes:
    """A mask over the whole: 1 for each byte that some range names (§14.1.2)."""
    mask = bytearray(size)
    for first, last in specs:
        if first is None:
            _mark(mask, max(0, size - (last or 0)), size)
        else:
            _mark(mask, first, size if last is None else min(last + 1, size))
    return bytes(mask)


def _mark(mask: bytearray, first: int, stop: int) -> None:
    if first < stop:
        mask[first:stop] = b"\1" * (stop - first)


def _slices(status: int, fields: dict[str, str], body: bytes) -> list[tuple[int, int, bytes]]:
    """(first, past the last, bytes) of what a 206 carries, read as §14.6 and RFC 2046 §5.1 have it."""
    assert int(fields["content-length"]) == len(body)
    assert status == 206
    parts = [(fields.get("content-range", ""), body)]
    if boundary := re.fullmatch(r"multipart/byteranges; boundary=([0-9a-z]{1,70})", fields["content-type"]):
        assert "content-range" not in fields
        delimiter = b"\r\n--" + boundary[1].encode()
        before, *pieces, after = (b"\r\n" + body).split(delimiter)
        assert (before, after) == (b"", b"--\r\n")
        heads = [piece.partition(b"\r\n\r\n") for piece in pieces]
        parts = [(head.partition(b"Content-Range: ")[2].decode(), data) for head, _, data in heads]
    found = []
    for said, data in parts:
        numbers = re.fullmatch(r"bytes (\d+)-(\d+)/\d+", said)
        assert numbers is not None
        found.append((int(numbers[1]), int(numbers[2]) + 1, data))
    return found


def _check(specs: Sequence[Spec], whole: bytes, status: int, fields: dict[str, str], body: bytes) -> None:
    """That this is the answer that these ranges of this whole may have."""
    named = _named(specs, len(whole))
    if status == 200:
        assert body == whole
        assert len(specs) > RANGES or not whole  # an empty file has no 206 form
    elif status == 416:
        assert not any(named)
        assert (fields["content-range"], body) == (f"bytes */{len(whole)}", b"")
    else:
        mask, slices = bytearray(len(whole)), _slices(status, fields, body)
        for first, stop, data in slices:
            assert data == whole[first:stop]
            _mark(mask, first, stop)
        assert bytes(mask) == named  # all of them, and no other
        assert sum(stop - first for first, stop, _ in slices) == sum(named)  # and none twice


# Through an Answer and a real loader, for objects of any shape.


def _loader(folder: Path) -> Loader:
    """A loader with nobody around it."""
    return Loader(
        node="edge-1",
        region="eu",
        memory=Memory(64 * MiB),
        disk=DiskTier(folder, 64 * MiB),
        client=PeerClient("edge-1"),
        members=Members(lambda: 0.0),
        origin=None,
    )


def _file(chunks: Sequence[bytes], arity: int) -> tuple[CID, dict[CID, Block]]:
    """A file of these leaves, so many to a node, and its blocks. A publisher of another kind may well make such."""
    leaf_blocks = [Block.make(RAW, chunk) for chunk in chunks]
    made = {block.cid: block for block in leaf_blocks}
    level = [(block.cid, len(block.data)) for block in leaf_blocks]
    while len(level) > 1:
        groups = [level[at : at + arity] for at in range(0, len(level), arity)]
        level = []
        for group in groups:
            sizes = tuple(size for _, size in group)
            data = encode_data(Data(FILE, filesize=sum(sizes), blocksizes=sizes))
            node = Block.make(DAG_PB, encode_node((encode_link(b"", cid, size) for cid, size in group), data))
            made[node.cid] = node
            level.append((node.cid, sum(sizes)))
    return level[0][0], made


def _remember(loader: Loader, top: CID, made: Mapping[CID, Block], named: bytes) -> None:
    """Put a file into memory, but for the leaves that hold none of the bytes named; all, if no byte is."""
    needed = {cid for cid in made if cid.codec != RAW or not any(named)}
    for leaf in drive(leaves(top, 0, len(named)), made.__getitem__):
        if any(named[leaf.start : leaf.stop]):
            needed.add(leaf.cid)
    loader.memory.clear()
    for cid in needed:
        loader.memory.put(cid, made[cid], len(made[cid].data))


async def _told(loader: Loader, chunks: Sequence[bytes], arity: int, specs: Sequence[Spec]) -> None:
    whole = b"".join(chunks)
    top, made = _file(chunks, arity)
    _remember(loader, top, made, _named(specs, len(whole)))
    choice = Answer(Asset(top, len(whole), "", "image/png")).choose(Asking(range=_field(specs).encode()))
    body = (await open_body(loader, choice)).body
    sent = body if isinstance(body, bytes) else b"".join([piece async for piece in body])
    _check(specs, whole, choice.status, {name.decode(): value.decode() for name, value in choice.headers}, sent)


def test_the_bytes_sent_are_the_slices(tmp_path: Path) -> None:
    """Whatever the object and the ranges: every byte named, once, and no block read that holds none of them."""
    with asyncio.Runner() as runner:
        loader = _loader(tmp_path)
        runner.run(loader.disk.open())

        @settings(max_examples=200)
        @given(
            chunks=st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=12) | st.just([b""]),
            arity=st.integers(2, 4),
            specs=st.lists(_specs(60), min_size=1, max_size=RANGES),
        )
        @example(chunks=[b"0123456789"], arity=2, specs=[(0, 0)])
        @example(chunks=[b"01234", b"56789"], arity=2, specs=[(None, 1), (0, 0), (4, 5)])
        @example(chunks=[b"a", b"a"], arity=2, specs=[(1, 1), (None, 2)])
        @example(chunks=[b"01234", b"56789"], arity=2, specs=[(None, 999)])
        @example(chunks=[b"01234"], arity=2, specs=[(5, None), (None, 0)])
        def any_object(chunks: list[bytes], arity: int, specs: list[Spec]) -> None:
            runner.run(_told(loader, chunks, arity, specs))

        try:
            any_object()
        finally:
            for closing in (loader.close, loader.disk.close, loader.client.close):
                runner.run(closing())


# Over the wire.

FILES: dict[str, bytes] = {
    "empty.bin": b"",
    "one.bin": b"x",
    "small.bin": bytes(range(200)),
    "page.css": b"a { b: c }\n" * 9,
    "two.bin": bytes(range(256)) * 4096 + b"the second block",
}
_BORDER = st.integers(MiB - 10, MiB + 20)  # of the two blocks of two.bin
_ACROSS = st.tuples(_BORDER, _BORDER).map(lambda pair: (min(pair), max(pair)))


async def _meet(connection: Wire, path: str, specs: Sequence[Spec]) -> None:
    """GET and HEAD of one path with one Range."""
    fields = {"Range": _field(specs)}
    await connection.send(connection.request(f"/{path}", "GET", fields))
    got = await connection.read()
    _check(specs, FILES[path], got.status, got.headers, got.body)
    head = await connection.get(f"/{path}", "HEAD", **fields)
    plain = await connection.get(f"/{path}", "HEAD")
    assert (head.status, _lasting(head)) == (200, _lasting(plain))  # §14.2: Range is of GET alone


def _lasting(got: Got) -> dict[str, str]:
    return {name: value for name, value in got.headers.items() if name not in ("date", "cache-status")}


def test_the_bytes_on_the_wire_are_the_slices(tmp_path: Path) -> None:
    """The same of a real edge, from its disk, its memory and its app; to HEAD a Range is nothing."""
    with asyncio.Runner() as runner:
        world, stack = World(), AsyncExitStack()
        world.publish("demo", dict(FILES))
        node, _ = runner.run(stack.enter_async_context(edge(tmp_path, world)))
        connection = runner.run(stack.enter_async_context(wire(node)))

        @settings(max_examples=100)
        @given(
            path=st.sampled_from(sorted(FILES)),
            specs=st.lists(_specs(220) | _ACROSS, min_size=1, max_size=RANGES + 2),
            forgets=st.booleans(),
        )
        @example(path="two.bin", specs=[(0, 0), (None, 1), (MiB - 1, MiB)], forgets=True)
        def any_request(path: str, specs: list[Spec], forgets: bool) -> None:
            if forgets:
                node.loader.memory.clear()
                node.answers.clear()
            runner.run(_meet(connection, path, specs))

        try:
            any_request()
        finally:
            runner.run(stack.aclose())
