"""Journal: what this origin asked its Kubo to pin, and how long the blocks are that it gave it.

Here live two files in the folder `kubo` of the state. `pins.jsonl` has a line for every pin before it is asked for, so
that one whose answer never came is found and let go of; pins that are not in it are somebody else's, and never touched.
`lengths` is a memo of (key, length) for each block, read at start: what is lost of it is asked of Kubo again. Not here:
what the pins mean (store/kubo/keeping).
"""

from __future__ import annotations

import json
import os
import struct
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from content.cid import CID
from content.errors import BadCID
from origin.errors import StateError
from origin.state import replace_file, store_error
from origin.steps import step

BATCH = ""  # the name of a lease node's pin: an import cannot name what it pins
_ROW = struct.Struct(">c32sI")  # room, digest, length
_MULTIHASH = b"\x12\x20"


class Journal:
    """The pins that are ours: root → name. Durable on return."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._pins = _load(path)
        self._lines = len(self._pins)

    def __repr__(self) -> str:
        return f"<Journal {len(self._pins)} pins>"

    def all(self) -> dict[CID, str]:
        with self._lock:
            return dict(self._pins)

    def add(self, root: CID, name: str) -> None:
        """Note a pin that is about to be asked for."""
        with self._lock:
            if self._pins.get(root) == name:
                return
            self._append(json.dumps({"pin": str(root), "name": name}) + "\n")
            self._pins[root] = name
            self._lines += 1
        step("pin noted")

    def drop(self, roots: Iterable[CID]) -> None:
        """Forget pins that are gone. Written when most of the file is forgotten: one that stays is looked for again."""
        with self._lock:
            for root in roots:
                self._pins.pop(root, None)
            if self._lines > 2 * len(self._pins) + 64:
                lines = (json.dumps({"pin": str(root), "name": name}) for root, name in self._pins.items())
                replace_file(self._path, "".join(f"{line}\n" for line in lines).encode(), what="pins of kubo")
                self._lines = len(self._pins)

    def _append(self, line: str) -> None:
        try:
            with self._path.open("ab") as file:
                size = file.tell()
                try:
                    file.write(line.encode())
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    with suppress(OSError):
                        file.truncate(size)  # or the next line would join what is left of this one
                    raise
        except OSError as error:
            raise store_error(error) from error


class Lengths:
    """The memo of lengths. Written without fsync."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._rows = 0

    def load(self) -> dict[bytes, int]:
        try:
            data = self._path.read_bytes()
        except OSError:
            return {}
        data = data[: len(data) // _ROW.size * _ROW.size]
        self._rows = len(data) // _ROW.size
        return {room + _MULTIHASH + digest: length for room, digest, length in _ROW.iter_unpack(data)}

    def add(self, lengths: Mapping[bytes, int]) -> None:
        with self._lock, suppress(OSError), self._path.open("ab") as file:
            file.write(_pack(lengths))
            self._rows += len(lengths)

    def shrink(self, lengths: Mapping[bytes, int]) -> None:
        """Write it anew when most rows say nothing any more."""
        with self._lock:
            if self._rows > 2 * len(lengths) + 4096:
                known = {key: length for key, length in lengths.items() if length >= 0}
                replace_file(self._path, _pack(known), sync=False, what="lengths of kubo")
                self._rows = len(known)


def _pack(lengths: Mapping[bytes, int]) -> bytes:
    return b"".join(_ROW.pack(key[:1], key[3:], length) for key, length in lengths.items())


def _load(path: Path) -> dict[CID, str]:
    """The pins. A last line that is torn was never acted upon."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StateError(f"{path} cannot be read: {error}") from error
    pins: dict[CID, str] = {}
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line if line.endswith(b"\n") else b"")
            pins[CID.parse(row["pin"])] = str(row["name"])
        except (ValueError, KeyError, TypeError, BadCID) as error:
            if number < len(lines):
                raise StateError(f"{path}, line {number} cannot be read: {error}") from error
            with path.open("r+b") as file:
                file.truncate(sum(map(len, lines[:-1])))
    return pins
