"""What stands in front of a real edge, on real sockets: PROXY headers, addresses, limits, TLS, the access log."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvloop

from edge.http.address import Trusted
from edge.http.limits import LIMITS, Limits
from edge.http.proxy import SIGNATURE
from edge.http.rates import Rate
from edge.node import Node
from edge.state import StateError
from tests.edge.http.test_proxy import BAD
from tests.edge.sites import World
from tests.edge.wire import Wire, edge, fetch, wire
from tests.kit.certs import make_pair

HOT = b"hot " * 100
LOOPBACK = Trusted.read("127.0.0.0/8")
Play = Callable[[Node], Awaitable[None]]
V1 = b"PROXY TCP4 192.0.2.7 127.0.0.1 51234 80\r\n"
V2 = SIGNATURE + struct.pack("!BBH", 0x21, 0x11, 12) + socket.inet_aton("192.0.2.8") + bytes(8)
LOCAL = SIGNATURE + struct.pack("!BBH", 0x20, 0, 0)


def play(folder: Path, act: Play, limits: Limits = LIMITS, **fields: Any) -> None:
    """Run a play against an edge of two sites; its log is folder/access.log. On the loop that edges run on."""

    async def run() -> None:
        world = World()
        world.publish("demo", {"hot.txt": HOT, "cold.txt": b"cold"})
        world.publish("other", {"hot.txt": HOT})
        given = {"access_log": "json", "access_log_file": folder / "access.log", **fields}
        async with edge(folder, world, limits, **given) as (node, _):
            await act(node)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def rows(folder: Path) -> list[dict[str, Any]]:
    """What the log says, when the edge has ended."""
    return [json.loads(line) for line in (folder / "access.log").read_text().splitlines()]


def clients(folder: Path) -> list[str]:
    return [row["client"] for row in rows(folder)]


async def get(node: Node, path: str = "/hot.txt", before: bytes = b"", **headers: str) -> int:
    """The status of one request on a connection of its own, after these bytes."""
    async with wire(node) as c:
        await c.send(before + c.request(path, headers={name.replace("_", "-"): text for name, text in headers.items()}))
        return (await c.read()).status


# Who a client is.


def test_a_proxy_header_says_who_it_is(tmp_path: Path) -> None:
    """Both versions, with a request at once or later, from the app and from memory; LOCAL is the proxy itself."""

    async def act(node: Node) -> None:
        for _ in range(2):
            assert [await get(node, before=header) for header in (V1, V2, LOCAL)] == [200] * 3
        async with wire(node) as c:
            for byte in V1:
                await c.send(bytes((byte,)))
            assert (await c.get("/hot.txt")).body == HOT
            assert (await c.get("/hot.txt", "HEAD")).status == 200

    play(tmp_path, act, trusted_proxy=LOOPBACK, proxy_protocol=True)
    assert clients(tmp_path) == ["192.0.2.7", "192.0.2.8", "127.0.0.1"] * 2 + ["192.0.2.7"] * 2


def test_a_bad_proxy_header_gets_the_close_alone(tmp_path: Path) -> None:
    """Every row of the table: not a byte, and the connection ends. Nothing is counted as a request."""

    async def act(node: Node) -> None:
        for _, data in BAD:
            async with wire(node) as c:
                await c.send(data + c.request("/hot.txt"))
                assert await asyncio.wait_for(c.is_closed(), 10)
        assert node.front.door.refused == {"PROXY header": len(BAD)}

    play(tmp_path, act, trusted_proxy=LOOPBACK, proxy_protocol=True)
    assert rows(tmp_path) == []


def test_half_a_proxy_header(tmp_path: Path) -> None:
    """That never ends is closed at the deadline of a head, and one whose client goes away at once; without a word."""

    async def act(node: Node) -> None:
        async with wire(node) as c:
            await c.send(V1[:20])
            assert await asyncio.wait_for(c.is_closed(), 10)
        async with wire(node) as c:
            assert await asyncio.wait_for(c.is_closed(), 10), "nothing at all"
        assert not node.answers.counts.refused

    play(tmp_path, act, Limits(head_time=0.3), trusted_proxy=LOOPBACK, proxy_protocol=True)


def test_half_a_proxy_header_and_the_end(tmp_path: Path) -> None:
    """Who closes its half within the header is not waited for."""

    async def act(node: Node) -> None:
        async with wire(node) as c:
            await c.send(V1[:20])
            c.writer.write_eof()
            assert await asyncio.wait_for(c.is_closed(), 10)

    play(tmp_path, act, Limits(head_time=600.0), trusted_proxy=LOOPBACK, proxy_protocol=True)


def test_others_than_the_proxy_speak_http(tmp_path: Path) -> None:
    """A peer that is not trusted is a client: its request is answered under its own address, and its PROXY header is no
    HTTP."""

    async def act(node: Node) -> None:
        assert await get(node, X_Forwarded_For="198.51.100.9") == 200
        assert await get(node, before=V1) == 400

    play(tmp_path, act, trusted_proxy=Trusted.read("192.0.2.0/24"), proxy_protocol=True)
    assert clients(tmp_path) == ["127.0.0.1"] * 2


FIELDS: list[tuple[Mapping[str, str], str]] = [
    ({}, "127.0.0.1"),
    ({"X_Forwarded_For": "198.51.100.9, 192.0.2.7"}, "192.0.2.7"),
    ({"Forwarded": 'for="[2001:db8::7]:80";proto=https'}, "2001:db8::7"),
    ({"X_Forwarded_For": "192.0.2.7", "Forwarded": "for=192.0.2.8"}, "127.0.0.1"),
]


@pytest.mark.parametrize(("fields", "client"), FIELDS)
def test_header_fields_of_a_trusted_proxy(tmp_path: Path, fields: Mapping[str, str], client: str) -> None:
    """Believed request by request, in the app and from memory; and of nobody else."""

    async def act(node: Node) -> None:
        assert [await get(node, **fields) for _ in range(2)] == [200, 200]

    play(tmp_path, act, trusted_proxy=LOOPBACK)
    assert clients(tmp_path) == [client] * 2


def test_header_fields_of_a_stranger(tmp_path: Path) -> None:
    """Without --trusted-proxy nobody's word counts."""

    async def act(node: Node) -> None:
        for fields, _ in FIELDS:
            assert await get(node, **fields) == 200

    play(tmp_path, act)
    assert set(clients(tmp_path)) == {"127.0.0.1"}


# How many.


def test_connections_in_all(tmp_path: Path) -> None:
    """One too many is told 503 and closed, while nobody is idle; when one has gone there is room. The log has it."""

    async def act(node: Node) -> None:
        async with wire(node) as a, wire(node) as b:
            request = a.request("/hot.txt")
            for c in (a, b):
                await c.send(request[:20])
            await until_heads(node, 2)
            async with wire(node) as c:
                got = await c.read()
                assert (got.status, got.headers["connection"]) == (503, "close")
                assert await c.is_closed()
            await a.send(request[20:])
            assert (await a.read()).status == 200, "who is in stays in"
        await until_gone(node)
        assert await get(node) == 200
        assert node.front.door.refused == {"connections": 1}

    play(tmp_path, act, max_connections=2)
    refused = [(row["client"], row["method"], row["target"]) for row in rows(tmp_path) if row["status"] == 503]
    assert refused == [("127.0.0.1", "", "")]


def test_an_idle_connection_makes_room(tmp_path: Path) -> None:
    """Of those that wait for their next request, the one that waits longest goes; one at work stays."""

    async def act(node: Node) -> None:
        async with wire(node) as a, wire(node) as b, wire(node) as c:
            await a.send(a.request("/hot.txt")[:20])
            await until_heads(node, 1)
            loop = asyncio.get_running_loop()
            for one in (c, b):  # so c waits longest, by the loop's clock, which ticks in milliseconds
                assert (await one.get("/hot.txt")).status == 200
                now = loop.time()
                while loop.time() == now:
                    await asyncio.sleep(0)
            assert await get(node) == 200
            assert await asyncio.wait_for(c.is_closed(), 10)
            assert (await b.get("/hot.txt")).status == 200
            await a.send(a.request("/hot.txt")[20:])
            assert (await a.read()).status == 200
        assert node.front.door.refused == {"idle connections": 1}

    play(tmp_path, act, max_connections=3)


async def until_heads(node: Node, count: int) -> None:
    """So many connections have begun a request."""
    state = node.public._server.server_state
    while sum(one.idle_until is None for one in state.connections) < count:  # type: ignore[union-attr]
        await asyncio.sleep(0.01)


def test_connections_of_one_client(tmp_path: Path) -> None:
    """By the address that the PROXY header names; one too many is told 429, another client is let in."""

    async def act(node: Node) -> None:
        async with wire(node) as a, wire(node) as b:
            for c, header in ((a, V1), (b, V2)):
                await c.send(header)
                assert (await c.get("/hot.txt")).status == 200
            async with wire(node) as c:
                await c.send(V1)
                assert (await c.read()).status == 429
                assert await c.is_closed()
            async with wire(node) as c:
                await c.send(LOCAL)
                assert (await c.get("/hot.txt")).status == 200, "the proxy itself is no client"
        await until_gone(node)
        assert await get(node, before=V1) == 200
        assert node.front.door.refused == {"client connections": 1}

    play(tmp_path, act, trusted_proxy=LOOPBACK, proxy_protocol=True, max_connections_per_client=1)


async def until_gone(node: Node) -> None:
    while node.public.connections:
        await asyncio.sleep(0.01)


def test_a_rate_per_client(tmp_path: Path) -> None:
    """Hits and misses count alike; beyond it 429 with Retry-After, also in a pipeline, in order; others go on."""

    async def act(node: Node) -> None:
        async with wire(node) as c:
            one = c.request("/hot.txt", headers={"X-Forwarded-For": "192.0.2.7"})
            await c.send(one * 6)
            statuses = [(await c.read()).status for _ in range(6)]
            assert statuses == [200] * 4 + [429] * 2
            other = c.request("/cold.txt", headers={"X-Forwarded-For": "192.0.2.8"})
            await c.send(other)
            assert (await c.read()).status == 200
            await c.send(one)
            got = await c.read()
            assert (got.status, got.headers["cache-control"]) == (429, "no-store")
            assert 0 < int(got.headers["retry-after"]) <= 1000
            assert await get(node, "/.rim/health", X_Forwarded_For="192.0.2.7") == 200, "health is not counted"
        assert node.front.door.refused == {"client rate": 3}

    play(tmp_path, act, trusted_proxy=LOOPBACK, rate_per_client=Rate(0.001, 4))
    assert [row["client"] for row in rows(tmp_path) if row["status"] == 429] == ["192.0.2.7"] * 3


def test_a_rate_per_site(tmp_path: Path) -> None:
    """One site's visitors together; other sites have their own."""

    async def act(node: Node) -> None:
        got = [(await fetch(node, "/hot.txt")).status for _ in range(4)]
        assert got == [200, 200, 429, 429]
        assert (await fetch(node, "/hot.txt", "other.localhost")).status == 200
        assert (await fetch(node, "/hot.txt", "nobody.localhost")).status == 421

    play(tmp_path, act, rate_per_site=Rate(0.001, 2))


def test_numbers(tmp_path: Path) -> None:
    """Requests and bytes by site, limits reached, lines lost."""

    async def act(node: Node) -> None:
        got = [(await fetch(node, "/hot.txt")).status for _ in range(3)]
        assert got == [200, 200, 429]
        assert (await fetch(node, "/hot.txt", "nobody.localhost")).status == 421
        values = node.numbers.values()
        requests = values["rim_site_requests_total"]
        assert isinstance(requests, Mapping)
        assert sum(count for (site, status, _), count in requests.items() if (site, status) == ("demo", "2xx")) == 2
        assert requests["demo", "4xx", "error"] == requests["", "4xx", "error"] == 1
        sent = values["rim_site_response_bytes_total"]
        assert isinstance(sent, Mapping)
        assert sent["demo"] > 2 * len(HOT)
        assert values["rim_limits_reached_total"] == {"site rate": 1}
        assert values["rim_log_lost_total"] == 0
        text = (await _private(node, "/metrics")).decode()
        assert 'rim_site_requests_total{outcome="error",site="",status="4xx"} 1.0' in text
        assert "rim_tls_certificate_ends_seconds +Inf" in text

    play(tmp_path, act, rate_per_site=Rate(0.001, 2))


async def _private(node: Node, path: str) -> bytes:
    async with wire(node, urlsplit(node.private_url).netloc, private=True) as c:
        return (await c.get(path)).body


# TLS.


async def secure(node: Node, name: str = "demo.localhost") -> Wire:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    url = urlsplit(node.public_url)
    assert url.scheme == "https"
    reader, writer = await asyncio.open_connection(url.hostname, url.port, ssl=context, server_hostname=name)
    return Wire(reader, writer, "demo.localhost")


def shown(c: Wire) -> bytes:
    der = c.writer.get_extra_info("ssl_object").getpeercert(True)
    assert isinstance(der, bytes)
    return der


def test_tls(tmp_path: Path) -> None:
    """The same answers, long ones and pipelined ones too; a new certificate leaves open connections alone."""

    async def act(node: Node) -> None:
        c = await secure(node)
        for _ in range(2):
            assert (await c.get("/hot.txt")).body == HOT
        await c.send(c.request("/hot.txt") * 20)
        assert [(await c.read()).body for _ in range(20)] == [HOT] * 20
        first = shown(c)
        make_pair(tmp_path / "tls", "new.test")
        node.reload()
        other = await secure(node)
        assert (await other.get("/hot.txt")).status == (await c.get("/hot.txt")).status == 200
        assert shown(other) != first
        (tmp_path / "tls" / "privkey.pem").write_text("nonsense")
        node.reload()
        again = await secure(node)
        assert shown(again) == shown(other)
        values = node.numbers.values()
        assert values["rim_tls_reload_errors_total"] == 1
        left = values["rim_tls_certificate_ends_seconds"]
        assert isinstance(left, float)
        assert 29 * 86400 < left < 30 * 86400
        for connection in (c, other, again):
            connection.close()

    pair = make_pair(tmp_path / "tls", "old.test")
    play(tmp_path, act, tls_cert=pair.cert, tls_key=pair.key)


def test_a_proxy_header_before_tls(tmp_path: Path) -> None:
    """From a balancer that passes TLS through: whole or byte by byte; without one, or with a bad one, no handshake."""

    def exchange(address: tuple[str, int], *pieces: bytes) -> bytes:
        with socket.create_connection(address, 20) as plain:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in pieces:
                plain.sendall(piece)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(plain) as sock:
                sock.sendall(b"GET /hot.txt HTTP/1.1\r\nHost: demo.localhost\r\n\r\n")
                return sock.recv(12)

    async def act(node: Node) -> None:
        url = urlsplit(node.public_url)
        address = url.hostname or "", url.port or 0
        for pieces in ((V1,), (V2,), (LOCAL,), tuple(bytes((byte,)) for byte in V2)):
            assert await asyncio.to_thread(exchange, address, *pieces) == b"HTTP/1.1 200"
        for bad in (b"", V1[:-2] + b"x\r\n"):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.to_thread(exchange, address, bad)
        async with wire(node) as c:
            await c.send(V2[:20])
            c.writer.write_eof()
            assert await asyncio.wait_for(c.is_closed(), 10)
        assert node.front.door.refused == {"PROXY header": 3}

    pair = make_pair(tmp_path / "tls", "a.test")
    fields = {"trusted_proxy": LOOPBACK, "proxy_protocol": True, "tls_cert": pair.cert, "tls_key": pair.key}
    play(tmp_path, act, **fields)
    assert clients(tmp_path) == ["192.0.2.7", "192.0.2.8", "127.0.0.1", "192.0.2.8"]


def test_plain_http_on_a_tls_port(tmp_path: Path) -> None:
    """Is no handshake: the connection ends, and others go on."""

    async def act(node: Node) -> None:
        async with wire(node) as c:
            await c.send(c.request("/hot.txt"))
            with pytest.raises(EOFError):
                await c.read()
        c = await secure(node)
        assert (await c.get("/hot.txt")).body == HOT
        c.close()

    pair = make_pair(tmp_path / "tls", "a.test")
    play(tmp_path, act, tls_cert=pair.cert, tls_key=pair.key)


def test_silent_handshakes_are_connections(tmp_path: Path) -> None:
    """Who connects to a TLS port and says nothing counts like any other; one too many is cut off; they hold up no
    end of the edge."""

    async def act(node: Node) -> None:
        async with wire(node) as a, wire(node) as b:
            await a.send(b"\x16\x03\x01")
            async with wire(node) as c:
                assert await asyncio.wait_for(c.is_closed(), 10)
            assert node.front.door.refused == {"connections": 1}
            for silent in (a, b):
                silent.close()
        while node.public.handshakes:
            await asyncio.sleep(0.01)
        d = await secure(node)
        assert (await d.get("/hot.txt")).body == HOT
        d.close()
        async with wire(node):
            while not node.public.handshakes:
                await asyncio.sleep(0.01)
            await node.public.stop()

    pair = make_pair(tmp_path / "tls", "a.test")
    play(tmp_path, act, tls_cert=pair.cert, tls_key=pair.key, max_connections=2)


def test_a_handshake_has_a_deadline(tmp_path: Path) -> None:
    """A byte now and then does not move it."""

    async def act(node: Node) -> None:
        node.public._server.gates[0]._seconds = 0.3
        async with wire(node) as c:
            for byte in b"\x16\x03\x01\x02":
                await c.send(bytes((byte,)))
            assert await asyncio.wait_for(c.is_closed(), 10)
        assert node.public.handshakes == 0

    pair = make_pair(tmp_path / "tls", "a.test")
    play(tmp_path, act, tls_cert=pair.cert, tls_key=pair.key)


# What cannot be opened.


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"tls_cert": Path("/nowhere/c.pem"), "tls_key": Path("/nowhere/k.pem")},
            r"tls: /nowhere/c\.pem: No such file",
        ),
        ({"access_log": "json", "access_log_file": Path("/nowhere/x.log")}, r"access log: /nowhere/x\.log: No such"),
    ],
)
def test_what_cannot_be_opened(tmp_path: Path, fields: dict[str, Any], words: str) -> None:
    """Said at the start, which leaves nothing behind."""

    async def never(node: Node) -> None:
        raise AssertionError

    for _ in range(2):
        with pytest.raises(StateError, match=words):
            play(tmp_path, never, **fields)


def test_sighup_opens_the_log_again(tmp_path: Path) -> None:
    """As logrotate does it: moved away, then told."""

    async def act(node: Node) -> None:
        assert await get(node) == 200
        (tmp_path / "access.log").rename(tmp_path / "access.log.1")
        node.reload()
        assert await get(node, "/cold.txt") == 200

    play(tmp_path, act)
    assert [row["target"].rpartition("/")[2] for row in rows(tmp_path)][-1] == "cold.txt"
