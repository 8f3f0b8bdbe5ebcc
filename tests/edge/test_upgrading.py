"""Two versions at once: an edge put back into a newer one's folder, and one beside a newer one on the wire.

Actors: a node of today's version; a folder, and a peer, that say they are of a later one.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from content.cid import CID, RAW
from edge.state import State
from tests.edge.control.test_admin import ask
from tests.edge.origin import TinyOrigin
from tests.edge.test_node import world_of
from tests.edge.wire import config_of, edge, fetch, running


def test_a_newer_versions_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It says so, reads of it only what proves itself, and serves: the blocks are there, the origin is not asked. What
    it cannot know is out of its way, whole."""

    async def run() -> None:
        origin = await TinyOrigin(world_of()).start()
        folder = tmp_path / "edge-1"
        async with running(config_of(tmp_path, origin)) as node:
            await fetch(node, "/")
            await node.disk.settled()
            key = node.identity.public
        (folder / "VERSION").write_text("3\n")
        (folder / "ring.json").write_text("of the future")
        (folder / "process-0").mkdir()
        (folder / "process-0" / "counted.bin").write_bytes(b"future")
        (folder / "blocks" / "cache.db").write_bytes(b"an index of the future")
        before = dict(origin.asked)
        with caplog.at_level(logging.WARNING, "rim.edge"):
            async with running(config_of(tmp_path, origin)) as node:
                assert (await fetch(node, "/")).body == b"home"
                assert node.identity.public == key
        assert origin.asked[str(CID.of(RAW, b"home"))] == before[str(CID.of(RAW, b"home"))]
        assert "written by a newer Rim (version 3; this one reads 1)" in caplog.text
        assert (folder / "VERSION").read_text() == "1\n"
        assert (folder / "newer-3" / "ring.json").read_text() == "of the future"
        assert (folder / "newer-3" / "blocks-cache.db").read_bytes() == b"an index of the future"
        assert (folder / "newer-3" / "process-0" / "counted.bin").exists()
        State(folder).open()
        await origin.stop()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_what_is_cut_short_begins_anew(tmp_path: Path) -> None:
    """Killed while it sets things aside: VERSION still names the newer one, and the next start does the rest."""
    folder = tmp_path / "edge-1"
    (folder / "newer-2" / "names").mkdir(parents=True)
    (folder / "names").mkdir()
    (folder / "names" / "a").write_text("a")
    (folder / "VERSION").write_text("2\n")
    State(folder).open()
    assert (folder / "newer-2" / "names" / "a").read_text() == "a"
    assert sorted(path.name for path in folder.iterdir()) == ["VERSION", "lock", "newer-2"]


def test_a_peer_of_a_later_version(tmp_path: Path) -> None:
    """Its question is answered as best as can be and counted: words that are new are passed over."""

    async def act() -> None:
        async with edge(tmp_path, world_of()) as (node, _):
            cid = CID.of(RAW, b"home")
            later = {"Rim_Wire": "99", "Rim_Tier": "1", "Rim_Mood": "cheerful"}
            got = await ask(node, f"/ipfs/{cid}?format=raw", **later)
            assert (got.status, got.body, got.headers["rim-wire"]) == (200, b"home", "1")
            assert node.numbers.values()["rim_peer_newer_total"] == 1
            hint = await ask(node, "/api/v1/hot?for=new&region=local&mood=cheerful", Rim_Wire="99")
            assert hint.status == 200

    asyncio.run(asyncio.wait_for(act(), 60))
