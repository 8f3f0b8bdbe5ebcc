"""The origin is lost, and comes back from yesterday: what visitors see, what edges believe, what the operator is told.

Actors: an origin and two edges as processes, a visitor who never stops, an operator with an archive.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.kit.nodes import Cluster, Edge, cluster, run_rim, until


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[Cluster]:
    whole = cluster(tmp_path, 2)
    try:
        yield whole
    finally:
        whole.stop()


def publish(ring: Cluster, folder: Path, version: str) -> dict[str, Any]:
    """A release of one page that says its version."""
    folder.mkdir(exist_ok=True)
    (folder / "index.html").write_text(f"<!doctype html>{version}")
    return ring.publish(folder, "site", "--wait", "all", "--encode", "none")


def page(edge: Edge) -> str:
    answer = edge.get("site", "/")
    assert answer.status == 200, answer
    return answer.body.decode().removeprefix("<!doctype html>")


def all_show(ring: Cluster, version: str) -> None:
    until(f"{version} at every edge", lambda: {page(edge) for edge in ring.edges} == {version})


def refused(edge: Edge, reason: str) -> float:
    return edge.metric(f'rim_head_refused_total{{reason="{reason}"}}')


def status(ring: Cluster) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(ring.rim("status", "--json").stdout)
    return value


@contextmanager
def visitor(edge: Edge) -> Iterator[list[str]]:
    """Somebody who reads the page again and again: every answer in order, each of them whole."""
    seen: list[str] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            answer = edge.get("site", "/")
            seen.append(answer.body.decode().removeprefix("<!doctype html>") if answer.status == 200 else str(answer))

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def without_repeats(seen: list[str]) -> list[str]:
    return [version for number, version in enumerate(seen) if number == 0 or version != seen[number - 1]]


def restore(ring: Cluster, archive: Path, *more: str) -> str:
    """As an operator does it, on a machine where no origin is."""
    return run_rim(
        ["origin", "restore", str(archive), "--state", str(ring.origin.state), *more], os.environ, True, 60
    ).stdout


def lose(ring: Cluster) -> None:
    """The origin's disk is gone, and the origin with it."""
    ring.origin.kill()
    shutil.rmtree(ring.origin.state)


def test_origin_restored_from_yesterday(ring: Cluster, tmp_path: Path) -> None:
    """Backed up, three more publishes, the disk lost: edges serve on, also one that is started while there is no
    origin; once it runs they go to what it says, and its next commit is ahead of all that they ever saw."""
    archive, site = tmp_path / "yesterday.tar", tmp_path / "site"
    ring.rim("pin", publish(ring, site, "one")["root"], "--name", "kept")
    ring.rim("origin", "backup", str(archive), "--state", str(ring.origin.state))
    for version in ("two", "three", "four"):
        publish(ring, site, version)
    ipns = json.loads(ring.origin.api("GET", "/sites/site").body)["ipns"]
    lost = status(ring)["sequence"]
    with visitor(ring.edges[0]) as seen:
        until("a first answer", lambda: seen)
        lose(ring)
        ring.edges[1].kill()
        ring.edges[1].start()
        all_show(ring, "four")
        assert "site" in restore(ring, archive)
        all_show(ring, "four")
        ring.origin.start()
        all_show(ring, "one")
        publish(ring, site, "five")
        all_show(ring, "five")
    assert without_repeats(seen) == ["four", "one", "five"]
    now = status(ring)
    assert [edge["sequence"] for edge in now["edges"]] == [now["sequence"]] * 2
    assert now["sequence"] > lost
    for edge in ring.edges:
        assert [refused(edge, reason) for reason in ("lower", "fork", "signature", "retired")] == [0.0] * 4
        assert edge.metric("rim_head_ahead") == 0
    log = (json.loads(line)["action"] for line in ring.rim("log", "--json").stdout.splitlines())
    assert [action for action in log if action in ("restore", "activate")] == ["activate", "restore", "activate"]
    assert json.loads(ring.origin.api("GET", "/sites/site").body)["ipns"] == ipns
    ring.rim("purge", "site", "--all", "--wait", "all")
    assert ring.rim("pins").stdout.count("kept") == 1


def test_origin_put_back_to_an_older_copy(ring: Cluster, tmp_path: Path) -> None:
    """A folder copied back says nothing new: edges keep what they have, all sides say so, and a commit ends it."""
    copy, site = tmp_path / "copy", tmp_path / "site"
    publish(ring, site, "one")
    ring.origin.stop()
    shutil.copytree(ring.origin.state, copy)
    ring.origin.start()
    publish(ring, site, "two")
    served = status(ring)["sequence"]
    ring.origin.kill()
    shutil.rmtree(ring.origin.state)
    shutil.copytree(copy, ring.origin.state)
    ring.origin.start()
    until("edges say it", lambda: all(edge.metric("rim_head_ahead") == 1 for edge in ring.edges))
    assert ring.origin.metric("rim_origin_edges_ahead") == 2
    assert {page(edge) for edge in ring.edges} == {"two"}
    shown = ring.rim("status").stdout
    assert shown.count(f"{served} (ahead)") == 2
    assert "put back to an older copy" in shown
    assert "is ahead of this origin" in ring.origin.stderr()
    ring.edges[1].kill()
    ring.edges[1].start()
    assert {page(edge) for edge in ring.edges} == {"two"}
    publish(ring, site, "three")
    all_show(ring, "three")
    until("all is well", lambda: all(edge.metric("rim_head_ahead") == 0 for edge in ring.edges))
    assert ring.origin.metric("rim_origin_edges_ahead") == 0
    assert "(ahead)" not in ring.rim("status").stdout


def rotate(ring: Cluster) -> tuple[str, str]:
    """The names before and after."""
    old = ring.rim("key", "show").stdout.strip()
    return old, ring.rim("key", "rotate").stdout.strip()


def test_a_key_is_rotated_while_an_edge_is_away(ring: Cluster, tmp_path: Path) -> None:
    """Twice, with publishes and a collection between: the edge that was away comes back with the name it was given,
    follows, and serves from its disk afterwards with nobody there. So does one that is new."""
    here, away = ring.edges
    publish(ring, tmp_path / "site", "one")
    away.kill()
    first, second = rotate(ring)
    ring.publish(write(tmp_path / "site", "two"), "site", "--no-warm")
    _, third = rotate(ring)
    ring.publish(write(tmp_path / "site", "three"), "site", "--no-warm")
    ring.rim("gc")
    assert len({first, second, third}) == 3
    until("who was here", lambda: page(here) == "three")
    away.start()
    until("who was away", lambda: page(away) == "three")
    new = Edge("edge-3", tmp_path / "edge-3").join(ring.origin.url, first, ring.token, [])
    ring.edges.append(new)
    new.start()
    until("who is new", lambda: page(new) == "three")
    publish(ring, tmp_path / "site", "four")
    all_show(ring, "four")
    ring.origin.kill()
    for edge in ring.edges:
        edge.kill()
        edge.start()
        assert page(edge) == "four"
        lines = (edge.state / "trusted").read_text().splitlines()
        assert [line.split()[:2] for line in lines] == [[first, second], [second, third]]


def write(folder: Path, version: str) -> Path:
    (folder / "index.html").write_text(f"<!doctype html>{version}")
    return folder


def test_restored_from_before_a_rotation(ring: Cluster, tmp_path: Path) -> None:
    """The archive has a key that edges believe no more: they serve on and follow nobody, and the origin says why.
    Restored with the key of now they follow; an edge that is made to begin anew follows the old key as well."""
    archive, site, safe = tmp_path / "before.tar", tmp_path / "site", tmp_path / "catalog.key"
    publish(ring, site, "one")
    ring.rim("origin", "backup", str(archive), "--state", str(ring.origin.state))
    old, new = rotate(ring)
    publish(ring, site, "two")
    shutil.copy(ring.origin.state / "keys" / "catalog.key", safe)
    lose(ring)
    restore(ring, archive)
    assert ring.origin.start()["catalog"] == old
    refusal = 'rim_origin_refused_total{code="other_catalog"}'
    until("both were told", lambda: ring.origin.metric(refusal) >= 4)
    assert {page(edge) for edge in ring.edges} == {"two"}
    until("the edge's log", lambda: "restored from before its key was rotated" in ring.edges[0].stderr())
    again = ring.edges[1]
    again.kill()
    again.start()
    assert page(again) == "two"
    again.stop()
    (again.state / "trusted").unlink()
    again.start()
    until("an edge that began anew", lambda: page(again) == "one")
    assert page(ring.edges[0]) == "two"

    lose(ring)
    assert json.loads(restore(ring, archive, "--key", str(safe), "--json"))["catalog"] == new
    assert ring.origin.start()["catalog"] == new
    all_show(ring, "one")
    publish(ring, site, "three")
    all_show(ring, "three")
    for edge in ring.edges:
        assert [refused(edge, reason) for reason in ("lower", "fork", "signature", "retired")] == [0.0] * 4
