"""Last: what the last build of a folder was, so that the next one costs what changed since.

Here lives that value, its form in the memo, and when it may be believed. Not here: how it is used (rim/scan leaves out
folders that are as they were, rim/build changes the old Root and Index), or its storage (rim/memo).

A folder is known by its print: names, modes, sizes, times and inodes of all that lies in it, by which a single file is
known too (rim/scan). What else rows depend on (the filter, the level of encoding, rules, our own code) is the recipe:
under another one there is no last build. One seal covers all of it, so a damaged memo is none. And once in 30 days all
is built from the files' hashes again, which also tells the memo that their encodings are still in use.

A build from the last one makes only the blocks that are new. So it is used only where the origin's live release is
that last build: its other blocks are there, kept as long as it is live or retained, and commit 1 proves it again.
Road not taken: a memo per folder of its own print alone. It finds moved folders too, but the Index knows no folders.
"""

from __future__ import annotations

import marshal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import content
from content.cid import CID
from content.unixfs import Node
from rim.memo import Memo

_WHOLE_DAYS = 30  # less than the 60 days after which the memo drops encodings (rim/memo)
_STREWN_MAX = 256  # Index nodes that came since old ones were looked for
_SEAL = 32  # bytes


class Kept(NamedTuple):
    """One folder: its print (empty: look again), its rows' names, those files' bytes (weight), and its node."""

    print: bytes
    names: list[str]
    weight: int
    cid: bytes
    size: int
    tsize: int

    @property
    def node(self) -> Node:
        return Node(CID(self.cid), self.size, self.tsize)


@dataclass(frozen=True, slots=True)
class Last:
    """A build. `dirs` by prefix: "" for the top, "a/b/" for others. `whole`: when all was built anew (unix s)."""

    root: CID
    index: CID
    dirs: Mapping[str, Kept]
    whole: int
    strewn: int = 0  # nodes of the Index that the memo took in since it last let go of old ones
    own: CID | None = None  # the folder's own Root, where pages were published with other bytes (rim/pages)
    hints: list[Any] = field(default_factory=list)  # header rules that came out of its pages, as a Release has them

    @property
    def files(self) -> int:
        return sum(len(kept.names) for kept in self.dirs.values())

    @property
    def size(self) -> int:
        return sum(kept.weight for kept in self.dirs.values())


def load(memo: Memo, folder: str, recipe: bytes, live: Mapping[str, object] | None) -> Last | None:
    """The last build, if it can be believed and is what is live."""
    if live is None or (data := memo.last(folder, recipe)) is None:
        return None
    body = memoryview(data)[_SEAL:]
    if sha256(body).digest() != data[:_SEAL]:
        return None
    root, index, dirs, whole, strewn, own, hints = marshal.loads(body)  # noqa: S302 - under our seal, in the user's own folder
    if whole < time.time() - _WHOLE_DAYS * 86_400 or live["root"] != str(CID(root)) or live["index"] != str(CID(index)):
        return None
    kept = {prefix: Kept(*row) for prefix, row in dirs.items()}
    return Last(CID(root), CID(index), kept, whole, strewn, CID(own) if own else None, hints)


def dump(last: Last) -> bytes:
    """Its form in the memo: a seal, and what it covers."""
    dirs = {prefix: tuple(kept) for prefix, kept in last.dirs.items()}
    own = bytes(last.own or b"")
    body = marshal.dumps((bytes(last.root), bytes(last.index), dirs, last.whole, last.strewn, own, last.hints))
    return sha256(body).digest() + body


def is_strewn(last: Last) -> bool:
    """Whether it is time to drop nodes that no longer belong to the Index."""
    return last.strewn > _STREWN_MAX


def recipe(*options: object) -> bytes:
    """What rows depend on beside the files: these options (by their repr), our code, and Python, which reads them."""
    return sha256(repr((sys.version, *options)).encode() + _code()).digest()


@cache
def _code() -> bytes:
    """A digest of what makes blocks: a new media type, or a new rule for names, must not meet old rows."""
    ours = Path(__file__).parent
    sources = [*Path(content.__path__[0]).glob("*.py"), *(ours / "pages").glob("*.py"), ours / "build.py"]
    return sha256(b"".join(sha256(source.read_bytes()).digest() for source in sorted(sources))).digest()
