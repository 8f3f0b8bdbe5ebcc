"""From a name to the path it means: chains, loops, the operator's own words, and a whole edge that is told them."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from edge.names.dnslink import DNSLinks, Texts
from edge.names.faults import NameFault, NameLoop, NameNotFound, NameTrouble
from edge.names.limits import HOPS, RECHECK
from edge.names.links import read_links
from edge.names.names import Named, Names
from edge.names.records import Records, Source, SourceTrouble
from edge.names.seeds import read_seeds
from edge.peers.ring import Member
from tests.edge.names.play import HOUR, Asked, Key, path, run
from tests.edge.sites import World
from tests.edge.wire import edge
from tests.kit.router import router

HOME = path("home")


async def names(links: str = "", folder: Path | None = None) -> Names:
    made = Names(DNSLinks(links), Records(folder))
    await made.reload()
    return made


def test_a_chain_of_names_keeps_what_is_left_of_each_path(tmp_path: Path) -> None:
    """DNSLink gateway spec, "resolving an advanced DNSLink chain": domain → domain → key → CID."""

    async def play() -> None:
        key = Key()
        (tmp_path / f"{key.name}.ipns-record").write_bytes(key.sign(f"{HOME}/d", ttl=30))
        found = await names(f"a.example=/ipns/b.example/path-b,b.example=/ipns/{key.name}/path-c", tmp_path)
        assert await found.resolve("A.example.") == Named(f"{HOME}/d/path-c/path-b", 30, stale=False)
        assert await found.resolve("b.example") == Named(f"{HOME}/d/path-c", 30, stale=False)
        assert (await found.record(key.name)) == (tmp_path / f"{key.name}.ipns-record").read_bytes()

    run(play)


def test_the_operators_word_has_no_age() -> None:
    """It holds until it is changed; nobody has said for how long."""

    async def play() -> None:
        found = await names(f"a.example={HOME}/x")
        assert await found.resolve("a.example") == Named(f"{HOME}/x", None, stale=False)

    run(play)


def test_the_age_of_a_record_is_within_its_ttl_and_its_end(tmp_path: Path) -> None:
    """And with several records in a row the shortest counts."""

    async def play() -> None:
        last, first = Key(), Key()
        (tmp_path / f"{last.name}.ipns-record").write_bytes(last.sign(HOME, ttl=HOUR, left=50))
        (tmp_path / f"{first.name}_any.ipns-record").write_bytes(first.sign(f"/ipns/{last.name}", ttl=HOUR))
        found = await (await names(folder=tmp_path)).resolve(first.name)
        assert found.max_age is not None
        assert 45 < found.max_age <= 50

    run(play)


LOOPS = {
    "itself": "a.example=/ipns/a.example",
    "itself, spelt otherwise": "a.example=/ipns/A.EXAMPLE/x",
    "a ring": "a.example=/ipns/b.example,b.example=/ipns/a.example",
}


@pytest.mark.parametrize("links", LOOPS.values(), ids=LOOPS.keys())
def test_a_loop_is_refused(links: str) -> None:
    """At once, not after 32 turns."""

    async def play() -> None:
        with pytest.raises(NameLoop, match="back to itself"):
            await (await names(links)).resolve("a.example")

    run(play)


def test_32_names_in_a_row_are_followed_and_33_are_not() -> None:
    """DNSLink gateway spec: a hard limit, e.g. 32."""

    async def play() -> None:
        rows = [f"n{n}.example=/ipns/n{n + 1}.example" for n in range(HOPS)]
        found = await names(",".join([*rows[1:], f"n{HOPS}.example={HOME}"]))
        assert (await found.resolve("n1.example")).path == HOME
        found = await names(",".join([*rows, f"n{HOPS}.example={HOME}"]))
        with pytest.raises(NameLoop, match="more than 32 names"):
            await found.resolve("n0.example")

    run(play)


def test_a_chain_of_slow_names_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """15 s for all of it (here 0.1): the visitor is told to come again, and the lookup goes on for him."""
    monkeypatch.setattr("edge.names.names.RESOLVE", 0.1)

    async def play() -> None:
        dns = Asked(Texts((f"dnslink={HOME}".encode(),), 60), gate=asyncio.Event())
        found = Names(DNSLinks("", dns), Records())
        with pytest.raises(NameTrouble, match="no end within"):
            await found.resolve("a.example")
        assert dns.gate is not None
        dns.gate.set()
        assert (await found.resolve("a.example")).path == HOME
        assert dns.times == 1

    run(play)


@pytest.mark.parametrize("name", ["nowhere.example", "nodots", "", Key().name, "a b.example"])
def test_a_name_that_is_not_there(name: str) -> None:
    """Nobody is asked here, so nobody knows it."""

    async def play() -> None:
        found = await names()
        with pytest.raises(NameNotFound):
            await found.resolve(name)
        with pytest.raises(NameNotFound):
            await found.record(name)

    run(play)


def test_of_a_folder_only_what_verifies_counts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Named wrongly, another key's, cut, ended, too long: said in the log, and passed over. Of two the best counts."""

    async def play() -> None:
        key, other = Key(), Key()
        good = key.sign(path("2"), sequence=2)
        ended = Key()
        files = {
            f"{key.name}_old": key.sign(path("1"), sequence=1),
            f"{key.name}_new": good,
            f"{key.name}_late": key.sign(path("3"), sequence=3, left=-1),
            other.name: good,
            Key().name: b"x" * 11_000,
            ended.name: ended.sign(HOME, left=-1),
            "nobody": good,
        }
        for name, raw in files.items():
            (tmp_path / f"{name}.ipns-record").write_bytes(raw)
        (tmp_path / "README").write_text("not a record")
        found = await names(folder=tmp_path)
        assert (await found.resolve(key.name)).path == path("2")
        for name in (other.name, ended.name):
            with pytest.raises(NameFault):
                await found.resolve(name)
        assert sum(".ipns-record" in message for message in caplog.messages) == 5

    run(play)


def test_an_edge_reads_its_names_at_start_and_at_sighup(tmp_path: Path) -> None:
    """The map's file and the folder; a file that became unreadable changes nothing."""

    async def play() -> None:
        key, links, folder = Key(), tmp_path / "links", tmp_path / "records"
        folder.mkdir()
        links.write_text(f"a.example={HOME}\n")
        (folder / f"{key.name}.ipns-record").write_bytes(key.sign(path("1"), sequence=1))
        given = {"dnslinks": str(links), "ipns_records": folder, "resolvers": ("off",)}
        async with edge(tmp_path, World(), **given) as (node, _):
            assert (await node.names.resolve("a.example")).path == HOME
            assert (await node.names.resolve(key.name)).path == path("1")
            (folder / f"{key.name}.ipns-record").write_bytes(key.sign(path("2"), sequence=2))
            links.write_text(f"b.example=/ipns/{key.name}\n")
            await node.names.reload()
            assert (await node.names.resolve("b.example")).path == path("2")
            links.write_text("nonsense\n")
            await node.names.reload()
            assert (await node.names.resolve("b.example")).path == path("2")

    run(play)


def test_a_lower_sequence_in_the_folder_is_not_taken_even_after_a_restart(tmp_path: Path) -> None:
    """The edge's own folder remembers the best record of every name it has followed."""

    async def play() -> None:
        key, folder = Key(), tmp_path / "records"
        folder.mkdir()
        file = folder / f"{key.name}.ipns-record"
        file.write_bytes(key.sign(path("2"), sequence=2))
        given = {"ipns_records": folder, "resolvers": ("off",)}
        async with edge(tmp_path, world := World(), **given) as (node, _):
            assert (await node.names.resolve(key.name)).path == path("2")
        file.write_bytes(key.sign(path("1"), sequence=1))
        async with edge(tmp_path, world, **given) as (node, _):
            assert (await node.names.resolve(key.name)).path == path("2")
            assert node.names.records.refused == {"older": 1}

    run(play)


def test_sighup_reaches_a_whole_edge(tmp_path: Path) -> None:
    """As a signal: the node reads its names again beside what it does."""

    async def play() -> None:
        links = tmp_path / "links"
        links.write_text(f"a.example={HOME}\n")
        async with edge(tmp_path, World(), dnslinks=str(links), resolvers=("off",)) as (node, _):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, node.reload)
            links.write_text(f"b.example={HOME}\n")
            os.kill(os.getpid(), signal.SIGHUP)
            while True:
                try:
                    assert (await node.names.resolve("b.example")).path == HOME
                    break
                except NameNotFound:
                    await asyncio.sleep(0.01)

    run(play)


def test_a_peer_gives_what_it_holds_and_asks_nobody(tmp_path: Path) -> None:
    """Over its private listener, to who bears the node token where that is asked for; what it does not hold is 504."""

    async def play() -> None:
        key, unknown = Key(), Key()
        with router() as told:
            told.records[key.name] = key.sign(HOME)
            async with edge(tmp_path / "a", world := World(), routers=(told.url,), resolvers=("off",)) as (first, _):
                await first.names.resolve(key.name)
                peers = (Member("edge-2", "http://127.0.0.1:1"), Member("edge-1", first.private_url))
                given = {"name": "edge-2", "peers": peers, "resolvers": ("off",)}
                async with edge(tmp_path / "b", world, **given) as (second, _):
                    assert (await second.names.resolve(key.name)).path == HOME
                    assert second.names.records.counts == {("peer", "found"): 1}
                    with pytest.raises(NameNotFound):
                        await second.names.resolve(unknown.name)
                    assert second.names.records.counts["peer", "absent"] == 1
                    assert first.names.records.counts == {("router", "found"): 1}

    run(play)


def test_a_site_whose_record_cannot_be_had_is_what_the_head_says() -> None:
    """The record follows the Catalog, and the Catalog is here: the last resort, marked stale."""

    async def play() -> None:
        async def gone(name: str) -> bytes | None:
            raise SourceTrouble("gone")

        own, other = Key(), Key()
        records = Records(None, None, lambda name: (Source("origin", gone),))
        found = Names(DNSLinks(), records, {own.name: HOME}.get)
        assert await found.resolve(own.name) == Named(HOME, RECHECK, stale=True)
        for name in (own.name, other.name):
            with pytest.raises(NameTrouble):
                await found.record(name)
        with pytest.raises(NameTrouble):
            await found.resolve(other.name)

    run(play)


def test_what_the_operator_may_set_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """10,000 domains and as many records (here 3): at the value all are read; one more domain is refused, one more
    record is passed over and said."""
    monkeypatch.setattr("edge.names.links.LINKS", 3)
    monkeypatch.setattr("edge.names.seeds.SEEDS", 3)
    rows = [f"n{n}.example={HOME}" for n in range(4)]
    assert len(read_links(",".join(rows[:3]))) == 3
    with pytest.raises(ValueError, match="at most 3 are read"):
        read_links(",".join(rows))
    for count, said in ((3, False), (4, True)):
        key = Key()
        (tmp_path / f"{key.name}.ipns-record").write_bytes(key.sign(HOME))
        while len(list(tmp_path.iterdir())) < count:
            key = Key()
            (tmp_path / f"{key.name}.ipns-record").write_bytes(key.sign(HOME))
        assert len(read_seeds(tmp_path, time.time())) == 3
        assert ("the first 3 are read" in caplog.text) == said
