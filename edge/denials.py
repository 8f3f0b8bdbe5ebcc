"""Denials: what this edge denies now: the origin's own list and those that the edge was given, as one.

Here lives the one place that everybody asks, and the telling that it has changed. Not here: the lists' rules
(content/denylists), where lists come from (edge/control/denylists, and the Head), the answer (edge/replies).

Whoever hands something out asks here before he looks into a cache. What lasts (views, and with them ready answers; what
the loader knows to be clean) is told of each change instead, so that a hit asks nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from content.cid import CID
from content.denylist import Denylist
from content.denylists import NONE, Denylists, Refusal

CLEAN = 65_536  # CIDs of which it is remembered that nothing denies them; past it the memory begins anew


class Denials:
    """The lists in force. Another set takes their place in one assignment."""

    def __init__(self) -> None:
        self.lists: Denylists = NONE
        self.watchers: list[Callable[[Denylists], None]] = []  # told once the new lists are in force
        self.counts: Counter[int] = Counter()  # what was refused, by status: answers, and blocks for other nodes
        self._clean: set[CID] = set()
        self._own: Denylist | None = None
        self._given: tuple[Denylist, ...] = ()

    def refusal(self, cid: CID) -> Refusal | None:
        """Whether this block is denied, under any codec and version. What is not is remembered: where a list has double
        hashes the answer costs some 50 µs, and the nodes above what is popular are asked about with each request."""
        if not self.lists.mark or cid in self._clean:
            return None
        refusal = self.lists.refusal(cid)
        if refusal is None:
            if len(self._clean) >= CLEAN:
                self._clean.clear()
            self._clean.add(cid)
        return refusal

    def refusal_of_path(self, root: CID, segments: Sequence[str]) -> Refusal | None:
        """Whether this path below a root (decoded) is denied as it stands; ask for what it leads to as well."""
        return self.lists.refusal_of_path(root, segments)

    def refusal_of_name(self, name: str, segments: Sequence[str] = ()) -> Refusal | None:
        """Whether an IPNS name or a domain is denied, or this path of it; ask for what it leads to as well."""
        return self.lists.refusal_of_name(name, segments)

    def set_own(self, own: Denylist) -> None:
        """The Catalog's own list: it overrules the others."""
        if own is not self._own:
            self._own = own
            self._swap()

    def set_given(self, given: Sequence[Denylist]) -> None:
        """The lists that this edge was given, in their order."""
        self._given = tuple(given)
        self._swap()

    def count(self, refusal: Refusal) -> None:
        """Somebody was told."""
        self.counts[refusal.status] += 1

    def _swap(self) -> None:
        own = () if self._own is None else (self._own,)
        self.lists = Denylists((*self._given, *own))
        self._clean.clear()
        for watch in self.watchers:
            watch(self.lists)

    def __repr__(self) -> str:
        return f"<Denials {self.lists!r}>"
