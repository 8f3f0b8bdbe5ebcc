"""Full disks, real ones: small tmpfs mounts under an origin and under an edge.

The origin refuses the publish (507, exit 1) and goes on by itself once there is room; the edge serves on, and leaves
some space to others.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit import disks
from tests.kit.nodes import RIM, Cluster, Edge, Origin
from tests.stories.test_ring import files_of, make_site

MiB = 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB."""
    with disks.small_disk(tmp_path / "small", "size=24m") as folder:
        yield folder


def add_large(folder: Path, megabytes: int) -> Path:
    for n in range(megabytes):
        (folder / f"large-{n}.bin").write_bytes(os.urandom(MiB))
    return folder


def test_origin_on_a_full_disk_refuses_and_recovers(small_disk: Path, tmp_path: Path) -> None:
    """A publish that does not fit: exit 1, "full", what was live stays; with room again the same publish succeeds."""
    origin = Origin(small_disk / "origin")
    origin.errors = tmp_path / "origin.log"
    origin.start()
    ring = Cluster(origin, [])
    try:
        before = ring.publish(make_site(tmp_path / "site", 1, files=4), "site", "--encode", "none")
        ballast = small_disk / "ballast"
        ballast.write_bytes(b"\0" * 8 * MiB)
        add_large(tmp_path / "site", 15)
        command = [*RIM, "publish", str(tmp_path / "site"), "--site", "site", "--encode", "none"]
        done = subprocess.run(command, env=ring.env(), capture_output=True, text=True, timeout=120)
        print(done.stderr)
        assert done.returncode == 1, done
        assert "full" in done.stderr
        assert "Traceback" not in done.stderr
        live = ring.rim("releases", "site", "--json").stdout
        assert before["release"] in live
        ballast.unlink()
        again = ring.publish(tmp_path / "site", "site", "--encode", "none")
        assert again["release"] != before["release"]
        origin.stop()
        fsck = subprocess.run([*RIM, "origin", "fsck", "--state", str(origin.state)], capture_output=True, text=True)
        assert fsck.returncode == 0, fsck
    finally:
        if origin.process and origin.process.poll() is None:
            origin.stop()


def test_edge_on_a_full_disk_serves_on(small_disk: Path, tmp_path: Path) -> None:
    """A site larger than the edge's whole disk and memory: every file answers, twice, and a flip still happens."""
    origin = Origin(tmp_path / "origin")
    origin.start()
    edge = Edge("edge-1", small_disk / "edge-1")
    edge.errors = tmp_path / "edge-1.log"
    ring = Cluster(origin, [edge])
    try:
        token = origin.node_token()
        room = ("--cache", "1GiB", "--cache-min-free", "0", "--memory", "16MiB")
        edge.join(origin.url, origin.catalog, token, [edge], *room).start()
        folder = add_large(make_site(tmp_path / "site", 1, files=4), 40)
        ring.publish(folder, "site", "--encode", "none")
        for _ in range(2):
            for path, data in files_of(folder).items():
                answer = edge.get("site", path)
                assert (answer.status, answer.body == data) == (200, True), (path, answer.status)
        assert edge.metric("rim_disk_evicted_total"), "it was full: blocks go long before --cache is reached"
        make_site(folder, 2, files=4)
        ring.publish(folder, "site", "--encode", "none", "--wait", "all")
        assert b"<title>2</title>" in edge.get("site", "/").body
    finally:
        ring.stop()
