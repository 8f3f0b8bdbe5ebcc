"""A CAR file on its way to the origin, and the pins of what it holds.

Here live the lease, the batches, and the pinning of each top. Not here: what a file holds (rim/carfile), the sending of
releases, which have more to tell (rim/sending).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from content import car
from content.cid import CID
from rim.carfile import CarFile
from rim.client import COMMIT_SECONDS, Origin

_ASK_CIDS = 32_768  # CIDs in one question: 1.2 MB
_BATCH_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of a file. `partial`: of these not all was there."""

    tops: tuple[str, ...]
    partial: tuple[str, ...]
    blocks_sent: int
    bytes_sent: int


def import_car(origin: Origin, file: CarFile, name: str) -> Imported:
    """Send what the origin lacks, then pin each top, as far as the file has it."""
    lease, missing = _ask(origin, list(file.places))
    size = 0
    for batch in _batches(file, missing):
        body = car.write(batch[:1], [])
        parts = [body, *(car.section(cid, file.load(cid)) for cid in batch)]
        data = b"".join(parts)
        headers = {"Content-Type": "application/vnd.ipld.car"}
        origin.call("POST", f"/api/v1/pins/leases/{lease}/blocks", data, headers, timeout=COMMIT_SECONDS)
        size += sum(file.places[cid][1] for cid in batch)
    pins = [_pin(origin, cid, name) for cid in file.tops]
    partial = tuple(cid for cid, is_partial in pins if is_partial)
    return Imported(tuple(cid for cid, _ in pins), partial, len(missing), size)


def _pin(origin: Origin, cid: CID, name: str) -> tuple[str, bool]:
    path = f"/api/v1/pins/{quote(str(cid))}"
    kept = origin.send("PUT", path, {"name": name, "partial": True}, timeout=COMMIT_SECONDS)
    return str(cid), kept.get("partial") is True


def _ask(origin: Origin, cids: Sequence[CID]) -> tuple[str, list[CID]]:
    """The lease, and which blocks the origin lacks."""
    lease, missing = "", list[CID]()
    for at in range(0, len(cids), _ASK_CIDS):
        part = cids[at : at + _ASK_CIDS]
        path = "/api/v1/pins/missing" + (f"?lease={lease}" if lease else "")
        answer = origin.call("POST", path, b"".join(part), {"Content-Type": "application/octet-stream"}).json()
        lease = str(answer["lease"])
        missing += [part[index] for index in answer["missing"]]
    return lease, missing


def _batches(file: CarFile, cids: Sequence[CID]) -> Iterator[list[CID]]:
    batch: list[CID] = []
    weight = 0
    for cid in cids:
        length = file.places[cid][1]
        if batch and weight + length > _BATCH_BYTES:
            yield batch
            batch, weight = [], 0
        batch.append(cid)
        weight += length
    if batch:
        yield batch
