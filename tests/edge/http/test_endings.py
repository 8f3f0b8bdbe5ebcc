"""The end of a connection whose client still has something to say: its last answer arrives all the same."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from edge.http.limits import Limits
from edge.http.protocol import Protocol
from edge.node import Node
from tests.edge.sites import World
from tests.edge.standing import PATIENCE, responses, standing
from tests.edge.wire import edge
from tests.kit.nodes import until

HOT = b"hot " * 4000
LARGE = bytes(range(256)) * 40_000  # more than the system's own buffers take
HEAD = b" /hot.txt HTTP/1.1\r\nHost: demo.localhost\r\n"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    world = World()
    world.publish("demo", {"hot.txt": HOT, "large.bin": LARGE})
    with standing(lambda: edge(tmp_path_factory.mktemp("edge"), world, Limits(linger=0.5))) as ((node, _), _loop):
        yield node


def connect(node: Node) -> socket.socket:
    address = urlsplit(node.public_url)
    return socket.create_connection((address.hostname, address.port), PATIENCE)


def until_end(sock: socket.socket) -> bytes:
    """All that comes until the end. Raises ConnectionError where it is a reset."""
    return b"".join(iter(lambda: sock.recv(1 << 16), b""))


CUT_SHORT = [
    ("body", b"POST" + HEAD + b"Content-Length: 100000000\r\n\r\n", 405),
    ("body-of-get", b"GET" + HEAD + b"Content-Length: 100000000\r\n\r\n", 200),
    ("chunks", b"POST" + HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffff\r\n", 405),
    ("endless-field", b"GET" + HEAD + b"X: ", 431),
    ("endless-target", b"GET /", 414),
    ("nonsense", b"\0\0\0\r\n\r\n", 400),
    ("tunnel", b"CONNECT demo.localhost:80 HTTP/1.1\r\nHost: demo.localhost\r\n\r\n", 405),
    ("upgrade", b"GET" + HEAD + b"Connection: Upgrade\r\nUpgrade: x\r\n\r\n", 200),
]


@pytest.mark.parametrize(("data", "status"), [c[1:] for c in CUT_SHORT], ids=[c[0] for c in CUT_SHORT])
def test_the_last_answer_is_heard(node: Node, data: bytes, status: int) -> None:
    """A client that sends on while it is refused, or is at a body that nobody reads, reads its answer whole, then a
    clean end: no reset comes before it (RFC 9112 §9.6)."""
    with connect(node) as sock:
        sock.sendall(data)
        while not select.select([sock], [], [], 0)[0]:
            sock.sendall(b"x" * 1000)
        for _ in range(20):  # the answer is there, and the client has not looked yet
            sock.sendall(b"x" * 10_000)
        said = responses(until_end(sock))
        assert [(one.status, one.field("connection")) for one in said] == [(status, "close")]
        assert status != 200 or said[0].body == HOT


def test_who_sends_on_for_ever_is_cut_off(node: Node) -> None:
    """He is heard out for a moment, not longer, however much comes."""
    with connect(node) as sock:
        sock.sendall(CUT_SHORT[0][1])
        with pytest.raises(ConnectionError):
            _send_for_ever(sock)
    until("it is forgotten", lambda: not _protocols(node))


def test_who_reads_slowly_gets_all(node: Node) -> None:
    """The moment is for who has taken everything: an answer that is on its way still has the time of any answer."""
    with connect(node) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        sock.sendall(b"GET /large.bin HTTP/1.1\r\nHost: demo.localhost\r\nContent-Length: 9\r\n\r\n")
        said = sock.recv(1000)
        time.sleep(1.2)  # more than two moments
        said += until_end(sock)
        assert responses(said)[0].body == LARGE


def test_who_stays_silent_is_cut_off(node: Node) -> None:
    """The same where nothing comes, and no end."""
    with connect(node) as sock:
        sock.sendall(CUT_SHORT[0][1])
        until_end(sock)
        until("it is forgotten", lambda: not _protocols(node))


def _send_for_ever(sock: socket.socket) -> None:
    while True:
        sock.sendall(b"x" * 1000)
        time.sleep(0.001)  # a modest sender


def _protocols(node: Node) -> list[Protocol]:
    return [p for p in list(node.public._server.server_state.connections) if isinstance(p, Protocol)]
