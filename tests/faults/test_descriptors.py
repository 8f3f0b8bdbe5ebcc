"""More visitors than descriptors: the edge keeps some for itself, serves on, and recovers.

Actors: an origin, an edge that may have 128 descriptors, and 300 connections that say nothing, with TLS and without.
"""

from __future__ import annotations

import os
import socket
import ssl
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.kit.certs import make_pair
from tests.kit.nodes import Edge, Origin, fetch, until

pytestmark = pytest.mark.needs("prlimit")
DESCRIPTORS, SILENT = 128, 300
REQUEST = b"GET /.rim/health HTTP/1.1\r\nHost: demo.localhost\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_silent_connections_take_no_more_than_their_share(tmp_path: Path, tls: bool) -> None:
    """Three quarters are the visitors'; for one more an idle one goes, or it is refused while all are in a handshake.
    Either is counted, and the private side answers all the time."""
    origin, edge = Origin(tmp_path / "origin"), Edge("edge-1", tmp_path / "edge-1")
    origin.start()
    try:
        pair = make_pair(tmp_path / "tls", "demo.localhost")
        flags = ("--tls-cert", str(pair.cert), "--tls-key", str(pair.key)) if tls else ()
        edge.join(origin.url, origin.catalog, origin.node_token(), [edge], *flags)
        edge.command = ["prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}", *edge.command]
        edge.start()
        assert edge.process is not None
        folder = f"/proc/{edge.process.pid}/fd"
        before = len(os.listdir(folder))
        room = DESCRIPTORS * 3 // 4
        with ExitStack() as silent:
            for _ in range(SILENT):
                silent.enter_context(connection(edge))
            until("all have been taken or turned away", lambda: turned_away(edge) == SILENT - room)
            assert fetch(edge.private, "/healthz").status == 200
            assert len(os.listdir(folder)) <= before + room + 2
        until("they are gone", lambda: len(os.listdir(folder)) <= before)
        assert health(edge, tls).startswith(b"HTTP/1.1 200 ")
        edge.stop()
    finally:
        for node in (edge, origin):
            node.stop()


def turned_away(edge: Edge) -> float:
    """Refused, or closed to make room (in a burst there may be none to find that is not closed already)."""
    limits = ("connections", "idle connections")
    return sum(edge.metric(f'rim_limits_reached_total{{limit="{limit}"}}') for limit in limits)


def connection(edge: Edge) -> socket.socket:
    return socket.create_connection(("127.0.0.1", urlsplit(edge.public).port or 0), 20)


def health(edge: Edge, tls: bool) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with connection(edge) as plain:
        if not tls:
            plain.sendall(REQUEST)
            return plain.recv(4096)
        with context.wrap_socket(plain) as sock:
            sock.sendall(REQUEST)
            return sock.recv(4096)
