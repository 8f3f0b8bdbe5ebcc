"""The checker: whether an answer is one that history allows. It knows what was published, and what it saw before.

Here live the invariants of an answer, with how each edge's past binds its future. Not here: what must be so once all is
quiet (audit). Nothing here is of Rim: bytes are compared with the bytes that were published, tags with SHA-256.

What an edge may serve of a site is known as a *bound*: the earliest commit that it can be at, for an answer that came
before, or a receipt that it gave, was of that commit. A bound only rises, over restarts too. So "never backwards" and
"no acknowledged commit is lost" are one rule: an answer is of a commit from the bound on, or of one of unknown fate.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.faults.chaos.history import Commit, History
from tests.faults.chaos.parts import BadPart, decoded, ranges_of
from tests.faults.chaos.sites import PREFIX, STABLE
from tests.faults.chaos.wire import Answer

Fits = Callable[[bytes], bool]
MISSING = "/404.html"  # what a 404 shows


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, and what was known of the edge when it was sent."""

    edge: str
    life: int  # of the edge's process
    site: str
    path: str
    headers: dict[str, str]
    bound: int
    receipt: int
    seen: frozenset[int]  # releases that this edge was seen to have live
    at: float

    def __str__(self) -> str:
        return f"{self.edge} (life {self.life}) {self.site}{self.path} {self.headers or ''} bound {self.bound}"


@dataclass(slots=True)
class _Past:
    """What is known of one site at one edge."""

    bound: int = 0
    seen: set[int] = field(default_factory=set)


class Checker:
    """Judges answers. `violations` must stay empty; `counts` says how much was looked at."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.violations: list[str] = []
        self.counts: Counter[str] = Counter()
        self.books: dict[tuple[str, int], Counter[str]] = {}  # what visitors saw, by edge and life
        self._past: dict[tuple[str, str], _Past] = {}
        self._receipts: dict[str, int] = {}
        self._tags: dict[str, tuple[bytes, bytes]] = {}  # ETag → SHA-256 of the bytes as sent, plain bytes

    @property
    def verified(self) -> int:
        """Answers whose bytes were compared with what was published."""
        return self.counts["verified"]

    def asking(self, edge: str, life: int, site: str, path: str, headers: dict[str, str]) -> Asked:
        """A request is about to be sent."""
        past = self._of(edge, site)
        receipt = self._receipts.get(edge, 0)
        return Asked(edge, life, site, path, headers, past.bound, receipt, frozenset(past.seen), time.monotonic())

    def receipt(self, edge: str, sequence: int) -> None:
        """This edge has said that it serves this Head: from now on nothing older may come from it."""
        self._receipts[edge] = max(sequence, self._receipts.get(edge, 0))
        for site, commits in self.history.commits.items():
            known = [c.index for c in commits if c.state == "acknowledged" and c.sequence <= sequence]
            past = self._of(edge, site)
            past.bound = max([past.bound, *known])

    def book(self, edge: str, life: int) -> Counter[str]:
        return self.books.setdefault((edge, life), Counter())

    def judge(self, asked: Asked, answer: Answer) -> bool:
        """Take an answer to account; whether its bytes were verified."""
        book = self.book(asked.edge, asked.life)
        book[f"{answer.status // 100}xx"] += 1
        if "detail=stale" in answer["cache-status"]:
            book["stale"] += 1
        if not answer.whole:
            book["broken"] += 1
            return self._broken(asked, answer)
        if answer.status >= 500:
            return False
        before = len(self.violations)
        try:
            match answer.status:
                case 200:
                    self._whole(asked, answer)
                case 206 | 416:
                    self._part(asked, answer)
                case 304:
                    self._unchanged(asked, answer)
                case 404:
                    self._missing(asked, answer)
                case _:
                    self._wrong(asked, answer, "a status that no request here asks for")
        except BadPart as error:
            self._wrong(asked, answer, str(error))
        good = len(self.violations) == before
        self.counts["verified"] += good
        self.counts[f"verified {answer.status}"] += good
        return good

    def live(self, asked: Asked) -> list[Commit]:
        """The commits that the edge may have been at when it answered."""
        now = time.monotonic()
        commits = self.history.commits.get(asked.site, [])
        return [c for c in commits if c.began <= now and (c.index >= asked.bound or c.state == "unknown")]

    # Answers by status.

    def _whole(self, asked: Asked, answer: Answer) -> None:
        if answer.method == "HEAD":
            sizes = {len(body) for _, body in self._bodies(asked)}
            if not answer["content-encoding"] and int(answer["content-length"] or -1) not in sizes:
                self._wrong(asked, answer, f"a length that no release has: {sorted(sizes)}")
            return
        plain = decoded(answer.body, answer["content-encoding"])
        if self._must(asked, answer, lambda body: body == plain):
            self._tagged(asked, answer, plain)

    def _part(self, asked: Asked, answer: Answer) -> None:
        if answer.status == 416:
            sizes = {f"bytes */{len(body)}" for _, body in self._bodies(asked)}
            if answer["content-range"] not in sizes:
                self._wrong(asked, answer, f"Content-Range of no release: {sizes}")
            return
        parts = ranges_of(answer)
        known = self._tags.get(answer["etag"])

        def fits(body: bytes) -> bool:
            right = all(len(body) == size and body[a : b + 1] == data for a, b, size, data in parts)
            return right and (known is None or known[1] == body)

        self._must(asked, answer, fits)

    def _unchanged(self, asked: Asked, answer: Answer) -> None:
        known = self._tags.get(asked.headers.get("If-None-Match", ""))
        if known is None:
            self._wrong(asked, answer, "304 to a tag that nobody was given")
        else:
            self._must(asked, answer, lambda body: body == known[1])

    def _missing(self, asked: Asked, answer: Answer) -> None:
        """The page must be one of the site's, and the path one that may be missing."""
        pages = {self._files(commit).get(MISSING) for commit in self.live(asked)}
        if answer.method != "HEAD" and decoded(answer.body, answer["content-encoding"]) not in pages:
            self._wrong(asked, answer, "a 404 page of no release that may be live")
        if asked.path in STABLE:
            self._wrong(asked, answer, "404, and every release has this path")
        if not asked.path.startswith(PREFIX):
            return
        live = self.live(asked)
        if live and all(asked.path in self._files(commit) for commit in live):
            self._wrong(asked, answer, "404, and every release that may be live has this path")
        known = [n for n in self._numbers(asked) if n in asked.seen or self._has_passed(asked, n)]
        purged = any(purge.covers(asked.path) for purge in self.history.purges.get(asked.site, []))
        if known and not purged:
            self._wrong(asked, answer, f"404, and this edge has had the releases {known} with this path, not purged")

    def _broken(self, asked: Asked, answer: Answer) -> bool:
        """What came of an answer that broke off must be right as far as it went."""
        self.counts["broken"] += 1
        if answer.status == 200 and not answer["content-encoding"]:
            self._must(asked, answer, lambda body: body.startswith(answer.body))
        return False

    # What is allowed.

    def _bodies(self, asked: Asked) -> Iterator[tuple[Commit | None, bytes]]:
        """All that may be answered, with the commit that it is of; None: lent by a release that need not be live."""
        for commit in self.live(asked):
            files = self._files(commit)
            if asked.path in files:
                yield commit, files[asked.path]
        if not asked.path.startswith(PREFIX):
            return
        for number in self._numbers(asked):
            if not self._floored(asked, number):
                yield None, self.history.releases[asked.site, number][asked.path]

    def _must(self, asked: Asked, answer: Answer, fits: Fits) -> bool:
        """Whether some allowed body fits; and then the edge is known to be so far."""
        found = [commit for commit, body in self._bodies(asked) if fits(body)]
        if not found:
            self._wrong(asked, answer, self._story(asked, fits))
            return False
        commits = [commit for commit in found if commit is not None]
        if not answer.whole or asked.path.startswith(PREFIX) or len(commits) < len(found):
            return True
        past = self._of(asked.edge, asked.site)
        if len({commit.number for commit in commits}) == 1:
            past.seen.add(commits[0].number)
        if all(commit.index >= asked.bound for commit in commits):
            past.bound = max(past.bound, min(commit.index for commit in commits))
        return True

    def _numbers(self, asked: Asked) -> list[int]:
        """The releases, begun by now, that have this path."""
        releases = self.history.releases.items()
        return [number for (site, number), files in releases if site == asked.site and asked.path in files]

    def _floored(self, asked: Asked, number: int) -> bool:
        """Whether the edge has given a receipt for a purge that takes this path of this release."""
        purges = self.history.purges.get(asked.site, [])
        return any(
            purge.state == "acknowledged" and purge.sequence <= asked.receipt and number in purge.staged
            for purge in purges
            if purge.covers(asked.path)
        )

    def _has_passed(self, asked: Asked, number: int) -> bool:
        """Whether the edge surely has been at a commit of this release, or at a later one."""
        commits = self.history.commits.get(asked.site, [])
        return any(c.number == number and c.state == "acknowledged" and c.index <= asked.bound for c in commits)

    def _tagged(self, asked: Asked, answer: Answer, plain: bytes) -> None:
        """One tag, one body: on every edge, in every life."""
        digest = hashlib.sha256(answer.body).digest()
        if not answer["etag"]:
            self._wrong(asked, answer, "no ETag")
        elif self._tags.setdefault(answer["etag"], (digest, plain))[0] != digest:
            self._wrong(asked, answer, "an ETag that stood for other bytes before")

    def _files(self, commit: Commit) -> dict[str, bytes]:
        return self.history.releases[commit.site, commit.number]

    def _of(self, edge: str, site: str) -> _Past:
        return self._past.setdefault((edge, site), _Past())

    # What is told of it.

    def _wrong(self, asked: Asked, answer: Answer, why: str) -> None:
        told = {name: answer[name] for name in ("etag", "content-range", "cache-status", "rim-reason") if answer[name]}
        self.fail(f"{asked}: {answer.status}, {len(answer.body)} bytes {told}: {why}")

    def fail(self, text: str) -> None:
        """Note a violation."""
        self.violations.append(text)
        self.history.note(f"VIOLATION {text}")

    def _story(self, asked: Asked, fits: Fits) -> str:
        """Whose bytes these are, if anybody's."""
        releases = self.history.releases.items()
        owners = [
            f"{site} release {number} {path}"
            for (site, number), files in releases
            for path, body in files.items()
            if fits(body)
        ]
        allowed = sorted({c.number for c in self.live(asked)})
        return f"bytes of {owners[:3] or 'nothing that was ever published'}; allowed: releases {allowed}"
