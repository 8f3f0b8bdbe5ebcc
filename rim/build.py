"""The release as blocks: Root, Index and Release from what was scanned and encoded.

Here lives the making of folder and Index blocks, and where every other block of the release can be read again. Not
here: reading files (rim/reading), sending (rim/sending), or whether to publish (rim/publisher).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from content import tree
from content.block import Block
from content.cid import CID, RAW, read_varint
from content.errors import BadBlock
from content.limits import BLOCK_MADE
from content.media import media_type
from content.naming import is_hash_named
from content.release import Asset, Rules
from content.unixfs import Node, directory, file_tsize, root, symlink
from content.unixfs import file as build_file
from content.walk import drive
from rim.crew import Crew
from rim.encode import Encodings
from rim.last import Kept, Last, dump, is_strewn
from rim.memo import Memo
from rim.pages.edits import part_of
from rim.reading import Changed, read
from rim.scan import File, Scan, prefix_of
from rim.steps import step

_LINK_TYPE = "application/octet-stream"  # a symlink answers as its target; this one is never sent


@dataclass(frozen=True, slots=True)
class Part:
    """Some bytes of a file in the folder."""

    file: File
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Coded:
    """An encoding that is one block, or one block of a long one."""

    encoding: CID
    length: int
    whole: bool


Piece = bytes | Part | Coded


@dataclass(slots=True)
class Built:
    """A release but for its date. `made` are the blocks that exist nowhere else: folders, links, the Index.

    Beside a last build only those that it did not make: the others are at the origin. `last` is for the memo.
    """

    root: CID
    index: CID
    rules: Rules
    files: int
    size: int
    made: dict[CID, bytes]
    nodes: dict[CID, bytes]  # of `made` those of the Index
    last: Last

    @property
    def own(self) -> CID:
        """The Root of the folder as it lies there: another one where pages were published with other bytes."""
        return self.last.own or self.root


class Naming(Protocol):
    """What a path says of its file (rim/rules)."""

    def is_immutable(self, path: str) -> bool: ...

    def tags_of(self, path: str) -> tuple[str, ...]: ...


class _HashNamed:
    def is_immutable(self, path: str) -> bool:
        return is_hash_named(path)

    def tags_of(self, path: str) -> tuple[str, ...]:
        return ()


class Unknown(Exception):
    """The memo has no more of the last build what the next one needs of it: all is built anew."""


def build(
    scan: Scan,
    encodings: Mapping[bytes, Encodings],
    rules: Rules,
    node: Callable[[CID], bytes | None] = lambda cid: None,
    naming: Naming | None = None,
    hints: Sequence[Any] = (),
) -> Built:
    """Root and Index of these files. `naming` says what a path says of its file, beside the bundlers' own hash names;
    `node` gives a node of the last build's Index; `hints` is for the next build (rim/last). Raises Unknown."""
    made: dict[CID, bytes] = {}
    nodes: dict[CID, bytes] = {}

    def emit(block: Block) -> None:
        made[block.cid] = block.data

    def emit_node(block: Block) -> None:
        nodes[block.cid] = block.data

    entries, rows = _rows(scan, encodings, naming or _HashNamed(), emit)
    folders: dict[str, Node] = {}
    if scan.last is None:
        index = tree.build(sorted(rows.items()), emit_node)
        root(entries, emit, scan.dirs, lambda path, node: folders.update({path and path + "/": node}))
    else:
        changes = {**dict.fromkeys("/" + path for path in scan.gone()), **rows}
        index = _updated(scan.last.index, changes, node, emit_node)
        _folders(scan, entries, folders, emit)
    last = replace(_last(scan, folders, index, len(nodes)), own=_own(scan), hints=list(hints))
    step("build.done")
    return Built(last.root, index, rules, last.files, last.size, made | nodes, nodes, last)


def _rows(
    scan: Scan, encodings: Mapping[bytes, Encodings], naming: Naming, emit: Callable[[Block], None]
) -> tuple[dict[str, Node], dict[str, dict[str, object]]]:
    """What was scanned as entries of folders, and as rows of the Index."""
    entries: dict[str, Node] = {}
    rows: dict[str, dict[str, object]] = {}
    for file in scan.files:
        size = file.size
        entries[file.path] = _entry(file.cid, size)
        asset = Asset(
            file.cid,
            size,
            file.sha256.hex(),
            media_type(file.path),
            encodings.get(file.sha256, {}),
            naming.is_immutable("/" + file.path),
            naming.tags_of("/" + file.path),
        )
        rows["/" + file.path] = asset.to_row()
    for path, target in scan.links.items():
        node = symlink(target, emit)
        entries[path] = node
        digest = node.cid.digest.hex()
        rows["/" + path] = Asset(node.cid, 0, digest, _LINK_TYPE, link_target=target).to_row()
    return entries, rows


def _entry(cid: CID, size: int) -> Node:
    return Node(cid, size, size if size <= BLOCK_MADE else file_tsize(size))


def _own(scan: Scan) -> CID | None:
    """The Root without what was inserted into pages; None where nothing was."""
    if scan.last is not None:
        return scan.last.own  # a folder of such pages is built whole as soon as anything in it changes
    if not any(file.edits for file in scan.files):
        return None
    entries = {file.path: _entry(file.plain or file.cid, file.stat[0]) for file in scan.files}
    entries |= {path: symlink(target, _drop) for path, target in scan.links.items()}
    return root(entries, _drop, scan.dirs, lambda path, node: None).cid


def _drop(block: Block) -> None:
    """Blocks of a Root that is named, and never published."""


def _updated(
    index: CID,
    changes: Mapping[str, dict[str, object] | None],
    node: Callable[[CID], bytes | None],
    emit: Callable[[Block], None],
) -> CID:
    """The Index after these changes."""

    return drive(tree.update(index, changes, emit), lambda cid: _block(cid, node(cid)))


def _block(cid: CID, data: bytes | None) -> Block:
    try:
        if data is not None:
            return Block(cid, data)
    except BadBlock:
        pass  # a damaged memo
    raise Unknown(f"node {cid}")


def _folders(scan: Scan, entries: Mapping[str, Node], folders: dict[str, Node], emit: Callable[[Block], None]) -> None:
    """The nodes of the folders looked at closely, the deepest first; what lies below the others is as it was."""
    assert scan.last is not None
    inside: dict[str, dict[str, Node]] = {prefix: {} for prefix in scan.closely}
    for path, entry in entries.items():
        inside[prefix_of(path)][path.rpartition("/")[2]] = entry
    for prefix in sorted(scan.closely, key=lambda prefix: -prefix.count("/")):
        for name in scan.closely[prefix]:
            below = f"{prefix}{name}/"
            inside[prefix][name] = folders[below] if below in folders else scan.last.dirs[below].node
        folders[prefix] = directory(inside[prefix], emit)


def _last(scan: Scan, folders: Mapping[str, Node], index: CID, fresh: int) -> Last:
    """This build, for the next one to begin with."""
    names: dict[str, list[str]] = {prefix: [] for prefix in scan.closely}
    sizes = dict.fromkeys(scan.closely, 0)
    for file in scan.files:
        prefix = prefix_of(file.path)
        names[prefix].append(file.path[len(prefix) :])
        sizes[prefix] += file.size
    for path in scan.links:
        names[prefix_of(path)].append(path.rpartition("/")[2])
    dirs = scan.untouched()
    for prefix in scan.closely:
        node, print_ = folders[prefix], b"" if prefix in scan.young else scan.prints[prefix]
        dirs[prefix] = Kept(print_, names[prefix], sizes[prefix], bytes(node.cid), node.size, node.tsize)
    whole, strewn = (scan.last.whole, scan.last.strewn + fresh) if scan.last else (int(time.time()), 0)
    return Last(CID(dirs[""].cid), index, dirs, whole, strewn)


def keep(memo: Memo, scan: Scan, built: Built, recipe: bytes) -> None:
    """Tell the memo of this build, once it is live. Whatever of the last build's Index it still has may stay."""
    last = built.last
    stay: list[CID] | None = None
    if scan.last is None:
        stay = []
    elif scan.last.dirs == last.dirs:
        return
    elif is_strewn(last):
        nodes = partial(memo.node, scan.folder, recipe)
        try:
            stay = drive(tree.node_cids(last.index), lambda cid: _block(cid, built.nodes.get(cid) or nodes(cid)))
        except Unknown:
            return  # what the memo has is no longer what is live, so it will not be used again
        last = replace(last, strewn=0)
    memo.keep_last(scan.folder, recipe, dump(last), built.nodes, stay)


class Pieces:
    """Every block of a release: its CID, its length, and its bytes when they are wanted."""

    def __init__(self, scan: Scan, encodings: Mapping[bytes, Encodings], built: Built, memo: Memo) -> None:
        self._folder = scan.folder
        self._memo = memo
        self.by_cid: dict[CID, Piece] = dict(built.made)
        for file in scan.files:
            self._add_file(file)
            for encoding in encodings.get(file.sha256, {}).values():
                self._add_encoding(encoding.cid, encoding.size)

    def add(self, block: Block) -> None:
        self.by_cid[block.cid] = block.data

    def length(self, cid: CID) -> int:
        piece = self.by_cid[cid]
        return len(piece) if isinstance(piece, bytes) else piece.length

    def load(self, cid: CID) -> bytes:
        """The block's bytes. Raises Changed when the folder has moved on since the scan."""
        piece = self.by_cid[cid]
        if isinstance(piece, bytes):
            return piece
        if isinstance(piece, Part):
            return part_of(self._folder, piece.file, piece.offset, piece.length)
        return self._blob(piece.encoding) if piece.whole else self._block(piece.encoding, cid)

    def _add_file(self, file: File) -> None:
        size = file.size
        if size <= BLOCK_MADE:
            self.by_cid[file.cid] = Part(file, 0, size)
            return
        if file.edits:
            self._add_edited(file)
            return
        dag = self._memo.dag(file.cid)
        if dag is None:  # the memo could not keep it: read the file once more
            reading = read(self._folder, file.path, Crew(1), lambda count: None)
            if reading.known.cid != file.cid:
                raise Changed(file.path)
            dag = reading.leaves, reading.inner
        leaves, inner = dag
        for number, at in enumerate(range(0, len(leaves), 32)):
            offset = number * BLOCK_MADE
            cid = CID.of_digest(RAW, leaves[at : at + 32])
            self.by_cid[cid] = Part(file, offset, min(BLOCK_MADE, size - offset))
        self.by_cid.update(_sections(inner))

    def _add_edited(self, file: File) -> None:
        """A long page: cut again, since the memo knows nothing of it; there are few."""
        offset = 0

        def emit(block: Block) -> None:
            nonlocal offset
            if block.cid.codec == RAW:
                self.by_cid[block.cid] = Part(file, offset, len(block.data))
                offset += len(block.data)
            else:
                self.by_cid[block.cid] = block.data

        build_file(part_of(self._folder, file, 0, file.size), emit)

    def _add_encoding(self, cid: CID, size: int) -> None:
        if size <= BLOCK_MADE:
            self.by_cid[cid] = Coded(cid, size, whole=True)
            return

        def emit(block: Block) -> None:
            self.by_cid[block.cid] = Coded(cid, len(block.data), whole=False)

        build_file(self._blob(cid), emit)

    def _blob(self, cid: CID) -> bytes:
        blob = self._memo.blob(cid)
        if blob is None:
            raise Changed(f"encoding {cid}", "vanished from the memo")
        return blob

    def _block(self, encoding: CID, wanted: CID) -> bytes:
        """A block of an encoding over 1 MiB; these are few, so they are cut again each time."""
        found: dict[CID, bytes] = {}
        build_file(self._blob(encoding), lambda block: found.update({block.cid: block.data}))
        return found[wanted]


def _sections(data: bytes) -> Iterator[tuple[CID, bytes]]:
    """The blocks of CAR sections that rim/reading wrote."""
    at = 0
    while at < len(data):
        length, at = read_varint(data, at)
        cid, start = CID.read(data, at)
        at += length
        yield cid, data[start:at]
