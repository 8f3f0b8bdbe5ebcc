"""Publish: scan → encode → build → send → commit, told in one function.

Here lives the order of a publish and what is checked between its steps. Not here: the steps themselves (rim/scan,
rim/encode, rim/build, rim/sending), what is printed (rim/commands/publish), or what makes a release good (the origin
proves that again, whatever we say).

Two commits: the first stages the release, so that every edge can fetch and verify it while the old one is served; the
second makes it live. A publisher that dies between them leaves the old release live and the new blocks in place.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from content.release import Release, Rules
from rim.build import Built, Pieces, Unknown, build, keep
from rim.changes import Changes, compare
from rim.client import COMMIT_SECONDS, Origin, Rejected, site_path, stopped
from rim.encode import encode
from rim.exits import OK, Failed, Refused
from rim.ignore import for_folder
from rim.last import load, recipe
from rim.memo import Memo
from rim.output import Bars
from rim.reading import Changed
from rim.scan import Scan, scan, twice
from rim.sending import Sender
from rim.settings import author
from rim.steps import step
from rim.urls import site_urls
from rim.waiting import Gate, wait_for_edges, wait_until_warm, warmed

PHASES = ("scan", "encode", "build", "send", "commit", "warm")
_EDGE_FIELDS = ("node", "region", "public", "sequence")
_COMPLETIONS = 3  # times the origin may say that blocks are missing after all


@dataclass(frozen=True, slots=True)
class Job:
    """What to publish, and how."""

    folder: Path
    site: str
    message: str = ""
    encode: str = "balanced"
    spa: bool | None = None  # None: as the site's settings say
    warm: bool = True
    ignore: bool = True
    allow_empty: bool = False
    allow_secret: bool = False
    force: bool = False
    wait: str | None = None  # "all", or a number of edges
    timeout: float = 60.0
    gate: int | None = None  # so many edges of each region suffice before it is live; None: all


@dataclass(slots=True)
class Outcome:
    """How it went. `code` is the exit code; `remark` says what a person should know beside the URL."""

    site: str
    root: str
    release: str
    sequence: int = 0
    urls: list[str] = field(default_factory=list)
    files: int = 0
    blocks_sent: int = 0
    bytes_sent: int = 0
    phases: dict[str, float] = field(default_factory=dict)
    edges: list[dict[str, Any]] = field(default_factory=list)
    unchanged: bool = False
    code: int = OK
    remark: str = ""

    def value(self) -> dict[str, Any]:
        """The object that `publish --json` ends with."""
        keys = ("site", "root", "release", "sequence", "urls", "files", "blocks_sent", "bytes_sent", "phases", "edges")
        return {key: getattr(self, key) for key in keys} | ({"unchanged": True} if self.unchanged else {})


@dataclass(slots=True)
class Prepared:
    """A release as blocks, and the site as it was before."""

    scan: Scan
    built: Built
    pieces: Pieces
    recipe: bytes
    live: Mapping[str, Any] | None
    hosts: list[str]


class Publisher:
    """One run of `rim publish`."""

    def __init__(self, job: Job, origin: Origin, bars: Bars, memo: Memo) -> None:
        self._job = job
        self._origin = origin
        self._bars = bars
        self._memo = memo
        self._author = author()
        self.phases = dict.fromkeys(PHASES, 0.0)

    def publish(self) -> Outcome:
        """Publish; a file that changes on the way has everything begun again, once."""
        try:
            return self._publish(self._prepare())
        except (Changed, Unknown):
            pass
        try:
            return self._publish(self._prepare(whole=True))  # believing no build before this one
        except Changed as error:
            raise twice(error) from error

    def changes(self) -> Changes:
        """What publishing would change, without sending anything."""
        try:
            ready = self._prepare(whole=True)
        except Changed as error:
            raise twice(error) from error
        return compare(self._origin, self._job.site, ready.built, ready.live)

    def _prepare(self, *, whole: bool = False) -> Prepared:
        """All that can be done without sending anything, from the last build if there is one and not the `whole` is
        wanted. Raises Changed, Unknown, or how the command ends."""
        job = self._job
        accept = for_folder(job.folder, ignore=job.ignore, allow_secret=job.allow_secret)
        site = self._site()
        by, folder = recipe(job.encode, accept.rules, accept.secrets), str(job.folder)
        with self._phase("scan") as bar:
            last = None if whole else load(self._memo, folder, by, site.get("live"))
            found = scan(folder, accept, self._memo, bar, last)
        if found.is_empty and not job.allow_empty:
            raise Refused(f"{job.folder} holds no file to publish", "give --allow-empty if that is what you mean")
        with self._phase("encode") as bar:
            encodings = encode(found.folder, found.files, job.encode, self._memo, bar)
        with self._phase("build"):
            spa = site.get("settings", {}).get("spa") is True if job.spa is None else job.spa
            built = build(found, encodings, Rules(spa=spa), partial(self._memo.node, folder, by))
            pieces = Pieces(found, encodings, built, self._memo)
        return Prepared(found, built, pieces, by, site.get("live"), list(site.get("hosts", ())))

    def _publish(self, ready: Prepared) -> Outcome:
        built, live = ready.built, ready.live
        if live is not None and _is_live(built, live):
            return self._unchanged(ready, live)
        release = Release(
            root=built.root,
            index=built.index,
            rules=built.rules,
            previous=None if live is None else str(live["release"]),
            time=int(time.time()),
            author=self._author,
            message=self._job.message,
            files=built.files,
            size=built.size,
        ).to_block()
        ready.pieces.add(release)
        outcome = Outcome(self._job.site, str(built.root), str(release.cid), files=built.files, phases=self.phases)
        sender = Sender(self._origin, self._job.site, ready.pieces)
        with self._phase("send") as bar:
            sender.send(bar)
        expected = None if live is None else str(live["release"])
        self._stage(ready, outcome.release, expected, sender)
        deadline = time.monotonic() + self._job.timeout
        if self._job.warm:
            with self._phase("warm") as bar:
                gate = Gate(
                    outcome.site, outcome.release, max(1, sender.sent.bytes), bar, self._bars.say, self._job.gate
                )
                outcome.remark = wait_until_warm(self._origin, gate, self._gate_ends(deadline))
            step("warm.done")
        with self._timed("commit"):
            outcome.sequence = self._activate(outcome.release, expected)
        step("activate.done")
        outcome.blocks_sent, outcome.bytes_sent = sender.sent.blocks, sender.sent.bytes
        keep(self._memo, ready.scan, ready.built, ready.recipe)
        self._finish(outcome, ready.hosts, deadline)
        self._memo.prune()
        return outcome

    def _site(self) -> dict[str, Any]:
        """The site as it is; an empty one when it is to be created."""
        try:
            return self._origin.get(site_path(self._job.site))
        except Rejected as error:
            if error.status == 404:
                return {}
            stopped(error)

    def _stage(self, ready: Prepared, release: str, expected: str | None, sender: Sender) -> None:
        """Commit 1. The origin may find blocks missing that it had (a collected lease); then they are sent again."""
        path, job = site_path(self._job.site, "stage"), self._job
        for _ in range(_COMPLETIONS):
            body = {"release": release, "expected": expected, "lease": sender.sent.lease, "force": job.force}
            try:
                with self._timed("commit"):
                    self._origin.send("POST", path, body, timeout=COMMIT_SECONDS)
                step("stage.done")
                return
            except Rejected as error:
                if error.code not in ("incomplete", "no_lease"):
                    stopped(error)
                if error.code == "incomplete" and ready.scan.last is not None:
                    raise Unknown("the origin lacks blocks of the live release") from error
            with self._phase("send") as bar:
                sender.send(bar)
        raise Failed(f"the origin keeps losing blocks of {job.site}", "look at its log and run `rim origin fsck` there")

    def _activate(self, release: str, expected: str | None) -> int:
        """Commit 2. When its answer was lost and the repeated request is refused, what is live tells."""
        body = {"release": release, "expected": expected}
        try:
            answer = self._origin.send("POST", site_path(self._job.site, "activate"), body, timeout=COMMIT_SECONDS)
        except Rejected as error:
            live = self._site().get("live") if error.code == "lost_race" else None
            if live is None or live["release"] != release:
                stopped(error)
            return int(self._origin.get("/api/v1/status")["sequence"])
        return int(answer["sequence"])

    def _gate_ends(self, deadline: float) -> float:
        """Until when the gate may stay shut: with --wait a fifth of the time is kept for edges to flip."""
        return deadline if self._job.wait is None else deadline - self._job.timeout / 5

    def _unchanged(self, ready: Prepared, live: Mapping[str, Any]) -> Outcome:
        outcome = Outcome(self._job.site, str(ready.built.root), str(live["release"]), files=ready.built.files)
        outcome.phases, outcome.unchanged = self.phases, True
        keep(self._memo, ready.scan, ready.built, ready.recipe)
        self._finish(outcome, ready.hosts, time.monotonic() + self._job.timeout)
        return outcome

    def _finish(self, outcome: Outcome, hosts: list[str], deadline: float) -> None:
        """Wait if asked to, and say where the site is."""
        wait = self._job.wait
        seen = wait_for_edges(self._origin, outcome.sequence, wait, deadline)
        outcome.edges = [
            {key: edge.get(key) for key in _EDGE_FIELDS} | warmed(edge, outcome.site, outcome.release)
            for edge in seen.edges
        ]
        outcome.sequence = outcome.sequence or seen.sequence
        outcome.urls = site_urls(outcome.site, hosts, [edge for edge in seen.edges if edge["present"]])
        if wait is not None:
            outcome.code = seen.code
            outcome.remark = seen.remark("serve this release") or outcome.remark

    @contextmanager
    def _phase(self, name: str) -> Iterator[Callable[[int], Callable[[int], None]]]:
        """Time a phase; what it yields opens the phase's bar once its size is known."""
        with self._bars.phase(name) as bar, self._timed(name):
            yield bar

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.phases[name] = round(self.phases[name] + time.perf_counter() - start, 4)


def _is_live(built: Built, live: Mapping[str, Any]) -> bool:
    same = live["root"] == str(built.root) and live["index"] == str(built.index)
    return same and bool(live.get("rules", {}) == built.rules.to_value())
