"""IPNS records from real HTTP sources that tell the truth, lie, hang or are gone; and what is kept of them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from content import ipns
from content.limits import IPNS_RECORD
from edge.names import limits
from edge.names.asking import RECORD_TYPE, Asker
from edge.names.faults import NameNotFound, NameTrouble
from edge.names.record import Held
from edge.names.records import Records, Source, SourceTrouble
from edge.names.shelf import Shelf
from tests.edge.names.play import HOUR, Asked, Clock, Key, path, run

ONE, TWO, THREE = path("1"), path("2"), path("3")
Answer = bytes | int | Callable[[web.Request], Awaitable[web.StreamResponse]]


class Shop:
    """An HTTP server that has one answer, in both languages: bytes, a status, or a handler."""

    def __init__(self) -> None:
        self.answer: Answer = 404
        self.asked: Counter[str] = Counter()
        self.seen: list[web.Request] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked[request.path_qs] += 1
        self.seen.append(request)
        if isinstance(self.answer, bytes):
            return web.Response(body=self.answer, content_type=RECORD_TYPE)
        if isinstance(self.answer, int):
            return web.Response(status=self.answer)
        return await self.answer(request)


@asynccontextmanager
async def shops(count: int = 1) -> AsyncIterator[tuple[list[Shop], Asker]]:
    """So many servers, and who asks them."""
    made: list[Shop] = []
    runners: list[web.AppRunner] = []
    for _ in range(count):
        shop, app = Shop(), web.Application()
        app.router.add_get("/{rest:.*}", shop.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        shop.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        made.append(shop)
        runners.append(runner)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield made, Asker(lambda: session)
    for runner in runners:
        await runner.cleanup()


def records(*sources: Source, shelf: Path | None = None, clock: Clock | None = None, **more: object) -> Records:
    made = Records(None, None if shelf is None else Shelf(shelf), lambda name: sources, **more)  # type: ignore[arg-type]
    made.memo.clock = clock or made.memo.clock
    return made


def test_the_two_languages_on_the_wire() -> None:
    """A trustless gateway is asked with ?format=, a delegated router by its path; both with the record's type."""

    async def play() -> None:
        key = Key()
        async with shops(2) as ((gateway, router), asker):
            gateway.answer = router.answer = key.sign(ONE)
            proof = {"Authorization": "Bearer x"}
            found = await records(asker.gateway("origin", gateway.url + "/", proof), asker.router(router.url)).find(
                key.name
            )
            assert found.held.record.value == ONE
            assert 59 < found.max_age <= 60
            assert not found.stale
            assert gateway.asked == {f"/ipns/{key.name}?format=ipns-record": 1}
            assert router.asked == {f"/routing/v1/ipns/{key.name}": 1}
            for shop in (gateway, router):
                assert shop.seen[0].headers["Accept"] == RECORD_TYPE
                assert shop.seen[0].headers["Accept-Encoding"] == "identity"
            assert gateway.seen[0].headers["Authorization"] == "Bearer x"
            assert "Authorization" not in router.seen[0].headers

    run(play)


def test_of_many_the_highest_sequence_wins_then_the_later_end() -> None:
    """IPNS spec, "Record Verification": whoever answers first."""

    async def play() -> None:
        key = Key()
        async with shops(3) as (them, asker):
            for shop, raw in zip(them, (key.sign(ONE, 1), key.sign(THREE, 3), key.sign(TWO, 2)), strict=True):
                shop.answer = raw
            found = records(*(asker.router(shop.url) for shop in them), clock=(clock := Clock()))
            assert (await found.find(key.name)).held.record.value == THREE
            later = key.sign(THREE, 3, left=2 * HOUR)
            them[0].answer = later
            clock.now += 61
            assert (await found.find(key.name)).held.raw == later

    run(play)


def _huge(head: bytes = b"") -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with suppress(ConnectionError):  # the asker has heard enough
            while True:
                await response.write(head + bytes(64 * 1024))
        return response

    return answer


async def _hang(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(3600)
    raise AssertionError


async def _drip(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"x")
        await asyncio.sleep(0.05)


async def _away(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("http://127.0.0.1:1/elsewhere")


KEY, OTHER = Key(), Key()
GOOD = KEY.sign(ONE, 5)
# What a liar says: the answer, what is counted, and whether it leaves the name unknown (absent) or the source unheard
LIES: dict[str, tuple[Answer, str, str]] = {
    "another key's record": (OTHER.sign(ONE), "refused", "invalid"),
    "a page of HTML": (b"<html>parked</html>", "refused", "invalid"),
    "nothing": (b"", "refused", "invalid"),
    "a flipped bit": (GOOD[:-10] + bytes((GOOD[-10] ^ 1,)) + GOOD[-9:], "refused", "invalid"),
    "cut short": (GOOD[:-1], "refused", "invalid"),
    "one that has ended": (KEY.sign(ONE, left=-1), "refused", "expired"),
    "10 KiB and a byte": (bytes(IPNS_RECORD + 1), "refused", "oversized"),
    "without end": (_huge(), "refused", "oversized"),
    "a valid one, and more without end": (_huge(GOOD), "refused", "oversized"),
    "404": (404, "absent", ""),
    "410": (410, "absent", ""),
    "500": (500, "failed", ""),
    "429": (429, "failed", ""),
    "a redirect": (_away, "failed", ""),
    "silence": (_hang, "late", ""),
    "a byte now and then": (_drip, "late", ""),
}


@pytest.mark.parametrize(("answer", "result", "reason"), LIES.values(), ids=LIES.keys())
def test_a_source_that_lies_or_fails_is_bounded_and_counted(
    answer: Answer, result: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone it gives nothing; beside an honest one it costs a moment."""
    monkeypatch.setattr("edge.names.records.SOURCE_SECONDS", 0.5)

    async def play() -> None:
        async with shops(2) as ((liar, honest), asker):
            liar.answer, honest.answer = answer, GOOD
            alone = records(asker.router(liar.url))
            unheard = result in ("failed", "late")
            with pytest.raises(NameTrouble if unheard else NameNotFound):
                await alone.find(KEY.name)
            assert alone.counts == {("router", result): 1}
            assert alone.refused == ({reason: 1} if reason else {})
            both = records(asker.router(liar.url), asker.gateway("gateway", honest.url))
            found = await both.find(KEY.name)
            assert (found.held.raw, found.stale) == (GOOD, False)

    run(play)


def test_a_record_of_10_kib_is_read() -> None:
    """The limit itself: here by a field of ours, which verifiers carry along."""

    async def play() -> None:
        room = IPNS_RECORD - len(KEY.sign(ONE, filler=""))
        raw = KEY.sign(ONE, filler="x" * (room - 4))
        assert IPNS_RECORD - 4 <= len(raw) <= IPNS_RECORD
        async with shops() as ((shop,), asker):
            shop.answer = raw
            assert (await records(asker.router(shop.url)).find(KEY.name)).held.raw == raw

    run(play)


def test_a_slow_source_with_the_better_record_gets_a_moment_and_no_more() -> None:
    """0.3 s after the first record; what came too late is found at the next look."""

    async def play() -> None:
        slow, fast = Asked(KEY.sign(TWO, 6), gate=asyncio.Event()), Asked(GOOD)
        found = records(Source("router", slow), Source("gateway", fast), clock=(clock := Clock()))
        begun = time.monotonic()
        assert (await found.find(KEY.name)).held.record.value == ONE
        assert time.monotonic() - begun < limits.SOURCE_SECONDS
        assert found.counts["router", "late"] == 1
        assert slow.gate is not None
        slow.gate.set()
        clock.now += 61
        assert (await found.find(KEY.name)).held.record.value == TWO

    run(play)


# -- the sequence never goes back: sequence × end × restart

CASES = {
    "higher": (7, TWO, HOUR, TWO, ""),
    "equal, renewed": (6, ONE, 2 * HOUR, ONE, ""),
    "equal, the same": (6, ONE, HOUR, ONE, ""),
    "equal, another value": (6, TWO, 2 * HOUR, ONE, "fork"),
    "lower": (5, TWO, 2 * HOUR, ONE, "older"),
    "higher, ended": (7, TWO, -1, ONE, "expired"),
}


@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize(("sequence", "value", "left", "served", "refused"), CASES.values(), ids=CASES.keys())
def test_the_sequence_never_goes_back(
    tmp_path: Path, sequence: int, value: str, left: float, served: str, refused: str, restart: bool
) -> None:
    """A record replayed by a router, or by a router after a restart of the edge, is not taken."""

    async def play() -> None:
        router = Asked(KEY.sign(ONE, 6))
        source = Source("router", router)
        found = records(source, shelf=tmp_path / "names", clock=(clock := Clock()))
        assert (await found.find(KEY.name)).held.record.value == ONE
        if restart:
            found = records(source, shelf=tmp_path / "names", clock=clock)
        router.answer = KEY.sign(value, sequence, left)
        clock.now += 61
        assert (await found.find(KEY.name)).held.record.value == served
        assert found.refused == ({refused: 1} if refused else {})

    run(play)


def test_a_sequence_counts_also_after_its_record_has_ended(tmp_path: Path) -> None:
    """The old record is no longer served, and an older one that has not ended is not taken in its place."""

    async def play() -> None:
        clock, wall = Clock(), Clock(time.time())
        router = Asked(KEY.sign(TWO, 6, left=100))
        found = records(Source("router", router), shelf=tmp_path / "names", clock=clock, wall=wall)
        assert (await found.find(KEY.name)).max_age <= 60
        clock.now += 101
        wall.now += 101
        router.answer = KEY.sign(ONE, 5, left=HOUR)
        with pytest.raises(NameNotFound):
            await found.find(KEY.name)
        assert found.refused == {"older": 1}
        router.answer = KEY.sign(TWO, 6, left=HOUR)
        clock.now += limits.TTL_UNSET
        assert (await found.find(KEY.name)).held.record.value == TWO

    run(play)


def test_the_age_is_within_the_end() -> None:
    """max-age ≤ min(TTL, EOL - now), also while it is kept."""

    async def play() -> None:
        wall = Clock(time.time())
        found = records(Source("router", Asked(KEY.sign(ONE, left=90, ttl=HOUR))), clock=Clock(), wall=wall)
        assert 85 < (await found.find(KEY.name)).max_age < 91
        wall.now += 50
        assert 35 < (await found.find(KEY.name)).max_age < 41
        wall.now += 42
        with pytest.raises(NameTrouble, match="has ended"):
            await found.find(KEY.name)

    run(play)


def test_the_last_good_record_is_served_until_its_end_while_nobody_answers(tmp_path: Path) -> None:
    """Stale, marked, counted; also by an edge that was just started, from its folder."""

    async def play() -> None:
        clock, wall = Clock(), Clock(time.time())
        router = Asked(KEY.sign(ONE, left=HOUR))
        source = Source("router", router)
        found = records(source, shelf=tmp_path / "names", clock=clock, wall=wall)
        await found.find(KEY.name)
        router.answer = SourceTrouble("gone")
        for one in (found, records(source, shelf=tmp_path / "names", clock=clock, wall=wall)):
            clock.now += 61
            got = await one.find(KEY.name)
            assert (got.held.record.value, got.stale) == (ONE, True)
            assert 0 < got.max_age <= limits.RECHECK
            assert one.memo.served_stale == 1
        wall.now += HOUR + 1
        clock.now += HOUR + 1
        for one in (found, records(source, shelf=tmp_path / "names", clock=clock, wall=wall)):
            with pytest.raises(NameTrouble):
                await one.find(KEY.name)

    run(play)


def test_a_peer_that_holds_nothing_is_not_believed_to_know() -> None:
    """Its "none" is no answer: with the router silent too the name is unheard of, not gone."""

    async def play() -> None:
        async with shops(2) as ((peer, router), asker):
            held = {"Cache-Control": "only-if-cached"}
            peer.answer, router.answer = 504, 500
            sources = asker.gateway("peer", peer.url, held, knows=False), asker.router(router.url)
            with pytest.raises(NameTrouble):
                await records(*sources).find(KEY.name)
            assert peer.seen[0].headers["Cache-Control"] == "only-if-cached"
            router.answer = 404
            with pytest.raises(NameNotFound):
                await records(*sources).find(KEY.name)
            peer.answer = GOOD
            got = await records(*sources).find(KEY.name)
            assert (got.held.raw, got.stale) == (GOOD, False)

    run(play)


def test_a_site_that_has_moved_on_is_looked_up_at_once() -> None:
    """The Head says which release is live; a record that names another is outdated whatever its TTL says."""

    async def play() -> None:
        live = ["r1"]
        origin = Asked(KEY.sign(ONE, 1, ttl=HOUR, **{"_rim/release": "r1"}))
        found = records(Source("origin", origin), clock=(clock := Clock()), own=lambda name: live[0])
        assert (await found.find(KEY.name)).held.record.value == ONE
        clock.now += 10
        await found.find(KEY.name)
        assert origin.times == 1
        live[0], origin.answer = "r2", KEY.sign(TWO, 2, ttl=HOUR, **{"_rim/release": "r2"})
        assert (await found.find(KEY.name)).held.record.value == TWO
        live[0] = "r3"  # the origin's record lags behind its Head: not one question per visitor
        clock.now += limits.OWN_RECHECK
        for _ in range(5):
            assert (await found.find(KEY.name)).held.record.value == TWO
        assert origin.times == 3

    run(play)


def test_what_is_kept_on_disk_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """4,096 records (here 3): the one that was kept least lately goes. A damaged file counts as none."""
    monkeypatch.setattr("edge.names.shelf.NAMES_KEPT", 3)

    async def play() -> None:
        shelf = Shelf(tmp_path / "names")
        keys = [Key() for _ in range(5)]
        for key in keys:
            await records(Source("router", Asked(key.sign(ONE))), shelf=tmp_path / "names").find(key.name)
        kept = {key.name for key in keys if shelf.load(key.name)}
        assert kept == {key.name for key in keys[2:]}
        (tmp_path / "names" / f"{keys[4].name}.record").write_bytes(b"damaged")
        assert shelf.load(keys[4].name) is None
        found = records(Source("router", Asked(keys[4].sign(TWO))), shelf=tmp_path / "names")
        assert (await found.find(keys[4].name)).held.record.value == TWO

    run(play)


def test_a_disk_that_fails_costs_the_memory_and_not_the_answer(tmp_path: Path) -> None:
    """Availability first: said in the log, and counted."""

    async def play() -> None:
        (tmp_path / "names").write_text("a file where the folder should be")
        found = records(Source("router", Asked(GOOD)), shelf=tmp_path / "names")
        assert (await found.find(KEY.name)).held.raw == GOOD
        assert found._shelf is not None
        assert found._shelf.errors == 1

    run(play)


def test_two_processes_of_an_edge_share_the_memory_of_sequences(tmp_path: Path) -> None:
    """What one has taken the other does not go back from, though it never saw it."""

    async def play() -> None:
        first = records(Source("router", Asked(KEY.sign(TWO, 2))), shelf=tmp_path / "names")
        await first.find(KEY.name)
        second = records(Source("router", Asked(KEY.sign(ONE, 1))), shelf=tmp_path / "names")
        assert (await second.find(KEY.name)).held.record.value == TWO
        assert second.refused == {"older": 1}

    run(play)


def test_a_fork_between_two_processes_leaves_the_old_record_on_disk(tmp_path: Path) -> None:
    """Both had looked before either kept: the second does not replace the first, whatever its end says."""
    shelf = Shelf(tmp_path / "names")
    for value, left in ((ONE, HOUR), (TWO, 2 * HOUR)):
        raw = KEY.sign(value, 6, left)
        shelf.keep(Held(KEY.name, ipns.verify(KEY.name, raw), raw))
    kept = shelf.load(KEY.name)
    assert kept is not None
    assert kept.record.value == ONE
