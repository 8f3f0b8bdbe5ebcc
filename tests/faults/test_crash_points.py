"""Killed at every named step, in the publisher and in the origin: the old or the new release is there, whole.

The steps are enumerated, not listed: the n-th one ends the process (`os._exit`), n = 1, 2, 3 … until a run completes.
The site has a service worker, so the origin's word for its manifest is of that release too. It makes no step of its own
(it stands in the Catalog, which one commit replaces): the runs are as many as without.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from content.integrity import value_of
from tests.kit.nodes import RIM, Cluster, Edge, Origin, until
from tests.stories.test_ring import files_of, make_site

CRASHED = 137


def make_version(folder: Path, version: int) -> dict[str, bytes]:
    """A site with a service worker: its files."""
    files = files_of(make_site(folder, version, files=3))
    files.pop("/rim.toml", None)
    (folder / "rim.toml").write_text('[service_worker]\n[precache]\nglobs = ["*.html", "*.js"]\n')
    return files


def whole_release(edge: Edge, old: dict[str, bytes], new: dict[str, bytes]) -> str:
    """Which release the edge serves: every file of it must be there and of it alone, and what its worker is to store
    is the same files (looked at again after a flip)."""
    while True:
        page = edge.get("site", "/index.html")
        assert page.status == 200, page
        name, files = ("old", old) if page.body == old["/index.html"] else ("new", new)
        wrong = [path for path, data in files.items() if (a := edge.get("site", path)).status != 200 or a.body != data]
        manifest = edge.get("site", "/.rim/manifest.json")
        if edge.get("site", "/index.html").body == page.body:
            assert not wrong, (name, wrong)
            assert manifest.status == 200, manifest  # and so the edge has proved the origin's word for it
            listed = {entry["path"]: entry["integrity"] for entry in json.loads(manifest.body)["entries"]}
            assert listed == {
                path: value_of(sha256(data).digest()) for path, data in files.items() if path != "/big.bin"
            }, name
            return name


def start_ring(root: Path) -> Cluster:
    origin = Origin(root / "origin")
    origin.start()
    token = origin.node_token()
    edge = Edge("edge-1", root / "edge-1")
    edge.join(origin.url, origin.catalog, token, [edge]).start()
    return Cluster(origin, [edge], token)


def test_publisher_killed_at_every_step(tmp_path: Path) -> None:
    """The publisher dies at step n: a visitor sees the old release or the new one; the same publish then succeeds."""
    ring = start_ring(tmp_path)
    try:
        folder = tmp_path / "site"
        new = make_version(folder, 1)
        ring.publish(folder, "site")
        outcomes: dict[str, str] = {}
        for n in range(1, 200):
            old, new = new, make_version(folder, n + 1)
            log = tmp_path / "steps.log"
            log.unlink(missing_ok=True)
            env = {**ring.env(), "RIM_PUBLISH_CRASH_AT": str(n), "RIM_STEPS_LOG": str(log)}
            done = subprocess.run(
                [*RIM, "publish", str(folder), "--site", "site"], env=env, capture_output=True, text=True
            )
            seen = whole_release(ring.edges[0], old, new)
            if done.returncode == 0:
                assert seen == "new"
                break
            assert done.returncode == CRASHED, (n, done)
            outcomes[log.read_text().split()[-1]] = seen
            ring.publish(folder, "site")
            assert whole_release(ring.edges[0], old, new) == "new"
        else:
            raise AssertionError("no run completed")
        print(f"publisher: {n - 1} crash points: {outcomes}")
        assert n > 5, "the publisher names its steps"
    finally:
        ring.stop()


@pytest.mark.timeout(1800)  # two starts and two publishes for each of 26 steps
def test_origin_killed_at_every_step(tmp_path: Path) -> None:
    """The origin dies at step n of a publish and is started again: the same publish succeeds, none is lost."""
    ring = start_ring(tmp_path)
    try:
        folder = tmp_path / "site"
        new = make_version(folder, 1)
        ring.publish(folder, "site")
        crashed = 0
        for n in range(1, 200):
            old, new = new, make_version(folder, n + 1)
            ring.origin.stop()
            ring.origin.env = {"RIM_CRASH_AT": str(n)}
            try:
                ring.origin.start()
            except AssertionError:  # a step of the start itself
                assert ring.origin.process is not None
                assert ring.origin.process.returncode == CRASHED
                crashed += 1
                ring.origin.env = {}
                ring.origin.start()
                continue
            done = subprocess.run(
                [*RIM, "publish", str(folder), "--site", "site", "--timeout", "5"],
                env={**ring.env(), "RIM_RETRY": "0.2"}, capture_output=True, text=True,
            )  # fmt: skip
            died = ring.origin.process is not None and ring.origin.process.poll() is not None
            acknowledged = done.returncode == 0
            ring.origin.env = {}
            if died:
                crashed += 1
                ring.origin.start()
            seen = whole_release(ring.edges[0], old, new)
            if acknowledged:
                until(
                    "the edge serves what was acknowledged",
                    lambda o=old, w=new: whole_release(ring.edges[0], o, w) == "new",
                )
            ring.publish(folder, "site")
            until("the new release", lambda o=old, w=new: whole_release(ring.edges[0], o, w) == "new")
            if not died:
                break
            print(
                f"origin step {n}: {'acknowledged' if acknowledged else done.returncode}, edge saw the {seen} release"
            )
        else:
            raise AssertionError("no run completed")
        print(f"origin: {crashed} crash points")
        assert crashed > 5, "the origin names its steps"
        ring.origin.stop()
        fsck = subprocess.run(
            [*RIM, "origin", "fsck", "--state", str(ring.origin.state)], capture_output=True, text=True
        )
        assert fsck.returncode == 0, fsck
    finally:
        ring.stop()
    assert shutil.disk_usage(tmp_path).free > 0
    assert os.path.exists(ring.origin.state / "head")
