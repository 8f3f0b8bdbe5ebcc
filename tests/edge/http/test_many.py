"""Many connections, come and gone: nothing of them stays. A tenth of what bench/memory measures, in objects."""

from __future__ import annotations

import gc
import resource
import socket
import struct
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from edge.http.limits import Limits
from edge.http.protocol import Protocol
from edge.node import Node
from tests.edge.sites import World
from tests.edge.standing import PATIENCE, standing
from tests.edge.wire import edge
from tests.kit.nodes import until

IDLE, RESETS, STUCK = 1_000, 5_000, 50
MiB = 1 << 20
LARGE = bytes(range(256)) * (10 * MiB // 256)
ASK = b"GET %s HTTP/1.1\r\nHost: demo.localhost\r\n%s\r\n"
SMALL = ASK % (b"/small.txt", b"")


@pytest.fixture
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4 * IDLE)), hard))
    world = World()
    world.publish("demo", {"small.txt": b"small", "large.bin": LARGE})
    try:
        with standing(lambda: edge(tmp_path_factory.mktemp("edge"), world, Limits())) as ((node, _), _loop):
            yield node
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connect(node: Node, buffer: int | None = None) -> socket.socket:
    address = urlsplit(node.public_url)
    sock = socket.socket()
    if buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    sock.settimeout(PATIENCE)
    sock.connect((address.hostname, address.port))
    return sock


def answered(sock: socket.socket) -> None:
    """The small file, whole."""
    sock.sendall(SMALL)
    said = b""
    while not said.endswith(b"\r\n\r\nsmall"):
        got = sock.recv(4096)
        assert got, said
        said += got


def alive(node: Node) -> list[Protocol]:
    """The protocol objects of the public listener that exist, in use or forgotten."""
    gc.collect()
    state = node.public._server.server_state
    return [one for one in gc.get_objects() if isinstance(one, Protocol) and one.server_state is state]


def nothing_is_left(node: Node) -> None:
    until("all are gone", lambda: not node.public.connections)
    until("none is held on to", lambda: not alive(node))


def test_idle_connections_leave_nothing(node: Node) -> None:
    """A thousand that had an answer and stay, then go."""
    socks = [connect(node) for _ in range(IDLE)]
    for sock in socks:
        answered(sock)
    assert node.public.connections == IDLE
    for sock in socks:
        sock.close()
    nothing_is_left(node)


def test_resets_leave_nothing(node: Node) -> None:
    """Five thousand that end in a reset: behind an answer, before one was read, in the middle of a head."""
    for number in range(RESETS):
        with connect(node) as sock:
            if number % 3 == 0:
                answered(sock)
            else:
                sock.sendall(SMALL if number % 3 == 1 else SMALL[:30])
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    nothing_is_left(node)


@pytest.mark.parametrize("fields", [b"", b"Connection: close\r\n"], ids=["hit", "app"])
def test_stuck_readers_leave_nothing(node: Node, fields: bytes) -> None:
    """Fifty that ask for 10 MiB and read nothing: a block or so is written ahead of each, and nothing is left."""
    with connect(node) as sock:  # from now on it is a hit
        sock.sendall(ASK % (b"/large.bin", b"Connection: close\r\n"))
        while sock.recv(MiB):
            pass
    socks = [connect(node, 4096) for _ in range(STUCK)]
    for sock in socks:
        sock.sendall(ASK % (b"/large.bin", fields))
    for sock in socks:
        assert sock.recv(9, socket.MSG_PEEK) == b"HTTP/1.1 "
    ahead = [one.transport.get_write_buffer_size() for one in alive(node)]
    assert len(ahead) == STUCK
    assert max(ahead) <= MiB + 64 * 1024
    for sock in socks:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    nothing_is_left(node)
    assert node.answers.counts.broken == 0, "a client that leaves is no broken answer"
