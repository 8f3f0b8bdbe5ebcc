"""Deploys at ten a second under visitors whose every request goes to another edge; and what 200 kept releases cost.

Actors: an origin, three edges as processes, a publisher, visitors. RIM_LONG=1 keeps it up for a minute, RIM_SEED
replays. Each page names six files by their hash, and all names change with each deploy.
"""

from __future__ import annotations

import http.client
import itertools
import os
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from content.cid import CID
from content.release import Release
from content.walk import Walk
from edge.site.view import Found, Meaning, Missing, Published, SiteView
from rim.client import Origin
from rim.job import Job
from rim.memo import Memo
from rim.output import Bars
from rim.publisher import Publisher
from tests.kit.nodes import Cluster, Edge, cluster, fetch, until
from tests.origin.play import make, origin, parts

SECONDS = 60.0 if os.environ.get("RIM_LONG") else 8.0
SEED = int(os.environ.get("RIM_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
LEAST = 12  # deploys, however long they take on a busy machine
BEAT = 0.1  # s from one deploy to the next
VISITORS = 4
READING = 0.03  # s that a visitor looks at a page: the machine's two cores must have something left for deploys
_ASSET = re.compile(r'"(/assets/[^"]+)"')


def app(folder: Path, version: int, rng: random.Random) -> Path:
    """Two pages and six files, all of which begin with their version."""
    (folder / "assets").mkdir(parents=True)
    names = [f"part{n}-{rng.getrandbits(28):07x}a1.js" for n in range(6)]
    for name in names:
        (folder / "assets" / name).write_text(f"// {version} {name}\n" + "x" * rng.randrange(100, 20_000))
    scripts = "".join(f'<script src="/assets/{name}"></script>' for name in names)
    for page in ("index.html", "more.html"):
        (folder / page).write_text(f"<!doctype html><title>{version}</title>{scripts}")
    return folder


class Seen:
    """What visitors and watchers saw, for the play to judge at its end."""

    def __init__(self) -> None:
        self.loads: Counter[str] = Counter()  # of pages, by version
        self.assets = 0
        self.faults: list[object] = []
        self.sequences: dict[str, list[int]] = {}
        self.over = threading.Event()


def visit(edges: list[Edge], seed: int, seen: Seen) -> None:
    """Load pages until it is over: the document from one edge, each of its files from another."""
    rng = random.Random(seed)
    turn = itertools.cycle(rng.sample(edges, len(edges)))
    wires = {edge.name: http.client.HTTPConnection("127.0.0.1", urlsplit(edge.public).port) for edge in edges}

    def get(path: str) -> tuple[int, bytes, str]:
        edge = next(turn)
        wires[edge.name].request("GET", path, headers={"Host": f"site.localhost:{urlsplit(edge.public).port}"})
        answer = wires[edge.name].getresponse()
        return answer.status, answer.read(), edge.name

    while not seen.over.is_set():
        status, page, edge = get(rng.choice(("/", "/more.html")))
        if status != 200:
            seen.faults.append((edge, "the page", status))
            continue
        version = page.decode().partition("<title>")[2].partition("<")[0]
        for path in _ASSET.findall(page.decode()):
            status, body, edge = get(path)
            seen.assets += 1
            if status != 200 or not body.startswith(f"// {version} {path.rpartition('/')[2]}\n".encode()):
                seen.faults.append((edge, version, path, status, body[:60]))
        seen.loads[version] += 1
        seen.over.wait(READING)
    for wire in wires.values():
        wire.close()


def watch(ring: Cluster, seen: Seen) -> None:
    """Each edge's own word of what it serves, again and again."""
    while not seen.over.wait(0.05):
        for edge in ring.edges:
            said = fetch(edge.private, "/api/v1/status", headers={"Authorization": f"Bearer {ring.token}"})
            seen.sequences.setdefault(edge.name, []).append(int(said.headers["rim-sequence"]))


@contextmanager
def crowd(ring: Cluster, seen: Seen) -> Iterator[None]:
    tasks = [threading.Thread(target=visit, args=(ring.edges, SEED + n, seen)) for n in range(VISITORS)]
    tasks.append(threading.Thread(target=watch, args=(ring, seen)))
    for task in tasks:
        task.start()
    try:
        yield
    finally:
        seen.over.set()
        for task in tasks:
            task.join()


def test_deploys_at_ten_a_second_under_load(tmp_path: Path) -> None:
    """Every file that a page names is there, in the page's version, at whichever edge; and no edge goes back."""
    print(f"seed {SEED} (RIM_SEED replays)")
    rng, seen, memo = random.Random(SEED), Seen(), Memo(tmp_path / "memo")
    ring = cluster(tmp_path, 3)
    deploys = 0
    try:
        with Origin(ring.origin.url, ring.origin.token) as where:

            def deploy() -> int:
                job = Job(app(tmp_path / "site" / str(deploys), deploys, rng), "site", encode="none")
                return Publisher(job, where, Bars(), memo).publish().sequence

            last = deploy()
            until("all serve the first", lambda: all(edge.get("site", "/").status == 200 for edge in ring.edges))
            with crowd(ring, seen):
                begun = time.monotonic()
                while (now := time.monotonic() - begun) < SECONDS or (deploys < LEAST and now < 30 * SECONDS):
                    deploys += 1
                    last = deploy()
                    time.sleep(max(0.0, deploys * BEAT - (time.monotonic() - begun)))  # the beat of the play
        took = f"{deploys} deploys in {now:.0f} s"
        print(f"{took}; {seen.loads.total()} page loads of {len(seen.loads)} versions, {seen.assets} files asked for")
        assert not seen.faults, (len(seen.faults), seen.faults[:5])
        assert len(seen.loads) > 5
        for name, sequences in seen.sequences.items():
            assert sequences == sorted(sequences), name
            assert len(set(sequences)) > 5
        for edge in ring.edges:
            until("it serves the last one", lambda e=edge: e.metric("rim_head_sequence") >= last)  # type: ignore[misc]
    finally:
        memo.close()
        ring.stop()


def test_200_kept_releases_cost_no_more_blocks_than_one(tmp_path: Path) -> None:
    """What an edge looks at, in blocks, for a hit, for a file of an old release and for what no release has."""
    cost: dict[int, dict[str, int]] = {}
    with origin(tmp_path / "state") as client:
        # Not SEED: by chance of its names a tree of eight rows has two levels, and then all is dearer from the start
        rng, live, names = random.Random(200), None, []
        for version in range(1, 201):
            assets = [f"assets/part{n}-{rng.getrandbits(28):07x}a1.js" for n in range(6)]
            files = {name: f"{version} {name}".encode() for name in (*assets, "index.html", "more.html")}
            made = make(files, immutable=assets)
            client.publish("site", made, live)
            live, names = made.cid, [*names, f"/{assets[0]}"]
            if version in (1, 2, 200):
                asked = {"hit": names[-1], "old": names[max(0, version - 2)], "404": "/assets/gone-0a1b2c3d.js"}
                cost[version] = {what: blocks_for(client, path, what) for what, path in asked.items()}
    print(f"blocks looked at, by releases kept: {cost}")
    assert cost[200]["hit"] <= cost[1]["hit"] + 1
    assert cost[200]["404"] <= cost[1]["404"] + 1
    assert cost[200]["old"] <= cost[2]["old"] + 1  # one release has no file of an old one


def blocks_for(client: object, path: str, what: str) -> int:
    """The blocks that the walk for this path asks for; each as the origin keeps it."""
    whole = parts(client)  # type: ignore[arg-type]
    site = whole.catalog.world.site("site")
    release = Release.from_block(whole.store.get(site.live.release))
    view = SiteView(CID.of(0x71, b""), site, Published(site.live.release, release, site.live.generation))
    walk: Walk[Meaning] = view.resolve(path)
    asked = 0
    try:
        wanted = next(walk)
        while True:
            asked += 1
            wanted = walk.send(whole.store.get(wanted))
    except StopIteration as end:
        meant = end.value
    assert isinstance(meant, Missing if what == "404" else Found), (path, meant)
    return asked
