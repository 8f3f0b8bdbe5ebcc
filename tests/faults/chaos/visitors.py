"""Visitors: they come, keep a connection, ask for pages and their files in every way that HTTP has, and go elsewhere.

Here lives what is asked for. Not here: the socket (wire), whether the answer is right (checker).
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import Callable

from tests.faults.chaos import sites
from tests.faults.chaos.checker import Asked, Checker
from tests.faults.chaos.history import History
from tests.faults.chaos.ring import Ring
from tests.faults.chaos.schedule import SITES
from tests.faults.chaos.wire import Answer, Gone, Wire

PATIENCE = 3.0  # s for one answer; then he goes
_CODINGS = ("", "", "gzip", "br", "zstd", "gzip, br, zstd", "identity")
_SCRIPT = re.compile(rb'src="(/assets/[^"]+)"')


class Visitor:
    """One visitor. `lost`: what he was not answered, by why."""

    def __init__(self, number: int, ring: Ring, history: History, checker: Checker) -> None:
        self.ring, self.history, self.checker = ring, history, checker
        self.rng = random.Random(f"rim-visitor {ring.plan.seed} {number}")
        self.lost: Counter[str] = Counter()
        self.port: Callable[[str], int] = ring.public  # a test may put something in between
        self._wire = Wire(0)
        self._edge = ""
        self._tags: dict[tuple[str, str], str] = {}

    async def visit(self, until: float) -> None:
        """Until that moment."""
        try:
            while time.monotonic() < until:
                self._edge = self.rng.choice(list(self.ring.regions))
                self._wire = Wire(self.port(self._edge))
                for _ in range(self.rng.randrange(1, 14)):
                    await self._something(self.rng.choice(SITES))
                    await asyncio.sleep(self.rng.uniform(0, 0.03))
                    if not self._wire.open or time.monotonic() > until:
                        break
                self._wire.close()
        finally:
            self._wire.close()

    async def _something(self, site: str) -> None:
        luck = self.rng.random()
        if luck < 0.25:
            await self._page(site)
        elif luck < 0.45:
            await self._get(site, self.rng.choice(sites.STABLE))
        elif luck < 0.65:
            await self._get(site, self._chunk(site))
        elif luck < 0.78:
            await self._range(site, self.rng.choice(("/big.bin", "/big.bin", "/style.css", self._chunk(site))))
        elif luck < 0.90:
            await self._again(site, self.rng.choice((*sites.STABLE, self._chunk(site))))
        elif luck < 0.94:
            await self._get(site, self.rng.choice(sites.STABLE), method="HEAD")
        elif luck < 0.98:
            await self._get(site, f"/nothing/{self.rng.randrange(99)}")
        else:
            await self._leave(site)

    async def _page(self, site: str) -> None:
        """A document, and the files that it names."""
        page = await self._get(site, "/")
        if page is None or page.status != 200 or page["content-encoding"]:
            return
        for path in _SCRIPT.findall(page.body):
            if not self._wire.open:
                return
            await self._get(site, path.decode())

    async def _range(self, site: str, path: str) -> None:
        a, b = sorted(self.rng.randrange(1, 2_400_000 if path == "/big.bin" else 9_000) for _ in range(2))
        spec = self.rng.choice((f"{a}-{b}", f"{a}-", f"-{a}", f"0-0,{a}-{b}", f"0-{a},{b}-", "0-99", "99999999-"))
        headers = {"Range": f"bytes={spec}"}
        tag = self._tags.get((site, path))
        if tag and self.rng.random() < 0.3:
            headers["If-Range"] = tag
        await self._get(site, path, headers)

    async def _again(self, site: str, path: str) -> None:
        """With the tag that he was given, if he has been here."""
        tag = self._tags.get((site, path))
        await self._get(site, path, {"If-None-Match": tag} if tag else {})

    async def _leave(self, site: str) -> None:
        """He goes in the middle of a long answer."""
        try:
            async with asyncio.timeout(0.005):
                await self._wire.exchange(site, "/big.bin", {})
        except (Gone, TimeoutError):
            pass
        self.lost["left"] += 1
        self.checker.book(self._edge, self.ring.nodes[self._edge].life)["left"] += 1
        self._wire.close()

    def _chunk(self, site: str) -> str:
        """A hash-named file of one of the last releases, live or not."""
        numbers = [number for of, number in self.history.releases if of == site][-4:]
        return self.rng.choice(sites.chunks(self.history.releases[site, self.rng.choice(numbers)]))

    async def _get(
        self, site: str, path: str, headers: dict[str, str] | None = None, method: str = "GET"
    ) -> Answer | None:
        """Ask, and have the answer judged; None: there was none, or none to go on from."""
        coding = self.rng.choice(_CODINGS)
        headers = {**(headers or {}), **({"Accept-Encoding": coding} if coding else {})}
        node = self.ring.nodes[self._edge]
        asked = self.checker.asking(self._edge, node.life, site, path, headers)
        answer = await ask(self._wire, asked, self.lost, method)
        if answer is None:
            if node.life == asked.life:
                self.checker.book(self._edge, node.life)["left"] += 1
            return None
        good = self.checker.judge(asked, answer)
        if good and answer.status == 200 and method == "GET" and not answer["content-encoding"]:
            self._tags[site, path] = answer["etag"]
        return answer if good else None


async def ask(wire: Wire, asked: Asked, lost: Counter[str], method: str = "GET") -> Answer | None:
    """One request on this connection, and its answer; None where none came, and why is counted."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await wire.exchange(asked.site, asked.path, asked.headers, method)
    except Gone:
        lost["gone"] += 1
    except TimeoutError:
        lost["silent"] += 1
        wire.close()
    return None
