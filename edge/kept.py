"""Kept: the answers that wait in memory, by view and path, within a budget.

Here live one path's answer with what was written of it lately (shots), the shelf of one view, and the sweep. Not here:
the lookup from a request (edge/ready), what an answer says (edge/http/answer), the blocks (edge/cache/memory).

A view never changes: a flip, a rollback, a purge, a denial makes another, and with it another shelf. So all that was
kept before is out of reach in that moment, whatever its number; it is buried later, a slice at a time.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias

from content.block import Block
from content.cid import CID
from content.walk import Leaf
from edge.cache.memory import CHANCES, Slot
from edge.counting import Tally
from edge.http.answer import Answer, Redirection
from edge.http.heads import LONGEST, without_query
from edge.http.outcome import Outcome

AnyAnswer: TypeAlias = Answer | Redirection
Leaves: TypeAlias = Mapping[CID, Sequence[Leaf]]
Key: TypeAlias = tuple[bytes | None, bytes | None, bytes | None]

_SHOTS = 8  # ways of asking that one path remembers; browsers know three
_OVERHEAD = 400  # B: this object, its dict's entry, the slot's key (seen: 1,929 B an answer where 2,181 are counted)
_SHOT = 370  # B of a shot beside its head; seen on CPython 3.11
_LEAF = 200  # B of a leaf, its CID counted
_REQUEST = 1_024  # B of a request that is remembered whole
_SLICE = 256  # answers buried between two breaths of the event loop
GRAVE = 5.0  # s that the answers of a view that is gone are still counted (Ready.asked)


class Shot:
    """One answer, written out but for its date: `head` up to there, then the body."""

    __slots__ = ("body", "head", "kept", "kind", "leaves", "shares_query", "size", "start", "tally", "whole")

    def __init__(
        self, head: bytes, kept: Kept, kind: tuple[str, int, Outcome], tally: Tally, shares_query: bool = False
    ) -> None:
        """`kind`: what it is counted as: site, status, outcome. `shares_query`: a query has no part in it."""
        self.head = head
        self.kept = kept
        self.kind = kind
        self.tally = tally
        self.shares_query = shares_query
        self.body: Slot[Block] | None = None
        self.leaves: tuple[Leaf, ...] = ()  # where the body is of more than one block
        self.start = 0
        self.size = 0  # of what is sent
        self.whole = 0  # of the block it is cut from


class Kept:
    """The answer of one path. `leaves`: what the variants of more than one block consist of, as far as is known."""

    __slots__ = ("answer", "asked", "cost", "leaves", "seen", "shots")

    def __init__(self, answer: AnyAnswer, leaves: Leaves, cost: int) -> None:
        self.answer = answer
        self.leaves = leaves
        self.cost = cost
        self.asked = 0  # how often it answered: what is warmed first when its place is taken
        self.seen = 0  # the same when it was last swept
        self.shots: dict[Key, Shot] = {}


class Known:
    """Requests seen before, whole, and the shot that answered: the same bytes mean the same as long as the views do.
    Bounded: past its size it starts anew."""

    def __init__(self, budget: int) -> None:
        self.shots: dict[bytes, Shot] = {}
        self._budget = budget
        self._bytes = 0

    def put(self, request: bytes, shot: Shot) -> None:
        """Remember it, if it is short. One with a query is most likely never sent again: what is left of it without is
        remembered, if that means the same."""
        bare = without_query(request)
        if len(request) > _REQUEST or (bare is not None and not shot.shares_query):
            return
        request = bare or request
        self._bytes += len(request) + len(shot.head) + 400
        if self._bytes > self._budget:
            self.clear()
        self.shots[request] = shot

    def find(self, request: bytes) -> Shot | None:
        """What answered these bytes, or these without their query."""
        if len(request) > LONGEST:
            return None  # many requests in one read: to hash them would cost more than a look is worth
        shot = self.shots.get(request)
        if shot is None and (bare := without_query(request)) is not None:
            shot = self.shots.get(bare)
            if shot is not None and not shot.shares_query:
                return None
        return shot

    def clear(self) -> None:
        """Forget all."""
        self.shots = {}
        self._bytes = 0


class Tenant(Protocol):
    """Whose answers are kept: a site as one view has it, or the gateway. `key`: of this among all that ever were;
    `family`: what the keys of the same tenant begin with. `is_plain`: path alone means the same for every host and
    query. `reads_accept`: fields beside those of Asking may choose the answer. `release`: the one value of
    Rim-Release that changes nothing; None: the field is not read."""

    @property
    def key(self) -> bytes: ...

    @property
    def family(self) -> bytes: ...

    @property
    def name(self) -> str: ...

    @property
    def is_plain(self) -> bool: ...

    @property
    def reads_accept(self) -> bool: ...

    @property
    def release(self) -> bytes | None: ...


class Shelf:
    """What is kept of one view."""

    __slots__ = ("is_plain", "kept", "reads_accept", "release", "view")

    def __init__(self, view: Tenant) -> None:
        self.view = view
        self.is_plain = view.is_plain
        self.reads_accept = view.reads_accept
        self.release = view.release
        self.kept: OrderedDict[bytes, Kept] = OrderedDict()

    def slot(self, host: bytes, path: bytes, query: bytes) -> bytes:
        """Where an answer lies: under its path; where the site's rules read host and query, under these too."""
        return path if self.is_plain else b"%s %s?%s" % (host, path, query)  # no Host field holds a space


class Keeping:
    """All shelves, and their budget in bytes."""

    def __init__(self, budget: int, later: Callable[[float, Callable[[], None]], object] | None = None) -> None:
        """`later`: has something done in so many seconds; None: nothing is buried but under pressure."""
        self.budget = budget
        self.bytes = 0
        self._shelves: dict[bytes, Shelf] = {}
        self._turn: deque[Shelf] = deque()  # whose is swept next
        self._dead: deque[Shelf] = deque()
        self._later = later
        self._burying = False

    def shelf(self, view: Tenant) -> Shelf:
        """The shelf of this view."""
        shelf = self._shelves.get(view.key)
        if shelf is None:
            shelf = self._shelves[view.key] = Shelf(view)
            self._turn.append(shelf)
        return shelf

    def retain(self, keys: frozenset[bytes]) -> None:
        """From now on these views alone are there."""
        gone = [key for key in self._shelves if key not in keys]
        for key in gone:
            shelf = self._shelves.pop(key)
            self._turn.remove(shelf)
            self._dead.append(shelf)
        if gone and self._later is not None and not self._burying:
            self._burying = True
            self._later(GRAVE, self._bury)

    def put(self, shelf: Shelf, slot: bytes, answer: AnyAnswer, leaves: Leaves) -> None:
        """Keep an answer, at the price of what was not asked for."""
        cost = answer.weight + len(slot) + _OVERHEAD + sum(len(parts) for parts in leaves.values()) * _LEAF
        if cost > self.budget // 8:
            return
        old = shelf.kept.pop(slot, None)
        kept = Kept(answer, leaves, cost)
        if old is not None:
            self.bytes -= old.cost
            kept.asked, kept.seen = old.asked, old.seen
        while self.bytes + cost > self.budget:
            self._sweep()
        shelf.kept[slot] = kept
        self.bytes += cost

    def remember(self, kept: Kept, key: Key, shot: Shot) -> None:
        """Keep a shot with its answer, at the same price."""
        cost = len(shot.head) + _SHOT
        if len(kept.shots) >= _SHOTS:
            cost -= sum(len(old.head) + _SHOT for old in kept.shots.values())
            kept.shots.clear()
        kept.shots[key] = shot
        kept.cost += cost
        self.bytes += cost
        while self.bytes > self.budget:
            self._sweep()

    def all(self) -> Iterator[tuple[Shelf, bytes, Kept]]:
        """All that is kept, and what is not buried yet."""
        for shelf in (*self._dead, *self._turn):
            for slot, kept in shelf.kept.items():
                yield shelf, slot, kept

    def clear(self) -> None:
        """Forget everything."""
        self._shelves.clear()
        self._turn.clear()
        self._dead.clear()
        self.bytes = 0

    def _sweep(self) -> None:
        """Let one answer go: one of a view that is gone; else the next in turn that nobody asked for since last time.
        After so many chances it goes all the same, so no put takes long."""
        if self._dead:
            self._bury_one(self._dead[0])
            return
        for chance in range(CHANCES + 1):
            while not self._turn[0].kept:
                self._turn.rotate(-1)
            shelf = self._turn[0]
            slot, kept = next(iter(shelf.kept.items()))
            if kept.asked == kept.seen or chance == CHANCES:
                del shelf.kept[slot]
                self.bytes -= kept.cost
                return
            kept.seen = kept.asked
            shelf.kept.move_to_end(slot)
            self._turn.rotate(-1)

    def _bury(self) -> None:
        for _ in range(_SLICE):
            if not self._dead:
                self._burying = False
                return
            self._bury_one(self._dead[0])
        if self._later is not None:
            self._later(0.0, self._bury)

    def _bury_one(self, shelf: Shelf) -> None:
        if shelf.kept:
            _, kept = shelf.kept.popitem(last=False)
            self.bytes -= kept.cost
        else:
            self._dead.popleft()

    def __len__(self) -> int:
        return sum(len(shelf.kept) for shelf in self._turn)

    def __repr__(self) -> str:
        return f"<Keeping {len(self)} answers, {self.bytes} of {self.budget} B>"
