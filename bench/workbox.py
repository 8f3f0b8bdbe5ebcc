"""bench/workbox: Rim's service worker beside Workbox's, on one app of 200 assets, in Chromium, on one edge.

    python bench/workbox.py [--pairs 9]

Here lives the whole bench: the visits, the clock, the table. Not here: the app (tests/kit/bigapp), its two sites
(tests/kit/sides), what a visitor does (tests/kit/visits).

Requests and bytes are the edge's: its access log has the bodies, a tap before it all bytes that it sent, heads too. An
update begins when the browser looks for a new worker, and ends when that is active. Workbox is walked twice: in a
browser without dictionaries, which is Workbox as on any server that has brotli, and in one with them, to which an edge
of Rim sends differences for Workbox as well; the first is the peer. A first install counts from the navigation to the
active worker, in a profile without a past; the two sites take turns (A B B A), what counts is the median of the ratios
within a pair.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import brotli
from kit import ROOT
from playwright.sync_api import Browser

from tests.kit.accesslog import AccessLog
from tests.kit.bigapp import ASSETS, ONE, assets, built
from tests.kit.chromium import another, chromium
from tests.kit.ring import Up
from tests.kit.sides import ASKING, RIM, WITHOUT, WORKBOX, Side
from tests.kit.tap import Tap
from tests.kit.visits import Step, Visitor, Walk, Watch, publish, walk
from tests.kit.workbox import WORKBOX as RELEASE

TIME, BYTES = 1.1, 8.0  # what is to be reached: of Workbox's time at most; times fewer bytes at least
_IMPORTED = re.compile(rb'(?:importScripts|define)\((?:\[)?"([^"]+)"')


@dataclass(frozen=True, slots=True)
class Pair:
    """Two first installs, one after the other: ms."""

    box: float
    rim: float

    @property
    def ratio(self) -> float:
        return self.rim / self.box


def main() -> int:
    parser = argparse.ArgumentParser(description="Rim's worker beside Workbox's: requests, bytes, first install.")
    parser.add_argument("--pairs", type=int, default=9, help="pairs of first installs (9)")
    arguments = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)  # the tree that the bench stands in is what runs
    with tempfile.TemporaryDirectory(prefix="rim-bench-") as name, chromium() as browser:
        work = Path(name)
        log = AccessLog(work / "access.log")
        with Up(work / "up", env=log.environment) as up, Tap(str(up.edges[0]["public"])) as tap:
            watch = Watch(up, log, tap)
            builds = {side: side.folders(work) for side in (WORKBOX, RIM, ASKING)}
            rim = walk(watch, browser, RIM, builds[RIM])
            with another(browser, WITHOUT) as other:
                box = walk(watch, other, WORKBOX, builds[WORKBOX])
            helped = walk(watch, browser, WORKBOX, builds[WORKBOX])
            asking = back(watch, browser, ASKING, builds[ASKING][0])
            scripts = {side: worker(up, side) for side in (WORKBOX, RIM)}
            pairs = first_installs(up, browser, arguments.pairs)
            print(f"{RELEASE}, Chromium {browser.version}, ", end="")
    size = sum(map(len, assets(built(ONE)).values()))
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores; {ASSETS} assets, {size:,} bytes\n")
    report(box, helped, rim, asking, scripts, pairs)
    return 0


def back(watch: Watch, browser: Browser, side: Side, build: Path) -> Step:
    """Only the way back."""
    publish(watch.up, build, side)
    with Visitor(browser, watch.url(side)) as visitor:
        visitor.install()
        with watch.step(side) as step:
            visitor.come()
    return step


def worker(up: Up, side: Side) -> list[int]:
    """The sizes of the worker's script, and of what it imports, packed by brotli 11."""
    script = up.get(side.site, side.script, headers={"Accept-Encoding": "identity"}).body
    found = _IMPORTED.search(script)
    if found is None:
        raise SystemExit(f"{side.script} of {side.site} imports nothing")
    path = found[1].decode().replace("./", "/")
    imported = up.get(
        side.site, path if path.endswith(".js") else f"{path}.js", headers={"Accept-Encoding": "identity"}
    )
    if imported.status != 200:
        raise SystemExit(f"{path}: {imported.status}")
    return [len(brotli.compress(text, quality=11)) for text in (script, imported.body)]


def first_installs(up: Up, browser: Browser, count: int) -> list[Pair]:
    """Both sites in turn, each in a new profile; one of each before that counts for nothing."""
    port = str(up.edges[0]["public"]).rpartition(":")[2]

    def once(side: Side) -> float:
        with Visitor(browser, f"http://{side.site}.localhost:{port}/") as visitor:
            return visitor.install()

    once(WORKBOX), once(RIM)
    pairs = []
    for number in range(count):
        first, second = (WORKBOX, RIM) if number % 2 == 0 else (RIM, WORKBOX)
        took = {side: once(side) for side in (first, second)}
        pairs.append(Pair(took[WORKBOX], took[RIM]))
        print(f"pair {number + 1}: workbox {took[WORKBOX]:.0f} ms, rim {took[RIM]:.0f} ms", file=sys.stderr, flush=True)
    return pairs


def report(
    box: Walk, helped: Walk, rim: Walk, asking: Step, scripts: dict[Side, list[int]], pairs: Sequence[Pair]
) -> None:
    both = ((WORKBOX, box), (RIM, rim))
    print("| | Workbox | Rim |\n|---|---|---|")
    _row("the worker, brotli 11", [" + ".join(f"{size:,}" for size in scripts[side]) + " B" for side, _ in both])
    _row("first install, requests", [f"{len(walked.install.lines)}" for _, walked in both])
    _row("first install, bodies (with heads)", [_bytes(walked.install) for _, walked in both])
    _row("first install, median (range)", [_times([p.box for p in pairs]), _times([p.rim for p in pairs])])
    _row("way back: requests of page and worker", [f"{len(walked.back.asked(side))}" for side, walked in both])
    _row("way back: the browser's look for a new worker", [_look(walked.back, side) for side, walked in both])
    _row("after the deploy, requests", [f"{len(walked.update.lines)}" for _, walked in both])
    _row("after the deploy, bodies (with heads)", [_bytes(walked.update) for _, walked in both])
    ratios = [pair.ratio for pair in pairs]
    middle = statistics.median(ratios)
    fewer = box.update.bodies / rim.update.bodies
    print(f"\nfirst install: {middle:.2f} of Workbox's time ({min(ratios):.2f} – {max(ratios):.2f}), ", end="")
    print(f"{len(pairs)} pairs, ≤ {TIME}: {_verdict(middle <= TIME)}")
    print(
        f"after the deploy: {fewer:.1f} times fewer bytes ({box.update.wire / rim.update.wire:.1f} with heads), ",
        end="",
    )
    print(f"≥ {BYTES:.0f}: {_verdict(fewer >= BYTES)}")
    print(f"Workbox in a browser with dictionaries, on this edge: {_bytes(helped.update)} after the deploy")
    lines = ", ".join(f"{line.path.partition('?')[0]} {line.status}" for line in asking.asked(ASKING))
    print(f'Rim with check = "0s": the way back asks for {lines or "nothing"}, {asking.wire:,} B with heads')


def _row(what: str, cells: Sequence[str]) -> None:
    print(f"| {what} | {' | '.join(cells)} |")


def _bytes(step: Step) -> str:
    return f"{step.bodies:,} B ({step.wire:,})"


def _times(times: Sequence[float]) -> str:
    return f"{statistics.median(times):,.0f} ms ({min(times):,.0f} – {max(times):,.0f})"


def _look(step: Step, side: Side) -> str:
    looks = [line for line in step.lines if line.path == side.script]
    return ", ".join(f"{line.status}" for line in looks) or "none"


def _verdict(is_met: bool) -> str:
    return "met" if is_met else "not met"


if __name__ == "__main__":
    sys.exit(main())
