"""History: what was published, in whose order, and what of it was acknowledged. All that the checker knows.

Here live records, written by publishers as they act. Not here: what an answer must be (checker).

The deeds of one site come one after another, so its commits have an order: the index. One that was not acknowledged
(the publisher died, the origin did, the answer was lost) may have happened, or may yet: it is *unknown* to the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

State = Literal["open", "acknowledged", "unknown"]


@dataclass(slots=True)
class Commit:
    """A change of what is live: a release, or a rollback to one. `number`: the release."""

    site: str
    index: int
    what: str
    number: int
    began: float
    state: State = "open"
    sequence: int = 0  # of the Head that has it, where it was acknowledged
    ended: float = 0.0

    def __str__(self) -> str:
        return f"{self.site}#{self.index} {self.what} of release {self.number}: {self.state} {self.sequence or ''}"


@dataclass(slots=True)
class Purge:
    """A floor. `staged`: the releases that surely were at the origin before it."""

    site: str
    kind: str  # path, prefix, site
    value: str
    staged: frozenset[int]
    began: float
    state: State = "open"
    sequence: int = 0

    def covers(self, path: str) -> bool:
        match self.kind:
            case "path":
                return path == self.value
            case "prefix":
                return path.startswith(self.value)
            case _:
                return True


@dataclass(slots=True)
class Pin:
    """A pinned Root, and bytes that must be found below it."""

    root: str
    site: str
    number: int


@dataclass
class History:
    """Of one run. `told` is a log to read when something is wrong."""

    releases: dict[tuple[str, int], dict[str, bytes]] = field(default_factory=dict)
    roots: dict[tuple[str, int], tuple[str, str]] = field(default_factory=dict)  # Release and Root, where known
    commits: dict[str, list[Commit]] = field(default_factory=dict)
    purges: dict[str, list[Purge]] = field(default_factory=dict)
    pins: list[Pin] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    start: float = field(default_factory=time.monotonic)
    listener: Callable[[str], None] = lambda line: None  # of what is told, as it is
    failed: int = 0  # deeds that were refused, or whose end nobody knows

    def note(self, text: str) -> None:
        line = f"{time.monotonic() - self.start:7.3f} {text}"
        self.told.append(line)
        self.listener(line)

    def publishing(self, site: str, number: int, files: dict[str, bytes]) -> Commit:
        """A publish begins: from now on its bytes may be seen."""
        self.releases[site, number] = files
        return self.changing(site, "publish", number)

    def changing(self, site: str, what: str, number: int) -> Commit:
        commits = self.commits.setdefault(site, [])
        commits.append(Commit(site, len(commits), what, number, time.monotonic()))
        return commits[-1]

    def purging(self, site: str, kind: str, value: str) -> Purge:
        staged = frozenset(c.number for c in self.commits.get(site, []) if c.state == "acknowledged")
        purge = Purge(site, kind, value, staged, time.monotonic())
        self.purges.setdefault(site, []).append(purge)
        return purge

    def ended(self, deed: Commit | Purge, sequence: int | None) -> None:
        """The deed was acknowledged with this sequence; None: nobody knows what became of it."""
        deed.state = "unknown" if sequence is None else "acknowledged"
        deed.sequence = sequence or 0
        self.failed += sequence is None
        if isinstance(deed, Commit):
            deed.ended = time.monotonic()
        self.note(str(deed))

    @property
    def acknowledged(self) -> int:
        """Commits, purges and pins that the origin has said it has."""
        deeds: list[Commit | Purge] = [*chain(*self.commits.values()), *chain(*self.purges.values())]
        return sum(deed.state == "acknowledged" for deed in deeds) + len(self.pins)

    def last(self, site: str) -> Commit | None:
        """The last acknowledged commit of a site."""
        return next((c for c in reversed(self.commits.get(site, [])) if c.state == "acknowledged"), None)

    def endings(self, site: str) -> set[int]:
        """The releases that may be live when all is quiet: the last acknowledged one, or an unknown one's."""
        last = self.last(site)
        unknown = {c.number for c in self.commits.get(site, []) if c.state != "acknowledged"}
        return unknown | ({last.number} if last else set())
