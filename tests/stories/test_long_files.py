"""A file much longer than an edge's memory: fetched, stored and sent, it never needs more than a window of it.

Actors: an origin, one edge with little memory, one visitor. Most blocks come up again and again, so that the disks stay
small; one of sixteen is of its kind. RIM_LONG_FILE_MIB (192) says how long the file is: 5120 is the 5 GiB that is
promised, and takes about a minute.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import random
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from edge.cache.loader import WINDOW
from tests.kit.ring import Up

MiB = 1 << 20
LENGTH = int(os.environ.get("RIM_LONG_FILE_MIB", "192"))
MEMORY = 16  # MiB
# What an edge may grow by: its memory; a window as it arrives and as it is; what is being written and sent.
GROWTH = MEMORY + 3 * WINDOW + 48


def write_long(path: Path) -> str:
    """The file; its SHA-256."""
    rng = random.Random(5)
    common = [rng.randbytes(MiB) for _ in range(48)]
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for number in range(LENGTH):
            block = rng.randbytes(MiB) if number % 16 == 0 else rng.choice(common)
            file.write(block)
            digest.update(block)
    return digest.hexdigest()


def resident(pid: int, name: str) -> float:
    """MiB: VmRSS now, VmHWM at most since it was last reset."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name + ":"))


def read_long(edge: Mapping[str, Any]) -> tuple[str, str, float]:
    """Where the first block came from, the SHA-256 of what came, and the MiB by which the edge grew meanwhile."""
    Path(f"/proc/{edge['pid']}/clear_refs").write_text("5")  # the peak begins here
    before = resident(edge["pid"], "VmRSS")
    address, digest = urlsplit(edge["public"]), hashlib.sha256()
    wire = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    with closing(wire):
        wire.request("GET", "/long.bin", headers={"Host": f"long.localhost:{address.port}"})
        answer = wire.getresponse()
        while piece := answer.read(MiB):
            digest.update(piece)
    source = (answer.getheader("Cache-Status") or "").rpartition("detail=")[2]
    return source, digest.hexdigest(), resident(edge["pid"], "VmHWM") - before


@pytest.mark.timeout(1800)
def test_a_long_file_needs_a_window_of_memory(tmp_path: Path) -> None:
    """Read twice: from the origin, then from the edge's disk."""
    folder = tmp_path / "site"
    folder.mkdir()
    proof = write_long(folder / "long.bin")
    with Up(tmp_path, None, "--memory", f"{MEMORY}MiB", edges=1) as up:
        up.publish(folder, "long", "--encode", "none")
        up.rim("purge", "long", "--all", "--wait", "all")  # what the edge has fetched by itself is forgotten
        for source in ("origin", "disk"):
            said, digest, grown = read_long(up.edges[0])
            print(f"{LENGTH} MiB from {said}: grown by {grown:.0f} MiB")
            assert (said, digest) == (source, proof)
            assert grown <= GROWTH
