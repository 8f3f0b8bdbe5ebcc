"""The wire of a listener, on raw sockets: each duty that uvicorn's own class leaves open, and the hot path."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from content.block import Block
from content.cid import CID, RAW
from edge.http.limits import LIMITS, Limits
from edge.http.outcome import Outcome
from edge.http.protocol import Protocol
from edge.node import Node
from tests.edge.origin import TinyOrigin
from tests.edge.sites import World
from tests.edge.wire import Wire, edge, fetch, wire

HOT, COLD, BIG = b"hot " * 100, b"cold" * 50, bytes(range(256)) * 4000  # BIG: one block of about 1 MB
Play = Callable[[Node, TinyOrigin], Awaitable[None]]
HOST = b"Host: demo.localhost\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST


def play(folder: Path, act: Play, limits: Limits = LIMITS) -> None:
    """Run a play against an edge where /hot.txt is a ready hit and everything else is not."""

    async def run() -> None:
        world = World()
        files = {"hot.txt": HOT, "cold.txt": COLD, "big.bin": BIG, **{f"cold{n}.txt": b"%d" % n for n in range(40)}}
        world.publish("demo", dict(files))
        async with edge(folder, world, limits) as (node, origin):
            await fetch(node, "/hot.txt")
            await act(node, origin)

    asyncio.run(run())


def hits(node: Node) -> int:
    return node.answers.counts.outcomes[Outcome.HIT]


def test_a_hit_never_enters_the_app(tmp_path: Path) -> None:
    """A ready answer is written by the protocol: GET, HEAD, 304, 206 and with a query, all on one connection."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        node.public._server.config.loaded_app = None
        async with wire(node) as c:
            got = await c.get("/hot.txt")
            assert (got.status, got.body, got.outcome) == (200, HOT, "memory")
            head = await c.get("/hot.txt", "HEAD")
            assert {**head.headers, "date": ""} == {**got.headers, "date": ""}
            assert (await c.get("/hot.txt", If_None_Match=got.headers["etag"])).status == 304
            part = await c.get("/hot.txt", Range="bytes=4-7")
            assert (part.status, part.body) == (206, HOT[4:8])
            assert (await c.get("/hot.txt?v=7")).body == HOT
        assert hits(node) >= 5

    play(tmp_path, act)


def test_the_app_says_what_the_hot_path_says(tmp_path: Path) -> None:
    """Answers from memory and from the app are equal, but for Date and Cache-Status: one truth."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        for fields in ({}, {"Range": "bytes=-3"}, {"If_None_Match": "*"}, {"Accept_Encoding": "br, identity;q=0"}):
            for method in ("GET", "HEAD"):
                node.answers.clear()
                cold = await fetch(node, "/hot.txt", method=method, **fields)
                hot = await fetch(node, "/hot.txt", method=method, **fields)
                for got in (cold, hot):
                    got.headers.pop("date")
                    got.headers.pop("cache-status", None)
                assert cold == hot

    play(tmp_path, act)


def test_a_silent_connection_is_closed(tmp_path: Path) -> None:
    """The idle timer runs from the first moment: who connects and says nothing does not stay."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        async with wire(node) as c:
            assert await asyncio.wait_for(c.is_closed(), 10)

    play(tmp_path, act, Limits(idle=0.2))


def test_an_idle_connection_is_closed_after_a_hit(tmp_path: Path) -> None:
    """A hot answer arms the idle timer like any other."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        async with wire(node) as c:
            assert (await c.get("/hot.txt")).status == 200
            assert await asyncio.wait_for(c.is_closed(), 10)

    play(tmp_path, act, Limits(idle=0.2))


def test_a_head_that_does_not_end_in_time_is_408(tmp_path: Path) -> None:
    """The deadline is counted from the head's first byte; a byte now and then does not move it (slowloris)."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        async with wire(node) as c:
            await c.send(b"GET /hot.txt HTTP/1.1\r\n" + HOST)

            async def drip() -> None:
                while True:
                    await c.send(b"X-A: b\r\n")
                    await asyncio.sleep(0.02)

            dripping = asyncio.create_task(drip())
            try:
                got = await asyncio.wait_for(c.read(), 10)
            finally:
                dripping.cancel()
                await asyncio.gather(dripping, return_exceptions=True)
            assert (got.status, got.headers["connection"], got.headers["cache-control"]) == (408, "close", "no-store")

    play(tmp_path, act, Limits(head_time=0.3))


def test_a_timer_ends_with_its_connection(tmp_path: Path) -> None:
    """A connection that ends in a reset leaves no timer, and so no protocol object, behind."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        for _ in range(20):
            async with wire(node) as c:
                await c.get("/hot.txt")
                sock: socket.socket = c.writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        async with wire(node) as c:  # a request later, so the resets have been seen
            await c.get("/hot.txt")
            while node.public.connections > 1:
                await asyncio.sleep(0.01)
            gc.collect()
            mine = node.public._server.server_state
            alive = [o for o in gc.get_objects() if type(o) is Protocol and o.server_state is mine]
            assert len(alive) == 1

    play(tmp_path, act)


TOO_MUCH = [
    ("16 KiB of fields", b"X: " + b"a" * (LIMITS.head - 70) + b"\r\n", 200),
    ("one byte above", b"X: " + b"a" * LIMITS.head + b"\r\n", 431),
    ("endless field", b"X: " + b"a" * 4 * LIMITS.head, 431),
    ("100 fields", b"X: a\r\n" * (LIMITS.fields - 1), 200),
    ("101 fields", b"X: a\r\n" * LIMITS.fields, 431),
]


@pytest.mark.parametrize(("fields", "status"), [c[1:] for c in TOO_MUCH], ids=[c[0] for c in TOO_MUCH])
def test_the_head_has_a_budget(tmp_path: Path, fields: bytes, status: int) -> None:
    """16 KiB and 100 fields, not one more."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        async with wire(node) as c:
            await c.send(b"GET /hot.txt HTTP/1.1\r\n" + HOST + fields + b"\r\n")
            assert (await c.read()).status == status

    play(tmp_path, act)


def test_the_budget_is_exact(tmp_path: Path) -> None:
    """Target, names, values and 4 bytes a field count: at the budget it is served, one past it is not."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        fixed = len("/hot.txt") + len("Host") + len("demo.localhost") + 4 + len("X") + 4
        for surplus, status in ((0, 200), (1, 431)):
            async with wire(node) as c:
                value = b"a" * (LIMITS.head - fixed + surplus)
                await c.send(b"GET /hot.txt HTTP/1.1\r\n" + HOST + b"X: " + value + b"\r\n\r\n")
                assert (await c.read()).status == status

    play(tmp_path, act)


@pytest.mark.parametrize(("length", "status"), [(LIMITS.target, 404), (LIMITS.target + 1, 414)])
def test_the_target_has_a_limit(tmp_path: Path, length: int, status: int) -> None:
    """8 KiB of target, not one byte more."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        assert (await fetch(node, "/" + "a" * (length - 1))).status == status

    play(tmp_path, act)


def test_a_hit_does_not_overtake_a_miss(tmp_path: Path) -> None:
    """Pipelined answers come in the order they were asked for, misses and hits mixed."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        cid = CID.of(RAW, b"7")
        gate = origin.after[cid] = asyncio.Event()
        async with wire(node) as c:
            await c.send(c.request("/cold7.txt") + c.request("/hot.txt") + c.request("/cold8.txt"))
            while not origin.asked[str(cid)]:
                await asyncio.sleep(0.005)
            before = hits(node)
            async with wire(node) as other:
                assert (await other.get("/hot.txt")).body == HOT
            assert hits(node) == before + 1  # nobody but the other was answered
            gate.set()
            assert [(await c.read()).body for _ in range(3)] == [b"7", HOT, b"8"]

    play(tmp_path, act)


def test_a_flood_of_pipelined_requests_is_answered_in_order(tmp_path: Path) -> None:
    """Thousands in one write, byte by byte at their start: all answered, in order, and what is queued stays bounded."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        paths = [f"/cold{n % 40}.txt" if n % 3 else "/hot.txt" for n in range(3000)]
        expected = [b"%d" % (n % 40) if n % 3 else HOT for n in range(3000)]
        async with wire(node) as c:
            data = b"".join(c.request(path) for path in paths)
            for at in range(200):
                await c.send(data[at : at + 1])
            sending = asyncio.create_task(c.send(data[200:]))
            assert [(await c.read()).body for _ in paths] == expected
            await sending

    play(tmp_path, act)


def test_a_client_that_does_not_read_costs_little(tmp_path: Path) -> None:
    """Many pipelined GETs of a large hit from a client that reads nothing: written ahead is one answer, not all; and
    when it takes nothing for long, it is cut off."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        await fetch(node, "/big.bin")
        async with wire(node) as c:
            c.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await c.send(c.request("/big.bin") * 200)
            most = 0
            while True:
                connections = [p for p in node.public._server.server_state.connections if isinstance(p, Protocol)]
                if not connections:
                    break
                most = max(most, *(p.transport.get_write_buffer_size() for p in connections))
                assert all(len(p.pipeline) <= 200 for p in connections)
                await asyncio.sleep(0.01)
            assert most <= 3 * len(BIG)

    play(tmp_path, act, Limits(write_stall=0.5))


def test_a_slow_reader_is_not_cut_off(tmp_path: Path) -> None:
    """Who takes something within each stall budget gets it all."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        await fetch(node, "/big.bin")
        async with wire(node) as c:
            await c.send(c.request("/big.bin") * 3)
            for _ in range(3):
                got = await c.read()
                assert got.body == BIG
                await asyncio.sleep(0.05)

    play(tmp_path, act, Limits(write_stall=1.0))


@pytest.mark.parametrize(
    ("request_head", "close"),
    [
        (b"GET /hot.txt HTTP/1.1\r\nConnection: close\r\n", True),
        (b"GET /hot.txt HTTP/1.1\r\nConnection: foo, Close\r\n", True),
        (b"GET /hot.txt HTTP/1.0\r\n", True),
        (b"GET /hot.txt HTTP/1.1\r\nConnection: keep-alive\r\n", False),
    ],
)
def test_connection_close_is_honoured(tmp_path: Path, request_head: bytes, close: bool) -> None:
    """`Connection: close` and HTTP/1.0 end the connection after the answer, and nothing after it is answered."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        async with wire(node) as c:
            await c.send(request_head + HOST + b"\r\n" + c.request("/cold1.txt") * close)
            got = await c.read()
            assert (got.status, got.body) == (200, HOT)
            assert (got.headers.get("connection") == "close") is close
            if close:
                assert await asyncio.wait_for(c.is_closed(), 10)
            else:
                assert (await c.get("/hot.txt")).status == 200

    play(tmp_path, act)


def test_expect_is_no_obstacle(tmp_path: Path) -> None:
    """A GET with Expect is answered with a final status, as RFC 9110 §10.1.1 allows; no body is waited for."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        assert (await fetch(node, "/hot.txt", Expect="100-continue")).body == HOT

    play(tmp_path, act)


BODIES = [
    ("Content-Length", b"Content-Length: 52\r\n\r\n", b""),
    ("chunked", b"Transfer-Encoding: chunked\r\n\r\n34\r\n", b"\r\n0\r\n\r\n"),
]


@pytest.mark.parametrize(("fields", "tail"), [c[1:] for c in BODIES], ids=[c[0] for c in BODIES])
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST"])
def test_a_body_is_never_a_request(tmp_path: Path, method: bytes, fields: bytes, tail: bytes) -> None:
    """A request with a body gets one answer and the connection ends: what stands in the body is never answered."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        evil = b"GET /cold1.txt HTTP/1.1\r\nHost: demo.localhost\r\n\r\n"
        async with wire(node) as c:
            await c.send(method + b" /hot.txt HTTP/1.1\r\n" + HOST + fields + evil.ljust(52) + tail)
            got = await c.read(method.decode())
            assert got.status == (405 if method == b"POST" else 200)
            assert await asyncio.wait_for(c.is_closed(), 10)

    play(tmp_path, act)


def test_a_body_that_never_ends_is_not_kept(tmp_path: Path) -> None:
    """Gigabytes announced: one answer, and the connection ends."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        async with wire(node) as c:
            await c.send(b"GET /hot.txt HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999\r\n\r\n")
            assert (await c.read()).body == HOT
            assert await asyncio.wait_for(c.is_closed(), 10)

    play(tmp_path, act)


REFUSED = [
    ("two hosts", b"GET / HTTP/1.1\r\nHost: demo.localhost\r\nHost: other.localhost\r\n\r\n", 400),
    ("two equal hosts", b"GET / HTTP/1.1\r\nHost: demo.localhost\r\nHost: demo.localhost\r\n\r\n", 400),
    ("no host", b"GET / HTTP/1.1\r\n\r\n", 400),
    ("fragment", b"GET /hot.txt#x HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("no HTTP", b"hello\r\n\r\n", 400),
    ("space in the target", b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("space before the colon", b"GET / HTTP/1.1\r\nHost : demo.localhost\r\n\r\n", 400),
    ("folded field", b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n", 400),
    (
        "length and chunked",
        b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
    ),
    ("two lengths", b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n", 400),
    ("signed length", b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: +3\r\n\r\n", 400),
    ("CONNECT", b"CONNECT demo.localhost:443 HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    ("user in the target", b"GET http://a@demo.localhost/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("asterisk", b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("NUL in a field", b"GET / HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n", 400),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
]


@pytest.mark.parametrize(("data", "status"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED])
@pytest.mark.parametrize("after_a_hit", [False, True])
def test_what_has_no_one_meaning_is_refused(tmp_path: Path, data: bytes, status: int, after_a_hit: bool) -> None:
    """One answer, and the connection ends: whatever follows is not read."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        async with wire(node) as c:
            await c.send(c.request("/hot.txt") * after_a_hit + data + c.request("/hot.txt"))
            if after_a_hit:
                assert (await c.read()).body == HOT
            got = await c.read()
            assert (got.status, got.headers["connection"]) == (status, "close")
            assert await asyncio.wait_for(c.is_closed(), 10)
        assert node.answers.counts.refused == {status: 1}

    play(tmp_path, act)


def test_a_refusal_does_not_overtake_an_answer(tmp_path: Path) -> None:
    """A good request that is still being answered gets its answer first; the bad one behind it ends the connection."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        gate = origin.after[CID.of(RAW, b"9")] = asyncio.Event()
        async with wire(node) as c:
            await c.send(c.request("/cold9.txt") + b"nonsense\r\n\r\n")
            while not origin.asked[str(CID.of(RAW, b"9"))]:
                await asyncio.sleep(0.005)
            gate.set()
            assert (await c.read()).body == b"9"
            assert (await c.read()).status == 400
            assert await asyncio.wait_for(c.is_closed(), 10)

    play(tmp_path, act)


@pytest.mark.parametrize(
    "target", [b"http://demo.localhost/hot.txt", b"HTTP://DEMO.localhost:80/hot.txt?x", b"http://demo.localhost"]
)
def test_an_absolute_target_names_the_host(tmp_path: Path, target: bytes) -> None:
    """RFC 9112 §3.2.2: its authority is used, and Host is not."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        async with wire(node) as c:
            await c.send(b"GET " + target + b" HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n")
            got = await c.read()
            assert got.status == (200 if b"hot" in target else 404)

    play(tmp_path, act)


def test_an_upgrade_is_not_granted(tmp_path: Path) -> None:
    """The request is answered as if it had not asked, and is the last of its connection."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        for kind in ("h2c", "websocket"):
            async with wire(node) as c:
                upgrade = {"Connection": "Upgrade", "Upgrade": kind}
                await c.send(c.request("/hot.txt", headers=upgrade) + c.request("/cold1.txt"))
                got = await c.read()
                assert (got.status, got.body) == (200, HOT)
                assert await asyncio.wait_for(c.is_closed(), 10)

    play(tmp_path, act)


def test_a_client_that_has_said_all_still_reads(tmp_path: Path) -> None:
    """A half-closed connection gets the answer that is under way."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        cid = CID.of(RAW, b"11")
        gate = origin.after[cid] = asyncio.Event()
        async with wire(node) as c:
            await c.send(c.request("/cold11.txt"))
            c.writer.write_eof()
            while not origin.asked[str(cid)]:
                await asyncio.sleep(0.005)
            gate.set()
            assert (await c.read()).body == b"11"

    play(tmp_path, act)


def test_heads_in_any_slices_mean_the_same(tmp_path: Path) -> None:
    """Fed byte by byte, or cut anywhere, a request is the same request."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        async with wire(node) as c:
            whole = c.request("/hot.txt", headers={"Range": "bytes=0-3"})
            for at in range(1, len(whole), 7):
                await c.send(whole[:at])
                await asyncio.sleep(0)
                await c.send(whole[at:])
                assert (await c.read()).body == HOT[:4]
            for byte in whole:
                await c.send(bytes((byte,)))
            assert (await c.read()).body == HOT[:4]

    play(tmp_path, act)


def test_a_block_that_left_memory_is_no_hit(tmp_path: Path) -> None:
    """A ready answer without its bytes goes to the app, which finds them on disk."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        await asyncio.wait_for(_on_disk(node, CID.of(RAW, HOT)), 10)
        node.memory.clear()
        assert (await fetch(node, "/hot.txt")).outcome == "disk"
        assert (await fetch(node, "/hot.txt")).outcome == "memory"

    play(tmp_path, act)


def test_a_block_of_another_length_is_never_sent(tmp_path: Path) -> None:
    """Should an index lie about a length, the hot path does not send what would not fit its head."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        cid = CID.of(RAW, HOT)
        forged = object.__new__(Block)
        object.__setattr__(forged, "cid", cid)
        object.__setattr__(forged, "data", HOT + b"!")
        node.memory.put(cid, forged, len(HOT))
        got = await fetch(node, "/hot.txt")
        assert (got.status, got.headers["cache-control"]) == (502, "no-store")

    play(tmp_path, act)


async def _on_disk(node: Node, cid: CID) -> None:
    while await node.disk.get(cid) is None:
        await asyncio.sleep(0.01)


def test_the_private_side_has_the_same_manners(tmp_path: Path) -> None:
    """Budgets and refusals hold there too."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        async with wire(node, private=True) as c:
            await c.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
            assert (await c.read()).status == 400
        async with wire(node, private=True) as c:
            await c.send(b"GET /healthz HTTP/1.1\r\n" + b"X: a\r\n" * 101 + b"\r\n")
            assert (await c.read()).status == 431

    play(tmp_path, act)


def test_wire_reads_what_it_should() -> None:
    """The tests' own client: one head, one body, no more."""

    async def run() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nabHTTP/1.1 304 Not Modified\r\n\r\n")
        c = Wire(reader, None, "h")  # type: ignore[arg-type]
        assert (await c.read()).body == b"ab"
        assert (await c.read()).status == 304

    asyncio.run(run())
