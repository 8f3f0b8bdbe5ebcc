"""DNSLink over a real DNS server on loopback: what it says, how it fails and lies, and for how long it is believed."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.names import limits, stub
from edge.names.dnslink import DNSLinks, Link, Texts
from edge.names.faults import NameNotFound, NameTrouble
from edge.names.links import best_link
from edge.names.shelf import LinkShelf
from edge.names.stub import Stub
from edge.names.txt import Resolver
from tests.edge.names.play import Asked, Clock, Key, path, run
from tests.kit.dns import Zone, dns_server
from tests.kit.nodes import free_port

HOME, OTHER = path("home"), path("other")


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Zone]:
    """A server, and a resolver that gives up soon."""
    monkeypatch.setattr(stub, "DNS_TIMEOUT", 0.2)
    monkeypatch.setattr(stub, "DNS_LIFETIME", 0.5)
    with dns_server() as made:
        yield made


def links(zone: Zone, clock: Callable[[], float] | None = None) -> DNSLinks:
    made = DNSLinks("", Resolver((zone.address,)))
    made.memo.clock = clock or made.memo.clock
    return made


KEY = Key().name
CHOICES = [
    ((f"dnslink={HOME}",), HOME),
    ((f"dnslink={HOME}/a/b/",), f"{HOME}/a/b/"),
    ((f"dnslink=/ipns/{KEY}",), f"/ipns/{KEY}"),
    (("dnslink=/ipns/other.example",), "/ipns/other.example"),
    (tuple(f"dnslink={p}" for p in sorted((HOME, OTHER), reverse=True)), min(HOME, OTHER)),
    ((f"dnslink=/ipns/{KEY}", f"dnslink={HOME}"), HOME),
    (("v=spf1 -all", f"dnslink={HOME}"), HOME),
    (("dnslink=/hyper/x", f"dnslink={HOME}"), HOME),
    (("dnslink=/ipfs/broken", f"dnslink={HOME}"), HOME),
    (("dnslink=/ipfs/broken",), None),
    ((f"DNSLINK={HOME}",), None),
    ((f" dnslink={HOME}",), None),
    ((f"dnslink= {HOME}",), None),
    ((f"dnslink={HOME}/\N{LATIN SMALL LETTER E WITH ACUTE}",), f"{HOME}/\ufffd\ufffd"),
    ((HOME,), None),
    ((), None),
]


@pytest.mark.parametrize(("texts", "link"), CHOICES)
def test_which_record_is_taken(texts: tuple[str, ...], link: str | None) -> None:
    """dnslink.dev: "Record Format", "Multiple records", "Sorting"."""
    assert best_link(text.encode() for text in texts) == link


def test_an_answer_of_dns(zone: Zone) -> None:
    """Below _dnslink, with the TTL; the bare domain is not asked; and not again within the TTL."""

    async def play() -> None:
        zone.link("a.example", HOME, ttl=120)
        zone.text("a.example", f"dnslink={OTHER}".encode())
        zone.text("b.example", f"dnslink={OTHER}".encode())
        found = links(zone, clock := Clock())
        assert await found.find("a.example") == Link(HOME, 120)
        clock.now += 20
        assert await found.find("a.example") == Link(HOME, 100)
        with pytest.raises(NameNotFound, match=r"b\.example: the TXT record of _dnslink is not there"):
            await found.find("b.example")
        assert zone.asked == {"_dnslink.a.example": 1, "_dnslink.b.example": 1}
        assert found.counts == {("dns", "found"): 1, ("dns", "absent"): 1}

    run(play)


def test_a_record_of_several_strings_and_an_answer_over_tcp(zone: Zone) -> None:
    """The strings of one record are one text; what does not fit a datagram comes over TCP."""

    async def play() -> None:
        deep = f"{HOME}/{'d' * 700}"
        zone.link("long.example", deep)
        zone.text("_dnslink.huge.example", *(b"n" * 250 + b"%d" % n for n in range(22)), f"dnslink={HOME}".encode())
        assert (await links(zone).find("long.example")).path == deep
        assert (await links(zone).find("huge.example")).path == HOME
        assert zone.over_tcp >= 1

    run(play)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_an_answer_of_8_kib_is_read_and_a_byte_more_is_not(
    zone: Zone, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However it comes: a whole message of tiny records would hold up the loop for half a second."""

    async def play() -> None:
        if transport == "udp":
            monkeypatch.setattr("tests.kit.dns.PLAIN_UDP", 65_535)
        sizes: list[int] = []
        answer = zone.answer

        def measured(query: Any, *, udp: bool) -> bytes | None:
            wire = answer(query, udp=udp)
            sizes.append(len(wire or b""))
            return wire

        zone.answer = measured  # type: ignore[method-assign]
        zone.text("_dnslink.a.example", f"dnslink={HOME}".encode(), *(b"%250d" % n for n in range(30)), b"")
        assert (await links(zone).find("a.example")).path == HOME
        room = limits.DNS_ANSWER - sizes[-1]
        assert 0 < room < 250
        for more, fits in ((room, True), (room + 1, False)):
            fill = b"x" * more
            zone.text("_dnslink.a.example", f"dnslink={HOME}".encode(), *(b"%250d" % n for n in range(30)), fill)
            if fits:
                assert (await links(zone).find("a.example")).path == HOME
                assert sizes[-1] == limits.DNS_ANSWER
            else:
                with pytest.raises(NameTrouble):
                    await links(zone).find("a.example")
        assert (zone.over_tcp > 0) == (transport == "tcp")

    run(play)


@pytest.mark.parametrize("chases", [True, False], ids=["resolver", "authority"])
def test_cnames_are_followed(zone: Zone, chases: bool) -> None:
    """RFC 1034, 5.2.2, by the server or by us; the shortest TTL of the chain counts; a loop is trouble and no hang."""

    async def play() -> None:
        zone.chases = chases
        zone.aliases["_dnslink.a.example"] = ("_dnslink.b.example", 40)
        zone.aliases["_dnslink.b.example"] = ("_dnslink.c.example", 90)
        zone.link("c.example", HOME, ttl=120)
        assert await links(zone, Clock()).find("a.example") == Link(HOME, 40)
        zone.aliases["_dnslink.c.example"] = ("_dnslink.a.example", 60)
        with pytest.raises((NameTrouble, NameNotFound)):
            await links(zone).find("b.example")
        zone.aliases["_dnslink.d.example"] = ("nowhere.example", 60)
        with pytest.raises(NameNotFound):
            await links(zone).find("d.example")

    run(play)


def test_eight_cnames_are_followed_by_us_and_nine_are_not(zone: Zone) -> None:
    """Behind a server that follows none."""

    async def play() -> None:
        zone.chases = False
        for n in range(limits.DNS_ALIASES + 1):
            zone.aliases[f"_dnslink.n{n}.example"] = (f"_dnslink.n{n + 1}.example", 60)
        zone.link(f"n{limits.DNS_ALIASES + 1}.example", HOME)
        assert (await links(zone).find("n1.example")).path == HOME
        with pytest.raises(NameTrouble, match="CNAMEs"):
            await links(zone).find("n0.example")

    run(play)


FAULTS = ["servfail", "refused", "silent", "other_id", "other_question", "garbage", "cut"]


def test_a_server_that_is_not_there_is_found_out_at_once(zone: Zone) -> None:
    """The port is closed, and the system says so: no waiting."""

    async def play() -> None:
        with pytest.raises(NameTrouble, match="DNS could not be asked"):
            await DNSLinks("", Resolver((f"127.0.0.1:{free_port()}",))).find("a.example")

    run(play)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_server_that_fails_or_lies_is_trouble(zone: Zone, fault: str) -> None:
    """Nothing is taken from an answer that is not to our question; the failure is kept for 5 s (RFC 9520, 3.2)."""

    async def play() -> None:
        zone.link("a.example", HOME)
        zone.faults["_dnslink.a.example"] = fault
        found = links(zone, clock := Clock())
        with pytest.raises(NameTrouble, match="DNS could not be asked") as trouble:
            await found.find("a.example")
        assert trouble.value.retry_after == limits.FAILURE_KEPT
        asked = zone.asked.total()
        del zone.faults["_dnslink.a.example"]
        with pytest.raises(NameTrouble):
            await found.find("a.example")
        assert zone.asked.total() == asked
        clock.now += limits.FAILURE_KEPT
        assert (await found.find("a.example")).path == HOME

    run(play)


def test_lookups_that_fail_leave_no_descriptor(zone: Zone) -> None:
    """A hundred at once, to a server that is silent, cuts answers off, or lies: every socket is closed."""

    async def play() -> None:
        found = links(zone)
        zone.link("a.example", HOME)
        await found.find("a.example")

        def sockets() -> int:
            """Those that are open, of the server too, which is in this process."""
            paths = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
            return sum(os.readlink(path).startswith("socket:") for path in paths if os.path.islink(path))

        before = sockets()
        names = [f"{fault}{n}.example" for fault in ("silent", "cut", "other_id") for n in range(33)]
        for name in names:
            zone.link(name, HOME)
            zone.faults[f"_dnslink.{name}"] = name.partition(".")[0].rstrip("0123456789")
        ended = await asyncio.gather(*map(found.find, names), return_exceptions=True)
        assert all(isinstance(end, NameTrouble) for end in ended)
        async with asyncio.timeout(10):
            while sockets() > before:
                await asyncio.sleep(0.02)

    run(play)


def test_a_question_given_up_at_any_step_leaves_no_socket(zone: Zone) -> None:
    """Also while its socket is being made: uvloop kept that one, and a loop that was closed waited for it for ever."""

    async def play() -> None:
        zone.link("a.example", HOME)
        zone.faults["_dnslink.a.example"] = "silent"
        ask = Resolver((zone.address,))
        before = len(os.listdir("/proc/self/fd"))
        for steps in range(40):
            asking = asyncio.ensure_future(ask("_dnslink.a.example"))
            for _ in range(steps):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        async with asyncio.timeout(10):
            while len(os.listdir("/proc/self/fd")) > before:
                await asyncio.sleep(0.02)

    run(play)


def test_a_record_of_another_name_in_the_answer_is_not_taken(zone: Zone) -> None:
    """RFC 5452: only what was asked for counts."""

    async def play() -> None:
        zone.link("a.example", HOME)
        zone.text("elsewhere.example", f"dnslink={OTHER}".encode())
        zone.faults["_dnslink.a.example"] = "forged"
        with pytest.raises(NameNotFound):
            await links(zone).find("a.example")

    run(play)


def test_the_next_server_is_asked_when_one_is_silent(zone: Zone) -> None:
    """Two servers, the first without a sign of life."""

    async def play() -> None:
        with dns_server() as other:
            other.faults["_dnslink.a.example"] = "silent"
            zone.link("a.example", HOME)
            found = DNSLinks("", Resolver((other.address, zone.address)))
            assert (await found.find("a.example")).path == HOME
            assert other.asked["_dnslink.a.example"] >= 1

    run(play)


def test_one_lookup_however_many_ask(zone: Zone) -> None:
    """A hundred visitors, one question; one who leaves takes nobody along."""

    async def play() -> None:
        zone.link("a.example", HOME)
        zone.gate = threading.Event()
        found = links(zone)
        tasks = [asyncio.create_task(found.find("a.example")) for _ in range(100)]
        while not zone.asked:
            await asyncio.sleep(0.005)
        tasks[0].cancel()
        zone.gate.set()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(ended[0], asyncio.CancelledError)
        assert {link.path for link in ended[1:] if isinstance(link, Link)} == {HOME}
        assert zone.asked.total() <= 2  # a second try of the one lookup, should the gate have been slow

    run(play)


def test_the_last_good_answer_is_served_while_dns_fails(zone: Zone) -> None:
    """RFC 8767: stale, marked and counted, tried again every 30 s beside the answer, for three days."""

    async def play() -> None:
        zone.link("a.example", HOME, ttl=60)
        found = links(zone, clock := Clock())
        await found.find("a.example")
        zone.faults["_dnslink.a.example"] = "servfail"
        clock.now += 61
        stale = Link(HOME, limits.RECHECK, stale=True)
        assert await found.find("a.example") == stale
        asked = zone.asked.total()
        assert await found.find("a.example") == stale
        assert zone.asked.total() == asked
        assert found.memo.served_stale == 2
        del zone.faults["_dnslink.a.example"]
        zone.link("a.example", OTHER, ttl=60)
        clock.now += limits.RECHECK
        assert await found.find("a.example") == stale  # at once: the look goes on beside it
        while (link := await found.find("a.example")).stale:
            await asyncio.sleep(0.005)
        assert link.path == OTHER
        zone.faults["_dnslink.a.example"] = "servfail"
        clock.now += limits.STALE_MAX
        with pytest.raises(NameTrouble):
            await found.find("a.example")

    run(play)


def test_an_answer_too_old_to_be_served_is_waited_for(zone: Zone) -> None:
    """Nobody asked for three days, DNS failed when last asked, and is well now: the visitor gets the new answer."""

    async def play() -> None:
        zone.link("a.example", HOME, ttl=60)
        found = links(zone, clock := Clock())
        await found.find("a.example")
        zone.faults["_dnslink.a.example"] = "servfail"
        clock.now += 61
        assert (await found.find("a.example")).stale
        zone.faults.clear()
        zone.link("a.example", OTHER, ttl=60)
        clock.now += limits.STALE_MAX
        assert await found.find("a.example") == Link(OTHER, 60)

    run(play)


LONGEST = ".".join(["l" * 60] * 3 + ["m" * 53]) + ".example"  # 244: with `_dnslink.` before it, what RFC 1035 allows


def test_a_domain_that_is_too_long_for_a_dnslink(zone: Zone) -> None:
    """No DNS name could hold its record: it has none, and nobody is asked."""

    async def play() -> None:
        zone.link(LONGEST, HOME)
        assert (await links(zone).find(LONGEST)).path == HOME
        asked = zone.asked.total()
        with pytest.raises(NameNotFound):
            await links(zone).find(LONGEST.replace("m.", "mm."))
        assert zone.asked.total() == asked

    run(play)


def test_an_edge_started_while_dns_is_away_has_the_last_good_answer(zone: Zone, tmp_path: Path) -> None:
    """From its state folder, stale, for three days since DNS gave it; what DNS took back is gone there, too."""

    async def play() -> None:
        wall = Clock(time.time())

        def started() -> DNSLinks:
            return DNSLinks("", Resolver((zone.address,)), LinkShelf(tmp_path / "names", wall))

        long = LONGEST
        for domain in ("a.example", long):
            zone.link(domain, HOME)
            assert not (await started().find(domain)).stale
            zone.faults[f"_dnslink.{domain}"] = "servfail"
            wall.now += 60
            assert await started().find(domain) == Link(HOME, limits.RECHECK, stale=True)
        wall.now += limits.STALE_MAX
        with pytest.raises(NameTrouble):
            await started().find("a.example")
        zone.faults.clear()
        found = started()
        found.memo.clock = clock = Clock()
        await found.find("a.example")
        zone.drop("_dnslink.a.example")
        clock.now += 61
        with pytest.raises(NameNotFound):
            await found.find("a.example")
        zone.faults["_dnslink.a.example"] = "servfail"
        with pytest.raises(NameTrouble):
            await started().find("a.example")
        for file in (tmp_path / "names").glob("*.link"):
            file.write_bytes(b"\xff damaged")
        zone.faults[f"_dnslink.{long}"] = "servfail"
        with pytest.raises(NameTrouble):
            await started().find(long)

    run(play)


def test_no_is_an_answer_and_ends_the_last_good_one(zone: Zone) -> None:
    """NXDOMAIN and an empty answer are the truth; kept for the zone's negative TTL, at most a minute."""

    async def play() -> None:
        zone.link("a.example", HOME, ttl=60)
        found = links(zone, clock := Clock())
        await found.find("a.example")
        zone.drop("_dnslink.a.example")
        clock.now += 61
        with pytest.raises(NameNotFound):
            await found.find("a.example")
        zone.link("a.example", OTHER)
        clock.now += zone.negative - 1
        with pytest.raises(NameNotFound):
            await found.find("a.example")
        clock.now += 1
        assert (await found.find("a.example")).path == OTHER
        zone.negative = 3600
        zone.text("_dnslink.b.example")  # there, and without TXT
        with pytest.raises(NameNotFound):
            await found.find("b.example")
        zone.link("b.example", HOME)
        clock.now += limits.NEGATIVE_MAX
        assert (await found.find("b.example")).path == HOME

    run(play)


def test_ttls_of_nothing_and_of_ever(zone: Zone) -> None:
    """0 is asked again after 5 s and said to be 0; a week is asked again after a day."""

    async def play() -> None:
        zone.link("zero.example", HOME, ttl=0)
        zone.link("week.example", HOME, ttl=7 * 86_400)
        found = links(zone, clock := Clock())
        assert await found.find("zero.example") == Link(HOME, 0)
        assert await found.find("week.example") == Link(HOME, 7 * 86_400)
        clock.now += limits.TTL_MIN * (1 - limits.REFRESH_AHEAD) - 0.01
        await found.find("zero.example")
        assert zone.asked["_dnslink.zero.example"] == 1
        clock.now += limits.TTL_MIN
        await found.find("zero.example")
        assert zone.asked["_dnslink.zero.example"] == 2
        clock.now += limits.TTL_MAX
        await found.find("week.example")
        assert zone.asked["_dnslink.week.example"] == 2

    run(play)


def test_a_name_in_use_is_looked_up_before_its_time_is_over(zone: Zone) -> None:
    """In the last fifth of its TTL, beside the answer: nobody waits for it."""

    async def play() -> None:
        zone.link("a.example", HOME, ttl=100)
        found = links(zone, clock := Clock())
        await found.find("a.example")
        zone.link("a.example", OTHER, ttl=100)
        clock.now += 79
        assert (await found.find("a.example")).path == HOME
        assert zone.asked.total() == 1
        clock.now += 1
        assert (await found.find("a.example")).path == HOME
        while (link := await found.find("a.example")).path == HOME:
            await asyncio.sleep(0.005)
        assert link == Link(OTHER, 100)
        assert zone.asked.total() == 2

    run(play)


def test_a_slow_lookup_makes_nobody_wait_who_can_have_the_last_good_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 8767, 5: a client response timer (1.8 s; here 0.05)."""
    monkeypatch.setattr("edge.names.memo.PATIENCE", 0.05)

    async def play() -> None:
        dns = Asked(Texts((f"dnslink={HOME}".encode(),), 60))
        found = DNSLinks("", dns)
        found.memo.clock = clock = Clock()
        await found.find("a.example")
        dns.gate, dns.answer = asyncio.Event(), Texts((f"dnslink={OTHER}".encode(),), 60)
        clock.now += 61
        assert (await found.find("a.example")).stale
        dns.gate.set()
        while (link := await found.find("a.example")).stale:
            await asyncio.sleep(0.005)
        assert link == Link(OTHER, 60)
        await found.close()

    run(play)


def test_names_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """4,096 (here 8): the one that was asked for least lately goes."""
    monkeypatch.setattr("edge.names.memo.NAMES_KEPT", 8)

    async def play() -> None:
        dns = Asked(Texts((f"dnslink={HOME}".encode(),), 60))
        found = DNSLinks("", dns)
        for n in range(8):
            await found.find(f"n{n}.example")
        await found.find("n0.example")
        await found.find("n8.example")
        assert (len(found.memo), dns.times) == (8, 9)
        await found.find("n0.example")
        assert dns.times == 9
        await found.find("n1.example")
        assert dns.times == 10

    run(play)


def test_names_that_are_made_up_push_no_good_answer_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """What leads nowhere is kept apart, and bounded as well."""
    monkeypatch.setattr("edge.names.memo.NAMES_KEPT", 8)

    async def play() -> None:
        dns = Asked(Texts((f"dnslink={HOME}".encode(),), 60))
        found = DNSLinks("", dns)
        await found.find("a.example")
        dns.answer = Texts((), 60)
        for n in range(100):
            with pytest.raises(NameNotFound):
                await found.find(f"n{n}.example")
        dns.answer = NameTrouble("gone")
        for n in range(100):
            with pytest.raises(NameTrouble):
                await found.find(f"m{n}.example")
        assert (await found.find("a.example")).path == HOME
        assert (dns.times, len(found.memo)) == (201, 9)

    run(play)


def test_lookups_under_way_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """256 at a time (here 4): one more is told to come again, unless it asks for one of those. A name that has led
    somewhere is renewed all the same."""
    monkeypatch.setattr("edge.names.memo.LOOKUPS", 4)

    async def play() -> None:
        dns = Asked(Texts((f"dnslink={HOME}".encode(),), 60))
        found = DNSLinks("", dns)
        found.memo.clock = clock = Clock()
        await found.find("old.example")
        dns.gate, dns.times = asyncio.Event(), 0
        clock.now += 61
        waiting: list[Awaitable[Link]] = [asyncio.create_task(found.find(f"n{n}.example")) for n in range(4)]
        while dns.times < 4:
            await asyncio.sleep(0)
        with pytest.raises(NameTrouble, match="too many") as trouble:
            await found.find("n4.example")
        assert trouble.value.retry_after == 1
        waiting += [asyncio.create_task(found.find(name)) for name in ("n3.example", "old.example")]
        while dns.times < 5:
            await asyncio.sleep(0)
        dns.gate.set()
        links_ = await asyncio.gather(*waiting)
        assert [(link.path, link.stale) for link in links_] == [(HOME, False)] * 6
        assert (await found.find("n4.example")).path == HOME

    run(play)


def test_a_fault_of_ours_is_trouble_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A name must not look gone because we are broken."""

    async def play() -> None:
        found = DNSLinks("", Asked(RuntimeError("a bug")))
        with pytest.raises(NameTrouble):
            await found.find("a.example")
        assert "a bug" in caplog.text

    run(play)


def test_the_systems_resolver_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made at the first question only: a machine without resolv.conf serves what needs no DNS. Read again when it
    changes."""
    system = tmp_path / "resolv.conf"
    monkeypatch.setattr(stub, "SYSTEM", str(system))
    resolver = Stub()
    first = resolver._at_hand()
    assert resolver._at_hand() is first
    system.write_text("nameserver 127.0.0.1\n")
    assert resolver._at_hand() is not first
    assert Stub()._resolver is None
    assert [server.address for server in Stub(("[::1]:5353", "127.0.0.1"))._servers] == ["::1", "127.0.0.1"]
