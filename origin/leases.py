"""Leases: blocks that a publisher has announced, and that garbage collection must leave alone.

Here lives the table of open leases and its files (leases/ID.json). A lease names every block of a release to come, the
ones that are here already too: between the answer "you have that one" and the commit that needs it, nobody may take it.
Only announced blocks may be uploaded under a lease. Not here: the upload (origin/upload), quotas (origin/quota).

A lease is written without fsync: it survives a killed origin, and a power loss costs the publisher one more question
(409 incomplete names what is lacking), never a wrong answer.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from content.cid import CID
from content.errors import BadCID
from origin.errors import BadRequest, Missing, TooLarge
from origin.state import replace_file

LEASE_SECONDS = 3600  # from the last time it was extended
LEASES_MAX = 10_000
CIDS_MAX = 3_000_000  # of one lease: a release of a million entries, with encodings and folders
_CID_BYTES = 34  # the shortest CID of a hash, CIDv0
_SHORT_CIDS = 1_000  # shorter ones in one announcement: each costs 200 B here, and four on the wire


@dataclass(slots=True)
class Lease:
    """One publisher's claim. `cids` is everything announced; `bytes` what was uploaded under it (for quotas)."""

    id: str
    site: str
    token: str  # the id of the token that opened it
    expires: float
    cids: dict[bytes, CID] = field(default_factory=dict)  # store key → CID
    bytes: int = 0

    def covers(self, cid: CID) -> bool:
        return cid.store_key in self.cids


class Leases:
    """The open leases of one origin, reloaded at start."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, Lease] = {}
        for path in folder.glob("*.json"):
            lease = _load(path)
            if lease is None or lease.expires <= time.time():
                path.unlink(missing_ok=True)
            else:
                self._open[lease.id] = lease

    def __repr__(self) -> str:
        return f"<Leases {len(self._open)}>"

    def __len__(self) -> int:
        return len(self._open)

    def all(self) -> list[Lease]:
        """The leases still valid; expired ones go."""
        now = time.time()
        for lease in [lease for lease in self._open.values() if lease.expires <= now]:
            self.close(lease.id)
        return list(self._open.values())

    def get(self, lease_id: str) -> Lease:
        lease = self._open.get(lease_id)
        if lease is None or lease.expires <= time.time():
            raise Missing("no such lease: it expired, or the origin was rebuilt; announce the blocks again", "no_lease")
        return lease

    def open(self, site: str, token: str) -> Lease:
        """A new lease, in memory until `keep`."""
        if len(self._open) >= LEASES_MAX:
            raise BadRequest(f"{LEASES_MAX:,} leases are open")
        lease = Lease(secrets.token_hex(12), site, token, time.time() + LEASE_SECONDS)
        self._open[lease.id] = lease
        return lease

    def announce(self, lease: Lease, cids: Iterable[CID]) -> None:
        """Protect these blocks from now on. Synchronous: together with the look at the store it is one slice."""
        lease.cids.update((cid.store_key, cid) for cid in cids)
        if len(lease.cids) > CIDS_MAX:
            self.close(lease.id)
            raise TooLarge(f"more than {CIDS_MAX:,} blocks under one lease")
        self.extend(lease)

    def extend(self, lease: Lease) -> None:
        """It lives: an hour from here."""
        lease.expires = time.time() + LEASE_SECONDS

    def keep(self, lease: Lease) -> None:
        """Write the lease to disk."""
        row = {
            "id": lease.id,
            "site": lease.site,
            "token": lease.token,
            "expires": lease.expires,
            "bytes": lease.bytes,
            "cids": base64.b64encode(b"".join(lease.cids.values())).decode(),
        }
        replace_file(self._folder / f"{lease.id}.json", json.dumps(row).encode(), sync=False, what="lease")

    def close(self, lease_id: str) -> None:
        if self._open.pop(lease_id, None) is not None:
            with suppress(OSError):  # a file that stays is read again at start, and protects for an hour at most
                (self._folder / f"{lease_id}.json").unlink(missing_ok=True)


def read_cids(data: bytes) -> list[CID]:
    """Binary CIDs, one after another. Raises BadRequest naming the offset."""
    if len(data) % 36 == 0:
        fast = _read_plain(data)
        if fast is not None:
            return fast
    cids: list[CID] = []
    at = 0
    while at < len(data):
        if (len(cids) - _SHORT_CIDS) * _CID_BYTES > at:
            raise TooLarge("too many names that are shorter than a hash: an identity CID holds its block, leave it out")
        try:
            cid, at = CID.read(data, at)
        except BadCID as error:
            raise BadRequest(f"CIDs, at byte {at}: {error}", "bad_cid") from error
        cids.append(cid)
    return cids


def _read_plain(data: bytes) -> list[CID] | None:
    """The usual case, without a look at each CID's parts: all are v1, one-byte codec, sha2-256."""
    cids = [CID(data[at : at + 36]) for at in range(0, len(data), 36)]
    plain = all(cid[0] == 1 and cid[1] < 0x80 and cid[2] == 0x12 and cid[3] == 32 for cid in cids)
    return cids if plain else None


def _load(path: Path) -> Lease | None:
    """A lease from its file; None when it cannot be read (then its publisher announces again)."""
    try:
        row = json.loads(path.read_bytes())
        cids = read_cids(base64.b64decode(row["cids"]))
        return Lease(
            str(row["id"]),
            str(row["site"]),
            str(row["token"]),
            float(row["expires"]),
            {cid.store_key: cid for cid in cids},
            int(row["bytes"]),
        )
    except (OSError, ValueError, KeyError, TypeError, BadRequest):
        return None
