"""Ready: the answers at hand for one public listener, and what it has told.

Here lives the exact lookup of the hot path, (host, raw path) → what to write, and what the app hands in for it. Not
here: any policy (edge/app), the answers' room (edge/kept), the bytes themselves (edge/cache/memory holds each block
once, however many answers name it).

A request that was seen before, byte for byte, is one look into a dictionary (`known`). Else a hit looks twice (host,
path), then takes the shot that was made for this way of asking. All else is done when the shot is made.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import unquote

from content.block import Block
from content.cid import CID, RAW
from content.walk import Leaf
from edge.cache.memory import Memory
from edge.counting import NOBODY, AnswerCounts, Log, Told
from edge.http.answer import Choice
from edge.http.dictionary import is_delta
from edge.http.heads import Head, Heads, is_query
from edge.http.outcome import Outcome, cache_status
from edge.http.status import STATUS_LINE
from edge.kept import AnyAnswer, Keeping, Kept, Known, Leaves, Shelf, Shot, Tenant
from edge.pause import Pause
from edge.site.router import Router, Table
from edge.site.view import SiteView

SHARE = 8  # this part of the memory budget is for ready answers, the rest for blocks
_HOSTS = 4_096  # raw Host fields remembered
_KNOWN = 16 * 1024 * 1024  # bytes of requests remembered whole, beside the budget


class Ready:
    """Answers at hand for one public listener."""

    def __init__(self, name: str, router: Router, blocks: Memory[CID, Block], budget: int) -> None:
        self.name = name
        self.router = router
        self.blocks = blocks
        self.heads = Heads()
        self.known = Known(min(_KNOWN, budget // 4))
        self.keeping = Keeping(budget, _later)
        self.counts = AnswerCounts()
        self.log: Log | None = None
        self.pause = Pause()  # while it holds, nothing is answered from here
        self.load: Callable[[CID], Awaitable[Block]] | None = None  # a block that has left memory meanwhile
        self._is_stale = False
        self._lines = {o: f"cache-status: {cache_status(o, name)}\r\n".encode("latin-1") for o in Outcome}
        self.beside: Callable[[bytes], Tenant | None] | None = None  # whose a Host field is that is no site's
        self._beside_keys: frozenset[bytes] = frozenset()
        self._hosts: dict[bytes, Shelf] = {}
        router.watchers.append(self._turn)

    # The hot path.

    def shot(self, head: Head, target: bytes, is_get: bool) -> Shot | None:
        """What to write for this request; None where it does not wait here. Its body's blocks are in memory."""
        shelf = self._hosts.get(head.host) or self._shelf(head.host)
        if shelf is None or (shelf.reads_accept and not head.is_plain):
            return None
        if head.release is not None and shelf.release is not None and head.release != shelf.release:
            return None
        kept = shelf.kept.get(target) if shelf.is_plain else None
        if kept is None:
            kept = self._find(shelf, head.host, target)
            if kept is None:
                return None
        shot = kept.shots.get(head.key) if is_get and head.key is not None else None
        if shot is None:
            shot = self._make(shelf, kept, head, is_get)
        elif (body := shot.body) is not None:
            if body.value is None:
                shot = self._make(shelf, kept, head, is_get)
            else:
                body.mark = True
        elif shot.leaves and not self._holds(shot.leaves):
            return None
        return shot

    def _find(self, shelf: Shelf, host: bytes, target: bytes) -> Kept | None:
        path, mark, query = target.partition(b"?")
        if not mark and shelf.is_plain:
            return None
        kept = shelf.kept.get(shelf.slot(host, path, query))
        if kept is None or (query and not (kept.answer.shares_query and is_query(query))):
            return None
        return kept

    def _make(self, shelf: Shelf, kept: Kept, head: Head, is_get: bool) -> Shot | None:
        """The shot for this way of asking, kept if others may ask alike."""
        asking = head.asking if is_get else head.asking._replace(method="HEAD")
        if asking.available_dictionary is not None and kept.answer.awaited(asking) is not None:
            return None  # a delta that may be worth it is the app's to have made
        choice = kept.answer.choose(asking)
        if choice.parts:
            return None
        told = self.outcome(Outcome.HIT)
        lines = STATUS_LINE[choice.status] + choice.head + self._lines[told]
        kind = (shelf.view.name, choice.status, told)
        tally = self.counts.tally(*kind, choice.body is not None and is_delta(choice.head))
        shot = Shot(lines, kept, kind, tally, shelf.is_plain and kept.answer.shares_query)
        if choice.body is not None and not self._aim(shot, kept, choice):
            return None
        if is_get and head.key is not None:
            self.keeping.remember(kept, head.key, shot)
        return shot

    def _aim(self, shot: Shot, kept: Kept, choice: Choice) -> bool:
        """Whether the body is at hand, and of the length promised."""
        assert choice.body is not None
        shot.size = choice.stop - choice.start
        if choice.body.codec == RAW:
            return self._aim_at(shot, choice.body, choice.start, choice.size)
        leaves = _between(kept.leaves.get(choice.body, ()), choice.start, choice.stop)
        if len(leaves) == 1 and leaves[0].size is not None:
            return self._aim_at(shot, leaves[0].cid, leaves[0].skip, leaves[0].size)
        shot.leaves = leaves
        return bool(leaves) and self._holds(leaves)

    def _aim_at(self, shot: Shot, cid: CID, start: int, whole: int) -> bool:
        """Whether this one block, which must be so long, is at hand."""
        slot = self.blocks.slot(cid)
        if slot is None or slot.value is None or len(slot.value.data) != whole:
            return False
        slot.mark = True
        shot.body, shot.start, shot.whole = slot, start, whole
        return True

    def _holds(self, leaves: Sequence[Leaf]) -> bool:
        """Whether all of a long body is in memory. Else the app reads it: it says where the bytes come from, has the
        first of them before it promises any, and fetches ahead."""
        return all(leaf.cid in self.blocks for leaf in leaves)

    def _turn(self, table: Table) -> None:
        """Other views are there: let go of what was kept of those that are not."""
        self._hosts = {}
        self.known.clear()
        self.keeping.retain(table.keys | self._beside_keys)

    def _shelf(self, host: bytes) -> Shelf | None:
        view = self._tenant(host)
        if view is None:
            return None
        if len(self._hosts) >= _HOSTS:
            self._hosts.clear()
        shelf = self._hosts[host] = self.keeping.shelf(view)
        return shelf

    def _tenant(self, host: bytes) -> Tenant | None:
        view = self.router.view_of_field(host)
        return view if view is not None or self.beside is None else self.beside(host)

    # What the app hands in.

    def keep(
        self, view: SiteView, host: bytes, path: bytes, query: bytes, answer: AnyAnswer, leaves: Leaves | None = None
    ) -> None:
        """From now on this path answers from memory, as long as the view lasts. Only what may be answered without
        looking at a clock. `leaves`: what variants of more than one block consist of; those that are not named stay
        with the app."""
        timed = view.max_stale is not None or (view.terms is not None and view.terms.expires is not None)
        if (
            answer.status >= 400
            or timed
            or (query and not answer.shares_query)
            or view.key not in self.router.table.keys
        ):
            return
        shelf = self.keeping.shelf(view)
        slot = shelf.slot(host, path, query)
        known = shelf.kept.get(slot)
        self.keeping.put(shelf, slot, answer, {**(known.leaves if known else {}), **(leaves or {})})

    def keep_beside(
        self, tenant: Tenant, host: bytes, path: bytes, query: bytes, answer: AnyAnswer, leaves: Leaves
    ) -> None:
        """The same for who is no site, until `drop_beside`."""
        self._beside_keys |= {tenant.key}
        shelf = self.keeping.shelf(tenant)
        self.keeping.put(shelf, shelf.slot(host, path, query), answer, leaves)

    def drop_beside(self) -> None:
        """Let go of what is kept for those who are no sites: whether it may be shown is to be asked again."""
        if self._beside_keys:
            self._beside_keys = frozenset()
            self._turn(self.router.table)

    def asked(self, site: str) -> dict[str, int]:
        """How often each path of a site has answered from here, as far as that is remembered: answers of views before
        this one count until they are buried."""
        view = self.router.sites.get(site)
        if view is None:
            return {}
        counts: Counter[str] = Counter()
        for shelf, slot, kept in self.keeping.all():
            if kept.asked and shelf.view.family == view.family:
                path = slot if shelf.is_plain else slot.partition(b" ")[2].partition(b"?")[0]
                counts[unquote(path.decode("latin-1"), errors="replace")] += kept.asked
        return counts

    def clear(self) -> None:
        """Forget all answers."""
        self._hosts = {}
        self.known.clear()
        self.keeping.clear()

    # What is told.

    @property
    def is_stale(self) -> bool:
        """Whether the Head is past its end; whoever follows the Head says so."""
        return self._is_stale

    @is_stale.setter
    def is_stale(self, value: bool) -> None:
        if value != self._is_stale:
            self._is_stale = value
            self.clear()  # they say what they are

    def outcome(self, outcome: Outcome) -> Outcome:
        """The outcome as it is told: what would be a hit is stale while the Head is."""
        return Outcome.STALE if self._is_stale and outcome in (Outcome.HIT, Outcome.DISK) else outcome

    def status_line(self, outcome: Outcome) -> bytes:
        """The Cache-Status header line."""
        return self._lines[outcome]

    def count(self, told: Told, is_delta: bool = False) -> None:
        """One answer has been given."""
        tally = self.counts.tally(told.site, told.status, told.outcome, is_delta)
        tally.requests += 1
        tally.bytes += told.size
        if self.log is not None:
            self.log(told)

    def site_of(self, host: bytes) -> str:
        """The name of the site of a Host field."""
        tenant = self._tenant(host)
        return NOBODY if tenant is None else tenant.name

    def __repr__(self) -> str:
        return f"<Ready {len(self.keeping)} answers of {self.router!r}>"


def _between(leaves: Sequence[Leaf], start: int, stop: int) -> tuple[Leaf, ...]:
    """Those of a file's leaves that hold [start, stop), cut to it."""
    return tuple(
        Leaf(leaf.cid, low, high, leaf.skip + low - leaf.start, leaf.size)
        for leaf in leaves
        if (low := max(leaf.start, start)) < (high := min(leaf.stop, stop))
    )


def _later(seconds: float, act: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_later(seconds, act)
