"""Purges over a ring of eight: what is gone, what is fetched anew and how often; an edge that stood still meanwhile.

Actors: an origin, a counting proxy before it, eight edges as processes, a publisher. One edge is stopped and goes on.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from content.cid import CID, RAW
from tests.kit.nodes import Answer, Cluster, Edge, cluster
from tests.kit.proxy import CountingProxy

OLD = "/assets/old-0a1b2c3d.js"
TOML = '[skew]\npin = true\n[[tags]]\npath = "/news/**"\ntags = ["news"]\n'


@dataclass(frozen=True)
class Stage:
    """The ring, and what stands before its origin."""

    ring: Cluster
    proxy: CountingProxy

    def left(self, data: bytes) -> int:
        """How often this file has left the origin."""
        return self.proxy.blocks[str(CID.of(RAW, data))]

    def everywhere(self, site: str, path: str, **headers: str) -> list[Answer]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return [edge.get(site, path, named) for edge in self.ring.edges]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with CountingProxy("") as proxy:

        def via(origin: str) -> str:
            proxy.upstream = origin
            return proxy.url

        ring = cluster(tmp_path_factory.mktemp("ring"), 8, via)
        try:
            yield Stage(ring, proxy)
        finally:
            for edge in ring.edges:
                os.kill(pid(edge), signal.SIGCONT)
            ring.stop()


def pid(edge: Edge) -> int:
    assert edge.process is not None
    return edge.process.pid


def put(folder: Path, **files: str) -> Path:
    """A folder with these files and no others (`a__b` is a/b), and rim.toml."""
    folder.mkdir(parents=True)
    for name, text in {"index__html": "<!doctype html><title>t</title>", **files}.items():
        stem, _, kind = name.rpartition("__")
        file = folder / f"{stem.replace('__', '/')}.{kind}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (folder / "rim.toml").write_text(TOML)
    return folder


def write(edge: Edge, site: str, path: str) -> socket.socket:
    """A request in the edge's socket; its answer is read later."""
    port = urlsplit(edge.public).port
    wire = socket.create_connection(("127.0.0.1", port), 30)
    wire.sendall(f"GET {path} HTTP/1.1\r\nHost: {site}.localhost:{port}\r\n\r\n".encode())
    return wire


def read(wire: socket.socket) -> Answer:
    answer = HTTPResponse(wire)
    answer.begin()
    return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())


def test_an_edge_that_stood_still_answers_nothing_from_before_the_purge(stage: Stage, tmp_path: Path) -> None:
    """It is named (exit 5); what was asked while it stood still, and right after, is answered by the new Head."""
    ring, still = stage.ring, stage.ring.edges[3]
    data = "of the live release"
    folder = put(tmp_path / "1", x__txt=data)
    (folder / OLD[1:]).parent.mkdir()
    (folder / OLD[1:]).write_text("an old chunk")
    ring.publish(folder, "still", "--encode", "none", "--wait", "all")
    ring.publish(put(tmp_path / "2", x__txt=data), "still", "--encode", "none", "--wait", "all")
    for path in ("/x.txt", OLD, OLD):
        assert {answer.status for answer in stage.everywhere("still", path)} == {200}
    kept = write(still, "still", OLD)
    assert read(kept).status == 200
    port = urlsplit(still.public).port
    os.kill(pid(still), signal.SIGSTOP)
    try:
        kept.sendall(f"GET {OLD} HTTP/1.1\r\nHost: still.localhost:{port}\r\n\r\n".encode())
        wires = {path: [write(still, "still", path)] for path in (OLD, "/x.txt")}
        chosen = ("--path", "/x.txt", "--path", OLD)
        done = ring.rim("purge", "still", *chosen, "--wait", "all", "--timeout", "6", check=False)
        assert (done.returncode, "7 of 8" in done.stderr, "not yet: edge-4" in done.stderr) == (5, True, True), done
        for path, waiting in wires.items():
            waiting.append(write(still, "still", path))
    finally:
        os.kill(pid(still), signal.SIGCONT)
    old, live = still.get("still", OLD), still.get("still", "/x.txt")
    assert old.status == read(kept).status == 404
    assert {read(wire).status for wire in wires[OLD]} == {404}
    answers = [live, *(read(wire) for wire in wires["/x.txt"])]
    assert {(answer.status, answer.body) for answer in answers} == {(200, data.encode())}
    assert [answer for answer in answers if "; fwd=" in answer.cache_status], [a.cache_status for a in answers]
    for path, status in ((OLD, 404), ("/x.txt", 200)):
        assert {answer.status for answer in stage.everywhere("still", path)} == {status}
    kept.close()
    for wire in (wire for waiting in wires.values() for wire in waiting):
        wire.close()


@pytest.mark.parametrize(
    "chosen", [("--path", "/news/a.txt"), ("--tag", "news"), ("--prefix", "/news/"), ("--all",)], ids="-".join
)
def test_what_is_live_is_fetched_anew_once(stage: Stage, tmp_path: Path, chosen: tuple[str, ...]) -> None:
    """Hard: it leaves the origin once more for all eight edges. Soft: not at all, but it comes from disk again."""
    site = "live" + chosen[0].strip("-")
    data = f"news of {site}"
    other = f"no news of {site}"
    folder = put(tmp_path / "site", news__a__txt=data, other__txt=other)
    stage.ring.publish(folder, site, "--encode", "none", "--wait", "all")

    def ask(path: str) -> list[str]:
        return [answer.body.decode() for answer in stage.everywhere(site, path)]

    for _ in range(2):
        assert (ask("/news/a.txt"), ask("/other.txt")) == ([data] * 8, [other] * 8)
    assert (stage.left(data.encode()), stage.left(other.encode())) == (1, 1)

    stage.ring.rim("purge", site, *chosen, "--soft", "--wait", "all")
    answers = stage.everywhere(site, "/news/a.txt")
    assert {answer.body for answer in answers} == {data.encode()}
    assert all("; hit" in answer.cache_status and "disk" in answer.cache_status for answer in answers), answers
    assert stage.left(data.encode()) == 1

    stage.ring.rim("purge", site, *chosen, "--wait", "all")
    answers = stage.everywhere(site, "/news/a.txt")
    assert {(answer.status, answer.body) for answer in answers} == {(200, data.encode())}
    at_hand = [answer.cache_status for answer in answers if "; fwd=" not in answer.cache_status]
    # By then others have asked the block's owner, and perhaps a mirror, which fetched it behind their backs.
    assert len(at_hand) <= 3, at_hand
    assert stage.left(data.encode()) == 2
    assert ask("/other.txt") == [other] * 8
    assert stage.left(other.encode()) == (2 if chosen == ("--all",) else 1)


def test_what_was_staged_before_the_purge_lends_it_no_more(stage: Stage, tmp_path: Path) -> None:
    """The path in a preview, in a rollout and in a pinned release: 200 before, then 404 at every edge, and why."""
    ring = stage.ring
    first = ring.publish(put(tmp_path / "1", notes__txt="one"), "trial", "--encode", "none")
    ring.publish(put(tmp_path / "2", other__txt="two"), "trial", "--encode", "none")
    ring.publish(put(tmp_path / "3", notes__txt="three"), "trial", "--encode", "none", "--preview", "pr")
    ring.rim("rollout", "trial", "pr", "--percent", "100", "--wait", "all")
    asked = (
        ("pr--trial", {}),
        ("trial", {"Cookie": "rim_visitor=anyone-at-all"}),
        ("trial", {"Rim_Release": str(first["release"])}),
    )
    assert {a.status for a in stage.everywhere("trial", "/notes.txt")} == {404}
    for site, headers in asked:
        assert {a.status for a in stage.everywhere(site, "/notes.txt", **headers)} == {200}, (site, headers)
    ring.rim("purge", "trial", "--path", "/notes.txt", "--wait", "all")
    for site, headers in asked:
        answers = stage.everywhere(site, "/notes.txt", **headers)
        told = {(answer.status, answer.headers.get("rim-reason")) for answer in answers}
        assert told == {(404, "purged")}, (site, headers)
    ring.publish(
        put(tmp_path / "4", notes__txt="three"), "trial", "--encode", "none", "--preview", "pr", "--wait", "all"
    )
    assert {a.status for a in stage.everywhere("pr--trial", "/notes.txt")} == {200}, "published again, it is there"
