"""Verify, against a real edge: files that answer under another address than their name."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from content.headers import HeaderTable
from content.redirects import RedirectTable, parse
from content.release import SLASHES, Rules
from rim.pages.edits import Edits
from rim.verify import target_of, verify
from tests.edge.sites import File, World
from tests.edge.wire import edge

FILES: dict[str, File] = {"index.html": b"top", "about.html": b"about", "docs/index.html": b"docs", "a.txt": b"text"}


def verified(
    tmp_path: Path, rules: Rules, files: dict[str, File] = FILES, edits: Mapping[str, Edits] | None = None
) -> list[tuple[str, str]]:
    """What differs between a folder of FILES and a site of `files`."""
    folder = tmp_path / "folder"
    for name, data in FILES.items():
        assert isinstance(data, bytes)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)

    async def run() -> list[tuple[str, str]]:
        world = World()
        world.publish("demo", files, rules=rules)
        async with edge(tmp_path, world) as (node, _):
            target = target_of(node.public_url, host="demo.localhost")
            result = await asyncio.to_thread(verify, str(folder), list(files), target, edits)
            assert not result.unreachable
            return result.differences

    return asyncio.run(run())


@pytest.mark.parametrize("clean", [False, True])
@pytest.mark.parametrize("slash", SLASHES)
def test_a_file_is_found_at_its_own_address(tmp_path: Path, clean: bool, slash: str) -> None:
    """In every mode of addresses all files are there."""
    assert verified(tmp_path, Rules(clean=clean, slash=slash)) == []


def test_a_file_behind_a_forced_rule_differs(tmp_path: Path) -> None:
    """What a rule hides is named; what other bytes stand in for too."""
    made, _ = parse("/a.txt /b 301!\n/about.html /docs/ 308!\n")
    rules = Rules(headers=HeaderTable(()).to_value(), redirects=RedirectTable(made).to_value())
    assert verified(tmp_path, rules) == [("a.txt", "status 301"), ("about.html", "other bytes within 0 to 4")]


def test_what_a_publish_inserts_is_part_of_a_page(tmp_path: Path) -> None:
    """Pages that [html] changes on their way are as they should be, and differ where anything else does."""
    edits = {"index.html": ((1, b"<!-- in -->"), (3, b"!")), "about.html": ((0, b"x"),)}
    files: dict[str, File] = {**FILES, "index.html": b"t<!-- in -->op!"}
    assert verified(tmp_path, Rules(), files, edits) == [("about.html", "other bytes within 0 to 5")]
