"""The origin's API page is held against its routes and refusals."""

from __future__ import annotations

import re
from pathlib import Path

from origin.app import ROUTES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


def test_every_route_is_a_row_and_every_row_a_route() -> None:
    """By method and path."""
    rows = re.findall(r"^\| `([A-Z]+ /[^`]*)` \|", PAGE, re.MULTILINE)
    assert sorted(rows) == sorted(f"{method} {path}" for method, path, _ in ROUTES)


def test_every_word_of_a_refusal_is_listed() -> None:
    """Every code that a refusal is raised with, and every class's own."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "origin").rglob("*.py"))
    words = set(re.findall(r'^    code = "(\w+)"', source, re.MULTILINE)) - {"failed", "conflict", "unprocessable"}
    words |= set(
        re.findall(r'(?:BadRequest|Forbidden|Missing|Conflict|Unprocessable|Unauthorized)\([^()]*?, "(\w+)"', source)
    )
    words |= {"root_mismatch", "bad_row", "lost_race", "incomplete", "immutable_changed", "host_taken", "over_quota"}
    assert {word for word in words if f"`{word}`" not in PAGE} - {"unauthorized"} == set()
