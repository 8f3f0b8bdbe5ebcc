"""Check: the proof that a release is whole, and that its Root is the tree of its Index rows.

Here lives what the origin proves before it lets a release become `next`. Not here: the commit (origin/staging).

Completeness: every block below the Release is here. What was proved once is not walked again, so a republish costs
what changed. Sameness: the live release was proved, so it is enough that the two differences, of the Roots and of the
Indexes, are the same difference; equal folders and equal tree nodes are never opened. Empty folders have no rows, so
they may stand in a Root without any.
Road not taken: rebuilding the Root from the rows (content/unixfs). It needs every folder's siblings and the cumulative
sizes of unchanged files, and says *that* something differs, not where.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

from content import manifest, tree, walk
from content.asking import Walk
from content.cid import CID, DAG_CBOR, IDENTITY, RAW
from content.errors import BadNode
from content.headers import HeaderTable
from content.limits import DAG_DEPTH, NAME_BYTES, PATH_BYTES, RELEASE_ENTRIES, check
from content.redirects import RedirectTable
from content.release import CODINGS, Asset, Release
from content.walk import Entry
from origin.errors import Unprocessable
from origin.reading import Absent, read
from origin.store import Store

LACKING_MAX = 1000  # blocks named in one answer
_HEADER_VALUE = re.compile(r"[ -~]{1,255}\Z")  # what may be sent as Content-Type: no CR, LF or ESC ever

Row = Any
Difference = list[tuple[str, Row | None, Row | None]]


class Proofs:
    """Which DAGs are known to be whole. Raw blocks are not noted: the store's index answers for them."""

    def __init__(self, store: Store, here: Callable[[CID], bool] | None = None) -> None:
        """`here`: which blocks count as here; those that the store holds for releases."""
        self._store = store
        self._here = here or store.holds
        self._whole: set[bytes] = set()
        self._corrupt = store.corrupt
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Proofs {len(self._whole)} nodes>"

    def lacking(self, root: CID, most: int = LACKING_MAX) -> list[CID]:
        """Which blocks of this DAG are not here, at most so many; none of them: it is whole, and that is remembered.

        What stands below a lacking node cannot be known, so another list may follow this one.
        """
        if self._store.corrupt != self._corrupt:  # the disk lost something that may have been part of a proof
            self._corrupt = self._store.corrupt
            self.keep(())
        found: set[bytes] = set()
        lacking: list[CID] = []

        def enter(cid: CID) -> bool:
            if cid in self._whole or cid.hash_code == IDENTITY:
                return cid.hash_code == IDENTITY
            if not self._here(cid):
                if len(lacking) < most:
                    lacking.append(cid)
                return False
            return True

        def note(cid: CID) -> None:
            if cid.codec != RAW:
                found.add(cid)

        try:
            read(self._store, walk.reachable((root,), note, enter=enter))
        except Absent as absent:  # it was here a moment ago: the disk gave it back broken
            return [*lacking, absent.cid]
        if not lacking:
            with self._lock:
                self._whole |= found
        return lacking

    def keep(self, live: set[bytes] | tuple[()]) -> None:
        """Forget what garbage collection has not found (CIDs)."""
        with self._lock:
            self._whole = self._whole & live if live else set()


def compare(store: Store, base: Release | None, new: Release) -> Difference:
    """Prove that new.root is the tree of new.index, given that base's were (and both are whole). Raises Unprocessable.

    Returns how the Index differs from the base's: (path, row there, row here).
    """
    none = tree.EMPTY.cid
    rows = read(store, tree.diff(base.index if base else none, new.index))
    check("entries of a release", sum(b is not None for _, _, b in rows), RELEASE_ENTRIES)
    entries = read(store, _changed(base.root if base else None, new.root))
    wanted = {path: row for path, was, row in rows if row is None or was is None or _moved(was, row)}
    for path in sorted(wanted.keys() | entries.keys()):
        _same(path, wanted.get(path), entries.get(path), path in wanted, path in entries)
    for path, _, row in rows:
        if row is not None:
            _check_row(store, path, row)
    _check_size(base, new, rows)
    return rows


def check_rules(release: Release) -> None:
    """That the release's rules are such as edges can serve by. Raises BadNode."""
    release.rules.check()
    release.rules.check_worker()
    HeaderTable.from_value(release.rules.headers or [])
    RedirectTable.from_value(release.rules.redirects or [])


def check_manifest(store: Store, release: Release) -> None:
    """That what its worker is to fetch unasked makes a manifest that browsers take. Raises Absent, BadNode or
    LimitExceeded."""
    if release.rules.worker is not None:
        read(store, manifest.entries(release))


def overwritten(store: Store, rows: Difference, attic: CID | None) -> list[str]:
    """Paths once served as immutable, in live or from the attic, that would get other bytes."""
    kept: Mapping[str, Row] = dict(read(store, tree.rows(attic))) if attic else {}
    return [
        path
        for path, was, row in rows
        if row is not None and (old := kept.get(path) if was is None else was) and old.get("imm") and _moved(old, row)
    ]


def _moved(was: Row, row: Row) -> bool:
    return bool(was["cid"] != row["cid"] or was.get("to") != row.get("to"))


def _same(path: str, row: Row | None, entry: Entry | None, in_index: bool, in_root: bool) -> None:
    if not in_root:
        raise _mismatch(path, "the Index changes it, the Root does not")
    if not in_index:
        raise _mismatch(path, "the Root changes it, the Index does not")
    if row is None or entry is None:
        if row is not entry:
            raise _mismatch(path, f"it is only in the {'Root' if row is None else 'Index'}")
    elif row["cid"] != entry.cid or row.get("to") != entry.target:
        raise _mismatch(path, "the Root has another file there")


def _mismatch(path: str, reason: str) -> Unprocessable:
    return Unprocessable(f"the Root is not the tree of the Index: {path}: {reason}", "root_mismatch", path=path)


def _check_row(store: Store, path: str, row: Row) -> None:
    """What a row says of its own bytes: sizes, media type, encodings; and that the path is one we serve."""
    asset = Asset.from_row(row)
    check("bytes of a path", len(path.encode()) - 1, PATH_BYTES)
    check("bytes of a name", max(len(name) for name in path.encode().split(b"/")), NAME_BYTES)
    if not _HEADER_VALUE.match(asset.media_type) or any(not _HEADER_VALUE.match(tag) for tag in asset.tags):
        raise _bad_row(path, "its media type or a tag cannot stand in a header")
    size = 0 if asset.link_target is not None else _file_size(store, asset.cid)
    if size != asset.size:
        raise _bad_row(path, f"it says {asset.size} bytes, the file has {size}")
    for coding, encoding in asset.encodings.items():
        if coding not in CODINGS:
            raise _bad_row(path, f"content coding {coding[:40]!r}")
        if _file_size(store, encoding.cid) != encoding.size:
            raise _bad_row(path, f"its {coding} encoding is not of the size it says")


def _bad_row(path: str, reason: str) -> Unprocessable:
    return Unprocessable(f"the Index is wrong about {path}: {reason}", "bad_row", path=path)


def _file_size(store: Store, cid: CID) -> int:
    """The bytes of this file, and proof that its leaves are as long as their parents say."""
    if cid.codec == RAW:
        length = store.length(cid)
        if length is None:
            raise Absent(cid)
        return length
    entry = read(store, walk.stat(cid))
    for leaf in read(store, walk.leaves(cid, 0, entry.size)) if entry.size else ():
        if leaf.cid.codec == RAW and store.length(leaf.cid) != leaf.size:
            raise Unprocessable(f"file {cid}: leaf {leaf.cid} is not of the size its parent says", "bad_node")
    return entry.size


def _check_size(base: Release | None, new: Release, rows: Difference) -> None:
    """Quotas and listings believe a Release's size: it must be the sum of its rows (by induction from the live one)."""
    size = base.size if base else 0
    for _, was, row in rows:
        size += (row["size"] if row else 0) - (was["size"] if was else 0)
    if size != new.size:
        raise Unprocessable(f"the Release says {new.size} bytes, its files have {size}", "bad_release")


Folder = dict[str, tuple[CID, int]]


def _changed(old: CID | None, new: CID) -> Walk[dict[str, Entry | None]]:
    """Every file and symlink that differs between two folders: path → what is there now. Equal folders stay shut."""
    found: dict[str, Entry | None] = {}
    before: Folder = {} if old is None else (yield from walk.list_dir(old))
    after = before if old == new else (yield from walk.list_dir(new))
    stack = [("", before, after, 0)]
    while stack:
        path, was, now, depth = stack.pop()
        check("depth of a folder", depth, DAG_DEPTH)
        check("entries of a release", len(found), RELEASE_ENTRIES)
        for name in now.keys() | was.keys():
            a, b = was.get(name, _NOTHING)[0], now.get(name, _NOTHING)[0]
            if a == b:
                continue
            x, y = (yield from _open(a)), (yield from _open(b))
            if isinstance(x, dict) or isinstance(y, dict):
                below = x if isinstance(x, dict) else {}, y if isinstance(y, dict) else {}
                stack.append((f"{path}/{name}", *below, depth + 1))
            if isinstance(x, Entry) or isinstance(y, Entry):
                found[f"{path}/{name}"] = y if isinstance(y, Entry) else None
    return found


_NOTHING: tuple[CID | None, int] = (None, 0)


def _open(cid: CID | None) -> Walk[Folder | Entry | None]:
    """A folder's entries, or what else the CID is. Raw blocks are files without being read."""
    if cid is None or cid.codec == RAW:
        return None if cid is None else Entry(cid, "file", 0)
    try:
        return (yield from walk.list_dir(cid))
    except BadNode:  # a file or a symlink, far rarer than folders; or a folder that does not hold
        entry = yield from walk.stat(cid)
        if entry.kind == "directory":
            raise
        return entry


def release_of(store: Store, cid: CID) -> Release:
    """The Release of this name. Raises Absent, or BadNode when it is something else."""
    if cid.codec != DAG_CBOR:
        raise Unprocessable(f"{cid} is no Release (those are dag-cbor)", "bad_release")
    block = store.get(cid)
    if block is None:
        raise Absent(cid)
    return Release.from_block(block)
