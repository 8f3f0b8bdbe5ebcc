"""Listing: path and size of every file of a folder that is published, looked up when somebody wants to know.

Here lives that mapping. Rules mostly want nothing of it, and a walk through 100,000 files is what a publish of one
change is made to avoid. Not here: which names are published (rim/ignore), or the walk (rim/scan).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

from rim.ignore import Filter
from rim.scan import Scan, walk


class Listing(Mapping[str, int]):
    """`/a/b.html` → bytes; a link counts as a file of no bytes."""

    def __init__(self, folder: str, accept: Filter) -> None:
        self._folder = folder
        self._accept = accept

    @cached_property
    def _files(self) -> dict[str, int]:
        found = Scan(self._folder)
        files = {f"/{path}": stat[0] for path, stat in walk(self._folder, self._accept, found).items()}
        return files | {f"/{path}": 0 for path in found.links}

    def __getitem__(self, path: str) -> int:
        return self._files[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)
