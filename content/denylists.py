"""Denylists: several lists as one, in their order, as they are at one moment.

Here lives the verdict: of the last list that has a rule about it, the last such rule. Not here: one list
(content/denylist), where lists come from (edge/denials, origin/denials), what a refusal looks like (edge/http).

Never changed: when a list changes there is another set of them, so whoever holds one sees one state or the next.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from content.cid import CID
from content.denylist import Asked, Denylist
from content.denyrule import IPFS, IPNS, BadRule, Rule, ipns_name
from content.errors import BadNode
from content.limits import DENIED_ROWS, DENYLISTS, check

OWN = "catalog"  # what the origin's own list is called
_marks = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Refusal:
    """It is denied: the status to say so with, why, and by which list."""

    status: int
    reason: str
    source: str


class Denied(Exception):
    """What was asked for is denied. Raised where a block, a path or a name would else be handed out."""

    def __init__(self, what: object, refusal: Refusal) -> None:
        super().__init__(f"{what} is denied ({refusal.source}){': ' * bool(refusal.reason)}{refusal.reason}")
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Denylists:
    """Lists in their order: a later one overrules the earlier. `mark` differs from that of every other set but the
    empty one."""

    lists: tuple[Denylist, ...] = ()
    mark: bytes = field(init=False, compare=False, default=b"")

    def __post_init__(self) -> None:
        check("denylists", len(self.lists), DENYLISTS)
        if not self.is_empty:
            object.__setattr__(self, "mark", next(_marks).to_bytes(8, "big"))

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all is denied."""
        return not any(self.lists)

    def refusal(self, cid: CID) -> Refusal | None:
        """Whether a block is denied, under whatever CID."""
        return self._judge(Asked.of_block(cid)) if self.lists else None

    def refusal_of_path(self, root: CID, segments: Sequence[str]) -> Refusal | None:
        """Whether a path below a root is denied, as it stands there; what it leads to is asked for by itself."""
        return self._judge(Asked.of_path(root, segments)) if self.lists else None

    def refusal_on_way(self, passed: Sequence[CID], segments: Sequence[str]) -> Refusal | None:
        """Whether a path is denied as it stands below any node that it leads through, or one of these is. `passed`:
        where none of the segments led, one, two, and so on."""
        if not self.mark:
            return None
        found = (self.refusal_of_path(cid, segments[depth:]) for depth, cid in enumerate(passed))
        return next((refusal for refusal in found if refusal is not None), None)

    def refusal_of_name(self, name: str, segments: Sequence[str] = ()) -> Refusal | None:
        """Whether an IPNS name (k51…, or any other spelling of the key) or a domain is denied, or this path of it."""
        if not self.lists:
            return None
        try:
            return self._judge(Asked.of_name(ipns_name(name), segments))
        except BadRule:
            return None  # no rule can be about it

    def names_paths_of(self, name: str) -> bool:
        """Whether some rule is about a path of this IPNS name or domain, in words that can be read."""
        try:
            key = ipns_name(name)
        except BadRule:
            return False
        return any(one.names_paths_of(IPNS, key) for one in self.lists)

    def names_paths_below(self, root: CID) -> bool:
        """Whether some rule is about a path below this root, in words that can be read."""
        return any(one.names_paths_of(IPFS, root.multihash) for one in self.lists)

    def _judge(self, asked: Asked) -> Refusal | None:
        for one in reversed(self.lists):
            terms = one.terms_of(asked)
            if terms is not None:
                return None if terms.allow else Refusal(terms.status, terms.reason, one.name)
        return None

    def __repr__(self) -> str:
        return f"<Denylists {', '.join(map(repr, self.lists)) or 'none'}>"


NONE = Denylists()


@dataclass(frozen=True, slots=True)
class Row:
    """A rule of the Catalog's own list, beside its text: what stands under that in the tree `denied`. `group`: the rule
    that was asked for, where this one came with it (an encoding of the file). `asked`: in which words."""

    status: int
    reason: str = ""
    time: int = 0  # unix seconds of the commit
    group: str = ""
    asked: str = ""

    def to_value(self) -> dict[str, Any]:
        words = {"reason": self.reason, "group": self.group, "asked": self.asked}
        told = {"status": self.status, "time": self.time, **words}
        return {key: value for key, value in told.items() if value}

    @classmethod
    def from_value(cls, value: Any) -> Row:
        """Raises BadNode."""
        if not isinstance(value, dict):
            raise BadNode("denied: expected a map")
        numbers = [value.get("status", 410), value.get("time", 0)]
        words = [value.get(key, "") for key in ("reason", "group", "asked")]
        if not all(type(number) is int for number in numbers) or not all(isinstance(word, str) for word in words):
            raise BadNode(f"denied: {value!r}")
        return cls(numbers[0], words[0], numbers[1], words[1], words[2])


def own_list(rows: Sequence[tuple[str, Any]], unread: set[str] | None = None) -> Denylist:
    """The Catalog's own list, from the rows of its tree. What it allows comes after what it denies, whatever the order
    of their texts. `unread`: takes the rules that do not read (a newer origin may have others than we know; to refuse
    its Heads for them would refuse what else they deny). Raises LimitExceeded; without `unread` BadNode, BadRule."""
    check("rules of the catalog", len(rows), DENIED_ROWS)
    own = Denylist(OWN)
    for text, value in sorted(rows, key=lambda item: item[0].startswith("!")):
        try:
            rule, row = Rule.parse(text), Row.from_value(value)
        except (BadNode, BadRule):
            if unread is None:
                raise
            unread.add(text)
        else:
            own.add(rule, row.status, row.reason)
    return own
