"""Which targets there are, and which modules each of them has instrumented.

A target's modules are imported after this table is read: atheris counts edges only in what is imported under its hook,
and each edge counted costs time, so a target names what it attacks and nothing else.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, cast

STEPS_EVERY = 1024  # one input in so many is run thoroughly: slow twins of fast paths, and its lines counted


class Module(Protocol):
    """What a file in targets/ holds."""

    STEPS: tuple[int, int]  # lines that one input may run: at all, and more per byte
    check: Callable[[bytes, bool], None]  # one input; thoroughly, or quickly
    seeds: Callable[[], Iterator[bytes]]  # real values, in the target's own form


@dataclass(frozen=True, slots=True)
class Target:
    """One target: its name, what is instrumented, and the longest input worth while."""

    name: str
    instrumented: tuple[str, ...]
    longest: int

    def load(self) -> Module:
        return cast(Module, importlib.import_module(f"tests.fuzz.targets.{self.name}"))


TARGETS = {
    target.name: target
    for target in (
        Target("car", ("content.car", "content.cid"), 128),
        Target("dagpb", ("content.dagpb",), 160),
        Target("unixfs", ("content.walk", "content.leaves", "content.hamt", "content.reach"), 160),
        Target("ipns", ("content.ipns",), 512),
        Target(
            "redirects",
            ("content.redirects", "content.redirectrule", "content.redirecttable", "content.pattern"),
            160,
        ),
        Target("denylist", ("content.denyfile", "content.denylist", "content.denyrule", "content.digests"), 256),
        Target("ranges", ("edge.http.ranges",), 96),
        Target("release", ("content.release", "content.catalog", "content.treenode", "content.cbor"), 384),
        Target("tree", ("content.treenode", "content.tree", "content.treediff", "content.treeupdate"), 96),
        Target("ipld", ("content.ipld", "content.dagcbor", "content.dagjson"), 160),
        Target("denylist", ("content.denyfile", "content.denyrule", "content.denylist"), 128),
        Target("archives", ("content.carwalk", "content.tar", "content.paths"), 128),
    )
}  # fmt: skip
