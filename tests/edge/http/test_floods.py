"""Floods and half-closed connections: order, completeness and bounds where a client sends much and reads little."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from time import time
from urllib.parse import urlsplit

import pytest

from content.cid import CID, RAW
from edge.http.limits import LIMITS
from edge.http.protocol import Protocol
from edge.node import Node
from tests.edge.origin import TinyOrigin
from tests.edge.sites import World
from tests.edge.standing import PATIENCE, exchange, responses, standing
from tests.edge.wire import edge
from tests.kit.nodes import until

MiB = 1 << 20
LARGE = bytes(range(256)) * 4 * 1000  # one block of about 1 MB
FILES = {"large.bin": LARGE, "late.txt": b"late", **{f"{n}.txt": b"%-1000d" % n for n in range(100)}}
_BODY = re.compile(rb"\r\ncontent-length: 1000\r\n.*?\r\n\r\n(\d+)", re.DOTALL)


class Standing:
    """An edge where all files of one site are ready hits, and of the other nothing ever is."""

    def __init__(self, node: Node, origin: TinyOrigin, loop: asyncio.AbstractEventLoop) -> None:
        self.node, self.origin, self.loop = node, origin, loop

    def connect(self) -> socket.socket:
        address = urlsplit(self.node.public_url)
        return socket.create_connection((address.hostname, address.port), PATIENCE)

    def protocols(self) -> list[Protocol]:
        return [p for p in list(self.node.public._server.server_state.connections) if isinstance(p, Protocol)]

    def written_ahead(self) -> int:
        return sum(p.transport.get_write_buffer_size() for p in self.protocols())

    def call(self, act: Callable[[], object]) -> None:
        self.loop.call_soon_threadsafe(act)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    world = World()
    world.publish("demo", dict(FILES))
    world.publish("slow", dict(FILES), settings={"max_stale": 3600})
    with standing(lambda: edge(tmp_path_factory.mktemp("edge"), world)) as ((node, origin), loop):
        for name in FILES:
            if name != "late.txt":
                exchange(node.public_url, get(f"/{name}", "Connection: close"))
        yield Standing(node, origin, loop)


def get(path: str, *fields: str, host: str = "demo.localhost") -> bytes:
    return "\r\n".join((f"GET {path} HTTP/1.1", f"Host: {host}", *fields, "", "")).encode()


def _send(sock: socket.socket, data: bytes) -> None:
    sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)


def everything(sock: socket.socket) -> bytes:
    said = bytearray()
    while got := sock.recv(MiB):
        said += got
    return bytes(said)


def test_100_000_pipelined_in_one_write(server: Standing) -> None:
    """Hits in one write of one client that reads along: all come, in order, and little is written ahead of it."""
    asked = [(n * 7919) % 100 for n in range(100_000)]
    data = b"".join(get(f"/{n}.txt") for n in asked)
    ahead = 0
    with server.connect() as sock:
        sending = threading.Thread(target=_send, args=(sock, data))
        sending.start()
        said = bytearray()
        while got := sock.recv(MiB):
            said += got
            ahead = max(ahead, server.written_ahead())
        sending.join()
    assert [int(n) for n in _BODY.findall(said)] == asked
    assert ahead <= MiB


def test_a_pipelined_flood_unread(server: Standing) -> None:
    """Hits, and now and then what is no hit, of a client that at first reads nothing: the server stops reading, and
    holds next to nothing; once the client reads, all answers come, in order."""
    asked = [(n * 7919) % 100 for n in range(10_000)]
    data = b"".join(get(f"/{n}.txt", host="slow.localhost" if at % 500 == 7 else "demo.localhost")
                    for at, n in enumerate(asked))  # fmt: skip
    with server.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        sending = threading.Thread(target=_send, args=(sock, data))
        sending.start()
        until("it has stopped answering", lambda: server.written_ahead() > 0)
        ahead = max(server.written_ahead() for _ in range(200))
        (protocol,) = server.protocols()
        assert len(protocol.pipeline) <= LIMITS.pipelined + 4096 // len(get("/0.txt"))
        said = everything(sock)
        sending.join()
    assert ahead <= MiB
    assert [int(n) for n in _BODY.findall(said)] == asked


def test_a_flood_of_large_answers_unread(server: Standing) -> None:
    """200 requests for a ready megabyte by a client that reads nothing, then all: at most a few are written ahead, and
    all come whole, in order, though the client has said that it will send no more."""
    with server.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        sock.sendall((get("/large.bin") + get("/1.txt")) * 200)
        sock.shutdown(socket.SHUT_WR)
        until("it has stopped answering", lambda: server.written_ahead() > 0)
        assert max(server.written_ahead() for _ in range(200)) <= 3 * MiB
        bodies = [one.body for one in responses(everything(sock))]
    assert bodies == [LARGE, FILES["1.txt"]] * 200


HALF_CLOSED = [
    ("hit", ["demo /1.txt"]),
    ("no-hit", ["slow /1.txt"]),
    ("hits", ["demo /1.txt", "demo /2.txt", "demo /3.txt"]),
    ("hit-behind-no-hit", ["slow /1.txt", "demo /2.txt"]),
    ("no-hit-behind-hit", ["demo /1.txt", "slow /2.txt"]),
    ("no-hits", ["slow /1.txt", "slow /2.txt", "slow /3.txt"]),
    ("more-than-are-queued", ["slow /1.txt"] * 60 + ["demo /2.txt"] * 60),
    ("large-hit", ["demo /large.bin"]),
    ("large-hits", ["demo /large.bin"] * 8),
    ("large-no-hit", ["slow /large.bin", "slow /large.bin"]),
    ("large-mixed", ["slow /large.bin", "demo /large.bin", "demo /1.txt", "slow /large.bin", "slow /1.txt"]),
]


@pytest.mark.parametrize("asked", [c[1] for c in HALF_CLOSED], ids=[c[0] for c in HALF_CLOSED])
def test_half_closed(server: Standing, asked: list[str]) -> None:
    """A client that sends its requests and a FIN gets all answers, whole and in order, and then the end."""
    pairs = [one.split(" ") for one in asked]
    data = b"".join(get(path, host=f"{site}.localhost") for site, path in pairs)
    said = responses(exchange(server.node.public_url, data, half_close=True))
    assert [one.body for one in said] == [FILES[path[1:]] for _, path in pairs]
    until("it is forgotten", lambda: not server.protocols())


def test_half_closed_within_a_request(server: Standing) -> None:
    """What was whole is answered; the half request behind it is not, and the connection ends."""
    said = responses(exchange(server.node.public_url, get("/1.txt") + get("/2.txt")[:-2], half_close=True))
    assert [one.body for one in said] == [FILES["1.txt"]]


def test_half_closed_behind_a_miss(server: Standing) -> None:
    """The FIN is there before the block is: it changes nothing, also for the hits that wait behind."""
    cid = CID.of(RAW, b"late")
    gate = server.origin.after[cid] = asyncio.Event()
    with server.connect() as sock:
        sock.sendall(get("/late.txt") + get("/1.txt") + get("/large.bin"))
        sock.shutdown(socket.SHUT_WR)
        until("the origin is asked", lambda: server.origin.asked[str(cid)])
        server.call(gate.set)
        assert [one.body for one in responses(everything(sock))] == [b"late", FILES["1.txt"], LARGE]


def test_reset_while_large_answers_are_written(server: Standing) -> None:
    """A client that goes in the middle of an answer leaves nothing behind."""
    for host in ("demo.localhost", "slow.localhost"):
        with server.connect() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            sock.sendall(get("/large.bin", host=host) * 5)
            assert sock.recv(1000)
        until("it is forgotten", lambda: not server.protocols())


DATED = [
    ("hit", get("/1.txt", "Connection: close")),
    ("no-hit", get("/1.txt", "Connection: close", host="slow.localhost")),
    ("missing", get("/nope", "Connection: close")),
    ("not-modified", get("/1.txt", "If-None-Match: *", "Connection: close")),
    ("refused", b"nonsense\r\n\r\n"),
    ("too-large", get("/1.txt", "X: " + "y" * 20_000)),
]


@pytest.mark.parametrize("data", [c[1] for c in DATED], ids=[c[0] for c in DATED])
def test_date(server: Standing, data: bytes) -> None:
    """One Date on every answer, of now (RFC 9110 §6.6.1)."""
    (said,) = responses(exchange(server.node.public_url, data))
    dates = [value for name, value in said.fields if name == "date"]
    assert len(dates) == 1
    assert abs(parsedate_to_datetime(dates[0]).timestamp() - time()) < PATIENCE


def test_date_goes_on(server: Standing) -> None:
    """It is the hour of the answer, not of the server's start or of the connection's."""
    seen = set()
    with server.connect() as sock:

        def new() -> bool:
            sock.sendall(get("/1.txt"))
            seen.add(responses(sock.recv(MiB))[0].field("date"))
            return len(seen) >= 3

        until("three seconds are told", new)


SLOTS = [("/1.txt", FILES["1.txt"]), ("/large.bin", LARGE)]


@pytest.mark.parametrize(("path", "body"), SLOTS, ids=["small", "large"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_head_keeps_the_connection_in_step(server: Standing, path: str, body: bytes, method: str) -> None:
    """HEAD among GETs, pipelined, of a hit and of what is none: heads equal, no body, nothing out of step."""
    for host in ("demo.localhost", "slow.localhost"):
        order = [method, "HEAD", "GET", "HEAD"]
        data = b"".join(get(path, host=host).replace(b"GET", verb.encode(), 1) for verb in order)
        said = responses(exchange(server.node.public_url, data + get("/2.txt", "Connection: close")), *order)
        assert [one.body for one in said] == [body if verb == "GET" else b"" for verb in order] + [FILES["2.txt"]]
        shown = {tuple(pair for pair in one.fields if pair[0] not in ("date", "cache-status")) for one in said[:4]}
        assert len(shown) == 1
