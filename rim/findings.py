"""Findings: what is wrong, or might be, with what a person wrote, and where.

Here live the value, its one line of text, and the refusal that a list of errors becomes. Not here: who finds them
(rim/project, rim/rules, rim/checking).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rim.exits import Usage

ERROR = "error"  # a publish is refused
WARNING = "warning"  # most likely not what was meant
NOTE = "note"  # good to know
_NAMED = 5  # how many of many errors a refusal names


@dataclass(frozen=True, slots=True)
class Finding:
    """`line` is 0 where no line is to blame."""

    file: str
    line: int
    level: str
    message: str

    @property
    def text(self) -> str:
        """As compilers write it, so that editors jump to it."""
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.level}: {self.message}"

    def value(self) -> dict[str, Any]:
        return {"file": self.file, "line": self.line, "level": self.level, "message": self.message}


def errors(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level == ERROR]


def refuse_errors(findings: Iterable[Finding], hint: str = "correct that; nothing was changed") -> None:
    """Raise Usage naming the first errors, if there are any."""
    found = errors(findings)
    if not found:
        return
    lines = [finding.text for finding in found[:_NAMED]]
    if len(found) > _NAMED:
        lines.append(f"and {len(found) - _NAMED} more: `rim check` lists them")
    raise Usage("\n     ".join(lines), hint)
