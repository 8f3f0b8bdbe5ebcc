"""Publishers: one a site, who publish, roll back, purge and pin as the plan says, and write down what came of it.

Here lives asking for changes, by the `rim` command and by the API, and their acknowledgement. Not here: whether it held
(checker, audit).

Acknowledged is what the origin answered with success: of `rim publish` its exit code 0. All else is unknown.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import time
from typing import Any

from tests.faults.chaos import sites
from tests.faults.chaos.faults import Faults
from tests.faults.chaos.history import Commit, History, Pin, Purge
from tests.faults.chaos.nodes import spawn
from tests.faults.chaos.ring import Ring
from tests.faults.chaos.schedule import Deed

PATIENCE = 12.0  # s for one publish, then its process is killed
GATE = 1.5  # s that it waits for edges to be warm
STEPS = 12  # named steps of a publish (rim/steps), at one of which it may be made to die
CRASHED = 137


class Publisher:
    """Of one site."""

    def __init__(self, site: str, ring: Ring, history: History, faults: Faults) -> None:
        self.site, self.ring, self.history, self.faults = site, ring, history, faults
        self.number = 0
        self._folder = ring.folder / f"publisher-{site}"

    async def act(self, deeds: list[Deed], begin: float, end: float) -> None:
        """All deeds of the plan, one after another, none before its time or after the end."""
        for deed in deeds:
            await asyncio.sleep(max(0.0, begin + deed.at - time.monotonic()))
            if time.monotonic() > end:
                return
            match deed.what:
                case "rollback" if self._known():
                    await self.roll_back(deed.value)
                case "purge":
                    await self.purge(deed.value)
                case "pin":
                    await self.pin(deed.value)
                case _:
                    await self.publish()

    async def publish(self, doomed: bool = True) -> bool:
        """The next release; whether it was acknowledged."""
        files = sites.release(self.ring.plan.seed, self.site, self.number)
        commit = self.history.publishing(self.site, self.number, files)
        folder = self._folder / str(self.number)
        sites.write(files, folder)
        self.number += 1
        arguments = ["publish", str(folder), "--site", self.site, "--json", "--encode", "fast", "--timeout", str(GATE)]
        fate = self.faults.doomed.pop(self.site, None) if doomed else None
        code, told = await self._run(arguments, folder.with_suffix(".out"), fate)
        if code == 0:
            self.history.roots[self.site, commit.number] = told["release"], told["root"]
        self.history.ended(commit, int(told["sequence"]) if code == 0 else None)
        return code == 0

    async def roll_back(self, value: float) -> None:
        """To another of the acknowledged releases."""
        known = self._known()
        number = known[int(value * len(known))]
        commit = self.history.changing(self.site, "rollback", number)
        await self._ask(commit, f"/sites/{self.site}/rollback", {"release": self.history.roots[self.site, number][0]})

    def _known(self) -> list[int]:
        """The acknowledged releases but the last one."""
        last = self.history.last(self.site)
        return [n for (site, n) in self.history.roots if site == self.site and (last is None or n != last.number)]

    async def purge(self, value: float) -> None:
        """A path of an old release, a prefix, or all."""
        old = [path for (site, number), files in self.history.releases.items()
               if site == self.site and number < self.number - 1 for path in sites.chunks(files)]  # fmt: skip
        if value < 0.15 or not old:
            purge, body = self.history.purging(self.site, "site", ""), {"all": True}
            await self._ask(purge, f"/sites/{self.site}/purge", body)
            return
        path = old[int(value * 997) % len(old)]
        if value < 0.4:
            purge = self.history.purging(self.site, "prefix", path[: len(sites.PREFIX) + 4])
            await self._ask(purge, f"/sites/{self.site}/purge", {"prefixes": [purge.value]})
        else:
            purge = self.history.purging(self.site, "path", path)
            await self._ask(purge, f"/sites/{self.site}/purge", {"paths": [path]})

    async def pin(self, value: float) -> None:
        """The Root of some release."""
        known = [(number, root) for (site, number), (_, root) in self.history.roots.items() if site == self.site]
        number, root = known[int(value * len(known))]
        status, _ = await self._api("PUT", f"/pins/{root}", {"name": f"{self.site}-{number}"})
        if status in (200, 201):
            self.history.pins.append(Pin(root, self.site, number))

    async def _ask(self, deed: Commit | Purge, path: str, body: Any) -> None:
        status, told = await self._api("POST", path, body)
        if status != 200:
            self.history.note(f"{path}: {status} {told}")
        self.history.ended(deed, int(told["sequence"]) if status == 200 else None)

    async def _api(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        try:
            return await self.ring.api(method, path, body, url=self.ring.desk_url)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return 0, repr(error)

    async def _run(self, arguments: list[str], out: Any, fate: float | None) -> tuple[int, Any]:
        """Run `rim`: its exit code, and what it printed last. `fate` (0 to 1): it dies on the way, at a step or at a
        moment."""
        home = str(self._folder / "home")
        env = {
            "RIM_ORIGIN": self.ring.desk_url,
            "RIM_TOKEN": self.ring.token,
            "XDG_STATE_HOME": home,
            "RIM_RETRY": "3",
        }
        if fate is not None and fate < 0.6:
            env["RIM_PUBLISH_CRASH_AT"] = str(1 + int(fate / 0.6 * STEPS))
        process = spawn(arguments, env, out, self._folder.with_suffix(".log"))
        begun = time.monotonic()
        patience = PATIENCE if fate is None or fate < 0.6 else (fate - 0.6) * 2
        while process.exitcode is None and time.monotonic() < begun + patience:
            await asyncio.sleep(0.01)
        if process.exitcode is None:
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            while process.exitcode is None:
                await asyncio.sleep(0.01)
        code = process.exitcode
        if fate is not None and code in (CRASHED, -signal.SIGKILL):
            self.faults.kills["publisher"] += 1
            self.faults.counts["kill_publisher"] += 1
        lines = out.read_text().splitlines() if code == 0 else []
        if code != 0:
            self.history.note(f"rim publish of {self.site} {self.number - 1}: {code}")
        return code, json.loads(lines[-1]) if lines else {}
