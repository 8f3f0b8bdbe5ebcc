"""A TOML file with the line of each key, which tomllib does not tell.

Here lives a scan for the beginnings of lines, good enough to point a person to the right one: where it finds none, the
line of the table is told, else 1. Not here: what the keys mean (rim/project).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_HEAD = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?\Z")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_WHERE = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)\Z")
_QUOTES = str.maketrans("", "", "\"' \t")


class BadToml(ValueError):
    """The file is no TOML. `line` is where it stopped being that."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class TomlFile:
    """Its values, and the line of each (table, number in a list of tables, key); key "" is the table's own."""

    values: Mapping[str, Any]
    lines: Mapping[tuple[str, int, str], int] = field(default_factory=dict)

    def line(self, table: str = "", key: str = "", number: int = 0) -> int:
        """The line of a key of a table; else the table's; else 1."""
        found = self.lines.get((table, number, key)) or self.lines.get(("", 0, f"{table}.{key}"))
        return found or self.lines.get((table, number, "")) or self.lines.get(("", 0, table)) or 1


def parse(text: str) -> TomlFile:
    """Read it. Raises BadToml."""
    try:
        values = tomllib.loads(text)
    except ValueError as error:
        message = str(error)
        where = _WHERE.search(message)
        line = int(where[1]) if where and where[1] else text.count("\n") + 1 if where else 1
        raise BadToml(_WHERE.sub("", message), line) from error
    return TomlFile(values, _lines(text))


def _lines(text: str) -> dict[tuple[str, int, str], int]:
    lines: dict[tuple[str, int, str], int] = {}
    counts: dict[str, int] = {}
    table, number = "", 0
    for at, line in enumerate(text.split("\n"), 1):
        if head := _HEAD.match(line):
            table = head[2].translate(_QUOTES)
            number = counts.get(table, -1) + 1 if head[1] == "[[" else 0
            counts[table] = number
            lines.setdefault((table, number, ""), at)
        elif key := _KEY.match(line):
            name = key[1].translate(_QUOTES)
            lines.setdefault((table, number, name), at)
            lines.setdefault((table, number, name.partition(".")[0]), at)
    return lines
