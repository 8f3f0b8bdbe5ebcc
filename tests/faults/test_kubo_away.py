"""A Kubo that is down, slow, full, killed: nothing acknowledged is lost, and everybody is told in a sentence.

RIM_KUBO_KILLS says how often the last play kills it (5), RIM_SEED when; the seed is printed. By hand:
RIM_KUBO_KILLS=50 python -m pytest -s tests/faults/test_kubo_away.py -k killed
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from content import car
from content.cid import CID
from content.limits import MiB
from origin import following
from origin.store.kubo import rpc
from tests.kit import disks
from tests.kit.kubo import Kubo
from tests.kit.nodes import RIM, Cluster, Edge, Origin, until
from tests.origin.play import Client, make, origin, parts, site_files
from tests.stories.test_ring import files_of, make_site

pytestmark = pytest.mark.needs("ipfs")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Kubo]:
    """A Kubo that comes back at the same addresses."""
    kubo = Kubo(tmp_path / "repo")
    kubo.stay()
    with kubo.serving():
        yield kubo


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "AGAIN_SECONDS", 0.1)
    monkeypatch.setattr(following, "REST_SECONDS", 0.01)


def settings(node: Kubo) -> dict[str, str]:
    return {"store": "kubo", "kubo_api": node.api, "kubo_gateway": node.gateway}


def environment(node: Kubo) -> dict[str, str]:
    return {f"RIM_ORIGIN_{name.upper()}": value for name, value in settings(node).items()}


def ready(client: Client) -> None:
    until("the origin has seen Kubo's pins", lambda: client.ask("POST", "/api/v1/sites/x/missing", b"").status == 200)


def test_while_kubo_is_down_reads_say_so_and_publishes_go_on_afterwards(tmp_path: Path, node: Kubo) -> None:
    """Down in the middle of a publish: 503 with Retry-After, for reads and for the upload; what needs no block of its
    (the Head, a purge, a rollback) works. Up again, the same lease goes on, and every acknowledged block is there."""
    first = make({**site_files("one"), "big.bin": random.Random(1).randbytes(2 * MiB)})
    second = make({**site_files("one"), "big.bin": random.Random(2).randbytes(2 * MiB)})
    leaf = next(block for block in first.blocks if len(block.data) == MiB)
    with origin(tmp_path / "state", **settings(node)) as client:
        ready(client)
        client.publish("demo", first)
        lease, missing = client.missing("demo", second.blocks)
        client.send(lease, missing[:3])
        node.end(signal.SIGKILL)
        read = client.get(f"/ipfs/{leaf.cid}?format=raw")
        assert (read.status, read.error, read.headers["retry-after"]) == (503, "kubo_away", "1")
        assert "start it" in read.json["message"] or "in a moment" in read.json["message"]
        sent = client.ask("POST", f"/api/v1/leases/{lease}/blocks", car.write((), missing[3:]))
        assert (sent.status, sent.error) == (503, "kubo_away")
        assert client.get("/readyz").status == 200
        assert client.ok("POST", "/api/v1/sites/demo/purge", {"all": True})["sequence"]
        assert client.ask("POST", "/api/v1/gc").status == 503
        assert client.live("demo") == str(first.cid)
        node.start()
        until("it is asked again", lambda: client.get(f"/ipfs/{leaf.cid}?format=raw").body == leaf.data)
        assert client.missing("demo", missing[:3], lease)[1] == []
        client.send(lease, client.missing("demo", second.blocks, lease)[1])
        assert client.stage("demo", second, first.cid, lease).status == 200
        assert client.activate("demo", second, first.cid).status == 200
        # One went and looked, and is counted under what it wanted: this read, or a round of pins or names.
        assert b'rim_origin_kubo_failures_total{call="' in client.get("/metrics").body


def test_an_origin_starts_without_its_kubo(tmp_path: Path, node: Kubo) -> None:
    """The Head is answered; a publisher is asked to wait; when Kubo comes, the names and pins follow."""
    made, later = make(site_files("start")), make(site_files("later"))
    with origin(tmp_path / "state", **settings(node)) as client:
        ready(client)
        client.publish("demo", made)
    node.end()
    with origin(tmp_path / "state") as client:
        assert client.live("demo") == str(made.cid)
        assert client.ok("GET", "/api/v1/sites/demo/releases")
        asked = client.ask("POST", "/api/v1/sites/demo/missing", b"".join(made.store))
        assert (asked.status, asked.error) == (503, "kubo_away")
        node.start()
        ready(client)
        client.publish("demo", later, made.cid)
        name = client.ok("GET", "/api/v1/sites/demo")["ipns"]
        until("the name", lambda: resolves(node, name) == f"/ipfs/{later.release.root}")


def resolves(node: Kubo, name: str) -> str:
    try:
        return node.run("name", "resolve", f"/ipns/{name}").decode().strip()
    except AssertionError:
        return ""


def test_a_slow_kubo_takes_no_thread_from_the_head(tmp_path: Path, node: Kubo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped in its tracks: one read waits for the time limit, all others are told at once, and what needs no Kubo is
    answered as ever. Going on, it is asked again."""
    monkeypatch.setattr(rpc, "READ_SECONDS", 1.0)
    made = make({f"{number}.bin": random.Random(number).randbytes(4096) for number in range(60)})
    leaves = [block for block in made.blocks if len(block.data) == 4096]
    with origin(tmp_path / "state", **settings(node)) as client:
        ready(client)
        client.publish("demo", made)
        assert node.daemon is not None
        node.daemon.send_signal(signal.SIGSTOP)
        try:
            first = client.get(f"/ipfs/{leaves[0].cid}?format=raw")
            assert (first.status, first.error) == (503, "kubo_slow")
            asked = [threading.Thread(target=client.get, args=(f"/ipfs/{leaf.cid}?format=raw",)) for leaf in leaves]
            began = time.monotonic()
            for thread in asked:
                thread.start()
            assert client.ask("GET", "/api/v1/status").status == 200
            for thread in asked:
                thread.join()
            slow = parts(client).store.failures["block"]
            assert slow <= 2 + (time.monotonic() - began) / 1.0, "most were not asked of Kubo"
        finally:
            node.daemon.send_signal(signal.SIGCONT)
        until("it is asked again", lambda: client.get(f"/ipfs/{leaves[1].cid}?format=raw").body == leaves[1].data)


def test_uploads_into_a_stopped_kubo_hold_up_neither_the_head_nor_the_end(tmp_path: Path, node: Kubo) -> None:
    """Kubo hangs while more uploads and stages wait for it than a small machine has threads: the Head and a rollback
    are answered meanwhile. On SIGTERM the origin is gone within its ten seconds, with 0."""
    home = Origin(tmp_path / "origin", environment(node))
    home.start()
    client = Client(home.url, home.token)
    ready(client)
    made = [
        make({**site_files(f"site {number}"), "big.bin": random.Random(number).randbytes(2 * MiB)})
        for number in range(12)
    ]
    for number in range(2):
        client.publish("demo", made[number], made[0].cid if number else None)
    leases = [client.missing(f"site-{number}", made[number].blocks) for number in range(2, 12)]
    staged = make(site_files("staged"))
    lease, missing = client.missing("demo", staged.blocks)
    client.send(lease, missing)
    assert node.daemon is not None
    node.daemon.send_signal(signal.SIGSTOP)
    try:

        def gone(action: Callable[[], object]) -> None:
            with suppress(OSError, http.client.HTTPException, AssertionError):
                action()

        actions = [partial(client.send, lease, missing) for lease, missing in leases]
        actions.append(partial(client.stage, "demo", staged, made[1].cid, lease))
        waiting = [threading.Thread(target=gone, args=(action,)) for action in actions]
        for thread in waiting:
            thread.start()
        until("they hang", lambda: home.metric('rim_origin_kubo_calls_total{call="dag/import"}') >= 2 + 1)
        began = time.monotonic()
        assert client.ask("GET", "/api/v1/head?since=0", None).status in (200, 403)
        assert client.ok("POST", "/api/v1/sites/demo/rollback", {})["release"] == str(made[0].cid)
        assert time.monotonic() - began < rpc.READ_SECONDS
        assert home.stop() == 0
    finally:
        node.daemon.send_signal(signal.SIGCONT)
        for thread in waiting:
            thread.join()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 MiB."""
    with disks.small_disk(tmp_path / "small", "size=48m") as folder:
        yield folder


def test_a_full_kubo_refuses_and_recovers(tmp_path: Path, small_disk: Path) -> None:
    """507 with a sentence, what was live stays; with room again the same publish succeeds."""
    first, second = make(site_files("small")), make({"big.bin": random.Random(3).randbytes(20 * MiB)})
    node = Kubo(small_disk / "repo")
    with node.serving(), origin(tmp_path / "state", **settings(node)) as client:
        ready(client)
        client.publish("demo", first)
        ballast = small_disk / "ballast"
        ballast.write_bytes(b"\0" * 32 * MiB)
        lease, missing = client.missing("demo", second.blocks)
        sent = client.ask("POST", f"/api/v1/leases/{lease}/blocks", car.write((), missing))
        assert (sent.status, sent.error) == (507, "disk_full"), sent.body
        assert "Kubo" in sent.json["message"]
        assert client.live("demo") == str(first.cid)
        ballast.unlink()
        client.publish("demo", second, first.cid)
        for block in first.blocks + second.blocks:
            assert parts(client).store.get(block.cid) == block


def test_kubo_killed_at_random_during_publishes(tmp_path: Path, node: Kubo) -> None:
    """kill -9 of Kubo at a random moment of each of many publishes, while an edge serves: every release that was
    acknowledged is whole in Kubo, pinned by its name, and survives Kubo's collection; the edge never stops serving."""
    kills, seed = int(os.environ.get("RIM_KUBO_KILLS", "5")), int(os.environ.get("RIM_SEED", "0"))
    seed = seed or random.SystemRandom().getrandbits(32)
    print(f"RIM_KUBO_KILLS={kills} RIM_SEED={seed}")
    rng = random.Random(seed)
    folder = tmp_path / "site"
    home = Origin(tmp_path / "origin", environment(node))
    home.start()
    edge = Edge("edge-1", tmp_path / "edge-1")
    edge.join(home.url, home.catalog, home.node_token(), [edge]).start()
    ring = Cluster(home, [edge])
    acknowledged: dict[CID, dict[str, bytes]] = {}
    codes: Counter[int] = Counter()
    publishing: subprocess.Popen[str] | None = None
    try:
        began = time.monotonic()
        ring.publish(make_site(folder, seed, files=20), "site", "--encode", "none")
        usual = time.monotonic() - began
        until("the edge has the first release", lambda: serves(edge, files_of(folder)))
        for number in range(1, kills + 1):
            make_site(folder, seed + number, files=20)
            publishing = subprocess.Popen(
                [*RIM, "publish", str(folder), "--site", "site", "--encode", "none", "--json"],
                env=ring.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            time.sleep(rng.uniform(0.3, 1.2) * usual)  # the moment is the point; nothing is waited for
            node.end(signal.SIGKILL)
            assert edge.get("site", "/index.html").status == 200
            time.sleep(rng.uniform(0, 0.5))
            node.start()
            out, err = publishing.communicate(timeout=120)
            codes[publishing.returncode] += 1
            # Where the gate's time ran out, a visitor brings the page to the edge; from then on it is served.
            until("the page", lambda: edge.get("site", "/index.html").status == 200, 60)
            if publishing.returncode in (0, 4, 5):  # 4 and 5: committed, and the edge had not said so in time
                acknowledged[CID.parse(json.loads(out.strip().splitlines()[-1])["release"])] = files_of(folder)
            else:
                assert publishing.returncode == 1, err
                assert "Traceback" not in err, err
        print(f"{kills} kills, a publish takes {usual:.1f} s; exit codes {dict(codes)}")
        assert len(acknowledged) > kills // 2, "a publish outlives a restart of Kubo"
        ring.publish(make_site(folder, seed, files=20), "site", "--encode", "none")
        whole(home, node, acknowledged, tmp_path)
        until("the edge serves the last release", lambda: serves(edge, files_of(folder)))
    finally:
        if publishing is not None and publishing.poll() is None:
            publishing.kill()
            publishing.communicate()
        ring.stop()
    checked = subprocess.run([*RIM, "origin", "fsck", "--state", str(home.state)], capture_output=True, text=True)
    assert checked.returncode == 0, checked


def whole(home: Origin, node: Kubo, acknowledged: Mapping[CID, Mapping[str, bytes]], scratch: Path) -> None:
    """Every release is pinned under the site's name, and Kubo alone gives back its files after its collection."""
    assert home.api("POST", "/gc").status == 200
    rows = node.run("pin", "ls", "--names", "--type=recursive").decode().splitlines()
    names = {row.split(" ")[0]: row.split(" ", 2)[2] for row in rows if row.count(" ") > 1}
    for number, (release, files) in enumerate(acknowledged.items()):
        assert names[str(release)] == "rim/site"
        node.dag_export(release)  # every block, or it fails
        root = json.loads(node.run("dag", "get", str(release)))["root"]["/"]
        node.run("get", f"/ipfs/{root}", "-o", scratch / f"got-{number}")
        assert files_of(scratch / f"got-{number}") == files


def serves(edge: Edge, files: Mapping[str, bytes]) -> bool:
    return all((answer := edge.get("site", path)).status == 200 and answer.body == data for path, data in files.items())
