"""A visitor comes back after a deploy of real npm releases: the browser gets differences, and makes the new files.

Actors: `rim up` with an edge, headless Chromium. Ten pairs of releases (tests/kit/pairs) under the names that a bundler
gives them, in two deploys; and a script of more than one block. What is asserted in bytes does not depend on the
machine; what a delta costs in CPU is measured by bench/returning.py.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.kit.accesslog import AccessLog
from tests.kit.chromium import devtools
from tests.kit.dictionaries import ENCODINGS, ask, make
from tests.kit.nodes import fetch
from tests.kit.pairs import LARGE, PAIRS, Pair, fill
from tests.kit.ring import Up

pytestmark = pytest.mark.needs("chromium", "npm")
ALL = (*PAIRS, LARGE)
REACH = 8.0  # times fewer bytes than brotli at its best
# What the browser made of each script, from its own cache alone, and what of it was on the wire.
_HELD = """async (paths) => {
  const sizes = performance.getEntriesByType("resource");
  return Promise.all(paths.map(async (path) => {
    const answer = await fetch(path, { cache: "only-if-cached", mode: "same-origin" });
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await answer.arrayBuffer()));
    const size = sizes.find((entry) => entry.name.endsWith(path)).encodedBodySize;
    return [Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join(""), size];
  }));
}"""


@dataclass(frozen=True)
class Ring:
    """The ring, what its edge answered, and a folder to publish from."""

    up: Up
    log: AccessLog
    folder: Path

    def url(self, site: str) -> str:
        return f"http://{site}.localhost:{str(self.up.edges[0]['public']).rpartition(':')[2]}/"

    def deploy(self, site: str, new: bool, pairs: tuple[Pair, ...] = ALL) -> dict[Pair, str]:
        """Publish these releases; their paths. 6 % of a bundler's names look like words: the folder is declared."""
        folder = self.folder / f"{site}-{new}"
        paths = fill(folder, new, pairs)
        (folder / "rim.toml").write_text('immutable = ["/assets/**"]\n')
        self.up.publish(folder, site, "--encode", "best" if new else "none", "--wait", "all")
        return paths

    def work(self) -> dict[str, float]:
        """What the edge counts of its deltas."""
        lines = fetch(str(self.up.edges[0]["private"]), "/metrics").body.decode().splitlines()
        counted = (line.rsplit(" ", 1) for line in lines if line.startswith("rim_delta"))
        return {name: float(value) for name, value in counted}


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ring]:
    folder = tmp_path_factory.mktemp("deltas")
    log = AccessLog(folder / "access.log")
    with Up(folder / "up", env=log.environment) as up:
        yield Ring(up, log, folder)


class Wire:
    """The Content-Encoding of each answer as it is on the wire: filled while the page loads. A response's fields may be
    told before its request is (Chrome DevTools Protocol, Network.responseReceivedExtraInfo)."""

    def __init__(self, page: Page) -> None:
        self._paths: dict[str, str] = {}
        self._encodings: dict[str, str] = {}
        session = devtools(page)
        session.on("Network.requestWillBeSent", self._ask)
        session.on("Network.responseReceivedExtraInfo", self._answer)
        session.send("Network.enable")

    @property
    def encodings(self) -> dict[str, str]:
        """By path, of what was both asked and answered."""
        return {self._paths[each]: text for each, text in self._encodings.items() if each in self._paths}

    def _ask(self, event: dict[str, Any]) -> None:
        self._paths[event["requestId"]] = "/" + event["request"]["url"].split("/", 3)[3]

    def _answer(self, event: dict[str, Any]) -> None:
        fields = {name.lower(): value for name, value in event["headers"].items()}
        self._encodings[event["requestId"]] = fields.get("content-encoding", "")


def test_ten_real_releases_come_as_differences(ring: Ring, browser: Browser) -> None:
    """Every file comes as `dcz`; what the browser makes of it is the new file, bit for bit; what was on the wire, in
    sum, is at most an eighth of brotli's best, as the browser counts and as the edge counts."""
    context = browser.new_context()
    try:
        page = context.new_page()
        ring.deploy("returning", new=False)
        page.goto(ring.url("returning"), wait_until="load")
        paths = ring.deploy("returning", new=True)
        for pair, path in paths.items():
            make(ring.up, "returning", path, pair.read(pair.old))
        wire = Wire(page)
        mark = ring.log.mark(ring.up, "returning")
        page.goto(ring.url("returning"), wait_until="load")
        held = dict(zip(paths, page.evaluate(_HELD, list(paths.values())), strict=True))
        seen = wire.encodings
        sent = {line.path: line.size for line in ring.log.since(ring.up, "returning", mark)}
    finally:
        context.close()
    whole = {
        pair: len(ring.up.get("returning", path, headers={"Accept-Encoding": "br"}).body)
        for pair, path in paths.items()
    }
    for pair, path in paths.items():
        print(f"{pair}: br {whole[pair]}, {seen.get(path)} {sent[path]}")
    assert {seen.get(path) for path in paths.values()} == {"dcz"}
    for pair, (digest, size) in held.items():
        assert digest == hashlib.sha256(pair.read(pair.new)).hexdigest(), pair
        assert size == sent[paths[pair]], pair
    assert sum(whole[pair] for pair in PAIRS) >= REACH * sum(sent[paths[pair]] for pair in PAIRS)


def test_a_digest_that_no_base_has_makes_no_work(ring: Ring) -> None:
    """A file of another site on the same edge, one that this site never had, and no digest at all: the answer is the
    one without a dictionary, and nothing is compressed. The site's own old file, and it is: so the play can fail."""
    few = PAIRS[:1]
    (own,) = few
    stranger = PAIRS[1]
    ring.deploy("neighbour", new=False, pairs=(stranger,))
    ring.deploy("asked", new=False, pairs=few)
    path = ring.deploy("asked", new=True, pairs=few)[own]
    plain = ring.up.get("asked", path, headers={"Accept-Encoding": ENCODINGS})
    before = ring.work()
    for digest in (hashlib.sha256(stranger.read(stranger.old)).digest(), random.Random(7).randbytes(32), b"short"):
        answer = ask(ring.up, "asked", path, digest)
        assert (answer.status, answer.headers["etag"], answer.body) == (200, plain.headers["etag"], plain.body)
    assert made(ring.work()) == made(before)
    make(ring.up, "asked", path, own.read(own.old))
    assert made(ring.work()) != made(before)


def made(work: dict[str, float]) -> dict[str, float]:
    """Of what is counted, what compression was done."""
    return {name: value for name, value in work.items() if "missed" not in name}
