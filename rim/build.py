"""The release as blocks: Root, Index and Release from what was scanned and encoded.

Here lives the making of folder and Index blocks, and where every other block of the release can be read again. Not
here: reading files (rim/reading), sending (rim/sending), or whether to publish (rim/publisher).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from content import tree
from content.block import Block
from content.cid import CID, RAW, read_varint
from content.limits import BLOCK_MADE
from content.media import media_type
from content.naming import is_hash_named
from content.release import Asset, Rules
from content.unixfs import Node, file_tsize, root, symlink
from content.unixfs import file as build_file
from rim.crew import Crew
from rim.encode import Encodings
from rim.memo import Memo
from rim.reading import Changed, read, read_part
from rim.scan import File, Scan
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
    """A release but for its date. `made` are the blocks that exist nowhere else: folders, links, the Index."""

    root: CID
    index: CID
    rules: Rules
    files: int
    size: int
    made: dict[CID, bytes]


def build(scan: Scan, encodings: Mapping[bytes, Encodings], rules: Rules) -> Built:
    """Root and Index of these files."""
    made: dict[CID, bytes] = {}

    def emit(block: Block) -> None:
        made[block.cid] = block.data

    entries: dict[str, Node] = {}
    rows: dict[str, dict[str, object]] = {}
    for file in scan.files:
        size = file.stat[0]
        entries[file.path] = Node(file.cid, size, size if size <= BLOCK_MADE else file_tsize(size))
        asset = Asset(
            file.cid,
            size,
            file.sha256.hex(),
            media_type(file.path),
            encodings.get(file.sha256, {}),
            is_hash_named(file.path),
        )
        rows["/" + file.path] = asset.to_row()
    for path, target in scan.links.items():
        node = symlink(target, emit)
        entries[path] = node
        digest = node.cid.digest.hex()
        rows["/" + path] = Asset(node.cid, 0, digest, _LINK_TYPE, link_target=target).to_row()
    index = tree.build(sorted(rows.items()), emit)
    folder = root(entries, emit, scan.dirs)
    step("build.done")
    return Built(folder.cid, index, rules, len(rows), scan.size, made)


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
            return read_part(self._folder, piece.file.path, piece.file.stat, piece.offset, piece.length)
        return self._blob(piece.encoding) if piece.whole else self._block(piece.encoding, cid)

    def _add_file(self, file: File) -> None:
        size = file.stat[0]
        if size <= BLOCK_MADE:
            self.by_cid[file.cid] = Part(file, 0, size)
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
