"""The Kubo backend against a real Kubo: what a publish leaves there, what collections take, what a Kubo that is away
costs."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from content import bases, manifest
from content.asking import drive
from content.cid import CID, RAW
from content.limits import MiB
from content.release import Release, Rules
from origin import following
from origin.errors import StateError
from origin.fsck import fsck
from origin.steps import _steps
from origin.store.kubo.keeping import KuboStore
from origin.store.kubo.rpc import Rpc
from tests.kit.kubo import Kubo
from tests.kit.nodes import until
from tests.origin.play import Client, Made, make, origin, parts, site_files

pytestmark = pytest.mark.needs("ipfs")


@pytest.fixture(autouse=True)
def _no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds follow each other at once: what they do is looked at here, not how seldom they come."""
    monkeypatch.setattr(following, "REST_SECONDS", 0.01)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Kubo]:
    kubo = Kubo(tmp_path / "repo")
    with kubo.serving():
        yield kubo


@contextmanager
def kubo_origin(state: Path, node: Kubo, **settings: Any) -> Iterator[Client]:
    with origin(state, store="kubo", kubo_api=node.api, kubo_gateway=node.gateway, **settings) as client:
        client.ok("POST", "/api/v1/gc")  # it has seen Kubo's pins
        yield client


def settled(client: Client) -> None:
    """Wait until the follower has brought Kubo's pins and names to where the Catalog is now: a round under way may
    have begun before, the one after it has not."""
    follower = parts(client).follower
    after = follower.rounds - follower.rounds_failed + 2

    def whole() -> bool:
        client.loop.call_soon_threadsafe(follower.signal.notify)  # type: ignore[attr-defined]
        return bool(follower.rounds - follower.rounds_failed >= after)

    until("two rounds", whole)


def have(node: Kubo) -> set[bytes]:
    """The multihashes of all blocks in Kubo."""
    return {CID.parse(text).multihash for text in node.run("refs", "local").decode().split()}


def whole_in_kubo(node: Kubo, made: Made) -> bool:
    return {cid.multihash for cid in made.store} <= have(node)


def pins(node: Kubo) -> dict[CID, str]:
    """Named recursive pins."""
    rows = [line.split(" ", 2) for line in node.run("pin", "ls", "--names", "--type=recursive").decode().splitlines()]
    return {CID.parse(row[0]): row[2] if len(row) > 2 else "" for row in rows}


def test_a_publish_is_ordinary_ipfs(tmp_path: Path, node: Kubo) -> None:
    """Release, Index, Root and files are in Kubo under one pin by the site's name; the leases' pins are gone."""
    before = pins(node)
    first = make({**site_files("one"), "big.bin": random.Random(1).randbytes(3 * MiB)}, encoded={"p0/f0.txt": b"br"})
    second = make({**site_files("one"), "p0/f0.txt": b"changed"})
    with kubo_origin(tmp_path / "state", node) as client:
        client.publish("demo", first)
        client.publish("demo", second, first.cid)
        client.ok("POST", "/api/v1/gc")
        assert {cid: name for cid, name in pins(node).items() if cid not in before} == {
            first.cid: "rim/demo", second.cid: "rim/demo"
        }  # fmt: skip
        node.run("repo", "gc")
        assert whole_in_kubo(node, first)
        assert whole_in_kubo(node, second)
        assert node.cat(f"/ipfs/{first.release.root}/big.bin") == random.Random(1).randbytes(3 * MiB)
        for block in second.blocks:
            if not block.cid.is_control:
                assert client.get(f"/ipfs/{block.cid}?format=raw").body == block.data
        metrics = client.get("/metrics").body.decode()
        assert 'rim_origin_kubo_calls_total{call="pin/update"} 1.0' in metrics


def test_what_retention_drops_is_freed_and_nothing_else(tmp_path: Path, node: Kubo) -> None:
    """Three releases under "the last two": after the third, Kubo's own collection takes exactly what the first alone
    held. What is not ours stays as it is, pinned or loose until then."""
    node.run("add", "-Q", stdin=b"a stranger's, pinned")
    stranger = CID.parse(node.run("add", "-Q", stdin=b"of demo 0, but somebody pinned it\n").decode().strip())
    shared = {"shared.txt": b"in all of them"}
    files = [{**shared, f"only-{number}.txt": b"%d" % number} for number in range(3)]
    files[0]["theirs.txt"] = b"of demo 0, but somebody pinned it\n"
    made = [make(each) for each in files]
    with kubo_origin(tmp_path / "state", node) as client:
        client.ok("PUT", "/api/v1/sites/demo", {"settings": {"retention": {"last": 2, "days": 0}}})
        client.publish("demo", made[0])
        client.publish("demo", made[1], made[0].cid)
        settled(client)
        node.run("repo", "gc")
        before = have(node)
        client.publish("demo", made[2], made[1].cid)
        settled(client)
        new = {cid.multihash for cid in made[2].store}
        kept = {cid.multihash for number in (1, 2) for cid in made[number].store} | {stranger.multihash}
        gone = {cid.multihash for cid in made[0].store} - kept
        node.run("repo", "gc")
        assert gone
        assert have(node) == (before | new) - gone
        assert [name for name in pins(node).values() if name] == ["rim/demo"] * 2
        assert client.missing("demo", made[0].blocks)[1] == [
            block for block in made[0].blocks if block.cid not in made[1].store | made[2].store
        ], "also what lies there under somebody else's pin"


def test_kubos_collection_between_every_two_steps_of_a_publish(
    tmp_path: Path, node: Kubo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ipfs repo gc` at every named step of two publishes, and between every two requests: nothing needed goes."""
    first = make({**site_files("one"), "big.bin": random.Random(1).randbytes(2 * MiB)}, encoded={"p0/f0.txt": b"c"})
    second = make({**site_files("one"), "p0/f0.txt": b"changed"})
    steps: list[str] = []

    def collect() -> None:
        assert Client(node.api).ask("POST", "/api/v0/repo/gc?quiet=true").status == 200

    def at(name: str) -> None:
        steps.append(name)
        collect()

    with kubo_origin(tmp_path / "state", node) as client:
        monkeypatch.setattr(_steps, "reached", at)
        monkeypatch.setattr(_steps, "armed", True)
        expected = None
        for made in (first, second):
            lease, missing = client.missing("demo", made.blocks)
            for block in missing:
                client.send(lease, [block])
                collect()
            assert client.missing("demo", made.blocks, lease)[1] == []
            assert client.stage("demo", made, expected, lease).status == 200
            assert whole_in_kubo(node, made)
            assert client.activate("demo", made, expected).status == 200
            settled(client)
            expected = made.cid
        assert whole_in_kubo(node, first)
        assert whole_in_kubo(node, second)
        monkeypatch.setattr(_steps, "armed", False)
    assert {"pin noted", "blocks imported", "root pinned", "catalog stored", "head written", "pin let go"} <= set(steps)


def test_what_was_here_already_is_held_by_the_announcement(tmp_path: Path, node: Kubo) -> None:
    """ "You have that one" stays true until the commit, though the only site that had it goes meanwhile."""
    shared = site_files("shared")
    one, two = make(shared), make({**shared, "more": b"m"})
    with kubo_origin(tmp_path / "state", node) as client:
        client.publish("one", one)
        settled(client)
        lease, missing = client.missing("two", two.blocks)
        assert 0 < len(missing) < len(two.blocks)
        client.ok("DELETE", "/api/v1/sites/one")
        for _ in range(2):
            client.ok("POST", "/api/v1/gc")
        client.send(lease, missing)
        client.ok("POST", "/api/v1/gc")
        assert client.stage("two", two, None, lease).status == 200
        assert client.activate("two", two, None).status == 200
        client.ok("POST", "/api/v1/gc")
        assert whole_in_kubo(node, two)
        assert not whole_in_kubo(node, one)
        assert [name for name in pins(node).values() if name] == ["rim/two"]


def test_blocks_of_kubo_that_nobody_pins_are_sent_all_the_same(tmp_path: Path, node: Kubo) -> None:
    """What lies loose in Kubo may go at any moment, so it does not count as here."""
    made = make(site_files("loose"))
    folder = tmp_path / "site"
    for path, data in site_files("loose").items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    node.run("add", "-rQ", "--pin=false", folder)
    with kubo_origin(tmp_path / "state", node) as client:
        lease, missing = client.missing("demo", made.blocks)
        assert len(missing) == len(made.blocks)
        client.send(lease, missing)
        node.run("repo", "gc")
        assert client.stage("demo", made, None, lease).status == 200


def test_an_explicit_pin_has_its_name_and_goes_with_it(tmp_path: Path, node: Kubo) -> None:
    made = make(site_files("pinned"))
    root = made.release.root
    with kubo_origin(tmp_path / "state", node) as client:
        client.publish("demo", made)
        client.ok("PUT", f"/api/v1/pins/{root}", {"name": "x"})
        assert pins(node)[root] == "rim/pin"
        client.ok("DELETE", "/api/v1/sites/demo")
        client.ok("POST", "/api/v1/gc")
        reached = {cid.multihash for cid in made.store if not cid.is_control}
        assert have(node) >= reached
        assert made.cid.multihash not in have(node)
        client.ok("DELETE", f"/api/v1/pins/{root}")
        settled(client)
        node.run("repo", "gc")
        assert not have(node) & reached


def test_a_pin_that_somebody_took_away_comes_back(tmp_path: Path, node: Kubo) -> None:
    """An operator unpins a release in Kubo: the next round pins it again, under its name, also after a restart."""
    made = make(site_files("kept"))
    with kubo_origin(tmp_path / "state", node) as client:
        client.publish("demo", made)
        settled(client)
        node.run("pin", "rm", str(made.cid))
        client.ok("POST", "/api/v1/gc")
        assert pins(node)[made.cid] == "rim/demo"
    node.run("pin", "rm", str(made.cid))
    with kubo_origin(tmp_path / "state", node):
        assert pins(node)[made.cid] == "rim/demo"


def test_blocks_that_kubo_lost_are_asked_for_again(tmp_path: Path, node: Kubo) -> None:
    """Unpinned and collected behind the origin's back: the next publish sends what is gone, instead of failing for
    ever; until then such a block is a 404 and a count, never other bytes."""
    made = make(site_files("lost"))
    later = make({**site_files("lost"), "more": b"m"})
    with kubo_origin(tmp_path / "state", node) as client:
        client.publish("demo", made)
        settled(client)
        for root in (made.cid, *(cid for cid, name in pins(node).items() if not name)):
            node.run("pin", "rm", str(root))
        node.run("repo", "gc")
        lease, missing = client.missing("demo", later.blocks)
        client.send(lease, missing)
        refused = client.stage("demo", later, made.cid, lease)
        assert (refused.status, refused.error) == (409, "incomplete")
        again, missing = client.missing("demo", later.blocks, lease)
        assert {str(block.cid) for block in missing} >= set(refused.json["missing"])
        client.send(again, missing)
        assert client.stage("demo", later, made.cid, lease).status == 200
        assert client.activate("demo", later, made.cid).status == 200
        client.ok("POST", "/api/v1/gc")
        assert whole_in_kubo(node, later)
        assert pins(node)[made.cid] == "rim/demo", "its blocks came back with the later release's"


def test_a_control_block_is_not_given_as_raw(tmp_path: Path, node: Kubo) -> None:
    """Kubo keeps bytes by their hash alone; the rooms of content and control blocks are kept by the origin."""
    made = make(site_files("rooms"))
    state = tmp_path / "state"
    raw = CID.of(RAW, made.store[made.cid].data)
    thief = make({"stolen": made.store[made.cid].data})
    with kubo_origin(state, node) as client:
        client.publish("demo", made)
        assert parts(client).store.get(raw) is None
        assert raw in {block.cid for block in client.missing("thief", thief.blocks)[1]}, (
            "who has the bytes may send them"
        )
        settled(client)
    with kubo_origin(state, node) as client:
        assert parts(client).store.get(raw) is None
        client.publish("thief", thief)
        assert parts(client).store.get(raw).data == made.store[made.cid].data


def test_a_site_is_followed_by_its_name(tmp_path: Path, node: Kubo) -> None:
    """`ipfs name resolve` and Kubo's own gateway follow the site's key, from commit to commit and after a rollback."""
    first, second = make({"index.html": b"<p>one"}), make({"index.html": b"<p>two"})
    with kubo_origin(tmp_path / "state", node) as client:
        client.publish("demo", first)
        name = client.ok("GET", "/api/v1/sites/demo")["ipns"]

        def resolved() -> str:
            return node.run("name", "resolve", f"/ipns/{name}").decode().strip()

        settled(client)
        assert resolved() == f"/ipfs/{first.release.root}"
        client.publish("demo", second, first.cid)
        settled(client)
        assert resolved() == f"/ipfs/{second.release.root}"
        assert Client(node.gateway).get(f"/ipns/{name}/").body == b"<p>two"
        client.ok("POST", "/api/v1/sites/demo/rollback", {})
        settled(client)
        assert resolved() == f"/ipfs/{first.release.root}"


def test_a_restart_knows_what_is_there_without_its_memo(tmp_path: Path, node: Kubo) -> None:
    """The lengths are a memo: without it, with half of it, the next start finds all by Kubo's pins."""
    made = make({**site_files("memo"), "big.bin": random.Random(4).randbytes(2 * MiB)})
    state = tmp_path / "state"
    with kubo_origin(state, node) as client:
        client.publish("demo", made)
    for left in (0, 100):
        memo = (state / "kubo" / "lengths").read_bytes()
        (state / "kubo" / "lengths").write_bytes(memo[:left])
        with kubo_origin(state, node) as client:
            assert client.missing("demo", made.blocks)[1] == []
            lengths = {cid: parts(client).store.length(cid) for cid in made.store}
            assert lengths == {cid: len(block.data) for cid, block in made.store.items()}
    said: list[str] = []
    assert fsck(state, said.append) == 0, said


def test_fsck_reads_kubo_too(tmp_path: Path, node: Kubo) -> None:
    """All is well; then a block of Kubo's is damaged on disk, and a release unpinned: both are named."""
    made = make({**site_files("check"), "big.bin": random.Random(5).randbytes(MiB)})
    state = tmp_path / "state"
    with kubo_origin(state, node) as client:
        client.publish("demo", made)
        settled(client)
    said: list[str] = []
    assert fsck(state, said.append) == 0, said
    big = CID.of(RAW, random.Random(5).randbytes(MiB))
    file = next(path for path in node.repo.glob("blocks/*/*.data") if path.stat().st_size == MiB)
    file.write_bytes(b"?" + file.read_bytes()[1:])
    node.run("pin", "rm", str(made.cid))
    assert fsck(state, said.append) == 1
    assert any(str(big) in line and "corrupt" in line for line in said), said
    assert any("does not pin" in line and str(made.cid) in line for line in said), said


def test_a_folder_remembers_its_store(tmp_path: Path, node: Kubo) -> None:
    """Said once; another is refused with what to do; an address that moved is taken over."""
    made = make(site_files("memory"))
    with kubo_origin(tmp_path / "state", node) as client:
        client.publish("demo", made)
    with origin(tmp_path / "state") as client:
        assert isinstance(parts(client).store, KuboStore)
        client.ok("POST", "/api/v1/gc")
        assert client.missing("demo", made.blocks)[1] == []
    with pytest.raises(StateError, match="migrate --to embedded"), origin(tmp_path / "state", store="embedded"):
        pass
    with origin(tmp_path / "plain"):
        pass
    with pytest.raises(StateError, match="migrate --to kubo"), origin(tmp_path / "plain", store="kubo"):
        pass
    with pytest.raises(StateError, match="embedded and kubo"), origin(tmp_path / "other", store="s3"):
        pass


@pytest.mark.parametrize(
    "wrong", ["/ip4/127.0.0.1/tcp/5001", "127.0.0.1:5001", "ftp://h", "http://h:x", "http://h/api", ""]
)
def test_an_address_that_is_none_is_refused_at_start(wrong: str) -> None:
    for name in ("--kubo-api", "--kubo-gateway"):
        given = {"api": "http://127.0.0.1:1", "gateway": "http://127.0.0.1:1", name.removeprefix("--kubo-"): wrong}
        with pytest.raises(StateError, match=f"{name} .*HOST:PORT"):
            Rpc(**given)


def test_bytes_that_kubo_damaged_are_never_served(tmp_path: Path, node: Kubo) -> None:
    """A leaf rots on Kubo's disk: its readers are told that it is not here, it is counted, and asked for again."""
    leaf = random.Random(6).randbytes(MiB)
    made = make({"rots.bin": leaf})
    with kubo_origin(tmp_path / "state", node) as client:
        client.publish("demo", made)
        file = next(path for path in node.repo.glob("blocks/*/*.data") if path.stat().st_size == MiB)
        file.write_bytes(b"?" + file.read_bytes()[1:])
        cid = CID.of(RAW, leaf)
        assert client.get(f"/ipfs/{cid}?format=raw").status == 404
        assert b"rim_origin_corrupt_total 1.0" in client.get("/metrics").body
        assert [block.cid for block in client.missing("demo", made.blocks)[1]] == [cid]


def test_without_the_extra_the_sentence_says_what_to_install(tmp_path: Path) -> None:
    """An origin without ipfshttpclient starts as ever; with --store kubo it says which extra is missing."""
    code = (
        "import sys; sys.modules['ipfshttpclient'] = None; from pathlib import Path; "
        "from origin.config import OriginConfig; from origin.node import serve; "
        "sys.exit(serve(OriginConfig(Path(sys.argv[1]), '127.0.0.1:0', store='kubo')))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "state")], capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install 'rim-cdn[kubo]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_release_that_is_dropped_during_a_collection_goes_with_the_next(
    tmp_path: Path, node: Kubo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The walk has found it wanted, then a commit drops it: what is called present then is still under its pin. (Once
    the pin went and the index kept the blocks.)"""
    made = [make({f"only-{number}.txt": b"%d" % number}) for number in range(3)]
    with kubo_origin(tmp_path / "state", node) as client:
        client.ok("PUT", "/api/v1/sites/demo", {"settings": {"retention": {"last": 2, "days": 0}}})
        client.publish("demo", made[0])
        client.publish("demo", made[1], made[0].cid)
        settled(client)
        store = parts(client).store
        mend = store.mend

        def meanwhile(wanted: dict[CID, str]) -> set[CID]:
            monkeypatch.setattr(store, "mend", mend)
            kept = mend(wanted)
            client.publish("demo", made[2], made[1].cid)
            return kept

        monkeypatch.setattr(store, "mend", meanwhile)
        parts(client).collector.reconcile()
        pinned = pins(node)  # looked at first: the next round forgets blocks before it takes their pin away
        held = [block for block in made[0].blocks if store.holds(block.cid)]
        assert not held or made[0].cid in pinned
        settled(client)
        assert made[0].cid not in pins(node)
        assert store.missing([made[0].cid]) == [made[0].cid]


def test_publishers_beside_each_other_and_beside_kubos_collection(tmp_path: Path, node: Kubo) -> None:
    """Four publishers whose releases share most blocks, each dropping its last one at once, while Kubo collects without
    a pause and the follower lets go of pins: no block that a publisher was told of is ever gone (that would be a 409),
    and at the end every live release is whole."""
    common = {f"common/{number}.txt": b"%d" % number * 40 for number in range(30)}
    over = threading.Event()
    live: dict[str, Made] = {}
    faults: list[BaseException] = []

    def made(site: str, number: int) -> Made:
        names = random.Random(f"{site} {number}").sample(sorted(common), 15)
        return make({**{name: common[name] for name in names}, f"own/{number}.txt": f"{site} {number}".encode()})

    with kubo_origin(tmp_path / "state", node) as client:

        def publish(site: str) -> None:
            client.ok("PUT", f"/api/v1/sites/{site}", {"settings": {"retention": {"last": 1, "days": 0}}})
            expected = None
            for number in range(8):
                release = made(site, number)
                client.publish(site, release, expected)
                live[site], expected = release, release.cid

        def collect() -> None:
            while not over.is_set():
                assert Client(node.api).ask("POST", "/api/v0/repo/gc?quiet=true").status == 200

        def guarded(action: Callable[[], None]) -> None:
            try:
                action()
            except BaseException as fault:
                faults.append(fault)

        publishers = [threading.Thread(target=guarded, args=(partial(publish, f"site-{n}"),)) for n in range(4)]
        collector = threading.Thread(target=guarded, args=(collect,))
        for thread in (collector, *publishers):
            thread.start()
        for thread in publishers:
            thread.join()
        over.set()
        collector.join()
        assert not faults, faults
        settled(client)
        node.run("repo", "gc")
        assert len(live) == 4
        for release in live.values():
            assert whole_in_kubo(node, release)
        assert sorted(name for name in pins(node).values() if name) == [f"rim/site-{n}" for n in range(4)]
        kept = {cid.multihash for release in live.values() for cid in release.store}
        dropped = {cid.multihash for cid in made("site-0", 0).store} - kept
        assert dropped
        assert not dropped & have(node)


def version(number: int) -> Made:
    """A release with a service worker, a page that is precached, and a script that a browser may have as dictionary."""
    name = f"app-3f9a1c0{number}.js"
    rules = Rules(
        precache={"paths": ["/index.html"], "bytes": 9}, worker={"check": 60, "gateways": [], "complete": True}
    )
    return make({name: b"%d" % number * 999, "index.html": b"page %d" % number}, immutable=[name], rules=rules)


def for_browsers(client: Client) -> tuple[dict[str, bool], str]:
    """What a delta may begin from, each file's bytes had from the store (path → whether live has it); and the release
    that the site's word is for, which verifies."""
    store, site = parts(client).store, parts(client).catalog.world.sites["demo"]
    found = {base.path: base for base in drive(bases.rows(site.bases), store.get)}
    for path, base in found.items():
        assert store.get(base.asset.cid).data == path.removeprefix("/app-3f9a1c0")[:1].encode() * 999
    (word,) = site.signed
    listed, core = drive(manifest.made("demo", word, Release.from_block(store.get(word.release))), store.get)
    manifest.verify(site.ipns, core, word.signature)
    assert [entry.path for entry in listed] == ["/index.html"]
    return {path: base.generation is None for path, base in found.items()}, str(word.release)


def test_bases_and_signed_words_of_a_site_in_kubo(tmp_path: Path, node: Kubo) -> None:
    """They are of the origin's own state, their files are Kubo's: after its collection and ours, a rollback, retention,
    a restart and a purge, all of them are to be had, and none is that no release has."""
    made = [version(number) for number in range(4)]
    paths = [f"/app-3f9a1c0{number}.js" for number in range(4)]

    def seen(client: Client) -> tuple[dict[str, bool], str]:
        settled(client)
        client.ok("POST", "/api/v1/gc")
        node.run("repo", "gc")
        return for_browsers(client)

    with kubo_origin(tmp_path / "state", node) as client:
        client.ok("PUT", "/api/v1/sites/demo", {"settings": {"retention": {"last": 3, "days": 0}}})
        for before, one in zip([None, *made], made, strict=False):
            client.publish("demo", one, before.cid if before else None)
        after = {paths[1]: False, paths[2]: False, paths[3]: True}
        assert seen(client) == (after, str(made[3].cid))
        assert not [
            block for block in made[0].blocks if parts(client).store.holds(block.cid) and block.cid.codec != RAW
        ]
        client.ok("POST", "/api/v1/sites/demo/rollback", {})
        back = {paths[1]: False, paths[2]: True, paths[3]: False}
        assert seen(client) == (back, str(made[2].cid))
    said: list[str] = []
    assert fsck(tmp_path / "state", said.append) == 0, said
    with kubo_origin(tmp_path / "state", node) as client:
        assert for_browsers(client) == (back, str(made[2].cid))
        client.ok("POST", "/api/v1/sites/demo/purge", {"paths": [paths[1]]})
        assert seen(client) == ({paths[2]: True, paths[3]: False}, str(made[2].cid))
