"""What a publish would change: paths added, changed and removed against what is live, with their bytes.

Here lives what a difference of two Indexes means to a person. Not here: reading them (rim/indexes), or a diff of what
stands inside a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from content.cid import CID
from rim.build import Built
from rim.client import Origin
from rim.indexes import differences
from rim.output import size
from rim.returning import Returning


@dataclass(frozen=True, slots=True)
class Change:
    """One path. `before` and `after` are sizes in bytes, None where the path is not."""

    path: str
    before: int | None
    after: int | None

    @property
    def kind(self) -> str:
        return "added" if self.before is None else "removed" if self.after is None else "changed"


@dataclass(frozen=True, slots=True)
class Changes:
    """All of them, by path. `rules`: whether the site would answer by other rules."""

    site: str
    changes: tuple[Change, ...]
    rules: bool
    returning: Returning | None = None

    def value(self) -> dict[str, Any]:
        value: dict[str, Any] = {"site": self.site}
        for kind in ("added", "changed", "removed"):
            value[kind] = [
                {"path": c.path, "bytes": c.before if c.after is None else c.after}
                for c in self.changes
                if c.kind == kind
            ]
        value |= {"bytes": self._bytes(), "rules": self.rules}
        return value | ({"returning": self.returning.value()} if self.returning is not None else {})

    def text(self) -> str:
        """A line per path, and a sum."""
        lines = [f"{_SIGNS[c.kind]} {c.path}  {_sizes(c)}" for c in self.changes]
        if self.rules:
            lines.append("~ the site's rules")
        told = [self.returning.text()] if self.returning is not None and self.returning.files else []
        counts = ", ".join(f"{sum(c.kind == kind for c in self.changes)} {kind}" for kind in _SIGNS)
        return "\n".join([*lines, *told, f"{self.site}: {counts}; {size(self._bytes())} to publish"])

    def _bytes(self) -> int:
        return sum(c.after or 0 for c in self.changes)


_SIGNS = {"added": "+", "changed": "~", "removed": "-"}


def compare(origin: Origin, site: str, built: Built, live: Mapping[str, Any] | None) -> Changes:
    """What is built, against what is live (None: nothing is)."""

    before = None if live is None else CID.parse(str(live["index"]))
    found = differences(origin, before, built.index, built.made)
    changes = [Change(key, _size(a), _size(b)) for key, a, b in found if a is None or b is None or a["cid"] != b["cid"]]
    rules = live is not None and live.get("rules", {}) != built.rules.to_value()
    return Changes(site, tuple(changes), rules)


def _size(row: Mapping[str, Any] | None) -> int | None:
    return None if row is None else int(row["size"])


def _sizes(change: Change) -> str:
    if change.kind == "changed":
        return f"{size(change.before or 0)} → {size(change.after or 0)}"
    return size((change.before or 0) + (change.after or 0))
