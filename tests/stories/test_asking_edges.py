"""Questions to edges through the origin: what would you answer, and what is happening.

Actors: an origin, three edges in two regions, an operator, a token of one site.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.kit.nodes import RIM, Cluster, cluster, until
from tests.stories.test_ring import make_site


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    root = tmp_path_factory.mktemp("asks")
    whole = cluster(root, 3, regions=("eu", "us"))
    try:
        for number, site in enumerate(("one", "two")):
            whole.publish(make_site(root / site, number, files=3), site, "--wait", "all")
        yield whole
    finally:
        whole.stop()


class Tail:
    """`rim tail --json` in the background; `rows` are those it has printed."""

    def __init__(self, ring: Cluster, *arguments: str, token: str | None = None) -> None:
        env = {**ring.env(), **({"RIM_TOKEN": token} if token else {}), "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            [*RIM, "tail", "--json", *arguments], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.rows: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.rows.append(json.loads(line))

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)
        self._reader.join()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        return self.process.returncode


def test_explain_tells_what_every_edge_would_answer(ring: Cluster) -> None:
    """One account for each edge, of the page, of a path that is not there, and of a host that nobody has."""
    told = json.loads(ring.rim("explain", "http://one.localhost/", "--json").stdout)
    assert [(row["node"], row["region"], row["status"]) for row in told["edges"]] == [
        ("edge-1", "eu", 200),
        ("edge-2", "us", 200),
        ("edge-3", "eu", 200),
    ]
    assert (told["missing"], told["differ"]) == ([], [])
    text = ring.rim("explain", "http://one.localhost/nowhere").stdout
    assert len(re.findall("^  status +404$", text, re.MULTILINE)) == 3
    assert "edge-2 (us)" in text
    assert "\n!" not in text
    told = json.loads(ring.rim("explain", "http://nobody.test/", "--json").stdout)
    assert {row["status"] for row in told["edges"]} == {421}


def test_who_may_ask_what(ring: Cluster) -> None:
    """A token of one site: that site's answers; no other's, and of hosts that nobody has none."""
    body = {"name": "one", "scopes": ["publish"], "sites": ["one"]}
    token = str(json.loads(ring.origin.api("POST", "/tokens", body).body)["token"])

    def ask(question: dict[str, Any]) -> int:
        return ring.origin.api("POST", "/asks", question, token).status

    assert ask({"kind": "explain", "url": "http://one.localhost/"}) == 201
    for url in ("http://two.localhost/", "http://nobody.test/", "http://x--two.localhost/"):
        assert ask({"kind": "explain", "url": url}) == 403
    assert ask({"kind": "explain", "url": "x"}) == 400
    assert ask({"kind": "other"}) == 400
    assert ask({"kind": "tail", "site": "two"}) == 403
    mine = str(json.loads(ring.origin.api("POST", "/asks", {"kind": "tail"}, token).body)["id"])
    assert ring.origin.api("GET", f"/asks/{mine}/answers").status == 403  # the admin did not ask it
    assert ring.origin.api("GET", f"/asks/{mine}", token=token).status == 403
    assert ring.origin.api("DELETE", f"/asks/{mine}", token=token).status == 200
    assert ring.origin.api("GET", f"/asks/{mine}/answers", token=token).status == 404


def test_tail_shows_answers_and_events_as_they_come(ring: Cluster, tmp_path: Path) -> None:
    """Filters hold; a token of one site sees that one only; what happens is told too; Ctrl-C ends it with 130."""
    body = {"name": "one", "scopes": ["publish"], "sites": ["one"]}
    token = str(json.loads(ring.origin.api("POST", "/tokens", body).body)["token"])
    every, misses, mine = Tail(ring), Tail(ring, "--status", "4xx", "--no-events"), Tail(ring, token=token)
    american = Tail(ring, "--region", "us", "--path", "/index", "--no-events")
    tails = (every, misses, mine, american)
    try:

        def all_see() -> bool:
            for edge in ring.edges:
                for site in ("one", "two"):
                    edge.get(site, "/index.html")
                    edge.get(site, "/missing")
            return all(len({row["node"] for row in tail.rows}) >= (1 if tail is american else 3) for tail in tails)

        until("rows of every edge", all_see)
        assert {row["site"] for row in every.rows if "status" in row} == {"one", "two"}
        assert {row["status"] for row in misses.rows} == {404}
        assert {row["site"] for row in mine.rows} == {"one"}
        assert {(row["node"], row["path"]) for row in american.rows} == {("edge-2", "/index.html")}
        port = urlsplit(ring.edges[1].public).port
        row = {"client": "127.0.0.1", "method": "GET", "host": f"one.localhost:{port}", "status": 200}
        assert any(seen.items() >= row.items() for seen in american.rows), "the first may be of either site"
        ring.publish(make_site(tmp_path / "three", 3, files=3), "three")
        ring.rim("purge", "three", "--all")
        until("events", lambda: {"head", "warmed", "purged"} <= {row.get("event") for row in every.rows})
        assert not any(row.get("site") == "three" for row in mine.rows)
    finally:
        codes = [tail.end() for tail in tails]
    assert codes == [130] * 4


def test_tail_ends_by_itself(ring: Cluster) -> None:
    """--for ends it with 0; a status that is none is refused before anything is asked."""
    done = ring.rim("tail", "one", "--for", "0.5", "--edge", "edge-1")
    assert done.returncode == 0
    assert ring.rim("tail", "--status", "40", check=False).returncode == 2


def test_explain_names_who_did_not_answer(ring: Cluster) -> None:
    """An edge that hangs: exit 5 with its name; all of them: 4."""
    stopped = []
    try:
        for edge in ring.edges[1:]:
            assert edge.process is not None
            os.kill(edge.process.pid, signal.SIGSTOP)
            stopped.append(edge.process.pid)
        some = ring.rim("explain", "http://one.localhost/", "--timeout", "2", check=False)
        assert (some.returncode, "edge-2 did not answer" in some.stderr) == (5, True)
        assert "edge-1 (eu)" in some.stdout
        assert ring.edges[0].process is not None
        os.kill(ring.edges[0].process.pid, signal.SIGSTOP)
        stopped.append(ring.edges[0].process.pid)
        none = ring.rim("explain", "http://one.localhost/", "--timeout", "1", check=False)
        assert (none.returncode, none.stdout) == (4, "")
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
