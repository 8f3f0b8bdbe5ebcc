"""Store: the one seam behind which blocks are kept.

Here lives the Protocol. store/embedded keeps packs on this machine's disk, store/kubo leaves what releases hold to a
Kubo beside the origin; store/opening chooses. Not here: what must be kept (pins, leases, retained releases: origin/gc),
or who may read it (origin/gateway).

Two kinds of blocks come in. `put` takes what releases and pins are made of. `write` takes the origin's own state
(Catalog, Sites, their trees, attics): that is what the Head names, so it stays in the state folder whatever the store.

A collection is a conversation: `watch` (note what comes from now on) → `mend` (which of the wanted roots does the store
keep by itself?) → the collector walks → `sweep` (under the gate: this is what is needed, forget the rest) → `settle`
(let go of what was forgotten; no lock is held) → `unwatch`; and then `compact` (give the disk back).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Protocol

from content.block import Block
from content.cid import CID


@dataclass(frozen=True, slots=True)
class Marks:
    """What a collection found to be needed, as store keys."""

    keys: set[bytes]  # all of it: from the Catalog, pins, leases, and what is being checked right now
    rooted: set[bytes]  # of those, what the roots reach that `mend` found kept
    nodes: set[bytes]  # of those, what has links, by CID
    roots: Set[CID]  # what is wanted as a root, was when the walk began, or is just being checked to become one


@dataclass(frozen=True, slots=True)
class Freed:
    """What was taken away since the last time."""

    blocks: int
    bytes: int  # of disk


class Store(Protocol):
    """Blocks by CID. Whatever `holds` calls present is durable; all methods may be called from any thread.

    Every method may raise StoreFailed, and those that write StoreFull: sentences for whoever asked.
    """

    def ready(self) -> None:
        """Raises StoreFailed while the store does not know yet what it holds (a Kubo that has not answered since
        start). Asked before a publisher is told which blocks he need not send."""

    def put(self, blocks: Iterable[Block]) -> int:
        """Keep these blocks of a release or pin, durable on return; how many were new."""

    def write(self, blocks: Iterable[Block]) -> int:
        """Keep these blocks of the origin's own state, in the state folder; how many were new."""

    def get(self, cid: CID) -> Block | None:
        """The block, verified, or None (also when what the disk gives does not verify)."""

    def has(self, cid: CID) -> bool:
        """Whether it is here, of either kind."""

    def holds(self, cid: CID) -> bool:
        """Whether it is kept for a release that would name it: `put` need not bring it again."""

    def length(self, cid: CID) -> int | None:
        """The size of the block's bytes, or None when it is not here."""

    def missing(self, cids: Iterable[CID]) -> list[CID]:
        """Those that are not held."""

    def cids(self) -> Iterator[CID]:
        """Every block that is here, of its kind (content: by the codec that it came with, or as raw)."""

    def pin(self, root: CID, name: str, like: CID | None = None) -> None:
        """Keep the DAG below this root under this name; durable on return. `like`: a pinned root that it mostly shares
        its blocks with. Raises Absent when a block below it is not here (origin/reading). A pin ends by not being
        wanted at a collection."""

    def announce(self, name: str, record: bytes) -> None:
        """Tell whoever follows IPNS names through this store of a new record."""

    def rests(self, wanted: Set[CID]) -> bool:
        """Whether it keeps just these roots, and nothing is to be let go of, as far as is known without asking."""

    def meet(self, addresses: Sequence[str]) -> None:
        """Have those met who are to fetch our blocks, where this store speaks to others. One that cannot be is passed
        over."""

    def watch(self) -> None:
        """Begin to note what is put."""

    def mend(self, wanted: Mapping[CID, str]) -> set[CID]:
        """Pin what is wanted and not pinned; which of them the store then keeps by itself, whole. None, where it keeps
        what it is given until `sweep`."""

    def pinned(self, root: CID) -> bool:
        """Whether the store keeps this root by itself, as far as is known without asking anybody."""

    def unpinned(self, wanted: Iterable[CID]) -> list[CID]:
        """Which of these the store should keep by itself and does not (`rim origin fsck`)."""

    def sweep(self, marks: Marks) -> int:
        """Forget what is not needed, under the gate; how many blocks."""

    def unwatch(self) -> None: ...

    def settle(self) -> None:
        """Let go of what was forgotten."""

    def compact(self) -> Freed:
        """Give disk space back. Raises StoreFull when there is no room to copy."""

    def verify(self) -> Iterator[str]:
        """Read and hash everything; a sentence for each thing that is wrong (`rim origin fsck`)."""

    def close(self) -> None: ...

    @property
    def follows(self) -> bool:
        """Whether it has pins and names of its own, which have to be brought after each commit."""

    @property
    def calls(self) -> Mapping[str, int]:
        """How often another program was asked, by what it was asked."""

    @property
    def failures(self) -> Mapping[str, int]:
        """How often that failed."""

    @property
    def blocks(self) -> int: ...

    @property
    def bytes(self) -> int: ...

    @property
    def corrupt(self) -> int:
        """How many blocks were found broken or gone since start."""

    @property
    def torn(self) -> int:
        """Bytes of torn tail cut at start."""
