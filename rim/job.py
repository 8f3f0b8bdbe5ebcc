"""Job and Outcome: what is to be published and how, and how it went.

Here live the two values. Not here: the doing (rim/publisher), or flags and lines of text (rim/commands/publish).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rim.exits import OK
from rim.project import Project


@dataclass(frozen=True, slots=True)
class Show:
    """A preview: its name, for how many seconds (None: for good), and the hash of its password."""

    name: str
    seconds: int | None = None
    password: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """What to publish, and how."""

    folder: Path
    site: str
    message: str = ""
    encode: str = "balanced"
    spa: bool | None = None  # None: as the site's settings say
    warm: bool = True
    ignore: bool = True
    allow_empty: bool = False
    allow_secret: bool = False
    force: bool = False
    wait: str | None = None  # "all", or a number of edges
    timeout: float = 60.0
    gate: int | None = None  # so many edges of each region suffice before it is live; None: all
    project: Project = field(default_factory=Project)
    show: Show | None = None  # None: live


@dataclass(slots=True)
class Outcome:
    """How it went. `code` is the exit code; `remark` says what a person should know beside the URL."""

    site: str
    root: str
    release: str
    sequence: int = 0
    urls: list[str] = field(default_factory=list)
    files: int = 0
    blocks_sent: int = 0
    bytes_sent: int = 0
    phases: dict[str, float] = field(default_factory=dict)
    edges: list[dict[str, Any]] = field(default_factory=list)
    unchanged: bool = False
    preview: str | None = None
    returning: dict[str, int] | None = None  # files, bytes, without: see rim/returning
    folder_root: str = ""  # of the folder as it lies there; told where [html] may give pages other bytes
    code: int = OK
    remark: str = ""

    def value(self) -> dict[str, Any]:
        """The object that `publish --json` ends with."""
        keys = ("site", "root", "release", "sequence", "urls", "files", "blocks_sent", "bytes_sent", "phases", "edges")
        return {key: getattr(self, key) for key in keys} | self._more()

    def _more(self) -> dict[str, Any]:
        more: dict[str, Any] = {"unchanged": True} if self.unchanged else {}
        more |= {"returning": self.returning} if self.returning is not None else {}
        more |= {"folder_root": self.folder_root} if self.folder_root else {}
        return more | ({"preview": self.preview} if self.preview is not None else {})
