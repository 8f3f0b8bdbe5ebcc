"""What each kind of fault does, and how it ends. The schedule says which, to whom and for how long.

Here live the deaths of processes and the sicknesses of wires. Not here: a disk's (disks), old news (hop), a publisher's
death (publishers, which asks for it). A fault that finds its victim down already is skipped, and counted as that.
"""

from __future__ import annotations

import asyncio
import random
import shutil
from collections import Counter
from contextlib import suppress
from typing import Any

from tests.faults.chaos import disks
from tests.faults.chaos.history import History
from tests.faults.chaos.nodes import Node
from tests.faults.chaos.ring import DESK, ORIGIN, Line, Ring
from tests.faults.chaos.schedule import CLOCKS, KINDS, REGIONS, TRICKS, Event
from tests.kit.faketime import Clock
from tests.kit.ports import free_port
from tests.kit.programs import program

_FLAP = 0.15  # s that a flapping wire is up, and then down


class Faults:
    """Befalls a ring. `counts`: by kind; `kills`: SIGKILLs that hit somebody."""

    def __init__(self, ring: Ring, history: History) -> None:
        self.ring, self.history = ring, history
        self.counts: Counter[str] = Counter()
        self.kills: Counter[str] = Counter()
        self.doomed: dict[str, float] = {}  # sites whose next publish is to die, and where
        self.slow_starts = 0
        self.rotten: set[str] = set()  # whose disks were sick under them: a restart loses what memory alone had

    async def befall(self, event: Event) -> None:
        """From the beginning of one fault to its end."""
        whom = KINDS[event.kind][0]
        self.history.note(f"{event.kind} {event.target} for {event.seconds} s")
        match whom:
            case "wire" | "region":
                await self._wires(event)
            case "hop":
                self.ring.hop.mode = event.kind
                await asyncio.sleep(event.seconds)
                self.ring.hop.mode = "honest"
            case "liar":
                self.ring.liar.trick = TRICKS[int(event.value * len(TRICKS))]
                await asyncio.sleep(event.seconds)
                self.ring.liar.trick = "honest"
            case "publisher":
                self.doomed[event.target] = event.value
                return  # counted when it dies
            case _:
                if not await self._node(event):
                    self.counts["skipped"] += 1
                    return
        self.counts[event.kind] += 1
        self.history.note(f"{event.kind} {event.target} is over")

    # Processes.

    async def _node(self, event: Event) -> bool:
        node = self.ring.nodes[event.target]
        if node.lock.locked():
            return False
        async with node.lock:
            match event.kind:
                case "kill_edge" | "kill_origin":
                    await self._kill(node)
                    await asyncio.sleep(event.seconds)
                    await self.bring_back(node)
                case "term_edge" | "term_origin":
                    await node.end()
                    await asyncio.sleep(event.seconds)
                    await self.bring_back(node)
                case "stop_edge" | "stop_origin":
                    node.pause()
                    await asyncio.sleep(event.seconds)
                    node.resume()
                case "lose_disk":
                    await self._kill(node)
                    await asyncio.to_thread(shutil.rmtree, node.folder / "blocks", True)
                    await self.bring_back(node)
                case "clock_jump":
                    return await self._clock(node, event)
                case "other_members":
                    await self._others(node, event)
                case _:
                    return await self._disk(node, event)
        return True

    async def _kill(self, node: Node) -> None:
        await node.kill()
        self.kills["origin" if node.name == ORIGIN else "edge"] += 1

    async def bring_back(self, node: Node, **env: str) -> None:
        """Start it until it stays: on a disk that is full just now it may well refuse to."""
        for _ in range(60):
            try:
                return await node.start(anew=bool(env), env=env)
            except RuntimeError as error:
                self.slow_starts += 1
                self.history.note(f"{node.name} did not start: {error}")
                await node.kill()
                await asyncio.sleep(0.3)
        raise RuntimeError(f"{node.name} does not start any more")

    async def _clock(self, node: Node, event: Event) -> bool:
        """Killed, and started where it is another time; then killed again, and back."""
        if program("faketime") is None:
            return False
        clock = Clock(node.folder.with_suffix(".clock"))
        clock.off(CLOCKS[int(event.value * len(CLOCKS))])
        await self._kill(node)
        await self.bring_back(node, **clock.env)
        await asyncio.sleep(event.seconds)
        await self._kill(node)
        await self.bring_back(node)
        return True

    async def _others(self, node: Node, event: Event) -> None:
        """Restarted with a list of members that nobody else has."""
        rng = random.Random(event.value)
        members = self.ring.members(self.ring.regions[node.name])
        match int(event.value * 4):
            case 0:
                members = rng.sample(members, len(members) // 2)
            case 1:
                members = [one for one in members if not one.startswith(f"{node.name}=")]
            case 2:
                members += [f"ghost-{n}=http://127.0.0.1:{free_port()};region=a;weight=3" for n in range(3)]
            case _:
                members = [one.replace("region=a", "region=c").replace("region=b", "region=a") for one in members]
        await node.end()
        node.arguments = self.ring.command(node.name, ",".join(members))
        await self.bring_back(node)
        await asyncio.sleep(event.seconds)
        await node.end()
        node.arguments = self.ring.command(node.name)
        await self.bring_back(node)

    async def _disk(self, node: Node, event: Event) -> bool:
        self.rotten.add(node.name)
        if event.kind == "disk_full" and node.name in self.ring.mounted:
            await asyncio.to_thread(disks.fill, node.folder)
            await asyncio.sleep(event.seconds)
            disks.free(node.folder)
        elif event.kind in ("disk_full", "disk_refuses"):  # the next best where nothing can be mounted
            with disks.refusing(node.pid):
                await asyncio.sleep(event.seconds)
        else:
            hit = await asyncio.to_thread(disks.rot, node.folder / "blocks", event.kind, event.value)
            return hit > 0
        return True

    # Wires.

    async def _wires(self, event: Event) -> None:
        lines = self._lines(event)
        if event.kind == "flap":
            await self._flap(lines, event.seconds)
        elif event.kind == "refuse":
            await self._down(lines, event.seconds)
        else:
            poison = self._poison(event)
            for line in lines:
                line.add(poison)
            await asyncio.sleep(event.seconds)
            for line in lines:
                line.drop(poison)

    async def _flap(self, lines: list[Line], seconds: float) -> None:
        for _ in range(int(seconds / _FLAP / 2)):
            await self._down(lines, _FLAP)
            await asyncio.sleep(_FLAP)

    async def _down(self, lines: list[Line], seconds: float) -> None:
        for line in lines:
            line.down()
        await asyncio.sleep(seconds)
        for line in lines:
            if line.downs:  # not healed meanwhile
                line.up()

    def _lines(self, event: Event) -> list[Line]:
        """A region is cut off from the other and from the origin; a node is sick for both regions, or for one."""
        lines = self.ring.lines
        if event.kind == "partition":
            home = {**self.ring.regions, "liar": REGIONS[-1]}
            return [line for (of, to), line in lines.items() if _crosses(event.target, of, home.get(to))]
        of_regions = REGIONS if event.value < 0.5 else (REGIONS[event.value < 0.75],)
        found = [lines[region, event.target] for region in of_regions]
        if event.target == ORIGIN and event.kind != "corrupt" and event.value < 0.8:
            found.append(lines[DESK, ORIGIN])  # its JSON is proved by nothing but TLS, which is not on this wire
        return found

    @staticmethod
    def _poison(event: Event) -> dict[str, Any]:
        """What the kit's proxy is told. `value` is how bad it is, and where in an answer it happens."""
        early = int(40 + event.value**3 * 200_000)
        match event.kind:
            case "latency":
                return {"latency": 0.02 + event.value * 0.6}
            case "jitter":
                return {"jitter": 0.02 + event.value * 0.4}
            case "trickle":
                return {"rate": int(2_000 + event.value * 100_000)}
            case "slice":
                return {"slice": int(1 + event.value * 400)}
            case "corrupt":
                return {"corrupt": 0.2 + event.value * 0.8}
            case "stall" | "cut" | "reset":
                return {event.kind: early}
            case _:  # blackhole, partition
                return {"blackhole": True}


def _crosses(region: str, of: str, to: str | None) -> bool:
    """Whether the wire from one region to another (None: the origin) leads in or out of the region that is cut off."""
    return (of == region) != (to == region) and (to is not None or of == region)


async def quietly(task: asyncio.Task[None]) -> None:
    """Wait for a fault to be over, however it ends."""
    with suppress(asyncio.CancelledError):
        await task
