"""PatternIndex: which of many patterns can match a path, without a look at each.

Here lives a tree of segments. Not here: whether a pattern does match (content/pattern).
"""

from __future__ import annotations

from collections.abc import Iterable

from content.pattern import Pattern


class _Node:
    """A place in the index: what ends here, what takes all below, and the next segments (None: with a placeholder)."""

    __slots__ = ("below", "here", "next")

    def __init__(self) -> None:
        self.here: list[tuple[int, Pattern]] = []
        self.below: list[tuple[int, Pattern]] = []
        self.next: dict[str | None, _Node] = {}


class PatternIndex:
    """Which of many patterns can match a path: a tree of their segments, so that few are compared."""

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        self.top = _Node()
        for order, pattern in enumerate(patterns):
            node, head = self.top, pattern.path.head
            while head and head[-1][0] == ("",):
                head = head[:-1]
            for literals, names in head:
                node = node.next.setdefault(None if names else literals[0], _Node())
            (node.below if pattern.has_splat else node.here).append((order, pattern))

    def candidates(self, segments: list[str]) -> list[tuple[int, Pattern]]:
        """The patterns, with their numbers and in their order, that can match these segments, or the same with a slash
        more or less at the end.
        """
        nodes, found, last = [self.top], list(self.top.below), len(segments)
        while last and not segments[last - 1]:
            last -= 1
        for segment in segments[:last]:
            nodes = [after for node in nodes for key in (segment, None) if (after := node.next.get(key))]
            if not nodes:
                break
            for node in nodes:
                found += node.below
        for node in nodes:
            found += node.here
        return sorted(found)
