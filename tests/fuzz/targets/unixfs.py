"""UnixFS: walks over a hostile DAG end, agree with each other, and never lie.

An input is a DAG of a few blocks that is put together from choices: files, folders and HAMTs, with true and with lying
sizes, names, slots, bitmaps and fan-outs. The limits that bound walks are lowered here, so that a bomb of a hundred
nodes meets them as one of a million would. Not here: the bytes of one node (targets/dagpb).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TypeVar

from content import asking, dagpb, leaves, walk
from content.asking import Walk
from content.block import Block
from content.cid import CID, DAG_PB, RAW, write_varint
from content.dagpb import DIRECTORY, FILE, RAW_DATA, SHARD, SYMLINK, Data
from content.errors import ContentError, NotFound
from content.hamt import HASH_BITS
from content.murmur import MURMUR3_X64_64, murmur3
from content.unixfs import directory, file, root
from content.walk import Entry
from tests.fuzz.taking import Taking

T = TypeVar("T")

STEPS = (60_000, 2_000)
NODES = 7
ENTRIES = 64
walk.RELEASE_ENTRIES = ENTRIES  # type: ignore[misc]
leaves.BLOCKS_BEFORE_FIRST_BYTE = ENTRIES  # type: ignore[misc]
leaves.FILE_LEAVES = ENTRIES  # type: ignore[misc]
asking.decode = lru_cache(4096)(dagpb.decode)  # one node's bytes are read often here, and attacked by targets/dagpb
asking.decode_data = lru_cache(4096)(dagpb.decode_data)
ASKED = 8 * ENTRIES  # blocks that one walk may ask for: a few for each entry or node that the limits allow
_FANOUTS = (8, 16, 256, 1024, 0, 7, 12, 2048)


def check(data: bytes, thorough: bool) -> None:
    taking = Taking(data)
    choice, blocks = taking.byte(), Blocks()
    _walk(build(taking, blocks), blocks, choice, thorough)


def _outcome(read: Callable[[], T]) -> T | str:
    try:
        return read()
    except ContentError as error:
        return type(error).__name__


class Absent(Exception):
    """A walk wants a block that is not there."""


class Blocks(dict[CID, Block]):
    """The blocks there are; counts how often they are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def add(self, block: Block) -> CID:
        self[block.cid] = block
        return block.cid

    def get_one(self, cid: CID) -> Block:
        self.asked += 1
        assert self.asked <= ASKED, "a walk without end"
        found = self.get(cid)
        if found is None:
            raise Absent
        return found

    def run(self, walking: Walk[T]) -> T | str:
        """What the walk says, or the name of the fault it ends in."""
        self.asked = 0
        try:
            return walk.drive(walking, self.get_one)
        except Absent:
            return "absent"
        except ContentError as error:
            return type(error).__name__


class _Made:
    """A node that was made, and how many file bytes it says it has."""

    __slots__ = ("cid", "size")

    def __init__(self, cid: CID, size: int) -> None:
        self.cid, self.size = cid, size


def build(taking: Taking, blocks: Blocks) -> CID:
    made = [_Made(blocks.add(Block.make(RAW, b"leaf")), 4)]
    while not taking.is_over and len(made) < NODES:
        kind = taking.byte()
        made.append(_KINDS[kind % len(_KINDS)](taking, blocks, made, bool(kind & 0x80)))
    return made[-1].cid


def _some(taking: Taking, made: Sequence[_Made]) -> list[_Made]:
    """Up to seven of what there is; most often what was made last."""
    return [made[-1 - (taking.byte() % len(made))] for _ in range(taking.byte() % 8)]


def _raw(taking: Taking, blocks: Blocks, made: Sequence[_Made], lies: bool) -> _Made:
    data = taking.bytes(taking.byte() % 32)
    if lies:  # an identity CID: the data is in the name
        return _Made(CID(bytes((1, RAW, 0)) + write_varint(len(data)) + data), len(data))
    return _Made(blocks.add(Block.make(RAW, data)), len(data))


def _bytes(taking: Taking, blocks: Blocks, made: Sequence[_Made], lies: bool) -> _Made:
    return _Made(blocks.add(Block.make(DAG_PB, taking.short())), 0)


def _file(taking: Taking, blocks: Blocks, made: Sequence[_Made], lies: bool) -> _Made:
    children, inline = _some(taking, made), taking.bytes(taking.byte() % 8)
    sizes = [child.size for child in children]
    total = len(inline) + sum(sizes)
    said: int | None = total
    if lies:
        at, by = taking.byte(), taking.byte() - 128
        if sizes and at & 1:
            sizes[at % len(sizes)] = max(0, sizes[at % len(sizes)] + by)
            said = len(inline) + sum(sizes) if at & 2 else said
        elif at & 4:
            said = None
        elif at & 8:
            sizes = sizes[:-1] or [1]
        else:
            said, sizes = 2**64 - 1, [2**63 + size for size in sizes]
    data = Data((FILE, RAW_DATA)[len(inline) % 2], inline or None, said, tuple(sizes))
    return _Made(_pb(blocks, [(b"", child.cid, child.size) for child in children], data), total)


def _folder(taking: Taking, blocks: Blocks, made: Sequence[_Made], lies: bool) -> _Made:
    names = (b"a", b"b", b"c.txt", b"index.html", b"\xc3\xa9", b"..", b"x/y", b"") if lies else (b"a", b"b", b"c", b"d",
             b"e", b"f", b"g", b"h")  # fmt: skip
    rows = [(names[n % 8] if not lies else names[taking.byte() % 8], child.cid, child.size)
            for n, child in enumerate(_some(taking, made))]  # fmt: skip
    return _Made(_pb(blocks, rows, Data(DIRECTORY)), 0)


def _link(taking: Taking, blocks: Blocks, made: Sequence[_Made], lies: bool) -> _Made:
    return _Made(_pb(blocks, [], Data(SYMLINK, taking.bytes(taking.byte() % 16))), 0)


def _shard(taking: Taking, blocks: Blocks, made: Sequence[_Made], lies: bool) -> _Made:
    """A HAMT node at some depth: entries where their hash puts them, or not, and shards below in any slot."""
    shape, depth = taking.byte(), taking.byte() % 3
    fanout = _FANOUTS[shape % 8] if lies else _FANOUTS[shape % 4]
    bits, width = max(1, fanout.bit_length() - 1), len(f"{max(fanout, 1) - 1:X}")
    rows: dict[int, tuple[bytes, CID, int]] = {}
    for child in _some(taking, made):
        name = b"n%d" % taking.byte()
        slot = murmur3(name) >> HASH_BITS - bits * (depth + 1) & (1 << bits) - 1
        if shape & 0x40:
            slot, name = taking.byte() % max(1, fanout), b""
        elif lies and shape & 0x20:
            slot ^= 1
        rows[slot] = (f"{slot:0{width}X}".encode() + name, child.cid, child.size)
    bitmap = sum(1 << slot for slot in rows) ^ (taking.byte() if lies and shape & 0x10 else 0)
    kind = None if lies and shape & 0x08 else MURMUR3_X64_64
    data = Data(SHARD, bitmap.to_bytes((bitmap.bit_length() + 7) // 8, "big"), hash_type=kind, fanout=fanout)
    return _Made(_pb(blocks, [rows[slot] for slot in sorted(rows)], data), 0)


def _honest(taking: Taking, blocks: Blocks, made: Sequence[_Made], lies: bool) -> _Made:
    """What our own builder makes: a folder of files, or a HAMT where `lies` (the threshold is passed by names)."""
    content, count = taking.bytes(taking.byte() % 16), taking.byte() % 6
    entries = {f"d{n % 2}/f{n}": file(content + bytes((n,)), blocks.add) for n in range(count)}
    node = root(entries, blocks.add) if entries else directory({}, blocks.add)
    return _Made(node.cid, 0)


_KINDS = (_raw, _file, _folder, _shard, _link, _bytes, _honest)


def _pb(blocks: Blocks, rows: Sequence[tuple[bytes, CID, int]], data: Data) -> CID:
    links = (dagpb.encode_link(name, cid, tsize) for name, cid, tsize in rows)
    return blocks.add(Block.make(DAG_PB, dagpb.encode_node(links, dagpb.encode_data(data))))


# What walks must say of it.


def _walk(top: CID, blocks: Blocks, choice: int, thorough: bool) -> None:
    entry = blocks.run(walk.stat(top))
    if thorough or choice & 0x10:
        _reach(top, blocks)
    if not isinstance(entry, Entry):
        return
    if entry.kind == "file":
        _file_bytes(top, entry.size, blocks, choice)
        return
    if entry.kind == "directory":
        _folder_entries(top, blocks, thorough)
        listed = blocks.run(walk.files(top)) if thorough or choice & 0x20 else ""
        if isinstance(listed, list):
            _listed(top, listed, blocks, thorough)


def _reach(top: CID, blocks: Blocks) -> None:
    """Everything below, once each; what a store lacks is named, and nothing else."""
    found: list[CID] = []
    done = blocks.run(walk.reachable((top,), found.append, ask_leaves=True))
    assert len(found) == len(set(found))
    assert blocks.asked <= len(blocks) + NODES
    lacking = blocks.run(walk.missing((top,), blocks.__contains__))
    if isinstance(lacking, list) and not isinstance(done, str):
        assert not lacking


def _file_bytes(top: CID, size: int, blocks: Blocks, choice: int) -> None:
    """Any two parts of a file are the whole, and no part is longer than it says."""
    if size > 4096:
        at = size * (choice & 0x3F) // 64
        _part(top, at, min(size, at + 512), blocks)
        return
    whole = blocks.run(walk.read_file(top))
    if isinstance(whole, str):
        return
    assert len(whole) == size
    at = size * (choice & 0x3F) // 64
    first, last = _part(top, 0, at, blocks), _part(top, at, size, blocks)
    assert first is not None
    assert last is not None
    assert first + last == whole


def _part(top: CID, start: int, stop: int, blocks: Blocks) -> bytes | None:
    found = blocks.run(leaves.leaves(top, start, stop))
    if isinstance(found, str):
        return None
    at, parts = start, []
    for leaf in found:
        assert leaf.start == at < leaf.stop <= stop, "a gap, or bytes that nobody asked for"
        at = leaf.stop
        block = blocks.run(walk.ask(leaf.cid))
        if not isinstance(block, Block):
            return None
        piece = _outcome(lambda: leaf.cut(block))  # noqa: B023 - called before the loop goes on
        if isinstance(piece, str):
            return None
        assert len(piece) == leaf.stop - leaf.start
        parts.append(piece)
    assert at == stop or start >= stop
    return b"".join(parts)


def _folder_entries(top: CID, blocks: Blocks, thorough: bool) -> None:
    """What a folder lists, a lookup finds; and what it does not list, none finds."""
    entries = blocks.run(walk.list_dir(top))
    if isinstance(entries, str):
        return
    for name, (cid, _) in entries.items() if thorough else [*entries.items()][-2:]:
        assert name not in ("", ".", "..")
        assert "/" not in name
        assert blocks.run(walk.find(top, [name])) == cid
    for name in ("nobody", "n1", "a") if thorough else ("n1",):
        if name not in entries:
            assert blocks.run(walk.find(top, [name])) == NotFound.__name__


def _listed(top: CID, listed: list[tuple[str, Entry]], blocks: Blocks, thorough: bool) -> None:
    assert len(listed) <= ENTRIES
    paths = [path for path, _ in listed]
    assert paths == sorted(set(paths))
    for path, entry in listed if thorough else listed[:2]:
        found = blocks.run(walk.resolve(top, path[1:].split("/")))
        if entry.cid.codec == RAW and entry.cid not in blocks:
            continue  # listed without being asked for, and not there
        assert isinstance(found, Entry)
        assert found.cid == entry.cid
        assert found.kind == entry.kind
        assert found.target == entry.target


def seeds() -> Iterator[bytes]:
    yield bytes((2, 0, 3)) + b"abc" + bytes((1, 2, 0, 1, 0, 2, 3, 0, 2))  # a file of two leaves, in a folder
    yield bytes((2, 0x81, 2, 0, 0, 1, 3, 200))  # a file whose sizes lie
    yield bytes((2, 1, 7, 0, 0, 0, 0, 0, 0, 0, 0)) * 4  # a file that doubles
    yield bytes((2, 2, 2, 0, 0)) + bytes((2, 2, 0, 0)) * 8  # a folder that doubles
    for shape in (0, 2, 0x40, 0x42, 3):
        yield bytes((2, 3, shape, 0, 3, 0, 1, 2, 7, 1, 9, 0))  # a HAMT, and one of shards
        yield bytes((2, 3, shape, 1, 1, 0, 5, 3, 0x40 | shape, 0, 1, 0, 7, 77))
    for shape in (4, 5, 0x10, 0x20, 8):
        yield bytes((2, 0x83, shape, 0, 2, 0, 1, 7, 1, 9, 3))  # one that lies
    yield bytes((2, 6, 3)) + b"abc" + bytes((5,))
    yield bytes((2, 4, 5)) + b"../up" + bytes((2, 1, 0))
