"""Open mode with a real Kubo as the gateway that is asked last: what the origin has not is had from there, proved."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.gateway.mode import Mode
from tests.edge.gateway.play import Stage, play
from tests.kit.kubo import Kubo


@pytest.mark.needs("ipfs")
def test_content_of_the_whole_world(tmp_path: Path) -> None:
    """A folder that only Kubo has: listed, read in ranges, exported; in pinned mode nobody is asked for it."""
    folder = tmp_path / "folder"
    folder.mkdir()
    large = os.urandom(3 << 20)
    (folder / "large").write_bytes(large)
    (folder / "page.html").write_text("<h1>theirs</h1>")
    kubo = Kubo(tmp_path / "repo")
    root = kubo.add(folder)

    async def act(stage: Stage) -> None:
        listed = await stage.get("paths.test", f"/ipfs/{root}/")
        assert (listed.status, b">page.html</a>" in listed.body) == (200, True)
        part = await stage.get(f"{root}.ipfs.gw.test", "/large", Range="bytes=2000000-2000009")
        assert part.body == large[2_000_000:2_000_010]
        assert (await stage.get(f"{root}.ipfs.gw.test", "/large")).body == large
        again = await stage.get(f"{root}.ipfs.gw.test", "/page.html")
        assert again.body == b"<h1>theirs</h1>"
        assert not stage.origin.asked_public

    async def shut(stage: Stage) -> None:
        assert (await stage.get("paths.test", f"/ipfs/{root}/")).status == 404
        assert not stage.origin.asked[str(root)]

    with kubo.serving():
        play(tmp_path / "open", act, gateway=Mode.OPEN, gateways=(kubo.gateway,))
        play(tmp_path / "pinned", shut, gateways=(kubo.gateway,))
