"""The corpora: one text file a target, one input a line, in hex.

Text, because a change of it shows in a diff, and one file, because thousands of tiny ones are nobody's joy; libFuzzer
gets a folder with a file for each. Here live reading, unpacking, and the command that makes them anew:

    python -m tests.fuzz.corpus TARGET [FOLDER...]     the target's own seeds, and what long runs kept there

All seeds stay; of what was found, what adds no step from line to line is left out, the shortest first.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any

from tests.fuzz.table import TARGETS, Module

FOLDER = Path(__file__).parent / "corpus"
MOST = 60  # inputs of one target
BYTES = 16 * 1024  # of them all


def read(name: str) -> list[bytes]:
    """The inputs of a target."""
    return [bytes.fromhex(line) for line in (FOLDER / f"{name}.txt").read_text().splitlines()]


def unpack(name: str, folder: Path) -> None:
    """As libFuzzer wants them."""
    folder.mkdir(parents=True, exist_ok=True)
    for data in read(name):
        (folder / sha256(data).hexdigest()[:16]).write_bytes(data)


def minimized(module: Module, seeds: Iterable[bytes], inputs: Iterable[bytes]) -> Iterator[bytes]:
    """All seeds, and of the inputs those that make something run that neither a seed nor a shorter one does."""
    seen: set[tuple[str, int, int]] = set()
    count = size = 0
    own = set(seeds)
    for data in [*sorted(own, key=_order), *sorted(set(inputs) - own, key=_order)]:
        lines = _lines(module, data)
        if data not in own and (lines <= seen or count == MOST or size + len(data) > BYTES):
            continue
        seen |= lines
        count, size = count + 1, size + len(data)
        yield data


def _order(data: bytes) -> tuple[int, bytes]:
    return len(data), data


def _lines(module: Module, data: bytes) -> set[tuple[str, int, int]]:
    """Steps from line to line that this input makes."""
    found: set[tuple[str, int, int]] = set()
    last: dict[int, int] = {}

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        name = frame.f_code.co_filename
        if "/content/" not in name and "/edge/" not in name:
            return None
        if event == "line":
            found.add((name, last.get(id(frame), 0), frame.f_lineno))
            last[id(frame)] = frame.f_lineno
        elif event == "call":
            last[id(frame)] = 0
        return trace

    sys.settrace(trace)
    try:
        module.check(data, True)
    finally:
        sys.settrace(None)
    return found


def main(arguments: list[str]) -> None:
    name, *folders = arguments
    module = TARGETS[name].load()
    inputs = [path.read_bytes() for folder in folders for path in Path(folder).iterdir()]
    chosen = list(minimized(module, module.seeds(), inputs))
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.txt").write_text("".join(f"{data.hex()}\n" for data in chosen))
    print(f"{name}: {len(chosen)} inputs ({len(inputs)} were found), {sum(map(len, chosen)):,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
