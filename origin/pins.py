"""Pins: roots that someone asked to keep (recursively), beside what releases keep.

Here lives pins.json. Not here: the proof that a pinned DAG is whole (origin/check), or what keeping means (origin/gc).
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from content.cid import CID
from content.errors import BadCID
from origin.errors import BadRequest, Missing, StateError
from origin.state import replace_file

PINS_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Pin:
    """A kept root. Its blocks are public: a pin says that they may be. `partial`: as much of it as was here."""

    cid: CID
    name: str
    time: int
    partial: bool = False

    def public(self) -> dict[str, Any]:
        told: dict[str, Any] = {"cid": str(self.cid), "name": self.name, "time": self.time}
        return {**told, "partial": True} if self.partial else told


class Pins:
    """The pins of one origin."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pins = _load(path)

    def __repr__(self) -> str:
        return f"<Pins {len(self._pins)}>"

    def __len__(self) -> int:
        return len(self._pins)

    def all(self) -> list[Pin]:
        return sorted(self._pins.values(), key=lambda pin: (pin.time, pin.cid))

    def add(self, cid: CID, name: str, partial: bool = False) -> Pin:
        if len(self._pins) >= PINS_MAX:
            raise BadRequest(f"there are {PINS_MAX:,} pins; remove some")
        pin = Pin(cid.v1, name, int(time.time()), partial)
        self._save({**self._pins, pin.cid: pin})
        return pin

    def remove(self, cid: CID) -> None:
        if cid.v1 not in self._pins:
            raise Missing(f"no pin {cid}", "no_pin")
        self._save({key: pin for key, pin in self._pins.items() if key != cid.v1})

    def _save(self, pins: dict[CID, Pin]) -> None:
        replace_file(self._path, json.dumps({"pins": [pin.public() for pin in pins.values()]}, indent=1).encode())
        self._pins = pins


def parse(data: bytes, what: object) -> list[Pin]:
    """The pins in the bytes of a pins.json. Raises StateError."""
    try:
        rows = json.loads(data)["pins"]
        return [_of(row) for row in rows]
    except (ValueError, KeyError, TypeError, BadCID) as error:
        raise StateError(f"{what} cannot be read: {error}") from error


def _load(path: Path) -> dict[CID, Pin]:
    try:
        return {pin.cid: pin for pin in parse(path.read_bytes(), path)}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StateError(f"{path} cannot be read: {error}") from error


def _of(row: dict[str, Any]) -> Pin:
    return Pin(CID.parse(row["cid"]), str(row["name"]), int(row["time"]), row.get("partial") is True)
