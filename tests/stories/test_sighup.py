"""A certificate is renewed and a log is rotated while an edge serves.

Actors: an origin, one edge that ends TLS itself, a visitor whose connection stays open, and SIGHUP.
"""

from __future__ import annotations

import http.client
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.kit.certs import make_pair
from tests.kit.nodes import Cluster, Edge, Origin, until


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    origin = Origin(tmp_path / "origin")
    origin.start()
    edge = Edge("edge-1", tmp_path / "edge-1")
    cluster = Cluster(origin, [edge], origin.node_token())
    pair = make_pair(tmp_path / "tls", "demo.localhost")
    front = ("--tls-cert", str(pair.cert), "--tls-key", str(pair.key))
    log = ("--access-log", "combined", "--access-log-file", str(tmp_path / "access.log"))
    try:
        edge.join(origin.url, origin.catalog, cluster.token, [edge], *front, *log).start()
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "index.html").write_bytes(b"hello")
        cluster.publish(tmp_path / "site", "demo")
        yield cluster
    finally:
        cluster.stop()


class Visitor:
    """One connection, kept open, that believes this certificate only."""

    def __init__(self, edge: Edge, cert: Path) -> None:
        url = urlsplit(str(edge.ready["public"]))
        assert url.scheme == "https"
        context = ssl.create_default_context(cafile=str(cert))
        context.check_hostname = False  # the address is loopback's, the name is in Host
        self._connection = http.client.HTTPSConnection("127.0.0.1", url.port, timeout=20, context=context)

    def get(self) -> bytes:
        self._connection.request("GET", "/", headers={"Host": "demo.localhost"})
        return self._connection.getresponse().read()

    def close(self) -> None:
        self._connection.close()


def hangup(edge: Edge) -> None:
    assert edge.process is not None
    edge.process.send_signal(signal.SIGHUP)


def believes(edge: Edge, cert: Path) -> bool:
    visitor = Visitor(edge, cert)
    try:
        return visitor.get() == b"hello"
    except ssl.SSLCertVerificationError:
        return False
    finally:
        visitor.close()


def test_sighup(cluster: Cluster, tmp_path: Path) -> None:
    """New connections get the new pair and the log a new file; the open connection goes on. A broken pair changes
    nothing, is said on stderr and counted; stopping writes what is left."""
    edge, tls = cluster.edges[0], tmp_path / "tls"
    old = tmp_path / "old.pem"
    old.write_bytes((tls / "fullchain.pem").read_bytes())
    first = Visitor(edge, old)
    assert first.get() == b"hello"
    log, rotated = tmp_path / "access.log", tmp_path / "access.log.1"
    until("the first line", log.read_text)

    make_pair(tls, "demo.localhost")
    log.rename(rotated)
    hangup(edge)
    new = tls / "fullchain.pem"
    until("the new certificate", lambda: believes(edge, new))
    assert not believes(edge, old)
    assert first.get() == b"hello", "on the connection that was open"
    until("the new log", lambda: log.exists() and log.read_text())

    good = new.read_bytes()
    new.write_bytes(b"nonsense")
    hangup(edge)
    until("it is counted", lambda: edge.metric("rim_tls_reload_errors_total") == 1)
    assert "the certificate served so far stays" in edge.stderr()
    (tmp_path / "good.pem").write_bytes(good)
    assert believes(edge, tmp_path / "good.pem")
    assert edge.metric("rim_tls_certificate_ends_seconds") > 29 * 86400
    first.close()

    assert edge.stop() == 0
    lines = rotated.read_text().splitlines() + log.read_text().splitlines()
    assert len(lines) >= 4
    assert all(line.startswith("127.0.0.1 - - [") and ' "GET / HTTP/1.1" 200 5 "-" "-"' in line for line in lines)
