"""The quiet: what must be so again once all faults are over, judged edge by edge.

Here live the waits for it, each bounded, and what is looked at then: that every acknowledged commit is there, that all
of every site is served, that pins hold, that errors were counted, that nothing leaked; and at last one edge alone with
everything else dead. Not here: what one answer may be (checker).
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.faults.chaos.checker import Checker
from tests.faults.chaos.history import History
from tests.faults.chaos.leaks import Weight, named, weigh
from tests.faults.chaos.nodes import Node, spawn
from tests.faults.chaos.publishers import Publisher
from tests.faults.chaos.ring import ORIGIN, Ring
from tests.faults.chaos.schedule import SITES
from tests.faults.chaos.visitors import ask
from tests.faults.chaos.wire import Answer, Wire

HEALED = 30.0  # s in which the ring must be whole again
_AGAIN = 0.1


@dataclass
class Audit:
    """Of one run, after its storm."""

    ring: Ring
    history: History
    checker: Checker
    publishers: dict[str, Publisher]
    before: dict[str, tuple[int, Weight]]  # of each edge: its life, and what it weighed, before the storm
    patience: float = HEALED
    _behind: dict[str, int | None] = field(default_factory=dict)
    healed: float = 0.0  # s from the last fault's end until all edges were at the origin's Head

    async def quiet(self) -> None:
        """All of it but the end."""
        note = self.history.note
        note("quiet")
        begun = time.monotonic()
        await self._within("every edge at the origin's Head", self._level)
        self.healed = time.monotonic() - begun
        note("all edges at the Head")
        await self._nothing_lost()
        await asyncio.gather(*(self._publish(publisher) for publisher in self.publishers.values()))
        await self._within("every edge at the last release", self._level)
        await self._nothing_lost()
        note("one more publish is everywhere")
        await asyncio.gather(*(self._all_of(node) for node in self.ring.edges))
        note("all of every site is at every edge")
        await self._pins()
        await self._counted()
        await self._weights()
        note("the rest is in order")

    async def alone(self, rotten: set[str]) -> int:
        """Everything but one edge dies; it serves all it had, and again after a restart, if its disk was well all
        the time (what it cannot store it serves from memory, and a restart takes that). How many were killed."""
        name = self.ring.plan.alone
        if not name:
            return 0
        others = [node for node in self.ring.nodes.values() if node.name != name]
        await asyncio.gather(*(node.kill() for node in others))
        for line in self.ring.lines.values():
            line.down()
        node = self.ring.nodes[name]
        await self._all_of(node, dead=True)
        if name not in rotten:
            await node.end()
            await node.start()
            await self._all_of(node, dead=True)
        return len(others)

    async def last(self) -> None:
        """The origin once more: killed, looked at by `rim origin fsck`, started, and what it holds."""
        await self.ring.origin.kill()
        out = self.ring.folder / "fsck.out"
        process = spawn(["origin", "fsck", "--state", str(self.ring.origin.folder)], {}, out, out)
        while process.exitcode is None:
            await asyncio.sleep(0.02)
        if process.exitcode != 0:
            self.checker.fail(f"rim origin fsck: {process.exitcode} {out.read_text()[-1000:]}")
        await self.ring.origin.start()
        for site in SITES:
            await self._origin_has(site)

    async def receipts(self) -> dict[str, int]:
        """How far each edge says it is, by the origin's list; the checker is told. Nothing while the origin is away."""
        try:
            status, told = await self.ring.api("GET", "/edges", seconds=1.0)
        except (OSError, http.client.HTTPException):
            return {}
        rows = {row["node"]: int(row["sequence"]) for row in told["edges"]} if status == 200 else {}
        for edge in self.ring.regions:
            if edge in rows:
                self.checker.receipt(edge, rows[edge])
        return rows

    # The parts.

    async def _level(self) -> bool:
        status, told = await self.ring.api("GET", "/status")
        rows = await self.receipts()
        if status != 200:
            return False
        behind = {edge: rows.get(edge) for edge in self.ring.regions if rows.get(edge) != told["sequence"]}
        if behind and behind != self._behind:
            self.history.note(f"the origin is at {told['sequence']}; not yet {behind}")
        self._behind = behind
        return not behind

    async def _nothing_lost(self) -> None:
        """Each site is, at the origin and at every edge, at its last acknowledged commit, or at one whose end nobody
        knew."""
        for site in SITES:
            await self._origin_has(site)
            shown = {node.name: await self._shown(node, site) for node in self.ring.edges}
            wrong = {edge: number for edge, number in shown.items() if number not in self.history.endings(site)}
            if wrong or len(set(shown.values())) > 1:
                last = self.history.last(site)
                self.checker.fail(f"an acknowledged commit is lost: {last}; the edges have releases {shown}")

    async def _origin_has(self, site: str) -> None:
        status, told = await self.ring.api("GET", f"/sites/{site}")
        live = told["live"]["release"] if status == 200 and told.get("live") else None
        names = {self.history.roots.get((site, number), ("?",))[0] for number in self.history.endings(site)}
        if live not in names and "?" not in names:  # "?": a release whose publisher did not live to say its name
            self.checker.fail(f"an acknowledged commit is lost: {self.history.last(site)}; the origin has {live}")

    async def _shown(self, node: Node, site: str) -> int | None:
        wire = Wire(self.ring.public(node.name))
        answer = await self._get(node, site, "/data.json", wire)
        wire.close()
        if answer is None or answer.status != 200:
            return None
        releases = self.history.releases.items()
        return next((n for (of, n), files in releases if of == site and files["/data.json"] == answer.body), None)

    async def _publish(self, publisher: Publisher) -> None:
        """A healed ring takes a publish, at the third try at the latest."""
        for _ in range(3):
            if await publisher.publish(doomed=False):
                return
        self.checker.fail(f"no publish of {publisher.site} succeeds though all is healed")

    async def _all_of(self, node: Node, dead: bool = False) -> None:
        """Every path of what is live, and, while others live, every chunk of what was: 200, or 404 where purged."""
        wire = Wire(self.ring.public(node.name))
        for site in SITES:
            last = self.history.last(site)
            assert last is not None
            paths = list(self.history.releases[site, last.number])
            if not dead:
                paths += [path for (of, _), files in self.history.releases.items() if of == site for path in files]
            for path in dict.fromkeys(paths):
                answer = await self._get(node, site, path, wire)
                if answer is None or answer.status not in (200, 404):
                    status = "no answer" if answer is None else (answer.status, answer["cache-status"])
                    what = "with everything else dead" if dead else "though all is healed"
                    self.checker.fail(f"{node.name} {what}: {site}{path}: {status}")
        wire.close()

    async def _get(self, node: Node, site: str, path: str, wire: Wire) -> Answer | None:
        """Ask until it is no error, for a while: what was ejected comes back by and by."""
        end = time.monotonic() + self.patience / 3
        while True:
            asked = self.checker.asking(node.name, node.life, site, path, {})
            answer = await ask(wire, asked, self.checker.counts)
            if answer is not None:
                self.checker.judge(asked, answer)
                if answer.whole and answer.status < 500:
                    return answer
            else:
                self.checker.book(node.name, node.life)["left"] += 1
            if time.monotonic() > end:
                return answer
            await asyncio.sleep(_AGAIN)

    async def _said(self, name: str) -> dict[str, float]:
        """What an edge says of its following, when it does not follow."""
        try:
            numbers = await self.ring.metrics(name) if name != ORIGIN else {}
        except (OSError, http.client.HTTPException) as error:
            self.history.note(repr(error))
            return {}
        return {key: value for key, value in numbers.items() if key.startswith(("rim_head", "rim_loop", "rim_peers"))}

    async def _pins(self) -> None:
        """Acknowledged pins are there, with their bytes."""
        if not self.history.pins:
            return
        _, told = await self.ring.api("GET", "/pins")
        known = {row["cid"] for row in told["pins"]}
        for pin in self.history.pins:
            data = await asyncio.to_thread(self._pinned, pin.root)
            wanted = hashlib.sha256(self.history.releases[pin.site, pin.number]["/about.html"]).digest()
            if pin.root not in known or hashlib.sha256(data).digest() != wanted:
                self.checker.fail(f"an acknowledged pin is lost: {pin}")

    def _pinned(self, root: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.ring.origin_port, timeout=5)
        try:
            connection.request("GET", f"/ipfs/{root}/about.html?format=raw")
            return connection.getresponse().read()
        finally:
            connection.close()

    async def _counted(self) -> None:
        """Every error and stale answer that visitors had from the processes that live now stands in their numbers."""
        for node in self.ring.edges:
            book = self.checker.book(node.name, node.life)
            numbers = await self.ring.metrics(node.name)
            told = Counter[str]()
            for name, value in numbers.items():
                if name.startswith(('rim_responses_total{status="5', 'rim_requests_refused_total{status="5')):
                    told["5xx"] += int(value)
                elif name == 'rim_requests_total{outcome="stale"}':
                    told["stale"] += int(value)
                elif name == "rim_responses_broken_total":
                    told["broken"] += int(value)
            for what in ("5xx", "stale", "broken"):
                if not book[what] <= told[what] <= book[what] + book["left"]:
                    self.checker.fail(f"{node.name}: visitors saw {what} {book[what]} times, it counted {told[what]}"
                                      f" ({book['left']} answers were not waited for)")  # fmt: skip

    async def _weights(self) -> None:
        """Processes that lived through it weigh what they did before."""
        lived = [node for node in self.ring.edges if node.life == self.before[node.name][0]]
        await asyncio.gather(*(self._weighed(node) for node in lived))

    async def _weighed(self, node: Node) -> None:
        before = self.before[node.name][1]
        if not await self._within(f"{node.name} as light as before", self._light(node, before)):
            self.checker.fail(f"{node.name} weighed {before}, and now {await self._weigh(node)}: {named(node.pid)}")

    async def _weigh(self, node: Node) -> Weight:
        return weigh(node.pid, self.ring.public(node.name), await self.ring.metrics(node.name))

    def _light(self, node: Node, before: Weight) -> Callable[[], Awaitable[bool]]:
        async def is_light() -> bool:
            return (await self._weigh(node)).is_like(before)

        return is_light

    async def _within(self, what: str, so: Callable[[], Awaitable[bool]]) -> bool:
        """Wait until it is so; a violation where it never is."""
        end = time.monotonic() + self.patience
        while time.monotonic() < end:
            try:
                if await so():
                    return True
            except (OSError, http.client.HTTPException) as error:
                self.history.note(f"{what}: {error!r}")
            await asyncio.sleep(_AGAIN)
        self.checker.fail(f"not within {self.patience} s: {what}")
        for name in (*self._behind, ORIGIN):
            self.ring.nodes[name].tell()
            self.history.note(f"{name}: {await self._said(name)}")
        return False
