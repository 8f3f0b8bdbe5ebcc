"""Store: the one seam behind which blocks are kept.

Here lives the Protocol. store/embedded keeps packs on this machine's disk. Not here: what must be kept (pins, leases,
retained releases: origin/gc), or who may read it (origin/gateway).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from content.block import Block
from content.cid import CID


class Store(Protocol):
    """Blocks by CID. Whatever `has` or `missing` call present is durable; all methods may be called from any thread."""

    def put(self, blocks: Iterable[Block]) -> int:
        """Keep these blocks, durable on return; how many were new. Raises StoreFull or StoreFailed."""

    def get(self, cid: CID) -> Block | None:
        """The block, verified, or None (also when what the disk gives does not verify)."""

    def has(self, cid: CID) -> bool: ...

    def length(self, cid: CID) -> int | None:
        """The size of the block's bytes without reading them, or None when it is not here."""

    def missing(self, cids: Iterable[CID]) -> list[CID]: ...

    def pin(self, root: CID) -> None: ...

    def unpin(self, root: CID) -> None: ...

    @property
    def blocks(self) -> int: ...

    @property
    def bytes(self) -> int: ...

    @property
    def corrupt(self) -> int:
        """How many blocks were found broken on disk since start."""
