"""Upload: blocks on their way in.

Here live the announcement (which blocks are lacking; opens the lease) and the receiving of a CAR: read as it comes,
every block verified, stored in durable batches while the next bytes arrive. What came before a fault stays, so an
upload is resumed by asking again. Not here: HTTP (origin/api), leases' files (origin/leases).

Hashing and writing happen in threads, which release the GIL for both; the event loop only gathers chunks.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

from content.block import Block
from content.car import Reader
from content.errors import ContentError
from content.limits import MiB
from origin import quota
from origin.errors import Unprocessable
from origin.leases import Lease, Leases, read_cids
from origin.store import Store
from origin.tokens import Token

BATCH_BYTES = 8 * MiB  # gathered before a thread takes it, and then one fsync: seen 5 ms, against 10 ms of hashing
BATCH_BLOCKS = 16_384  # of one batch: a block of no bytes costs 200 B here, and five on the wire
SLICE_BYTES = 256 * 1024  # read at a time, so that no batch grows far past that
UPLOADS_AT_ONCE = 16  # each holds about three batches; others wait their turn, with TCP holding them back


class Uploads:
    """Takes in what publishers send."""

    def __init__(self, store: Store, leases: Leases, gate: threading.RLock) -> None:
        self._store = store
        self._leases = leases
        self._gate = gate
        self._turn = asyncio.Semaphore(UPLOADS_AT_ONCE)

    def announce(self, token: Token, site: str, lease_id: str | None, body: bytes) -> dict[str, Any]:
        """The blocks of a release to come: which of them (by index) are lacking. All are protected from here on."""
        cids = read_cids(body)
        self._store.ready()
        with self._gate:  # first protect, then look: nothing is collected in between
            lease = self._lease(token, site, lease_id)
            self._leases.announce(lease, cids)
            holds = self._store.holds
            missing = [index for index, cid in enumerate(cids) if not holds(cid)]
        self._leases.keep(lease)
        return {"lease": lease.id, "expires": int(lease.expires), "missing": missing}

    async def receive(self, token: Token, lease_id: str, chunks: AsyncIterator[bytes]) -> dict[str, int]:
        """Take in a CAR. Raises BadBlock and its like, Unprocessable, Forbidden, StoreFull."""
        lease = self._leases.get(lease_id)
        quota.owner(token, lease)
        receiving = _Receiving(self._store, self._leases, lease, token)
        async with self._turn:
            try:
                await receiving.take_all(chunks)
            finally:
                if receiving.blocks:
                    await asyncio.to_thread(self._leases.keep, lease)
        return {"blocks": receiving.blocks, "new": receiving.new, "bytes": receiving.bytes}

    def _lease(self, token: Token, site: str, lease_id: str | None) -> Lease:
        if lease_id is None:
            return self._leases.open(site, token.id)
        lease = self._leases.get(lease_id)
        quota.owner(token, lease)
        if lease.site != site:
            raise Unprocessable(f"lease {lease_id} is for site {lease.site!r}", "other_site")
        return lease


class _Receiving:
    """One CAR on its way in."""

    def __init__(self, store: Store, leases: Leases, lease: Lease, token: Token) -> None:
        self._store = store
        self._leases = leases
        self._lease = lease
        self._token = token
        self._reader = Reader()
        self.blocks = self.new = self.bytes = 0

    async def take_all(self, chunks: AsyncIterator[bytes]) -> None:
        gathered: list[bytes] = []
        size = 0
        working: asyncio.Task[None] | None = None
        try:
            async for chunk in chunks:
                gathered.append(chunk)
                size += len(chunk)
                if size >= BATCH_BYTES:
                    if working is not None:
                        await working
                    working = asyncio.create_task(asyncio.to_thread(self._take, gathered))
                    gathered, size = [], 0
            if working is not None:
                await working
        except BaseException:
            if working is not None:
                await asyncio.wait([working])  # a thread cannot be called back; let it end before we answer
            raise
        await asyncio.to_thread(self._finish, gathered)

    def _take(self, gathered: list[bytes]) -> None:
        data = memoryview(b"".join(gathered))
        blocks: list[Block] = []
        for at in range(0, len(data), SLICE_BYTES):
            try:
                blocks += self._reader.feed(data[at : at + SLICE_BYTES])
            except ContentError:
                self._keep(blocks)
                raise
            if len(blocks) >= BATCH_BLOCKS:
                self._keep(blocks)
                blocks = []
        self._keep(blocks)

    def _finish(self, gathered: list[bytes]) -> None:
        self._take(gathered)
        self._reader.finish()

    def _keep(self, blocks: list[Block]) -> None:
        stranger = next((block for block in blocks if not self._lease.covers(block.cid)), None)
        if stranger is not None:
            blocks = blocks[: blocks.index(stranger)]
        size = sum(len(block.data) for block in blocks)
        quota.check_upload(self._token, self._leases, size)
        self.new += self._store.put(blocks)
        self.blocks += len(blocks)
        self.bytes += size
        self._lease.bytes += size
        self._leases.extend(self._lease)
        if stranger is not None:
            raise Unprocessable(
                f"block {stranger.cid} was not announced under this lease", "not_announced", cid=str(stranger.cid)
            )
