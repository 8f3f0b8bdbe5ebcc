"""Records: the best verified IPNS record of a key.

Here lives the judgement: every record is verified, whoever gave it; the highest sequence wins, then the later end; a
lower sequence than was ever seen is refused, also after a restart; one of equal sequence with another value is a fork:
the old one stays and the counter says so. Not here: asking (edge/names/asking), the files (edge/names/shelf), keeping
in memory (edge/names/memo).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from content import ipns
from content.errors import BadRecord
from content.limits import IPNS_RECORD
from edge.names.faults import NameTrouble
from edge.names.limits import OTHERS_GRACE, OWN_RECHECK, RECHECK, SOURCE_SECONDS, TTL_UNSET
from edge.names.memo import Looked, Memo
from edge.names.record import Held, better
from edge.names.seeds import read_seeds
from edge.names.shelf import Shelf

logger = logging.getLogger("rim.edge")
RELEASE_FIELD = "_rim/release"  # what the origin signs into a site's record besides the spec's fields


class Oversized(Exception):
    """More bytes than a record may have: not read to their end."""


class SourceTrouble(Exception):
    """This source could not be asked."""


@dataclass(frozen=True, slots=True)
class Source:
    """Somebody who may have a record. `ask` gives its bytes, or None for "I have none"; raises SourceTrouble and
    Oversized. `kind` is the metric's label. `knows`: a "none" from here means that there is none."""

    kind: str
    ask: Callable[[str], Awaitable[bytes | None]]
    knows: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """A record, for how long its value may be believed, and whether it is only the last good one."""

    held: Held
    max_age: float
    stale: bool = False


class Records:
    """The records of all keys. `sources`: who is asked for a name, best first; `own`: the live release of the site
    whose key it is, None for any other name."""

    def __init__(
        self,
        folder: Path | None = None,
        shelf: Shelf | None = None,
        sources: Callable[[str], Sequence[Source]] = lambda name: (),
        own: Callable[[str], str | None] = lambda name: None,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()  # (source, result)
        self.refused: Counter[str] = Counter()  # by reason: oversized, invalid, expired, older, fork
        self.memo: Memo[Held] = Memo(self._look, clock)
        self.seeds: Mapping[str, Held] = {}
        self._folder = folder
        self._shelf = shelf
        self._sources = sources
        self._own = own
        self._wall = wall

    async def find(self, name: str) -> Found:
        """The best record of this name (k…). Raises NameNotFound, NameTrouble."""
        live, known = self._own(name), self.memo.value(name)
        if live is not None and known is not None and known.record.extra.get(RELEASE_FIELD) != live:
            self.memo.expire(name, OWN_RECHECK)  # the Head says that the site has moved on
        got = await self.memo.find(name)
        left = got.value.record.eol - self._wall()
        if left <= 0:
            raise NameTrouble(f"{name}: the last record of this name has ended, and nobody has a newer one")
        # What only the operator's folder has does not age here: nobody would be asked for a newer one
        alone = name in self.seeds and not self._sources(name)
        age = (got.value.record.ttl or TTL_UNSET) if alone else got.max_age
        return Found(got.value, min(age, left), got.stale)

    async def reload(self) -> None:
        """Read the operator's folder again; one that cannot be read changes nothing."""
        try:
            seeds = await asyncio.to_thread(read_seeds, self._folder, self._wall())
        except OSError as error:
            logger.error("ipns_records: %s: %s; the records stay as they were", self._folder, error.strerror)
            return
        changed = [name for name, held in seeds.items() if self.seeds.get(name) != held]
        self.seeds = seeds
        for name in changed:
            self.memo.expire(name, 0.0)

    async def close(self) -> None:
        await self.memo.close()

    # One lookup.

    async def _look(self, name: str) -> Looked[Held]:
        best = await self._remembered(name)
        if (seed := self.seeds.get(name)) is not None:
            best = self._judge("seed", best, seed)
        sources = self._sources(name)
        answers = await self._gather(name, sources)
        for source, raw in answers:
            if raw is not None and (held := self._verify(source.kind, name, raw)) is not None:
                best = self._judge(source.kind, best, held)
        silent = sum(source.knows for source in sources) - sum(source.knows for source, _ in answers)
        now = self._wall()
        if best is None or best.record.eol <= now:
            if silent:
                raise NameTrouble(f"{name}: {silent} of those who may have its record could not be asked")
            return Looked(None, TTL_UNSET, said=f"{name}: nobody has a record of this name that holds")
        await self._remember(best)
        left = best.record.eol - now
        if silent and not any(source.knows for source, _ in answers) and best is not self.seeds.get(name):
            return Looked(best, RECHECK, left, stale=True)
        return Looked(best, min(best.record.ttl or TTL_UNSET, left), left)

    async def _gather(self, name: str, sources: Sequence[Source]) -> list[tuple[Source, bytes | None]]:
        """What the sources say, those that say something: all are asked at once, and when one has given a record the
        others get a moment more, for theirs may be newer."""
        tasks = {asyncio.create_task(self._ask(source, name)): source for source in sources}
        waiting, answers = set(tasks), []
        deadline = asyncio.get_running_loop().time() + SOURCE_SECONDS
        try:
            while waiting:
                left = deadline - asyncio.get_running_loop().time()
                done, waiting = await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    break
                for task in done:
                    with suppress(SourceTrouble):
                        raw = task.result()
                        answers.append((tasks[task], raw))
                        if raw is not None:
                            deadline = min(deadline, asyncio.get_running_loop().time() + OTHERS_GRACE)
        finally:
            for task in waiting:
                self.counts[tasks[task].kind, "late"] += 1
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        return answers

    async def _ask(self, source: Source, name: str) -> bytes | None:
        try:
            raw = await source.ask(name)
        except Oversized:
            self._refuse(source.kind, "oversized", f"{name}: more than {IPNS_RECORD:,} bytes")
            return None
        except SourceTrouble:
            self.counts[source.kind, "failed"] += 1
            raise
        if raw is None:
            self.counts[source.kind, "absent"] += 1
        return raw

    # Judgement.

    def _verify(self, kind: str, name: str, raw: bytes) -> Held | None:
        try:
            return Held(name, ipns.verify(name, raw, self._wall()), raw)
        except ipns.Expired as error:
            self._refuse(kind, "expired", f"{name}: {error}")
        except BadRecord as error:
            reason = "oversized" if len(raw) > IPNS_RECORD else "invalid"
            self._refuse(kind, reason, f"{name}: {error}")
        return None

    def _judge(self, kind: str, best: Held | None, held: Held) -> Held:
        """The better of the two, the reason counted where it is not the one that came."""
        if best is not None and held.record.sequence < best.record.sequence:
            self._refuse(kind, "older", f"{held.name}: sequence {held.record.sequence} after {best.record.sequence}")
        elif best is not None and held.rank[0] == best.rank[0] and held.record.value != best.record.value:
            self._refuse(kind, "fork", f"{held.name}: sequence {held.rank[0]} also names {held.record.value[:80]}")
            return best
        else:
            self.counts[kind, "found"] += 1
        return better(best, held)

    def _refuse(self, kind: str, reason: str, said: str) -> None:
        self.counts[kind, "refused"] += 1
        self.refused[reason] += 1
        logger.log(logging.ERROR if reason == "fork" else logging.INFO, "a record was refused (%s): %s", reason, said)

    # What was seen before.

    async def _remembered(self, name: str) -> Held | None:
        """The best record ever taken, which may have ended: its sequence counts all the same."""
        known = self.memo.value(name)
        if self._shelf is None:
            return known
        kept = await asyncio.to_thread(self._shelf.load, name)
        return known if kept is None else better(known, kept)

    async def _remember(self, held: Held) -> None:
        if self._shelf is not None:
            await asyncio.to_thread(self._shelf.keep, held)

    def known(self, name: str) -> bytes | None:
        """The record that lies here, for a peer that asks: nobody is asked on its behalf."""
        held = self.memo.value(name) or self.seeds.get(name)
        return held.raw if held is not None and held.record.eol > self._wall() else None

    def __repr__(self) -> str:
        return f"<Records {len(self.seeds)} set, {len(self.memo)} known>"
