"""Glob: which paths of a site a line of rim.toml means.

Here lives the matcher, a pure function of two strings whose time grows with their lengths and with nothing else: the
globs come from a publisher. Not here: the patterns of `_headers` and `_redirects` (content/pattern), whose splats and
placeholders also take something out of the path.

`*` is any run of characters within a segment, `**` any run across segments, `**/` any number of whole segments, none
too; all else is itself. A glob that does not begin with `/` is meant in every folder: `*.woff2` is `/**/*.woff2`.

The automaton is walked with all its states in the bits of one number (Navarro and Raffinot's bit parallelism): a glob
of many stars cannot make it try again, as a backtracking matcher would.
"""

from __future__ import annotations

import re
from functools import lru_cache

from content.limits import GLOB_BYTES, check

_PART = re.compile(r"/(?:\*\*/)+|\*\*+|\*|[^*/]+|/")
_WILD = "*"


class Glob:
    """One glob, read. Raises LimitExceeded when it is over 512 bytes."""

    def __init__(self, text: str) -> None:
        check("bytes of a glob", len(text.encode()), GLOB_BYTES)
        self.text = text
        rooted = text if text.startswith("/") else "/**/" + text
        self._prefix = rooted.partition(_WILD)[0]
        self._suffix = rooted.rpartition(_WILD)[2]
        self._is_exact = _WILD not in rooted
        self._takes_all_below = rooted == self._prefix + "**"
        self._literals: dict[str, int] = {}  # character → the states that it leads on from
        self._within = 0  # states that any character but `/` leaves as they are: `*`
        self._across = 0  # states that every character leaves as they are: `**`
        self._folders = 0  # states that every character leaves as they are, and `/` leads on from: `**/`
        self._end = self._read(rooted)

    def matches(self, path: str) -> bool:
        """Whether the glob means this path (`/css/app.css`, no percent-coding)."""
        if self._is_exact:
            return path == self._prefix
        if not path.startswith(self._prefix) or not path.endswith(self._suffix):
            return False
        return self._takes_all_below or self._walk(path)

    def _walk(self, path: str) -> bool:
        states = self._entered(1)
        for character in path:
            stay = states & (self._across | self._folders)
            leave = states & self._literals.get(character, 0)
            if character == "/":
                leave |= states & self._folders
            else:
                stay |= states & self._within
            states = stay | self._entered(leave << 1) | self._passed(stay)
            if not states:
                return False
        return bool(states >> self._end & 1)

    def _entered(self, states: int) -> int:
        """These states and those behind wildcards that may be nothing."""
        skip = states & (self._within | self._across | self._folders)
        while skip:
            skip = (skip << 1) & ~states
            states |= skip
            skip &= self._within | self._across | self._folders
        return states

    def _passed(self, stay: int) -> int:
        """What lies behind a star that went on: it may end after any character. `**/` ends after a slash only."""
        return self._entered((stay & (self._within | self._across)) << 1)

    def _read(self, text: str) -> int:
        """Fill the tables; the number of the last state."""
        at = 0
        for part in _PART.findall(text):
            if part.startswith("/**/"):
                self._literals["/"] = self._literals.get("/", 0) | 1 << at
                self._folders |= 1 << at + 1
                at += 2
            elif part == "*":
                self._within |= 1 << at
                at += 1
            elif part.startswith("**"):
                self._across |= 1 << at
                at += 1
            else:
                for character in part:
                    self._literals[character] = self._literals.get(character, 0) | 1 << at
                    at += 1
        return at

    def __repr__(self) -> str:
        return f"<Glob {self.text}>"


@lru_cache(maxsize=256)
def glob(text: str) -> Glob:
    """The glob of this text, read once. Raises LimitExceeded."""
    return Glob(text)


def matches(text: str, path: str) -> bool:
    """Whether the glob `text` means this path.

    >>> matches("/assets/**", "/assets/js/app.js")
    True
    """
    return glob(text).matches(path)
