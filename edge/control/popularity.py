"""Popularity: which paths of a release that is coming visitors will ask for first.

Here lives the guess, from how often the live release's paths answered from memory; pure. A hash-named file has no past
under its new name: it takes over the rank of its family, the names that differ in the hash alone. Not here: counting
(edge/ready), or fetching (edge/control/warm).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_HASH = re.compile(r"[-.][^-./]{6,}(?=\.[^./]+\Z)")  # what stands before the extension, where a bundler puts the hash


class Popularity:
    """Ranks of paths, from counts of paths."""

    def __init__(self, asked: Mapping[str, int]) -> None:
        self._asked = asked
        self._families: dict[str, int] = {}
        for path, count in asked.items():
            family = _family(path)
            self._families[family] = max(count, self._families.get(family, 0))

    def of(self, path: str) -> int:
        """How often this path, or what it takes the place of, was asked for; 0: not that we know."""
        count = self._asked.get(path)
        if count is None and path.endswith("index.html"):
            count = self._asked.get(path.removesuffix("index.html"))
        return self._families.get(_family(path), 0) if count is None else count

    def __repr__(self) -> str:
        return f"<Popularity of {len(self._asked)} paths>"


def _family(path: str) -> str:
    return _HASH.sub("", path)
