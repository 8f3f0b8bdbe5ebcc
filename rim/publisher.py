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
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from content.release import Release, Rules
from rim.build import Built, Pieces, Unknown, build, keep
from rim.changes import Changes, compare
from rim.client import COMMIT_SECONDS, Origin, Rejected, site_path, stopped
from rim.encode import encode
from rim.exits import Failed, Refused
from rim.findings import NOTE, refuse_errors
from rim.ignore import for_folder
from rim.job import Job, Outcome, Show
from rim.last import load, recipe
from rim.listing import Listing
from rim.memo import Memo
from rim.output import Bars
from rim.pages.publishing import is_stale, recipe_of, take_pages, wanted_of
from rim.reading import Changed
from rim.returning import SECONDS, Measure
from rim.rules import RulesFound, check_rules
from rim.scan import Scan, scan, twice
from rim.sending import Sender
from rim.settings import author
from rim.steps import step
from rim.urls import site_urls
from rim.waiting import Gate, wait_for_edges, wait_until_warm, warmed

PHASES = ("scan", "encode", "build", "send", "commit", "warm")
_EDGE_FIELDS = ("node", "region", "public", "sequence")
_COMPLETIONS = 3  # times the origin may say that blocks are missing after all


@dataclass(slots=True)
class Prepared:
    """A release as blocks, and the site as it was before."""

    scan: Scan
    built: Built
    pieces: Pieces
    recipe: bytes
    site: Mapping[str, Any]  # as the origin shows it; empty when it is to be created
    notes: list[str]  # what is good to know, and stops nothing

    @property
    def live(self) -> Mapping[str, Any] | None:
        return self.site.get("live")


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

    def changes(self, *, measured: bool = False) -> Changes:
        """What publishing would change, without sending anything; `measured`: and what visitors would download then."""
        try:
            ready = self._prepare(whole=True)
        except Changed as error:
            raise twice(error) from error
        changes = compare(self._origin, self._job.site, ready.built, ready.live)
        if ready.live is None or not measured:
            return changes
        measure = Measure(self._origin, self._memo, ready.scan, ready.built, ready.live).start()
        return replace(changes, returning=measure.finish(SECONDS))

    def _prepare(self, *, whole: bool = False) -> Prepared:
        """All that can be done without sending anything, from the last build if there is one and not the `whole` is
        wanted. Raises Changed, Unknown, or how the command ends."""
        job = self._job
        accept = for_folder(job.folder, ignore=job.ignore, allow_secret=job.allow_secret)
        site = self._site()
        project, folder = job.project, str(job.folder)
        html = wanted_of(project, bit_for_bit=not job.ignore)
        html_by = recipe_of(project, html)
        by = recipe(job.encode, accept.rules, accept.secrets, project.immutable, project.tags, html_by)
        with self._phase("scan") as bar:
            last = None if whole else load(self._memo, folder, by, site.get("live"))
            found = scan(folder, accept, self._memo, bar, last)
            if is_stale(found, html):
                found = scan(folder, accept, self._memo, bar)
        if found.is_empty and not job.allow_empty:
            raise Refused(f"{job.folder} holds no file to publish", "give --allow-empty if that is what you mean")
        with self._bars.phase("pages") as bar, self._timed("build"):
            ruled = check_rules(job.folder, project, Listing(folder, accept))
            pages = take_pages(found, ruled, project, html, self._memo, bar)
            refuse_errors(pages.findings)
        with self._phase("encode") as bar:
            encodings = encode(found.folder, found.files, job.encode, self._memo, bar)
        with self._phase("build"):
            ruled = pages.ruled
            spa = site.get("settings", {}).get("spa") is True if job.spa is None else job.spa
            node = partial(self._memo.node, folder, by)
            built = build(found, encodings, _rules(ruled, spa), node, ruled, pages.hints)
            pieces = Pieces(found, encodings, built, self._memo)
        notes = [it.text for it in (*ruled.findings, *pages.findings) if it.level == NOTE or it in pages.findings]
        return Prepared(found, built, pieces, by, site, notes)

    def _publish(self, ready: Prepared) -> Outcome:
        if self._job.show is not None:
            return self._show(ready, self._job.show)
        built, live = ready.built, ready.live
        if live is not None and _is_same(built, live):
            return self._unchanged(ready, live)
        for note in ready.notes:
            self._bars.say(note)
        outcome, sender = self._send(ready)
        expected = None if live is None else str(live["release"])
        measure = None if live is None else Measure(self._origin, self._memo, ready.scan, built, live).start()
        try:
            self._go_live(outcome, ready, expected, sender)
        except BaseException:
            if measure is not None:
                measure.finish(0)
            raise
        remarks = [outcome.remark]
        if measure is not None and (returning := measure.finish()) is not None:
            outcome.returning = returning.value()
            remarks.append(returning.text() if returning.files else "")
        if built.rules.worker is not None and not ready.site.get("worker", {}).get("on", True):
            remarks.append(f"the service worker stays switched off: `rim sw on {outcome.site}`")
        outcome.remark = "\n".join(filter(None, remarks))
        return outcome

    def _go_live(self, outcome: Outcome, ready: Prepared, expected: str | None, sender: Sender) -> None:
        """Both commits, with the gate between them, and the waiting that was asked for."""
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
        self._finish(outcome, self._hosts(ready), deadline)
        self._memo.prune()

    def _send(self, ready: Prepared) -> tuple[Outcome, Sender]:
        """The release with its date, at the origin but not named by anything there."""
        built, live = ready.built, ready.live
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
        outcome = self._outcome(built, str(release.cid))
        sender = Sender(self._origin, self._job.site, ready.pieces)
        with self._phase("send") as bar:
            sender.send(bar)
        return outcome, sender

    def _outcome(self, built: Built, release: str) -> Outcome:
        outcome = Outcome(self._job.site, str(built.root), release, files=built.files, phases=self.phases)
        if wanted_of(self._job.project, bit_for_bit=not self._job.ignore).rewrites:
            outcome.folder_root = str(built.own)
        return outcome

    def _show(self, ready: Prepared, show: Show) -> Outcome:
        """Under a preview's name, in one commit. The same again only moves its end."""
        shown = next((p for p in ready.site.get("previews", ()) if p["name"] == show.name), None)
        sender: Sender | None = None
        if shown is not None and _is_same(ready.built, shown):
            outcome = self._outcome(ready.built, str(shown["release"]))
            outcome.unchanged = True
        else:
            outcome, sender = self._send(ready)
        outcome.preview = show.name
        body = {
            "release": outcome.release,
            "lease": None if sender is None else sender.sent.lease,
            "expires": None if show.seconds is None else int(time.time()) + show.seconds,
            "password": show.password,
            "author": self._author,
            "message": self._job.message,
        }
        path = site_path(self._job.site, f"previews/{show.name}")
        with self._timed("commit"):
            outcome.sequence = self._commit("PUT", path, body, ready, sender)
        step("preview.done")
        if sender is not None:
            outcome.blocks_sent, outcome.bytes_sent = sender.sent.blocks, sender.sent.bytes
        self._finish(outcome, list(ready.site.get("hosts", ())), time.monotonic() + self._job.timeout)
        return outcome

    def _commit(self, method: str, path: str, body: dict[str, Any], ready: Prepared, sender: Sender | None) -> int:
        """A commit that proves the release. The origin may find blocks missing that it had (a collected lease); then
        they are sent again. The sequence that has it."""
        for _ in range(_COMPLETIONS):
            if sender is not None:
                body["lease"] = sender.sent.lease
            try:
                return int(self._origin.send(method, path, body, timeout=COMMIT_SECONDS)["sequence"])
            except Rejected as error:
                if error.code not in ("incomplete", "no_lease") or sender is None:
                    stopped(error)
                if error.code == "incomplete" and ready.scan.last is not None:
                    raise Unknown("the origin lacks blocks of the live release") from error
            with self._phase("send") as bar:
                sender.send(bar)
        hint = "look at its log and run `rim origin fsck` there"
        raise Failed(f"the origin keeps losing blocks of {self._job.site}", hint)

    def _wish(self) -> dict[str, Any]:
        """What rim.toml asks of the site itself, for the commit that makes the release live."""
        project = self._job.project
        wish: dict[str, Any] = {} if project.hosts is None else {"hosts": list(project.hosts)}
        settings = project.site_settings()
        return wish | ({"settings": settings} if settings else {})

    def _hosts(self, ready: Prepared) -> list[str]:
        project = self._job.project
        return list(ready.site.get("hosts", ()) if project.hosts is None else project.hosts)

    def _site(self) -> dict[str, Any]:
        """The site as it is; an empty one when it is to be created."""
        try:
            return self._origin.get(site_path(self._job.site))
        except Rejected as error:
            if error.status == 404:
                return {}
            stopped(error)

    def _stage(self, ready: Prepared, release: str, expected: str | None, sender: Sender) -> None:
        """Commit 1."""
        body = {"release": release, "expected": expected, "force": self._job.force, "author": self._author}
        with self._timed("commit"):
            self._commit("POST", site_path(self._job.site, "stage"), body | self._wish(), ready, sender)
        step("stage.done")

    def _activate(self, release: str, expected: str | None) -> int:
        """Commit 2. When its answer was lost and the repeated request is refused, what is live tells."""
        body = {"release": release, "expected": expected, "author": self._author, **self._wish()}
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
        """What is published is live already; what rim.toml asks of the site itself may be new all the same."""
        outcome = self._outcome(ready.built, str(live["release"]))
        outcome.unchanged = True
        if _is_news(self._wish(), ready.site):
            body = {**self._wish(), "author": self._author}
            answer = self._origin.send("PATCH", site_path(self._job.site), body, timeout=COMMIT_SECONDS)
            outcome.sequence, outcome.unchanged = int(answer["sequence"]), False
        keep(self._memo, ready.scan, ready.built, ready.recipe)
        self._finish(outcome, self._hosts(ready), time.monotonic() + self._job.timeout)
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
        present = [edge for edge in seen.edges if edge["present"]]
        outcome.urls = site_urls(outcome.site, hosts, present, outcome.preview)
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


def _is_same(built: Built, shown: Mapping[str, Any]) -> bool:
    """Whether what is built is what a release of the origin has already."""
    same = shown["root"] == str(built.root) and shown["index"] == str(built.index)
    return same and bool(shown.get("rules", {}) == built.rules.to_value())


def _is_news(wish: Mapping[str, Any], site: Mapping[str, Any]) -> bool:
    hosts, settings = wish.get("hosts"), wish.get("settings", {})
    return (hosts is not None and hosts != site.get("hosts")) or any(
        site.get("settings", {}).get(key) != value for key, value in settings.items()
    )


def _rules(found: RulesFound, spa: bool) -> Rules:
    """The Release's rules: what the folder and rim.toml say."""
    said = dict(found.rules)
    html = said.pop("html", {})
    return Rules.from_value({**said, **{key: value for key, value in html.items() if value}, "spa": spa})
