"""Ready: the answers that wait in memory, and the counts of what was answered.

Here lives the exact lookup that the hot path does, (view, raw path) → Answer, and what it hands out: bytes or nothing.
The app fills it. Not here: any policy (edge/app), the bytes themselves (edge/cache/memory holds each block
once, however many answers name it).

The view's key is part of an answer's. A flip, a rollback, a purge makes another view, and every answer made before is
out of reach in that moment; the LRU carries the old ones out. Where the site's rules read the query or the host, these
are part of the key too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import unquote

from content.block import Block
from content.cid import CID
from edge.cache.memory import Memory
from edge.http.answer import Answer, Choice, Redirection
from edge.http.outcome import Outcome, cache_status
from edge.pause import Pause
from edge.site.router import Router
from edge.site.view import SiteView

AnyAnswer: TypeAlias = Answer | Redirection
SHARE = 8  # this part of the memory budget is for ready answers, the rest for blocks
Log = Callable[[str, str, int, int, Outcome], None]  # method, target, status, bytes of body, outcome


@dataclass(slots=True)
class AnswerCounts:
    """What was answered, ever."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    bytes: int = 0
    broken: int = 0  # answers cut off after their first byte, because the rest could not be had
    refused: Counter[int] = field(default_factory=Counter)  # by the protocol itself: no request came of it


class Ready:
    """Answers at hand for one public listener."""

    def __init__(self, name: str, router: Router, blocks: Memory[CID, Block], budget: int) -> None:
        self.name = name
        self.router = router
        self.blocks = blocks
        self.answers: Memory[tuple[bytes, bytes], AnyAnswer] = Memory(budget)
        self.counts = AnswerCounts()
        self.log: Log | None = None
        self.pause: Pause | None = None  # while it holds, nothing is answered from here
        self.is_stale = False  # the Head is past its end; whoever follows the Head says so
        self._lines = {o: f"cache-status: {cache_status(o, name)}\r\n".encode("latin-1") for o in Outcome}

    def find(self, host: bytes, url: bytes) -> AnyAnswer | None:
        """The answer for exactly this Host field and raw target, if it waits here."""
        view = self.router.view_of_field(host)
        if view is None:
            return None
        path, _, query = url.partition(b"?")
        answer = self.answers.get((view.key, path if view.is_plain else _slot(host, path, query)))
        if answer is None or (query and not answer.shares_query):
            return None
        answer.asked += 1
        return answer

    def body(self, choice: Choice) -> bytes | memoryview | None:
        """The bytes of a choice out of memory; None where they are not there, or not of the length promised."""
        if choice.body is None:
            return b""
        block = self.blocks.get(choice.body)
        if block is None or len(block.data) != choice.size:
            return None
        if choice.stop - choice.start == choice.size:
            return block.data
        return memoryview(block.data)[choice.start : choice.stop]

    def keep(self, view: SiteView, host: bytes, path: bytes, query: bytes, answer: AnyAnswer) -> None:
        """From now on this path answers from memory, as long as the view lasts. Only what is one block per variant, and
        what may be answered without looking at a clock."""
        timed = view.max_stale is not None or (view.terms is not None and view.terms.expires is not None)
        if answer.status >= 400 or not answer.is_single or timed or (query and not answer.shares_query):
            return
        slot = path if view.is_plain else _slot(host, path, query)
        self.answers.put((view.key, slot), answer, answer.weight + len(slot))

    def asked(self, site: str) -> dict[str, int]:
        """How often each path of a site has answered from here, as far as that is remembered: answers of views before
        this one count until they are carried out."""
        view = self.router.sites.get(site)
        if view is None:
            return {}
        counts: Counter[str] = Counter()
        for (key, slot), answer in self.answers.items():
            if answer.asked and key.startswith(view.family):
                path = slot if view.is_plain else slot.partition(b" ")[2].partition(b"?")[0]
                counts[unquote(path.decode("latin-1"), errors="replace")] += answer.asked
        return counts

    def outcome(self, outcome: Outcome) -> Outcome:
        """The outcome as it is told: what would be a hit is stale while the Head is."""
        return Outcome.STALE if self.is_stale and outcome in (Outcome.HIT, Outcome.DISK) else outcome

    def status_line(self, outcome: Outcome) -> bytes:
        """The Cache-Status header line."""
        return self._lines[outcome]

    def count(self, method: str, target: str, status: int, size: int, outcome: Outcome) -> None:
        """One answer has been given."""
        counts = self.counts
        counts.outcomes[outcome] += 1
        counts.statuses[status] += 1
        counts.bytes += size
        if self.log is not None:
            self.log(method, target, status, size, outcome)

    def __repr__(self) -> str:
        return f"<Ready {len(self.answers)} answers of {self.router!r}>"


def _slot(host: bytes, path: bytes, query: bytes) -> bytes:
    """Where the answer lies when the path alone does not say it. No Host field holds a space."""
    return b"%s %s?%s" % (host, path, query)
