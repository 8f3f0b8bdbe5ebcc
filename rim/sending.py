"""Blocks on their way to the origin: ask what it lacks, send that, and go on where a broken connection left off.

Here lives the lease, the batches and their retries. Not here: HTTP itself (rim/client), which blocks a release has
(rim/build), or commits (rim/publisher).

Two batches are under way at once: while the origin writes one to its disk, the other is on the wire.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from content import car
from content.cid import CID
from rim.build import Coded, Part, Pieces
from rim.client import Answer, Origin, Rejected, Unreachable, site_path, stopped
from rim.crew import Crew
from rim.exits import Failed
from rim.output import Advance
from rim.reading import Changed
from rim.steps import step

_ASK_CIDS = 32_768  # CIDs in one question: 1.2 MB
_BATCH_BYTES = 8 << 20
_BATCH_BLOCKS = 2_048
_WRITE = 256 << 10  # small blocks are joined up to this before they go to the socket
_WORKERS = 2
_ASK_AGAIN = 1_200.0  # seconds: a lease lasts an hour from the last question
_LEASES = 3  # how often a lease may be lost before that is a fault of its own
_CAR = {"Content-Type": "application/vnd.ipld.car"}
_OCTETS = {"Content-Type": "application/octet-stream"}


class _LeaseLost(Exception):
    """The origin does not know the lease any more: it ran out, or the origin was restored."""


@dataclass(slots=True)
class Sent:
    """What went over the wire and was acknowledged."""

    lease: str = ""
    blocks: int = 0
    bytes: int = 0


class Sender:
    """Sends one release's blocks to one site."""

    def __init__(self, origin: Origin, site: str, pieces: Pieces) -> None:
        self._origin = origin
        self._site = site
        self._pieces = pieces
        self._asked = 0.0
        self.sent = Sent()

    def send(self, bar: Callable[[int], Advance]) -> Sent:
        """Send what the origin lacks. On return it has all blocks of the release, under `sent.lease`."""
        for _ in range(_LEASES):
            try:
                missing = self._ask(list(self._pieces.by_cid))
                step("send.asked")
                if missing:
                    self._send(missing, bar(sum(map(self._pieces.length, missing))))
                step("send.done")
                return self.sent
            except _LeaseLost:
                self.sent.lease = ""
            except Rejected as error:
                stopped(error)
        raise Failed("the origin forgot the upload's lease again and again", "look at its clock and its log")

    def _send(self, missing: list[CID], advance: Advance) -> None:
        crew = Crew(_WORKERS, self._origin.interrupt)
        for batch in crew.run(lambda batch: self._upload(batch, crew, advance), self._batches(missing)):
            self.sent.blocks += len(batch)
            self.sent.bytes += sum(map(self._pieces.length, batch))
            step("send.batch")

    def _ask(self, cids: Sequence[CID]) -> list[CID]:
        """Which of these the origin lacks; opens the lease, or extends it."""
        missing: list[CID] = []
        self._asked = time.monotonic()
        for at in range(0, len(cids), _ASK_CIDS):
            part = cids[at : at + _ASK_CIDS]
            lease = f"?lease={self.sent.lease}" if self.sent.lease else ""
            path, body = site_path(self._site, "missing") + lease, b"".join(part)
            answer = self._judged(partial(self._origin.call, "POST", path, body, _OCTETS)).json()
            self.sent.lease = str(answer["lease"])
            missing += [part[index] for index in answer["missing"]]
        return missing

    def _batches(self, cids: Sequence[CID]) -> Iterator[list[CID]]:
        batch: list[CID] = []
        weight = 0
        for cid in cids:
            length = self._pieces.length(cid)
            if batch and (weight + length > _BATCH_BYTES or len(batch) == _BATCH_BLOCKS):
                yield batch
                batch, weight = [], 0
            batch.append(cid)
            weight += length
        if batch:
            yield batch

    def _upload(self, batch: list[CID], crew: Crew, advance: Advance) -> list[CID]:
        """One CAR; what it held. After a break the origin is asked what arrived, and only the rest is sent again."""
        left, sent, broken = batch, 0, False

        def attempt() -> Answer:
            nonlocal left, sent, broken
            crew.check()
            if broken or time.monotonic() - self._asked > _ASK_AGAIN:
                left = self._ask(batch)
            sent = 0
            headers = {**_CAR, "Content-Length": str(self._car_length(left))}
            try:
                return self._origin.once("POST", f"/api/v1/leases/{self.sent.lease}/blocks", counted(), headers)
            except Unreachable:
                broken = True
                advance(-sent)
                raise

        def counted() -> Iterator[bytes]:
            nonlocal sent
            for part in self._car(left):
                crew.check()
                yield part
                sent += len(part)
                advance(len(part))

        self._judged(partial(self._origin.patiently, attempt))
        return left

    def _judged(self, call: Callable[[], Answer]) -> Answer:
        """The answer, or its refusal in the terms of an upload."""
        try:
            return call()
        except Rejected as error:
            if error.code == "no_lease":
                raise _LeaseLost from error
            if error.code == "bad_block":
                self._blame(str(error.body.get("cid", "")), error)
            raise

    def _blame(self, cid: str, error: Rejected) -> None:
        """A block that does not hash to its CID: a file of ours changed without its stat telling."""
        try:
            piece = self._pieces.by_cid.get(CID.parse(cid))
        except ValueError:
            piece = None
        if isinstance(piece, Part):
            raise Changed(piece.file.path) from error
        if isinstance(piece, Coded):
            raise Failed(
                f"the encoding {cid} is damaged in the memo", "remove the publish folder of the state"
            ) from error

    def _car_length(self, cids: Sequence[CID]) -> int:
        sections = sum(len(car.section(cid, b"")) - 1 + _prefix(cid, self._pieces.length(cid)) for cid in cids)
        return len(car.header(cids[:1])) + sections

    def _car(self, cids: Sequence[CID]) -> Iterator[bytes]:
        waiting, weight = [car.header(cids[:1])], 0
        for cid in cids:
            waiting.append(car.section(cid, self._pieces.load(cid)))
            weight += len(waiting[-1])
            if weight >= _WRITE:
                yield b"".join(waiting)
                waiting, weight = [], 0
        if waiting:
            yield b"".join(waiting)


def _prefix(cid: CID, length: int) -> int:
    """Bytes of the section's length prefix and of its data."""
    whole, size = len(cid) + length, 1
    while whole > 0x7F:
        whole >>= 7
        size += 1
    return size + length
