"""A clock of one process that jumps as told: libfaketime, preloaded, reads how far off it is from a file.

Here lives the environment to start with and the switch. Its monotonic clock stays true, as that of a machine whose
wall clock is set does. Not here: what a node makes of it (tests/faults).

    clock = Clock(folder / "clock")
    edge.env |= clock.env                   # mark the play `needs("faketime")`
    clock.off("+1h"); clock.off("-1h"); clock.off("+10y"); clock.true()
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.kit.programs import needed


class Clock:
    """How far a process's wall clock is off. It is true to begin with."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.true()

    @property
    def env(self) -> dict[str, str]:
        """What the process is to be started with."""
        return {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",  # s until it looks into the file again
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",  # its name before version 0.9.10
        }

    def off(self, by: str) -> None:
        """It jumps: "+1h", "-1h", "+10y" from the true time."""
        fresh = self._file.with_name(self._file.name + ".new")
        fresh.write_text(by + "\n")
        os.replace(fresh, self._file)  # never read half

    def true(self) -> None:
        """It jumps to the true time."""
        self.off("+0")


def _library() -> Path:
    """libfaketime.so.1, beside the program as Debian and others lay it out."""
    prefix = Path(needed("faketime")).resolve().parent.parent
    found = sorted(prefix.glob("lib*/**/faketime/libfaketime.so.1"))
    assert found, f"no faketime/libfaketime.so.1 below {prefix}"
    return found[0]
