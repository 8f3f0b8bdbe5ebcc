"""Publishing to an origin over real sockets: what comes in, what is refused, what stays."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from content import car, ipns, tree, walk
from content.asking import drive
from content.block import Block
from content.catalog import Catalog, Site
from content.cbor import link
from content.cid import CID, DAG_PB, RAW
from content.limits import BLOCK_ACCEPTED, MiB
from content.release import Asset
from tests.kit.nodes import until
from tests.origin.play import CAR, Client, Made, make, origin, parts, site_files


def test_a_publish_is_two_commits_and_everything_can_be_read_back(tmp_path: Path) -> None:
    """missing → blocks → stage → activate; then the Head leads to every byte."""
    files = {**site_files("one"), "big.bin": random.Random(1).randbytes(3 * MiB + 5), "empty.txt": b"", ".hidden": b"h"}
    made = make(files, links={"link": "p0/f0.txt"}, dirs=["nothing/here"], encoded={"p0/f0.txt": b"br"})
    with origin(tmp_path / "state") as client:
        lease, missing = client.missing("demo", made.blocks)
        assert missing == made.blocks
        assert client.send(lease, missing)["blocks"] == len(made.blocks)
        assert client.missing("demo", made.blocks, lease) == (lease, [])
        staged = client.stage("demo", made, None, lease)
        assert staged.status == 200
        assert staged.json["generation"] == 1
        shown = client.ok("GET", "/api/v1/sites/demo")
        assert shown["live"] is None
        assert shown["next"]["release"] == str(made.cid)
        active = client.activate("demo", made, None)
        assert active.json["sequence"] > staged.json["sequence"]
        shown = client.ok("GET", "/api/v1/sites/demo")
        assert shown["next"] is None
        assert shown["live"]["root"] == str(made.release.root)
        assert shown["live"]["size"] == sum(map(len, files.values()))
        assert _files_behind_the_head(client) == files


def _files_behind_the_head(client: Client) -> dict[str, bytes]:
    """Follow the Head as an edge would: record, Catalog, Site, Release, Index, files."""
    catalog_name = client.ok("GET", "/api/v1/status")["catalog"]
    record = ipns.verify(catalog_name, client.get(f"/ipns/{catalog_name}?format=ipns-record").body)

    def get(cid: CID) -> Block:
        answer = client.get(f"/ipfs/{cid}?format=raw")
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/vnd.ipld.raw"
        return Block(cid, answer.body)

    catalog = Catalog.from_block(get(CID.parse(record.value.removeprefix("/ipfs/"))))
    assert catalog.sequence == record.sequence
    site = Site.from_block(get(link(drive(tree.get(catalog.sites, "demo"), get))))
    assert site.live is not None
    from content.release import Release

    release = Release.from_block(get(site.live.release))
    found = {}
    for path, row in drive(tree.rows(release.index), get):
        asset = Asset.from_row(row)
        if asset.link_target is None:
            found[path[1:]] = drive(walk.read_file(asset.cid), get)
    return found


def test_the_second_publish_sends_only_what_is_new(tmp_path: Path) -> None:
    """One changed file: its block, its folder, the Root, one branch of the Index, the Release."""
    files = {f"d{n % 20}/f{n}.txt": b"%d" % n * 100 for n in range(2000)}
    first = make(files)
    second = make({**files, "d3/f3.txt": b"changed"})
    with origin(tmp_path / "state") as client:
        client.publish("demo", first)
        _, missing = client.missing("demo", second.blocks)
        assert len(missing) <= 8
        client.publish("demo", second, first.cid)
        assert client.live("demo") == str(second.cid)


def test_an_upload_goes_on_where_it_was_cut(tmp_path: Path) -> None:
    """A CAR cut anywhere keeps the blocks that were whole; the next question names the rest."""
    made = make(site_files("cut", 20))
    with origin(tmp_path / "state") as client:
        lease, missing = client.missing("demo", made.blocks)
        whole = car.write((), missing)
        answer = client.ask("POST", f"/api/v1/leases/{lease}/blocks", whole[: len(whole) * 2 // 3], CAR)
        assert (answer.status, answer.error) == (422, "bad_car")
        _, rest = client.missing("demo", made.blocks, lease)
        assert 0 < len(rest) < len(missing)
        client.send(lease, rest)
        assert client.stage("demo", made, None, lease).status == 200


def test_a_block_with_a_wrong_hash_is_named_and_what_came_before_stays(tmp_path: Path) -> None:
    """422 bad_block with the CID."""
    made = make(site_files("bad", 5))
    bad = made.blocks[3]
    sections = [car.section(b.cid, b.data if b is not bad else b.data + b"!") for b in made.blocks]
    with origin(tmp_path / "state") as client:
        lease, _ = client.missing("demo", made.blocks)
        answer = client.ask("POST", f"/api/v1/leases/{lease}/blocks", car.header([]) + b"".join(sections), CAR)
        assert (answer.status, answer.error, answer.json["cid"]) == (422, "bad_block", str(bad.cid))
        assert client.missing("demo", made.blocks, lease)[1] == made.blocks[3:]


def test_a_block_over_2_mib_is_refused(tmp_path: Path) -> None:
    """At the limit it is taken, one byte more it is not."""
    fits, over = b"x" * BLOCK_ACCEPTED, b"x" * (BLOCK_ACCEPTED + 1)
    with origin(tmp_path / "state") as client:
        cids = CID.of(RAW, fits) + CID.of(RAW, over)
        lease = client.ok("POST", "/api/v1/sites/demo/missing", cids)["lease"]
        assert client.send(lease, [Block.make(RAW, fits)])["blocks"] == 1
        body = car.header([]) + car.section(CID.of(RAW, over), over)
        answer = client.ask("POST", f"/api/v1/leases/{lease}/blocks", body, CAR)
        assert (answer.status, answer.error) == (422, "limit_exceeded")


@pytest.mark.parametrize("body", [b"", b"\x00", b"hello, this is no CAR", b"\xff" * 40, car.header([])[:-3]])
def test_what_is_no_car_is_refused(tmp_path: Path, body: bytes) -> None:
    """Any other bytes: 422 bad_car (or its limits), and the origin lives."""
    with origin(tmp_path / "state") as client:
        lease, _ = client.missing("demo", make({}).blocks)
        answer = client.ask("POST", f"/api/v1/leases/{lease}/blocks", body, CAR)
        assert answer.status == 422
        assert answer.error in ("bad_car", "limit_exceeded")
        assert client.get("/healthz").status == 200


def test_a_block_that_was_not_announced_is_refused(tmp_path: Path) -> None:
    """A lease is for its blocks."""
    with origin(tmp_path / "state") as client:
        lease, _ = client.missing("demo", [])
        answer = client.ask("POST", f"/api/v1/leases/{lease}/blocks", car.write((), [Block.make(RAW, b"?")]), CAR)
        assert (answer.status, answer.error) == (422, "not_announced")


def test_an_incomplete_release_is_refused_with_what_is_lacking(tmp_path: Path) -> None:
    """Level by level: what stands below a lacking node cannot be known."""
    made = make({**site_files("inc"), "big.bin": random.Random(3).randbytes(2 * MiB)}, encoded={"p0/f0.txt": b"coded"})
    with origin(tmp_path / "state") as client:
        lease, _ = client.missing("demo", made.blocks)
        sent: set[CID] = set()
        for _ in range(20):
            answer = client.stage("demo", made, None, lease)
            if answer.status == 200:
                break
            assert (answer.status, answer.error) == (409, "incomplete")
            lacking = {CID.parse(cid) for cid in answer.json["missing"]}
            assert lacking
            assert not lacking & sent
            client.send(lease, [made.store[cid] for cid in lacking])
            sent |= lacking
        assert sent == set(made.store)
        assert client.ok("GET", "/api/v1/sites/demo")["next"]["release"] == str(made.cid)


def _mixed(root_of: Made, index_of: Made, **fields: object) -> Made:
    """A release with one's Root and the other's Index."""
    from dataclasses import replace

    release = replace(index_of.release, root=root_of.release.root, **fields)  # type: ignore[arg-type]
    block = release.to_block()
    return Made(release, block.cid, {**root_of.store, **index_of.store, block.cid: block})


BASE = {"a.txt": b"a", "d/b.txt": b"b", "d/e/c.txt": b"c"}
LIES = {
    "a file more in the Root": ({**BASE, "d/more.txt": b"m"}, BASE, "/d/more.txt"),
    "a file more in the Index": (BASE, {**BASE, "d/more.txt": b"m"}, "/d/more.txt"),
    "other bytes": ({**BASE, "d/e/c.txt": b"C"}, BASE, "/d/e/c.txt"),
    "another folder": ({"a.txt": b"a"}, BASE, "/d/b.txt"),
}


@pytest.mark.parametrize("before", [False, True], ids=["first release", "against a live one"])
@pytest.mark.parametrize("lie", LIES)
def test_a_root_that_is_not_the_tree_of_its_index_is_refused(tmp_path: Path, lie: str, before: bool) -> None:
    """422 root_mismatch naming the first path, also when only the differences from live are looked at."""
    root_files, index_files, path = LIES[lie]
    first = make({**BASE, "other.txt": b"o"})
    liar = _mixed(make(root_files), make(index_files))
    with origin(tmp_path / "state") as client:
        expected = None
        if before:
            client.publish("demo", first)
            expected = first.cid
        lease, missing = client.missing("demo", liar.blocks)
        client.send(lease, missing)
        answer = client.stage("demo", liar, expected, lease)
        assert (answer.status, answer.error, answer.json["path"]) == (422, "root_mismatch", path)


def test_a_symlink_and_a_file_are_not_the_same(tmp_path: Path) -> None:
    """Same path, another kind."""
    liar = _mixed(make({"x": b"y"}, links={"l": "x"}), make({"x": b"y", "l": b"x"}))
    with origin(tmp_path / "state") as client:
        lease, missing = client.missing("demo", liar.blocks)
        client.send(lease, missing)
        assert client.stage("demo", liar, None, lease).error == "root_mismatch"


def test_empty_folders_and_a_file_that_becomes_a_folder_are_fine(tmp_path: Path) -> None:
    """Rows have no folders, so a Root may have empty ones; and kinds may change between releases."""
    steps = [
        make({"a/b": b"1"}, dirs=["empty/er"]),
        make({"a": b"1"}, dirs=["empty"]),
        make({"a/b/c": b"1", "a/d": b"2"}),
        make({}, dirs=["a"]),
        make({}),
    ]
    with origin(tmp_path / "state") as client:
        before: CID | None = None
        for made in steps:
            client.publish("demo", made, before)
            before = made.cid
        assert client.live("demo") == str(steps[-1].cid)


def test_a_folder_large_enough_for_a_hamt_is_compared_too(tmp_path: Path) -> None:
    """Thousands of long names in one folder, one changed, one lied about."""
    files = {f"many/{'n' * 60}-{number}.txt": b"%d" % number for number in range(4000)}
    name = f"many/{'n' * 60}-7.txt"
    first, second = make(files), make({**files, name: b"seven"})
    with origin(tmp_path / "state") as client:
        client.publish("demo", first)
        client.publish("demo", second, first.cid)
        liar = _mixed(make({**files, name: b"eight"}), second)
        lease, missing = client.missing("demo", liar.blocks)
        client.send(lease, missing)
        assert client.stage("demo", liar, second.cid, lease).json["path"] == "/" + name


@pytest.mark.parametrize(
    ("fields", "error"), [({"size": 3}, "bad_release"), ({"root": CID.of(RAW, b"a")}, "bad_release")]
)
def test_a_release_that_lies_about_itself_is_refused(tmp_path: Path, fields: dict[str, Any], error: str) -> None:
    """Its size is the sum of its rows, and its Root is a folder."""
    made = make({"a.txt": b"a"}, **fields)
    with origin(tmp_path / "state") as client:
        lease, missing = client.missing("demo", made.blocks)
        client.send(lease, missing)
        answer = client.stage("demo", made, None, lease)
        assert (answer.status, answer.error) == (422, error)


def test_rows_are_held_to_their_bytes(tmp_path: Path) -> None:
    """Size of the file, size of an encoding, media types that could split a header."""
    made = make({"a.txt": b"aaa"}, encoded={"a.txt": b"e"})
    good = Asset.from_row(dict(drive(tree.rows(made.release.index), lambda cid: made.store[cid]))["/a.txt"])
    from dataclasses import replace

    from content.release import Encoding, Release

    bad = [
        replace(good, size=4),
        replace(good, media_type="text/plain\r\nSet-Cookie: a=b"),
        replace(good, encodings={"br": Encoding(good.cid, 1)}),
        replace(good, encodings={"rot13": Encoding(good.cid, 3)}),
    ]
    with origin(tmp_path / "state") as client:
        for asset in bad:
            blocks = dict(made.store)
            index = tree.build([("/a.txt", asset.to_row())], lambda block: blocks.update({block.cid: block}))  # noqa: B023
            block = Release(made.release.root, index, files=1, size=asset.size).to_block()
            liar = Made(made.release, block.cid, {**blocks, block.cid: block})
            lease, missing = client.missing("demo", liar.blocks)
            client.send(lease, missing)
            answer = client.stage("demo", liar, None, lease)
            assert (answer.status, answer.error) == (422, "bad_row"), asset


def test_immutable_paths_keep_their_bytes(tmp_path: Path) -> None:
    """In live and in the attic; --force does it all the same."""
    name = "app-3f8a9c1d.js"
    first = make({name: b"1", "index.html": b"i"}, immutable=[name])
    without = make({"index.html": b"j"})
    changed = make({name: b"2", "index.html": b"i"}, immutable=[name])
    same = make({name: b"1", "index.html": b"k"}, immutable=[name])
    with origin(tmp_path / "state") as client:
        client.publish("demo", first)
        lease, missing = client.missing("demo", changed.blocks)
        client.send(lease, missing)
        answer = client.stage("demo", changed, first.cid, lease)
        assert (answer.status, answer.error, answer.json["paths"]) == (409, "immutable_changed", ["/" + name])
        client.publish("demo", without, first.cid)
        assert client.stage("demo", changed, without.cid, lease).error == "immutable_changed"
        client.publish("demo", same, without.cid)
        client.publish("demo", changed, same.cid, force=True)


def test_the_first_of_two_publishers_wins(tmp_path: Path) -> None:
    """Compare-and-swap on the live release: the loser is told, nothing is mixed."""
    base, ours, theirs = make({"a": b"0"}), make({"a": b"1"}), make({"a": b"2"})
    with origin(tmp_path / "state") as client:
        client.publish("demo", base)
        for made in (ours, theirs):
            lease, missing = client.missing("demo", made.blocks)
            client.send(lease, missing)
        assert client.stage("demo", ours, base.cid).status == 200
        assert client.stage("demo", theirs, base.cid).status == 200  # whoever died after commit 1 must not block others
        lost = client.activate("demo", ours, base.cid)
        assert (lost.status, lost.error) == (409, "lost_race")
        assert client.activate("demo", theirs, base.cid).status == 200
        assert client.stage("demo", ours, base.cid).error == "lost_race"
        assert client.live("demo") == str(theirs.cid)


def test_a_commit_may_be_repeated_when_its_answer_was_lost(tmp_path: Path) -> None:
    """The same stage and the same activate again: the same sequence, no new commit."""
    made = make({"a": b"0"})
    with origin(tmp_path / "state") as client:
        lease, missing = client.missing("demo", made.blocks)
        client.send(lease, missing)
        staged = [client.stage("demo", made, None, lease).json["sequence"] for _ in range(2)]
        active = [client.activate("demo", made, None).json["sequence"] for _ in range(2)]
        assert staged[0] == staged[1] < active[0] == active[1]


def test_a_host_belongs_to_one_site(tmp_path: Path) -> None:
    """409 host_taken names the owner; given up, it is free."""
    with origin(tmp_path / "state") as client:
        assert client.ask("PUT", "/api/v1/sites/a", {"hosts": ["a.test", "b.test"]}).status == 201
        taken = client.ask("PUT", "/api/v1/sites/b", {"hosts": ["c.test", "b.test"]})
        assert (taken.status, taken.error, taken.json["site"]) == (409, "host_taken", "a")
        assert client.get("/api/v1/sites/b").status == 404
        assert client.ok("PATCH", "/api/v1/sites/a", {"hosts": ["a.test"]})["hosts"] == ["a.test"]
        assert client.ask("PUT", "/api/v1/sites/b", {"hosts": ["b.test"]}).status == 201
        client.ok("DELETE", "/api/v1/sites/a")
        assert client.ok("PATCH", "/api/v1/sites/b", {"hosts": ["a.test"]})["hosts"] == ["a.test"]
        assert dict(parts(client).catalog.world.hosts) == {"a.test": "b"}


def test_settings_change_key_by_key(tmp_path: Path) -> None:
    """PUT replaces, PATCH merges, null takes away."""
    with origin(tmp_path / "state") as client:
        client.ok("PUT", "/api/v1/sites/a", {"settings": {"spa": True, "x": 1}})
        assert client.ok("PATCH", "/api/v1/sites/a", {"settings": {"x": None, "y": 2}})["settings"] == {
            "spa": True,
            "y": 2,
        }
        assert client.ok("PATCH", "/api/v1/sites/a", {"hosts": []})["settings"] == {"spa": True, "y": 2}
        assert client.ok("PUT", "/api/v1/sites/a", {})["settings"] == {}


@pytest.mark.parametrize("name", ["Demo", "-a", "a--b", "ipfs", "a.b", "%2e%2e", "a" * 64, "%F0%9F%98%80"])
def test_names_that_are_no_dns_label_are_refused(tmp_path: Path, name: str) -> None:
    """For sites and for hosts."""
    with origin(tmp_path / "state") as client:
        assert client.ask("PUT", f"/api/v1/sites/{name}", {}).status in (400, 404)
        assert client.ask("POST", f"/api/v1/sites/{name}/missing", b"").status in (400, 404)
        assert client.ask("PUT", "/api/v1/sites/ok", {"hosts": ["http://x"]}).status == 400


def test_rollback_goes_back_step_by_step_or_to_a_named_release(tmp_path: Path) -> None:
    """null: the one before; a prefix names any retained one; the order stays."""
    made = [make({"a": b"%d" % number}) for number in range(3)]
    with origin(tmp_path / "state") as client:
        for before, release in zip([None, *made], made, strict=False):
            client.publish("demo", release, before.cid if before else None)
        back = "/api/v1/sites/demo/rollback"
        assert client.ok("POST", back, {})["release"] == str(made[1].cid)
        assert client.ok("POST", back, {"release": None})["release"] == str(made[0].cid)
        assert client.ask("POST", back, {}).error == "no_previous"
        assert client.ok("POST", back, {"release": str(made[2].cid)[:20]})["release"] == str(made[2].cid)
        assert client.ask("POST", back, {"release": "bafyreiaaaaaa"}).status == 404
        listed = client.ok("GET", "/api/v1/sites/demo/releases")["releases"]
        assert [row["release"] for row in listed] == [str(release.cid) for release in reversed(made)]
        assert [row["live"] for row in listed] == [True, False, False]


def test_the_attic_keeps_immutable_paths_that_live_lacks(tmp_path: Path) -> None:
    """Through publishes, a rollback and a purge."""

    def attic(client: Client) -> list[str]:
        origin_ = parts(client)
        site = origin_.catalog.world.sites["demo"]
        return [] if site.attic is None else [path for path, _ in drive(tree.rows(site.attic), origin_.store.get)]

    def version(number: int) -> Made:
        names = [f"app-{number}.js", f"lib-{number // 2}.js"]
        return make({**{name: name.encode() for name in names}, "index.html": b"%d" % number}, immutable=names)

    made = [version(number) for number in range(4)]
    with origin(tmp_path / "state") as client:
        client.publish("demo", made[0])
        assert attic(client) == []
        client.publish("demo", made[1], made[0].cid)
        assert attic(client) == ["/app-0.js"]
        client.publish("demo", made[2], made[1].cid)
        client.publish("demo", made[3], made[2].cid)
        assert attic(client) == ["/app-0.js", "/app-1.js", "/app-2.js", "/lib-0.js"]
        client.ok("POST", "/api/v1/sites/demo/rollback", {})
        assert attic(client) == ["/app-0.js", "/app-1.js", "/app-3.js", "/lib-0.js"]
        client.ok("POST", "/api/v1/sites/demo/purge", {"paths": ["/app-1.js"], "prefixes": ["/lib"]})
        assert attic(client) == ["/app-0.js", "/app-3.js"]
        client.ok("POST", "/api/v1/sites/demo/rollback", {"release": str(made[3].cid)})
        assert attic(client) == ["/app-0.js", "/app-2.js"]
        client.ok("POST", "/api/v1/sites/demo/purge", {"all": True})
        assert attic(client) == []


def test_the_attic_of_a_rollback_is_planned(tmp_path: Path) -> None:
    """Where nothing came in between, a rollback to the release before or back takes what was worked out while nobody
    waited; and it is what would be worked out now."""
    made = [make({f"app-{n}.js": b"x", "index.html": b"%d" % n}, immutable=[f"app-{n}.js"]) for n in range(3)]
    back = "/api/v1/sites/demo/rollback"
    with origin(tmp_path / "state") as client:
        for before, release in zip([None, *made], made, strict=False):
            client.publish("demo", release, before.cid if before else None)
        origin_ = parts(client)
        plans, world = origin_.catalog.plans, origin_.catalog
        for target, left in ((made[1], "/app-1.js"), (made[2], "/app-2.js"), (made[1], "/app-1.js")):
            until("the plans are made", lambda: not origin_.staging.planning)
            used = plans.used
            client.ok("POST", back, {"release": str(target.cid)})
            assert plans.used == used + 1
            rows = [path for path, _ in drive(tree.rows(world.world.sites["demo"].attic), origin_.store.get)]
            assert rows == [f"/app-{n}.js" for n in range(3) if f"/app-{n}.js" != left]
        client.ok("POST", "/api/v1/sites/demo/purge", {"paths": ["/app-0.js"]})
        used = plans.used
        client.ok("POST", back, {"release": str(made[2].cid)})
        assert plans.used == used


def test_purges_leave_floors_that_fold(tmp_path: Path) -> None:
    """One floor per value at its newest generation; `all` takes the others in."""
    with origin(tmp_path / "state") as client:
        client.publish("demo", make({"a": b"1"}))
        purge = "/api/v1/sites/demo/purge"
        client.ok("POST", purge, {"paths": ["/a", "/b"], "tags": ["t"]})
        generation = client.ok("POST", purge, {"paths": ["/a"]})["generation"]
        site = parts(client).catalog.world.sites["demo"]
        assert site.floor_of("/a") == generation
        assert site.floor_of("/b") == generation - 1 == site.floor_of("/z", ("t",))
        assert site.floor_of("/c") == 0
        generation = client.ok("POST", purge, {"all": True})["generation"]
        site = parts(client).catalog.world.sites["demo"]
        assert len(site.floors) == 1
        assert site.floor_of("/c") == generation
        assert client.ask("POST", purge, {}).status == 400
        assert client.ask("POST", purge, {"paths": ["a"]}).status == 400


def test_export_is_the_live_root(tmp_path: Path) -> None:
    """As a CAR that any IPFS node imports: all blocks of the Root, no more."""
    made = make({**site_files("x"), "big.bin": random.Random(5).randbytes(2 * MiB)}, encoded={"p0/f0.txt": b"coded"})
    with origin(tmp_path / "state") as client:
        client.publish("demo", made)
        roots, blocks = car.read(client.ok("GET", "/api/v1/sites/demo/export"))
        assert roots == (made.release.root,)
        reached: list[CID] = []
        drive(walk.reachable(roots, reached.append), lambda cid: made.store[cid])
        assert [block.cid for block in blocks] == reached
        assert {cid.codec for cid in reached} == {RAW, DAG_PB}


def test_fifty_publishers_on_fifty_sites_at_once(tmp_path: Path) -> None:
    """50 successes, in fewer commits than changes."""
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    made = [make(site_files(f"site {number}")) for number in range(50)]
    barrier = Barrier(50)
    with origin(tmp_path / "state") as client, ThreadPoolExecutor(50) as pool:

        def publish(number: int) -> int:
            barrier.wait()
            return client.publish(f"site-{number}", made[number])

        sequences = list(pool.map(publish, range(50)))
        assert client.ok("GET", "/api/v1/status")["sequence"] == max(sequences)
        for number in range(50):
            assert client.live(f"site-{number}") == str(made[number].cid)
        catalog = parts(client).catalog
        assert catalog.changes == 100
        assert catalog.commits <= 100


def test_one_refused_change_does_not_harm_those_it_came_with(tmp_path: Path) -> None:
    """Within one group commit every change is its own."""
    with origin(tmp_path / "state") as client:
        import asyncio

        from origin import changes
        from origin.errors import Conflict

        origin_ = parts(client)

        async def together() -> list[object]:
            def put(name: str, host: str) -> Any:
                return origin_.catalog.submit(
                    lambda draft: draft.put(changes.configure(draft.site(name, or_new=True), [host], {}))
                )

            waits = [put("a", "a.test"), put("b", "a.test"), put("c", "c.test")]
            return list(await asyncio.gather(*waits, return_exceptions=True))

        results = asyncio.run_coroutine_threadsafe(together(), client.loop).result()  # type: ignore[attr-defined]
        assert isinstance(results[1], Conflict)
        assert sorted(origin_.catalog.world.sites) == ["a", "c"]
